"""What tests of consent share: a tenant's settings as raw records, and the posture made of them."""

from __future__ import annotations

from typing import Any

from conftest import Bench

SOURCES = (
    "authorization_policy", "permission_grant_policies", "admin_consent_request_policy", "user_consent_requests",
    "default_app_management_policy", "app_management_policies", "conditional_access_policies", "applications",
    "service_principals",
)  # fmt: skip
STAGING = (
    "stg_authorization_policy", "stg_permission_grant_policies", "stg_admin_consent_request_policy",
    "stg_user_consent_requests", "stg_default_app_management_policy", "stg_app_management_policies",
    "stg_conditional_access_policies", "stg_applications", "stg_service_principals",
)  # fmt: skip
STEPS = (
    "consent_condition_sets", "consent_policy_widths", "posture_of_users", "posture_of_consent", "posture_of_requests",
    "credential_rules", "posture_of_credentials", "posture_of_exceptions",
)  # fmt: skip
ALL = ["all"]
ANY_DELEGATED = {"permissionType": "delegated", "permissionClassification": "all"}
LEGACY = {
    "id": "microsoft-user-default-legacy",
    "includes": [{"permissionType": "delegatedUserConsentable", "clientApplicationIds": ALL}],
    "excludes": [],
}


def coverage(bench: Bench, **status: str) -> None:
    """Every source is complete unless said otherwise."""
    text = "\n".join(f"{s} | {status.get(s, 'complete')} | {'no right' if s in status else '-'}" for s in SOURCES)
    bench.table("coverage", "source | status | reason\n" + text)


def users_may(bench: Bench, *policies: str, **more: Any) -> None:
    """The authorization policy with what users may consent to."""
    given = [f"ManagePermissionGrantsForSelf.{p}" for p in policies]
    rights = {"permissionGrantPoliciesAssigned": given, **more.pop("rights", {})}
    bench.raw("authorization_policy", [{"id": "authorizationPolicy", "defaultUserRolePermissions": rights, **more}])


def posture(bench: Bench) -> dict[str, tuple[Any, Any, Any]]:
    """consent_posture as setting -> value, verdict, reason."""
    for name in (*STAGING, *STEPS):
        bench.run(name)
    return {r["setting_id"]: (r["value"], r["verdict"], r["reason"]) for r in bench.run("consent_posture")}
