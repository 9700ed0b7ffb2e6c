"""Public records of real exports: all load or are refused with a reason, and usage per app comes out exactly."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from importing import NOW, SHARED, Desk

from appgov_lib.imports import ImportResult, import_paths
from appgov_lib.settings import Settings
from appgov_lib.store.build import build
from appgov_lib.store.warehouse import connect

REALDATA = SHARED / "realdata"
DIAGNOSTIC = SHARED / "graph" / "examples" / "diagnostic"

pytestmark = pytest.mark.skipif(
    not (REALDATA / "usage_truth.csv").exists(), reason=f"the public reference records are not there: {REALDATA}"
)

NO_LOGS = {
    "azure_keyvault_secret_accessed_or_recovered.json": "record of another product: Azure activity log",
    "activities_user.ndjson": "record of another product: Defender for Cloud Apps activity",
    "userloginfailed.json": "impossible time",
    "Application-model.json": "directory object, not a log record",
    "ServicePrincipalSignIn-model.json": "directory object, not a log record",
    "SignIn-model.json": "placeholder without any identifier",
}
"""Files of which nothing loads for a reason of their own; every other such file is of unknown shape."""


def table(name: str) -> list[dict[str, str]]:
    """Rows of one of the reference's own CSV files."""
    with (REALDATA / name).open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, ImportResult]:
    """All reference files, imported into one tenant."""
    desk = Desk(tmp_path_factory.mktemp("realdata"))
    return desk, desk.take(REALDATA)


def test_rows_in_are_rows_loaded_and_rows_refused(everything: tuple[Desk, ImportResult]) -> None:
    declared = {row["file"]: row["records"] for row in table("MANIFEST.csv")}
    _, result = everything
    compared = [file for file in result.files if declared.get(file.name)]
    assert len(compared) > 50
    counted = {file.name: file.rows + file.rejected_rows for file in compared}
    assert counted == {file.name: int(declared[file.name]) for file in compared}
    assert all(sum(file.reasons.values()) == file.rejected_rows for file in result.files)


def test_every_refusal_has_a_reason_that_fits(everything: tuple[Desk, ImportResult]) -> None:
    _, result = everything
    for file in result.files:
        if file.rejected_rows:
            assert file.rows == 0, file.name  # none of these files is mixed
            assert list(file.reasons) == [NO_LOGS.get(Path(file.name).name, "unknown shape")], file.name


def test_the_logs_load_whole(everything: tuple[Desk, ImportResult]) -> None:
    _, result = everything
    shapes: Counter[str] = Counter()
    for file in result.files:
        shapes.update(file.shapes)
    assert shapes == {
        "api_activity_diagnostic": 6,
        "directory_audits_diagnostic": 23,
        "directory_audits_log_analytics": 5,
        "directory_audits_unified_audit": 7,
        "office_activity_log_analytics": 266,
        "office_activity_unified_audit": 3,
        "security_alerts_graph": 4,
        "security_alerts_log_analytics": 189,
        "sign_ins_diagnostic": 28,
        "sign_ins_graph": 2,
        "sign_ins_log_analytics": 142,
    }


def test_the_published_diagnostic_samples_load_whole(tmp_path: Path) -> None:
    result = Desk(tmp_path).take(DIAGNOSTIC)
    assert (result.rows, result.rejected_rows) == (110, 0)


def test_importing_all_of_it_again_changes_nothing(everything: tuple[Desk, ImportResult]) -> None:
    desk, _ = everything
    before = {path: path.stat().st_mtime_ns for path in desk.settings.raw_dir.rglob("*")}
    assert all(file.already_imported for file in desk.take(REALDATA).files)
    assert {path: path.stat().st_mtime_ns for path in desk.settings.raw_dir.rglob("*")} == before


# Usage truth, through the builder

TRUTH: dict[str, list[dict[str, str]]] = defaultdict(list)
if (REALDATA / "usage_truth.csv").exists():
    for line in table("usage_truth.csv"):
        TRUTH[line["file"]].append(line)

# The reference counts failed sign-ins over all records, failed calls and bytes over distinct requests.
SIGN_INS = """
    SELECT app_id, sum(copies) AS events, count(*) AS distinct_events,
        coalesce(sum(copies) FILTER (error_code <> 0), 0) AS failures, count(DISTINCT user_id) AS users,
        NULL AS bytes, min(created_at) AS first_at, max(created_at) AS last_at
    FROM stg_sign_ins WHERE app_id IS NOT NULL GROUP BY app_id
"""
CALLS = """
    SELECT app_id, sum(copies) AS events, count(*) AS distinct_events,
        count(*) FILTER (status >= 400) AS failures, count(DISTINCT user_id) AS users,
        sum(bytes_returned) AS bytes, min(called_at) AS first_at, max(called_at) AS last_at
    FROM stg_api_activity WHERE app_id IS NOT NULL GROUP BY app_id
"""


@pytest.fixture(scope="module")
def warehouse(once: Callable[[str, Callable[[Path], None]], Path]) -> Callable[[str], duckdb.DuckDBPyConnection]:
    """Import one reference file into a tenant of its own, build, and open the warehouse."""

    def opened(file: str) -> duckdb.DuckDBPyConnection:
        def fill(home: Path) -> None:
            settings = Settings(home=home, tenant="truth")
            import_paths([REALDATA / file], settings, NOW)
            build(settings, date(2026, 11, 15))

        return connect(tenant="truth", home=once(f"truth-{Path(file).stem}", fill))

    return opened


def rows_of(con: duckdb.DuckDBPyConnection, sql: str) -> Iterator[dict[str, Any]]:
    """Rows of a query as dicts."""
    cursor = con.execute(sql)
    names = [column[0] for column in cursor.description or []]
    yield from (dict(zip(names, row, strict=True)) for row in cursor.fetchall())


@pytest.mark.parametrize("file", TRUTH)
def test_usage_per_app_is_exact(file: str, warehouse: Callable[[str], duckdb.DuckDBPyConnection]) -> None:
    with warehouse(file) as con:
        found = {row["app_id"]: row for row in rows_of(con, CALLS if "activitylogs" in file else SIGN_INS)}
    expected = {row["app_id"].lower(): row for row in TRUTH[file]}
    assert found.keys() == expected.keys()
    for app_id, truth in expected.items():
        row = found[app_id]
        assert {
            "events": row["events"],
            "distinct": row["distinct_events"],
            "failures": row["failures"],
            "users": row["users"],
            "bytes": row["bytes"],
        } == {
            "events": int(truth["events_in_file"]),
            "distinct": int(truth["events_distinct"]),
            "failures": int(truth["failures"]),
            "users": int(truth["users"]),
            "bytes": int(truth["bytes"]) if truth["bytes"] else None,
        }, app_id
        for mine, theirs in ((row["first_at"], truth["first_utc"]), (row["last_at"], truth["last_utc"])):
            exact = datetime.fromisoformat(theirs).replace(tzinfo=None)
            assert abs(mine - exact) < timedelta(milliseconds=1), app_id


def test_the_zero_id_is_no_app(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, tenant="zero")
    import_paths([REALDATA / "cribl_packs"], settings, NOW)
    build(settings, date(2026, 11, 15))
    with connect(tenant="zero", home=tmp_path) as con:
        found = list(rows_of(con, "SELECT app_id, service_principal_id, user_id, copies FROM stg_sign_ins"))
    assert [tuple(row.values()) for row in found] == [(None, None, None, 1)] * 2


def test_known_quirks_survive_the_build(everything: tuple[Desk, ImportResult]) -> None:
    """Facts the reference's own notes give about single records."""
    desk, _ = everything
    build(desk.settings, date(2026, 11, 15))
    with connect(tenant=desk.settings.tenant, home=desk.settings.home) as con:

        def one(sql: str) -> tuple[Any, ...]:
            """The single row of a query."""
            (row,) = con.execute(sql).fetchall()
            return tuple(row)

        added = "SELECT count(DISTINCT target_name) FROM stg_directory_audits WHERE activity = 'Add service principal'"
        assert one(f"{added} AND target_name = 'Malicious11'") == (1,)
        # both logs tell of these two changes
        twice = "SELECT count(*), min(copies) FROM stg_directory_audits WHERE target_name = '{}'"
        assert one(twice.format("Malicious11")) == (1, 2)
        assert one(twice.format("Authorization Policy")) == (1, 2)
        assert one("SELECT result FROM stg_directory_audits WHERE activity = 'Consent to application'") == ("failure",)
        secrets = "activity = 'Update application - Certificates and secrets management'"
        assert one(f"SELECT count(*), count(activity_at) FROM stg_directory_audits WHERE {secrets}") == (5, 0)
        users = "SELECT count(DISTINCT user_id) FROM stg_office_activity WHERE user_id LIKE 'adelev@%'"
        assert one(users) == (1,)
        ports = "regexp_matches(ip_address, '^\\[|[.][0-9]+:')"
        assert (
            one(f"SELECT count(*), count(*) FILTER ({ports}) FROM stg_office_activity WHERE ip_address <> '::1'")[1]
            == 0
        )
        assert one("SELECT count(*) FROM stg_security_alerts WHERE app_id IS NOT NULL") == (0,)
        assert one("SELECT bytes FROM stg_office_activity WHERE operation = 'Update' AND bytes IS NOT NULL") == (75096,)
        late = "SELECT created_at FROM stg_sign_ins WHERE sign_in_id = '22608a25-1d9b-44b5-b0f2-cb94f06b2d00'"
        assert one(late) == (datetime(2023, 10, 24, 20, 1, 11, 949038),)
        assert one("SELECT count(*) FROM rejected_records WHERE file LIKE '%userloginfailed.json'") == (1,)
