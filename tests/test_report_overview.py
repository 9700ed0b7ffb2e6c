"""The tenant as a whole on the summary page, from rows written by hand."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from test_report import PERIOD, SITE, action, facts_of, finding, index_of
from test_report_app import lines

from appgov_lib.report import overview
from appgov_lib.report.facts import Facts
from appgov_lib.report.overview import Overview
from appgov_lib.report.pages import app_pages
from appgov_lib.report.summary import headline
from appgov_lib.tables import Record

BEFORE = dt.datetime(2026, 11, 8)
NOW = dt.datetime(2026, 11, 15, 8)


def fact(fact_id: str, value: float | None, previous: float | None, reason: str = "", unit: str = "apps") -> Record:
    """One row of `overview_tiles`."""
    row = {"fact_id": fact_id, "fact": f"Fact {fact_id}", "value": value, "previous_value": previous, "unit": unit}
    row |= {"period_from": PERIOD.start, "period_to": PERIOD.as_of}
    return row | {"coverage": "complete" if value is not None else "unknown", "reason": reason}


def change(kind: str = "credential", what: str = "added", **more: Any) -> Record:
    """One row of `changes` as the newest reading shows it."""
    row = {"changed_at": NOW, "kind": kind, "change": what, "service_principal_id": "sp1", "app_id": "a"}
    row |= {"display_name": "App 1", "subject": "secret", "before": None, "after": "until 2028"}
    return row | {"actor_name": "Ann", "reason": "Told.", "change_id": "c"} | more


def setting(verdict: str) -> Record:
    """One setting of the tenant."""
    row = {"setting_id": verdict, "setting": f"Setting {verdict}", "value": None, "reason": f"It is {verdict}."}
    return row | {"verdict": verdict, "recommended": "No"}


def test_tiles_say_number_change_and_what_is_missing():
    rows = [
        fact("OV-1", 292, 293),
        fact("OV-2", 6, None, "Not known for 2 of 292 apps. The number before is not kept."),
        fact("OV-10", None, None, "No record of the log carries a label."),
    ]
    tiles = {t.name: t for t in overview.fact_tiles(Overview(facts=rows))}
    assert (tiles["Fact OV-1"].value, tiles["Fact OV-1"].change) == ("292", "\u25bc 1 fewer (under 1%)")
    assert (tiles["Fact OV-2"].change, tiles["Fact OV-2"].note) == ("", "Not known for 2 of 292 apps.")
    assert tiles["Fact OV-10"].value == "unknown"
    assert tiles["Fact OV-10"].note == "No record of the log carries a label."


def test_all_numbers_stand_in_one_table_bytes_as_sizes():
    rows = [fact("OV-1", 292, 293), fact("OV-11", 4e8, None, "Nothing before.", "bytes"), fact("OV-99", None, None)]
    assert [(r["Number"], r["Before"]) for r in lines(overview.facts_table(Overview(facts=rows)))] == [
        ("292", "293"),
        ("400 MB", "unknown"),
        ("unknown", "unknown"),
    ]


def test_a_first_reading_is_not_called_unchanged():
    assert overview.changes_said(Overview()) == (
        "The tenant was read whole once so far: the next reading shows what changed."
    )
    later = Overview(compared_with=BEFORE, not_compared=2)
    assert overview.changes_said(later) == (
        "Nothing changed since the reading of 2026-11-08 00:00 UTC. "
        "2 sources had no earlier complete reading to compare with."
    )


def test_what_changed_is_counted_by_kind():
    rows = [change(), change(), change("delegated_grant", "removed")]
    assert overview.changes_said(Overview(changes=rows, compared_with=BEFORE)) == (
        "3 changes since the reading of 2026-11-08 00:00 UTC: 2 credential added, 1 delegated permission removed."
    )
    page = index_of(facts_of(findings=[finding(1)], overview=Overview(changes=rows, compared_with=BEFORE)))
    assert "Changed since the reading before: 3 changes" in page
    assert '<a href="apps/00000000-0000-0000-0000-000000000001.html"><bdi>App 1</bdi></a>' in page


def test_a_change_of_a_setting_has_no_app_and_no_link():
    row = change("setting", "changed", service_principal_id=None, app_id=None, display_name=None, before="no")
    (shown,) = lines(overview.changes_table(Overview(changes=[row]), {}))
    assert (shown["App"], shown["What"], shown["How"]) == ("tenant", "setting changed", "no \u2192 until 2028")


def test_risky_settings_stand_open_and_weak_ones_are_folded():
    posture = [setting(v) for v in ("risky", "weak", "unknown", "safe", "safe")]
    whole = Overview(posture=posture)
    assert overview.posture_said(whole) == (
        "Of 5 settings that decide which apps get in: 1 risky, 1 weak, 1 unknown, 2 safe."
    )
    page = index_of(facts_of(overview=whole))
    part = page[page.index('<h2 id="consent">') : page.index('<h2 id="trends">')]
    assert part.index("It is risky.") < part.index("<details>") < part.index("It is weak.")
    assert "It is unknown." in part
    assert "It is safe." not in part
    assert "No setting was read." in index_of(facts_of())


@pytest.mark.parametrize(
    ("status", "said"), [("complete", "There is none."), ("not_licensed", "Unknown: incidents were not read")]
)
def test_no_incident_is_said_only_when_incidents_were_read(status, said):
    source = {"source": "incidents", "status": status, "reason": ""}
    assert overview.incidents_table(Overview(), source).empty.startswith(said)


def test_an_incident_names_its_apps():
    row = {"display_name": "Odd", "severity": "informational", "status": "active", "source": None, "incident_id": "41"}
    row |= {"apps": ["App 1", "App 2"], "last_activity_at": NOW}
    (shown,) = lines(overview.incidents_table(Overview(incidents=[row]), {"status": "complete", "reason": ""}))
    assert (shown["Severity"], shown["Apps"], shown["Number"]) == ("info", "App 1, App 2", "41")


# Findings about settings concern the tenant


def tenant_facts() -> Facts:
    """One finding of an app and a worse one of the tenant's settings, with an action each."""
    about = {"app_id": None, "service_principal_id": "t", "display_name": "Tenant settings", "subject": "user_consent"}
    about |= {"app_origin": None, "publisher_name": None, "publisher_verified": None, "risk_score": None}
    about |= {"strongest_permission": None, "policy_title": "Anybody may consent"}
    findings = [finding(9, "critical", **about), finding(9, "high", **about), finding(1)]
    actions = [action(1) | {"app_id": None, "service_principal_id": "t", "display_name": "Tenant settings"}]
    return facts_of(findings=findings, actions=actions)


def test_a_setting_has_no_app_page_and_is_no_app():
    facts = tenant_facts()
    assert len(app_pages(facts, SITE)) == 1
    assert "1 app has something to mend" in headline(facts)
    page = index_of(facts)
    assert '<a href="#consent"><bdi>Tenant settings</bdi></a>' in page
    assert "About the settings of the tenant, not about one app" in page
    assert '<a href="#findings">1 more finding</a>' in page
    assert "#consent#" not in page
    assert "None" not in page


def test_lower_severities_are_folded_and_gaps_stand_open():
    facts = facts_of(findings=[finding(1), finding(2, "medium"), finding(3, "medium")])
    facts.coverage[0] |= {"status": "partial", "reason": "cut short", "what_is_lost": "much of it"}
    page = index_of(facts)
    part = page[page.index('id="findings-medium"') :]
    assert part.index("<details><summary>Show them") < part.index("<table")
    high = page[page.index('id="findings-high"') : page.index('id="findings-medium"')]
    assert "<details>" not in high
    gaps = page[page.index('<h2 id="not-checked">') :]
    assert gaps.index("Sources not read completely") < gaps.index("<details>") < gaps.index("Every source")
