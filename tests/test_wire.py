"""The watch on the wire that all tests run under: what it lets through, and that it bites."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from changing import KINDS, clock, planned, settings
from wire import would_change

from appgov_lib.actions import apply as work
from appgov_lib.actions.carry import Hands, carry_out
from appgov_lib.actions.chosen import Part
from appgov_lib.actions.journal import Journal, read
from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.graph import GraphClient
from appgov_lib.extract.limits import LIMITS
from appgov_lib.sample import running


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        (b"GET /v1.0/applications HTTP/1.1\r\n", False),
        (b"POST /v1.0/security/runHuntingQuery HTTP/1.1\r\n", False),
        (b"POST /v1.0/$batch HTTP/1.1\r\n\r\n" + b'{"requests":[{"id":"1","method":"GET"}]}', False),
        (b"POST /v1.0/$batch HTTP/1.1\r\n\r\n" + b'{"requests":[{"id":"1","method":"DELETE"}]}', True),
        (b"POST /t/oauth2/v2.0/token HTTP/1.1\r\n", False),
        (b"POST /v1.0/oauth2PermissionGrants HTTP/1.1\r\n", True),
        (b"PATCH /v1.0/servicePrincipals/x HTTP/1.1\r\n", True),
        (b"DELETE /v1.0/oauth2PermissionGrants/x HTTP/1.1\r\n", True),
        (b"PUT /v1.0/policies/adminConsentRequestPolicy HTTP/1.1\r\n", True),
        (b"HTTP/1.1 200 OK\r\n", False),
    ],
)
def test_what_counts_as_a_change(line: bytes, changes: bool):
    assert would_change(line) == changes


def test_the_watch_bites_and_a_dry_run_does_not_trip_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with running(seed=7, service_principals=160, writable=True) as tenant:
        monkeypatch.setenv("APPGOV_ACCESS_TOKEN", tenant.token)
        actions = [planned(kind, make(tenant)) for kind, make in KINDS.items()]
        dry = work.dry_run(settings(tenant, tmp_path), actions)
        assert {item.verdict for item in dry.checked} == {"ready"}
        assert {entry["method"] for entry in tenant.control("requests")} == {"GET"}

        async def change() -> None:
            async with GraphClient(tenant.endpoint, ReadyToken(tenant.write_token), may_change=True) as writer:
                await writer.once("PATCH", f"{tenant.endpoint}/v1.0/x", name="t", workload="changes", body=b"{}")

        with pytest.raises(pytest.fail.Exception, match="left the program"):
            asyncio.run(change())
        assert {entry["method"] for entry in tenant.control("requests")} == {"GET"}


@pytest.mark.changes_a_tenant
def test_a_change_that_was_throttled_waits_as_long_as_it_is_told(tmp_path: Path):
    with running(seed=7, service_principals=160, writable=True) as tenant:
        made, _ = KINDS["disable_sign_in"](tenant)
        waits: list[float] = []

        async def wait(seconds: float) -> None:
            waits.append(seconds)
            tenant.control("faults", {})

        class ThrottledNow(Journal):
            """A journal at whose first request the service begins to throttle."""

            def write(self, event: str, **values: object) -> None:
                super().write(event, **values)
                if event == "send" and not waits:
                    tenant.control("faults", {"throttle": 1})

        async def change() -> str:
            book = ThrottledNow.create(settings(tenant, tmp_path), "r", {"actions": []}, clock)
            async with GraphClient(tenant.endpoint, ReadyToken(tenant.token)) as reader:
                token = ReadyToken(tenant.write_token)
                async with GraphClient(tenant.endpoint, token, may_change=True, sleep=wait) as writer:
                    hands = Hands(reader, writer, book, False)
                    return await carry_out(hands, 1, "a", "t", Part(made.request, made.state))

        assert asyncio.run(change()) == "done"
        assert waits == [1.0]  # its Retry-After
        statuses = [entry["status"] for entry in tenant.control("requests") if entry["method"] == "PATCH"]
        assert statuses == [429, 204]
        told = read(settings(tenant, tmp_path), "r")
        assert [event["event"] for event in told.events] == ["send", "not_done", "send", "answered", "verified"]
        assert [step.outcome for step in told.steps] == ["done"]
    budget = LIMITS["changes"]
    assert budget.requests / budget.seconds <= 2
    assert budget.at_once == 1


def test_a_client_that_reads_sends_nothing_else():
    async def change() -> None:
        async with GraphClient("http://127.0.0.1:9", ReadyToken("t")) as reader:
            await reader.once("DELETE", "http://127.0.0.1:9/v1.0/x", name="t", workload="directory")

    with pytest.raises(RuntimeError, match="nothing was sent"):
        asyncio.run(change())
