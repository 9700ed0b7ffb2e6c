"""Answers have the shape of Graph's, by its published schemas where they are at hand, and by facts of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from sample_tenant import hunt, page, rows, tenant

SCHEMAS = Path(__file__).resolve().parents[2] / "shared" / "graph"
GUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
MAY_BE_EMPTY = ("/owners", "/oauth2PermissionGrants")
LISTS = [
    "/v1.0/organization",
    "/v1.0/servicePrincipals",
    "/v1.0/servicePrincipals/delta()",
    "/v1.0/servicePrincipals/{sp}",
    "/v1.0/servicePrincipals/{graph}/appRoleAssignedTo",
    "/v1.0/servicePrincipals/{sp}/appRoleAssignments",
    "/v1.0/servicePrincipals/{sp}/owners",
    "/v1.0/servicePrincipals/{sp}/oauth2PermissionGrants",
    "/v1.0/applications",
    "/v1.0/applications/{app}",
    "/v1.0/applications/{app}/owners",
    "/v1.0/applications/{app}/federatedIdentityCredentials",
    "/v1.0/oauth2PermissionGrants",
    "/v1.0/users",
    "/v1.0/auditLogs/signIns",
    "/v1.0/auditLogs/directoryAudits",
    "/v1.0/roleManagement/directory/roleDefinitions",
    "/v1.0/roleManagement/directory/roleAssignments",
    "/v1.0/security/alerts_v2",
    "/v1.0/policies/authorizationPolicy",
    "/v1.0/policies/adminConsentRequestPolicy",
    "/v1.0/policies/defaultAppManagementPolicy",
    "/v1.0/policies/permissionGrantPolicies",
    "/v1.0/policies/permissionGrantPolicies?$expand=includes,excludes",
    "/v1.0/policies/appManagementPolicies",
    "/v1.0/identityProtection/riskyServicePrincipals",
    "/v1.0/identityProtection/servicePrincipalRiskDetections",
    "/v1.0/identityGovernance/appConsent/appConsentRequests",
    "/v1.0/identityGovernance/appConsent/appConsentRequests?$expand=userConsentRequests",
    "/v1.0/identityGovernance/appConsent/appConsentRequests/{consent}/userConsentRequests",
    "/v1.0/roleManagement/directory/roleAssignmentScheduleInstances",
    "/v1.0/roleManagement/directory/roleEligibilityScheduleInstances",
    "/v1.0/directory/deletedItems/graph.application",
    "/v1.0/directory/deletedItems/graph.servicePrincipal",
    "/beta/servicePrincipals",
    "/beta/servicePrincipals/{graph}/appRoleAssignedTo",
    "/beta/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq 'nonInteractiveUser')",
    "/beta/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq 'servicePrincipal')",
    "/beta/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq 'managedIdentity')",
    "/beta/reports/servicePrincipalSignInActivities",
    "/beta/reports/appCredentialSignInActivities",
    "/beta/reports/getAzureADApplicationSignInSummary(period='D30')",
    "/beta/policies/authorizationPolicy",
    "/beta/identityProtection/riskyServicePrincipals",
    "/beta/security/dataDiscovery/cloudAppDiscovery/uploadedStreams",
    "/beta/security/dataDiscovery/cloudAppDiscovery/uploadedStreams/{stream}/microsoft.graph.security."
    "aggregatedAppsDetails(period=duration'P90D')",
]

PARENTS = {
    "{consent}": "/v1.0/identityGovernance/appConsent/appConsentRequests",
    "{stream}": "/beta/security/dataDiscovery/cloudAppDiscovery/uploadedStreams",
}


@cache
def published(version: str) -> dict[str, Any]:
    """The published description of a version; the test is skipped where it is not there."""
    file = SCHEMAS / f"openapi-{version}.json"
    if not file.exists():
        pytest.skip(f"the published schemas are not at {SCHEMAS}; the facts of our own are checked all the same")
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def plain(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: `nullable` becomes a choice, annotations that are no rules go."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: plain(value) for key, value in schema.items() if key not in ("nullable", "discriminator", "format")}
    return {"anyOf": [found, {"type": "null"}]} if schema.get("nullable") is True else found


@cache
def validator(version: str, url: str) -> jsonschema.Draft7Validator:
    """What checks the answer to a path, whose ids are in braces."""
    document = published(version)
    path = re.sub(r"\{(sp|graph)\}", "{servicePrincipal-id}", url).replace("{app}", "{application-id}")
    path = path.replace("{consent}", "{appConsentRequest-id}").replace("{stream}", "{cloudAppDiscoveryReport-id}")
    path = path.replace("'D30'", "'{period}'").replace("duration'P90D'", "{period}")
    operation = document["paths"][path]["get" if "get" in document["paths"][path] else "post"]
    schema = operation["responses"]["2XX"]["content"]["application/json"]["schema"]
    return jsonschema.Draft7Validator({**plain(schema), "components": plain(document["components"])})


def filled(url: str) -> str:
    """The address with ids of objects that have something to show."""
    world = tenant().world
    runbook = world.cast_index("Mailbox Provisioning Runbook")
    place = next(
        n
        for n, index in enumerate(world.registered.tolist())
        if world.credentials(index) and world.credentials(index)[0].kind == "federated"
    )
    application = tenant().catalogue.directory.application_id(place)
    url = url.replace("{sp}", world.sp_ids[runbook]).replace("{graph}", world.sp_ids[0]).replace("{app}", application)
    for name, parents in PARENTS.items():
        if name in url:
            url = url.replace(name, rows(parents)[0]["id"])
    return url


@pytest.mark.parametrize("url", LISTS)
def test_answers_fit_the_published_schema(url: str) -> None:
    """Every property that Graph declares has the type it declares."""
    version, path = url[1:].split("?")[0].split("/", 1)
    check = validator(version, "/" + path)
    answer = page(filled(url) + ("&$top=200" if "?" in url else ""))
    wrong = [f"{'/'.join(map(str, found.absolute_path))}: {found.message[:120]}" for found in check.iter_errors(answer)]
    assert wrong == []
    assert answer.get("value", [1]) != [] or path.endswith(MAY_BE_EMPTY)


def test_hunting_answers_fit_the_published_schema() -> None:
    """Schema and results."""
    check = validator("v1.0", "/security/microsoft.graph.security.runHuntingQuery")
    body = {"query": "GraphApiAuditEvents | take 5", "timespan": "P1D"}
    answer = page("/v1.0/security/microsoft.graph.security.runHuntingQuery", body=body)
    assert list(check.iter_errors(answer)) == []
    assert {item["name"] for item in answer["schema"]} == answer["results"][0].keys()


def texts(value: Any) -> Iterator[str]:
    """All strings inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def test_service_principals_hold_what_breaks_careless_readers() -> None:
    """Hostile names, nulls, missing fields, unknown values and properties that v1.0 does not declare."""
    everyone = rows("/v1.0/servicePrincipals?$top=999")
    names = [row["displayName"] for row in everyone]
    for piece in ("<script>", "=cmd", "](javascript:", "\u202e", "\n", "\x1b[", "🚀", "DROP TABLE", '"quoted"'):
        assert any(piece in (name or "") for name in names), piece
    assert None in names
    assert max(len(name or "") for name in names) > 200
    assert any("createdDateTime" in row for row in everyone)
    assert any("createdDateTime" not in row for row in everyone)
    assert any(row.get("appOwnerOrganizationId", 0) is None for row in everyone)
    assert any(row.get("@odata.type") for row in everyone)
    assert "unknownFutureValue" in {row.get("signInAudience") for row in everyone}
    assert {row.get("servicePrincipalType") for row in everyone} >= {"Application", "ManagedIdentity", "Legacy", None}
    assert all(GUID.match(row["id"]) and GUID.match(row["appId"]) for row in everyone)


def test_microsofts_own_apps_are_the_real_ones() -> None:
    """Well-known app ids, Microsoft's tenant as owner, and Graph's real permission ids."""
    everyone = {row["appId"]: row for row in rows("/v1.0/servicePrincipals?$top=999")}
    graph = everyone["00000003-0000-0000-c000-000000000000"]
    assert graph["displayName"] == "Microsoft Graph"
    assert graph["appOwnerOrganizationId"] == "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
    roles = {role["value"]: role["id"] for role in graph["appRoles"]}
    scopes = {scope["value"]: scope["id"] for scope in graph["oauth2PermissionScopes"]}
    assert roles["User.Read.All"] == "df021288-bdef-4463-88db-98f22de89214"
    assert scopes["User.Read"] == "e1fe6dd8-ba31-4d61-89e7-88639da4683d"
    assert len(roles) > 40
    assert {"00000002-0000-0ff1-ce00-000000000000", "00000003-0000-0ff1-ce00-000000000000"} <= everyone.keys()


def test_references_lead_to_objects_that_exist() -> None:
    """Grants, assignments, owners and role assignments name ids of the tenant."""
    people = {row["id"] for row in rows("/v1.0/users?$top=999")}
    apps = {row["id"]: row for row in rows("/v1.0/servicePrincipals?$top=999")}
    roles = {role["id"] for row in apps.values() for role in row.get("appRoles") or []}
    for grant in rows("/v1.0/oauth2PermissionGrants?$top=999"):
        assert grant["clientId"] in apps
        assert grant["resourceId"] in apps
        assert (grant["consentType"] == "AllPrincipals") == (grant["principalId"] is None)
        assert grant["principalId"] is None or grant["principalId"] in people
    assigned = [
        row
        for sp in apps.values()
        if sp.get("appRoles")
        for row in rows(f"/v1.0/servicePrincipals/{sp['id']}/appRoleAssignedTo")
    ]
    assert len(assigned) > 150
    for row in assigned:
        assert row["appRoleId"] in roles
        assert row["principalId"] in apps
    for row in rows("/v1.0/applications?$top=999&$expand=owners"):
        assert {owner["id"] for owner in row["owners"]} <= people
    for row in rows("/v1.0/roleManagement/directory/roleAssignments?$expand=principal"):
        assert row["principalId"] in people | apps.keys()
        assert row["principal"]["id"] == row["principalId"]


def test_sign_in_records_agree_with_the_directory() -> None:
    """App ids, service principal ids, users and credentials of sign-ins exist; event types only come from beta."""
    apps = {row["appId"]: row for row in rows("/v1.0/servicePrincipals?$top=999")}
    interactive = page("/v1.0/auditLogs/signIns")["value"]
    assert all("signInEventTypes" not in row and row["isInteractive"] for row in interactive)
    keys = {
        key["keyId"]
        for row in [*apps.values(), *rows("/v1.0/applications?$top=999")]
        for key in [*row.get("keyCredentials", []), *row.get("passwordCredentials", [])]
    }
    known = 0
    for kind in ("servicePrincipal", "managedIdentity"):
        for row in page(f"/beta/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq '{kind}')")["value"]:
            assert row["signInEventTypes"] == [kind]
            assert apps[row["appId"]]["id"] == row["servicePrincipalId"]
            assert row["userId"] == ""
            known += row["servicePrincipalCredentialKeyId"] in keys
    assert known > 300


def test_alerts_of_app_governance_name_the_app() -> None:
    """Two alerts carry the app as evidence."""
    apps = {row["appId"] for row in rows("/v1.0/servicePrincipals?$top=999")}
    found = [row for row in rows("/v1.0/security/alerts_v2") if row["serviceSource"] == "microsoftAppGovernance"]
    assert {row["detectionSource"] for row in found} == {"appGovernancePolicy", "appGovernanceDetection"}
    evidence = [item for row in found for item in row["evidence"]]
    assert {item["@odata.type"] for item in evidence} == {"#microsoft.graph.security.oauthApplicationEvidence"}
    assert {item["appId"] for item in evidence} <= apps


def test_addresses_are_documentation_ranges_and_domains_are_invented() -> None:
    """Nothing points at a real host but Microsoft's, as real records do; `.example` belongs to nobody."""
    found = page("/v1.0/auditLogs/signIns")["value"] + page("/v1.0/auditLogs/directoryAudits")["value"]
    found += hunt("GraphApiAuditEvents | take 3000")
    addresses = {row.get("ipAddress") or row.get("IPAddress") for row in found} - {None, ""}
    assert all(address.startswith(("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:")) for address in addresses)
    hosts = {host for text in texts(found) for host in re.findall(r"https?://([\w.-]+)", text)}
    hosts = {host for host in hosts if not host.endswith(".example")}
    assert hosts <= {"graph.microsoft.com", "sts.windows.net", "localhost"}
