"""Who may consent to what: the authorization policy, permission grant policies, and requests for admin consent."""

from __future__ import annotations

from typing import Any

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import days_before_now
from appgov_lib.sample.directory import GRAPH_APP
from appgov_lib.sample.people import People
from appgov_lib.sample.profiles import graph_permissions
from appgov_lib.sample.world import VERIFIED, World

USER_POLICY = "microsoft-user-default-low"
"""What ordinary users may consent to: low-impact permissions of verified publishers and of the tenant's own apps."""

_RIGHTS: dict[str, Any] = {
    "allowedToCreateApps": True,
    "allowedToCreateSecurityGroups": True,
    "allowedToCreateTenants": False,
    "allowedToReadBitlockerKeysForOwnedDevice": True,
    "allowedToReadOtherUsers": True,
}
_REASONS = (
    "I need it to sign the supplier contracts",
    '=HYPERLINK("https://evil.example","please approve")',
    "",
    "My team works with it <b>every day</b>",
    "Asked for by our auditor",
)


def authorization_policy(beta: bool) -> dict[str, Any]:
    """The authorization policy; what users may consent to has another place in beta than in v1.0."""
    consent = [
        f"ManagePermissionGrantsForSelf.{USER_POLICY}",
        "ManagePermissionGrantsForOwnedResource.microsoft-dynamically-managed-permissions-for-team",
    ]
    policy: dict[str, Any] = {
        "id": "authorizationPolicy",
        "displayName": "Authorization Policy",
        "description": "Used to manage authorization related settings across the company.",
        "allowInvitesFrom": "everyone",
        "allowUserConsentForRiskyApps": False,
        "allowedToSignUpEmailBasedSubscriptions": True,
        "allowedToUseSSPR": True,
        "allowEmailVerifiedUsersToJoinOrganization": False,
        "blockMsolPowerShell": False,
        "deletedDateTime": None,
        "guestUserRoleId": "10dae51f-b6af-4016-8d66-8c2a99b929b3",
    }
    if beta:
        return {
            **policy,
            "permissionGrantPolicyIdsAssignedToDefaultUserRole": consent,
            "defaultUserRolePermissions": _RIGHTS,
        }
    return {**policy, "defaultUserRolePermissions": {**_RIGHTS, "permissionGrantPoliciesAssigned": consent}}


def admin_consent_request_policy(world: World) -> dict[str, Any]:
    """Users may ask; two administrators review within thirty days."""
    reviewers = [int(world.active_users[place]) for place in (2, 3)]
    return {
        "isEnabled": True,
        "notifyReviewers": True,
        "remindersEnabled": True,
        "requestDurationInDays": 30,
        "version": 4,
        "reviewers": [
            {"query": f"/users/{world.user_ids[user]}", "queryType": "MicrosoftGraph", "queryRoot": None}
            for user in reviewers
        ],
    }


def grant_policies(world: World) -> list[tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]]:
    """(policy, includes, excludes) of every permission grant policy: Microsoft's four and one of the tenant's own."""
    mail = [graph_permissions()[name].delegated_id for name in ("Mail.Read", "Mail.ReadWrite", "Mail.Send")]
    delegated, application = {"permissionType": "delegated"}, {"permissionType": "application"}
    low = {**delegated, "permissionClassification": "low"}
    table: tuple[tuple[str, str, list[dict[str, Any]], list[dict[str, Any]]], ...] = (
        (
            USER_POLICY,
            "Default User Low Risk Policy",
            [
                {**low, "clientApplicationsFromVerifiedPublisherOnly": True},
                {**low, "clientApplicationTenantIds": [world.tenant_id]},
            ],
            [],
        ),
        (
            "microsoft-user-default-legacy",
            "Default User Legacy Policy",
            [{"permissionType": "delegatedUserConsentable"}],
            [],
        ),
        (
            "microsoft-application-admin",
            "Application Admin Policy",
            [delegated, application],
            [{**application, "resourceApplication": GRAPH_APP}],
        ),
        ("microsoft-company-admin", "Company Admin Policy", [application, delegated], []),
        (
            "northwind-helpdesk",
            "Help desk: anything of verified publishers but mail",
            [{**delegated, "clientApplicationsFromVerifiedPublisherOnly": True}],
            [{**delegated, "resourceApplication": GRAPH_APP, "permissions": mail}],
        ),
    )
    return [
        (
            {"id": name, "displayName": title, "description": f"{title}.", "deletedDateTime": None},
            [_condition(world, f"{name}/in/{place}", rule) for place, rule in enumerate(includes)],
            [_condition(world, f"{name}/ex/{place}", rule) for place, rule in enumerate(excludes)],
        )
        for name, title, includes, excludes in table
    ]


def _condition(world: World, name: str, rule: dict[str, Any]) -> dict[str, Any]:
    """A condition set: everything that the rule does not narrow is `all` or `any`."""
    return {
        "id": ids.guid(world.seed, "condition set", name),
        "permissionClassification": "all",
        "resourceApplication": "any",
        "permissions": ["all"],
        "clientApplicationIds": ["all"],
        "clientApplicationTenantIds": ["all"],
        "clientApplicationPublisherIds": ["all"],
        "clientApplicationsFromVerifiedPublisherOnly": False,
        **rule,
    }


# ---- requests --------------------------------------------------------------------------------------------------------


def consent_requests(world: World) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """(request for an app, the users' requests): two wait for a reviewer, one was granted, one denied, one ran out."""
    people = People(world)
    verified = [i for i in range(world.ordinary_start, world.count) if world.kind[i] == VERIFIED][:4]
    rows = (
        (world.cast_index("DocuViewer Pro 365"), ("Files.Read.All", "Mail.ReadWrite"), "InProgress", "NotReviewed", 3),
        (verified[0], ("Calendars.ReadWrite",), "InProgress", "NotReviewed", 1),
        (verified[1], ("User.Read.All",), "Completed", "Approve", 2),
        (verified[2], ("Sites.Read.All", "Files.Read.All"), "Completed", "Deny", 1),
        (verified[3], ("Contacts.Read",), "Expired", "NotReviewed", 1),
    )
    found = []
    for number, (index, scopes, status, result, users) in enumerate(rows):
        asked = [_user_request(world, people, number, turn, status, result) for turn in range(users)]
        record = {
            "id": ids.guid(world.seed, "consent request", number),
            "appId": world.app_ids[index],
            "appDisplayName": people.app_name(index),
            "pendingScopes": [{"displayName": scope} for scope in scopes] if status == "InProgress" else [],
        }
        found.append((record, asked))
    return found


def _user_request(world: World, people: People, number: int, turn: int, status: str, result: str) -> dict[str, Any]:
    """One user's request with its approval."""
    key = f"{number}/{turn}"
    user = int(world.active_users[ids.pick(world.seed, "asks for consent", key, len(world.active_users))])
    reviewer = int(world.active_users[2])
    age = 3.4 + 9 * number + turn
    reviewed = days_before_now(age - 1.2) if status == "Completed" else None
    request_id = ids.guid(world.seed, "user consent request", key)
    stage = {
        "id": ids.guid(world.seed, "approval stage", key),
        "displayName": None,
        "reviewedDateTime": reviewed,
        "reviewResult": result,
        "status": "Completed" if reviewed else "InProgress",
        "assignedToMe": False,
        "justification": {"Approve": "Admin consent granted.", "Deny": "Not needed."}.get(result),
        "reviewedBy": _identity(world, people, reviewer) if reviewed else None,
    }
    return {
        "id": request_id,
        "reason": _REASONS[(number + turn) % len(_REASONS)],
        "status": status,
        "createdDateTime": days_before_now(age),
        "createdBy": {"user": _identity(world, people, user)},
        "approval": {"id": request_id, "stages": [stage]},
        "approvalId": request_id,
        "completedDateTime": reviewed,
        "customData": None,
    }


def _identity(world: World, people: People, user: int) -> dict[str, Any]:
    """A user as the author of something."""
    name = people.principal_name(user)
    return {
        "id": world.user_ids[user],
        "displayName": people.user_name(user),
        "userPrincipalName": name,
        "mail": name,
    }
