"""What became different in the tenant: the table `changes`, from a date on or since the reading before."""

from __future__ import annotations

import datetime as dt
from typing import Any

import duckdb

from appgov_lib import formats
from appgov_lib.errors import ConfigError

Record = dict[str, Any]

KINDS = {
    "delegated_grant": "delegated permission",
    "application_permission": "application permission",
    "directory_role": "directory role",
    "reply_url": "reply address",
}
"""Kinds of change whose name is not a word of its own."""
ORDER = "ORDER BY changed_at DESC, kind, display_name, subject, change, change_id"


def since(con: duckdb.DuckDBPyConnection, when: dt.date | dt.datetime | str | None = None) -> list[Record]:
    """Return the rows of `changes` from `when` (UTC) on, the newest first, as one dict a row.

    Without `when`: what the newest complete reading of each source shows and the one before it did not. A date means
    its beginning; a time with a zone is turned into UTC. A change that only two readings date counts by the later one,
    so it may have been made before `when`; `reason` says so. Raises `ConfigError` for a text that is no date or time.
    """
    if when is None:
        cursor = con.execute(f"SELECT * FROM changes WHERE is_latest {ORDER}")
    else:
        cursor = con.execute(f"SELECT * FROM changes WHERE changed_at >= ? {ORDER}", [_moment(when)])
    columns = [column[0] for column in cursor.description or []]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def told(con: duckdb.DuckDBPyConnection, when: dt.date | dt.datetime | str | None = None) -> list[Record]:
    """Return what `since` returns as readers see it, without Microsoft's own apps and managed identities.

    Each row has `changed_at`, `display_name`, `what`, `subject`, `how`, `actor_name` and `reason`.
    """
    out = con.execute("SELECT service_principal_id FROM app_inventory WHERE NOT is_in_scope").fetchall()
    left_out = {row[0] for row in out}
    return [
        {
            "changed_at": row["changed_at"],
            "display_name": row["display_name"] or row["app_id"] or "tenant",
            "what": what(row),
            "subject": row["subject"],
            "how": how(row),
            "actor_name": row["actor_name"],
            "reason": row["reason"],
        }
        for row in since(con, when)
        if row["service_principal_id"] not in left_out
    ]


def what(row: Record) -> str:
    """Say what kind of thing came, went or became another: `credential added`."""
    return f"{KINDS.get(row['kind'], str(row['kind']))} {row['change']}"


def how(row: Record) -> str:
    """Say how a thing is now, how it was before it went, or both."""
    if row["before"] is not None and row["after"] is not None:
        return f"{row['before']} \N{RIGHTWARDS ARROW} {row['after']}"
    if row["before"] is not None:
        return f"was: {row['before']}"
    return formats.UNKNOWN if row["after"] is None else str(row["after"])


def _moment(when: dt.date | dt.datetime | str) -> dt.datetime:
    """A date or time as naive UTC."""
    if isinstance(when, str):
        try:
            when = dt.datetime.fromisoformat(when)
        except ValueError:
            raise ConfigError(f"{when!r} is no date or time; write it as 2026-11-15.") from None
    if not isinstance(when, dt.datetime):
        return dt.datetime.combine(when, dt.time())
    return when.astimezone(dt.UTC).replace(tzinfo=None) if when.tzinfo else when
