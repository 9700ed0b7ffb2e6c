"""Which findings ask for a setting of the tenant to be tightened, beyond what users may consent to, and how.

A setting is written where its present value is known; else somebody looks. `limit_credentials` is asked for by findings
about the setting itself, and, beside a look at the app, by apps whose credentials live too long: it keeps the next one
away. Everything about one setting is one action, whichever findings ask for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import duckdb

from appgov_lib.actions import tenant_settings as settings
from appgov_lib.actions.ask import Ask
from appgov_lib.actions.facts import Facts, Guards, OpenFinding, Row
from appgov_lib.actions.requests import Change
from appgov_lib.actions.scripts import plain
from appgov_lib.actions.text import Words

LIMITS = {
    "secret_lifetime": ("passwordCredentials", "passwordLifetime", 180),
    "certificate_lifetime": ("keyCredentials", "asymmetricKeyLifetime", 365),
}
"""Where a setting stands in the policy, its kind of rule, and the days that are recommended."""
_FROM = "2000-01-01T00:00:00Z"
"""Apps created since are held by a new rule: all of them."""
_FOR_USERS = "ManagePermissionGrantsForSelf."
_ASKING = ("admin_consent_workflow", "admin_consent_reviewers", "admin_consent_duration")
_NAMES = {"secret_lifetime": "secrets 180 days", "certificate_lifetime": "certificates 365 days"}


# ---- asks ------------------------------------------------------------------------------------------------------------


def setting_asks(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """What a finding about a setting asks for, where its value is known."""
    subject, guards = finding.subject, facts.guards
    if subject in facts.policy:
        yield Ask(finding, "change_setting", subject)
    elif subject in _ASKING and guards.asking is not None:
        yield Ask(finding, "let_users_ask", finding.service_principal_id)
    elif subject == "permission_grant_policies":
        for policy_id in guards.consent_rules:
            yield Ask(finding, "narrow_consent_policy", policy_id)
    elif (subject in LIMITS or subject == "app_management_policy") and guards.limits is not None:
        yield Ask(finding, "limit_credentials", finding.service_principal_id, scope=subject)


def _limit(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Somebody looks at the credential that lives too long; a rule keeps the next one away."""
    yield Ask(finding, "review_app", finding.service_principal_id)
    guards, app = facts.guards, facts.apps.get(finding.service_principal_id)
    subject = "certificate_lifetime" if finding.evidence.get("credential_type") == "certificate" else "secret_lifetime"
    if guards.limits is not None and not _is_limited(guards.limits, subject):
        tenant = guards.tenant_id
        yield Ask(finding, "limit_credentials", tenant, scope=subject, about=tenant, beside=True)
        if guards.app_policy and app is not None and app["application_id"]:
            yield Ask(finding, "limit_app_credentials", app["application_id"], beside=True)


HANDLERS: dict[str, Callable[[OpenFinding, Facts], Iterator[Ask]]] = {"limit_credentials": _limit}


def _is_limited(limits: Row, subject: str) -> bool:
    """Whether a rule as strict as recommended holds for all apps."""
    place, kind, days = LIMITS[subject]
    rules = [rule for rule in limits["applicationRestrictions"].get(place) or () if _is_in_force(rule)]
    fitting = [rule for rule in rules if rule.get("restrictionType") == kind]
    return bool(limits["isEnabled"]) and any(_days(rule.get("maxLifetime")) <= days for rule in fitting)


def _is_in_force(rule: Row) -> bool:
    """Whether a rule holds, and for apps of any age."""
    return rule.get("state") != "disabled" and str(rule.get("restrictForAppsCreatedAfterDateTime") or "") <= _FROM


def _days(lifetime: Any) -> int:
    """Days of `P180D`; of any other text more than any rule allows."""
    text = str(lifetime or "")
    return int(text[1:-1]) if text[:1] == "P" and text[-1:] == "D" and text[1:-1].isdigit() else 10**6


# ---- facts -----------------------------------------------------------------------------------------------------------


def read_guards(con: duckdb.DuckDBPyConnection, findings: Sequence[OpenFinding]) -> Guards:
    """What planning has to know of the tenant's policies; nothing is asked where no finding needs it."""
    if not any(finding.action in ("change_setting", *HANDLERS) for finding in findings):
        return Guards()
    tenant = _first(con, "SELECT min(tenant_id) FROM stg_organization")
    given = _first(con, "SELECT user_consent_policies FROM stg_authorization_policy ORDER BY policy_id LIMIT 1")
    to_users = {str(name).lower() for name in (given and given[0]) or ()}
    consent = con.execute(
        "SELECT policy_id, CAST(includes AS VARCHAR) FROM stg_permission_grant_policies ORDER BY policy_id"
    ).fetchall()
    rules = {name: _rows(text) for name, text in consent if f"{_FOR_USERS}{name}".lower() in to_users}
    asking = _first(
        con,
        "SELECT is_enabled, notifies_reviewers, sends_reminders, request_days, reviewers "
        "FROM stg_admin_consent_request_policy ORDER BY policy_id LIMIT 1",
    )
    limits = _first(
        con,
        "SELECT is_enabled, CAST(application_password_rules AS VARCHAR), CAST(application_key_rules AS VARCHAR), "
        "CAST(identifier_uri_rules AS VARCHAR) FROM stg_default_app_management_policy ORDER BY policy_id LIMIT 1",
    )
    own = con.execute(
        "SELECT policy_id, CAST(password_rules AS VARCHAR), CAST(key_rules AS VARCHAR) "
        "FROM stg_app_management_policies WHERE is_enabled ORDER BY policy_id"
    ).fetchall()
    return Guards(
        tenant_id=str((tenant and tenant[0]) or "tenant"),
        consent_rules={
            name: found
            for name, found in rules.items()
            if not name.lower().startswith("microsoft-") and any(map(_is_wide, found))
        },
        asking=_asking(*asking) if asking and asking[0] is not None else None,
        limits=_limits(*limits) if limits and limits[0] is not None else None,
        app_policy=next((policy for policy, passwords, keys in own if _is_strict(_rows(passwords), _rows(keys))), ""),
    )


def _is_strict(passwords: Sequence[Row], keys: Sequence[Row]) -> bool:
    """Whether these rules hold any app as close as recommended."""
    parts = {"passwordCredentials": passwords, "keyCredentials": keys}
    policy = {"isEnabled": True, "applicationRestrictions": parts}
    banned = any(rule.get("restrictionType") == "passwordAddition" and _is_in_force(rule) for rule in passwords)
    return _is_limited(policy, "certificate_lifetime") and (banned or _is_limited(policy, "secret_lifetime"))


def _rows(text: str | None) -> tuple[Row, ...]:
    """The objects of a JSON array."""
    found = json.loads(text) if text else None
    return tuple(row for row in found if isinstance(row, dict)) if isinstance(found, list) else ()


def _first(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...] | None:
    """The first row; the result is read to its end, so that the connection is free again."""
    return next(iter(con.execute(sql).fetchall()), None)


def _asking(enabled: bool, notifies: bool | None, reminds: bool | None, days: int | None, who: list[str]) -> Row:
    """The policy for asking an administrator, as Graph writes it."""
    return {
        "isEnabled": enabled,
        "notifyReviewers": notifies,
        "remindersEnabled": reminds,
        "requestDurationInDays": days,
        "reviewers": [{"query": query, "queryType": "MicrosoftGraph"} for query in who or ()],
    }


def _limits(enabled: bool, passwords: str | None, keys: str | None, uris: str | None) -> Row:
    """The parts of the policy that are written, as Graph writes them."""
    parts = {"passwordCredentials": passwords, "keyCredentials": keys, "identifierUris": uris}
    found = {name: json.loads(text) for name, text in parts.items() if text}
    return {"isEnabled": enabled, "applicationRestrictions": {k: v for k, v in found.items() if v is not None}}


# ---- requests and words ----------------------------------------------------------------------------------------------

Built = tuple[list[Change], dict[str, Any]]


def _narrow(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Narrow each rule of a consent policy that lets in whatever a user can give."""
    rules = facts.guards.consent_rules[target]
    wide = [rule for rule in rules if rule.get("id") and _is_wide(rule)]
    changes: list[Change] = []
    for number, rule in enumerate(wide):
        made = settings.narrow_consent_rule(target, rule, rules)
        # two wide rules may become the same narrow one, which is made once
        changes += made if not number or made[0].request not in [each.request for each in changes] else made[1:]
    return changes, {"users": None, "policy": plain(target)}


def _is_wide(rule: Mapping[str, Any]) -> bool:
    """Whether a rule lets in any permission of any app."""
    everything: tuple[Any, ...] = ([], ["all"], None)
    narrowed = rule.get("clientApplicationsFromVerifiedPublisherOnly") or rule.get("permissionClassification") == "low"
    lists = ("permissions", "clientApplicationIds", "clientApplicationTenantIds", "clientApplicationPublisherIds")
    return not narrowed and all(rule.get(name) in everything for name in lists)


def _ask(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Let users ask; who answers is a choice that a person makes."""
    known = facts.guards.asking or {}
    return [settings.let_users_ask(known)] if known.get("reviewers") else [], {"users": None}


def _limit_all(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Put the rules that are asked for into the policy; the others stay as they are."""
    before = facts.guards.limits or {}
    subjects = sorted({ask.scope for ask in group if ask.scope in LIMITS})
    after: dict[str, Any] = {"isEnabled": True}
    if subjects:
        parts = dict(before["applicationRestrictions"])
        for subject in subjects:
            place, kind, days = LIMITS[subject]
            parts[place] = _with_rule(parts.get(place) or [], kind, days)
        after["applicationRestrictions"] = parts
    was: dict[str, Any] = {"isEnabled": before["isEnabled"]}
    if subjects:
        was["applicationRestrictions"] = {
            name: before["applicationRestrictions"].get(name, []) for name in after["applicationRestrictions"]
        }
    names = ", ".join(_NAMES[subject] for subject in subjects) or "the rules it holds"
    return [settings.limit_credentials(after, was)], {"users": None, "listed": names}


def _with_rule(rules: list[Row], kind: str, days: int) -> list[Row]:
    """The rules with one of a kind as strict as recommended, for all apps; a stricter lifetime stays."""
    old: Row = next((rule for rule in rules if rule.get("restrictionType") == kind), {})
    longest = old.get("maxLifetime") if _days(old.get("maxLifetime")) <= days else f"P{days}D"
    new = {
        **old,
        "restrictionType": kind,
        "state": "enabled",
        "maxLifetime": longest,
        "restrictForAppsCreatedAfterDateTime": _FROM,
    }
    return [*(rule for rule in rules if rule is not old), new]


def _limit_one(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Put one app under the tenant's own stricter policy."""
    policy = facts.guards.app_policy
    return [settings.limit_app(target, policy)], {"users": None, "id": plain(target), "policy": plain(policy)}


CHANGES: dict[str, Callable[[str, list[Ask], Row, Facts], Built]] = {
    "narrow_consent_policy": _narrow,
    "let_users_ask": _ask,
    "limit_credentials": _limit_all,
    "limit_app_credentials": _limit_one,
}
TENANT = frozenset({"change_setting", "review_settings", "narrow_consent_policy", "let_users_ask", "limit_credentials"})
"""Kinds of action about the tenant and no app."""

_RESOLVED = "the next build reports the finding as resolved."
WORDS = {
    "narrow_consent_policy": Words(
        "Narrow the consent policy {policy}",
        (
            "Ask who made {policy}, and which apps users let in by it; what they granted stays.",
            "Send the requests: the narrower rule comes first, then the wide one goes. Users may then give permissions "
            "classed as low to apps of verified publishers; the excluded ones stay excluded.",
            "If too much is asked of the administrators, send the undo requests, last one first.",
        ),
        "GET /v1.0/policies/permissionGrantPolicies/{policy}/includes shows the narrow rule alone; " + _RESOLVED,
        "medium",
    ),
    "let_users_ask": Words(
        "Let users ask the reviewers for apps",
        (
            "Tell the reviewers that requests will come by mail and end unanswered after 30 days at most.",
            "Send the request: it writes the whole policy, with the reviewers it has.",
            "If nobody answers requests, name other reviewers rather than switching it off.",
        ),
        "GET /v1.0/policies/adminConsentRequestPolicy shows isEnabled true and the reviewers; " + _RESOLVED,
        "low",
    ),
    "limit_credentials": Words(
        "Limit credentials of all apps ({listed})",
        (
            "Ask the teams that make credentials by a script whether one lives longer; such a script will be refused. "
            "Give an app that needs it longer an app management policy of its own.",
            "Send the request: the other rules of the policy stay. Where it is off, all its rules come into force.",
            "Credentials that are there stay as they are; renew them one by one.",
            "If a team is stopped by it, send the undo request.",
        ),
        "GET /v1.0/policies/defaultAppManagementPolicy shows the rules; " + _RESOLVED,
        "medium",
    ),
    "limit_app_credentials": Words(
        "Put {app} under the app management policy {policy}",
        (
            "Ask the owner of {app} whether a script makes credentials that live longer.",
            "Send the request: new credentials of {app} are held by that policy and by it alone. An app may have one.",
            "If the team is stopped by it, send the undo request.",
        ),
        "GET /v1.0/applications/{id}/appManagementPolicies lists {policy}.",
        "low",
    ),
}
DEFAULT_WORDS = {
    "let_users_ask": Words(
        "Name reviewers, and let users ask them for apps",
        (
            "Nobody is named to answer. Choose at least two persons, a group or a role who know the apps.",
            "Switch the admin consent workflow on in the Entra admin center and name them.",
        ),
        "GET /v1.0/policies/adminConsentRequestPolicy shows isEnabled true and the reviewers; " + _RESOLVED,
        "medium",
    ),
    "narrow_consent_policy": Words(
        "Narrow the consent policy {policy} by hand",
        ("The rules of {policy} were not read with their ids: narrow them in the Entra admin center.",),
        "GET /v1.0/policies/permissionGrantPolicies/{policy}/includes shows narrow rules alone; " + _RESOLVED,
        "medium",
    ),
}
