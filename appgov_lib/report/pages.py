"""The summary page and the app pages: facts in, HTML out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appgov_lib import formats, theme
from appgov_lib.report import overview, svg
from appgov_lib.report.app import app_context
from appgov_lib.report.apps import all_apps
from appgov_lib.report.facts import Facts
from appgov_lib.report.lists import (
    coverage_table,
    excepted_table,
    findings_table,
    is_gap,
    resolved_table,
    skipped_table,
    unrecognised_table,
)
from appgov_lib.report.summary import (
    TOP_RISKS,
    Risk,
    action_groups,
    apps_with_findings,
    caution,
    coverage_line,
    headline,
    lanes,
    severities,
    tiles,
)
from appgov_lib.runner import Notebook, NotebookResult
from appgov_lib.tables import Record
from appgov_lib.templating import render

CHAINS_SHOWN = 3
GROUPS_SHOWN = 5
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
    made = f"appgov {version}, warehouse {build}.{_people_shown(facts.run)}"
    links = (
        {
            "href": "apps.html",
            "text": "All apps",
            "menu": "Apps",
            "about": "Every app on one line.",
        },
        *({"href": f"{n.name}.html", "text": n.title, "menu": n.menu, "about": n.question} for n in notebooks),
    )
    return Site(formats.plain(name), facts.period.text, made, links)


def _people_shown(run: dict[str, str]) -> str:
    """Say that people are not shown as what they are called, where that is so."""
    said = " People are shown as tokens." if run.get("pseudonymised") else ""
    least = run.get("min_users_shown")
    return said + (f" Groups of fewer than {least} users are not counted." if least else "")


def index_page(facts: Facts, site: Site, notebooks: Sequence[Notebook], results: Sequence[NotebookResult]) -> str:
    """Return the summary page."""
    return render("summary.html.j2", **index_context(facts, site, notebooks, results))


def index_context(
    facts: Facts, site: Site, notebooks: Sequence[Notebook], results: Sequence[NotebookResult]
) -> dict[str, Any]:
    """Return everything the template of the summary needs."""
    risks = apps_with_findings(facts)
    groups = action_groups(facts.actions)
    counts = severities(facts)
    said, has_gaps = coverage_line(facts)
    pages = _addresses(facts, risks) | {
        r.app["service_principal_id"]: "#consent" for r in risks if facts.is_tenant(r.app)
    }
    return dict(
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
        pages_left=len(facts.unpaged),
        pages_written=len(risks) - len(facts.unpaged),
        chains=facts.details.chains[:CHAINS_SHOWN],
        chains_left=max(len(facts.details.chains) - CHAINS_SHOWN, 0),
        lanes={name: (found[:GROUPS_SHOWN], len(found)) for name, found in lanes(groups).items()},
        groups=groups,
        requests=len(facts.actions),
        trends=trends(facts),
        findings={s: findings_table(facts, s, pages) for s in theme.SEVERITIES if counts[s]},
        resolved=resolved_table(facts),
        excepted=excepted_table(facts) if facts.excepted else None,
        skipped=skipped_table(facts),
        unrecognised=unrecognised_table(facts) if facts.unrecognised else None,
        coverage=coverage_table(facts.coverage, "Every source of this report"),
        gaps=coverage_table([c for c in facts.coverage if is_gap(c)], "Sources not read completely"),
        app_href=pages,
        policies=_policy_titles(),
        hrefs={link["href"] for link in site.links},
        **_tenant_parts(facts, site, pages),
        owner_of=lambda sp: owner_names(facts, sp),
    )


def _tenant_parts(facts: Facts, site: Site, pages: dict[str, str]) -> dict[str, Any]:
    """Return the parts of the summary about the tenant as a whole."""
    whole = facts.overview
    there = {link["href"] for link in site.links}
    tiles_of_facts = [
        tile if tile.href in there or tile.href.startswith("#") else replace(tile, href="")
        for tile in overview.fact_tiles(whole)
    ]
    return {
        "fact_tiles": tiles_of_facts,
        "all_facts": overview.facts_table(whole),
        "changes_said": overview.changes_said(whole),
        "changes": overview.changes_table(whole, pages),
        "posture_said": overview.posture_said(whole),
        "posture_risky": overview.posture_table(whole, ("risky",)),
        "posture_weak": overview.posture_table(whole, ("weak",)),
        "posture_unknown": overview.posture_table(whole, ("unknown",)),
        "suggested": overview.suggested_table(whole),
        "incidents": overview.incidents_table(whole, facts.source("incidents")),
        "score": overview.score_table(whole),
    }


def apps_page(facts: Facts, site: Site, more: Mapping[str, str]) -> str:
    """Return the page of all apps; `more` are addresses of pages of apps without a finding, or of too many with one."""
    pages = dict(more) | _addresses(facts, apps_with_findings(facts))
    frame = {"here": "apps.html", "up": "", "site": site, "pages_left": len(facts.unpaged - more.keys())}
    return render("apps.html.j2", **frame, **all_apps(facts.apps, pages))


def app_pages(facts: Facts, site: Site) -> dict[str, str]:
    """Return the page of every app with an open finding, by file name."""
    return {name: render("app.html.j2", **context) for name, context in app_contexts(facts, site).items()}


def app_contexts(facts: Facts, site: Site) -> dict[str, dict[str, Any]]:
    """Return what the template of each app page needs, by file name, worst app first."""
    found = {}
    for risk in apps_with_findings(facts):
        row = risk.app
        if facts.is_tenant(row) or row["service_principal_id"] in facts.unpaged:
            continue
        name = app_page_name(row["app_id"], row["service_principal_id"])
        frame = {"here": f"apps/{name}", "up": "../", "site": site, "facts": facts}
        found[name] = frame | app_context(facts, row["service_principal_id"])
    return found


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


def _addresses(facts: Facts, risks: Sequence[Risk]) -> dict[str, str]:
    """Return where the page of each app is that has one."""
    return {
        r.app["service_principal_id"]: _app_link(r.app)
        for r in risks
        if r.app["service_principal_id"] not in facts.unpaged
    }


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
