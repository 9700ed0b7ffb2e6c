"""The build from snapshots to a published warehouse."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

import appgov_lib
from appgov_lib.errors import ConfigError
from appgov_lib.extract.snapshot import Rejected, SnapshotWriter, SourceState, read_snapshots
from appgov_lib.settings import Settings
from appgov_lib.store import build as build_module
from appgov_lib.store.build import build, make_build_id
from appgov_lib.store.models import MODELS_DIR, REFERENCE_DIR, load_models

AS_OF = date(2026, 11, 15)
NOW = datetime(2026, 11, 16)
GRAPH = "00000003-0000-0000-c000-000000000000"
SPAN = ("2026-10-17T00:00:00Z", "2026-11-16T00:00:00Z")

STATE: dict[str, list[dict[str, Any]]] = {
    "organization": [{"id": "home"}],
    "service_principals": [
        {"id": "graph", "appId": GRAPH, "displayName": "Microsoft Graph",
         "appRoles": [{"id": "r1", "value": "Mail.Read"}]},
        {"id": "sp1", "appId": "app1", "displayName": "One", "appOwnerOrganizationId": "home", "accountEnabled": True,
         "createdDateTime": "2025-01-01T00:00:00Z"},
    ],
    "applications": [{"id": "o1", "appId": "app1", "passwordCredentials": [{"keyId": "k1"}]}],
    "delegated_grants": [{"id": "g1", "clientId": "sp1", "resourceId": "graph", "consentType": "Principal",
                          "principalId": "u1", "scope": "User.Read"}],
    "app_role_assignments": [{"id": "a1", "principalId": "sp1", "principalType": "ServicePrincipal",
                              "resourceId": "graph", "appRoleId": "r1"}],
    "users": [{"id": "u1", "userPrincipalName": "ada@x.example", "accountEnabled": True}],
}  # fmt: skip
LOGS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "sign_ins_interactive": ("sign_ins_graph", [
        {"id": f"i{n}", "createdDateTime": f"2026-11-{n:02d}T10:00:00Z", "appId": "app1", "userId": "u1",
         "isInteractive": True, "status": {"errorCode": 0}} for n in range(1, 16)]),
    "api_activity": ("api_activity_hunting", [
        {"RequestId": f"q{n}", "Timestamp": f"2026-11-{n:02d}T10:00:00Z", "ApplicationId": "app1", "EntityType": "app",
         "ServicePrincipalId": "sp1", "RequestMethod": "GET", "ResponseStatusCode": "200", "ResponseSize": 10,
         "RequestUri": "https://graph.microsoft.com/v1.0/users/u@x/messages"} for n in range(1, 16)]),
}  # fmt: skip


def lines(records: Iterable[dict[str, Any]]) -> list[bytes]:
    """Records as raw lines."""
    return [json.dumps(record).encode() for record in records]


def write(settings: Settings, snapshot_id: str = "extract-1", twice: bool = False) -> Path:
    """Write a small extraction; `twice` repeats every log record."""
    writer = SnapshotWriter(settings.raw_dir, snapshot_id, "extract", NOW)
    for name, records in STATE.items():
        writer.write(name, lines(records), "http://127.0.0.1/", name=f"{name}-1")
        writer.close_source(name, SourceState("complete", rows=len(records)))
    for name, (bucket, records) in LOGS.items():
        raw = lines(records) * (2 if twice else 1)
        writer.write(bucket, raw, "http://127.0.0.1/", name=f"{name}-1")
        writer.close_source(name, SourceState("complete", rows=len(raw), from_at=SPAN[0], to_at=SPAN[1]))
    writer.close_source("directory_audits", SourceState("not_permitted", reason="AuditLog.Read.All is missing"))
    return writer.finish(
        NOW, rejected=[Rejected("a.csv", 3, "no time")], rejected_rows=5, details={"input": "a.csv"}
    ).folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty home."""
    return Settings(home=tmp_path)


@pytest.fixture(autouse=True)
def only_models(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave detection and actions out, except in tests marked as whole by their name."""
    if "whole" not in request.node.name:
        monkeypatch.setattr(build_module, "_judge", lambda *_: None)


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every table of a warehouse, rows in their stored order."""
    with duckdb.connect(str(path), read_only=True) as con:
        names = [row[0] for row in con.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
        return {name: con.execute(f"SELECT * FROM {name}").fetchall() for name in names}


def test_a_build_makes_every_table_and_says_what_it_holds(settings: Settings) -> None:
    write(settings)
    told: list[str] = []
    result = build(settings, AS_OF, progress=told.append)
    models = load_models()
    assert sorted(told[:-1]) == sorted(model.name for model in models)
    assert told[-1] == "check_results"
    assert {model.name for model in models if not model.temp} <= set(result.tables)
    assert not {model.name for model in models if model.temp} & set(result.tables)
    assert result.tables["stg_sign_ins"] == 15
    assert result.tables["app_inventory"] == 2
    assert result.path == settings.warehouse_dir / f"warehouse-{result.build_id}.duckdb"
    with appgov_lib.connect(home=settings.home) as con:
        (used,) = con.execute("SELECT usage, calls FROM app_permissions WHERE permission = 'Mail.Read'").fetchall()
        assert used == ("used", 15)
        coverage = dict(con.execute("SELECT source, status FROM coverage").fetchall())
        assert (coverage["users"], coverage["directory_audits"]) == ("complete", "not_permitted")
        assert coverage["security_alerts"] == "not_collected"
        assert con.execute("SELECT * FROM rejected_records").fetchall() == [
            ("a.csv", 3, "no time", "extract-1"),
            ("a.csv", None, "4 more records were refused and are not listed", "extract-1"),
        ]
        info = dict(con.execute("SELECT key, value FROM run_info").fetchall())
        assert (info["as_of"], info["days"], info["build_id"]) == ("2026-11-15", "7", result.build_id)


def test_models_begin_after_what_they_read_and_steps_go_after_their_last_reader(settings, monkeypatch) -> None:
    write(settings)
    models = {model.name: model for model in load_models()}
    real, begun, there = build_module.run_model, set(), set()

    def watched(con: duckdb.DuckDBPyConnection, model: Any, *rest: Any) -> None:
        begun.add(con)
        found = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        lines = [line.split("--")[0] for line in model.path.read_text(encoding="utf-8").splitlines()]
        read = set(" ".join(lines).split()) & {name for name, other in models.items() if other.temp}
        assert read <= found
        there.update(found)
        real(con, model, *rest)

    monkeypatch.setattr(build_module, "run_model", watched)
    result = build(settings, AS_OF)
    steps = {name for name, model in models.items() if model.temp}
    assert len(begun) == 2
    assert steps <= there
    assert not steps & result.tables.keys()


def test_a_failing_model_ends_the_build_and_no_other_begins(settings, monkeypatch) -> None:
    write(settings)
    told: list[str] = []
    real = build_module.run_model

    def fails(con: duckdb.DuckDBPyConnection, model: Any, *rest: Any) -> None:
        if model.name == "stg_users":
            raise ZeroDivisionError
        real(con, model, *rest)

    monkeypatch.setattr(build_module, "run_model", fails)
    with pytest.raises(ZeroDivisionError):
        build(settings, AS_OF, progress=told.append)
    assert "app_inventory" not in told
    assert not list(settings.warehouse_dir.glob(".building-*"))


def test_a_whole_build_ends_with_findings_and_actions(settings: Settings) -> None:
    write(settings)
    result = build(settings, AS_OF)
    assert {"anomalies", "findings", "skipped_checks", "remediation_actions"} <= set(result.tables)


def test_every_kept_column_has_a_comment_and_every_note_a_column(settings: Settings) -> None:
    write(settings)
    build(settings, AS_OF)
    with appgov_lib.connect(home=settings.home) as con:
        for model in load_models():
            if not model.temp:
                found = con.execute(
                    "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
                    [model.name],
                ).fetchall()
                assert dict(found) == dict(model.columns), model.name
                assert [name for name, _ in found] == list(model.columns), model.name


def test_the_same_snapshots_give_the_same_tables(tmp_path: Path) -> None:
    first, second = Settings(home=tmp_path / "a"), Settings(home=tmp_path / "b")
    for settings in (first, second):
        write(settings)
    one, two, again = build(first, AS_OF), build(second, AS_OF), build(first, AS_OF)
    assert one.build_id == two.build_id == again.build_id
    assert one.path != again.path
    assert dump(one.path) == dump(two.path) == dump(again.path)


def test_what_goes_in_decides_the_build_id(settings: Settings) -> None:
    write(settings)
    before = read_snapshots(settings.raw_dir)
    write(settings, "extract-2")
    after = read_snapshots(settings.raw_dir)
    ids = [
        make_build_id(AS_OF, 7, before),
        make_build_id(AS_OF, 30, before),
        make_build_id(date(2026, 11, 14), 7, before),
        make_build_id(AS_OF, 7, after),
    ]
    assert len(set(ids)) == 4
    assert ids[0] == make_build_id(AS_OF, 7, read_snapshots(settings.raw_dir)[:1])


def test_records_reconcile_with_the_manifests(settings: Settings) -> None:
    write(settings)
    write(settings, "extract-2", twice=True)
    result = build(settings, AS_OF)
    assert result.tables["stg_sign_ins"] == 15  # 15 + 30 records of 15 events
    with appgov_lib.connect(home=settings.home) as con:
        assert con.execute("SELECT sum(copies) FROM stg_sign_ins").fetchall() == [(45,)]
        found = dict(
            con.execute("SELECT table_name, detail FROM check_results WHERE check_name = 'all_records'").fetchall()
        )
        assert found["stg_sign_ins"] == "45 raw records, 45 arrived"
        assert found["stg_users"] == "1 raw records, 1 arrived"
        assert con.execute("SELECT count(*) FROM check_results WHERE NOT passed").fetchall() == [(0,)]


def test_a_record_that_does_not_arrive_is_a_warning(settings: Settings) -> None:
    writer = SnapshotWriter(settings.raw_dir, "extract-1", "extract", NOW)
    writer.write("users", [b'{"id": "u1"}', b'{"userPrincipalName": "no id"}', b"[]"], "x")
    writer.close_source("users", SourceState("complete", rows=3))
    writer.finish(NOW)
    result = build(settings, AS_OF)
    assert any("stg_users" in text and "2 had no id or came twice" in text for text in result.warnings)


def test_an_import_alone_can_be_built(settings: Settings) -> None:
    writer = SnapshotWriter(settings.raw_dir, "import-0123456789abcdef", "import", NOW)
    writer.write("sign_ins_graph", lines(LOGS["sign_ins_interactive"][1]), "sign-ins.json")
    writer.close_source(
        "sign_ins_graph", SourceState("complete", rows=15, from_at="2026-11-01T10:00:00Z", to_at="2026-11-15T10:00:00Z")
    )
    writer.finish(NOW)
    build(settings, AS_OF)
    with appgov_lib.connect(home=settings.home) as con:
        assert con.execute("SELECT source, status, rows, reason FROM coverage WHERE rows > 0").fetchall() == [
            ("sign_ins_interactive", "partial", 15, "imported files; this source was not read in any run"),
            ("sign_ins_graph", "partial", 15, "imported files"),
        ]
        # 1 and 15 November are covered in part only (10:00), so 13 days remain, none of them vouched for
        assert con.execute(
            "SELECT source, min(day), max(day), bool_or(is_complete) FROM covered_days GROUP BY 1"
        ).fetchall() == [("sign_ins_interactive", date(2026, 11, 2), date(2026, 11, 14), False)]
        assert con.execute("SELECT sign_ins, calls, state FROM app_usage_summary").fetchall() == [(7, None, "active")]


def test_nothing_to_build_from_is_one_sentence(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="appgov extract"):
        build(settings, AS_OF)


def test_a_missing_raw_file_is_named(settings: Settings) -> None:
    folder = write(settings)
    path = next((folder / "users").iterdir())
    path.unlink()
    with pytest.raises(ConfigError, match="users-1"):
        build(settings, AS_OF)


def test_a_damaged_raw_file_stops_the_build_without_its_content(settings: Settings) -> None:
    folder = write(settings)
    build(settings, AS_OF)
    next((folder / "users").iterdir()).write_bytes(b"secret words that are no zstd")
    with pytest.raises(ConfigError, match=r"users-1.*is damaged") as caught:
        build(settings, AS_OF)
    assert "secret" not in str(caught.value)
    with appgov_lib.connect(home=settings.home) as con:  # the earlier one is still current
        assert con.execute("SELECT count(*) FROM stg_users").fetchall() == [(1,)]


def test_a_failed_check_stops_the_publish(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    write(settings)
    first = build(settings, AS_OF)
    real = build_module.run_model

    def doubled(con: duckdb.DuckDBPyConnection, model: Any, *rest: Any) -> None:
        real(con, model, *rest)
        if model.name == "app_inventory":
            con.execute("INSERT INTO app_inventory SELECT * FROM app_inventory")

    monkeypatch.setattr(build_module, "run_model", doubled)
    with pytest.raises(ConfigError, match="app_inventory, check unique_key: 2 rows"):
        build(settings, AS_OF)
    with appgov_lib.connect(home=settings.home) as con:
        assert con.execute("SELECT count(*) FROM app_inventory").fetchall() == [(first.tables["app_inventory"],)]


def test_a_model_without_its_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(
        '[[model]]\nname = "m"\nlayer = "mart"\ndescription = ""\ngrain = ""\nkey = []\n[model.columns]\n'
    )
    with pytest.raises(ConfigError, match="does not exist"):
        load_models(tmp_path)


def test_every_sql_file_is_in_the_catalogue_and_opens_with_grain_and_source() -> None:
    models = load_models()
    assert {model.path for model in models} == set(MODELS_DIR.glob("*/*.sql"))
    for model in models:
        text = model.path.read_text(encoding="utf-8")
        assert text.startswith("-- grain: "), model.name
        assert "\n-- source: " in text, model.name
        assert len(text.splitlines()) <= 120, model.name
        assert len(duckdb.extract_statements(text)) == 1, model.name
        assert "now()" not in text.lower(), model.name
        assert model.layer == "staging" or "read_json" not in text, f"{model.name} reads raw"


def test_reference_tables_name_their_sources() -> None:
    keys = {
        "endpoint_families": ("prefix",),
        "endpoint_permissions": ("method", "endpoint", "permission_type"),
        "federated_issuers": ("host",),
        "first_party_apps": ("app_id",),
        "first_party_tenants": ("tenant_id",),
        "hygiene_checks": ("check_id",),
        "permission_families": ("noun",),
        "permission_levels": ("resource_app_id", "permission", "permission_type"),
        "privileged_roles": ("role_definition_id",),
        "reclaimable_hosts": ("suffix",),
    }
    for stem, key in keys.items():
        with (REFERENCE_DIR / f"{stem}.csv").open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        assert all(row["source"] for row in rows), stem
        assert len({tuple(row[column] for column in key) for row in rows}) == len(rows), stem
        assert all(None not in row and None not in row.values() for row in rows), f"{stem}: a row has too many cells"
        if stem == "permission_levels":
            assert len(rows) >= 150
            assert {row["level"] for row in rows} == {"high", "medium", "low"}
            assert {row["access"] for row in rows} == {"read", "write"}
            assert {row["permission_type"] for row in rows} == {"application", "delegated"}


def test_a_build_that_needs_more_memory_gets_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    write(settings)
    given: list[str] = []
    inner = build_module.Build

    def counted(*args: Any, memory: str, **more: Any) -> Any:
        given.append(memory)
        return inner(*args, memory=memory, **more)

    monkeypatch.setattr(build_module, "Build", counted)
    monkeypatch.setattr(build_module, "MEMORY", "1MB")
    monkeypatch.setattr(build_module, "_judge", lambda *_: None)
    result = build(settings, AS_OF, 7)
    assert given == ["1MB", build_module.MORE_MEMORY]
    assert result.path.exists()
    assert not list(settings.warehouse_dir.glob(".building-*"))  # the first try left nothing
