"""Which findings ask for something to be done about people, and what.

A person is acted on where a finding names them as somebody whose account is used by another (`secure_user`), where they
let in an app that is held to be an attack (`end_abuse`, `end_phishing`), and where an app made rules in their mailbox
(`remove_mail_rules`). Nobody on the protected list is. All of it needs a review.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote

import duckdb

from appgov_lib.actions import people
from appgov_lib.actions.app_asks import stop_elsewhere
from appgov_lib.actions.ask import Ask
from appgov_lib.actions.facts import Facts, OpenFinding, Row
from appgov_lib.actions.requests import Change
from appgov_lib.actions.scripts import plain
from appgov_lib.actions.text import Words

URGENT = ("critical", "high")
"""Severities at which a password is reset and an account may be blocked as well."""
_RULES = "remove_mail_rules"
FEW = 20
"""People a finding may name as long as each can be an account in other hands; more of them is a way of working."""


# ---- asks ------------------------------------------------------------------------------------------------------------


def _secure(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Somebody looks at the app; the people named get new sessions, in urgent cases a new password or a block."""
    yield Ask(finding, "review_app", finding.service_principal_id)
    named = _named(finding, facts)
    for user in named if len(named) <= FEW else ():
        if not _is_guest(user):
            yield from _of_user(finding, "revoke_sessions", user)
        if finding.severity in URGENT:
            if not _is_guest(user):
                yield from _of_user(finding, "reset_password", user)
            if user["account_enabled"] is not False:
                yield from _of_user(finding, "block_user", user)


def _end_abuse(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """The app is disabled, or blocked where it is not here yet, and those who let it in get new sessions."""
    app = facts.apps.get(finding.service_principal_id)
    if app is not None and app["account_enabled"] is not False:
        yield Ask(finding, "disable_sign_in", finding.service_principal_id)
    yield from stop_elsewhere(finding, facts)
    yield from _consenters(finding, facts)


def _end_phishing(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """What users granted of the kit goes, and they get new sessions."""
    listed = {str(name) for name in finding.evidence.get("permissions") or () if not isinstance(name, dict)}
    for grant in facts.grants.get(finding.service_principal_id, ()):
        if grant["consent_type"] == "Principal":
            for scope in sorted(listed.intersection(grant["scopes"] or ())):
                yield Ask(finding, "remove_scopes", grant["grant_id"], scope=scope)
    yield from _consenters(finding, facts)


def _mail_rules(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Somebody looks at the app, and at the rules it made in each mailbox."""
    yield Ask(finding, "review_app", finding.service_principal_id)
    for user_id, _ in facts.mail_rules.get(finding.service_principal_id, ()):
        yield from _of_user(finding, "remove_mail_rules", facts.people[user_id])


HANDLERS: dict[str, Callable[[OpenFinding, Facts], Iterator[Ask]]] = {
    "secure_user": _secure,
    "end_abuse": _end_abuse,
    "end_phishing": _end_phishing,
    "remove_mail_rules": _mail_rules,
}


def _of_user(finding: OpenFinding, action_type: str, user: Row) -> Iterator[Ask]:
    """An ask about a person, the same whatever app it comes from."""
    yield Ask(finding, action_type, user["user_id"], about=user["user_id"])


def _consenters(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """New sessions for everybody who let the app in by themselves."""
    for user_id in sorted(_granted_by(finding, facts.grants)):
        user = facts.people.get(user_id)
        if user is not None and not _is_guest(user):
            yield from _of_user(finding, "revoke_sessions", user)


def _named(finding: OpenFinding, facts: Facts) -> list[Row]:
    """The people that the evidence names."""
    wanted = _names_in(finding)
    found = [user for user in facts.people.values() if {user["user_id"], user["user_principal_name"]} & wanted]
    return sorted(found, key=lambda user: str(user["user_id"]))


def _is_guest(user: Row) -> bool:
    """Whether the sessions and the password are another organisation's business."""
    return bool(user["user_type"] == "Guest")


def _names_in(finding: OpenFinding) -> set[str]:
    """Ids and sign-in names of people in the evidence, lower case."""
    evidence = finding.evidence
    sessions, listed = evidence.get("sessions"), evidence.get("people")
    found = [evidence.get("user_id"), evidence.get("user_principal_name")]
    found += [row.get("user_id") for row in sessions or () if isinstance(row, dict)]
    found += listed if isinstance(listed, list) else []
    return {str(name).lower() for name in found if name}


def _granted_by(finding: OpenFinding, grants: Any) -> set[str]:
    """Ids of the users who let the app of a finding in."""
    held = grants.get(finding.service_principal_id, ())
    return {str(g["principal_id"]).lower() for g in held if g["consent_type"] == "Principal" and g["principal_id"]}


# ---- facts -----------------------------------------------------------------------------------------------------------


def read_people(
    con: duckdb.DuckDBPyConnection, findings: Sequence[OpenFinding], grants: Any, protected: frozenset[str] | None
) -> dict[str, Any]:
    """The fields of `Facts` about people; nothing is asked where no finding needs it."""
    wanted = [finding for finding in findings if finding.action in HANDLERS]
    names = {name for finding in wanted if finding.action == "secure_user" for name in _names_in(finding)}
    for finding in wanted:
        if finding.action in ("end_abuse", "end_phishing"):
            names |= _granted_by(finding, grants)
    makers = {finding.app_id: finding.service_principal_id for finding in wanted if finding.action == _RULES}
    made = sorted(_rules_made(con, makers)) if makers else []
    mailboxes = {
        (finding.service_principal_id, str(name).lower(), "")
        for finding in wanted
        if finding.action == _RULES
        for name in finding.evidence.get("mailboxes") or ()
    }
    rules = sorted({*made, *mailboxes})
    users = _users(con, {*names, *(name for _, name, _ in rules)} - {""}) if names or rules else []
    spared = {user["user_id"] for user in users} if protected is None else protected
    known = {user["user_id"]: user for user in users if user["user_id"] not in spared}
    ids = {user["user_principal_name"]: key for key, user in known.items() if user["user_principal_name"]}
    held: dict[str, dict[str, set[str]]] = {}
    for maker, name, rule in rules:
        user_id = name if name in known else ids.get(name)
        if user_id:
            held.setdefault(maker, {}).setdefault(user_id, set()).update({rule} - {""})
    return {
        "people": known,
        "mail_rules": {
            maker: tuple((user_id, tuple(sorted(found))) for user_id, found in sorted(by_user.items()))
            for maker, by_user in held.items()
        },
    }


def _users(con: duckdb.DuckDBPyConnection, names: Iterable[str]) -> list[Row]:
    """Users by id or sign-in name."""
    result = con.execute(
        "SELECT user_id, user_principal_name, display_name, account_enabled, user_type FROM stg_users "
        "WHERE user_id IN (SELECT unnest($names)) OR user_principal_name IN (SELECT unnest($names)) ORDER BY user_id",
        {"names": sorted(names)},
    )
    columns = [column[0] for column in result.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def _rules_made(con: duckdb.DuckDBPyConnection, makers: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """(service principal id, user id or sign-in name, rule id or nothing) of rules that an app made or changed."""
    calls = con.execute(
        "SELECT DISTINCT app_id, user_id, path FROM stg_api_activity "
        "WHERE app_id IN (SELECT unnest($apps)) AND method IN ('POST', 'PATCH', 'PUT') AND status BETWEEN 200 AND 299 "
        "AND regexp_matches(path, '(?i)/messageRules(/[^/]+)?$')",
        {"apps": sorted(makers)},
    ).fetchall()
    for app_id, user_id, path in calls:
        found = re.fullmatch(r"/(?:me|users/([^/]+))/mailFolders/[^/]+/messageRules(?:/([^/]+))?", path, re.I)
        owner = str((found and found[1]) or user_id or "").lower()
        if found and owner:
            yield makers[app_id], owner, _rule_id(found[2])
    records = con.execute(
        "SELECT DISTINCT app_id, coalesce(user_principal_name, user_id) FROM stg_office_activity "
        "WHERE app_id IN (SELECT unnest($apps)) AND result IS DISTINCT FROM 'failure' "
        "AND operation IN ('New-InboxRule', 'Set-InboxRule', 'Enable-InboxRule', 'UpdateInboxRules')",
        {"apps": sorted(makers)},
    ).fetchall()
    yield from ((makers[app_id], str(name or "").lower(), "") for app_id, name in records)


def _rule_id(text: str | None) -> str:
    """A rule's id as Graph writes it; nothing for what is none."""
    found = unquote(text or "")
    return found if re.fullmatch("[A-Za-z0-9_+/=-]+", found) else ""


# ---- requests and words ----------------------------------------------------------------------------------------------

Built = tuple[list[Change], dict[str, Any]]


def _person(target: str, facts: Facts) -> dict[str, Any]:
    """The places in the words that a person fills."""
    user = facts.people[target]
    return {"users": 1, "person": plain(user["user_principal_name"] or user["display_name"] or target), "id": target}


def _revoke(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """End the sessions of a user."""
    return [people.revoke_sessions(target)], _person(target, facts)


def _reset(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Have a person reset a password: whoever does it chooses it, and this program never sees it."""
    return [], _person(target, facts)


def _block(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Block a user."""
    return [people.block_user(target, facts.people[target]["account_enabled"])], _person(target, facts)


def _remove_rules(target: str, group: list[Ask], app: Row, facts: Facts) -> Built:
    """Remove the rules whose ids are known; where none is, somebody has to look which of them it was."""
    makers = {ask.finding.service_principal_id for ask in group}
    found = {
        rule for maker in makers for user_id, rules in facts.mail_rules[maker] if user_id == target for rule in rules
    }
    changes = [people.remove_mail_rule(target, rule) for rule in sorted(found)]
    return changes, {**_person(target, facts), "count": len(found)}


CHANGES: dict[str, Callable[[str, list[Ask], Row, Facts], Built]] = {
    "revoke_sessions": _revoke,
    "reset_password": _reset,
    "block_user": _block,
    "remove_mail_rules": _remove_rules,
}

_LATER = "the next build reports the finding as resolved or excepted."
WORDS = {
    "revoke_sessions": Words(
        "End all sessions of {person}",
        (
            "Tell {person} that every device and app will ask for a sign-in again, and why.",
            "Send the request. It cannot be undone; the person signs in again.",
            "Access tokens already issued work until they expire, usually within an hour; remove what the app was "
            "granted as well, or it comes back with the next sign-in.",
        ),
        "GET /v1.0/users/{id}?$select=signInSessionsValidFromDateTime shows the moment of the request; " + _LATER,
        "low",
    ),
    "reset_password": Words(
        "Have the password of {person} reset",
        (
            "Reach {person} by another way than mail, and find out whether the deeds in the finding were theirs.",
            "If not, an administrator resets the password: in the Entra admin center, or by PATCH /v1.0/users/{id} "
            "with passwordProfile (forceChangePasswordNextSignIn true); it needs User-PasswordProfile.ReadWrite.All. "
            "appgov neither makes, sends nor keeps a password.",
            "Check the sign-in methods of {person}: whoever held the account may have added one.",
            "End the sessions of {person} after that, not before.",
        ),
        "GET /v1.0/users/{id}?$select=lastPasswordChangeDateTime shows the new day; " + _LATER,
        "medium",
    ),
    "block_user": Words(
        "Block the sign-in of {person}",
        (
            "Only where {person} cannot be reached, or the deeds go on after the sessions and the password ended.",
            "Make sure that somebody else can do what {person} does, and that it is no account kept for emergencies.",
            "Send the request: {person} gets no new tokens. Tokens already issued work until they expire, usually "
            "within an hour.",
            "When the account is in the right hands again, send the undo request.",
        ),
        "GET /v1.0/users/{id}?$select=accountEnabled shows false; " + _LATER,
        "high",
    ),
    "remove_mail_rules": Words(
        "Remove {count} inbox rules from the mailbox of {person}",
        (
            "Ask {person} whether the rules are theirs; an app made or changed them.",
            "Send the requests: each rule is read and written to the journal before it goes.",
            "If one is missed, send the undo request: the rule returns under a new id.",
            "Look whether mail was sent on meanwhile, and to whom.",
        ),
        "GET /v1.0/users/{id}/mailFolders/inbox/messageRules no longer lists them; " + _LATER,
        "medium",
    ),
}
DEFAULT_WORDS = {
    "remove_mail_rules": Words(
        "Look for the inbox rules that an app made in the mailbox of {person}",
        (
            "The logs do not tell the ids of the rules. `appgov actions mail-rules {id}` lists those of the mailbox.",
            "Ask {person} which of them are theirs. A rule that forwards, redirects or deletes is the likely one.",
            "Write those to be removed into a plan with `--rules` and `--save` of the same command, and carry it out "
            "with `appgov actions apply --plan`.",
        ),
        "GET /v1.0/users/{id}/mailFolders/inbox/messageRules no longer lists them; " + _LATER,
        "medium",
    ),
}
