"""Look-alikes are harmless, ordinary apps tell no story by accident, and the same seed gives the same bytes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from statistics import median

import pytest
from sample_tenant import (
    applications,
    ask,
    calls,
    calls_by_app,
    daily,
    day,
    grants,
    moment,
    page,
    roles_of,
    rows,
    service_principals,
    sign_ins,
    tenant,
)

from appgov_lib.sample import AS_OF, NOW, answer_key
from appgov_lib.sample.tenant import Tenant
from appgov_lib.sample.world import Size

KEY = answer_key()
QUIET = {item["story"]: item for item in KEY["quiet"]}


def sure(finding: list[str]) -> bool:
    """Whether a finding is expected or tolerated."""
    return finding in KEY["expected_findings"] or finding in KEY["tolerated_findings"]


# ---- the look-alikes and everybody else ------------------------------------------------------------------------------


def test_look_alikes_are_what_they_look_like() -> None:
    """Each one is close to a story, and harmless."""
    mail = QUIET["benign-mail-app"]["app_id"]
    assert service_principals()[mail]["verifiedPublisher"]["verifiedPublisherId"]
    assert sum("messages" in row["RequestUri"] for row in calls_by_app()[mail]) > 2_000
    rotated = daily(sign_ins()[QUIET["benign-secret-rotation"]["app_id"]], "createdDateTime")
    assert all(sum(rotated[week * 7 : week * 7 + 7]) > 0 for week in range(13))
    grown = daily(calls_by_app()[QUIET["benign-growth"]["app_id"]], "Timestamp")
    assert 1.2 < sum(grown[77:]) / sum(grown[:14]) < 1.7
    weekend = daily(calls_by_app()[QUIET["benign-weekend-batch"]["app_id"]], "Timestamp")
    assert all((value > 0) == (k % 7 > 4) for k, value in enumerate(weekend))
    everybody = daily(calls(), "Timestamp")
    assert everybody[56] < 0.5 * everybody[49]
    assert everybody[57] < 0.5 * everybody[50]
    microsoft = QUIET["benign-microsoft-volume"]["app_id"]
    assert len(calls_by_app()[microsoft]) > 3_000
    new = QUIET["benign-new-app"]["app_id"]
    assert new not in sign_ins()
    assert NOW - moment(service_principals()[new]["createdDateTime"]) < timedelta(days=30)
    successors = applications()[QUIET["benign-credential-successor"]["app_id"]]["passwordCredentials"]
    first, second = sorted(moment(key["endDateTime"]) for key in successors)
    assert first - NOW < timedelta(days=30)
    assert second - first > timedelta(days=90)


def test_every_app_with_medium_or_high_permissions_has_an_owner_unless_the_key_says_so() -> None:
    """Registrations without an enabled owner are those of the key, or hold no permission."""
    for app, record in applications().items():
        if not any(owner["accountEnabled"] for owner in record["owners"]) and app in service_principals():
            assert not roles_of(app) or sure(["ownerless-app", app])


def test_no_other_credential_ends_soon_or_is_unused() -> None:
    """Ordinary credentials are in use and live on for more than a month."""
    report = {
        row["keyId"]: row["signInActivity"]["lastSignInDateTime"]
        for row in rows("/beta/reports/appCredentialSignInActivities")
    }
    for app, record in applications().items():
        keys = [*record["keyCredentials"], *record["passwordCredentials"]]
        for key in keys:
            if NOW - moment(report[key["keyId"]]) > timedelta(days=90):
                assert sure(["unused-credential", app])
            if moment(key["endDateTime"]) - NOW < timedelta(days=31) and len(keys) == 1:
                assert sure(["expiring-credential", app])


def test_every_other_app_was_used_lately() -> None:
    """Enabled apps with permissions that were not used for ninety days are in the key."""
    last = {
        row["appId"]: row["lastSignInActivity"]["lastSignInDateTime"]
        for row in rows("/beta/reports/servicePrincipalSignInActivities")
    }
    holders = {grant["clientId"] for grant in grants()}
    for app, sp in service_principals().items():
        old = NOW - moment(sp.get("createdDateTime", "2020-01-01T00:00:00Z")) > timedelta(days=90)
        if (
            old
            and (sp["id"] in holders or roles_of(app))
            and sp.get("appOwnerOrganizationId") != "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
        ):
            assert (app in last and NOW - moment(last[app]) < timedelta(days=90)) or sure(["unused-app", app])


def test_grants_beyond_the_manifest_are_in_the_key() -> None:
    """Internal apps ask for what they hold."""
    graph = service_principals()["00000003-0000-0000-c000-000000000000"]
    scopes = {scope["value"]: scope["id"] for scope in graph["oauth2PermissionScopes"]}
    for app, record in applications().items():
        if app not in service_principals():
            continue
        sp = service_principals()[app]["id"]
        held = {row["appRoleId"] for row in rows(f"/v1.0/servicePrincipals/{sp}/appRoleAssignments")}
        held |= {scopes[scope] for grant in grants() if grant["clientId"] == sp for scope in grant["scope"].split()}
        wanted = {access["id"] for api in record["requiredResourceAccess"] for access in api["resourceAccess"]}
        assert held <= wanted or sure(["grant-not-in-manifest", app])


def test_ordinary_apps_have_no_wild_days_in_the_last_week() -> None:
    """No tenfold day by accident: bytes stay within reason of the same weekday's usual amount."""
    for app, made in calls_by_app().items():
        if not sure(["unusual-data-transfer", app]):
            values = daily(made, "Timestamp", "ResponseSize")
            usual = [max(median(values[k:84:7]), 120_000) for k in range(7)]
            assert all(values[84 + k] < 8 * usual[k] for k in range(7)), app


def test_weeks_have_office_days_and_weekends() -> None:
    """Weekdays are busier than weekends, and every weekday has noise: not all weeks are alike."""
    totals = daily(calls(), "Timestamp")
    workdays = [totals[k] for k in range(91) if k % 7 < 5 and k not in (56, 57)]
    weekends = [totals[k] for k in range(91) if k % 7 > 4]
    assert min(workdays) > 1.5 * max(weekends)
    assert len(set(workdays)) > 50
    hours = Counter(row["Timestamp"][11:13] for row in calls() if row["EntityType"] == "user")
    assert hours["11"] > 20 * (hours["03"] + 1)


# ---- size, determinism -----------------------------------------------------------------------------------------------


def test_volume_of_the_default() -> None:
    """Big enough to look real, small enough to extract in seconds."""
    assert 35_000 < sum(map(len, sign_ins().values())) < 46_000
    assert 100_000 < len(calls()) < 131_000
    assert 3_000 < len(rows("/v1.0/auditLogs/directoryAudits")) < 4_500
    assert len(applications()) in range(150, 170)
    assert day(AS_OF.isoformat()) == 90


URLS = (
    "/v1.0/servicePrincipals?$top=50",
    "/v1.0/auditLogs/signIns?$top=50",
    "/v1.0/auditLogs/directoryAudits?$top=50",
    "/beta/reports/appCredentialSignInActivities",
    "/v1.0/oauth2PermissionGrants",
)


@pytest.mark.parametrize("url", URLS)
def test_same_seed_same_bytes_other_seed_other_bytes(url: str) -> None:
    """A tenant made anew gives the same bytes, whatever was asked before; another seed does not."""
    anew = ask(url, of=Tenant(7, Size(400, 1_200))).body
    assert anew == ask(url).body
    assert anew != ask(url, of=tenant(8)).body


def test_pages_deep_in_a_huge_tenant_come_at_once() -> None:
    """A hundred million rows are never made to read a thousand of them."""
    huge = Tenant(7, Size(20_000, 2_000, 20.0))
    link = page("/beta/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq 'servicePrincipal')&$top=1", of=huge)
    assert link["value"][0]["createdDateTime"].startswith("2026-11-15")
    window = "createdDateTime ge 2026-09-07T00:00:00Z and createdDateTime le 2026-09-07T23:59:59Z"
    url = f"/beta/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq 'servicePrincipal') and {window}"
    found = page(url, of=huge)["value"]
    assert len(found) == 1_000
    assert {row["createdDateTime"][:10] for row in found} == {"2026-09-07"}
    assert len(page("/v1.0/servicePrincipals?$top=999", of=huge)["value"]) == 999
