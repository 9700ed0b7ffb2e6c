"""From what findings ask for to requests: one function for each kind of action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appgov_lib.actions import people_asks, requests, tenant_asks
from appgov_lib.actions.app_builders import CHANGES as _OF_APPS
from appgov_lib.actions.ask import Ask
from appgov_lib.actions.facts import Facts, Row
from appgov_lib.actions.requests import Change
from appgov_lib.actions.scripts import plain

Built = tuple[list[Change], dict[str, Any]]
"""The requests of an action, none where a person has to act, and the values of the places in its words."""


def _scopes(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Cut scopes from one delegated grant, or the same scopes from the grants of several users."""
    remove: dict[str, set[str]] = {}
    for ask in group:
        remove.setdefault(ask.target, set()).add(ask.scope)
    found = [facts.grant(group[0].finding.service_principal_id, key) for key in sorted(remove)]
    grants = [grant for grant in found if grant is not None]
    first = grants[0]
    people = {str(grant["principal_id"]) for grant in grants}
    who = "granted for all users"
    if first["consent_type"] == "Principal":
        person = plain(first["principal_name"] or first["principal_id"] or "one user")
        who = f"granted by {person}" if len(people) == 1 else f"granted by {len(people)} users"
    changes = [requests.cut_scopes(grant, frozenset(remove[grant["grant_id"]])) for grant in grants]
    more = f" and {len(grants) - 1} more" if len(grants) > 1 else ""
    return changes, {
        "users": len(people) if first["consent_type"] == "Principal" else app.get("users_30d"),
        "listed": ", ".join(plain(scope) for scope in sorted(set().union(*remove.values()))),
        "who": who,
        "id": plain(first["grant_id"]) + more,
    }


def _app_role(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Remove one application permission."""
    held = facts.assignments[group[0].finding.service_principal_id]
    assignment = next(item for item in held if item["assignment_id"] == target)
    # An application permission works without a signed-in user, so no user is affected directly.
    return [requests.remove_app_role(assignment)], {
        "users": None,
        "listed": plain(str(assignment["permission"])),
        "id": plain(target),
    }


def _remove_credential(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Remove one secret, certificate or federated credential."""
    evidence = group[0].finding.evidence
    kind, origin = str(evidence.get("credential_type")), str(evidence.get("credential_origin"))
    service_principal_id = group[0].finding.service_principal_id
    object_id = service_principal_id if origin == "service_principal" else app.get("application_id")
    values = {"users": None, "kind": kind if kind != "None" else "credential", "id": plain(target)}
    if not object_id:
        return [], values
    if kind == "secret":
        return [requests.remove_secret(origin, object_id, target)], values
    if kind == "federated":
        return [_federated(facts, object_id, target)], values
    keys = facts.key_credentials.get(object_id, ())
    if not any(str(key.get("keyId", "")).lower() == target.lower() for key in keys):
        # Without the list that is there now, writing "the list that stays" could remove the others.
        return [], values
    return [requests.remove_certificate(origin, object_id, [target], keys)], values


def _renew(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Have the next credential made: only the app's team can put it to use."""
    evidence = group[0].finding.evidence
    return [], {
        "users": app.get("users_30d"),
        "kind": plain(str(evidence.get("credential_type") or "credential")),
        "ends": plain(str(evidence.get("ends_at") or "an unknown date"))[:10],
        "id": plain(target),
    }


def _owner(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Add the active user who last changed the app as its owner; without one somebody has to be found."""
    candidate = facts.owner_candidates.get(group[0].finding.service_principal_id)
    if candidate is None:
        return [], {"users": None}
    return [requests.add_owner(target, candidate[0])], {"users": None, "owner": plain(candidate[1] or candidate[0])}


def _disable(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Disable the app's sign-in."""
    return [requests.disable_sign_in(target, app.get("account_enabled"))], {
        "users": app.get("users_30d"),
        "id": plain(target),
    }


def _review(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Have somebody look."""
    policies = sorted({ask.finding.policy_id for ask in group})
    return [], {"users": app.get("users_30d"), "listed": ", ".join(policies)}


def _federated(facts: Facts, application_id: str, target: str) -> Change:
    """The removal of a federated credential, with what makes it again where that is known."""
    known = facts.federated.get(target)
    names = {
        "name": "name",
        "issuer": "issuer",
        "subject": "subject",
        "audiences": "audiences",
        "description": "description",
        "claims_expression": "",
    }
    if known is None or known["claims_expression"]:
        return requests.remove_federated(application_id, target)
    return requests.remove_federated(
        application_id, target, {graph: known[name] for name, graph in names.items() if graph}
    )


def _remove_federated(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Remove a federated credential."""
    known = facts.federated[target]
    return [_federated(facts, known["parent_id"], target)], {
        "users": app.get("users_30d"),
        "id": plain(target),
        "issuer": plain(str(known["issuer"])),
    }


def _expired(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Remove all credentials that ended: secrets one by one, the certificates of an object with one list."""
    held = facts.expired[target]
    changes = [
        requests.remove_secret(row["credential_origin"], row["object_id"], row["key_id"])
        for row in held
        if row["credential_type"] == "secret"
    ]
    certificates = [row for row in held if row["credential_type"] == "certificate"]
    for object_id in dict.fromkeys(row["object_id"] for row in certificates):
        gone = [row["key_id"] for row in certificates if row["object_id"] == object_id]
        keys = facts.key_credentials.get(object_id, ())
        there = {str(key.get("keyId", "")).lower() for key in keys}
        if there.issuperset(key.lower() for key in gone):
            origin = next(row["credential_origin"] for row in certificates if row["object_id"] == object_id)
            changes.append(requests.remove_certificate(origin, object_id, gone, keys))
    return changes, {"users": 0, "count": len(held)}


def _remove_owner(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Take one owner away."""
    evidence = group[0].finding.evidence
    name = evidence.get("owner_user_principal_name") or evidence.get("owner_name") or target
    return [requests.remove_owner(str(app["application_id"]), target)], {"users": None, "owner": plain(str(name))}


def _remove_role(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Take one directory role away."""
    role = facts.roles[target]
    return [requests.remove_directory_role(role)], {
        "users": None,
        "listed": plain(str(role["role_name"] or role["role_definition_id"])),
        "id": plain(target),
    }


def _require(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Require assignment."""
    return [requests.require_assignment(target, app.get("assignment_required"))], {
        "users": app.get("users_30d"),
        "id": plain(target),
    }


def _lock(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Lock the properties of a registration."""
    return [requests.lock_properties(target, facts.locks[target])], {"users": 0, "id": plain(target)}


def _setting(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Write a setting of the authorization policy."""
    after, before = facts.policy[target]
    return [requests.write_authorization_policy(after, before)], {"users": None, "setting": target}


def _alerts(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Take up the alerts about an app."""
    alerts = facts.alerts[target]
    return [requests.take_up_alert(alert) for alert in alerts], {"users": 0, "count": len(alerts)}


CHANGES: dict[str, Callable[[str, list[Ask], Row, Facts], Built]] = {
    "remove_scopes": _scopes,
    "remove_app_role": _app_role,
    "remove_credential": _remove_credential,
    "renew_credential": _renew,
    "add_owner": _owner,
    "disable_sign_in": _disable,
    "remove_expired_credentials": _expired,
    "remove_federated_credential": _remove_federated,
    "remove_owner": _remove_owner,
    "remove_directory_role": _remove_role,
    "require_assignment": _require,
    "lock_properties": _lock,
    "change_setting": _setting,
    "take_up_alerts": _alerts,
    "review_app": _review,
    "review_settings": _review,
    **people_asks.CHANGES,
    **tenant_asks.CHANGES,
    **_OF_APPS,
}
