"""The report of the sample tenant: pages show for planted apps what the answer key and the records say."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sample_tenant

import appgov_lib
from appgov_lib.sample import AS_OF, answer_key

FIRST = AS_OF - dt.timedelta(days=29)
STORIES = {story["story"]: story for story in answer_key()["stories"]}


@cache
def page_of(report: Path, story: str) -> str:
    """The page of a planted app."""
    return (report / "apps" / f"{STORIES[story]['app_id']}.html").read_text(encoding="utf-8")


def plain(markup: str) -> str:
    """Text of a piece of a page."""
    return html.unescape(re.sub(r"<[^>]+>", "", markup)).strip()


def table(page: str, caption: str) -> list[dict[str, str]]:
    """The rows of the table whose caption begins so, as heading and text."""
    whole = next(t for t in re.findall(r"<table.*?</table>", page, re.DOTALL) if plain(head(t)).startswith(caption))
    heads = [plain(h) for h in re.findall(r"<th scope=\"col\".*?</th>", whole, re.DOTALL)]
    body = whole[whole.index("<tbody>") :]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [
        dict(zip(heads, [plain(c) for c in re.findall(r"<t[hd]\b.*?</t[hd]>", r, re.DOTALL)], strict=True))
        for r in rows
    ]


def head(markup: str) -> str:
    """The caption of a table."""
    found = re.search(r"<caption.*?</caption>", markup, re.DOTALL)
    return found[0] if found else ""


def calls_of(story: str, first: dt.date = FIRST, last: dt.date = AS_OF) -> list[dict[str, Any]]:
    """The API calls of a planted app in some days; a batch counts by its parts."""
    found = sample_tenant.calls_by_app().get(STORIES[story]["app_id"], [])
    return [c for c in found if first.isoformat() <= c["Timestamp"][:10] <= last.isoformat()]


# Granted and used


@pytest.mark.parametrize("story", ["overprivileged-integration", "consent-phishing", "unverified-high-privilege"])
def test_every_permission_held_is_on_the_page(demo_report, story):
    facts = STORIES[story]["facts"]
    rows = table(page_of(demo_report, story), "Permissions of Microsoft Graph")
    held = Counter(row["Type"] for row in rows)
    assert {r["Permission"] for r in rows if r["Type"] == "application"} == set(facts["application_permissions"])
    assert {r["Permission"] for r in rows if r["Type"] == "delegated"} == set(facts["delegated_permissions"])
    assert sum(held.values()) == len(facts["application_permissions"]) + len(facts["delegated_permissions"])


def test_what_an_overprivileged_app_calls_proves_one_permission_and_no_other(demo_report):
    page = page_of(demo_report, "overprivileged-integration")
    rows = {r["Permission"]: r for r in table(page, "Permissions of Microsoft Graph")}
    called = Counter(
        (c["RequestMethod"], int(c["ResponseStatusCode"]) < 400) for c in calls_of("overprivileged-integration")
    )
    assert {key[0] for key in called} == {"GET"}
    served = called["GET", True]
    assert {name: r["Use"] for name, r in rows.items()} == {
        "Directory.ReadWrite.All": "used",
        "Files.ReadWrite.All": "unused",
        "Mail.ReadWrite": "unused",
    }
    assert f"GET /users ({served})" in rows["Directory.ReadWrite.All"]["Proof or reason"]
    assert "Microsoft Graph: 2026-10-17 to 2026-11-15, all read" in page


def test_the_proposal_for_an_overprivileged_app_is_one_smaller_right(demo_report):
    rows = table(page_of(demo_report, "overprivileged-integration"), "Microsoft Graph: the smallest set")
    assert {(r["Proposal"], r["Permission"]) for r in rows} == {
        ("add instead", "User.Read.All"),
        ("remove", "Directory.ReadWrite.All"),
        ("remove", "Files.ReadWrite.All"),
        ("remove", "Mail.ReadWrite"),
    }


def test_a_grant_beyond_the_registration_is_marked(demo_report):
    rows = table(page_of(demo_report, "grant-not-in-manifest"), "Permissions of Microsoft Graph")
    marked = {r["Permission"] for r in rows if "Not asked for in the registration" in r["Level and marks"]}
    assert marked == set(STORIES["grant-not-in-manifest"]["facts"]["not_in_manifest"])


# Moved


@pytest.mark.parametrize("story", ["slow-exfiltration", "consent-phishing"])
def test_calls_by_service_add_up_to_the_records(demo_report, story):
    rows = table(page_of(demo_report, story), "Data received")
    number = {r["Service"]: 0 for r in rows}
    for row in rows:
        number[row["Service"]] += int(row["Calls"].replace(",", ""))
    before = sum(int(row["Calls, before"].replace(",", "")) for row in rows)
    earlier = calls_of(story, FIRST - dt.timedelta(days=30), FIRST - dt.timedelta(days=1))
    assert sum(number.values()) == len([c for c in calls_of(story) if not c["RequestUri"].endswith("/$batch")])
    assert before == len([c for c in earlier if not c["RequestUri"].endswith("/$batch")])


# Consented


def test_each_user_who_consented_is_named_with_the_setting(demo_report):
    page = page_of(demo_report, "consent-phishing")
    app = STORIES["consent-phishing"]
    granted = [g for g in sample_tenant.grants() if g["clientId"] == app["service_principal_id"]]
    users = {u["id"]: u["userPrincipalName"] for u in sample_tenant.rows("/v1.0/users?$select=id,userPrincipalName")}
    names = {users[g["principalId"]] for g in granted}
    assert len(names) == app["facts"]["consented_users"]
    rows = table(page, "Grants that deserve a look")
    assert {r["Acts for"] for r in rows} == names
    assert all(r["Let in by"].startswith("What users may consent to by themselves; now") for r in rows)
    assert {r["User"] for r in table(page, "Users who consented")} == names
    assert f"by {len(names)} users for themselves" in page
    assert app["facts"]["first_active_day"] in page[page.index('id="consented"') :]


# Changed, Microsoft's view


def test_the_credential_that_woke_an_app_is_in_its_timeline(demo_report):
    app = STORIES["dormant-app-wakes"]
    (key,) = app["facts"]["credentials"]
    rows = table(page_of(demo_report, "dormant-app-wakes"), "Changes in the last 90 days")
    (row,) = [r for r in rows if key["key_id"] in r["Which"]]
    assert row["What"] == "credential added"
    assert row["Time"] == key["starts_at"][:16].replace("T", " ") + " UTC"
    assert row["How"].endswith(f"valid until {key['ends_at'][:10]}")


def test_alerts_of_an_app_stand_on_its_page_and_on_no_other(demo_report):
    by_app = defaultdict(set)
    for alert in sample_tenant.rows("/v1.0/security/alerts_v2"):
        for evidence in alert.get("evidence") or []:
            if evidence.get("appId"):
                by_app[str(evidence["appId"])].add(alert["title"])
    assert by_app
    for story, app in STORIES.items():
        if not (demo_report / "apps" / f"{app['app_id']}.html").exists():
            continue
        page = page_of(demo_report, story)
        titles = by_app.get(app["app_id"])
        if titles:
            raised = table(page, "What Microsoft raised")
            assert {r["Alert"] for r in raised if r["Kind"] == "alert"} == titles
        elif "No alert that was read names this app." not in page:
            assert {r["Kind"] for r in table(page, "What Microsoft raised")} <= {"risk", "risk detection"}


def test_microsofts_own_score_is_beside_ours(demo_report):
    scores = {r["OAuthAppId"]: r["RiskScore"] for r in sample_tenant.hunt("OAuthAppInfo")}
    for story in ("consent-phishing", "unverified-high-privilege"):
        page = page_of(demo_report, story)
        part = plain(page[page.index('<h2 id="microsoft">') :])
        assert f"Risk score{scores[STORIES[story]['app_id']]} of 100" in part


# Score and hygiene: parts add up, nothing found is left out


def test_the_parts_of_every_score_add_up(demo_report):
    for path in sorted((demo_report / "apps").iterdir()):
        page = path.read_text(encoding="utf-8")
        if "About settings of the tenant" in page:
            continue
        said = re.search(r"(\d+) of 100: impact (\d+) of 60, likelihood (\d+) of 40", page)
        assert said, path.name
        score, impact, likelihood = map(int, said.groups())
        assert score == impact + likelihood
        if score:
            rows = table(page, "Parts of the risk score")
            points = Counter[str]()
            for row in rows:
                points[row["Kind"]] += int(row["Points"]) if row["Points"].lstrip("\u2212").isdigit() else 0
            assert (points["impact"], points["likelihood"]) == (impact, likelihood), path.name


def test_hygiene_of_an_app_is_what_the_checks_found(demo_report, sample_home):
    with appgov_lib.connect(tenant="sample", home=sample_home) as con:
        query = (
            "SELECT h.app_id, c.title, h.verdict FROM app_hygiene AS h JOIN ref_hygiene_checks AS c USING (check_id) "
            "WHERE h.verdict <> 'no'"
        )
        found = defaultdict(set)
        for app_id, title, verdict in con.execute(query).fetchall():
            found[app_id].add((title, verdict))
    shown = 0
    for path in (demo_report / "apps").iterdir():
        page = path.read_text(encoding="utf-8")
        rows = table(page, "Checks that found") if found[path.stem] else []
        assert {(r["Check"], r["Found"]) for r in rows} == found[path.stem], path.name
        shown += len(rows)
    assert shown >= 10


# The summary


def test_the_summary_counts_what_the_records_hold(demo_report):
    page = (demo_report / "index.html").read_text(encoding="utf-8")
    rows = {r["Fact"]: r for r in table(page, "The tenant in numbers")}
    microsoft = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
    own = [
        p
        for p in sample_tenant.service_principals().values()
        if p.get("appOwnerOrganizationId") != microsoft and p.get("servicePrincipalType") != "ManagedIdentity"
    ]
    assert rows["Apps"]["Number"] == str(len(own))
    (incident,) = [
        i
        for i in sample_tenant.rows("/v1.0/security/incidents")
        if i["status"] in {"active", "inProgress"} and i["displayName"] in page
    ]
    (shown,) = table(page, "Active incidents about apps")
    assert (shown["Incident"], shown["Number"]) == (incident["displayName"], incident["id"])
    assert "The tenant was read whole once so far" in page


def test_risky_settings_are_named_on_the_summary(demo_report, sample_home):
    page = (demo_report / "index.html").read_text(encoding="utf-8")
    policy = sample_tenant.page("/v1.0/policies/authorizationPolicy")
    assert policy["allowInvitesFrom"] == "everyone"
    assert [r["Setting"] for r in table(page, "Settings that are risky")] == ["Who may invite guests"]


def test_top_risks_follow_severity_then_score_of_ranked_apps(demo_report):
    page = (demo_report / "index.html").read_text(encoding="utf-8")
    part = page[page.index('<h2 id="risks">') : page.index('<h2 id="actions">')]
    cards = re.findall(r'<li class="card (\w+)">.*?Risk score: (\d+) of 100', part, re.DOTALL)
    order = ["critical", "high", "medium", "low", "info"]
    keys = [(order.index(severity), -int(score)) for severity, score in cards]
    assert len(keys) == 10
    assert keys == sorted(keys)
