"""The answer key: what a detection must find in the sample tenant, what it may find, and what it must leave alone."""

from __future__ import annotations

from typing import Any

from appgov_lib.sample.calendar import AS_OF, DATES, DAYS, days_before_now
from appgov_lib.sample.cast import BENIGN, BUSY_MICROSOFT, CAST, HOSTILE
from appgov_lib.sample.member import Member
from appgov_lib.sample.people import People
from appgov_lib.sample.profiles import PROFILES
from appgov_lib.sample.world import Size, World, default_users

_LATER = ("unusual-data-transfer", "app-went-silent")
"""Statistical policies: a rare false alarm on ordinary noise is no fault, so the key is not complete for them."""


def answer_key(seed: int = 7, service_principals: int = 400) -> dict[str, Any]:
    """What is planted, as plain values.

    `stories` have to be found and say by which policies; `quiet` must not be reported; `expected_findings` is the list
    of [policy id, app id] that belongs to the tenant; `tolerated_findings` are reports that would be defensible too,
    because they depend on how a policy reads its facts. Raises ConfigError for a tenant too small for its cast.
    """
    world = World(seed, Size(service_principals, default_users(service_principals)))
    people = People(world)
    stories, quiet = [], []
    expected: list[list[str]] = []
    tolerated: list[list[str]] = []
    for index, member in enumerate(CAST, start=world.cast_start):
        app_id = world.app_ids[index]
        expected += [[policy, app_id] for policy in member.expect]
        tolerated += [[policy, app_id] for policy in member.tolerate]
        if member in BENIGN or member in HOSTILE:
            quiet.append({"story": member.story, **_who(world, people, index), "why": member.why, "must_not": ["*"]})
        if member.expect:
            facts = _facts(world, index, member)
            stories.append(
                {
                    "story": member.story,
                    **_who(world, people, index),
                    "expect_policies": list(member.expect),
                    "facts": facts,
                }
            )
    for index in world.stale.nonzero()[0].tolist():
        expected.append(["unused-app", world.app_ids[index]])
        tolerated.append(["overprivileged-app", world.app_ids[index]])
    busy = next(number for number, (_, name) in enumerate(world.microsoft) if name == BUSY_MICROSOFT[0])
    why = "Microsoft's own, by far the busiest app of the tenant, without owners"
    quiet.append({"story": "benign-microsoft-volume", **_who(world, people, busy), "why": why, "must_not": ["*"]})
    return {
        "seed": seed,
        "service_principals": service_principals,
        "as_of": AS_OF.isoformat(),
        "tenant_id": world.tenant_id,
        "stories": stories,
        "quiet": quiet,
        "expected_findings": sorted(expected),
        "tolerated_findings": sorted(tolerated),
        "statistical_policies": list(_LATER),
    }


def _who(world: World, people: People, index: int) -> dict[str, Any]:
    """The names of an app."""
    return {
        "app_id": world.app_ids[index],
        "service_principal_id": world.sp_ids[index],
        "display_name": people.app_name(index),
    }


def _facts(world: World, index: int, member: Member) -> dict[str, Any]:
    """What makes the story, for reports and tests."""
    profile = PROFILES[member.profile]
    facts: dict[str, Any] = {
        "why": member.why,
        "application_permissions": list(profile.roles),
        "delegated_permissions": list(profile.scopes),
        "owners": [world.user_ids[user] for user in world.owner(index)],
        "credentials": [
            {
                "key_id": world.key_id(index, place),
                "type": credential.kind,
                "starts_at": days_before_now(credential.starts),
                "ends_at": days_before_now(credential.ends),
                "last_used_days_ago": credential.last_used,
            }
            for place, credential in enumerate(world.credentials(index))
        ],
    }
    if member.boosts:
        facts["bytes_factor_by_day"] = {DATES[day]: calls * size for day, calls, size in member.boosts}
    if member.consents:
        facts["consented_users"] = member.consents
    if member.manifest_omits:
        facts["not_in_manifest"] = list(member.manifest_omits)
    if member.last_sign_in is not None:
        facts["last_sign_in_days_ago"] = member.last_sign_in
    if 0 < member.first_day < DAYS:
        facts["first_active_day"] = DATES[member.first_day]
    if member.first_day <= member.last_day < DAYS - 1:
        facts["last_active_day"] = DATES[member.last_day]
    return facts
