"""The tenant as a whole on the summary page: its numbers, what changed since the reading before, its settings."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from appgov_lib import changes, formats
from appgov_lib.tables import Column, Record, Table, table_of

TILES = ("OV-1", "OV-2", "OV-3", "OV-5", "OV-6", "OV-13-new", "OV-24", "OV-10")
"""Facts shown as tiles, by id; the others stand in the table behind them."""
HREF = {
    "OV-6": "#microsoft",
    "OV-3": "06_permissions.html",
    "OV-10": "03_data_transfer.html",
    "OV-2": "02_usage.html",
}
ELSEWHERE = "01_inventory.html"
CHANGES_SHOWN = 30
NOT_KEPT = "The number before is not kept."
"""Said in the table of all numbers; on every tile it would be noise."""


@dataclass(frozen=True)
class FactTile:
    """One fact of the dashboard."""

    name: str
    value: str
    change: str
    note: str
    """What is missing in the number, or why there is none; empty when nothing is."""
    href: str
    title: str = ""


@dataclass(frozen=True)
class Overview:
    """Rows about the tenant."""

    facts: list[Record] = field(default_factory=list)
    """Rows of `overview_tiles`."""
    changes: list[Record] = field(default_factory=list)
    """What the newest reading shows and the one before did not, the newest first."""
    compared_with: dt.datetime | None = None
    """When the oldest of the readings compared with was begun; None when there is no earlier one."""
    not_compared: int = 0
    """Sources read whole once only."""
    posture: list[Record] = field(default_factory=list)
    suggested: list[Record] = field(default_factory=list)
    incidents: list[Record] = field(default_factory=list)
    secure_score: list[Record] = field(default_factory=list)


def gather_overview(ask: Callable[[str], list[Record]], ask_file: Callable[[str], list[Record]]) -> Overview:
    """Read the overview; `ask` takes a query of one line, `ask_file` the name of one in `sql/`."""
    newest = ask("FROM source_readings QUALIFY reading = max(reading) OVER (PARTITION BY source) ORDER BY source")
    earlier = [r["previous_read_at"] for r in newest if r["previous_read_at"] is not None]
    return Overview(
        facts=ask("FROM overview_tiles ORDER BY fact_id"),
        changes=ask_file("tenant_changes"),
        compared_with=min(earlier, default=None),
        not_compared=len(newest) - len(earlier),
        posture=ask_file("posture"),
        suggested=ask("FROM suggested_policies ORDER BY measure DESC, suggestion_id"),
        incidents=ask("FROM latest_incidents ORDER BY last_activity_at DESC NULLS LAST, incident_id"),
        secure_score=ask("FROM secure_score_items ORDER BY control_id"),
    )


def fact_tiles(overview: Overview) -> list[FactTile]:
    """Return the facts shown as tiles, in their order; a number not known says why."""
    known = {row["fact_id"]: row for row in overview.facts}
    return [
        FactTile(
            name=row["fact"],
            value=_amount(row["value"], row["unit"]),
            change=_change(row),
            note=(row["reason"] or "").replace(NOT_KEPT, "").strip(),
            href=HREF.get(row["fact_id"], ELSEWHERE),
            title=formats.exact_size(row["value"]) if row["unit"] == "bytes" else "",
        )
        for row in (known[fact] for fact in TILES if fact in known)
    ]


def _amount(value: float | None, unit: str) -> str:
    """Write a fact's number: bytes as a size, anything else as a plain number."""
    return formats.size(value) if unit == "bytes" else formats.number(value)


def _change(row: Record) -> str:
    """Say how a fact differs from the one before; empty when one of the two is not known."""
    if row["value"] is None or row["previous_value"] is None:
        return ""
    unit = "bytes" if row["unit"] == "bytes" else ""
    sign = formats.arrow(row["value"], row["previous_value"])
    return f"{sign} {formats.change(row['value'], row['previous_value'], unit)}".strip()


def facts_table(overview: Overview) -> Table:
    """Return every fact of the dashboard, one a row."""
    rows = [
        {
            "fact": row["fact"],
            "value": _amount(row["value"], row["unit"]),
            "before": _amount(row["previous_value"], row["unit"]),
            "period": f"{formats.day(row['period_from'])} to {formats.day(row['period_to'])}",
            "coverage": row["coverage"],
            "reason": row["reason"] or "nothing is missing",
        }
        for row in {r["fact"]: r for r in overview.facts}.values()
    ]
    heads: dict[str, str | Column] = {"fact": "Fact", "value": "Number", "before": "Before", "coverage": "Coverage"}
    return table_of(rows, "The tenant in numbers", {**heads, "reason": Column("What is missing", "prose")})


def changes_said(overview: Overview) -> str:
    """Say in one sentence what changed since the reading before."""
    if overview.compared_with is None:
        return "The tenant was read whole once so far: the next reading shows what changed."
    since = formats.moment(overview.compared_with)
    once = ""
    if overview.not_compared:
        once = f" {formats.count(overview.not_compared, 'source')} had no earlier complete reading to compare with."
    if not overview.changes:
        return f"Nothing changed since the reading of {since}.{once}"
    counted = Counter(changes.what(row) for row in overview.changes)
    parts = [f"{formats.number(n)} {words}" for words, n in sorted(counted.items(), key=lambda kv: (-kv[1], kv[0]))]
    more = f", {formats.number(len(parts) - 5)} other kinds" if len(parts) > 5 else ""
    whole = formats.count(len(overview.changes), "change")
    return f"{whole} since the reading of {since}: {', '.join(parts[:5])}{more}.{once}"


def changes_table(overview: Overview, pages: dict[str, str]) -> Table:
    """Return what changed since the reading before, the newest first; apps with a page are linked."""
    rows = [
        {
            "app": row["display_name"] or row["app_id"] or "tenant",
            "what": changes.what(row),
            "subject": row["subject"],
            "how": changes.how(row),
            "by": row["actor_name"],
            "changed_at": row["changed_at"],
        }
        for row in overview.changes
    ]
    ids = iter([row["service_principal_id"] for row in overview.changes])
    heads: dict[str, str | Column] = {"app": "App", "what": "What", "subject": "Which", "how": "How", "by": "By"}
    return table_of(
        rows,
        "Changed since the reading before",
        {**heads, "changed_at": Column("Time", "moment")},
        CHANGES_SHOWN,
        "No difference between the newest reading and the one before.",
        links={"app": lambda _: pages.get(next(ids) or "", "")},
    )


def posture_said(overview: Overview) -> str:
    """Count the settings by verdict in one sentence."""
    counted = Counter(row["verdict"] for row in overview.posture)
    parts = [f"{formats.number(counted[v])} {v}" for v in ("risky", "weak", "unknown", "safe") if counted[v]]
    if not parts:
        return "No setting was read."
    return f"Of {formats.count(len(overview.posture), 'setting')} that decide which apps get in: {', '.join(parts)}."


def posture_table(overview: Overview, verdicts: tuple[str, ...]) -> Table:
    """Return the settings with one of `verdicts`, risky ones first."""
    rows = [
        {"setting": r["setting"], "verdict": r["verdict"], "reason": r["reason"], "recommended": r["recommended"]}
        for r in overview.posture
        if r["verdict"] in verdicts
    ]
    heads: dict[str, str | Column] = {"verdict": "Verdict", "recommended": Column("Recommended", "prose")}
    caption = f"Settings that are {' or '.join(verdicts)}"
    return table_of(rows, caption, heads, empty="No setting that was read is one of them.")


def suggested_table(overview: Overview) -> Table:
    """Return what the facts suggest to watch."""
    rows = [
        {"title": r["title"], "why": r["why"], "policy_id": r["policy_id"] or "none: see the settings"}
        for r in overview.suggested
    ]
    heads: dict[str, str | Column] = {"title": "Suggestion", "why": Column("Why", "prose"), "policy_id": "Watched by"}
    return table_of(rows, "What the facts suggest to watch", heads, empty="The facts suggest nothing to watch.")


def not_read(source: Record) -> str:
    """Say that a source was not read and why; empty when it was, at least in part."""
    if source["status"] in {"complete", "partial"}:
        return ""
    reason = f": {source['reason'].rstrip('.')}" if source["reason"] else ""
    return f"not read ({source['status'].replace('_', ' ')}{reason})"


def incidents_table(overview: Overview, source: Record) -> Table:
    """Return the active incidents about apps, the newest activity first; `source` tells how they were read."""
    rows = [
        {
            "incident": r["display_name"],
            "severity": "info" if r["severity"] == "informational" else r["severity"],
            "status": r["status"],
            "source": r["source"],
            "apps": r["apps"],
            "last_activity_at": r["last_activity_at"],
            "incident_id": r["incident_id"],
        }
        for r in overview.incidents
    ]
    heads: dict[str, str | Column] = {"incident": "Incident", "apps": Column("Apps", "list"), "incident_id": "Number"}
    return table_of(
        rows,
        "Active incidents about apps",
        {**heads, "last_activity_at": Column("Last activity", "moment")},
        empty=f"Unknown: incidents were {missing}." if (missing := not_read(source)) else "There is none.",
    )


def score_table(overview: Overview) -> Table:
    """Return the controls of Secure Score about apps."""
    rows = [{k: r[k] for k in ("title", "state", "score", "max_score", "category")} for r in overview.secure_score]
    heads: dict[str, str | Column] = {"title": "Control", "score": Column("Points", "number")}
    return table_of(rows, "Secure Score controls about apps", {**heads, "max_score": Column("Of", "number")})
