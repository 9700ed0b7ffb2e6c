"""Sentences and figures of the summary page, each made by a rule from the facts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from appgov_lib import formats, theme
from appgov_lib.report.facts import Facts
from appgov_lib.tables import Record

TOP_RISKS = 10
SOURCES_NAMED = 4
READ = frozenset({"complete", "partial"})
# What readers call the log sources whose days count.
LOGS = {
    "sign_ins_interactive": "interactive sign-ins",
    "sign_ins_non_interactive": "non-interactive sign-ins",
    "sign_ins_service_principal": "service principal sign-ins",
    "sign_ins_managed_identity": "managed identity sign-ins",
    "api_activity": "API activity",
}


@dataclass(frozen=True)
class Tile:
    """One number with its change and where to read on."""

    name: str
    value: str
    change: str
    href: str
    title: str = ""
    """The exact value, where `value` is rounded."""


@dataclass(frozen=True)
class Risk:
    """One app with everything the policies hold against it."""

    app: Record
    """The worst finding's row, which carries the app's columns too."""
    others: int
    """Further open findings of the app."""
    action: str
    """Title of the first action for the app; empty when the plan has none."""


@dataclass(frozen=True)
class ActionGroup:
    """Actions of one kind for one app, which people decide on together."""

    first: Record
    requests: tuple[Record, ...]

    @property
    def users(self) -> str:
        """How many users the requests touch; several requests may touch the same ones, hence `up to`."""
        each = [r["affected_users"] for r in self.requests]
        if any(n is None for n in each):
            return formats.UNKNOWN
        if len(each) == 1:
            return formats.users(each[0])
        # of a number that is not shown, all that can be said is the most it may be
        return f"up to {formats.number(sum(abs(n) for n in each))}"

    @property
    def title(self) -> str:
        """What is to be done, with the number of requests it takes."""
        more = len(self.requests) - 1
        return str(self.first["title"]) + (f", and {formats.count(more, 'request')} like it" if more else "")


def severities(facts: Facts) -> dict[str, int]:
    """Count open findings by severity, most severe first, zero included."""
    found = Counter(f["severity"] for f in facts.findings)
    return {severity: found.get(severity, 0) for severity in theme.SEVERITIES}


def is_first_report(facts: Facts) -> bool:
    """Whether no earlier run left findings to compare with: all are new and none was resolved."""
    return not facts.resolved and all(f["state"] == "new" for f in facts.findings)


def apps_with_findings(facts: Facts) -> list[Risk]:
    """Return every app with an open finding, worst first (findings come most severe first)."""
    by_app: dict[str, list[Record]] = {}
    for finding in facts.findings:
        by_app.setdefault(finding["service_principal_id"], []).append(finding)
    first_action = {a["service_principal_id"]: a["title"] for a in reversed(facts.actions)}
    return [Risk(rows[0], len(rows) - 1, first_action.get(sp, "")) for sp, rows in by_app.items()]


def action_groups(actions: list[Record]) -> list[ActionGroup]:
    """Group the plan by app and kind of action, keeping the plan's order."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for action in actions:
        groups.setdefault((action["service_principal_id"], action["action_type"]), []).append(action)
    return [ActionGroup(rows[0], tuple(rows)) for rows in groups.values()]


def lanes(groups: list[ActionGroup]) -> dict[str, list[ActionGroup]]:
    """Sort the plan into Now, Next and Later, each in the plan's order; a lane of nothing stays, and is empty.

    Now is what answers a critical finding, or a high one without much effort; next the other high ones and the medium
    ones; later the rest.
    """
    found: dict[str, list[ActionGroup]] = {"Now": [], "Next": [], "Later": []}
    for group in groups:
        severity, effort = group.first["severity"], group.first["effort"]
        urgent = severity == "critical" or (severity == "high" and effort != "high")
        found["Now" if urgent else "Next" if severity in ("high", "medium") else "Later"].append(group)
    return found


def headline(facts: Facts) -> str:
    """Say in one or two sentences what stands and what changed."""
    counts = severities(facts)
    urgent = [f"{formats.number(counts[s])} {s}" for s in ("critical", "high") if counts[s]]
    apps = len({f["service_principal_id"] for f in facts.findings if not facts.is_tenant(f)})
    if urgent:
        several = counts["critical"] + counts["high"] != 1
        noun = "findings are" if several else "finding is"
        said = f"{' and '.join(urgent)} {noun} open; {formats.count(apps, 'app')} have something to mend."
    elif facts.findings:
        said = (
            f"No critical or high finding is open; {formats.count(len(facts.findings), 'finding')} of lower severity "
            f"concern {formats.count(apps, 'app')}."
        )
    else:
        said = "No finding is open."
    if apps == 1:
        said = said.replace("1 app have", "1 app has")
    new = sum(f["state"] in {"new", "returned"} for f in facts.findings)
    if not is_first_report(facts):
        gone = formats.number(len(facts.resolved))
        said += f" Since the last report {formats.number(new)} came up and {gone} were resolved."
    return said


def caution(facts: Facts) -> str:
    """Say what the headline does not cover; empty when every policy was evaluated on complete sources."""
    if facts.skipped:
        return (
            f"{formats.number(len(facts.skipped))} of {formats.count(facts.policies, 'policy', 'policies')} "
            "could not be evaluated, so fewer findings may be known than there are."
        )
    return ""


def coverage_line(facts: Facts) -> tuple[str, bool]:
    """Say in one line what was read, and whether anything is missing."""
    asked = [c for c in facts.coverage if not (c["optional"] and c["status"] == "not_collected")]
    whole = [c for c in asked if c["status"] == "complete"]
    days = [
        f"{name} {facts.covered_days.get(source, 0)} of {facts.period.days} days"
        for source, name in LOGS.items()
        if facts.covered_days.get(source, 0) != facts.period.days
    ]
    said = f"{len(whole)} of {formats.count(len(asked), 'source')} read completely"
    if not days:
        said += f"; sign-ins and API activity {facts.period.days} of {facts.period.days} days"
    else:
        said += "; " + ", ".join(days)
    gaps = [c for c in asked if c["status"] != "complete"]
    if gaps:
        named = ", ".join(
            f"{c['source'].replace('_', ' ')} ({c['status'].replace('_', ' ')})" for c in gaps[:SOURCES_NAMED]
        )
        more = f" and {len(gaps) - SOURCES_NAMED} more" if len(gaps) > SOURCES_NAMED else ""
        said += f". Not complete: {named}{more}"
    if facts.rejected_rows:
        said += f". {formats.count(facts.rejected_rows, 'imported record')} could not be read"
    return f"{said}.", bool(gaps or days or facts.rejected_rows)


def tiles(facts: Facts) -> list[Tile]:
    """Return the six numbers at the top, each with its change where there is one to tell."""
    counts = severities(facts)
    urgent = [f for f in facts.findings if f["severity"] in {"critical", "high"}]
    urgent_new = sum(f["state"] in {"new", "returned"} for f in urgent)
    urgent_gone = sum(f["severity"] in {"critical", "high"} for f in facts.resolved)
    first = is_first_report(facts)
    nothing_before = "first report, no earlier one to compare with"
    new = sum(f["state"] in {"new", "returned"} for f in facts.findings)
    high, external = facts.app_counts.get("high"), facts.app_counts.get("high_external")
    apps = f"of {formats.count(facts.app_counts.get('apps'), 'app')}, {formats.number(external)} of them external"
    if not any(c["source"] == "service_principals" and c["status"] in READ for c in facts.coverage):
        high, apps = None, "the inventory was not read"
    # Where no check could be evaluated, no number of findings means anything.
    unjudged = facts.policies > 0 and len(facts.skipped) >= facts.policies and not facts.findings
    if unjudged:
        nothing_before = "no check could be evaluated"
    now, before = facts.moved.get("bytes_returned"), facts.moved.get("bytes_previous")
    change = formats.change(now, before, "bytes")
    return [
        Tile(
            "Critical and high findings",
            formats.number(None if unjudged else counts["critical"] + counts["high"]),
            nothing_before
            if first or unjudged
            else f"{formats.number(urgent_new)} new, {formats.number(urgent_gone)} resolved",
            "#findings",
        ),
        Tile(
            "New since the last report",
            formats.number(None if unjudged else new),
            nothing_before if first or unjudged else f"of {formats.count(len(facts.findings), 'open finding')}",
            "#findings",
        ),
        Tile(
            "Resolved since the last report",
            "none yet" if first else formats.number(len(facts.resolved)),
            nothing_before if first else "their policies no longer hold",
            "#findings",
        ),
        Tile(
            "Apps with high privilege",
            formats.number(high),
            apps,
            "01_inventory.html",
        ),
        Tile(
            "Data received by apps",
            formats.size(now),
            f"{formats.arrow(now, before)} {change}".strip(),
            "03_data_transfer.html",
            formats.exact_size(now),
        ),
        Tile(
            "Checks not evaluated",
            formats.number(len(facts.skipped)),
            f"of {formats.count(facts.policies, 'policy', 'policies')}",
            "#not-checked",
        ),
    ]
