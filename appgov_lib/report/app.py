"""What the page of one app shows: why it is here, what to do, and the facts behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from appgov_lib import formats
from appgov_lib.report import svg
from appgov_lib.report.app_access import access_tables, window_lines
from appgov_lib.report.app_activity import activity_tables
from appgov_lib.report.app_state import microsoft_view, portal_links, state_tables
from appgov_lib.report.facts import Facts
from appgov_lib.report.summary import action_groups
from appgov_lib.tables import Record, Table, table_of

METRICS = (
    ("sign_ins", "Sign-ins", "sign-ins"),
    ("api_calls", "API calls", "calls"),
    ("bytes_returned", "Data returned", "bytes"),
    ("failures", "Failed sign-ins", "failures"),
    ("off_hours_sign_ins", "Sign-ins outside its usual hours", "sign-ins"),
)
RARE = frozenset({"failures", "off_hours_sign_ins"})
"""Measures that are worth a picture only where there is anything."""
EVIDENCE_SHOWN = 40
SECTIONS = (
    ("findings", "Why it is here"),
    ("story", "What happened, in order"),
    ("actions", "What to do"),
    ("granted", "Granted"),
    ("used", "Used and moved"),
    ("consented", "Consented"),
    ("owned", "Owned"),
    ("hygiene", "Hygiene"),
    ("changed", "Changed"),
    ("score", "Risk score"),
    ("microsoft", "What Microsoft says"),
)
"""Parts of the page by anchor, in their order."""


def app_context(facts: Facts, service_principal_id: str) -> dict[str, Any]:
    """Return everything the template of an app page needs."""
    findings = facts.findings_of.get(service_principal_id, [])
    app = facts.inventory.get(service_principal_id, {})
    app_id = findings[0]["app_id"] if findings else app["app_id"]
    named = findings[0]["display_name"] if findings else ""
    own = {f["finding_id"] for f in findings}
    # what is to be done about a person or the tenant belongs here as well where a finding about the app asks for it
    beside = [a for a in facts.actions_of_no_app if not own.isdisjoint(a["finding_ids"] or ())]
    actions = [a for a in facts.actions_of.get(service_principal_id, []) if a not in beside]
    actions = sorted([*actions, *beside], key=lambda action: action["priority"])
    return {
        "app": app,
        "name": formats.plain(named or app.get("display_name") or app_id, 200),
        "app_id": app_id,
        "service_principal_id": service_principal_id,
        # Findings about settings of the tenant carry its id; nothing of an app can be said of them.
        "about_tenant": not app and service_principal_id in {facts.tenant.get("tenant_id"), "tenant"},
        "findings": [
            {**f, "pairs": evidence_pairs(f["evidence"]), "lists": evidence_lists(f["evidence"])}
            | {"why": why_it_matters().get(f["policy_id"], "")}
            for f in findings
        ],
        "undo_text": undo_text,
        "other_requests": other_requests,
        "groups": action_groups(actions),
        "usage": facts.usage.get(app_id, {}),
        "histories": histories(facts, app_id),
        "tables": access_tables(facts, service_principal_id, app_id)
        | activity_tables(facts, app_id)
        | state_tables(facts, service_principal_id, app),
        "story": facts.details.chain_steps.get(service_principal_id, []),
        "sections": [
            s for s in sections_of(findings) if s[0] != "story" or service_principal_id in facts.details.chain_steps
        ],
        "consent": consent_of(app),
        "windows": window_lines(facts.permissions.get(service_principal_id, [])),
        "microsoft": microsoft_view(facts, app_id),
        "portal": portal_links(app_id, service_principal_id, app),
    }


def sections_of(findings: list[Record]) -> tuple[tuple[str, str], ...]:
    """Name the parts of the page; an app may be here without a finding, because somebody asked for it."""
    return SECTIONS if findings else (("findings", "Findings"), *SECTIONS[1:])


def consent_of(app: Record) -> str:
    """Say who consented to an app as a whole."""
    users = formats.count(app.get("consented_users"), "user")
    words = {
        "admin": "by an administrator, for everybody",
        "user": f"by {users} for themselves",
        "mixed": f"by an administrator, and by {users} for themselves",
        "none": "no consent is known",
    }
    return words.get(str(app.get("consent_type")), formats.UNKNOWN)


@cache
def why_it_matters() -> dict[str, str]:
    """Return the first paragraph of "Why it matters" of every policy page, by policy id."""
    from appgov_lib.detect.policy import load_policies

    first = {p.policy_id: p.section("Why it matters").split("\n\n")[0] for p in load_policies()}
    return {name: formats.plain(text.replace("`", ""), 600) for name, text in first.items()}


def evidence_pairs(evidence: object) -> list[tuple[str, str]]:
    """Write a finding's evidence as names and values in reading form; nested values as compact JSON."""
    found = [(k.replace("_", " "), _evidence_text(k, v)) for k, v in _evidence(evidence).items() if not _is_rows(v)]
    return found[:EVIDENCE_SHOWN]


def evidence_lists(evidence: object) -> list[Table]:
    """Return the lists of records in a finding's evidence as tables."""
    lists = ((k, v) for k, v in _evidence(evidence).items() if _is_rows(v))
    return [
        table_of(_same_keys(rows), name.replace("_", " ").capitalize(), limit=EVIDENCE_SHOWN) for name, rows in lists
    ]


def _evidence(evidence: object) -> dict[str, Any]:
    """Return the evidence as names and values, whatever it holds."""
    try:
        values = json.loads(evidence) if isinstance(evidence, str) else evidence
    except ValueError:
        values = evidence
    return dict(values) if isinstance(values, Mapping) else {} if values is None else {"evidence": values}


def _is_rows(value: object) -> bool:
    """Whether a value is a list of records."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _same_keys(rows: list[Record]) -> list[Record]:
    """Give every record the names of all of them; what a record does not have is unknown."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: _flat(row.get(name)) for name in names} for row in rows]


def _flat(value: Any) -> Any:
    """Return a value a cell can hold: nested records as JSON text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def undo_text(undo: object) -> str:
    """Say in words how an action is undone."""
    values = _evidence(undo)
    if not values.get("method"):
        return formats.plain(values.get("note") or values.get("evidence") or "nothing to undo", 600)
    body = f" with {json.dumps(values['body'], ensure_ascii=False)}" if values.get("body") else ""
    note = f" ({values['note'].rstrip('.')})" if values.get("note") else ""
    return formats.plain(f"{values['method']} {values['path']}{body}{note}", 900)


def other_requests(action: Record) -> list[Record]:
    """The requests of an action after its first, bodies as text."""
    try:
        listed = json.loads(action.get("requests") or "[]")[1:]
        return [
            {"method": each["method"], "path": each["path"], "body": json.dumps(each["body"]) if each["body"] else ""}
            for each in listed
        ]
    except (ValueError, KeyError, TypeError):
        return []


def _evidence_text(key: str, value: Any) -> str:
    """Write one value of the evidence."""
    if value is None:
        return formats.UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{formats.size(value)} ({formats.exact_size(value)})" if "bytes" in key else formats.number(value, 4)
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return formats.joined(value)
    if isinstance(value, dict | list):
        return formats.plain(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")), 2000)
    return formats.plain(value, 2000)


def histories(facts: Facts, app_id: str) -> list[svg.History]:
    """Return a picture per measure the app has days for, flagged days marked."""
    shown = []
    for metric, name, unit in METRICS:
        values = dict(facts.history.get((app_id, metric), []))
        if values and not (metric in RARE and not any(values.values())):
            flagged = [formats.as_date(a["day"]) for a in facts.anomalies.get(app_id, []) if a["metric"] == metric]
            judged = (
                (formats.as_date(b["day"]), b) for b in facts.details.bands.get(app_id, []) if b["metric"] == metric
            )
            band = {day: (b["lower"], b["upper"]) for day, b in judged if day and flagged}
            shown.append(svg.history(name, values, facts.period, unit, [d for d in flagged if d], expected=band))
    return shown
