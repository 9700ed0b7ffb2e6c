"""Marts about consent: what each setting of the tenant says."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Bench
from consent import ALL, ANY_DELEGATED, SOURCES, coverage, posture, users_may


def verdicts(bench: Bench) -> dict[str, str]:
    """consent_posture as setting -> verdict."""
    return {name: verdict for name, (_, verdict, _) in posture(bench).items()}


def test_an_open_tenant_is_risky(bench: Bench) -> None:
    coverage(bench)
    users_may(
        bench, "microsoft-user-default-legacy", allowInvitesFrom="everyone", allowUserConsentForRiskyApps=True,
        guestUserRoleId="a0b1b346-4d3e-4e8b-98f8-753987be4970", allowEmailVerifiedUsersToJoinOrganization=True,
        rights={"allowedToCreateApps": True, "allowedToCreateTenants": True},
    )  # fmt: skip
    bench.raw("admin_consent_request_policy", [{"isEnabled": False, "reviewers": [], "requestDurationInDays": 60}])
    bench.raw("default_app_management_policy", [{"id": "d", "isEnabled": False}])
    found = posture(bench)
    assert {name: verdict for name, (_, verdict, _) in found.items()} == {
        "user_consent": "risky",
        "team_and_chat_consent": "safe",  # no policy for owners
        "risky_app_consent": "risky",
        "permission_grant_policies": "safe",
        "admin_consent_workflow": "weak",
        "admin_consent_reviewers": "unknown",  # not in force
        "admin_consent_duration": "unknown",
        "pending_consent_requests": "safe",
        "app_registration": "weak",
        "tenant_creation": "weak",
        "guest_access": "risky",
        "guest_invitations": "risky",
        "joining_by_email": "weak",
        "app_management_policy": "weak",
        "secret_addition": "weak",
        "secret_lifetime": "weak",
        "certificate_lifetime": "weak",
        "service_principal_secret_addition": "weak",
        "app_management_exceptions": "safe",
        "workload_conditional_access": "weak",
    }
    assert found["guest_access"][0] == "like members"
    assert "microsoft-user-default-legacy" in found["user_consent"][2]


def test_a_closed_tenant_is_safe(bench: Bench) -> None:
    coverage(bench)
    users_may(
        bench, allowInvitesFrom="adminsAndGuestInviters", allowUserConsentForRiskyApps=False,
        guestUserRoleId="2af84b1e-32c8-42b7-82bc-daa82404023b", allowEmailVerifiedUsersToJoinOrganization=False,
        rights={"allowedToCreateApps": False, "allowedToCreateTenants": False},
    )  # fmt: skip
    bench.raw(
        "admin_consent_request_policy",
        [
            {
                "isEnabled": True,
                "notifyReviewers": True,
                "requestDurationInDays": 30,
                "reviewers": [{"query": "/users/u"}],
            }
        ],
    )
    rules = [rule("passwordAddition"), rule("passwordLifetime", "P90D")]
    bench.raw(
        "default_app_management_policy",
        [{"id": "d", "isEnabled": True,
          "applicationRestrictions": {"passwordCredentials": rules,
                                      "keyCredentials": [rule("asymmetricKeyLifetime", "P1Y")]},
          "servicePrincipalRestrictions": {"passwordCredentials": [rule("passwordAddition")], "keyCredentials": []}}],
    )  # fmt: skip
    bench.raw(
        "conditional_access_policies",
        [{"id": "c", "state": "enabled",
          "conditions": {"clientApplications": {"includeServicePrincipals": ["ServicePrincipalsInMyTenant"]}}}],
    )  # fmt: skip
    assert {name: v for name, v in verdicts(bench).items() if v != "safe"} == {}


def rule(kind: str, longest: str | None = None, since: str | None = None, state: str = "enabled") -> dict[str, Any]:
    """One rule for credentials."""
    return {"restrictionType": kind, "maxLifetime": longest, "restrictForAppsCreatedAfterDateTime": since,
            "state": state}  # fmt: skip


def test_what_was_not_read_is_unknown_with_the_reason(bench: Bench) -> None:
    coverage(bench, **dict.fromkeys(SOURCES, "not_permitted"))
    found = posture(bench)
    assert len(found) == 20
    assert {(value, verdict) for value, verdict, _ in found.values()} == {(None, "unknown")}
    assert found["user_consent"][2] == "Not known: authorization policy was not read (not permitted: no right)."


def test_an_answer_without_the_property_is_unknown(bench: Bench) -> None:
    coverage(bench)
    bench.raw("authorization_policy", [{"id": "authorizationPolicy", "displayName": "x"}])
    found = verdicts(bench)
    for name in ("user_consent", "team_and_chat_consent", "risky_app_consent", "app_registration", "guest_access"):
        assert found[name] == "unknown", name
    # the policy was read, but there was no object in it
    assert found["admin_consent_workflow"] == found["app_management_policy"] == "unknown"


def test_a_partial_list_is_never_safe(bench: Bench) -> None:
    coverage(bench, permission_grant_policies="partial", conditional_access_policies="partial")
    found = verdicts(bench)
    assert found["permission_grant_policies"] == "unknown"
    assert found["workload_conditional_access"] == "weak"


@pytest.mark.parametrize(
    ("sets", "verdict"),
    [
        ([{**ANY_DELEGATED, "permissionClassification": "low", "clientApplicationsFromVerifiedPublisherOnly": True}],
         "safe"),
        ([{**ANY_DELEGATED, "permissionClassification": "low", "clientApplicationTenantIds": ["home"]}], "safe"),
        ([{**ANY_DELEGATED, "clientApplicationsFromVerifiedPublisherOnly": True}], "weak"),
        ([{**ANY_DELEGATED, "permissions": ["scope-1"], "clientApplicationIds": ALL}], "weak"),
        ([{**ANY_DELEGATED, "permissionClassification": "low"}, ANY_DELEGATED], "risky"),
        ([], "safe"),
    ],
)  # fmt: skip
def test_a_custom_policy_is_judged_by_its_widest_set(bench: Bench, sets: list[Any], verdict: str) -> None:
    coverage(bench)
    users_may(bench, "Own")
    bench.raw("permission_grant_policies", [{"id": "own", "includes": sets, "excludes": []}])
    found = verdicts(bench)
    assert found["user_consent"] == verdict
    assert found["permission_grant_policies"] == verdict


def test_a_policy_that_is_not_listed_cannot_be_judged(bench: Bench) -> None:
    coverage(bench)
    users_may(bench, "gone")
    assert verdicts(bench)["user_consent"] == "unknown"


def test_old_requests_are_weak_and_answered_ones_are_none(bench: Bench) -> None:
    coverage(bench)
    done = {"id": "1", "status": "Completed", "createdDateTime": "2026-10-01T00:00:00Z"}
    old = {"id": "2", "status": "InProgress", "createdDateTime": "2026-11-07T00:00:00Z"}
    bench.raw("user_consent_requests", [{"parent_id": "a", "record": done}])
    assert posture(bench)["pending_consent_requests"][:2] == ("none", "safe")
    bench.raw("user_consent_requests", [{"parent_id": "a", "record": old}])
    found = posture(bench)["pending_consent_requests"]
    assert found[:2] == ("1 for 1 app", "weak")
    assert "2026-11-07" in found[2]


def test_rules_that_exempt_older_apps_are_weak(bench: Bench) -> None:
    coverage(bench)
    policy = {
        "id": "d", "isEnabled": True,
        "applicationRestrictions": {"passwordCredentials": [
            rule("passwordAddition", since="2026-01-01T00:00:00Z"), rule("passwordLifetime", "P4DT12H30M5S"),
        ], "keyCredentials": [rule("asymmetricKeyLifetime", "P2Y", state="disabled")]},
    }  # fmt: skip
    bench.raw("default_app_management_policy", [policy])
    bench.raw(
        "applications",
        [{"id": "o", "appId": "o", "createdDateTime": "2025-01-01T00:00:00Z"},
         {"id": "n", "appId": "n", "createdDateTime": "2026-02-01T00:00:00Z"}],
    )  # fmt: skip
    found = posture(bench)
    assert found["secret_addition"][:2] == ("blocked, apps created after 2026-01-01", "weak")
    assert "1 of 2 registrations are older and exempt" in found["secret_addition"][2]
    assert found["secret_lifetime"][:2] == ("5 days", "safe")  # a part of a day counts as one
    assert found["certificate_lifetime"][0] == "no rule"  # a rule that is switched off is none


@pytest.mark.parametrize(
    ("enabled", "secrets", "verdict"),
    [
        (True, [rule("passwordAddition")], "safe"),
        (True, [rule("passwordLifetime", "P90D")], "safe"),
        (True, [rule("passwordLifetime", "P730D")], "weak"),
        (True, [], "weak"),
        (False, [], "safe"),
    ],
)
def test_exceptions_are_weak_when_they_are_looser(
    bench: Bench, enabled: bool, secrets: list[Any], verdict: str
) -> None:
    coverage(bench)
    bench.raw(
        "default_app_management_policy",
        [{"id": "d", "isEnabled": True,
          "applicationRestrictions": {"passwordCredentials": [rule("passwordLifetime", "P180D")]}}],
    )  # fmt: skip
    bench.raw(
        "app_management_policies",
        [
            {
                "id": "x",
                "displayName": "<b>x</b>",
                "isEnabled": enabled,
                "restrictions": {"passwordCredentials": secrets},
            }
        ],
    )
    assert verdicts(bench)["app_management_exceptions"] == verdict
