"""The sample tenant over HTTP: the token, the faults, the control paths, and the process that serves it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from appgov_lib.errors import ConfigError
from appgov_lib.sample import SampleTenant, answer_key, running
from appgov_lib.sample.__main__ import main
from appgov_lib.sample.faults import Fate, Faults, from_values, parse

SMALL = 160


@pytest.fixture(scope="module")
def server() -> Iterator[SampleTenant]:
    """One server for this module; each test sets its own faults."""
    with running(seed=11, service_principals=SMALL) as tenant:
        yield tenant


@pytest.fixture(autouse=True)
def without_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take faults back after each test that used the server."""
    yield
    if "server" in request.fixturenames:
        request.getfixturevalue("server").control("faults", {})


def get(
    server: SampleTenant, path: str, token: str | None = None, body: Any = None
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers in lower case, body) of a request."""
    url = path if path.startswith("http") else server.endpoint + quote(path, safe="/?&=$(),':")
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {server.token if token is None else token}"} if token != "" else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as failed:
        with failed:
            return failed.code, {k.lower(): v for k, v in failed.headers.items()}, failed.read()


def many(server: SampleTenant, path: str, count: int) -> list[tuple[int, dict[str, str], bytes]]:
    """The same request again and again."""
    return [get(server, path) for _ in range(count)]


def test_listens_on_loopback_and_answers_json(server: SampleTenant) -> None:
    """The endpoint is a loopback address; answers are JSON and links lead back to it."""
    assert server.endpoint.startswith("http://127.0.0.1:")
    status, headers, body = get(server, "/v1.0/servicePrincipals?$top=3")
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    assert headers["request-id"]
    link = json.loads(body)["@odata.nextLink"]
    assert link.startswith(server.endpoint + "/v1.0/servicePrincipals?")
    assert get(server, link)[0] == 200


@pytest.mark.parametrize("token", ["", "wrong"])
def test_refuses_a_missing_or_wrong_token(server: SampleTenant, token: str) -> None:
    """401 with Graph's code and a challenge."""
    status, headers, body = get(server, "/v1.0/organization", token=token)
    assert status == 401
    assert json.loads(body)["error"]["code"] == "InvalidAuthenticationToken"
    assert headers["www-authenticate"].startswith("Bearer")


def test_unknown_versions_and_changes_are_refused(server: SampleTenant) -> None:
    """Only v1.0 and beta exist, and nothing can be changed."""
    assert get(server, "/v2.0/users")[0] == 404
    assert get(server, "/v1.0/applications", body={"displayName": "x"})[0] == 405


def test_throttling_tells_the_wait_in_four_ways(server: SampleTenant) -> None:
    """Retry-After is a second, a date that has passed, zero, or absent."""
    server.control("faults", {"throttle": 1})
    answers = many(server, "/v1.0/organization", 8)
    assert {status for status, _, _ in answers} == {429}
    waits = [headers.get("retry-after") for _, headers, _ in answers]
    assert waits[:4] == waits[4:]
    assert set(waits) == {"1", "0", None, "Wed, 01 Jan 2020 00:00:00 GMT"}
    assert parsedate_to_datetime("Wed, 01 Jan 2020 00:00:00 GMT").year == 2020
    assert json.loads(answers[0][2])["error"]["code"] == "TooManyRequests"


def test_errors_come_by_turns_and_at_their_share(server: SampleTenant) -> None:
    """503, 502 and 500 occur; a share of a third hits about a third."""
    server.control("faults", {"error": 0.33})
    found = [status for status, _, _ in many(server, "/v1.0/organization", 90)]
    assert {200, 503, 502, 500} == set(found)
    assert 15 < sum(status != 200 for status in found) < 48


def test_html_and_permission_and_licence_refusals(server: SampleTenant) -> None:
    """403 comes as HTML from a gateway, and with different codes for permission and licence."""
    server.control("faults", {"html": 1})
    status, headers, body = get(server, "/v1.0/organization")
    assert (status, headers["content-type"], body[:6]) == (403, "text/html", b"<html>")
    server.control("faults", {"forbid": "/auditLogs/signIns|/users", "unlicensed": "/reports"})
    codes = [
        json.loads(get(server, path)[2])["error"]["code"]
        for path in ("/v1.0/auditLogs/signIns", "/v1.0/users", "/beta/reports/x")
    ]
    assert codes == ["Authorization_RequestDenied"] * 2 + ["Authentication_RequestFromNonPremiumTenantOrB2CTenant"]
    assert get(server, "/v1.0/organization")[0] == 200


def test_bodies_are_cut_and_connections_are_closed(server: SampleTenant) -> None:
    """A cut body is shorter than promised; a reset connection gives no answer at all."""
    server.control("faults", {"cut": 1})
    with pytest.raises(http.client.IncompleteRead):
        get(server, "/v1.0/servicePrincipals?$top=50")
    server.control("faults", {"reset": 1})
    with pytest.raises((ConnectionError, urllib.error.URLError, http.client.RemoteDisconnected)):
        get(server, "/v1.0/organization")


def test_empty_pages_lead_on_and_duplicates_repeat_a_row(server: SampleTenant) -> None:
    """With both faults, following links and dropping repeated ids still gives every row once."""
    server.control("faults", {"empty_pages": 0.4, "duplicate": 0.4})
    found, empty, link = [], 0, server.endpoint + "/v1.0/servicePrincipals?$top=9"
    while link:
        page = json.loads(get(server, link)[2])
        empty += not page["value"]
        found += [row["id"] for row in page["value"]]
        link = page.get("@odata.nextLink")
    assert empty > 0
    assert len(found) > SMALL
    assert len(set(found)) == SMALL


def test_claims_challenge_and_token_end(server: SampleTenant) -> None:
    """A challenge names claims; after its time the token is refused and a new one is valid."""
    server.control("faults", {"claims": 1})
    status, headers, _ = get(server, "/v1.0/organization")
    assert status == 401
    assert 'claims="' in headers["www-authenticate"]
    server.control("faults", {"expire_token_after": 3})
    assert [status for status, _, _ in many(server, "/v1.0/organization", 5)] == [200, 200, 200, 401, 401]
    fresh = server.control("token")["token"]
    assert fresh != server.token
    assert get(server, "/v1.0/organization", token=fresh)[0] == 200


def test_page_tokens_expire_and_delta_links_reset(server: SampleTenant) -> None:
    """An old page token is 400 with its own code, an old delta link 410 with a place to start over."""
    link = json.loads(get(server, "/v1.0/servicePrincipals?$top=5")[2])["@odata.nextLink"]
    server.control("faults", {"page_expired": 1, "delta_reset": 1})
    assert json.loads(get(server, link)[2])["error"]["code"] == "Directory_ExpiredPageToken"
    status, headers, _ = get(server, "/v1.0/servicePrincipals/delta()?$deltatoken=latest")
    assert status == 410
    assert get(server, headers["location"])[0] == 200


def test_parts_of_a_batch_are_throttled(server: SampleTenant) -> None:
    """The envelope is 200, some parts are 429 with their own wait."""
    server.control("faults", {"batch_throttle": 0.5})
    parts = [{"id": str(number), "method": "GET", "url": "/organization"} for number in range(20)]
    status, _, body = get(server, "/v1.0/$batch", body={"requests": parts})
    assert status == 200
    found = json.loads(body)["responses"]
    assert {each["status"] for each in found} == {200, 429}
    assert all(each["headers"]["Retry-After"] == "1" for each in found if each["status"] == 429)


def test_requests_are_logged_without_the_token(server: SampleTenant) -> None:
    """The log says what was asked and what came of it, and never the token."""
    get(server, "/v1.0/users?$top=1&$select=id")
    log = server.control("requests")
    assert {"method": "GET", "path": "/v1.0/users", "query": "$top=1&$select=id", "status": 200}.items() <= log[
        -1
    ].items()
    assert server.token not in json.dumps(log)


def test_unknown_faults_are_refused(server: SampleTenant) -> None:
    """A typing mistake in a fault is a 400, not a run without faults."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.control("faults", {"throtle": 1})
    refused.value.close()
    assert refused.value.status == 400


def test_faults_are_read_and_checked() -> None:
    """The text form gives the same as the JSON form; mistakes are sentences."""
    assert parse("throttle=0.05, forbid=/a|/b,expire_token_after=200") == from_values(
        {"throttle": 0.05, "forbid": "/a|/b", "expire_token_after": 200}
    )
    assert parse("") == Faults()
    for text in ("throtle=1", "throttle=2", "throttle=often", "expire_token_after=soon"):
        with pytest.raises(ConfigError):
            parse(text)


def test_fate_depends_on_seed_and_number_only() -> None:
    """The n-th request has the same fate in every run; another seed deals other cards."""
    hits = [[Fate(seed).hits("error", 0.2, number) for number in range(500)] for seed in (1, 1, 2)]
    assert hits[0] == hits[1] != hits[2]
    assert 60 < sum(hits[0]) < 140


def test_running_ends_its_process_and_says_why_it_cannot_start() -> None:
    """Outside the `with` nobody listens; a tenant that is too small is refused with a sentence."""
    with running(service_principals=SMALL, faults="throttle=1") as tenant:
        assert get(tenant, "/v1.0/organization")[0] == 429
    with pytest.raises(OSError, match=r"."):
        urllib.request.urlopen(tenant.endpoint, timeout=5)
    with pytest.raises(ConfigError, match="at least"), running(service_principals=10):
        pass


def test_the_server_ends_when_its_parent_is_gone() -> None:
    """Standard input closes with the parent; the server does not outlive it."""
    command = [
        sys.executable,
        "-m",
        "appgov_lib.sample",
        "serve",
        "--service-principals",
        str(SMALL),
        "--until-stdin-closes",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["token"]
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_command_line_prints_the_answer_key() -> None:
    """`answer-key` prints what `answer_key` returns; a wrong option is a usage error."""
    runner = CliRunner()
    printed = runner.invoke(main, ["answer-key", "--seed", "11", "--service-principals", str(SMALL)])
    assert json.loads(printed.output) == answer_key(11, SMALL)
    assert runner.invoke(main, ["answer-key", "--service-principals", "3"]).exit_code == 1
    refused = runner.invoke(main, ["serve", "--faults", "nonsense=1"])
    assert refused.exit_code == 1
    assert "Unknown fault" in refused.output
