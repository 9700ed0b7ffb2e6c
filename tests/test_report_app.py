"""The parts of an app page, each from rows written by hand: what is unknown stays unknown, what is found is shown."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from test_report import PERIOD, SITE, facts_of, finding

from appgov_lib.report import app_access, app_state
from appgov_lib.report.app import app_context
from appgov_lib.report.details import Details
from appgov_lib.report.facts import Facts
from appgov_lib.report.pages import app_pages
from appgov_lib.tables import Record, Table

APP = "00000000-0000-0000-0000-000000000001"
PRINCIPAL = "11111111-0000-0000-0000-000000000001"
NOW = dt.datetime(2026, 11, 11, 9, 7)
GRANT_SOURCES = ("delegated_grants", "app_role_assignments")


def with_sources(*names: str, status: str = "complete", **more: Any) -> Facts:
    """Facts in which these sources were read so."""
    row = {"status": status, "rows": 1, "from_at": None, "to_at": None, "what_is_lost": "", "optional": False}
    reason = "" if status == "complete" else "the licence is missing."
    coverage = [{**row, "source": name, "reason": reason} for name in names]
    return facts_of(coverage=coverage, findings=[finding(1)], **more)


def lines(table: Table) -> list[dict[str, str]]:
    """The rows of a table as heading and text."""
    heads = [c.heading for c in table.columns]
    return [dict(zip(heads, [c.text for c in row], strict=True)) for row in table.rows]


def permission(**more: Any) -> Record:
    """One permission held, as the query returns it."""
    row = {"permission": "Mail.Read", "permission_type": "application", "privilege_level": "high", "usage": "used"}
    row |= {"usage_reason": "calls served: 5", "last_used_at": NOW, "consent_type": "admin", "consented_users": 0}
    row |= {"resource_name": "Microsoft Graph", "granted_at": NOW, "level_reason": "reads every mailbox"}
    row |= {"proving_endpoints": ["GET /users/{id}/messages (5)"], "is_redundant": False, "redundant_reason": None}
    row |= {"may_be_limited_by": None, "in_manifest": None, "microsoft_verdict_differs": False, "unmatched_calls": 0}
    row |= {"microsoft_in_use": None, "window_from": dt.date(2026, 10, 17), "window_to": PERIOD.as_of}
    return row | {"window_coverage": "complete"} | more


# Granted


def test_a_used_permission_names_the_calls_that_prove_it():
    (row,) = lines(app_access.permissions_table(facts_of(), [permission()]))
    assert row["Use"] == "used"
    assert row["Proof or reason"] == "calls served: 5. Most called: GET /users/{id}/messages (5). Last on 2026-11-11"
    assert row["Consent"] == "by an administrator, 2026-11-11"
    assert row["Level and marks"] == "Reads every mailbox"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"is_redundant": True, "redundant_reason": "Mail.ReadBasic"}, "Redundant: Mail.ReadBasic"),
        ({"is_redundant": True}, "Redundant: a smaller permission, also held, serves every call seen"),
        (
            {"may_be_limited_by": "exchange_application_access"},
            "May be narrowed by an application access policy or role assignment in Exchange, which Graph does not show",
        ),
        ({"in_manifest": False}, "Not asked for in the registration"),
        (
            {"microsoft_verdict_differs": True, "microsoft_in_use": False},
            "Microsoft says not in use in the last 90 days",
        ),
        ({"usage": "unknown", "unmatched_calls": 3}, "3 calls of the app match no known endpoint"),
    ],
)
def test_what_stands_out_about_a_permission_is_marked(more, said):
    (row,) = lines(app_access.permissions_table(facts_of(), [permission(**more)]))
    assert row["Level and marks"] == f"Reads every mailbox. {said}"


def test_the_api_is_a_column_only_where_there_are_several():
    one = app_access.permissions_table(facts_of(), [permission()])
    assert one.caption == "Permissions of Microsoft Graph held, strongest first"
    two = app_access.permissions_table(facts_of(), [permission(), permission(resource_name="Office 365 Exchange")])
    assert [row["API"] for row in lines(two)] == ["Microsoft Graph", "Office 365 Exchange"]


def test_no_permission_is_said_only_when_grants_were_read():
    assert app_access.permissions_table(with_sources(*GRANT_SOURCES), []).empty == "This app holds no permission."
    for facts in (facts_of(), with_sources(*GRANT_SOURCES, status="partial")):
        assert app_access.permissions_table(facts, []).empty.startswith("No permission is known")
        assert app_access.grants_table(facts, []).empty.startswith("Unknown")
        assert app_access.consents_table(facts, "sp1").empty.startswith("Unknown")


def test_the_days_of_a_verdict_are_told_for_each_api():
    rows = [
        permission(),
        permission(permission="User.Read.All"),
        permission(resource_name="Exchange", window_coverage="none"),
        permission(resource_name="SharePoint", window_coverage="partial", window_from=None, window_to=None),
    ]
    assert app_access.window_lines(rows) == [
        "Exchange: 2026-10-17 to 2026-11-15, none read",
        "Microsoft Graph: 2026-10-17 to 2026-11-15, all read",
        "SharePoint: read in part",
    ]


def proposal(action: str, calls: int | None, complete: bool = True) -> Record:
    """One line of the least-privilege proposal."""
    row = {"action": action, "permission": "User.Read.All", "permission_type": "application", "reason": "because"}
    row |= {"privilege_level": "medium", "calls_served": calls, "replaces": ["Directory.ReadWrite.All"]}
    return row | {"is_complete": complete}


@pytest.mark.parametrize(
    ("calls", "complete", "said"),
    [(1880, True, "1,880"), (1880, False, "at least 1,880"), (None, False, "unknown"), (0, False, "none seen")],
)
def test_calls_of_a_proposal_are_at_least_so_many_where_some_may_be_missing(calls, complete, said):
    table = app_access.proposal_table([proposal("add", calls, complete)], True)
    (row,) = lines(table)
    assert row["Calls it allows"] == said
    assert row["Proposal"] == "add instead"
    assert row["Instead of"] == "Directory.ReadWrite.All"
    assert ("at least" in table.caption) == (not complete)


# Used and moved


def moved(**more: Any) -> Record:
    """Calls and data of one service."""
    row = {"service": "Exchange", "resource_type": "messages", "calls": 10, "calls_previous": 4, "days_now": 30}
    row |= {"bytes_returned": 3_000_000, "bytes_previous": 1_000_000, "bytes_unknown_calls": 0, "days_before": 30}
    return row | more


def test_data_moved_is_compared_only_between_whole_windows():
    (row,) = lines(app_access.moved_table(facts_of(), [moved()]))
    assert row["Change"] == "2.00 MB more (200%)"
    (row,) = lines(app_access.moved_table(facts_of(), [moved(bytes_unknown_calls=2)]))
    assert row["Change"] == "2.00 MB more (200%); 2 calls without a size"
    (row,) = lines(app_access.moved_table(facts_of(), [moved(bytes_previous=None, calls_previous=None)]))
    assert (row["Data, before"], row["Calls, before"], row["Change"]) == ("unknown", "unknown", "unknown")
    partly = app_access.moved_table(facts_of(), [moved(days_now=12)])
    assert "12 of 30 days read" in partly.caption
    assert lines(partly)[0]["Data received (at least)"] == "3.00 MB"
    assert lines(partly)[0]["Change"] == "unknown"


def test_no_call_is_said_only_when_calls_were_read():
    assert app_access.moved_table(with_sources("api_activity"), []).empty.startswith("No call to Microsoft Graph")
    assert app_access.moved_table(with_sources("api_activity_sums"), []).empty.startswith("No call")
    assert app_access.moved_table(with_sources(), []).empty == "Unknown: calls were not read."


# Consented


def grant(**more: Any) -> Record:
    """One grant that deserves a look."""
    row = {"permissions": ["Mail.Read"], "permission_type": "delegated", "privilege_level": "high", "reason": "because"}
    row |= {"acts_for": "ann@northwind.example", "consented_at": NOW, "consented_by_name": "ann@northwind.example"}
    row |= {"let_in_by": "user_consent", "setting": "What users may consent to", "setting_value": "low"}
    return row | {"setting_verdict": "safe", "still_open": False} | more


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "What users may consent to; now low (safe): it would not get in again"),
        ({"still_open": True}, "What users may consent to; now low (safe): it would get in again"),
        (
            {"still_open": None, "setting_value": None, "setting_verdict": "unknown"},
            "What users may consent to; now unknown (unknown): unknown whether it would get in again",
        ),
        ({"let_in_by": "administrator"}, "an administrator's decision, no setting"),
        ({"let_in_by": None}, "unknown"),
    ],
)
def test_a_grant_names_the_setting_that_let_it_in(more, said):
    (row,) = lines(app_access.grants_table(facts_of(), [grant(**more)]))
    assert row["Let in by"] == said
    assert row["Consented"] == "2026-11-11, by ann@northwind.example"


def test_a_grant_nobody_saw_given_has_no_date_and_no_name():
    (row,) = lines(app_access.grants_table(facts_of(), [grant(consented_at=None, consented_by_name=None)]))
    assert row["Consented"] == "unknown"


# Owned


@pytest.mark.parametrize(
    ("enabled", "guest", "said"),
    [
        (True, False, "none"),
        (False, False, "disabled"),
        (True, True, "guest"),
        (None, None, "unknown whether enabled"),
        (False, True, "disabled, guest"),
    ],
)
def test_owners_who_cannot_answer_are_marked(enabled, guest, said):
    row = {"owner_name": "Ann", "owner_id": "u1", "owner_type": "user", "owned_object": "application"}
    table = app_state.owners_table([row | {"owner_enabled": enabled, "owner_is_guest": guest}], {})
    assert lines(table)[0]["Marks"] == said


def test_nobody_and_not_known_are_two_things():
    assert app_state.owners_table([], {"owner_count": 0}).empty == "Nobody owns this app."
    assert app_state.owners_table([], {"owner_count": None}).empty == "No owner is known."


# Hygiene, score, changes


def check(verdict: str, **more: Any) -> Record:
    """One hygiene check of an app."""
    row = {"check_id": "old_secret", "title": "Secret too old", "verdict": verdict, "why": "It leaks."}
    return row | {"subject": None, "detail": None, "hits": None, "reason": None} | more


def test_hygiene_shows_what_was_found_and_what_is_unknown_and_counts_the_rest():
    found = check("yes", subject="key 1", detail="900 days", hits=3)
    unknown = check("unknown", title="Not used", reason="sign-ins were not read")
    table = app_state.hygiene_table([found, unknown, check("no"), check("no")])
    assert [(r["Check"], r["Found"], r["What"]) for r in lines(table)] == [
        ("Secret too old", "yes", "key 1, 900 days (and 2 more)"),
        ("Not used", "unknown", "sign-ins were not read"),
    ]
    assert "2 checks found nothing" in table.caption


def test_no_hygiene_check_is_not_called_clean():
    assert app_state.hygiene_table([check("no")]).empty == "1 check looked and found nothing; none is unknown."
    assert app_state.hygiene_table([]).empty == "No check applies to this app, or none could be made."


def test_an_unknown_part_of_the_score_is_never_zero():
    part = {"part_id": "publisher_unverified", "dimension": "likelihood", "points": 0, "max_points": 15}
    known = part | {"part_id": "application_high", "dimension": "impact", "points": 15, "why": "High.", "known": True}
    table = app_state.score_table([known, part | {"why": "not read", "known": False}], {"risk_score": 15})
    assert [(r["Part"], r["Kind"], r["Points"]) for r in lines(table)] == [
        ("application high", "impact", "15"),
        ("publisher unverified", "likelihood", "unknown, 0 to 15"),
    ]


def change(**more: Any) -> Record:
    """One change of an app."""
    row = {"changed_at": NOW, "kind": "credential", "change": "added", "subject": "secret", "before": None}
    return row | {"after": "until 2028", "actor_name": None, "reason": "Told by the audit log."} | more


def test_the_timeline_says_what_came_and_what_it_was_before():
    rows = [
        change(),
        change(kind="reply_url", change="removed", before="https://a.example", after=None),
        change(kind="property", change="changed", before="enabled", after="disabled", actor_name="Ann"),
    ]
    facts = with_sources("directory_audits", changes={"sp1": rows})
    shown = lines(app_state.changes_table(facts, "sp1"))
    assert [(r["What"], r["How"], r["By"]) for r in shown] == [
        ("credential added", "until 2028", "unknown"),
        ("reply address removed", "was: https://a.example", "unknown"),
        ("property changed", "enabled \u2192 disabled", "Ann"),
    ]


def test_no_change_is_said_only_when_the_audit_log_was_read():
    read = app_state.changes_table(with_sources("directory_audits"), "sp1")
    assert read.empty == "No change to this app was seen in the last 90 days."
    unread = app_state.changes_table(with_sources("directory_audits", status="not_licensed"), "sp1")
    assert unread.empty.startswith("Unknown: the audit log was not read (not licensed: the licence is missing)")


# What Microsoft says, and its portal

MICROSOFT: Record = {
    "risk_score": 70,
    "app_status": "DisabledByUser",
    "privilege_level": "High",
    "permissions": '[{"permission": "Mail.Read", "in_use": false}, {"permission": "User.Read", "in_use": true}]',
    "is_admin_consented": False,
    "consented_users": 11,
    "verified_publisher_name": None,
    "last_used_at": None,
    "observed_at": NOW,
}


def test_app_governance_is_shown_where_it_was_read():
    view = app_state.microsoft_view(with_sources("oauth_app_info", details=Details(microsoft={APP: MICROSOFT})), APP)
    assert view["said"] == ""
    assert dict(view["pairs"]) == {
        "Risk score": "70 of 100",
        "Status": "Disabled by user",
        "Privilege": "high",
        "Permissions": "2, 1 of them said not to be in use",
        "Consented": "by 11 users",
        "Verified publisher": "none named",
        "Last used": "unknown",
        "Said on": "2026-11-11",
    }


def test_what_microsoft_says_is_unknown_where_it_was_not_read():
    sources = ("oauth_app_info", "security_alerts")
    view = app_state.microsoft_view(with_sources(*sources, status="not_licensed"), APP)
    assert view["said"].startswith("Unknown: app governance was not read (not licensed")
    assert view["alerts"].empty.startswith("Unknown: alerts were not read")
    view = app_state.microsoft_view(with_sources(*sources), APP)
    assert view["said"] == "App governance lists no such app."
    assert view["alerts"].empty == "No alert that was read names this app."


def test_alerts_name_their_incident_and_lead_to_the_portal():
    alert = {"title": "Odd calls", "severity": "informational", "status": "new", "first_at": NOW, "incident_id": "41"}
    alert |= {"record_kind": "alert", "is_open": True, "service_source": "microsoftAppGovernance", "alert_id": "da6-1"}
    alert |= {"incident_status": "active"}
    rows = [
        alert,
        alert | {"incident_status": None, "alert_id": "javascript:alert(1)"},
        alert | {"incident_id": None, "record_kind": "risk"},
        alert | {"incident_id": "41/../x"},
    ]
    table = app_state.microsoft_view(with_sources(details=Details(alerts={APP: rows})), APP)["alerts"]
    assert [r["Incident"] for r in lines(table)[:3]] == ["41 (active)", "41 (status not read)", "unknown"]
    assert lines(table)[0]["Severity"] == "info"
    titles, incidents = [row[0].href for row in table.rows], [row[-1].href for row in table.rows]
    assert titles == [
        "https://security.microsoft.com/alerts/da6-1",
        "",
        "",
        "https://security.microsoft.com/alerts/da6-1",
    ]
    assert incidents == [*["https://security.microsoft.com/incidents/41"] * 2, "", ""]


def test_portal_links_are_built_from_ids_that_are_ids():
    links = app_state.portal_links(APP, PRINCIPAL, {"application_id": "x"})
    assert [link["href"] for link in links] == [
        f"https://entra.microsoft.com/#view/Microsoft_AAD_IAM/ManagedAppMenuBlade/~/Overview/objectId/{PRINCIPAL}/appId/{APP}",
        f"https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/Overview/appId/{APP}",
    ]
    assert len(app_state.portal_links(APP, PRINCIPAL, {})) == 1
    for bad in ("", "x", "../..", 'a"onclick=1', f"{APP}/x"):
        assert app_state.portal_links(bad, PRINCIPAL, {}) == []
        assert app_state.portal_links(APP, bad, {}) == []


# The page


def test_an_app_page_has_every_part_and_a_way_to_it():
    (page,) = app_pages(facts_of(findings=[finding(1)]), SITE).values()
    context = app_context(facts_of(findings=[finding(1)]), "sp1")
    for anchor, title in context["sections"]:
        assert f'<a href="#{anchor}">{title}</a>' in page
        assert f'<h2 id="{anchor}">{title}</h2>' in page


def test_a_score_that_is_not_ranked_says_so():
    inventory = {"sp1": {"risk_score": 20, "risk_impact": 20, "risk_likelihood": None, "is_ranked": False}}
    (page,) = app_pages(facts_of(findings=[finding(1)], inventory=inventory), SITE).values()
    assert "20 of 100: impact 20 of 60, likelihood not judged" in page
    inventory["sp1"] |= {"risk_likelihood": 6, "is_ranked": True}
    (page,) = app_pages(facts_of(findings=[finding(1)], inventory=inventory), SITE).values()
    assert "20 of 100: impact 20 of 60, likelihood 6 of 40" in page
