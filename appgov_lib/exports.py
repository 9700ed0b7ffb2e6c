"""Findings and actions as files: CSV, JSON, Excel and OCSF, the same bytes for the same warehouse.

Names of apps, publishers and users are chosen by strangers. A cell that a spreadsheet would run as a formula gets a
leading apostrophe; line breaks and control characters become blanks. JSON keeps the text as it is.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from appgov_lib import __version__, formats
from appgov_lib.cells import columns_of, csv_column
from appgov_lib.excel import Book
from appgov_lib.settings import private_write

FINDING_COLUMNS = (
    "finding_id",
    "policy_id",
    "policy_title",
    "severity",
    "confidence",
    "state",
    "status",
    "app_id",
    "service_principal_id",
    "display_name",
    "subject",
    "measure",
    "threshold",
    "reason",
    "evidence",
    "mitre",
    "judged",
    "first_seen",
    "last_seen",
)
ACTION_COLUMNS = (
    "priority",
    "action_id",
    "severity",
    "disposition",
    "effort",
    "action_type",
    "title",
    "why",
    "app_id",
    "service_principal_id",
    "display_name",
    "affected_users",
    "calls_30d",
    "owners",
    "publisher_name",
    "risk_removed",
    "disruption",
    "wave",
    "reversible",
    "steps",
    "verify",
    "method",
    "path",
    "body",
    "undo",
    "requests",
    "permission_needed",
    "powershell",
    "curl",
    "az_rest",
    "finding_ids",
)
_JSON_COLUMNS = frozenset({"evidence", "body", "undo", "requests"})
_USERS = re.compile("(^|_)users(_|$)")
MOST_ROWS = 10_000
"""Rows of a sheet: what a person sorts and filters."""
_ROWS_AT_ONCE = 5_000
_WIDTHS = {"title": 50, "why": 60, "steps": 60, "display_name": 30, "verify": 40, "path": 50}

# OCSF 1.3 enumerations: https://schema.ocsf.io/1.3.0/classes/detection_finding
_OCSF_SEVERITY = {"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_OCSF_CONFIDENCE = {"low": 1, "medium": 2, "high": 3}
_OCSF_ACTIVITY = {
    "new": (1, "Create"),
    "returned": (1, "Create"),
    "open": (2, "Update"),
    "excepted": (2, "Update"),
    "resolved": (3, "Close"),
}
_OCSF_STATUS = {
    "new": (1, "New"),
    "returned": (1, "New"),
    "open": (1, "New"),
    "excepted": (3, "Suppressed"),
    "resolved": (4, "Resolved"),
}

Row = Mapping[str, Any]
Rows = Sequence[tuple[Any, ...]]


def findings_of(con: duckdb.DuckDBPyConnection) -> Rows:
    """All findings, most severe first, in the order of the table: what the writers below take."""
    order = (
        "list_position(['critical', 'high', 'medium', 'low', 'info'], severity), policy_id, display_name, finding_id"
    )
    return _rows(con, FINDING_COLUMNS, f"findings ORDER BY {order}")


def actions_of(con: duckdb.DuckDBPyConnection) -> Rows:
    """The action plan in its order."""
    return _rows(con, ACTION_COLUMNS, "remediation_actions ORDER BY priority, action_id")


def write_findings_csv(con: duckdb.DuckDBPyConnection, path: Path, rows: Rows | None = None) -> None:
    """Write all findings, resolved ones too, as CSV (UTF-8 with a mark that Excel needs).

    `rows`, here and below, are those read before, so that several files take one query.
    """
    private_write(path, _csv(FINDING_COLUMNS, findings_of(con) if rows is None else rows))


def write_findings_json(con: duckdb.DuckDBPyConnection, path: Path, rows: Rows | None = None) -> None:
    """Write all findings as a JSON list of objects."""
    private_write(path, _json(FINDING_COLUMNS, findings_of(con) if rows is None else rows))


def write_findings_ocsf(con: duckdb.DuckDBPyConnection, path: Path, rows: Rows | None = None) -> None:
    """Write all findings as OCSF 1.3 Detection Findings (class 2004), one JSON object a line."""
    # ASCII, since many readers of line-by-line files also break lines at U+2028 or U+0085.
    one = json.JSONEncoder(separators=(",", ":")).encode
    found = findings_of(con) if rows is None else rows
    lines = [one(_ocsf(dict(zip(FINDING_COLUMNS, row, strict=True)))) for row in found]
    private_write(path, "".join(f"{line}\n" for line in lines).encode("ascii"))


def write_actions_csv(con: duckdb.DuckDBPyConnection, path: Path, rows: Rows | None = None) -> None:
    """Write the action plan as CSV, first action first."""
    private_write(path, _csv(ACTION_COLUMNS, actions_of(con) if rows is None else rows))


def write_actions_json(con: duckdb.DuckDBPyConnection, path: Path, rows: Rows | None = None) -> None:
    """Write the action plan as a JSON list of objects."""
    private_write(path, _json(ACTION_COLUMNS, actions_of(con) if rows is None else rows))


def write_apps_csv(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write every app with all columns of `app_inventory` as CSV, in the order of its ids."""
    columns = tuple(row[0] for row in con.execute("DESCRIBE app_inventory").fetchall())
    private_write(path, _csv(columns, _rows(con, columns, "app_inventory ORDER BY service_principal_id")))


def write_actions_xlsx(con: duckdb.DuckDBPyConnection, path: Path, rows: Rows | None = None) -> None:
    """Write the action plan as an Excel workbook with one sheet; texts stay texts, whatever they start with."""
    book = Book(path, "Action plan")
    heads = [(name, _WIDTHS.get(name, 16)) for name in ACTION_COLUMNS]
    found = actions_of(con) if rows is None else rows
    note = f"Only the first {MOST_ROWS:,} of {len(found):,} actions are here; actions.csv has all."
    book.add("Actions", heads, found[:MOST_ROWS], note if len(found) > MOST_ROWS else "")
    book.close()


def table_csv(columns: tuple[str, ...], rows: Iterable[Row]) -> bytes:
    """Rows as a CSV file that no spreadsheet runs anything of."""
    return _csv(columns, [tuple(row[name] for name in columns) for row in rows])


def _rows(con: duckdb.DuckDBPyConnection, columns: tuple[str, ...], source: str) -> Rows:
    """Rows of a table of ours, in the order of `columns`."""
    return as_shown(con, columns, con.execute(f"SELECT {', '.join(columns)} FROM {source}").fetchall())


def least_users(con: duckdb.DuckDBPyConnection) -> int:
    """The least number of users that this warehouse shows; 0 where it shows all."""
    there = con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'run_info'").fetchall()[0][0]
    found = con.execute("SELECT value FROM run_info WHERE key = 'min_users_shown'").fetchall() if there else []
    return int(found[0][0]) if found else 0


def as_shown(con: duckdb.DuckDBPyConnection, columns: Sequence[str], rows: Rows) -> Rows:
    """The rows with what is said in place of numbers of users that are too small to be shown."""
    least = least_users(con)
    if not least:
        return rows
    return [tuple(_shown(name, value, least) for name, value in zip(columns, row, strict=True)) for row in rows]


def _shown(name: str, value: Any, least: int) -> Any:
    """A value, or what is said in place of a number of users that is too small to be shown."""
    counts = name == "measure" or _USERS.search(name)
    return formats.fewer(least) if counts and value == -least and not isinstance(value, bool) else value


def _csv(columns: tuple[str, ...], rows: Rows) -> bytes:
    """A CSV file; numbers stay numbers, texts are made harmless."""
    content = io.BytesIO()
    with io.TextIOWrapper(content, encoding="utf-8-sig", newline="", write_through=False) as text:
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(columns)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            writer.writerows(zip(*map(csv_column, columns_of(part, len(columns))), strict=True))
        text.flush()
        return content.getvalue()


def _json(columns: tuple[str, ...], rows: Rows) -> bytes:
    """A JSON list of objects, one a line, with nested values in place of JSON text."""
    line = "{" + ", ".join(f"{json.dumps(name)}: %s" for name in columns) + "}"
    written = [
        _json_column(values, name in _JSON_COLUMNS)
        for name, values in zip(columns, columns_of(rows, len(columns)), strict=True)
    ]
    lines = [line % values for values in zip(*written, strict=True)]
    return ("[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n").encode()


def _json_column(values: Sequence[Any], is_json: bool) -> list[str]:
    """The values of one column as JSON: what is JSON already as it is, dates as ISO text."""
    if is_json:
        return ["null" if value is None else _one_line(value) for value in values]
    one = json.JSONEncoder(ensure_ascii=False, default=lambda day: day.isoformat()).encode
    return list(map(one, values))


def _one_line(text: str) -> str:
    """JSON as it stands in the warehouse; only what was written over several lines is written anew."""
    return text if "\n" not in text else json.dumps(json.loads(text), ensure_ascii=False)


def _ocsf(row: Row) -> dict[str, Any]:
    """One finding as an OCSF 1.3 Detection Finding."""
    activity_id, activity = _OCSF_ACTIVITY.get(row["state"], (2, "Update"))
    status_id, status = _OCSF_STATUS.get(row["state"], (3, "Suppressed"))
    return {
        "activity_id": activity_id,
        "activity_name": activity,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "type_uid": 200400 + activity_id,
        "type_name": f"Detection Finding: {activity}",
        "time": _epoch(row["last_seen"]),
        "severity_id": _OCSF_SEVERITY[row["severity"]],
        "severity": "Informational" if row["severity"] == "info" else str(row["severity"]).capitalize(),
        "confidence_id": _OCSF_CONFIDENCE[row["confidence"]],
        "confidence": str(row["confidence"]).capitalize(),
        "status_id": status_id,
        "status": status,
        "message": row["reason"],
        "metadata": {
            "version": "1.3.0",
            "product": {"name": "appgov", "vendor_name": "appgov", "version": __version__},
            "uid": row["finding_id"],
        },
        "finding_info": {
            "uid": row["finding_id"],
            "title": row["policy_title"],
            "desc": row["reason"],
            "first_seen_time": _epoch(row["first_seen"]),
            "last_seen_time": _epoch(row["last_seen"]),
            "types": [row["policy_id"]],
            "analytic": {"uid": row["policy_id"], "name": row["policy_title"], "type_id": 1, "type": "Rule"},
            "attacks": [
                {"technique": {"uid": technique, "name": _technique_names().get(technique, technique)}, "version": "16"}
                for technique in row["mitre"] or []
            ],
        },
        "resources": [
            {
                "uid": row["service_principal_id"],
                "name": row["display_name"],
                "type": "Service Principal",
                "data": {"app_id": row["app_id"], "subject": row["subject"]},
            }
        ],
        "evidences": [{"data": json.loads(row["evidence"])}],
        "unmapped": {
            "state": row["state"],
            "policy_status": row["status"],
            "measure": row["measure"],
            "threshold": row["threshold"],
            "judged": row["judged"],
        },
    }


@cache
def _technique_names() -> dict[str, str]:
    """Names of MITRE ATT&CK techniques by id."""
    text = resources.files("appgov_lib").joinpath("reference", "mitre_techniques.csv").read_text(encoding="utf-8")
    return {row["technique_id"]: row["name"] for row in csv.DictReader(text.splitlines())}


def _epoch(day: dt.date) -> int:
    """Start of a UTC day in milliseconds since 1970."""
    return int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp()) * 1000
