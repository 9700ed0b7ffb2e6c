"""One action of every kind about people and settings of the tenant, against a sample tenant that takes changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reading_http import get, rows

from appgov_lib.actions import people, requests
from appgov_lib.actions import tenant_settings as settings
from appgov_lib.actions.requests import Change
from appgov_lib.sample import SampleTenant

Made = tuple[list[Change], Any]
MAILBOXES = 6
OWN_POLICY = "northwind-helpdesk"


def _person(tenant: SampleTenant) -> dict[str, Any]:
    """A user who may sign in."""
    return next(row for row in rows(tenant, "/v1.0/users?$top=50") if row["accountEnabled"])


def mailboxes(tenant: SampleTenant) -> dict[str, list[dict[str, Any]]]:
    """Inbox rules by user, of those who have any."""
    found = {}
    for user in rows(tenant, "/v1.0/users?$top=999"):
        listed = rows(tenant, f"/v1.0/users/{user['id']}/mailFolders/inbox/messageRules")
        if listed:
            found[user["id"]] = listed
        if len(found) == MAILBOXES:
            break
    return found


def revoke_sessions(tenant: SampleTenant) -> Made:
    """Sessions of a person end."""
    return [people.revoke_sessions(_person(tenant)["id"])], None


def block_user(tenant: SampleTenant) -> Made:
    """A person is blocked."""
    return [people.block_user(_person(tenant)["id"], True)], None


def remove_mail_rules(tenant: SampleTenant) -> Made:
    """All rules of a mailbox go, one with a name that tries to break out."""
    user_id, rules = next(iter(mailboxes(tenant).items()))
    return [people.remove_mail_rule(user_id, rule["id"], rule) for rule in rules], None


def stop_registering(tenant: SampleTenant) -> Made:
    """Users register no apps any more."""
    after, before = ({"defaultUserRolePermissions": {"allowedToCreateApps": value}} for value in (False, True))
    return [requests.write_authorization_policy(after, before)], None


def narrow_consent_policy(tenant: SampleTenant) -> Made:
    """A rule of a consent policy becomes narrower."""
    rules = get(tenant, f"/v1.0/policies/permissionGrantPolicies/{OWN_POLICY}")["includes"]
    return settings.narrow_consent_rule(OWN_POLICY, rules[0], rules), None


def let_users_ask(tenant: SampleTenant) -> Made:
    """Requests for apps end after a shorter time."""
    known = get(tenant, "/v1.0/policies/adminConsentRequestPolicy")
    change = settings.let_users_ask(known)
    body = {**(change.request.body or {}), "requestDurationInDays": 14}
    return [Change(requests.Request("PUT", change.request.path, body), change.undo, "", "", change.state)], None


def limit_credentials(tenant: SampleTenant) -> Made:
    """Secrets live half as long."""
    known = get(tenant, "/v1.0/policies/defaultAppManagementPolicy")["applicationRestrictions"]
    before = {"isEnabled": True, "applicationRestrictions": {"passwordCredentials": known["passwordCredentials"]}}
    rule = {**known["passwordCredentials"][0], "maxLifetime": "P180D"}
    after = {"isEnabled": True, "applicationRestrictions": {"passwordCredentials": [rule]}}
    return [settings.limit_credentials(after, before)], None


def limit_app_credentials(tenant: SampleTenant) -> Made:
    """An app comes under a policy of the tenant's own."""
    policy = rows(tenant, "/v1.0/policies/appManagementPolicies")[0]
    for app in rows(tenant, "/v1.0/applications?$top=999"):
        if not rows(tenant, f"/v1.0/applications/{app['id']}/appManagementPolicies"):
            sp = get(tenant, f"/v1.0/servicePrincipals(appId='{app['appId']}')")
            return [settings.limit_app(app["id"], policy["id"])], sp
    raise AssertionError("every app has a policy")


KINDS: Mapping[str, Callable[[SampleTenant], Made]] = {
    "block_user": block_user,
    "remove_mail_rules": remove_mail_rules,
    "change_setting, registering apps": stop_registering,
    "narrow_consent_policy": narrow_consent_policy,
    "let_users_ask": let_users_ask,
    "limit_credentials": limit_credentials,
    "limit_app_credentials": limit_app_credentials,
    "revoke_sessions": revoke_sessions,
}


def state_of_policies(tenant: SampleTenant) -> dict[str, Any]:
    """What these actions may change beside what others do; rules without the ids that Graph makes anew."""
    consent = rows(tenant, "/v1.0/policies/permissionGrantPolicies?$expand=includes,excludes")
    limits = rows(tenant, "/v1.0/policies/appManagementPolicies?$expand=appliesTo")
    return {
        "users": rows(tenant, "/v1.0/users?$top=999"),
        "mail rules": {user: _same(rules) for user, rules in mailboxes(tenant).items()},
        "consent policies": [
            {**row, "includes": _same(row["includes"]), "excludes": _same(row["excludes"])} for row in consent
        ],
        "asking": get(tenant, "/v1.0/policies/adminConsentRequestPolicy"),
        "limits": get(tenant, "/v1.0/policies/defaultAppManagementPolicy"),
        "app policies": [{**row, "appliesTo": sorted(app["id"] for app in row["appliesTo"])} for row in limits],
    }


def _same(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rules without their ids, in one order."""
    return sorted(({name: value for name, value in row.items() if name != "id"} for row in found), key=str)
