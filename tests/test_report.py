"""The rules behind the report: sentences, tiles, pictures and pages from facts written by hand."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import pytest

from appgov_lib.period import Period
from appgov_lib.report import svg
from appgov_lib.report.app import app_context, evidence_lists, evidence_pairs, undo_text
from appgov_lib.report.facts import Facts
from appgov_lib.report.pages import Site, app_page_name, app_pages, index_page
from appgov_lib.report.summary import action_groups, apps_with_findings, caution, coverage_line, headline, tiles

AS_OF = dt.date(2026, 11, 15)
PERIOD = Period(AS_OF, 7)
SITE = Site("Northwind", PERIOD.text, "appgov 0.1.0.", ())
LOG_SOURCES = (
    "sign_ins_interactive",
    "sign_ins_non_interactive",
    "sign_ins_service_principal",
    "sign_ins_managed_identity",
    "api_activity",
)


def finding(number: int, severity: str = "high", state: str = "open", **more: Any) -> dict[str, Any]:
    """One open finding of app `number`, as the query returns it."""
    app = f"00000000-0000-0000-0000-{number:012d}"
    row = {"finding_id": f"{number:016x}", "policy_id": "unused-app", "policy_title": "App not used", "app_id": app}
    row |= {"service_principal_id": f"sp{number}", "display_name": f"App {number}", "title": "", "subject": ""}
    row |= {"severity": severity, "confidence": "high", "status": "active", "state": state, "measure": 1.0}
    row |= {"threshold": 1.0, "reason": "Last used 200 days ago.", "evidence": "{}", "mitre": ["T1528"]}
    row |= {"action": "x", "judged": True, "first_seen": AS_OF, "last_seen": AS_OF, "app_origin": "external"}
    row |= {"publisher_name": "Acme", "publisher_verified": False, "privilege_level": "high", "risk_score": 40}
    return row | {"strongest_permission": "Mail.Read", "strongest_type": "delegated"} | more


def action(number: int, kind: str = "remove_scopes", app: int = 1) -> dict[str, Any]:
    """One action for app `app`."""
    row = {"action_id": f"a{number}", "priority": number, "app_id": "x", "service_principal_id": f"sp{app}"}
    row |= {"display_name": f"App {app}", "action_type": kind, "title": f"Do {number}", "why": "Because."}
    row |= {"severity": "high", "disposition": "needs_review", "effort": "low", "affected_users": 1}
    row |= {"steps": ["First."], "verify": "Look.", "method": "PATCH", "path": "/v1.0/x", "body": '{"a":1}'}
    return row | {"undo": None, "permission_needed": "X.Write", "finding_ids": ["f"]}


READ_SOURCES = ["service_principals", *LOG_SOURCES]


def facts_of(**more: Any) -> Facts:
    """A tenant of three sources without anything wrong, changed by keyword."""
    coverage = [{"source": s, "status": "complete", "rows": 5, "from_at": None, "to_at": None} for s in READ_SOURCES]
    plain: dict[str, Any] = {
        "period": PERIOD,
        "tenant": {"display_name": "Northwind", "default_domain": "northwind.example", "tenant_id": "t"},
        "run": {"appgov_version": "0.1.0", "build_id": "b", "data_read_at": "2026-11-16T00:00:00Z"},
        "coverage": [c | {"reason": "", "what_is_lost": "much", "optional": False} for c in coverage],
        "covered_days": dict.fromkeys(LOG_SOURCES, 7),
        "rejected_rows": 0,
        "policies": 11,
        "inventory": {"sp1": {"display_name": "App 1", "owner_count": 0}},
        "app_counts": {"apps": 300, "high": 40, "high_external": 12, "not_known": 0},
        "moved": {"bytes_returned": 400_000_000, "bytes_previous": 320_000_000},
        "daily": [{"day": d, "sign_ins": 10, "calls": 20, "bytes_returned": 30} for d in PERIOD.dates],
    }
    lists = ("findings", "resolved", "excepted", "skipped", "actions")
    maps = ("usage", "permissions", "credentials", "owners", "consents", "changes", "anomalies", "history")
    return Facts(**{**plain, **{n: [] for n in lists}, **{n: {} for n in maps}, **more})


def index_of(facts: Facts) -> str:
    """The summary page of `facts`."""
    return index_page(facts, SITE, [], [])


# Sentences made by rule


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([], "No finding is open."),
        ([finding(1, "high", "new")], "1 high finding is open; 1 app has something to mend."),
        (
            [finding(1, "critical", "new"), finding(1, "high", "new"), finding(2, "low", "new")],
            "1 critical and 1 high findings are open; 2 apps have something to mend.",
        ),
        (
            [finding(1, "medium", "new"), finding(2, "low", "new")],
            "No critical or high finding is open; 2 findings of lower severity concern 2 apps.",
        ),
    ],
)
def test_headline_of_a_first_report(findings, said):
    assert headline(facts_of(findings=findings)) == said


def test_headline_says_what_changed():
    facts = facts_of(
        findings=[finding(1), finding(2, state="new"), finding(3, state="returned")], resolved=[finding(4)]
    )
    assert headline(facts).endswith("Since the last report 2 came up and 1 were resolved.")


def test_skipped_policies_are_a_caution_never_a_pass():
    facts = facts_of(skipped=[{"policy_id": "unused-app", "policy_title": "App not used", "reason": "no licence"}])
    assert caution(facts).startswith("1 of 11 policies could not be evaluated")
    page = index_of(facts)
    assert caution(facts) in page
    assert "no licence" in page
    assert caution(facts_of()) == ""


def test_coverage_in_one_line():
    assert coverage_line(facts_of()) == (
        "6 of 6 sources read completely; sign-ins and API activity 7 of 7 days.",
        False,
    )


def test_coverage_names_gaps_days_and_refused_records():
    facts = facts_of(covered_days={**facts_of().covered_days, "api_activity": 5}, rejected_rows=3)
    facts.coverage[-1]["status"] = "not_licensed"
    said, gaps = coverage_line(facts)
    assert gaps
    assert said == (
        "5 of 6 sources read completely; API activity 5 of 7 days. Not complete: api activity (not licensed). "
        "3 imported records could not be read."
    )


def test_tiles_compare_where_there_is_something_to_compare():
    first = {t.name: t for t in tiles(facts_of(findings=[finding(1, state="new")]))}
    assert first["Critical and high findings"].change == "first report, no earlier one to compare with"
    assert first["Data received by apps"].change == "\u25b2 80.0 MB more (25%)"
    later = facts_of(findings=[finding(1), finding(2, state="new")], resolved=[finding(3), finding(4, "low")])
    shown = {t.name: (t.value, t.change) for t in tiles(later)}
    assert shown["Critical and high findings"] == ("2", "1 new, 1 resolved")
    assert shown["Resolved since the last report"][0] == "2"
    assert len(shown) == 6


def test_numbers_that_nothing_was_read_for_are_unknown():
    skipped = [
        {"policy_id": f"p{n}", "policy_title": "P", "reason": "r", "code": "c", "source": "s"} for n in range(11)
    ]
    shown = {t.name: (t.value, t.change) for t in tiles(facts_of(skipped=skipped, coverage=[]))}
    assert shown["Critical and high findings"] == ("unknown", "no check could be evaluated")
    assert shown["New since the last report"] == ("unknown", "no check could be evaluated")
    assert shown["Apps with high privilege"] == ("unknown", "the inventory was not read")
    assert shown["Checks not evaluated"][0] == "11"
    one_less = {t.name: t.value for t in tiles(facts_of(skipped=skipped[:10]))}
    assert one_less["Critical and high findings"] == "0"
    assert one_less["Apps with high privilege"] == "40"


def test_unknown_is_a_word_on_every_tile():
    facts = facts_of(app_counts={}, moved={"bytes_returned": None, "bytes_previous": None})
    shown = {t.name: (t.value, t.change) for t in tiles(facts)}
    assert shown["Data received by apps"] == ("unknown", "no earlier period to compare")
    assert shown["Apps with high privilege"][0] == "unknown"


def test_an_app_is_one_risk_with_its_worst_finding_and_first_action():
    facts = facts_of(
        findings=[finding(1, "critical"), finding(2), finding(1, "low")], actions=[action(1, app=1), action(2)]
    )
    risks = apps_with_findings(facts)
    assert [(r.app["severity"], r.others, r.action) for r in risks] == [("critical", 1, "Do 1"), ("high", 0, "")]


def test_like_actions_of_one_app_are_one_step():
    groups = action_groups([action(1), action(2), action(3, "disable_sign_in"), action(4, app=2)])
    assert [g.title for g in groups] == ["Do 1, and 1 request like it", "Do 3", "Do 4"]
    assert [g.users for g in groups] == ["up to 2", "1", "1"]
    assert action_groups([action(1) | {"affected_users": None}])[0].users == "unknown"


# Pictures without script


def test_a_strip_fills_its_width_and_shows_the_smallest_part():
    pieces = svg.strip({"critical": 1, "high": 0, "medium": 500, "low": 20, "info": 0})
    assert [p.kind for p in pieces] == ["critical", "medium", "low"]
    assert pieces[0].width >= svg.LEAST_PIECE
    assert pieces[-1].x + pieces[-1].width == pytest.approx(svg.STRIP_WIDTH, abs=0.2)
    assert svg.strip({})[0].kind == "none"


def test_lines_lift_the_pen_over_unknown_days():
    days = {d: float(n) for n, d in enumerate(PERIOD.dates) if n != 3}
    chart = svg.lines("Sign-ins", days, PERIOD, "")
    (path,) = chart.paths
    assert path.d.count("M") == 2
    assert len(chart.dots) == 6
    assert chart.gaps == "1 day of this period not known."
    assert svg.lines("Sign-ins", {}, PERIOD, "").paths == []


def test_a_history_frames_unknown_days_and_marks_flagged_ones():
    days = {AS_OF - dt.timedelta(days=n): 5.0 for n in range(20) if n != 10}
    chart = svg.history("Data", days, PERIOD, "bytes", [AS_OF])
    assert len(chart.bars) == 20
    assert [b.kind for b in chart.bars].count("gap") == 1
    assert chart.bars[-1].kind == "bar flag"
    assert [b.kind for b in chart.bars].count("bar now") == 6
    assert chart.caption == "Data: 35 bytes in the period, 1 day outside its own past."
    assert svg.history("Data", {}, PERIOD, "bytes").bars == []


def test_days_before_an_app_was_first_seen_are_not_called_gaps():
    chart = svg.history("Data", {AS_OF: 5.0, AS_OF - dt.timedelta(days=1): 3.0}, PERIOD, "bytes")
    assert [b.kind for b in chart.bars] == ["bar now", "bar now"]
    assert chart.gaps == "First day in the logs: 2026-11-14."


# Pages


def test_the_summary_keeps_its_order():
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", index_of(facts_of(findings=[finding(1)])))
    assert headings == [
        "Open findings by severity",
        "Top risks",
        "Action plan",
        "What changed since the previous run",
        "Consent settings",
        "Trends",
        "All open findings",
        "What was not checked",
        "Method and glossary",
    ]


def test_an_empty_tenant_says_so_everywhere():
    page = index_of(facts_of(tenant={}, daily=[], coverage=[], covered_days={}, app_counts={}, moved={}, run={}))
    for words in (
        "No finding is open.",
        "No app has an open finding.",
        "There is nothing to do",
        "No finding was resolved.",
        "All 11 policies were evaluated.",
        "No day of this period or the one before is known.",
    ):
        assert words in page
    assert "None" not in page


def test_an_app_of_which_nothing_is_known_has_a_page():
    facts = facts_of(findings=[finding(2, publisher_name=None, publisher_verified=None, strongest_permission=None)])
    (page,) = app_pages(facts, SITE).values()
    assert page.count("unknown") >= 12
    assert "None" not in page
    assert "No permission is known: grants were not read in full." in page
    assert "This app holds no permission." not in page
    assert "No day of use is known for this app." in page


def test_a_finding_about_the_tenant_has_a_page_that_says_nothing_of_an_app():
    about = {"service_principal_id": "t", "app_id": "", "display_name": "Tenant settings"}
    (page,) = app_pages(facts_of(findings=[finding(3, **about)]), SITE).values()
    assert "About settings of the tenant, not about an app." in page
    assert "Tenant settings" in page
    assert "This app" not in page
    assert "Service principal" not in page


def test_app_pages_show_what_is_granted_with_its_proof():
    row = {"permission": "Mail.Read", "permission_type": "delegated", "privilege_level": "high", "usage": "unused"}
    row |= {"usage_reason": "no call of this family in 30 days", "last_used_at": None, "consent_type": "user"}
    row |= {"consented_users": 3, "resource_name": "Microsoft Graph", "granted_at": None}
    facts = facts_of(findings=[finding(1)], permissions={"sp1": [row]})
    table = app_context(facts, "sp1")["tables"]["permissions"]
    cells = dict(zip([c.heading for c in table.columns], [c.text for c in table.rows[0]], strict=True))
    assert cells["Proof or reason"] == "no call of this family in 30 days"
    assert cells["Consent"] == "by 3 users, date unknown"


def test_evidence_is_written_in_reading_form():
    evidence = json.dumps(
        {"observed_bytes": 1500, "verified": None, "days": [{"day": "2026-11-15", "p": 0.5}], "names": ["a", "b"]}
    )
    assert evidence_pairs(evidence) == [
        ("observed bytes", "1.50 kB (1,500 bytes)"),
        ("verified", "unknown"),
        ("names", "a, b"),
    ]
    (table,) = evidence_lists(evidence)
    assert table.caption == "Days"
    assert evidence_pairs("not json") == [("evidence", "not json")]
    assert evidence_pairs(None) == []


def test_undo_is_said_in_words():
    undo = {"method": "PATCH", "path": "/v1.0/x", "body": {"a": 1}, "note": "It comes back."}
    assert undo_text(json.dumps(undo)) == 'PATCH /v1.0/x with {"a": 1} (It comes back)'
    assert undo_text('{"method": null, "note": "Nothing is changed."}') == "Nothing is changed."


@pytest.mark.parametrize("app_id", ["../../etc/passwd", "", None, "<b>", "A" * 300])
def test_page_names_are_safe_whatever_the_app_id(app_id):
    assert re.fullmatch(r"app-[0-9a-f]{16}\.html", app_page_name(app_id, "sp"))


def test_an_app_id_is_the_page_name():
    assert app_page_name("4AF6CBF9-0000-4000-8000-000000000001", "sp") == "4af6cbf9-0000-4000-8000-000000000001.html"


def test_a_thousand_findings_stay_below_the_size_limit():
    many = [finding(n, "medium", reason="x" * 300) for n in range(5000)]
    facts = facts_of(findings=many, actions=[action(n, app=n) for n in range(5000)])
    page = index_of(facts)
    assert len(page) < 1_500_000
    assert "The first 60 of 5,000 rows." in page
