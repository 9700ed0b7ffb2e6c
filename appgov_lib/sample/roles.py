"""Directory roles: definitions, assignments, and the schedules of Privileged Identity Management."""

from __future__ import annotations

from typing import Any

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import days_before_now
from appgov_lib.sample.directory import compact
from appgov_lib.sample.world import World

ROLES = (
    ("62e90394-69f5-4237-9190-012177145e10", "Global Administrator", True),
    ("e8611ab8-c189-46e8-94e1-60213ab1f814", "Privileged Role Administrator", True),
    ("9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3", "Application Administrator", True),
    ("158c047a-c907-4556-b7ef-446551a6b5f7", "Cloud Application Administrator", True),
    ("fe930be7-5e62-47db-91af-98c3a49a38b1", "User Administrator", True),
    ("29232cdf-9323-42fd-ade2-1d097af3e4de", "Exchange Administrator", False),
    ("88d8e3e3-8f55-4a1e-953a-9b9898b8876b", "Directory Readers", False),
    ("f2ef992c-3afb-46b9-b7cf-a126ee74c451", "Global Reader", True),
    ("4a5d8f65-41da-4de4-8968-e035b65339cf", "Reports Reader", False),
)
"""Built-in roles: template id, name, privileged."""


def role_definitions() -> list[bytes]:
    """The built-in roles of the tenant."""
    return [
        compact(
            {
                "id": role_id,
                "description": f"Members hold {name}.",
                "displayName": name,
                "isBuiltIn": True,
                "isEnabled": True,
                "isPrivileged": privileged,
                "resourceScopes": ["/"],
                "templateId": role_id,
                "version": "1",
                "rolePermissions": [
                    {"allowedResourceActions": ["microsoft.directory/users/standard/read"], "condition": None}
                ],
            }
        ).encode()
        for role_id, name, privileged in ROLES
    ]


def app_roles_held(world: World) -> dict[int, str]:
    """Name of the directory role by service principal index: a managed identity's and the mailbox runbook's."""
    return {
        world.cast_index("mi-orders-prod"): ROLES[6][1],
        world.cast_index("Mailbox Provisioning Runbook"): ROLES[5][1],
    }


def _holders(world: World) -> list[tuple[str, str]]:
    """(principal id, role id) of all active assignments: some administrators, then the apps."""
    role_ids = {name: role_id for role_id, name, _ in ROLES}
    people = [(world.user_ids[int(world.active_users[place])], ROLES[place % 5][0]) for place in range(9)]
    return [*people, *((world.sp_ids[index], role_ids[name]) for index, name in app_roles_held(world).items())]


def role_assignments(world: World) -> list[bytes]:
    """Directory roles held by some administrators, a managed identity and the mailbox runbook."""
    return [
        compact(
            {
                "id": ids.opaque(world.seed, "role assignment", number),
                "principalId": principal,
                "directoryScopeId": "/",
                "roleDefinitionId": role,
            }
        ).encode()
        for number, (principal, role) in enumerate(_holders(world))
    ]


def assignment_instances(world: World) -> list[bytes]:
    """Schedule instances of the active assignments: one administrator activated an eligible role for eight hours."""
    rows = []
    for number, (principal, role) in enumerate(_holders(world)):
        activated = number == 3
        rows.append(
            _instance(world, "assigned", number, principal, role)
            | {
                "assignmentType": "Activated" if activated else "Assigned",
                "startDateTime": days_before_now(0.1 if activated else 300 + number),
                "endDateTime": days_before_now(0.1 - 8 / 24) if activated else None,
                "roleAssignmentOriginId": ids.opaque(world.seed, "role assignment", number),
                "roleAssignmentScheduleId": ids.guid(world.seed, "assignment schedule", number),
            }
        )
    return [compact(row).encode() for row in rows]


def eligibility_instances(world: World) -> list[bytes]:
    """Who may activate a role: four people, and one app, the runbook, until next year."""
    people = [(world.user_ids[int(world.active_users[place])], ROLES[place % 4][0]) for place in (3, 9, 10, 11)]
    apps = [(world.sp_ids[world.cast_index("Mailbox Provisioning Runbook")], ROLES[4][0])]
    return [
        compact(
            _instance(world, "eligible", number, principal, role)
            | {
                "startDateTime": days_before_now(200 + number),
                "endDateTime": days_before_now(-165 + number),
                "roleEligibilityScheduleId": ids.guid(world.seed, "eligibility schedule", number),
            }
        ).encode()
        for number, (principal, role) in enumerate([*people, *apps])
    ]


def _instance(world: World, kind: str, number: int, principal: str, role: str) -> dict[str, Any]:
    """What both kinds of schedule instances share."""
    return {
        "id": f"{ids.opaque(world.seed, kind, number)}-1-{kind[0]}",
        "principalId": principal,
        "roleDefinitionId": role,
        "directoryScopeId": "/",
        "appScopeId": None,
        "memberType": "Direct",
    }
