"""The doctor: what the token says, what each source answers, what is too much; and the script that grants no more."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from login import jwt

from appgov_lib.__main__ import main
from appgov_lib.errors import ConfigError, ExitCode
from appgov_lib.extract.claims import Claims, read_claims
from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.doctor import Diagnosis, diagnose, excess_of, granted, probe
from appgov_lib.extract.permissions import id_of, needed, only_reads, sufficient
from appgov_lib.extract.sources import choose_sources, load_sources
from appgov_lib.settings import Settings

NOW = datetime(2026, 11, 16, 6)
DATE = "Mon, 16 Nov 2026 06:00:00 GMT"
LATER = 1_800_000_000
LEAST = sorted(needed())
TENANT, APP = "aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002"


def app_token(*roles: str, **claims: Any) -> str:
    """An app-only token."""
    return jwt(**{"tid": TENANT, "appid": APP, "appidacr": "2", "roles": list(roles), "exp": LATER, **claims})


@contextmanager
def graph(refuse: tuple[str, ...] = (), date: str = DATE) -> Iterator[tuple[str, list[str]]]:
    """A Graph that answers everything with one record, except paths with a part of `refuse`; and what it was asked.

    Its clock says `date`; where that is empty, what this machine's says.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(f"{self.command} {self.path} {sent.decode()}".strip())
            status, body = 200, {"value": [{"id": "1"}], "results": []}
            if any(part in self.path for part in refuse):
                status, body = 403, {"error": {"code": "Authorization_RequestDenied", "message": "no \x1b[31m"}}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

        def date_time_string(self, timestamp: float | None = None) -> str:
            return date or super().date_time_string(timestamp)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def examine(token: str, *names: str, refuse: tuple[str, ...] = ()) -> Diagnosis:
    """The diagnosis of a Graph that refuses some paths, with this token."""
    with graph(refuse) as (endpoint, _):
        settings = Settings(Path(), endpoint=endpoint)
        return diagnose(settings, now=NOW, names=names, credential=ReadyToken(token))


def test_a_token_with_every_least_permission_lacks_nothing_and_has_nothing_to_spare() -> None:
    found = examine(app_token(*LEAST))
    assert (found.identity.tenant_id, found.identity.app_id, found.identity.kind) == (TENANT, APP, "application")
    assert found.identity.client_proof == "certificate or federation"
    assert found.identity.expires_at == "2027-01-15T08:00:00Z"
    assert {item.source for item in found.sources} == {s.name for s in choose_sources(())}
    assert {(p.granted, p.granted_by == p.permission, p.status) for p in found.sources} == {
        ("granted", True, "readable")
    }
    assert (found.missing, found.excess, found.warnings) == ((), (), ())


def test_every_source_of_the_catalogue_can_be_probed() -> None:
    with graph() as (endpoint, asked):
        settings = Settings(Path(), endpoint=endpoint)
        names = tuple(load_sources())
        found = probe(settings, now=NOW, names=names, credential=ReadyToken("opaque"))
    assert {item.source: item.status for item in found} == dict.fromkeys(names, "readable")
    assert not [line for line in asked if "{" in line.split()[1] or "$top=999" in line]
    # A probe reads: the only POST is a hunting query for one row, so that nothing is ever created.
    posts = [line for line in asked if line.startswith("POST")]
    assert posts
    assert all("/security/runHuntingQuery" in line and "take 1" in line for line in posts)


def test_a_missing_permission_is_named_before_the_service_is_asked() -> None:
    roles = [name for name in LEAST if name not in ("SecurityAlert.Read.All", "ThreatHunting.Read.All")]
    found = examine(app_token(*roles), refuse=("/alerts_v2",))
    by_name = {item.source: item for item in found.sources}
    alerts = by_name["security_alerts"]
    assert (alerts.granted, alerts.granted_by, alerts.status) == ("missing", "", "not_permitted")
    assert alerts.what_is_lost == load_sources()["security_alerts"].what_is_lost
    # Missing in the token, yet answered: the service has the last word.
    assert (by_name["api_activity_sums"].granted, by_name["api_activity_sums"].readable) == ("missing", True)
    assert found.missing == ("SecurityAlert.Read.All", "ThreatHunting.Read.All")


def test_a_wider_permission_stands_in_where_the_reference_says_so_and_only_there() -> None:
    claims = read_claims(app_token("Directory.Read.All"))
    sources = load_sources()
    assert granted(sources["service_principals"], claims) == ("granted", "Directory.Read.All")
    assert granted(sources["delegated_grants"], claims) == ("granted", "Directory.Read.All")
    assert granted(sources["security_alerts"], claims) == ("missing", "")
    assert granted(sources["federated_credentials"], claims) == ("missing", "")
    assert granted(sources["users"], None) == ("unknown", "")


def test_the_covering_facts_are_about_sources_of_the_catalogue() -> None:
    from appgov_lib.extract.permissions import _covers

    known = {(source.path, source.permission) for source in load_sources().values()}
    assert set(_covers()) <= known
    for source in load_sources().values():
        names = sufficient(source)
        assert names[0] == source.permission
        assert len(set(names)) == len(names)


def test_write_permissions_are_a_warning_and_other_spare_ones_are_listed() -> None:
    roles = [name for name in LEAST if name != "Application.Read.All"]
    found = examine(app_token(*roles, "Application.ReadWrite.All", "Mail.Send", "Group.Read.All"))
    shown = [(item.permission, item.more_than_reads) for item in found.excess]
    assert shown == [("Application.ReadWrite.All", True), ("Mail.Send", True), ("Group.Read.All", False)]
    assert found.excess[0].stands_in_for == ("Application.Read.All",)
    assert len(found.warnings) == 2
    assert "Application.ReadWrite.All can do more than read" in found.warnings[0]
    assert found.warnings[0].endswith("grant Application.Read.All instead.")
    # It does not stand in everywhere that the least one is needed (deleted apps), so that one is still to be granted.
    assert found.missing == ("Application.Read.All",)


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("User.Read.All", True),
        ("User.ReadBasic.All", True),
        ("Policy.Read.PermissionGrant", True),
        ("User.Read", True),
        ("User.ReadWrite.All", False),
        ("Application.ReadUpdate.All", False),
        ("Mail.Send", False),
        ("Sites.FullControl.All", False),
        ("Sites.Selected", False),
        ("AppRoleAssignment.ReadWrite.All", False),
        ("full_access_as_app", False),
        ("", False),
    ],
)
def test_only_names_that_say_read_count_as_reading(name: str, reads: bool) -> None:
    assert only_reads(name) is reads


def test_every_permission_of_the_catalogue_reads_and_has_an_id() -> None:
    for name in needed():
        assert only_reads(name), name
        assert len(id_of(name)) == 36


def test_a_persons_token_is_judged_by_its_scopes() -> None:
    token = jwt(tid=TENANT, appid=APP, scp="openid profile User.Read.All Mail.Send", roles=["Ignored.Read.All"], exp=1)
    found = examine(token, "users", "organization")
    assert (found.identity.kind, {p.source: p.granted for p in found.sources}) == (
        "delegated",
        {"users": "granted", "organization": "missing"},
    )
    assert [item.permission for item in found.excess] == ["Mail.Send"]
    assert any("a person's" in sentence for sentence in found.warnings)
    assert any("ended at 1970-01-01T00:00:01Z" in sentence for sentence in found.warnings)


@pytest.mark.parametrize(
    "token",
    ["", "opaque", "a.b", "a.b.c", "a.!!!.c", "a.W10.c", "a.eyJyb2xlcyI6IDd9.c", "a.eyJyb2xlcyI6WzFdfQ.c", "ä.ö.ü"],
)
def test_a_token_that_cannot_be_read_is_unknown_not_missing(token: str) -> None:
    assert read_claims(token) is None


def test_an_opaque_token_still_probes() -> None:
    found = examine("opaque", "users", "security_alerts", refuse=("/alerts_v2",))
    assert {p.source: (p.granted, p.status) for p in found.sources} == {
        "users": ("unknown", "readable"),
        "security_alerts": ("unknown", "not_permitted"),
    }
    assert (found.identity.kind, found.identity.tenant_id, found.missing, found.excess) == ("unknown", "", (), ())


@pytest.mark.parametrize("exp", [0, -5, 10**30, 1e300])
def test_an_expiry_that_is_no_time_is_unknown(exp: float) -> None:
    claims = read_claims(app_token(exp=exp))
    assert claims is not None
    assert claims.expires_at is None


def test_nothing_is_excess_in_an_empty_token() -> None:
    empty = Claims("", "", "", "application", "", frozenset(), NOW + timedelta(hours=1))
    assert excess_of(empty, load_sources().values()) == ()


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run `appgov doctor` against a Graph on loopback; exit code and standard output."""

    def go(token: str, *options: str, refuse: tuple[str, ...] = ()) -> tuple[int, str]:
        with graph(refuse, "") as (endpoint, _):
            monkeypatch.setenv("APPGOV_HOME", str(tmp_path))
            monkeypatch.setenv("APPGOV_GRAPH_ENDPOINT", endpoint)
            monkeypatch.setenv("APPGOV_ACCESS_TOKEN", token)
            with pytest.raises(SystemExit) as stop:
                main(["doctor", *options])
        out, err = capsys.readouterr()
        assert token not in out + err
        return int(stop.value.code or 0), out

    return go


def test_the_command_says_who_what_and_what_is_too_much(doctor) -> None:
    token = app_token("User.Read.All", "Mail.Send", app_displayname="Reader \x1b[2J")
    code, out = doctor(token, "--source", "users", "--source", "security_alerts", refuse=("/alerts_v2",))
    assert code == ExitCode.PARTIAL
    for words in (TENANT, APP, "ready-token: application permissions", "Mail.Send can do more than read", "granted"):
        assert words in out
    assert "To grant: SecurityAlert.Read.All" in out
    assert load_sources()["security_alerts"].what_is_lost[:60] in out
    assert "\x1b" not in out


def test_the_commands_exit_codes(doctor) -> None:
    token = app_token("User.Read.All")
    assert doctor(token, "--source", "users")[0] == ExitCode.DONE
    assert doctor(token, "--source", "users", refuse=("/users",))[0] == ExitCode.SIGN_IN


def test_the_command_speaks_json(doctor) -> None:
    token = app_token("User.Read.All", "Mail.Send")
    code, out = doctor(token, "--json", "--source", "users")
    found = json.loads(out)
    assert code == ExitCode.DONE
    assert found["identity"]["tenant_id"] == TENANT
    assert [(s["source"], s["granted"], s["status"]) for s in found["sources"]] == [("users", "granted", "readable")]
    assert found["excess"][0]["permission"] == "Mail.Send"


def test_sums_of_calls_say_what_they_lack_and_how_to_get_it() -> None:
    by_name = {item.source: item.lacks for item in examine(app_token(*LEAST)).sources}
    assert by_name.pop("api_activity_sums") == (
        "without addresses, clients and names of users (`appgov extract --also api_activity`)"
    )
    assert set(by_name.values()) == {""}


def test_a_clock_that_is_wrong_is_told_before_anything_else() -> None:
    with graph(date="Mon, 16 Nov 2026 09:00:00 GMT") as (endpoint, _):
        settings = Settings(Path(), endpoint=endpoint)
        with pytest.raises(ConfigError, match="says 2026-11-16T06:00:00Z and Microsoft Graph's 2026-11-16T09:00:00Z"):
            diagnose(settings, now=NOW, names=("users", "organization"), credential=ReadyToken(app_token()))
