"""Judges finished tables: unique keys, filled columns, accepted values, and whether raw records all arrived.

A breach of a `fail` check stops the publish; a breach of a `warn` check is recorded in `check_results` and the build
goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb

from appgov_lib.extract.snapshot import RawFile, Snapshot, is_whole
from appgov_lib.store.models import Checks, Model, insert_rows

READERS = 4
"""Raw files hashed at once; unpacking and hashing let go of Python's lock."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check on one table."""

    table_name: str
    check_name: str
    """`unique_key`, `not_null:<column>`, `accepted:<column>` or `all_records`."""
    strength: str
    """`fail` or `warn`."""
    breaches: int
    """Rows (for `unique_key`: rows too many) that break it; 0 is passed."""
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing breaks it."""
        return self.breaches == 0


def check_table(con: duckdb.DuckDBPyConnection, model: Model) -> list[CheckResult]:
    """Run all checks of one model in a single pass over its table."""
    questions: list[tuple[str, str, str]] = []
    if model.key:
        # as many hashes as rows prove the key unique for a fraction of the memory; fewer may be chance
        hashes = f"SELECT count(*) FROM (SELECT DISTINCT hash({', '.join(model.key)}) FROM {model.name})"
        questions.append(("unique_key", "fail", f"count(*) - ({hashes})"))
        required = Checks(not_null=tuple(column for column in model.key if column not in model.nullable))
        questions += _questions(required, "fail")
    questions += _questions(model.checks, "fail") + _questions(model.warn, "warn")
    if not questions:
        return []
    found = list(con.execute(f"SELECT {', '.join(sql for _, _, sql in questions)} FROM {model.name}").fetchall()[0])
    if model.key and found[0]:
        keys = f"SELECT count(*) FROM (SELECT DISTINCT {', '.join(model.key)} FROM {model.name})"
        found[0] = _scalar(con, f"SELECT count(*) - ({keys}) FROM {model.name}")
    return [
        CheckResult(model.name, name, strength, int(breaches))
        for (name, strength, _), breaches in zip(questions, found, strict=True)
    ]


def _questions(checks: Checks, strength: str) -> list[tuple[str, str, str]]:
    """Name, strength and SQL aggregate of each check."""
    found = [(f"not_null:{column}", strength, f"count(*) FILTER ({column} IS NULL)") for column in checks.not_null]
    for column, values in checks.accepted.items():
        listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
        found.append((f"accepted:{column}", strength, f"count(*) FILTER ({column} NOT IN ({listed}))"))
    return found


STATE_TABLES = {
    "organization": "stg_organization",
    "service_principals": "stg_service_principals",
    "applications": "stg_applications",
    "delegated_grants": "stg_delegated_grants",
    "app_role_assignments": "stg_app_role_assignments",
    "directory_role_assignments": "stg_directory_role_assignments",
    "users": "stg_users",
    "service_principal_sign_in_activities": "stg_service_principal_sign_in_activities",
    "credential_sign_in_activities": "stg_credential_sign_in_activities",
}
"""Buckets whose records become one row each."""

LOG_TABLES = ("sign_ins", "directory_audits", "api_activity", "office_activity", "security_alerts")
"""Log families: the records of all their buckets, with those of audit searches, are the sum of `copies` in
`stg_<family>`."""


def reconcile(con: duckdb.DuckDBPyConnection, rows: Mapping[str, int]) -> list[CheckResult]:
    """Compare raw records per bucket, as the manifests count them, with what reached staging; all are warnings."""
    results = []
    for bucket, table in STATE_TABLES.items():
        kept = _scalar(con, f"SELECT count(*) FROM {table}")
        results.append(_arrived(table, rows.get(bucket, 0), kept, "had no id or came twice"))
    for family in LOG_TABLES:
        table = f"stg_{family}"
        raw = sum(count for bucket, count in rows.items() if bucket.startswith(f"{family}_"))
        raw += _scalar(con, f"SELECT coalesce(sum(copies), 0) FROM stg_audit_records WHERE log = '{family}'")
        kept = _scalar(con, f"SELECT coalesce(sum(copies), 0) FROM {table}")
        results.append(_arrived(table, raw, kept, "were not recognised"))
    return results


def _arrived(table: str, raw: int, kept: int, why: str) -> CheckResult:
    """The result for one table; more rows than records is a breach too."""
    missing = abs(raw - kept)
    detail = f"{raw} raw records, {kept} arrived" + (f"; {missing} {why}" if missing else "")
    return CheckResult(table, "all_records", "warn", missing, detail)


def _scalar(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    """The single number a query answers."""
    return int(con.execute(sql).fetchall()[0][0])


def failures(results: Iterable[CheckResult]) -> list[CheckResult]:
    """Breaches that stop the publish."""
    return [result for result in results if result.strength == "fail" and not result.passed]


def write_results(con: duckdb.DuckDBPyConnection, results: Iterable[CheckResult]) -> None:
    """Create the table check_results."""
    con.execute(
        "CREATE OR REPLACE TABLE check_results "
        "(table_name VARCHAR, check_name VARCHAR, strength VARCHAR, passed BOOLEAN, breaches BIGINT, detail VARCHAR)"
    )
    rows = [(r.table_name, r.check_name, r.strength, r.passed, r.breaches, r.detail) for r in results]
    insert_rows(con, "check_results", rows)


def missing_files(files: Mapping[str, list[Path]]) -> list[Path]:
    """Raw files a manifest names and the disk does not hold."""
    return [path for paths in files.values() for path in paths if not path.is_file()]


def damaged_files(files: Mapping[str, list[Path]], snapshots: Iterable[Snapshot]) -> list[Path]:
    """Raw files that do not hold the lines their manifest has the hash of.

    DuckDB notices some damage and takes a file that was cut short for one with fewer records.
    """
    told = {snapshot.folder / file.path: file for snapshot in snapshots for file in files_of(snapshot)}
    paths = sorted({path for listed in files.values() for path in listed})
    with ThreadPoolExecutor(READERS) as pool:
        whole = list(pool.map(lambda path: is_whole(path, told[path]), paths))
    return [path for path, good in zip(paths, whole, strict=True) if not good]


def files_of(snapshot: Snapshot) -> list[RawFile]:
    """Every raw file of a snapshot."""
    return [file for files in snapshot.buckets.values() for file in files]
