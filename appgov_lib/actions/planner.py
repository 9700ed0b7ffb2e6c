"""The action plan: asks of all findings merged per target, built into requests, ordered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from appgov_lib.actions import requests
from appgov_lib.actions.asks import Ask, asks
from appgov_lib.actions.facts import Facts, Row, read_facts
from appgov_lib.actions.requests import Change
from appgov_lib.actions.scripts import compact, curl, plain, powershell
from appgov_lib.actions.words import DEFAULT_WORDS, WORDS, Words
from appgov_lib.detect.policy import SEVERITIES
from appgov_lib.detect.write import write_table

ACTION_TYPES = (
    "remove_scopes",
    "remove_app_role",
    "remove_credential",
    "renew_credential",
    "add_owner",
    "disable_sign_in",
    "review_app",
    "review_settings",
)
EFFORTS = ("low", "medium", "high")
TYPES = {
    "action_id": "VARCHAR",
    "priority": "INTEGER",
    "app_id": "VARCHAR",
    "service_principal_id": "VARCHAR",
    "display_name": "VARCHAR",
    "action_type": "VARCHAR",
    "title": "VARCHAR",
    "why": "VARCHAR",
    "severity": "VARCHAR",
    "disposition": "VARCHAR",
    "effort": "VARCHAR",
    "affected_users": "BIGINT",
    "steps": "VARCHAR[]",
    "verify": "VARCHAR",
    "method": "VARCHAR",
    "path": "VARCHAR",
    "body": "JSON",
    "undo": "JSON",
    "permission_needed": "VARCHAR",
    "powershell": "VARCHAR",
    "curl": "VARCHAR",
    "finding_ids": "VARCHAR[]",
}


@dataclass(frozen=True)
class Action:
    """One row of `remediation_actions`; see the column notes there. Without a method a person has to act."""

    action_id: str
    priority: int
    app_id: str
    service_principal_id: str
    display_name: str
    action_type: str
    title: str
    why: str
    severity: str
    """Of the worst finding it answers."""
    disposition: str
    """safe: reversible, and no use of the target was seen; else needs_review."""
    effort: str
    affected_users: int | None
    steps: tuple[str, ...]
    verify: str
    method: str | None
    path: str | None
    body: str | None
    undo: str
    """JSON object with method, path, body (null where there is none) and a note."""
    permission_needed: str | None
    powershell: str | None
    curl: str | None
    finding_ids: tuple[str, ...]


@dataclass(frozen=True)
class _Draft:
    """An action as far as its place in the order needs it; its texts are made when its turn comes."""

    action_id: str
    action_type: str
    group: tuple[Ask, ...]
    name: str
    change: Change | None
    values: dict[str, Any]
    """By place in the words."""
    words: Words
    severity: str
    safe: bool

    @property
    def effort(self) -> str:
        """One of `EFFORTS`."""
        return "low" if self.safe else self.words.effort


def plan(con: duckdb.DuckDBPyConnection) -> None:
    """Write `remediation_actions` for all open findings of active policies. Nothing is sent anywhere."""
    write_table(con, "remediation_actions", TYPES, map(vars, actions_for(read_facts(con))))


def actions_for(facts: Facts) -> Iterator[Action]:
    """The plan as a pure function of the facts, in order of priority (1 = first)."""
    wanted = [ask for finding in facts.findings for ask in asks(finding, facts)]
    # Nobody renews a credential of an app that is to be disabled for not being used.
    leaving = {ask.target for ask in wanted if ask.action_type == "disable_sign_in" and ask.safe}
    merged: dict[tuple[str, str, str], list[Ask]] = {}
    for ask in wanted:
        key = (ask.finding.service_principal_id, ask.action_type, ask.target)
        if ask.action_type == "renew_credential" and ask.finding.service_principal_id in leaving:
            key = (ask.finding.service_principal_id, "disable_sign_in", ask.finding.service_principal_id)
        merged.setdefault(key, []).append(ask)
    drafts = [_draft(key[1], key[2], group, facts) for key, group in merged.items()]
    drafts.sort(key=lambda draft: _order(draft, facts))
    # one at a time: a hundred thousand actions with all their texts would take half a gigabyte
    return (_action(draft, number) for number, draft in enumerate(drafts, start=1))


def _order(draft: _Draft, facts: Facts) -> tuple[Any, ...]:
    """Worst finding first, then what can be done at once, then the riskier app; ids make it total."""
    risk = (facts.apps.get(draft.group[0].finding.service_principal_id) or {}).get("risk_score") or 0
    return (
        SEVERITIES.index(draft.severity),
        not draft.safe,
        EFFORTS.index(draft.effort),
        -risk,
        draft.name,
        draft.action_id,
    )


def _draft(action_type: str, target: str, group: list[Ask], facts: Facts) -> _Draft:
    """Decide on the action that answers all asks for one target."""
    first = group[0].finding
    app = facts.apps.get(first.service_principal_id, {})
    named = "Tenant settings" if action_type == "review_settings" else app.get("display_name")
    change, values = _CHANGES[action_type](target, group, app, facts)
    identity = f"{first.service_principal_id}|{action_type}|{target}"
    return _Draft(
        action_id=hashlib.sha256(identity.encode()).hexdigest()[:16],
        action_type=action_type,
        group=tuple(group),
        name=plain(named or first.app_id or first.service_principal_id),
        change=change,
        values=values,
        words=(WORDS if change else DEFAULT_WORDS).get(action_type) or WORDS[action_type],
        severity=min((ask.finding.severity for ask in group), key=SEVERITIES.index),
        safe=change is not None and change.undo is not None and _safe(group),
    )


def _action(draft: _Draft, priority: int) -> Action:
    """Put an action into words and requests."""
    first, words, change = draft.group[0].finding, draft.words, draft.change
    values = {**draft.values, "app": draft.name}
    title = words.title.format_map(values)
    undo = change.undo if change else None
    note = change.undo_note if change else "Nothing is changed by this plan."
    findings = {ask.finding.finding_id: ask.finding for ask in draft.group}
    return Action(
        action_id=draft.action_id,
        priority=priority,
        app_id=first.app_id,
        service_principal_id=first.service_principal_id,
        display_name=draft.name,
        action_type=draft.action_type,
        title=title,
        why=" ".join(dict.fromkeys(plain(finding.reason) for finding in findings.values())),
        severity=draft.severity,
        disposition="safe" if draft.safe else "needs_review",
        effort=draft.effort,
        affected_users=values["users"],
        steps=tuple(step.format_map(values) for step in words.steps),
        verify=words.verify.format_map(values),
        method=change.request.method if change else None,
        path=change.request.path if change else None,
        body=compact(change.request.body) if change and change.request.body is not None else None,
        undo=compact(
            {
                "method": undo.method if undo else None,
                "path": undo.path if undo else None,
                "body": undo.body if undo else None,
                "note": note,
            }
        ),
        permission_needed=change.permission if change else None,
        powershell=powershell(change.request, title, change.permission) if change else None,
        curl=curl(change.request, title) if change else None,
        finding_ids=tuple(sorted(findings)),
    )


def _safe(group: list[Ask]) -> bool:
    """Whether every part of the target is known to be unused (by at least one of the findings)."""
    parts = {ask.scope: False for ask in group if ask.action_type != "renew_credential"}
    for ask in group:
        if ask.action_type != "renew_credential":
            parts[ask.scope] |= ask.safe
    return all(parts.values())


Built = tuple[Change | None, dict[str, Any]]


def _scopes(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Cut scopes from one delegated grant."""
    grants = facts.grants[group[0].finding.service_principal_id]
    grant = next(item for item in grants if item["grant_id"] == target)
    remove = frozenset(ask.scope for ask in group)
    single = grant["consent_type"] == "Principal"
    person = plain(grant["principal_name"] or grant["principal_id"] or "one user")
    who = f"granted by {person}" if single else "granted for all users"
    listed = ", ".join(plain(scope) for scope in sorted(remove))
    return requests.cut_scopes(grant, remove), {
        "users": 1 if single else app.get("users_30d"),
        "listed": listed,
        "who": who,
        "id": plain(target),
    }


def _app_role(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Remove one application permission."""
    held = facts.assignments[group[0].finding.service_principal_id]
    assignment = next(item for item in held if item["assignment_id"] == target)
    # An application permission works without a signed-in user, so no user is affected directly.
    return requests.remove_app_role(assignment), {
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
        return None, values
    if kind == "secret":
        return requests.remove_secret(origin, object_id, target), values
    if kind == "federated":
        return requests.remove_federated(object_id, target), values
    keys = facts.key_credentials.get(object_id, ())
    if not any(str(key.get("keyId", "")).lower() == target.lower() for key in keys):
        # Without the list that is there now, writing "the list that stays" could remove the others.
        return None, values
    return requests.remove_certificate(origin, object_id, target, keys), values


def _renew(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Have the next credential made: only the app's team can put it to use."""
    evidence = group[0].finding.evidence
    return None, {
        "users": app.get("users_30d"),
        "kind": plain(str(evidence.get("credential_type") or "credential")),
        "ends": plain(str(evidence.get("ends_at") or "an unknown date"))[:10],
        "id": plain(target),
    }


def _owner(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Add the active user who last changed the app as its owner; without one somebody has to be found."""
    candidate = facts.owner_candidates.get(group[0].finding.service_principal_id)
    if candidate is None:
        return None, {"users": None}
    return requests.add_owner(target, candidate[0]), {"users": None, "owner": plain(candidate[1] or candidate[0])}


def _disable(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Disable the app's sign-in."""
    return requests.disable_sign_in(target), {"users": app.get("users_30d"), "id": plain(target)}


def _review(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Have somebody look."""
    policies = sorted({ask.finding.policy_id for ask in group})
    return None, {"users": app.get("users_30d"), "listed": ", ".join(policies)}


_CHANGES: dict[str, Callable[[str, list[Ask], Row, Facts], Built]] = {
    "remove_scopes": _scopes,
    "remove_app_role": _app_role,
    "remove_credential": _remove_credential,
    "renew_credential": _renew,
    "add_owner": _owner,
    "disable_sign_in": _disable,
    "review_app": _review,
    "review_settings": _review,
}
