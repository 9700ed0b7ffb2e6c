"""Requests about people: end their sessions, block them, take an inbox rule away.

A user is always named by object id, so that the protected list holds for every one of these requests. No request of
this program writes a password: whoever resets one chooses it, and it never comes near a plan, a journal or a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from appgov_lib.actions.form import ID, Form, Member, State
from appgov_lib.actions.requests import Change, Request

SESSIONS_WRITE = "User.RevokeSessions.All"
ACCOUNT_WRITE = "User.EnableDisableAccount.All"
MAIL_WRITE = "MailboxSettings.ReadWrite"
_RULE_ID = "((?:[A-Za-z0-9_-]|%2B|%2F|%3D)+)"
_SINCE = "signInSessionsValidFromDateTime"


def revoke_sessions(user_id: str) -> Change:
    """End all sessions of a user: every refresh token and session cookie issued so far is refused from now on."""
    return Change(
        Request("POST", f"{_user(user_id)}/revokeSignInSessions"),
        None,
        "Ended sessions stay ended; the person signs in again.",
        SESSIONS_WRITE,
    )


def block_user(user_id: str, enabled: bool | None) -> Change:
    """Block the sign-in of a user; `enabled` is what is known of it."""
    return Change(
        Request("PATCH", _user(user_id), {"accountEnabled": False}),
        Request("PATCH", _user(user_id), {"accountEnabled": True}),
        "The person may sign in again.",
        ACCOUNT_WRITE,
        {} if enabled is None else {"accountEnabled": enabled},
    )


def remove_mail_rule(user_id: str, rule_id: str, known: Mapping[str, Any] | None = None) -> Change:
    """Remove an inbox rule; `known` is the rule as Graph shows it, where it was read."""
    listed = f"{_user(user_id)}/mailFolders/inbox/messageRules"
    made = {name: known[name] for name in RULE.names if known.get(name) is not None} if known else {}
    return Change(
        Request("DELETE", f"{listed}/{quote(rule_id, safe='')}"),
        Request("POST", listed, made) if made else None,
        "The rule returns under a new id."
        if made
        else "`appgov actions apply` reads the rule first and can make it again, under a new id.",
        MAIL_WRITE,
        made,
    )


def _user(user_id: str) -> str:
    """The path of a user."""
    return f"/v1.0/users/{quote(user_id, safe='')}"


# ---- forms -----------------------------------------------------------------------------------------------------------

RULE = Member(
    "inbox rule",
    ("displayName", "sequence", "isEnabled", "conditions", "actions", "exceptions"),
    ("displayName", "conditions", "actions"),
)


def _sessions(request: Request, path: str) -> Form:
    """Ending sessions. The time from which sessions count is Graph's to choose: it has to be a later one."""

    def came(before: State, found: State) -> bool:
        """Whether sessions count from later on."""
        return found is not None and str(found[_SINCE] or "") > str((before or {}).get(_SINCE) or "")

    return Form(
        kind="sessions",
        request=request,
        read=f"{path}?$select=id,{_SINCE}",
        look=lambda raw: None if raw is None else {_SINCE: raw.get(_SINCE)},
        after=lambda before: None if before is None else {_SINCE: "the moment of the request"},
        undo=lambda _: None,
        came=came,
    )


def _account(request: Request, path: str) -> Form:
    """Blocking a user or not, and nothing else of them."""
    body = dict(request.body or {})
    if set(body) != {"accountEnabled"} or not isinstance(body["accountEnabled"], bool):
        raise KeyError("a property of a user that no action writes")
    return Form(
        kind="user",
        request=request,
        read=f"{path}?$select=id,accountEnabled",
        look=lambda raw: None if raw is None else {"accountEnabled": raw.get("accountEnabled")},
        after=lambda before: None if before is None else body,
        undo=lambda raw: Request("PATCH", path, {"accountEnabled": raw["accountEnabled"]}),
    )


def rules_of(user_id: str) -> Form:
    """Where the inbox rules of a user are listed; nothing is sent by it."""
    path = f"{_user(user_id)}/mailFolders/inbox/messageRules"
    nothing = Request("GET", path)
    return Form("inbox rules", nothing, path, lambda _: None, lambda _: None, lambda _: None, many=True)


FORMS: tuple[tuple[str, str, Callable[..., Form]], ...] = (
    ("POST", rf"(/v1\.0/users/{ID})/revokeSignInSessions", lambda r, path, _: _sessions(r, path)),
    ("PATCH", rf"(/v1\.0/users/{ID})", lambda r, path, _: _account(r, path)),
    (
        "DELETE",
        rf"((/v1\.0/users/{ID}/mailFolders/inbox/messageRules)/{_RULE_ID})",
        lambda r, path, back, *_: RULE.removal(r, path, back),
    ),
    ("POST", rf"(/v1\.0/users/{ID}/mailFolders/inbox/messageRules)", lambda r, path, _: RULE.making(r, path, path)),
)
