"""Walking: hunting windows split at the row cap and when a query is too heavy; the traps of the catalogue."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appgov_lib.extract import walk
from appgov_lib.extract.graph import GraphError
from appgov_lib.extract.limits import Budget, Limiter
from appgov_lib.extract.snapshot import SnapshotWriter, read_lines
from appgov_lib.extract.sources import Window, load_sources

START = datetime(2026, 11, 9)
CAP = 4


class Service:
    """Answers hunting queries over `moments` (seconds after START), at most CAP rows each, as the service does."""

    endpoint = "http://127.0.0.1"

    def __init__(self, moments: list[int], heavy: float = 1e9) -> None:
        """A query over more than `heavy` seconds runs out of time."""
        self.moments, self.heavy, self.requests = moments, heavy, Counter[str]()

    async def send(self, form: type, method: str, url: str, *, body: bytes, name: str, **_: Any) -> tuple[Any, bytes]:
        """One query."""
        self.requests[name] += 1
        text = json.loads(body)["Query"]
        start, end = (
            datetime.fromisoformat(t).astimezone(UTC).replace(tzinfo=None)
            for t in re.findall(r"datetime\((.*?)\)", text)
        )
        if (end - start).total_seconds() > self.heavy:
            raise GraphError(400, "BadRequest", "The query exceeded the timeout")
        inside = [m for m in self.moments if start <= START + timedelta(seconds=m) <= end]
        answer = json.dumps({"results": [{"RequestId": str(m)} for m in inside[:CAP]]}).encode()
        return msgspec.json.decode(answer, type=form), answer


def hunt(service: Service, folder: Path, seconds: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """Hunt one window of `seconds`; the distinct ids kept and the notes."""
    monkeypatch.setattr(walk, "HUNTING_ROW_CAP", CAP)
    notes: list[str] = []
    with SnapshotWriter(folder, "extract-1", "extract", START) as writer:
        walker = walk.Walker(service, writer)  # type: ignore[arg-type]
        window = Window(START, START + timedelta(seconds=seconds))
        asyncio.run(walker.hunt(load_sources()["api_activity"], window, notes))
        snapshot = writer.finish(START)
    lines = [line for path in snapshot.files("api_activity_hunting") for line in read_lines(path)]
    return sorted({json.loads(line)["RequestId"] for line in lines}, key=int), notes


def test_a_full_answer_is_split_until_nothing_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [*range(0, 20, 2), 400, 401, 900]
    found, notes = hunt(Service(moments), tmp_path, 1000, monkeypatch)
    assert found == [str(moment) for moment in moments]
    assert notes == []


def test_a_second_that_holds_more_than_the_cap_is_partial_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, notes = hunt(Service([5] * 9 + [50]), tmp_path, 64, monkeypatch)
    assert found == ["5", "50"]
    assert any("more than 4 rows" in note for note in notes)


def test_a_query_that_runs_out_of_time_is_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service([10, 500, 990], heavy=300)
    found, notes = hunt(service, tmp_path, 1000, monkeypatch)
    assert (found, notes) == (["10", "500", "990"], [])
    assert service.requests["api_activity"] == 7, "1000 s, twice 500 s, four times 250 s"


@pytest.mark.parametrize("most", [1, 4, 30])
def test_a_source_with_a_key_is_split_by_its_hash_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """The service refuses answers of more than `most` rows; no window is halved, each app comes once."""
    monkeypatch.setattr(walk, "HUNTING_ROW_CAP", 1_000)
    asked: list[str] = []

    class Apps:
        endpoint = "http://127.0.0.1"

        async def send(self, form: type, method: str, url: str, *, body: bytes, **_: Any) -> tuple[Any, bytes]:
            asked.append(json.loads(body)["Query"])
            of, number = map(int, (re.findall(r"hash\(OAuthAppId, (\d+)\) == (\d+)", asked[-1]) or [("1", "0")])[0])
            rows = [{"OAuthAppId": f"app {app}"} for app in range(24) if (app * 7919) % of == number]
            if len(rows) > most:
                raise GraphError(400, "BadRequest", "Query execution has exceeded the allowed result size.")
            answer = json.dumps({"results": rows}).encode()
            return msgspec.json.decode(answer, type=form), answer

    with SnapshotWriter(tmp_path, "extract-1", "extract", START) as writer:
        walker = walk.Walker(Apps(), writer)  # type: ignore[arg-type]
        window = Window(START, START + timedelta(days=30))
        asyncio.run(walker.hunt_shards(load_sources()["oauth_app_info"], window, [], 1))
        snapshot = writer.finish(START)
    lines = [line for path in snapshot.files("oauth_app_info") for line in read_lines(path)]
    assert sorted(json.loads(line)["OAuthAppId"] for line in lines) == sorted(f"app {app}" for app in range(24))
    assert len({re.sub(r"\| where hash.*?(?=\| summarize)", "", query) for query in asked}) == 1, "one window"
    assert (len(asked) == 1) == (most == 30)


def test_a_shard_that_stays_too_large_ends_with_the_refusal(tmp_path: Path) -> None:
    class Refuses:
        endpoint = "http://127.0.0.1"

        async def send(self, *_: Any, **__: Any) -> tuple[Any, bytes]:
            raise GraphError(400, "BadRequest", "Query execution has exceeded the allowed result size.")

    with SnapshotWriter(tmp_path, "extract-1", "extract", START) as writer:
        walker = walk.Walker(Refuses(), writer)  # type: ignore[arg-type]
        window = Window(START, START + timedelta(days=30))
        with pytest.raises(GraphError, match="allowed result size"):
            asyncio.run(walker.hunt_shards(load_sources()["oauth_app_info"], window, [], 2))


class Summing(Service):
    """Answers with a sum for each second that has calls, the end of a window left out, as the query asks."""

    async def send(self, form: type, method: str, url: str, *, body: bytes, name: str, **_: Any) -> tuple[Any, bytes]:
        """One query."""
        found = re.search(
            r"Timestamp >= datetime\((.*?)\) and Timestamp < datetime\((.*?)\) ", json.loads(body)["Query"]
        )
        assert found
        start, end = (datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None) for text in found.groups())
        inside = Counter(m for m in self.moments if start <= START + timedelta(seconds=m) < end)
        sums = [{"Endpoint": str(moment), "Calls": calls} for moment, calls in sorted(inside.items())]
        answer = json.dumps({"results": sums[:CAP]}).encode()
        return msgspec.json.decode(answer, type=form), answer


def test_a_call_on_the_edge_of_a_window_is_in_one_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums have no id by which a call in two windows would collapse."""
    monkeypatch.setattr(walk, "HUNTING_ROW_CAP", CAP)
    day = 86_400
    moments = sorted([*range(0, 2 * day, day // 16), *range(0, 2 * day, day // 16), day - 1, 2 * day - 1])
    service = Summing(moments)
    with SnapshotWriter(tmp_path, "extract-1", "extract", START) as writer:
        walker = walk.Walker(service, writer)  # type: ignore[arg-type]
        for window in Window(START, START + timedelta(days=2)).slices(1):
            asyncio.run(walker.hunt(load_sources()["api_activity_sums"], window, []))
        snapshot = writer.finish(START)
    counted: Counter[int] = Counter()
    for path in snapshot.files("call_sums_hunting"):
        for line in read_lines(path):
            counted[int(json.loads(line)["Endpoint"])] += json.loads(line)["Calls"]
    assert counted == Counter(moments)
    assert len(snapshot.files("call_sums_hunting")) > 8


def test_no_list_names_key_credentials(tmp_path: Path) -> None:
    """Named in `$select` they come with the key blob and a limit of 150 requests a minute for the tenant."""
    for source in load_sources().values():
        assert "keyCredentials" not in source.query.get("$select", ""), source.name


def test_user_and_service_principal_sign_ins_are_asked_for_apart() -> None:
    """The service refuses one filter that joins both kinds, and v1.0 refuses the filter at all."""
    for source in load_sources().values():
        if "signInEventTypes" in source.filter:
            assert source.version == "beta"
            assert source.filter.count("eq") == 1


def test_throttling_halves_what_is_open_at_once_and_answers_bring_it_back() -> None:
    now = [0.0]
    limiter = Limiter(Budget(100, 1.0, 8), lambda: now[0])
    limiter.throttled(2.0)
    limiter.throttled(1.0)
    assert limiter.allowed == 2.0
    for _ in range(100):
        limiter.answered()
    assert limiter.allowed == 8.0
    for _ in range(9):
        limiter.throttled(0.0)
    assert limiter.allowed == 1.0


def test_a_budget_spreads_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waits = [0.0], []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("appgov_lib.extract.limits.asyncio.sleep", sleep)

    async def go() -> None:
        limiter = Limiter(Budget(2, 10.0, 4), lambda: now[0])
        for _ in range(5):
            async with limiter:
                pass

    asyncio.run(go())
    assert waits == [10.0, 10.0], "two now, two after ten seconds, one after twenty"


def test_batch_addresses_are_relative_to_the_version() -> None:
    part: Mapping[str, Any] = walk._part(load_sources()["federated_credentials"], "1", "an id/with slash")
    assert part == {
        "id": "1",
        "method": "GET",
        "url": "/applications/an%20id%2Fwith%20slash/federatedIdentityCredentials",
    }
