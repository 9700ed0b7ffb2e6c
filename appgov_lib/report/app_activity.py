"""Tables of an app page about what the app did: unusual days, new things, its users, its calls, messages and files."""

from __future__ import annotations

from collections.abc import Sequence

from appgov_lib import formats
from appgov_lib.report.facts import Facts
from appgov_lib.tables import Column, Record, Table, table_of

ENDPOINTS_SHOWN = 20
NEW_SHOWN = 40
CONTRIBUTORS_SHOWN = 60
KINDS = {
    "network": "network of sign-ins",
    "address_block": "addresses of calls",
    "country": "country",
    "user_agent": "program",
    "endpoint_family": "kind of endpoint",
    "resource": "API signed in to",
    "credential": "credential",
}


def activity_tables(facts: Facts, app_id: str) -> dict[str, Table]:
    """Return the tables about activity by name; an empty one keeps its caption and says what is not there."""
    details = facts.details
    return {
        "unusual": unusual_table(facts, facts.anomalies.get(app_id, [])),
        "contributors": contributors_table(details.contributors.get(app_id, [])),
        "new": new_table(details.first_seen.get(app_id, [])),
        "users": users_table(facts, details.top_users.get(app_id, [])),
        "endpoints": endpoints_table(facts, details.endpoints.get(app_id, [])),
        "moved_items": items_table(facts, details.items.get(app_id, [])),
    }


def _read(facts: Facts, *sources: str) -> bool:
    """Whether one of the sources was read at all."""
    return any(facts.source(name)["status"] in {"complete", "partial"} for name in sources)


def unusual_table(facts: Facts, rows: Sequence[Record]) -> Table:
    """Return the flagged days with what was expected and the sentence that says why they were flagged."""
    names = ("day", "metric", "observed", "expected", "lower", "upper", "reason")
    logs = _read(facts, "api_activity", "api_activity_sums", *(s for s in facts.covered_days if "sign_ins" in s))
    return table_of(
        [{name: row.get(name) for name in names} for row in rows],
        "Days unlike the app's own past",
        empty="No day of the period stands out." if logs else "Unknown: no log of this app's activity was read.",
    )


def contributors_table(rows: Sequence[Record]) -> Table:
    """Return who and what made the flagged days, beside their usual share."""
    shown = [
        {
            "day": row["day"],
            "metric": row["metric"],
            "dimension": row["dimension"],
            "value": row["value"] if row["value"] is not None else f"unknown: {row['reason']}",
            "share": row["share"],
            "usual_share": row["usual_share"],
        }
        for row in rows
        # that nothing happened is what the anomaly itself says
        if row["value"] is not None or row["reason"] != "nothing happened on this day"
    ]
    return table_of(
        shown,
        "Who and what made these days",
        {
            "dimension": "What",
            "value": "Who or where",
            "share": Column("Share of the day", "share"),
            "usual_share": Column("Usual share", "share"),
        },
        CONTRIBUTORS_SHOWN,
        "No flagged day with anything in it.",
    )


def new_table(rows: Sequence[Record]) -> Table:
    """Return what the app showed for the first time; how many values could not be judged is said below."""
    new = [row for row in rows if row["novelty"] == "new"]
    unjudged = sorted({str(row["reason"]) for row in rows if row["novelty"] == "unknown"})
    none = f"Not judged: {'; '.join(unjudged)}." if unjudged else "Nothing new in the period."
    return table_of(
        [
            {
                "kind": KINDS.get(row["dimension"], row["dimension"]),
                "value": row["value"],
                "first_seen": row["first_seen"],
                "events_now": row["events_now"],
                "values_before": row["values_before"],
            }
            for row in new
        ],
        "What it did for the first time",
        {"kind": "Kind", "value": "New value", "events_now": "Events", "values_before": "Values before"},
        NEW_SHOWN,
        none,
    )


def users_table(facts: Facts, rows: Sequence[Record]) -> Table:
    """Return the users behind most of the app's work."""
    read = _read(facts, "api_activity", "sign_ins_interactive", "sign_ins_non_interactive")
    return table_of(
        [
            {
                "user": row["user_principal_name"] or row["user_id"],
                "sign_ins": row["sign_ins"],
                "calls": row["calls"],
                "bytes_returned": row["bytes_returned"],
                "bytes_share": row["bytes_share"],
            }
            for row in rows
        ],
        "Users behind most of it",
        {"user": "User"},
        empty="No user was behind it in the period; calls read as sums name nobody."
        if read
        else "Unknown: no log that names users was read.",
    )


def endpoints_table(facts: Facts, rows: Sequence[Record]) -> Table:
    """Return what the app calls most, and how it is answered."""
    read = _read(facts, "api_activity", "api_activity_sums")
    return table_of(
        [
            {
                "endpoint": f"{row['method'] or '?'} {row['endpoint_family'] or formats.UNKNOWN}",
                "calls": row["calls"],
                "calls_previous": row["calls_previous"],
                "refused": row["refused"],
                "throttled": row["throttled"],
                "bytes_returned": row["bytes_returned"],
            }
            for row in rows
        ],
        "What it calls most",
        {
            "endpoint": Column("Calls to", "code"),
            "refused": Column("Refused or failed", "number"),
            "throttled": Column("Throttled", "number"),
        },
        ENDPOINTS_SHOWN,
        "No call to Microsoft Graph in the period." if read else "Unknown: calls were not read.",
    )


def items_table(facts: Facts, rows: Sequence[Record]) -> Table:
    """Return messages and files read, sent and changed in the period."""
    read = _read(facts, "audit_records", "cloud_app_events", "office_activity")
    return table_of(
        [
            {name: row[name] for name in ("kind", "access", "events", "items", "items_unknown_events", "bytes")}
            for row in rows
        ],
        "Messages and files in the period",
        {
            "kind": "What",
            "access": "Access",
            "events": Column("Records", "number"),
            "items": Column("Items", "number"),
            "items_unknown_events": Column("Records without a count", "number"),
            "bytes": Column("Size", "bytes"),
        },
        empty="No record of messages or files names this app." if read else "Unknown: no log of items was read.",
    )
