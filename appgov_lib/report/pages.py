"""The summary page and the app pages: facts in, HTML out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appgov_lib import formats, theme
from appgov_lib.report import svg
from appgov_lib.report.app import app_context
from appgov_lib.report.facts import Facts
from appgov_lib.report.summary import (
    TOP_RISKS,
    action_groups,
    apps_with_findings,
    caution,
    coverage_line,
    headline,
    severities,
    tiles,
)
from appgov_lib.runner import Notebook, NotebookResult
from appgov_lib.tables import Column, Record, Table, table_of
from appgov_lib.templating import render

GROUPS_SHOWN = 8
FINDINGS_SHOWN = 60
"""Of each severity; all are in the files."""
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Site:
    """What all pages of a report share: navigation and footer."""

    tenant: str
    period: str
    made: str
    links: tuple[dict[str, str], ...]


def app_page_name(app_id: object, service_principal_id: str) -> str:
    """Return the file name of an app's page: the app id, or a digest where it is none (ids come from outside too)."""
    name = str(app_id or "").lower()
    if not _GUID.fullmatch(name):
        name = "app-" + hashlib.sha256(f"{app_id}|{service_principal_id}".encode()).hexdigest()[:16]
    return f"{name}.html"


def site_of(facts: Facts, notebooks: Sequence[Notebook]) -> Site:
    """Return navigation and footer for the notebooks that have a page."""
    name = facts.tenant.get("display_name") or facts.run.get("tenant") or "Tenant without a name"
    version, build = (facts.run.get(key, formats.UNKNOWN) for key in ("appgov_version", "build_id"))
    made = f"appgov {version}, warehouse {build}."
    links = tuple({"href": f"{n.name}.html", "text": n.title} for n in notebooks)
    return Site(formats.plain(name), facts.period.text, made, links)


def index_page(facts: Facts, site: Site, notebooks: Sequence[Notebook], results: Sequence[NotebookResult]) -> str:
    """Return the summary page."""
    risks = apps_with_findings(facts)
    groups = action_groups(facts.actions)
    counts = severities(facts)
    said, has_gaps = coverage_line(facts)
    pages = {r.app["service_principal_id"]: _app_link(r.app) for r in risks}
    return render(
        "summary.html.j2",
        here="index.html",
        up="",
        site=site,
        facts=facts,
        notebooks=notebooks,
        failed=[r for r in results if r.failed],
        coverage_line=said,
        has_gaps=has_gaps,
        headline=headline(facts),
        caution=caution(facts),
        start=risks[0] if risks else None,
        tiles=tiles(facts),
        counts=counts,
        strip=svg.strip(counts),
        risks=risks[:TOP_RISKS],
        risks_left=max(len(risks) - TOP_RISKS, 0),
        groups=groups[:GROUPS_SHOWN],
        groups_left=max(len(groups) - GROUPS_SHOWN, 0),
        requests=len(facts.actions),
        trends=trends(facts),
        findings={s: findings_table(facts, s, pages) for s in theme.SEVERITIES if counts[s]},
        resolved=resolved_table(facts),
        excepted=excepted_table(facts) if facts.excepted else None,
        skipped=skipped_table(facts),
        coverage=coverage_table(facts),
        app_href=pages,
        policies=_policy_titles(),
        owner_of=lambda sp: owner_names(facts, sp),
    )


def app_pages(facts: Facts, site: Site) -> dict[str, str]:
    """Return the page of every app with an open finding, by file name."""
    pages = {}
    for risk in apps_with_findings(facts):
        row = risk.app
        context = app_context(facts, row["service_principal_id"])
        name = app_page_name(row["app_id"], row["service_principal_id"])
        pages[name] = render("app.html.j2", here=f"apps/{name}", up="../", site=site, facts=facts, **context)
    return pages


def owner_names(facts: Facts, service_principal_id: str) -> str:
    """Name up to three owners of an app who can still sign in: whom an action is agreed with."""
    rows = facts.owners.get(service_principal_id, [])
    names = sorted(
        {formats.plain(r["owner_name"] or r["owner_id"], 60) for r in rows if r["owner_enabled"] is not False}
    )
    if not names:
        return (
            "nobody"
            if facts.inventory.get(service_principal_id, {}).get("owner_count") == 0 or rows
            else formats.UNKNOWN
        )
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _app_link(row: Record) -> str:
    """Return the address of an app's page from the summary."""
    return f"apps/{app_page_name(row['app_id'], row['service_principal_id'])}"


def trends(facts: Facts) -> list[svg.Lines]:
    """Return this period against the one before: sign-ins, API calls, data."""
    days = {d: r for r in facts.daily if (d := formats.as_date(r["day"]))}
    wanted = (("sign_ins", "Sign-ins", ""), ("calls", "API calls", ""), ("bytes_returned", "Data returned", "bytes"))
    return [
        svg.lines(name, {d: r[column] for d, r in days.items()}, facts.period, unit) for column, name, unit in wanted
    ]


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
        links={"display_name": lambda _: pages[next(owners)]},
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


def coverage_table(facts: Facts) -> Table:
    """Return every source with its state and what is lost without it."""
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
        for c in facts.coverage
    ]
    for row in rows:
        for name in ("from_at", "to_at"):
            row[name] = row[name] if isinstance(row[name], str) else formats.day(row[name])
    return table_of(
        rows,
        "Sources of this report",
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


def _policy_titles() -> list[dict[str, Any]]:
    """Return the policies as the method section lists them: id, title, severity, the first words of their page."""
    from appgov_lib.detect.policy import load_policies

    return [
        {
            "policy_id": p.policy_id,
            "title": p.title,
            "severity": p.severity,
            "text": formats.plain(p.section("What it finds").split("\n\n")[0].replace("`", ""), 400),
        }
        for p in load_policies()
        if p.status != "inactive"
    ]
