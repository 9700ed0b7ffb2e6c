"""Reading changes instead of whole lists: the merged list equals a full one, in a few requests, or is read whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.delta import merged
from appgov_lib.extract.run import extract
from appgov_lib.extract.snapshot import Snapshot, read_lines
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings

NAMES = ("service_principals", "applications", "delegated_grants", "users")
NOW = datetime(2026, 11, 9)


@pytest.fixture
def tenant() -> Iterator[SampleTenant]:
    """A tenant of its own for each test, because the tests change it."""
    with running(service_principals=1200) as started:
        yield started


def read(tenant: SampleTenant, home: Path, day: int, **options: Any) -> Snapshot:
    """Read the four lists `day` days after the first run."""
    settings = Settings(home=home, endpoint=tenant.endpoint)
    credential = ReadyToken(tenant.token)
    return extract(settings, now=NOW + timedelta(days=day), names=NAMES, credential=credential, **options)


def objects(snapshot: Snapshot, bucket: str) -> dict[str, dict[str, Any]]:
    """The list by id."""
    return {
        record["id"]: {key: value for key, value in record.items() if not key.startswith("@")}
        for path in snapshot.files(bucket)
        for record in map(json.loads, read_lines(path))
    }


def test_changes_merge_into_the_same_list_a_full_read_gives(tenant: SampleTenant, tmp_path: Path) -> None:
    first = read(tenant, tmp_path / "a", 0)
    assert all(first.sources[name].delta_link for name in NAMES)
    tenant.control("change", {"n": 14})
    second = read(tenant, tmp_path / "a", 1)
    whole = read(tenant, tmp_path / "b", 1)
    for name in NAMES:
        assert objects(second, name) == objects(whole, name), name
        assert second.sources[name].rows == len(objects(whole, name))
        assert second.sources[name].status == "complete"
        assert second.sources[name].delta_link
    assert objects(second, "service_principals") != objects(first, "service_principals")
    assert second.sources["service_principals"].requests < whole.sources["service_principals"].requests


def test_a_third_run_builds_on_the_second(tenant: SampleTenant, tmp_path: Path) -> None:
    read(tenant, tmp_path / "a", 0)
    tenant.control("change", {"n": 5})
    read(tenant, tmp_path / "a", 1)
    tenant.control("change", {"n": 5})
    third, whole = read(tenant, tmp_path / "a", 2), read(tenant, tmp_path / "b", 2)
    for name in NAMES:
        assert objects(third, name) == objects(whole, name), name


def test_a_link_that_is_no_longer_known_means_a_full_read(tenant: SampleTenant, tmp_path: Path) -> None:
    read(tenant, tmp_path / "a", 0)
    tenant.control("change", {"n": 7})
    tenant.control("faults", {"delta_reset": 1.0})
    second = read(tenant, tmp_path / "a", 1)
    tenant.control("faults", {"delta_reset": 0.0})
    whole = read(tenant, tmp_path / "b", 1)
    for name in NAMES:
        assert second.sources[name].status == "complete"
        assert objects(second, name) == objects(whole, name), name


def test_an_old_link_and_full_are_not_read_as_changes(tenant: SampleTenant, tmp_path: Path) -> None:
    read(tenant, tmp_path, 0)
    assert "delta over" not in {file.origin[:10] for file in read(tenant, tmp_path, 8).buckets["service_principals"]}
    origins = {file.origin[:10] for file in read(tenant, tmp_path, 9).buckets["service_principals"]}
    assert origins == {"delta over"}
    again = read(tenant, tmp_path, 10, full=True)
    assert "delta over" not in {file.origin[:10] for file in again.buckets["service_principals"]}


def test_merging_keeps_unchanged_records_byte_for_byte() -> None:
    lines = [b'{"id": "a", "n": 1}', b'{"id":"b","n":1,"m":2}', b'{"id":"c"}']
    found = list(merged(lines, {"b": {"id": "b", "n": 9}, "c": None, "z": {"id": "z"}, "y": None}))
    assert found == [lines[0], b'{"id":"b","n":9,"m":2}', b'{"id":"z"}']
