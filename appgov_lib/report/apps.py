"""The page of all apps: every service principal on one line, to search, filter and cut to columns.

The rows lie in the page as JSON, because twenty thousand of them as HTML would not open. Without a script the first
ones are read as a plain table, and all of them are in `apps.csv`.
"""

from __future__ import annotations

from typing import Any

from appgov_lib import formats
from appgov_lib.tables import Column, Record, Table, cell, table_of

COLUMNS: dict[str, Column] = {
    "display_name": Column("App"),
    "app_origin": Column("Origin"),
    "publisher_name": Column("Publisher"),
    "publisher_verified": Column("Verified", "yes_no"),
    "status": Column("Status", "words"),
    "worst": Column("Worst finding"),
    "findings": Column("Open findings", "number"),
    "risk_score": Column("Risk score", "number"),
    "privilege_level": Column("Privilege"),
    "permission_count": Column("Permissions", "number"),
    "unused_permission_count": Column("Not used", "number"),
    "consent_type": Column("Consent"),
    "consented_users": Column("Consenting users", "users"),
    "owner_count": Column("Owners", "number"),
    "next_expiry_at": Column("Next expiry", "date"),
    "created_at": Column("Added", "date"),
    "last_used_at": Column("Last used", "date"),
    "calls_30d": Column("API calls in 30 days", "number"),
    "bytes_30d": Column("Data in 30 days", "bytes"),
    "service_principal_type": Column("Kind"),
    "app_id": Column("App id", "code"),
}
"""Columns of the page, with the names of `app_inventory`; `worst` and `findings` are counted from the findings."""
HIDDEN = ("publisher_verified", "status", "consented_users", "created_at", "service_principal_type", "app_id")
"""Columns that are not shown until they are asked for."""
SHOWN_PLAIN = 100


def all_apps(rows: list[Record], pages: dict[str, str]) -> dict[str, Any]:
    """Return what the template needs: columns, rows as text and sort key, and the first rows as a plain table."""
    hrefs = [pages.get(row["service_principal_id"], "") for row in rows]
    written = [
        list(pairs)
        for pairs in zip(
            *(
                _pairs([row.get(name) for row in rows], column, hrefs if name == "display_name" else [])
                for name, column in COLUMNS.items()
            ),
            strict=True,
        )
    ]
    columns = [
        {"title": column.heading, "numeric": column.numeric, "hidden": name in HIDDEN}
        for name, column in COLUMNS.items()
    ]
    return {
        "apps": {"columns": columns, "rows": written},
        "first": first_apps(rows, pages),
        "total": len(rows),
        "in_scope": sum(bool(row["is_in_scope"]) for row in rows),
    }


def first_apps(rows: list[Record], pages: dict[str, str]) -> Table:
    """Return the first apps as a table that needs no script."""
    kept = [{name: row.get(name) for name in COLUMNS if name not in HIDDEN} for row in rows[:SHOWN_PLAIN]]
    addresses = iter([pages.get(row["service_principal_id"], "") for row in rows[:SHOWN_PLAIN]])
    return table_of(
        kept,
        f"The first {formats.count(len(kept), 'app')} of {formats.number(len(rows))}",
        dict(COLUMNS),
        SHOWN_PLAIN,
        links={"display_name": lambda _: next(addresses)},
    )


def _pairs(values: list[Any], column: Column, hrefs: list[str]) -> list[list[str]]:
    """Write the values of one column; one that comes again is not written again."""
    if hrefs:
        return [_pair(value, column, href) for value, href in zip(values, hrefs, strict=True)]
    known: dict[Any, list[str]] = {}
    for value in values:
        if value not in known:
            known[value] = _pair(value, column, "")
    return [known[value] for value in values]


def _pair(value: Any, column: Column, href: str) -> list[str]:
    """Write a value as [text, sort key, address], without what is empty at the end."""
    written = cell(value, column.kind)
    sort = "" if written.muted else written.sort or written.text
    parts = [formats.visible(written.text), "" if sort == written.text else sort, href]
    if written.muted:
        parts[1] = "\u0000"
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts
