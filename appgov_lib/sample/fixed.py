"""Small answers that do not depend on the size of the tenant: the organization, policies, alerts, incidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from appgov_lib.sample import ids
from appgov_lib.sample.collections import Expander, Plain
from appgov_lib.sample.directory import compact
from appgov_lib.sample.people import People
from appgov_lib.sample.world import DOMAIN, ONMICROSOFT, ORGANIZATION, World

_PLANS = (
    ("41781fb2-bc02-4b7c-bd55-b576c07bb09d", "AADPremiumService", "Enabled"),
    ("eec0eb4f-6444-4f95-aba0-50c24d67f998", "AADPremiumService", "Enabled"),
    ("efb87545-963c-4e0d-99df-69c6916d9eb0", "exchange", "Enabled"),
    ("5dbe027f-2339-4123-9542-606e4d348a72", "SharePoint", "Enabled"),
    ("57ff2da0-773e-42df-b2af-ffb7a2317929", "TeamspaceAPI", "Enabled"),
    ("2e2ddb96-6af9-4b1d-a3f0-d6ecfd22edb2", "Adallom", "Enabled"),
    ("871d91ec-ec1a-452b-a83f-bd76c7d770ef", "WindowsDefenderATP", "Suspended"),
)

decoded = msgspec.json.decode


def encoded(records: Sequence[Any]) -> list[bytes]:
    """Records as JSON."""
    return [compact(record).encode() for record in records]


def fixed_list(rows: Sequence[bytes], expanders: Mapping[str, Expander] | None = None) -> Plain:
    """A short list that is held whole."""
    return Plain(len(rows), lambda number: rows[number], expanders or {})


def organization(world: World) -> bytes:
    """The tenant itself."""
    record = {
        "id": world.tenant_id,
        "deletedDateTime": None,
        "displayName": ORGANIZATION,
        "createdDateTime": "2016-03-02T09:12:11Z",
        "countryLetterCode": "IE",
        "tenantType": "AAD",
        "verifiedDomains": [
            {
                "capabilities": "Email, OfficeCommunicationsOnline",
                "isDefault": True,
                "isInitial": False,
                "name": DOMAIN,
                "type": "Managed",
            },
            {"capabilities": "Email", "isDefault": False, "isInitial": True, "name": ONMICROSOFT, "type": "Managed"},
        ],
        "assignedPlans": [
            {
                "assignedDateTime": "2024-05-01T00:00:00Z",
                "capabilityStatus": state,
                "service": service,
                "servicePlanId": plan,
            }
            for plan, service, state in _PLANS
        ],
        "provisionedPlans": [],
        "businessPhones": [],
        "technicalNotificationMails": [f"it@{DOMAIN}"],
    }
    return compact(record).encode()


def alerts(world: World) -> list[tuple[str, bytes]]:
    """(time, record) of the security alerts, newest first: two of app governance, one about something else."""
    people = People(world)
    phishing, dormant = world.cast_index("DocuViewer Pro 365"), world.cast_index("Legacy Invoice Archiver")
    return [
        _alert(
            world, people, dormant, "2026-11-13T08:20:11.1234567Z", "medium", "appGovernanceDetection",
            "App accessed from unusual location made anomalous Graph calls post credential update",
            "Persistence", ["T1098"],
        ),
        _alert(
            world, people, phishing, "2026-11-09T14:02:51.7654321Z", "high", "appGovernancePolicy",
            "New app with mail permissions and unverified publisher", "Collection", ["T1114"],
        ),
        _other_alert(world),
    ]  # fmt: skip


def _alert(
    world: World,
    people: People,
    index: int,
    moment: str,
    severity: str,
    source: str,
    title: str,
    category: str,
    mitre: list[str],
) -> tuple[str, bytes]:
    """One alert of app governance with the app as evidence."""
    identifier = f"ag{ids.guid(world.seed, 'alert', title)}"
    evidence: dict[str, Any] = {
        "@odata.type": "#microsoft.graph.security.oauthApplicationEvidence",
        "createdDateTime": moment,
        "verdict": "suspicious",
        "remediationStatus": "none",
        "remediationStatusDetails": None,
        "roles": [],
        "detailedRoles": [],
        "tags": [],
        "appId": world.app_ids[index],
        "displayName": people.app_name(index),
        "objectId": world.sp_ids[index],
        "publisher": people.vendor(index),
    }
    record = _record(world, identifier, moment, severity, title, category, mitre)
    record |= {"serviceSource": "microsoftAppGovernance", "detectionSource": source, "evidence": [evidence]}
    return moment, compact(record).encode()


def _other_alert(world: World) -> tuple[str, bytes]:
    """An alert that has nothing to do with apps."""
    moment = "2026-10-21T22:40:00.5Z"
    record = _record(
        world, "da638000000000000000_-1", moment, "low", "Unfamiliar sign-in properties", "InitialAccess", []
    )
    record |= {
        "serviceSource": "azureAdIdentityProtection",
        "detectionSource": "azureAdIdentityProtection",
        "status": "resolved",
    }
    return moment, compact(record).encode()


def _record(
    world: World, identifier: str, moment: str, severity: str, title: str, category: str, mitre: list[str]
) -> dict[str, Any]:
    """What all alerts share."""
    return {
        "@odata.type": "#microsoft.graph.security.alert",
        "id": identifier,
        "providerAlertId": identifier,
        "incidentId": "41",
        "status": "new",
        "severity": severity,
        "classification": None,
        "determination": None,
        "detectorId": ids.guid(world.seed, "detector", title),
        "tenantId": world.tenant_id,
        "title": title,
        "description": title + ".",
        "recommendedActions": "Review the app and its permissions.",
        "category": category,
        "assignedTo": None,
        "alertWebUrl": f"https://security.microsoft.com/alerts/{identifier}?tid={world.tenant_id}",
        "incidentWebUrl": f"https://security.microsoft.com/incidents/41?tid={world.tenant_id}",
        "mitreTechniques": mitre,
        "createdDateTime": moment,
        "lastUpdateDateTime": moment,
        "resolvedDateTime": None,
        "firstActivityDateTime": moment,
        "lastActivityDateTime": moment,
        "comments": [],
        "evidence": [],
        "systemTags": [],
    }


def incident(world: World) -> bytes:
    """The one incident."""
    record = {
        "id": "41",
        "tenantId": world.tenant_id,
        "status": "active",
        "severity": "high",
        "displayName": "Suspicious OAuth app activity involving several users",
        "createdDateTime": "2026-11-09T14:05:00Z",
        "lastUpdateDateTime": "2026-11-13T08:21:00Z",
        "classification": "unknown",
        "determination": "unknown",
        "incidentWebUrl": f"https://security.microsoft.com/incidents/41?tid={world.tenant_id}",
        "comments": [],
        "customTags": [],
        "systemTags": [],
    }
    return compact(record).encode()


def policies(beta: bool) -> dict[str, dict[str, Any]]:
    """Single policy objects by path; the authorization policy differs between v1.0 and beta."""
    rights: dict[str, Any] = {
        "allowedToCreateApps": True,
        "allowedToCreateSecurityGroups": True,
        "allowedToReadOtherUsers": True,
    }
    consent = ["ManagePermissionGrantsForSelf.microsoft-user-default-legacy"]
    authorization: dict[str, Any] = {
        "id": "authorizationPolicy",
        "displayName": "Authorization Policy",
        "description": "Used to manage authorization related settings across the company.",
        "allowInvitesFrom": "everyone",
        "allowUserConsentForRiskyApps": False,
        "allowedToUseSSPR": True,
        "blockMsolPowerShell": False,
        "guestUserRoleId": "10dae51f-b6af-4016-8d66-8c2a99b929b3",
    }
    if beta:
        authorization |= {
            "permissionGrantPolicyIdsAssignedToDefaultUserRole": consent,
            "defaultUserRolePermissions": rights,
        }
    else:
        authorization |= {"defaultUserRolePermissions": {**rights, "permissionGrantPoliciesAssigned": consent}}
    return {
        "/policies/authorizationPolicy": authorization,
        "/policies/adminConsentRequestPolicy": {
            "isEnabled": True, "notifyReviewers": True, "remindersEnabled": True, "requestDurationInDays": 30,
            "version": 0, "reviewers": [],
        },
        "/policies/defaultAppManagementPolicy": {
            "id": "00000000-0000-0000-0000-000000000000", "displayName": "Default app management tenant policy",
            "description": "Default tenant policy that enforces app management restrictions.", "isEnabled": False,
        },
    }  # fmt: skip


GRANT_POLICIES = tuple(
    compact({"id": f"microsoft-{name}", "displayName": title, "description": title, "deletedDateTime": None}).encode()
    for name, title in (
        ("user-default-legacy", "Default user consent policy"),
        ("user-default-low", "Consent for low-risk permissions of verified publishers"),
        ("application-admin", "Application administrators"),
    )
)
