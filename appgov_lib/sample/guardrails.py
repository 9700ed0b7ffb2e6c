"""What limits apps: app management policies on credentials, and Conditional Access, also for workload identities."""

from __future__ import annotations

from typing import Any

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import days_before_now
from appgov_lib.sample.world import World

_SINCE = "2026-01-01T00:00:00Z"
"""Apps registered before are exempt, so that the tenant's older secrets do not contradict its own policy."""


def default_app_management_policy() -> dict[str, Any]:
    """Secrets of new apps live a year at most, certificates two."""
    return {
        "id": "00000000-0000-0000-0000-000000000000",
        "displayName": "Default app management tenant policy",
        "description": "Default tenant policy that enforces app management restrictions.",
        "deletedDateTime": None,
        "isEnabled": True,
        "applicationRestrictions": {
            "identifierUris": None,
            "passwordCredentials": [_limit("passwordLifetime", "P365D")],
            "keyCredentials": [_limit("asymmetricKeyLifetime", "P730D")],
        },
        "servicePrincipalRestrictions": {
            "passwordCredentials": [_limit("passwordAddition", None)],
            "keyCredentials": [],
        },
    }


def app_management_policies(world: World) -> list[tuple[dict[str, Any], list[int]]]:
    """(policy, service principal indexes it applies to): one in force, one switched off."""
    payroll, invoices = world.cast_index("Payroll Export Job"), world.cast_index("Legacy Invoice Archiver")
    rows: tuple[tuple[str, str, bool, list[dict[str, Any]], list[dict[str, Any]], list[int]], ...] = (
        ("No secrets for payroll", "Certificates of at most 180 days only.", True,
         [_limit("passwordAddition", None)], [_limit("asymmetricKeyLifetime", "P180D")], [payroll]),
        ("Exempt legacy integrations", "Longer secrets until the migration ends.", False,
         [_limit("passwordLifetime", "P730D")], [], [invoices]),
    )  # fmt: skip
    return [
        (
            {
                "id": ids.guid(world.seed, "app management policy", number),
                "displayName": name,
                "description": text,
                "deletedDateTime": None,
                "isEnabled": enabled,
                "restrictions": {
                    "passwordCredentials": secrets,
                    "keyCredentials": keys,
                    "applicationRestrictions": None,
                },
            },
            apps,
        )
        for number, (name, text, enabled, secrets, keys, apps) in enumerate(rows)
    ]


def _limit(kind: str, longest: str | None) -> dict[str, Any]:
    """One restriction on credentials."""
    return {
        "restrictionType": kind,
        "state": "enabled",
        "maxLifetime": longest,
        "restrictForAppsCreatedAfterDateTime": _SINCE,
        "excludeActors": None,
    }


# ---- Conditional Access ----------------------------------------------------------------------------------------------


def conditional_access_policies(world: World) -> list[dict[str, Any]]:
    """Three policies: MFA for everybody, no legacy authentication, and workload identities from known places only."""
    runbook = world.sp_ids[world.cast_index("Mailbox Provisioning Runbook")]
    everybody = {"includeUsers": ["All"], "excludeUsers": [world.user_ids[int(world.active_users[0])]]}
    workload = {
        "includeServicePrincipals": ["ServicePrincipalsInMyTenant"],
        "excludeServicePrincipals": [runbook],
        "servicePrincipalFilter": None,
    }
    places = {"includeLocations": ["All"], "excludeLocations": ["AllTrusted"]}
    return [
        _policy(world, 0, "Require multifactor authentication for all users", "enabled", 400, "mfa", users=everybody),
        _policy(
            world, 1, "Block legacy authentication", "enabled", 390, "block",
            users=everybody, clientAppTypes=["exchangeActiveSync", "other"],
        ),
        _policy(
            world, 2, "Workload identities from trusted locations only", "enabledForReportingButNotEnforced", 70,
            "block", users={"includeUsers": ["None"], "excludeUsers": []}, clientApplications=workload,
            locations=places,
        ),
    ]  # fmt: skip


def _policy(
    world: World, number: int, name: str, state: str, age: float, control: str, **conditions: Any
) -> dict[str, Any]:
    """One Conditional Access policy; conditions that are not given are empty."""
    people: dict[str, Any] = {
        "includeUsers": [],
        "excludeUsers": [],
        "includeGroups": [],
        "excludeGroups": [],
        "includeRoles": [],
        "excludeRoles": [],
        "includeGuestsOrExternalUsers": None,
        "excludeGuestsOrExternalUsers": None,
    }
    users = {**people, **conditions.pop("users")}
    return {
        "id": ids.guid(world.seed, "conditional access", number),
        "templateId": None,
        "displayName": name,
        "createdDateTime": days_before_now(age),
        "modifiedDateTime": days_before_now(age / 2),
        "deletedDateTime": None,
        "state": state,
        "sessionControls": None,
        "conditions": {
            "clientAppTypes": ["all"],
            "userRiskLevels": [],
            "signInRiskLevels": [],
            "servicePrincipalRiskLevels": [],
            "insiderRiskLevels": None,
            "platforms": None,
            "locations": None,
            "devices": None,
            "authenticationFlows": None,
            "clientApplications": None,
            "applications": {
                "includeApplications": ["All"],
                "excludeApplications": [],
                "includeUserActions": [],
                "includeAuthenticationContextClassReferences": [],
                "applicationFilter": None,
            },
            "users": users,
            **conditions,
        },
        "grantControls": {
            "operator": "OR",
            "builtInControls": [control],
            "customAuthenticationFactors": [],
            "termsOfUse": [],
            "authenticationStrength": None,
        },
    }
