"""Tables for readers: rows in, a captioned table with aligned, humanised and escaped cells out.

A column's name tells how its values are written (bytes as sizes, counts right-aligned, lists joined), so a
notebook passes a query and a caption and nothing else.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from appgov_lib import formats
from appgov_lib.templating import render

_USERS = re.compile(r"(^|_)users(_|$)")
"""Names of columns that count users; a number too small to be shown is negative there (`formats.users`)."""
Record = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """How one column is headed and written."""

    heading: str
    """Text of the header cell."""
    kind: str = "text"
    """How values are written: text, prose (a wide column), words (a name of ours, without underscores), number, users,
    bytes, share (0 to 1, written in percent), measure (bytes or number, as the row's `metric` says), date, moment,
    list, yes_no, code or severity."""
    unit: str = ""
    """Unit shown behind the heading, where the heading does not say it."""

    @property
    def numeric(self) -> bool:
        """Whether cells are right-aligned."""
        return self.kind in {"number", "users", "bytes", "share", "measure"}


@dataclass(frozen=True)
class Cell:
    """One value as a reader sees it."""

    text: str
    title: str = ""
    """The exact value, where `text` is rounded or cut."""
    sort: str = ""
    """What the column sorts by, where it is not the text."""
    href: str = ""
    """Address inside the report; never one that came from data."""
    muted: bool = False
    """True for unknown and none."""


@dataclass(frozen=True)
class Table:
    """A table ready for a template; `_repr_html_` shows it in a notebook."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    """Said below the table, for example how many rows were left out."""
    empty: str = "Nothing to show: no rows in this period."
    """Said in place of a table without rows."""

    def _repr_html_(self) -> str:
        """Return the table as an HTML fragment without style of its own."""
        return render("_table_only.html.j2", table=self)

    def __repr__(self) -> str:
        """Name the table in a plain console."""
        return f"Table({self.caption!r}, {len(self.rows)} rows)"


# Headings of warehouse columns, with units. A column that is not here is headed by its own name.
COLUMNS: Mapping[str, Column] = {
    "display_name": Column("App"),
    "app_display_name": Column("App"),
    "app_id": Column("App id", "code"),
    "app_origin": Column("Origin"),
    "publisher_name": Column("Publisher"),
    "publisher_verified": Column("Publisher verified", "yes_no"),
    "permission_type": Column("Permission type"),
    "consent_type": Column("Consent"),
    "consented_users": Column("Consenting users", "users"),
    "permission": Column("Permission", "code"),
    "resource_name": Column("API"),
    "privilege_level": Column("Privilege"),
    "usage": Column("Use"),
    "usage_reason": Column("Proof or reason", "prose"),
    "level_reason": Column("Why this level", "prose"),
    "reason": Column("Why", "prose"),
    "disposition": Column("Disposition", "words"),
    "policy_title": Column("Policy"),
    "owner_count": Column("Owners", "number"),
    "owner_name": Column("Owner"),
    "credential_count": Column("Credentials", "number"),
    "high_privilege_count": Column("High-privilege permissions", "number"),
    "permission_count": Column("Permissions", "number"),
    "unused_permission_count": Column("Permissions not used", "number"),
    "risk_score": Column("Risk score", "number", "0-100"),
    "days_since_last_use": Column("Since last use", "number", "days"),
    "days_to_expiry": Column("Until expiry", "number", "days"),
    "lifetime_days": Column("Lifetime", "number", "days"),
    "bytes_returned": Column("Data returned", "bytes"),
    "bytes_previous": Column("Period before", "bytes"),
    "bytes_30d": Column("Data returned in 30 days", "bytes"),
    "calls": Column("API calls", "number"),
    "calls_previous": Column("Calls, period before", "number"),
    "errors": Column("Errors", "number"),
    "error_rate": Column("Errors by calls", "share"),
    "throttled_rate": Column("Throttled by calls", "share"),
    "calls_share": Column("Share of the app's calls", "share"),
    "bytes_share": Column("Share of the app's data", "share"),
    "dimension": Column("Kind", "words"),
    "share": Column("Share", "share"),
    "usual_share": Column("Usual share", "share"),
    "new_share": Column("Events with a new value", "share"),
    "sign_ins": Column("Sign-ins", "number"),
    "sign_ins_previous": Column("Sign-ins, period before", "number"),
    "failures": Column("Failed", "number"),
    "users": Column("Users", "users"),
    "services": Column("Services", "list"),
    "directory_roles": Column("Directory roles", "list"),
    "last_used_at": Column("Last used", "date"),
    "last_sign_in_at": Column("Last sign-in", "date"),
    "created_at": Column("Added", "date"),
    "granted_at": Column("Granted", "date"),
    "ends_at": Column("Ends", "date"),
    "day": Column("Day", "date"),
    "metric": Column("Measure", "words"),
    "observed": Column("Observed", "measure"),
    "expected": Column("Expected", "measure"),
    "lower": Column("Expected from", "measure"),
    "upper": Column("Expected to", "measure"),
    "score": Column("Score", "number"),
    "severity": Column("Severity", "severity"),
    "policy_id": Column("Policy", "code"),
    "finding_id": Column("Finding", "code"),
    "action_id": Column("Action", "code"),
    "key_id": Column("Key id", "code"),
    "from_at": Column("From", "date"),
    "to_at": Column("To", "date"),
    "rows": Column("Rows", "number"),
}


def records(table: Any) -> list[Record]:
    """Return the rows of a DuckDB relation or executed query, a DataFrame or a list of mappings as dictionaries."""
    if hasattr(table, "fetchall"):
        names = [column[0] for column in table.description or []]
        rows = table.fetchall()
        found = [dict(zip(names, row, strict=True)) for row in rows]
        # a database knows one thing that is not known beside NULL: not a number, in columns of decimals
        for name, values in zip(names, zip(*rows, strict=True), strict=False):
            if float in set(map(type, values)):
                for row in found:
                    row[name] = None if row[name] != row[name] else row[name]
        return found
    elif hasattr(table, "to_dict"):
        table = table.to_dict("records")
    return [{k: None if formats.is_unknown(v) else v for k, v in row.items()} for row in table]


def heading_of(name: str, sample: object = None) -> Column:
    """Return how column `name` is shown; an unknown name is headed by itself and judged by a sample value."""
    if name in COLUMNS:
        return COLUMNS[name]
    kind = "text"
    if isinstance(sample, bool):
        kind = "yes_no"
    elif isinstance(sample, int | float):
        kind = "bytes" if "bytes" in name else "users" if _USERS.search(name) else "number"
    elif isinstance(sample, dt.datetime | dt.date):
        kind = "date"
    elif isinstance(sample, list):
        kind = "list"
    return Column(name.replace("_", " ").capitalize(), kind)


def cell(value: Any, kind: str = "text", href: str = "") -> Cell:
    """Write one value the way its kind asks; unknown stays a word in every kind."""
    if formats.is_unknown(value):
        return Cell(formats.UNKNOWN, sort="", muted=True)
    if kind == "number":
        return Cell(formats.number(value), sort=repr(value), href=href)
    if kind == "users":
        return Cell(formats.users(value), sort=repr(abs(value) - 0.5 if value < 0 else value), href=href)
    if kind == "bytes":
        return Cell(formats.size(value), title=formats.exact_size(value), sort=repr(value), href=href)
    if kind == "share":
        return Cell(f"{value:.1%}", sort=repr(value), href=href)
    if kind == "date":
        return Cell(formats.day(value), title=formats.moment(value), sort=str(value), href=href)
    if kind == "moment":
        return Cell(formats.moment(value), sort=str(value), href=href)
    if kind == "yes_no":
        return Cell("yes" if value else "no", href=href)
    if kind == "list" or isinstance(value, list):
        return Cell(formats.joined(value), muted=not value, href=href)
    text = formats.plain(value, 400)
    if kind == "words":
        text = text.replace("_", " ")
    return Cell(text or "none", muted=not text, href=href)


def _kind_in(row: Mapping[str, Any], kind: str) -> str:
    """Return how a cell of this row is written: a measure is bytes where the row's metric is."""
    return kind if kind != "measure" else "bytes" if "bytes" in str(row.get("metric")) else "number"


def table_of(
    rows: Any,
    caption: str,
    headings: Mapping[str, str | Column] | None = None,
    limit: int = 200,
    empty: str = "",
    links: Mapping[str, Any] | None = None,
) -> Table:
    """Make a table of at most `limit` rows; `headings` renames columns, `links` gives a column's address per row.

    A list of no rows keeps its caption and says so in words: silence is not an answer.
    """
    found, total = _first(rows, limit)
    names = list(getattr(rows, "columns", found[0] if found else headings or ()))
    columns = []
    for name in names:
        sample = next((r[name] for r in found if not formats.is_unknown(r[name])), None)
        given = (headings or {}).get(name)
        known = heading_of(name, sample)
        columns.append(
            given if isinstance(given, Column) else Column(given, known.kind, known.unit) if given else known
        )
    body = [
        [
            cell(row[name], _kind_in(row, column.kind), str((links or {}).get(name, lambda _: "")(row)))
            for name, column in zip(names, columns, strict=True)
        ]
        for row in found[:limit]
    ]
    note = f"The first {len(body):,} of {total:,} rows." if total > len(body) else ""
    return Table(caption, columns, body, note, empty or Table.empty)


def show(rows: Any, caption: str, columns: str = "", limit: int = 15, empty: str = "", **headings: str) -> Table:
    """Make the table a notebook cell ends with.

    `columns` names the columns to keep, in order, separated by blanks; keyword arguments rename columns.
    """
    kept = columns.split()
    found, total = _first(rows, limit)
    made = table_of([{n: row[n] for n in kept or row} for row in found], caption, headings, limit, empty)
    return replace(made, note=f"The first {len(made.rows):,} of {total:,} rows.") if total > len(made.rows) else made


def _first(rows: Any, limit: int) -> tuple[list[Record], int]:
    """Return the first rows and how many there are; a query of many thousand rows is not read to its end."""
    if not isinstance(rows, duckdb.DuckDBPyRelation):
        found = records(rows)
        return found, len(found)
    found = records(rows.limit(limit + 1))
    return found[:limit], len(found) if len(found) <= limit else int(rows.aggregate("count(*)").fetchall()[0][0])


def totals(**values: Any) -> None:
    """Print small plain totals, one a line and sorted, for a check cell: a changed number is a changed line.

    A value is a number, a text, or a query of one row and one column.
    """
    width = max((len(name) for name in values), default=0)
    for name in sorted(values):
        value = values[name].fetchall()[0][0] if hasattr(values[name], "fetchall") else values[name]
        text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        print(f"{name.replace('_', ' '):<{width}}  {text}")


def totals_by(relation: Any) -> None:
    """Print the rows of a small ordered query as aligned plain text, for a check cell."""
    rows = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in relation.fetchall()]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
