"""Settings, days and sources: what a user may write, and the sentence for what they may not."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from appgov_lib.as_of import default_as_of, last_week, parse_date
from appgov_lib.errors import ConfigError, SignInError
from appgov_lib.extract.credentials import ReadyToken, credential_for, explain_sign_in
from appgov_lib.extract.snapshot import Snapshot, SourceState
from appgov_lib.extract.sources import Window, choose_sources, load_sources
from appgov_lib.settings import Settings, private_dir, private_write
from appgov_lib.terminal import clean


def test_arguments_win_over_the_environment(tmp_path: Path) -> None:
    env = {"APPGOV_HOME": "/nowhere", "APPGOV_TENANT": "b", "APPGOV_GRAPH_ENDPOINT": "https://graph.microsoft.us/"}
    found = Settings.load(tenant="a", home=tmp_path, env=env)
    assert (found.home, found.tenant, found.endpoint) == (tmp_path, "a", "https://graph.microsoft.us")
    assert found.raw_dir == tmp_path / "data" / "a" / "raw"
    assert Settings.load(home=tmp_path, env={}).tenant == "sample"


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".a", "a\nb", "x" * 80])
def test_a_tenant_name_is_a_plain_folder_name(name: str) -> None:
    with pytest.raises(ConfigError, match="folder name"):
        Settings.load(tenant=name, env={})


@pytest.mark.parametrize(
    "endpoint", ["http://graph.microsoft.com", "ftp://x", "graph.microsoft.com", "http://127.0.0.1.evil.example"]
)
def test_only_https_or_loopback(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="APPGOV_GRAPH_ENDPOINT"):
        Settings.load(env={"APPGOV_GRAPH_ENDPOINT": endpoint})


def test_a_ready_token_is_for_loopback_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        credential_for(Settings(tmp_path), env={"APPGOV_ACCESS_TOKEN": "s3cret"})
    local = Settings(tmp_path, endpoint="http://127.0.0.1:8080")
    token = credential_for(local, env={"APPGOV_ACCESS_TOKEN": "s3cret"})
    assert isinstance(token, ReadyToken)
    assert "s3cret" not in repr(token)
    with pytest.raises(SignInError, match="APPGOV_ACCESS_TOKEN"):
        credential_for(local, env={})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("AADSTS90002: Tenant 'x' not found.", "AZURE_TENANT_ID"),
        ("AADSTS700016: Application not found", "AZURE_CLIENT_ID"),
        ("AADSTS7000222: The provided client secret keys are expired", "expired"),
        ("AADSTS7000215: Invalid client secret", "AZURE_CLIENT_SECRET"),
        ("AADSTS50034: The user account", "AADSTS50034"),
        ("EnvironmentCredential: unavailable", "az login"),
    ],
)
def test_sign_in_failures_say_what_to_do(text: str, says: str) -> None:
    message = str(explain_sign_in(Exception(text)))
    assert says in message
    assert "\n" not in message


def test_private_files_are_private(tmp_path: Path) -> None:
    folder = private_dir(tmp_path / "a" / "b")
    private_write(folder / "f", b"x")
    assert (folder.stat().st_mode & 0o777, (folder / "f").stat().st_mode & 0o777) == (0o700, 0o600)
    assert [p.name for p in folder.iterdir()] == ["f"]


def snapshot(kind: str, started: str, **to_at: str) -> Snapshot:
    """A snapshot with nothing but its times."""
    sources = {name: SourceState("complete", to_at=value) for name, value in to_at.items()}
    return Snapshot("s", kind, started, started, Path(), {}, sources)


def test_the_data_decides_the_as_of_day() -> None:
    extract = snapshot("extract", "2026-11-16T06:00:00Z")
    imported = snapshot("import", "2026-12-01T00:00:00Z", sign_ins="2021-04-28T15:19:08Z")
    assert default_as_of([imported, extract]) == date(2026, 11, 15)
    assert default_as_of([imported]) == date(2021, 4, 28)
    with pytest.raises(ConfigError, match="no data"):
        default_as_of([])


def test_the_last_complete_week_ends_on_a_sunday() -> None:
    assert last_week(date(2026, 11, 16)) == date(2026, 11, 15)  # Monday: yesterday
    assert last_week(date(2026, 11, 15)) == date(2026, 11, 8)  # Sunday itself is not over
    assert parse_date("2026-11-15", "--as-of") == date(2026, 11, 15)
    with pytest.raises(ConfigError, match="--since is 'last week'"):
        parse_date("last week", "--since")


def test_every_source_says_what_is_lost_without_it() -> None:
    for source in load_sources().values():
        assert source.permission
        assert source.what_is_lost.endswith(".")
        assert source.time_field or source.kind != "log", source.name


def test_choosing_a_source_brings_the_parent_it_walks() -> None:
    assert [s.name for s in choose_sources(["app_role_assignments"])] == ["service_principals", "app_role_assignments"]
    with pytest.raises(ConfigError, match="no source called 'sign_in'"):
        choose_sources(["sign_in"])


def test_windows_touch_and_cover() -> None:
    window = Window(datetime(2026, 8, 17), datetime(2026, 9, 1))
    slices = window.slices(7)
    assert [(s.start.day, s.end.day) for s in slices] == [(17, 24), (24, 31), (31, 1)]
    assert Window(window.start, window.start).slices(7) == [Window(window.start, window.start)]
    first, second = window.halves()
    assert (first.start, first.end, second.end) == (window.start, second.start, window.end)
    assert Window(window.start, window.start.replace(second=1)).halves() == []


def test_sign_in_times_are_filtered_with_ge_and_le_only() -> None:
    source = load_sources()["sign_ins_service_principal"]
    url = source.url("http://127.0.0.1", Window(datetime(2026, 1, 1), datetime(2026, 1, 2)))
    assert "createdDateTime%20ge%202026-01-01T00:00:00Z%20and%20createdDateTime%20le%202026-01-02T00:00:00Z" in url
    assert "%20lt%20" not in url


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a\x1b[31mb", "a [31mb"), ("x\u202egpj.exe", "x gpj.exe"), ("a\r\nb", "a  b"), (None, "unknown"), (0, "0")],
)
def test_terminal_text_is_harmless(value: object, shown: str) -> None:
    assert clean(value) == shown
    assert clean("abcdef", 4) == "abc…"
