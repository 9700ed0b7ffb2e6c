"""Every further source of the sample tenant: what it says agrees with the tenant's own apps, users and logs."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from sample_tenant import (
    EVENTUAL,
    applications,
    ask,
    calls,
    error,
    hunt,
    page,
    pages,
    roles_of,
    rows,
    service_principals,
    sign_ins,
    tenant,
)

from appgov_lib.sample import answer_key
from appgov_lib.sample.tenant import Tenant
from appgov_lib.sample.world import Size

STORY = {story["story"]: story for story in answer_key()["stories"]}
DORMANT, PHISHING = STORY["dormant-app-wakes"], STORY["consent-phishing"]
CONSENT = "/v1.0/identityGovernance/appConsent/appConsentRequests"
STREAMS = "/beta/security/dataDiscovery/cloudAppDiscovery/uploadedStreams"
FEDERATED = "/v1.0/applications?$filter=federatedIdentityCredentials/$count {} 0&$count=true&$select=id,appId"
AUDIT = "/beta/security/auditLog/queries"


def people() -> set[str]:
    """Ids of all users."""
    return {row["id"] for row in rows("/v1.0/users?$top=999")}


# ---- federated credentials, summaries --------------------------------------------------------------------------------


def test_the_filter_finds_exactly_the_apps_with_federated_credentials() -> None:
    """`$count ne 0` and `eq 0` divide the registrations; GitHub is not the only issuer."""
    found = page(FEDERATED.format("ne"), headers=EVENTUAL)
    assert found["@odata.count"] == len(found["value"]) > 5
    assert all(row.keys() == {"id", "appId"} for row in found["value"])
    held = {row["id"]: rows(f"/v1.0/applications/{row['id']}/federatedIdentityCredentials") for row in found["value"]}
    assert all(held.values())
    issuers = {credential["issuer"] for credentials in held.values() for credential in credentials}
    assert "https://token.actions.githubusercontent.com" in issuers
    assert len(issuers) > 2
    without = rows(FEDERATED.format("eq"), headers=EVENTUAL)
    assert {row["id"] for row in without} | held.keys() == {row["id"] for row in applications().values()}
    assert not {row["id"] for row in without} & held.keys()
    assert rows(f"/v1.0/applications/{without[0]['id']}/federatedIdentityCredentials") == []


def test_the_filter_on_a_count_is_an_advanced_query() -> None:
    """Without the header or without `$count=true` it is refused, never answered with everything."""
    url = FEDERATED.format("ne")
    assert error(url) == (400, "Request_UnsupportedQuery")
    assert error(url.replace("&$count=true", ""), headers=EVENTUAL) == (400, "Request_UnsupportedQuery")
    assert error(url.replace("federatedIdentityCredentials", "members"), headers=EVENTUAL)[0] == 400


@pytest.mark.parametrize(("period", "first"), [("D7", "2026-11-09"), ("D30", "2026-10-17")])
def test_sign_in_summaries_add_up_the_log(period: str, first: str) -> None:
    """People's sign-ins of the period by app, those that failed apart."""
    worked: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for app, records in sign_ins().items():
        for row in records:
            if row["userId"] and row["createdDateTime"] >= first:
                (failed if row["status"]["errorCode"] else worked)[app] += 1
    found = rows(f"/beta/reports/getAzureADApplicationSignInSummary(period='{period}')")
    assert {row["id"]: row["successfulSignInCount"] for row in found if row["successfulSignInCount"]} == worked
    assert {row["id"]: row["failedSignInCount"] for row in found if row["failedSignInCount"]} == failed
    assert error("/beta/reports/getAzureADApplicationSignInSummary(period='D90')")[0] == 404
    assert error(f"/v1.0/reports/getAzureADApplicationSignInSummary(period='{period}')")[0] == 404


# ---- risk, consent, policies -----------------------------------------------------------------------------------------


def test_risk_names_the_dormant_app_after_it_woke() -> None:
    """Risky service principals exist; the dormant app's detections come after its secret, with that secret."""
    risky = {row["id"]: row for row in rows("/v1.0/identityProtection/riskyServicePrincipals?$top=500")}
    known = {row["id"]: row["appId"] for row in service_principals().values()}
    assert all(known[identifier] == row["appId"] for identifier, row in risky.items())
    assert risky[DORMANT["service_principal_id"]]["riskLevel"] == "high"
    detections = rows("/v1.0/identityProtection/servicePrincipalRiskDetections?$top=500")
    assert {row["servicePrincipalId"] for row in detections} == risky.keys()
    own = [row for row in detections if row["appId"] == DORMANT["app_id"]]
    secret = DORMANT["facts"]["credentials"][0]
    assert all(row["activityDateTime"] > secret["starts_at"] and row["keyIds"] == [secret["key_id"]] for row in own)
    window = "detectedDateTime ge 2026-11-12T00:00:00Z and detectedDateTime le 2026-11-13T23:59:59Z"
    assert rows(f"/v1.0/identityProtection/servicePrincipalRiskDetections?$filter={window}") == own
    assert error("/v1.0/identityProtection/riskyServicePrincipals?$top=501")[0] == 400


def test_consent_requests_are_of_apps_and_people_of_the_tenant() -> None:
    """Each request has its users' requests, below it and expanded; one reason is hostile."""
    found = rows(f"{CONSENT}?$expand=userConsentRequests")
    assert {row["appId"] for row in found} <= service_principals().keys()
    assert PHISHING["app_id"] in {row["appId"] for row in found}
    asked = []
    for row in found:
        below = rows(f"{CONSENT}/{row['id']}/userConsentRequests")
        assert below == row["userConsentRequests"] != []
        asked += below
    assert {row["createdBy"]["user"]["id"] for row in asked} <= people()
    assert {row["status"] for row in asked} >= {"InProgress", "Completed"}
    assert any(row["reason"].startswith("=") for row in asked)
    assert error(f"{CONSENT}/{people().pop()}/userConsentRequests")[0] == 404


def test_users_may_consent_to_low_impact_only_and_policies_say_what_that_is() -> None:
    """The policy that the authorization policy names exists; its includes ask for verified publishers."""
    rights = page("/v1.0/policies/authorizationPolicy")["defaultUserRolePermissions"]
    assigned = rights["permissionGrantPoliciesAssigned"]
    own = [name.split(".")[1] for name in assigned if name.startswith("ManagePermissionGrantsForSelf.")]
    policies = {row["id"]: row for row in rows("/v1.0/policies/permissionGrantPolicies?$expand=includes,excludes")}
    assert own == ["microsoft-user-default-low"]
    includes = policies[own[0]]["includes"]
    assert {rule["permissionClassification"] for rule in includes} == {"low"}
    assert any(rule["clientApplicationsFromVerifiedPublisherOnly"] for rule in includes)
    assert any(policy["excludes"] for policy in policies.values())
    assert rows(f"/v1.0/policies/permissionGrantPolicies/{own[0]}/includes") == includes
    reviewers = page("/v1.0/policies/adminConsentRequestPolicy")["reviewers"]
    assert {reviewer["query"].removeprefix("/users/") for reviewer in reviewers} <= people()


def test_app_management_and_conditional_access() -> None:
    """The default restricts new apps, two policies certain apps, and one Conditional Access policy workloads."""
    default = page("/v1.0/policies/defaultAppManagementPolicy")
    assert default["isEnabled"]
    assert default["applicationRestrictions"]["passwordCredentials"][0]["maxLifetime"] == "P365D"
    found = rows("/v1.0/policies/appManagementPolicies?$expand=appliesTo")
    assert {row["isEnabled"] for row in found} == {True, False}
    assert {app["appId"] for row in found for app in row["appliesTo"]} <= applications().keys()
    access = rows("/v1.0/identity/conditionalAccess/policies")
    workload = [row for row in access if row["conditions"]["clientApplications"]]
    assert (len(access), len(workload)) == (3, 1)
    excluded = workload[0]["conditions"]["clientApplications"]["excludeServicePrincipals"]
    assert set(excluded) <= {row["id"] for row in service_principals().values()}


def test_recommendations_concern_what_the_reports_say() -> None:
    """Stale apps include the unused one and none that signed in lately; credentials exist on their app."""
    found = {
        row["recommendationType"]: row for row in rows("/beta/directory/recommendations?$expand=impactedResources")
    }
    assert found.keys() >= {"staleApps", "staleAppCreds", "applicationCredentialExpiry"}
    stale = {row["subjectId"] for row in found["staleApps"]["impactedResources"]}
    assert STORY["unused-app"]["app_id"] in stale
    assert not stale & sign_ins().keys()
    below = rows(f"/beta/directory/recommendations/{found['staleApps']['id']}/impactedResources")
    assert below == found["staleApps"]["impactedResources"]
    ending = found["applicationCredentialExpiry"]["impactedResources"]
    story = STORY["expiring-credential"]
    named = {row["subjectId"]: row["additionalDetails"][0]["value"] for row in ending}
    assert named[story["app_id"]] == story["facts"]["credentials"][0]["key_id"]
    assert error("/v1.0/directory/recommendations")[0] == 404


def test_deleted_items_are_gone_from_the_lists() -> None:
    """Both spellings of the path; a deletion is within thirty days, and the objects are in no list."""
    for kind, present in (("application", applications()), ("servicePrincipal", service_principals())):
        found = rows(f"/v1.0/directory/deletedItems/graph.{kind}")
        assert found == rows(f"/v1.0/directory/deletedItems/microsoft.graph.{kind}") != []
        assert all("2026-10-17" <= row["deletedDateTime"] < "2026-11-16" for row in found)
        assert not {row["appId"] for row in found} & present.keys()


def test_role_schedules_agree_with_the_assignments() -> None:
    """Every active assignment has its schedule instance, one of them activated; an app is eligible too."""
    below = "/v1.0/roleManagement/directory/"
    active = {(row["principalId"], row["roleDefinitionId"]) for row in rows(f"{below}roleAssignments")}
    instances = rows(f"{below}roleAssignmentScheduleInstances")
    assert {(row["principalId"], row["roleDefinitionId"]) for row in instances} == active
    assert Counter(row["assignmentType"] for row in instances)["Activated"] == 1
    known = {row["id"] for row in service_principals().values()}
    eligible = {row["principalId"] for row in rows(f"{below}roleEligibilityScheduleInstances")}
    assert eligible & known
    assert eligible <= known | people()


def test_incidents_are_filtered_by_their_last_change() -> None:
    """Raised before the window and changed in it: found; times are compared as moments, not as text."""
    url = "/v1.0/security/incidents?$filter=lastUpdateDateTime ge {} and lastUpdateDateTime le {}"
    (changed,) = rows(url.format("2026-11-13T08:21:00.000Z", "2026-11-13T10:21:00%2B02:00"))
    assert changed["createdDateTime"] < "2026-11-10"
    assert rows(url.format("2026-11-13T08:21:00.001Z", "2026-11-20T00:00:00Z")) == []
    assert error(url.format("2026-13-13T08:21:00Z", "2026-11-20T00:00:00Z"))[0] == 400


def test_incidents_carry_their_alerts() -> None:
    """Alerts and incidents name each other; at most fifty a page."""
    found = rows("/v1.0/security/incidents?$expand=alerts")
    alerts = rows("/v1.0/security/alerts_v2")
    expanded = [alert for incident in found for alert in incident["alerts"]]
    assert sorted(alert["id"] for alert in expanded) == sorted(alert["id"] for alert in alerts)
    assert all(alert["incidentId"] == incident["id"] for incident in found for alert in incident["alerts"])
    assert error("/v1.0/security/incidents?$top=51")[0] == 400


def test_secure_score_is_the_sum_of_its_controls() -> None:
    """The newest comes first; every control has its profile."""
    found = page("/v1.0/security/secureScores?$top=1")
    newest = found["value"][0]
    assert "@odata.nextLink" in found
    assert newest["createdDateTime"] == "2026-11-15T00:00:00Z"
    assert newest["currentScore"] == sum(control["score"] for control in newest["controlScores"])
    profiles = {row["id"]: row["maxScore"] for row in rows("/v1.0/security/secureScoreControlProfiles")}
    assert {control["controlName"] for control in newest["controlScores"]} == profiles.keys()
    assert newest["maxScore"] == sum(profiles.values()) > newest["currentScore"]


def test_cloud_discovery_gives_bytes_up_and_down_by_stream_and_period() -> None:
    """A longer period has more traffic; generative AI is among the apps that nobody connected."""
    for stream in rows(STREAMS):
        base = f"{STREAMS}/{stream['id']}/microsoft.graph.security.aggregatedAppsDetails"
        quarter, week = (rows(f"{base}(period=duration'{period}')") for period in ("P90D", "P7D"))
        assert len(quarter) == len(week) > 20
        for long, short in zip(quarter, week, strict=True):
            for name in ("uploadNetworkTrafficInBytes", "downloadNetworkTrafficInBytes"):
                assert long[name] > short[name] > 0
        assert "generativeAi" in {row["category"] for row in quarter}
        assert error(f"{base}(period=duration'P1D')")[0] == 404
    assert (
        error(f"{STREAMS}/{people().pop()}/microsoft.graph.security.aggregatedAppsDetails(period=duration'P7D')")[0]
        == 404
    )


# ---- hunting tables --------------------------------------------------------------------------------------------------


def test_oauth_apps_come_twice_a_month_with_the_quirks_of_the_wire() -> None:
    """Numbers for booleans, empty objects for nothing, permissions as JSON texts; the last row of each app counts."""
    found = hunt("OAuthAppInfo | where Timestamp between (datetime(2026-10-17) .. datetime(2026-11-16))")
    assert {row["Timestamp"][:10] for row in found} >= {"2026-11-01", "2026-11-15"}
    latest = {row["OAuthAppId"]: row for row in sorted(found, key=lambda row: str(row["Timestamp"]))}
    picked = hunt(
        "OAuthAppInfo | where Timestamp between (datetime(2026-10-17) .. datetime(2026-11-16))"
        " | summarize arg_max(Timestamp, *) by OAuthAppId"
    )
    assert {row["OAuthAppId"]: row for row in picked} == latest
    kinds = {app: row.get("servicePrincipalType") for app, row in service_principals().items()}
    assert {kinds[app] for app in latest} == {"Application"}
    row = latest[STORY["overprivileged-integration"]["app_id"]]
    assert (row["IsAdminConsented"], row["ConsentedUsersCount"], row["VerifiedPublisher"]) == (1, {}, {})
    assert row["Permissions@odata.type"] == "#Collection(String)"
    permissions = [json.loads(text) for text in row["Permissions"]]
    assert {item["PermissionValue"] for item in permissions} == roles_of(row["OAuthAppId"])
    assert {item["PermissionValue"] for item in permissions if item["InUse"] == "true"} == {"Directory.ReadWrite.All"}
    assert latest[PHISHING["app_id"]]["ConsentedUsersCount"] == 11


def test_spn_sign_in_events_are_the_sign_in_log() -> None:
    """The same ids, apps and errors as the log's streams of service principals and managed identities."""
    found = hunt("EntraIdSpnSignInEvents | where Timestamp >= datetime(2026-11-09)")
    wanted = {
        row["id"]: (row["appId"], row["status"]["errorCode"], row["ipAddress"])
        for records in sign_ins().values()
        for row in records
        if row["createdDateTime"] >= "2026-11-09" and row.get("servicePrincipalId")
    }
    assert {row["RequestId"]: (row["ApplicationId"], row["ErrorCode"], row["IPAddress"]) for row in found} == wanted
    assert {row["IsManagedIdentity"] for row in found} == {0, 1}


def test_cloud_app_events_follow_from_the_calls() -> None:
    """One event for each successful call on mail and files, and the consents, with the app they concern."""
    query = "CloudAppEvents | where Timestamp between (datetime(2026-11-09) .. datetime(2026-11-16))"
    found = hunt(f"{query} | where isnotempty(OAuthAppId) | project Timestamp, ActionType, OAuthAppId, RawEventData")
    assert 0 < len(found) < len(hunt(query))
    reads = Counter(row["OAuthAppId"] for row in found if row["ActionType"] == "MailItemsAccessed")
    wanted = Counter(
        row["ApplicationId"]
        for row in calls()
        if row["Timestamp"] >= "2026-11-09" and "/messages" in row["RequestUri"] and row["ResponseStatusCode"] == "200"
        if row["TargetWorkload"] == "Microsoft.Exchange"
    )
    assert reads == wanted
    assert reads[DORMANT["app_id"]] > 10
    consents = hunt("CloudAppEvents | where ActionType == 'Consent to application.'")
    assert sum(row["OAuthAppId"] == PHISHING["app_id"] for row in consents) == 11


# ---- audit searches --------------------------------------------------------------------------------------------------


def search(**filters: Any) -> dict[str, Any]:
    """A new audit search over the last week on a tenant of its own."""
    body = {"filterStartDateTime": "2026-11-09T00:00:00Z", "filterEndDateTime": "2026-11-16T00:00:00Z", **filters}
    answer = ask(AUDIT, body=body)
    assert answer.status == 201
    created: dict[str, Any] = json.loads(answer.body)
    return created


def finished(**filters: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(a search that has succeeded, its records)."""
    identifier = search(**filters)["id"]
    looks = [page(f"{AUDIT}/{identifier}") for _ in range(3)]
    assert [look["status"] for look in looks] == ["running", "succeeded", "succeeded"]
    return looks[-1], rows(f"{AUDIT}/{identifier}/records")


def test_an_audit_search_works_for_a_while_and_then_has_records() -> None:
    """201 and notStarted, running, succeeded; no records before, pages after; the same in v1.0."""
    created = search(displayName="week", operationFilters=["MailItemsAccessed"])
    assert created["status"] == "notStarted"
    assert error(f"{AUDIT}/{created['id']}/records")[0] == 400
    done, found = finished(operationFilters=["MailItemsAccessed"])
    assert done["approximateReturnedRecordCount"] == len(found) > 150
    assert len(list(pages(f"{AUDIT}/{done['id']}/records"))) > 1
    assert len({row["id"] for row in found}) == len(found)
    assert {row["auditLogRecordType"] for row in found} == {"ExchangeItemAggregated"}
    assert rows(f"/v1.0/security/auditLog/queries/{done['id']}/records") == found
    assert done["id"] in {row["id"] for row in rows(AUDIT)}


def test_audit_records_are_the_ones_that_cloud_app_events_show() -> None:
    """Filters by type agree with the hunting table; consents are written with a full stop."""
    _, found = finished(recordTypeFilters=["SharePointFileOperation", "ExchangeItem", "ExchangeItemAggregated"])
    shown = hunt("CloudAppEvents | where Timestamp >= datetime(2026-11-09) | project Raw = RawEventData")
    assert {row["id"] for row in found} < {row["Raw"]["Id"] for row in shown}
    assert {row["auditData"]["RecordType"] for row in found} == {2, 6, 50}
    assert all(row["auditData"]["@odata.type"].endswith("defaultAuditData") for row in found)
    _, consents = finished(filterStartDateTime="2026-08-17T00:00:00Z", operationFilters=["Consent to application."])
    assert sum(row["objectId"] == PHISHING["app_id"] for row in consents) == 11


def test_audit_searches_have_limits_and_mistakes() -> None:
    """A limit cuts and says so; a search without a window, or a stranger's id, is an error."""
    done, found = finished(recordCountLimit=7)
    assert (len(found), done["isRecordCountLimitExceeded"]) == (7, True)
    assert error(AUDIT, body={"displayName": "no window"})[0] == 400
    body = {"filterStartDateTime": "2026-11-09", "filterEndDateTime": "2026-11-10"}
    assert error(AUDIT, body={**body, "operationFilters": "x"})[0] == 400
    assert error(AUDIT, body={**body, "filterEndDateTime": "2026-11-01"})[0] == 400
    assert error(f"{AUDIT}/{people().pop()}")[0] == 404


# ---- determinism -----------------------------------------------------------------------------------------------------

URLS = (
    "/v1.0/identityProtection/servicePrincipalRiskDetections",
    f"{CONSENT}?$expand=userConsentRequests",
    "/v1.0/policies/permissionGrantPolicies?$expand=includes,excludes",
    "/beta/directory/recommendations?$expand=impactedResources",
    STREAMS,
    "/beta/reports/getAzureADApplicationSignInSummary(period='D30')",
)


@pytest.mark.parametrize("url", URLS)
def test_same_seed_same_bytes_other_seed_other_bytes(url: str) -> None:
    """A tenant made anew gives the same bytes; another seed does not."""
    anew = ask(url, of=Tenant(7, Size(160, 480))).body
    assert anew == ask(url, of=tenant(7, 160)).body
    assert anew != ask(url, of=tenant(8, 160)).body
