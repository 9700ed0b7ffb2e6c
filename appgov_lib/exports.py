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
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import xlsxwriter

from appgov_lib import __version__, formats
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
_FORMULA_STARTS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # full-width forms count in some spreadsheets
_EXCEL_CELL = 32_767  # characters Excel keeps in a cell
_USERS = re.compile("(^|_)users(_|$)")
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


def write_findings_csv(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write all findings, resolved ones too, as CSV (UTF-8 with a mark that Excel needs)."""
    private_write(path, _csv(FINDING_COLUMNS, _findings(con)))


def write_findings_json(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write all findings as a JSON list of objects."""
    private_write(path, _json(FINDING_COLUMNS, _findings(con)))


def write_findings_ocsf(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write all findings as OCSF 1.3 Detection Findings (class 2004), one JSON object a line."""
    # ASCII, since many readers of line-by-line files also break lines at U+2028 or U+0085.
    lines = [json.dumps(_ocsf(row), separators=(",", ":")) for row in _findings(con)]
    private_write(path, "".join(f"{line}\n" for line in lines).encode("ascii"))


def write_actions_csv(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write the action plan as CSV, first action first."""
    private_write(path, _csv(ACTION_COLUMNS, _actions(con)))


def write_actions_json(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write the action plan as a JSON list of objects."""
    private_write(path, _json(ACTION_COLUMNS, _actions(con)))


def write_apps_csv(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write every app with all columns of `app_inventory` as CSV, in the order of its ids."""
    columns = tuple(row[0] for row in con.execute("DESCRIBE app_inventory").fetchall())
    private_write(path, _csv(columns, _rows(con, columns, "app_inventory ORDER BY service_principal_id")))


def write_actions_xlsx(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write the action plan as an Excel workbook with one sheet; texts stay texts, whatever they start with."""
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    workbook = xlsxwriter.Workbook(buffer, options)
    # The moment of writing would make every file different.
    workbook.set_properties({"title": "Action plan", "created": dt.datetime(2000, 1, 1, tzinfo=dt.UTC)})
    sheet = workbook.add_worksheet("Actions")
    head, body = workbook.add_format({"bold": True}), workbook.add_format({"text_wrap": True, "valign": "top"})
    rows = list(_actions(con))
    for column, name in enumerate(ACTION_COLUMNS):
        sheet.set_column(column, column, _WIDTHS.get(name, 16))
        sheet.write_string(0, column, name, head)
        for line, row in enumerate(rows, start=1):
            value = row[name]
            if isinstance(value, int | float):
                sheet.write_number(line, column, value, body)
            elif value is not None:
                sheet.write_string(line, column, _shortened(neutral(_flat(value))), body)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(rows), len(ACTION_COLUMNS) - 1)
    workbook.close()
    private_write(path, buffer.getvalue())


def table_csv(columns: tuple[str, ...], rows: Iterable[Row]) -> bytes:
    """Rows as a CSV file that no spreadsheet runs anything of."""
    return _csv(columns, rows)


def neutral(text: str) -> str:
    """`text` as a cell that no spreadsheet runs: on one line, and with an apostrophe before a formula sign."""
    line = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in text)
    visible = "".join(c for c in line if not c.isspace() and unicodedata.category(c) != "Cf")
    return f"'{line}" if visible[:1] in _FORMULA_STARTS and visible else line


def shortened_cell(value: object) -> str:
    """A value as the text of one Excel cell: harmless, on one line, as long as a cell may be."""
    return _shortened(neutral(_flat(value)))


def _shortened(text: str) -> str:
    """`text` as far as an Excel cell holds it; a cut is marked."""
    mark = " [cut: the whole text is in actions.json]"
    return text if len(text) <= _EXCEL_CELL else text[: _EXCEL_CELL - len(mark)] + mark


def _findings(con: duckdb.DuckDBPyConnection) -> Iterable[Row]:
    """All findings, most severe first, in the order of the table."""
    order = (
        "list_position(['critical', 'high', 'medium', 'low', 'info'], severity), policy_id, display_name, finding_id"
    )
    return _rows(con, FINDING_COLUMNS, f"findings ORDER BY {order}")


def _actions(con: duckdb.DuckDBPyConnection) -> Iterable[Row]:
    """The action plan in its order."""
    return _rows(con, ACTION_COLUMNS, "remediation_actions ORDER BY priority, action_id")


def _rows(con: duckdb.DuckDBPyConnection, columns: tuple[str, ...], source: str) -> Iterable[Row]:
    """Rows of a table of ours as dictionaries."""
    result = con.execute(f"SELECT {', '.join(columns)} FROM {source}").fetchall()
    least = least_users(con)
    if not least:
        return [dict(zip(columns, row, strict=True)) for row in result]
    return [{name: shown_users(name, value, least) for name, value in zip(columns, row, strict=True)} for row in result]


def least_users(con: duckdb.DuckDBPyConnection) -> int:
    """The least number of users that this warehouse shows; 0 where it shows all."""
    there = con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'run_info'").fetchall()[0][0]
    found = con.execute("SELECT value FROM run_info WHERE key = 'min_users_shown'").fetchall() if there else []
    return int(found[0][0]) if found else 0


def shown_users(name: str, value: Any, least: int) -> Any:
    """A value, or what is said in place of a number of users that is too small to be shown."""
    counts = name == "measure" or _USERS.search(name)
    return formats.fewer(least) if counts and value == -least and not isinstance(value, bool) else value


def _flat(value: object) -> str:
    """A value as the text of one cell: lists joined, dates ISO, nothing for NULL."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "; ".join(str(item) for item in value)
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _csv(columns: tuple[str, ...], rows: Iterable[Row]) -> bytes:
    """A CSV file; numbers stay numbers, texts are made harmless."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        values = (row[name] for name in columns)
        writer.writerow([_flat(v) if isinstance(v, int | float) else neutral(_flat(v)) for v in values])
    return buffer.getvalue().encode("utf-8-sig")


def _json(columns: tuple[str, ...], rows: Iterable[Row]) -> bytes:
    """A JSON list of objects with nested values in place of JSON text."""
    listed = [{name: _nested(name, row[name]) for name in columns} for row in rows]
    return json.dumps(listed, ensure_ascii=False, indent=2).encode() + b"\n"


def _nested(name: str, value: Any) -> Any:
    """A cell as JSON: JSON columns parsed, dates as ISO text."""
    if name in _JSON_COLUMNS and value is not None:
        return json.loads(value)
    return value.isoformat() if isinstance(value, dt.date) else value


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
