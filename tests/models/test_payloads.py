"""Every source of the catalogue: an entry, a table that reads its bucket, and a payload with the rows it makes."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from conftest import AS_OF, Bench
from payloads import FOLDER, kept, made, readers, typed_rows
from test_staging_state import ODD

from appgov_lib.extract.sources import load_sources
from appgov_lib.store.checks import LOG_TABLES
from appgov_lib.store.models import run_model

NAMES = sorted(load_sources())
CHILDREN = sorted(name for name, source in load_sources().items() if source.method in ("batch", "children"))
TABLES = sorted({readers(name)[0] for name in NAMES})


@pytest.mark.parametrize("name", NAMES)
def test_every_source_has_one_table_and_a_payload(name: str) -> None:
    assert len(readers(name)) == 1
    assert (FOLDER / f"{name}.json").is_file()


def test_every_payload_belongs_to_a_source() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_payload_becomes_its_rows(bench: Bench, name: str) -> None:
    payload = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert payload["value"]
    assert payload["rows"]
    text = json.dumps(payload["value"])
    assert "null" in text, "a payload shows what the service leaves empty"
    assert any(word in text for word in ("futureField", "FutureField")), "and a field nobody knows yet"
    assert typed_rows(bench, name, payload) == payload["rows"]


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_depend_on_the_order_of_records(bench: Bench, name: str) -> None:
    payload = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    payload["value"].reverse()
    found = typed_rows(bench, name, payload)
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, payload["rows"]))


@pytest.mark.parametrize("table", TABLES)
def test_columns_and_keys_are_those_of_the_catalogue(bench: Bench, table: str) -> None:
    made(bench, table)
    for name in (table, kept(table)):
        assert [row["column_name"] for row in bench.rows(f"DESCRIBE {name}")] == list(bench.models[name].columns)
        assert set(bench.models[name].key) <= set(bench.models[name].columns)


@pytest.mark.parametrize("name", NAMES)
def test_no_odd_record_breaks_a_build(bench: Bench, name: str) -> None:
    table = readers(name)[0]
    bucket = load_sources()[name].bucket
    bench.raw(bucket, ODD)
    bench.raw(bucket, [{"parent_id": "p", "record": record} for record in ODD if isinstance(record, dict)])
    bench.raw(bucket, [{"parent_id": {"no": "text"}, "record": "text"}, {"parent_id": "p", "record": [1]}])
    rows = made(bench, table)
    table = kept(table)
    key = bench.models[table].key
    if key:
        assert len({tuple(row[column] for column in key) for row in rows}) == len(rows)
    wanted = [column for column in key if column not in bench.models[table].nullable]
    assert all(row[column] is not None for row in rows for column in wanted)


@pytest.mark.parametrize("name", CHILDREN)
def test_children_keep_their_parent(bench: Bench, name: str) -> None:
    bench.raw(load_sources()[name].bucket, [{"parent_id": p, "record": {"id": "same"}} for p in ("p1", "p2", "p1")])
    assert [row["parent_id"] for row in bench.run(readers(name)[0])] == ["p1", "p2"]


def test_sums_of_overlapping_readings_are_not_added(bench: Bench, tmp_path: Path) -> None:
    """Two runs read the 6th: the first its morning, the second all of it, in two windows that touch."""
    paths = []
    for reading, window, day, calls in (
        ("run-1", "a", 5, 70), ("run-1", "a", 6, 10), ("run-2", "b", 5, 30), ("run-2", "b", 6, 15),
        ("run-2", "c", 6, 8),
    ):  # fmt: skip
        path = tmp_path / reading / "call_sums_hunting" / f"{window}.ndjson"
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {"Day": f"2026-11-0{day}T00:00:00Z", "ApplicationId": "a1", "Endpoint": "/users", "Calls": calls,
                  "Bytes": calls * 100, "BytesUnknownCalls": 0, "Users": calls}  # fmt: skip
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        paths = sorted({*paths, path})
    run_model(bench.con, bench.models["api_sums"], {"call_sums_hunting": paths}, AS_OF, 7)
    bench.table("api_requests", "path")
    bench.run("api_paths")
    rows = [
        {name: row[name] for name in ("day", "calls", "bytes_returned", "users")}
        for row in bench.run("stg_api_activity_sums")
    ]
    assert [tuple(row.values()) for row in rows] == [
        (date(2026, 11, 5), 70, 7000, 70),  # the first run saw the whole day
        (date(2026, 11, 6), 23, 2300, 15),  # the second did; its windows add up, its people may be the same
    ]


def test_an_empty_consent_list_is_not_an_unknown_one(bench: Bench) -> None:
    bench.raw("authorization_policy", [
        {"id": "none", "defaultUserRolePermissions": {"permissionGrantPoliciesAssigned": []}},
        {"id": "beta", "defaultUserRolePermissions": {}, "permissionGrantPolicyIdsAssignedToDefaultUserRole": ["x"]},
        {"id": "unknown", "defaultUserRolePermissions": None},
    ])  # fmt: skip
    rows = {row["policy_id"]: row["user_consent_policies"] for row in bench.run("stg_authorization_policy")}
    assert rows == {"none": [], "beta": ["x"], "unknown": None}


@pytest.mark.parametrize(
    ("sent", "read"), [(1, True), (0, False), (True, True), ("true", True), ("1.0", True), ({}, None), (None, None)]
)
def test_admin_consent_is_a_number_on_the_wire(bench: Bench, sent: object, read: bool | None) -> None:
    bench.raw("oauth_app_info", [{"OAuthAppId": "a1", "IsAdminConsented": sent}])
    assert [row["is_admin_consented"] for row in bench.run("stg_oauth_app_info")] == [read]


def test_no_bucket_is_counted_as_another_family() -> None:
    """Buckets named `<family>_...` are compared with the family's table, so only its shapes may be called that."""
    families = [f"{family}_" for family in LOG_TABLES]
    strays = [
        source.name
        for source in load_sources().values()
        if source.bucket.startswith(tuple(families)) and not readers(source.name)[0].startswith(tuple(families))
    ]
    assert strays == []
