"""The lists of the summary page: open, resolved and accepted findings, policies not evaluated, sources."""

from __future__ import annotations

from collections.abc import Sequence

from appgov_lib import formats
from appgov_lib.report.facts import Facts
from appgov_lib.tables import Column, Record, Table, table_of

FINDINGS_SHOWN = 60
"""Of each severity; all are in the files."""
VALUES_SHOWN = 10
"""Of the values that nobody knows; all are in the table unrecognised_values."""


def findings_table(facts: Facts, severity: str, pages: dict[str, str]) -> Table:
    """Return the open findings of one severity."""
    rows = [
        {
            "display_name": f["display_name"] or f["app_id"],
            "policy_title": f["policy_title"],
            "reason": f["reason"],
            "confidence": f["confidence"],
            "state": f["state"] if f["judged"] else f"{f['state']}, not judged now",
            "first_seen": f["first_seen"],
            "service_principal_id": f["service_principal_id"],
        }
        for f in facts.findings
        if f["severity"] == severity
    ]
    shown = [{k: v for k, v in row.items() if k != "service_principal_id"} for row in rows]
    owners = iter([row["service_principal_id"] for row in rows])
    return table_of(
        shown,
        f"{severity.capitalize()}: {formats.count(len(rows), 'open finding')}",
        {
            "policy_title": "Policy",
            "confidence": "Confidence",
            "state": "State",
            "first_seen": Column("First seen", "date"),
        },
        FINDINGS_SHOWN,
        links={"display_name": lambda _: pages.get(next(owners), "")},
    )


def resolved_table(facts: Facts) -> Table:
    """Return the findings that ended since the last report."""
    rows = [
        {"display_name": f["display_name"] or f["app_id"], "severity": f["severity"], "policy_title": f["policy_title"]}
        | {"last_seen": f["last_seen"]}
        for f in facts.resolved
    ]
    return table_of(
        rows,
        "Resolved since the last report",
        {"policy_title": "Policy", "last_seen": Column("Last seen", "date")},
        FINDINGS_SHOWN,
        "No finding was resolved.",
    )


def excepted_table(facts: Facts) -> Table:
    """Return the findings that somebody accepted, with who, why and until when."""
    rows = [
        {"display_name": f["display_name"] or f["app_id"], "severity": f["severity"], "policy_title": f["policy_title"]}
        | {"exception": f["exception"]}
        for f in facts.excepted
    ]
    return table_of(
        rows,
        "Accepted for a time",
        {"policy_title": "Policy", "exception": Column("Exception", "prose")},
        FINDINGS_SHOWN,
    )


def skipped_table(facts: Facts) -> Table:
    """Return the policies that could not be evaluated."""
    rows = [{"policy_title": s.get("policy_title") or s["policy_id"], "reason": s["reason"]} for s in facts.skipped]
    return table_of(
        rows,
        "Policies not evaluated",
        {"reason": Column("Reason", "prose")},
        empty=f"All {formats.number(facts.policies)} policies were evaluated.",
    )


def unrecognised_table(facts: Facts) -> Table:
    """Return the commonest values that no rule knows."""
    rows = [
        {
            "value": u["value"],
            "column": f"{u['source'].removeprefix('stg_').replace('_', ' ')}, {u['column_name'].replace('_', ' ')}",
            "records": u["records"],
            # text in every row: some tables have no time, and a word among times cannot be written as one
            "last": formats.day(u["last_at"]) if u["last_at"] else "no time is known",
        }
        for u in facts.unrecognised
    ]
    return table_of(
        rows,
        f"Values no rule knows: {formats.number(len(rows))}, the commonest first",
        {"value": "Value", "column": "Where", "records": "Records", "last": "Last seen"},
        VALUES_SHOWN,
    )


def is_gap(source: Record) -> bool:
    """Whether a source was asked for and not read as a whole by itself."""
    wanted = not (source["optional"] and source["status"] == "not_collected")
    return wanted and (source["status"] != "complete" or bool(source["reason"]))


def coverage_table(sources: Sequence[Record], caption: str) -> Table:
    """Return sources with their state and what is lost without them."""
    rows = [
        {
            "source": c["source"].replace("_", " "),
            "status": c["status"].replace("_", " "),
            "rows": c["rows"],
            "from_at": c["from_at"] or "whole state",
            "to_at": c["to_at"] or "whole state",
            "reason": c["reason"] or "none needed",
            # complete with a reason: another source stands in for it, and not for all of it
            "what_is_lost": "nothing" if c["status"] == "complete" and not c["reason"] else c["what_is_lost"],
        }
        for c in sources
    ]
    for row in rows:
        for name in ("from_at", "to_at"):
            row[name] = row[name] if isinstance(row[name], str) else formats.day(row[name])
    return table_of(
        rows,
        caption,
        {
            "source": "Source",
            "status": "Status",
            "rows": Column("Records", "number"),
            "from_at": Column("From"),
            "to_at": Column("To"),
            "reason": "Reason",
            "what_is_lost": Column("What the report loses", "prose"),
        },
    )
