"""From asks about an app as a whole to requests, as `builders` does for the other kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from appgov_lib.actions import app_requests, requests
from appgov_lib.actions.ask import Ask
from appgov_lib.actions.facts import Facts, Row
from appgov_lib.actions.requests import Change
from appgov_lib.actions.scripts import plain

Built = tuple[list[Change], dict[str, Any]]
MOST = 100
"""Grants and assignments that are taken back one by one before an app is deleted, so that they can come back."""


def _reply_urls(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Cut reply addresses from a registration, all of them with one request."""
    remove = frozenset(ask.scope for ask in group)
    held = facts.registrations[target]["reply_urls"]
    left = sum(url not in remove for urls in held.values() for url in urls)
    return [app_requests.cut_reply_urls(target, held, remove)], {
        "users": app.get("users_30d"),
        "listed": ", ".join(plain(url) for url in sorted(remove)),
        "left": f"{left} addresses stay" if left else "none stays, and nobody can sign in through a browser any more",
        "id": plain(target),
    }


def _manifest(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Take permissions off what a registration asks for."""
    remove = frozenset((ask.scope.partition(" ")[0], ask.scope.partition(" ")[2]) for ask in group)
    names = {
        f"{str(wanted.get('resource_app_id')).lower()} {str(wanted.get('permission_id')).lower()}": wanted
        for ask in group
        for wanted in ask.finding.evidence.get("asked_for") or ()
    }
    listed = sorted({plain(str(names[ask.scope].get("permission") or ask.scope)) for ask in group})
    return [app_requests.trim_manifest(target, facts.registrations[target]["asked"], remove)], {
        "users": 0,
        "listed": ", ".join(listed),
        "id": plain(target),
    }


def _deactivate(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Deactivate a registration."""
    known = facts.registrations.get(target, {}).get("is_disabled")
    return [app_requests.deactivate_registration(target, known)], {"users": app.get("users_30d"), "id": plain(target)}


def _block(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Block an app that is not here."""
    known = plain(str(group[0].finding.evidence.get("listed_as") or "not in this tenant"))
    return [app_requests.block_app(target)], {"users": None, "id": plain(target), "known": known}


def _confirm(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Confirm an app as compromised."""
    state = str(group[0].finding.evidence.get("risk_state") or "")
    return [app_requests.confirm_compromised(target, state)], {"users": app.get("users_30d"), "id": plain(target)}


def _dismiss(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Dismiss the risk of an app."""
    state = str(group[0].finding.evidence.get("risk_state") or "")
    return [app_requests.dismiss_risk(target, state)], {"users": 0, "id": plain(target)}


def _limit(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Block an app while it is at risk, as a report."""
    return [app_requests.limit_sign_in(target)], {"users": 0, "id": plain(target)}


def _delete(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Delete an app: first what others hold about it, one by one, since a restored app comes back without."""
    grants, roles = facts.grants.get(target, ()), facts.assignments.get(target, ())
    key, app_id = app.get("application_id"), str(app.get("app_id") or group[0].finding.app_id)
    values = {"users": 0, "id": plain(target), "count": len(grants) + len(roles)}
    if len(grants) + len(roles) > MOST:
        return [], values
    return deletion(target, app_id, key, grants, roles), values


def deletion(
    service_principal_id: str, app_id: str, application_id: str | None, grants: Sequence[Row], roles: Sequence[Row]
) -> list[Change]:
    """What an app holds, then the app, then its registration: undone last first, so that all of it comes back."""
    changes = [requests.cut_scopes(grant, frozenset(grant["scopes"])) for grant in grants]
    changes += [requests.remove_app_role(role) for role in roles]
    changes.append(app_requests.delete_object("servicePrincipals", service_principal_id, app_id))
    if application_id:
        changes.append(app_requests.delete_object("applications", application_id, app_id))
    return changes


CHANGES: dict[str, Callable[[str, list[Ask], Row, Facts], Built]] = {
    "remove_reply_urls": _reply_urls,
    "trim_manifest": _manifest,
    "deactivate_registration": _deactivate,
    "block_app": _block,
    "confirm_compromised": _confirm,
    "dismiss_risk": _dismiss,
    "limit_sign_in": _limit,
    "delete_app": _delete,
}
