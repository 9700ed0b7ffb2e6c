"""The action plan: asks of all findings merged per target, built into requests, ordered."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from appgov_lib.actions import people_asks, tenant_asks
from appgov_lib.actions.ask import Ask
from appgov_lib.actions.asks import asks
from appgov_lib.actions.builders import CHANGES
from appgov_lib.actions.facts import Facts, Row, read_facts, split
from appgov_lib.actions.requests import Change, compact
from appgov_lib.actions.scripts import az_rest, curl, plain, powershell
from appgov_lib.actions.text import Words
from appgov_lib.actions.words import DEFAULT_WORDS, WORDS
from appgov_lib.detect.policy import SEVERITIES
from appgov_lib.detect.write import write_table

ACTION_TYPES = (
    "remove_scopes",
    "remove_app_role",
    "remove_credential",
    "renew_credential",
    "add_owner",
    "disable_sign_in",
    "remove_expired_credentials",
    "remove_federated_credential",
    "remove_owner",
    "remove_directory_role",
    "require_assignment",
    "lock_properties",
    "change_setting",
    "take_up_alerts",
    "remove_reply_urls",
    "trim_manifest",
    "deactivate_registration",
    "block_app",
    "confirm_compromised",
    "dismiss_risk",
    "limit_sign_in",
    "delete_app",
    "review_app",
    "review_settings",
    *people_asks.CHANGES,
    *tenant_asks.CHANGES,
)
EFFORTS = {"low": 1.0, "medium": 3.0, "high": 8.0}
"""How much each disturbs, before the people affected are counted."""
RISK = {"critical": 1000.0, "high": 100.0, "medium": 20.0, "low": 5.0, "info": 1.0}
"""What one finding weighs; an app at full risk doubles it."""
NO_REMEDY = frozenset({"take_up_alerts", "confirm_compromised", "limit_sign_in"})
"""Kinds that go with a remedy and remove no risk by themselves."""
_WORDS = {**WORDS, **people_asks.WORDS, **tenant_asks.WORDS}
_BY_HAND = {**DEFAULT_WORDS, **people_asks.DEFAULT_WORDS, **tenant_asks.DEFAULT_WORDS}
_SHARED = frozenset({"change_setting", *people_asks.HANDLERS, *tenant_asks.HANDLERS})
"""What findings of several apps may ask for as one action."""
TOGETHER = 100
"""Grants of users that one action changes at most: its texts have to stay readable."""
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
    "calls_30d": "BIGINT",
    "owners": "VARCHAR[]",
    "publisher_name": "VARCHAR",
    "risk_removed": "DOUBLE",
    "disruption": "DOUBLE",
    "wave": "INTEGER",
    "reversible": "BOOLEAN",
    "steps": "VARCHAR[]",
    "verify": "VARCHAR",
    "method": "VARCHAR",
    "path": "VARCHAR",
    "body": "JSON",
    "undo": "JSON",
    "requests": "JSON",
    "permission_needed": "VARCHAR",
    "powershell": "VARCHAR",
    "curl": "VARCHAR",
    "az_rest": "VARCHAR",
    "finding_ids": "VARCHAR[]",
}


@dataclass(frozen=True)
class Action:
    """One row of `remediation_actions`; see the column notes there. Without a method a person has to act."""

    action_id: str
    priority: int
    app_id: str
    """Empty where it is about a person or the tenant."""
    service_principal_id: str
    """What it is about: an app, else the id of a person or of the tenant."""
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
    calls_30d: int | None
    """Of the app, in the 30 days to the as-of date."""
    owners: tuple[str, ...]
    """Whom to ask."""
    publisher_name: str | None
    risk_removed: float
    disruption: float
    wave: int
    """1: safe; 2: needs a review first; 3: a person has to act."""
    reversible: bool | None
    """Whether a request undoes it; None where nothing is sent."""
    steps: tuple[str, ...]
    verify: str
    method: str | None
    path: str | None
    body: str | None
    undo: str
    """JSON object with method, path, body (null where there is none) and a note."""
    requests: str | None
    """JSON list of all requests: method, path, body, undo, and the state they were planned from. `method`, `path`,
    `body` and `undo` are those of the first."""
    permission_needed: str | None
    powershell: str | None
    curl: str | None
    az_rest: str | None
    finding_ids: tuple[str, ...]


@dataclass(frozen=True)
class _Draft:
    """An action as far as its place in the order needs it; its texts are made when its turn comes."""

    action_id: str
    action_type: str
    group: tuple[Ask, ...]
    name: str
    changes: tuple[Change, ...]
    values: dict[str, Any]
    """By place in the words."""
    words: Words
    severity: str
    safe: bool
    risk_removed: float

    @property
    def effort(self) -> str:
        """One of `EFFORTS`."""
        return "low" if self.safe else self.words.effort

    @property
    def disruption(self) -> float:
        """Effort, and the people who may notice: what was seen unused is missed by nobody."""
        users = 0 if self.safe or not self.changes else self.values["users"] or 0
        return EFFORTS[self.effort] + math.log2(1 + users)

    @property
    def weight(self) -> float:
        """Risk removed per disruption."""
        return self.risk_removed / self.disruption


def plan(con: duckdb.DuckDBPyConnection, protected: frozenset[str] | None = frozenset()) -> None:
    """Write `remediation_actions` for all open findings of active policies. Nothing is sent anywhere.

    `protected` are ids, in lower case, of people about whom nothing is planned; None: it is about nobody.
    """
    # some apps at a time: all of them at once would take a gigabyte
    parts = split(con, _SHARED)
    for part in range(parts):
        facts = read_facts(con, part)
        found = people_asks.read_people(con, facts.findings, facts.grants, protected)
        facts = replace(facts, guards=tenant_asks.read_guards(con, facts.findings), **found)
        drafts = sorted(_drafts(facts), key=_order)
        rows = ({**vars(_action(draft, 0, facts)), "weight": draft.weight} for draft in drafts)
        write_table(con, "planned_actions", {**TYPES, "weight": "DOUBLE"}, rows, step=True, more=part > 0)
    con.execute(
        "CREATE OR REPLACE TABLE remediation_actions AS WITH ranked AS (SELECT action_id, CAST(row_number() OVER ("
        "ORDER BY weight DESC, list_position($severities, severity), disposition = 'safe' DESC, display_name, "
        "action_id) AS INTEGER) AS rank FROM planned_actions) "
        f"SELECT {', '.join('rank AS priority' if column == 'priority' else column for column in TYPES)} "
        # long rows of many apps are only numbered: sorting them would take the gigabyte again
        f"FROM planned_actions INNER JOIN ranked USING (action_id) {'ORDER BY rank' if parts == 1 else ''}",
        {"severities": list(SEVERITIES)},
    )
    con.execute("DROP TABLE planned_actions; DROP TABLE apps_in_parts")


def actions_for(facts: Facts) -> Iterator[Action]:
    """The plan as a pure function of the facts, in order of priority (1 = first)."""
    drafts = sorted(_drafts(facts), key=_order)
    return (_action(draft, number, facts) for number, draft in enumerate(drafts, start=1))


def _drafts(facts: Facts) -> list[_Draft]:
    """The actions that answer the findings, in no order."""
    wanted = [ask for finding in facts.findings for ask in asks(finding, facts)]
    # Nobody renews a credential of an app that is to be disabled for not being used.
    leaving = {ask.target for ask in wanted if ask.action_type == "disable_sign_in" and ask.safe}
    merged: dict[tuple[str, str, str], list[Ask]] = {}
    for ask in wanted:
        key = (ask.about or ask.finding.service_principal_id, ask.action_type, ask.target)
        if ask.action_type == "renew_credential" and ask.finding.service_principal_id in leaving:
            key = (ask.finding.service_principal_id, "disable_sign_in", ask.finding.service_principal_id)
        merged.setdefault(key, []).append(ask)
    return [_draft(key[1], key[2], group, facts) for key, group in _together(merged, facts).items()]


def _together(merged: dict[tuple[str, str, str], list[Ask]], facts: Facts) -> dict[tuple[str, str, str], list[Ask]]:
    """Put the grants of single users together from which the same scopes go: one action of one app, many requests."""
    result: dict[tuple[str, str, str], list[Ask]] = {}
    counts: Counter[tuple[str, str, str]] = Counter()
    for key, group in merged.items():
        service_principal_id, action_type, target = key
        grant = facts.grant(service_principal_id, target) if action_type == "remove_scopes" else None
        if grant is not None and grant["consent_type"] == "Principal":
            scopes = " ".join(sorted({ask.scope for ask in group}))
            known = "unused" if _safe(group) else "used"
            same = (service_principal_id, action_type, f"users of {grant['resource_id']}: {scopes} ({known})")
            part = counts[same] // TOGETHER
            counts[same] += 1
            key = (*same[:2], f"{same[2]} part {part + 1}" if part else same[2])
        result.setdefault(key, []).extend(group)
    return result


def _order(draft: _Draft) -> tuple[Any, ...]:
    """Most risk removed per disruption first, then the worst finding, then what is safe; ids make it total."""
    return (
        -draft.weight,
        SEVERITIES.index(draft.severity),
        not draft.safe,
        draft.name,
        draft.action_id,
    )


def _draft(action_type: str, target: str, group: list[Ask], facts: Facts) -> _Draft:
    """Decide on the action that answers all asks for one target."""
    first = group[0].finding
    about = group[0].about or first.service_principal_id
    app = facts.apps.get(about, {})
    named = "Tenant settings" if action_type in tenant_asks.TENANT else app.get("display_name")
    changes, values = CHANGES[action_type](target, group, app, facts)
    identity = f"{about}|{action_type}|{target}"
    severities = {ask.finding.finding_id: ask.finding.severity for ask in group}
    answered = {ask.finding.finding_id: ask.finding.severity for ask in group if not ask.beside}
    words = _WORDS if changes else _BY_HAND
    return _Draft(
        action_id=hashlib.sha256(identity.encode()).hexdigest()[:16],
        action_type=action_type,
        group=tuple(group),
        name=plain(named or values.get("person") or first.app_id or about),
        changes=tuple(changes),
        values=values,
        words=words.get(action_type) or _WORDS[action_type],
        severity=min(severities.values(), key=SEVERITIES.index),
        safe=bool(changes) and all(change.undo is not None for change in changes) and _safe(group),
        risk_removed=0.0 if action_type in NO_REMEDY else _risk(answered.values(), app),
    )


def _risk(severities: Iterable[str], app: Row) -> float:
    """What the findings of these severities weigh, more for an app at risk."""
    return sum(RISK[severity] for severity in severities) * (1 + (app.get("risk_score") or 0) / 100)


def _action(draft: _Draft, priority: int, facts: Facts) -> Action:
    """Put an action into words and requests."""
    first, words, changes = draft.group[0].finding, draft.words, draft.changes
    about = draft.group[0].about or first.service_principal_id
    app = facts.apps.get(about, {})
    values = {**draft.values, "app": draft.name}
    title = words.title.format_map(values)
    findings = {ask.finding.finding_id: ask.finding for ask in draft.group}
    requests = [change.request for change in changes]
    permission = ", ".join(dict.fromkeys(change.permission for change in changes)) or None
    publisher = app.get("publisher_name")
    return Action(
        action_id=draft.action_id,
        priority=priority,
        app_id="" if draft.group[0].about else first.app_id,
        service_principal_id=about,
        display_name=draft.name,
        action_type=draft.action_type,
        title=title,
        why=" ".join(dict.fromkeys(plain(finding.reason) for finding in findings.values())),
        severity=draft.severity,
        disposition="safe" if draft.safe else "needs_review",
        effort=draft.effort,
        affected_users=values["users"],
        calls_30d=app.get("calls_30d"),
        owners=tuple(plain(name) for name in facts.owners.get(about, ())),
        publisher_name=plain(publisher) if publisher else None,
        risk_removed=round(draft.risk_removed, 1),
        disruption=round(draft.disruption, 2),
        wave=1 if draft.safe else 2 if changes else 3,
        reversible=all(change.undo is not None for change in changes) if changes else None,
        steps=tuple(step.format_map(values) for step in words.steps),
        verify=words.verify.format_map(values),
        method=requests[0].method if requests else None,
        path=requests[0].path if requests else None,
        body=requests[0].text if requests and requests[0].body is not None else None,
        undo=compact(_undo(changes[0] if changes else None)),
        requests=_listed(changes) if changes else None,
        permission_needed=permission,
        powershell=powershell(requests, title, permission) if permission else None,
        curl=curl(requests, title) if requests else None,
        az_rest=az_rest(requests, title) if requests else None,
        finding_ids=tuple(sorted(findings)),
    )


def _undo(change: Change | None) -> dict[str, Any]:
    """What undoes a request, with a note."""
    undo = change.undo if change else None
    return {
        "method": undo.method if undo else None,
        "path": undo.path if undo else None,
        "body": undo.body if undo else None,
        "note": change.undo_note if change else "Nothing is changed by this plan.",
    }


def _listed(changes: tuple[Change, ...]) -> str:
    """All requests of an action as JSON."""
    return (
        "["
        + ",".join(
            compact(
                {
                    "method": change.request.method,
                    "path": change.request.path,
                    "body": change.request.body,
                    "undo": _undo(change),
                    "state": change.state,
                }
            )
            for change in changes
        )
        + "]"
    )


def _safe(group: list[Ask]) -> bool:
    """Whether every part of the target is known to be unused (by at least one of the findings)."""
    parts = {ask.scope: False for ask in group if ask.action_type != "renew_credential"}
    for ask in group:
        if ask.action_type != "renew_credential":
            parts[ask.scope] |= ask.safe
    return all(parts.values())
