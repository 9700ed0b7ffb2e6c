"""Requests about settings of the tenant: consent rules, requests for consent, limits for secrets and certificates.

The rules that Microsoft built in cannot be written, and no request here tries to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from appgov_lib.actions.form import ID, MADE, Form, Member, State, guid
from appgov_lib.actions.requests import Change, Request

CONSENT_WRITE = "Policy.ReadWrite.PermissionGrant"
REQUESTS_WRITE = "Policy.ReadWrite.ConsentRequest"
LIMITS_WRITE = "Policy.ReadWrite.ApplicationConfiguration"
REVIEW = ("isEnabled", "notifyReviewers", "remindersEnabled", "requestDurationInDays", "reviewers")
"""All parts of the policy for asking an administrator; a PUT replaces the whole."""
_POLICIES = "/v1.0/policies"
_RULES = f"{_POLICIES}/permissionGrantPolicies"
_LIMITS = f"{_POLICIES}/appManagementPolicies"
_GRAPH = "https://graph.microsoft.com"
_OWN = r"((?!microsoft-|\.)[A-Za-z0-9_.-]{1,128})"
"""Id of a consent policy of the tenant's own making."""


# ---- what actions consist of -----------------------------------------------------------------------------------------


def narrow_consent_rule(policy_id: str, rule: Mapping[str, Any], there: Sequence[Mapping[str, Any]]) -> list[Change]:
    """Put a narrower rule in the place of one of a consent policy; `there` are all its rules. The new one comes first.

    What stays allowed: delegated permissions classed as low, of apps whose publisher is verified.
    """
    listed = f"{_RULES}/{quote(policy_id, safe='')}/includes"
    wide = {name: rule[name] for name in RULE.names if rule.get(name) is not None}
    narrow = {
        **wide,
        "permissionType": "delegated",
        "permissionClassification": "low",
        "clientApplicationsFromVerifiedPublisherOnly": True,
    }
    add = Change(
        Request("POST", listed, narrow),
        Request("DELETE", f"{listed}/{MADE}"),
        "The narrower rule is removed; its id is read from the tenant.",
        CONSENT_WRITE,
    )
    gone = Change(
        Request("DELETE", f"{listed}/{quote(str(rule['id']), safe='')}"),
        Request("POST", listed, wide),
        "The rule returns under a new id.",
        CONSENT_WRITE,
        wide,
    )
    return [gone] if any(RULE.state(each) == RULE.state(narrow) for each in there) else [add, gone]


def let_users_ask(known: Mapping[str, Any]) -> Change:
    """Let users ask reviewers for apps; `known` is the policy as it is, with at least one reviewer."""
    before = {name: known.get(name) for name in REVIEW}
    days = min(int(known.get("requestDurationInDays") or 30), 30)
    after = {
        "isEnabled": True,
        "notifyReviewers": True,
        "remindersEnabled": True,
        "requestDurationInDays": days,
        "reviewers": list(known["reviewers"]),
    }
    path = f"{_POLICIES}/adminConsentRequestPolicy"
    return Change(
        Request("PUT", path, after),
        Request("PUT", path, before),
        "The policy has its former values again; requests made meanwhile stay.",
        REQUESTS_WRITE,
        _clean({name: value for name, value in before.items() if value is not None}),
    )


def limit_credentials(after: Mapping[str, Any], before: Mapping[str, Any]) -> Change:
    """Limit the secrets and certificates of all apps; `before` are the same parts of the policy as they are."""
    path = f"{_POLICIES}/defaultAppManagementPolicy"
    return Change(
        Request("PATCH", path, after),
        Request("PATCH", path, before),
        "The rules are as they were. Credentials made meanwhile keep their dates.",
        LIMITS_WRITE,
        _clean(before),
    )


def limit_app(application_id: str, policy_id: str) -> Change:
    """Put an app under one of the tenant's own policies for secrets and certificates."""
    path = f"/v1.0/applications/{quote(application_id, safe='')}/appManagementPolicies"
    reference = {"@odata.id": f"{_GRAPH}/v1.0/policies/appManagementPolicies/{quote(policy_id, safe='')}"}
    return Change(
        Request("POST", f"{path}/$ref", reference),
        Request("DELETE", f"{path}/{quote(policy_id, safe='')}/$ref"),
        "The app is held by the rules of the tenant again.",
        LIMITS_WRITE,
        {"policy": None, "others": []},
    )


# ---- forms -----------------------------------------------------------------------------------------------------------

RULE = Member(
    "consent rule",
    (
        "permissionClassification",
        "permissionType",
        "resourceApplication",
        "permissions",
        "clientApplicationIds",
        "clientApplicationTenantIds",
        "clientApplicationPublisherIds",
        "clientApplicationsFromVerifiedPublisherOnly",
    ),
    (
        "permissionClassification",
        "permissionType",
        "resourceApplication",
        "permissions",
        "clientApplicationIds",
        "clientApplicationTenantIds",
        "clientApplicationPublisherIds",
        "clientApplicationsFromVerifiedPublisherOnly",
    ),
)
_LIMIT = Member("app management policy", ("displayName", "description", "isEnabled", "restrictions"), ("displayName",))


def _clean(value: Any) -> Any:
    """A value without what is not set, rules and reviewers in one order: as it is compared."""
    if isinstance(value, Mapping):
        return {name: _clean(part) for name, part in value.items() if part is not None}
    if isinstance(value, list | tuple):
        return sorted((_clean(part) for part in value), key=str)
    return value


def _settings(request: Request, path: str) -> Form:
    """PATCH or PUT of a policy that is one of a tenant: the parts of the body, read with the whole."""
    body = dict(request.body or {})
    kept = REVIEW if request.method == "PUT" else tuple(body)

    def look(raw: Any) -> State:
        """The parts that are written, as they are."""
        return None if raw is None else {name: _clean(_like(body[name], raw.get(name))) for name in body}

    return Form(
        kind="settings",
        request=request,
        read=path,
        look=look,
        after=lambda before: {name: _clean(value) for name, value in body.items()},
        undo=lambda raw: Request(request.method, path, {name: _like(body.get(name), raw.get(name)) for name in kept}),
    )


def _like(like: Any, value: Any) -> Any:
    """Of an object only the parts that `like` has; lists are written whole."""
    if isinstance(like, Mapping) and isinstance(value, Mapping):
        return {name: _like(part, value.get(name)) for name, part in like.items()}
    return value


def _new_policy(request: Request, path: str) -> Form:
    """POST of a consent policy, whose id is chosen by who makes it."""
    body = dict(request.body or {})
    if not set(body) <= {"id", "displayName", "description"} or str(body["id"]).lower().startswith("microsoft-"):
        raise KeyError("not a consent policy of one's own")
    place = f"{path}/{quote(str(body['id']), safe='')}"
    return Form(
        kind="new consent policy",
        request=request,
        read=place,
        look=lambda raw: None if raw is None else {name: raw.get(name) for name in body},
        after=lambda _: body,
        undo=lambda _: Request("DELETE", place),
    )


def _old_policy(request: Request, path: str, back: str) -> Form:
    """DELETE of a consent policy; what it holds goes with it, so only an empty one comes back."""

    def look(raw: Any) -> State:
        """The policy with its rules."""
        if raw is None:
            return None
        rules = {part: raw[part] for part in ("includes", "excludes") if raw.get(part)}
        return {**{name: raw.get(name) for name in ("id", "displayName", "description")}, **rules}

    def undo(raw: Any) -> Request | None:
        """Make it again."""
        made = {name: raw[name] for name in ("id", "displayName", "description") if raw.get(name) is not None}
        return None if raw.get("includes") or raw.get("excludes") else Request("POST", back, made)

    return Form("consent policy", request, path, look, lambda _: None, undo)


def _limited(request: Request, path: str, policy: str = "") -> Form:
    """Putting an app under a policy, or taking it out."""
    adds = request.method == "POST"
    policy = guid(str((request.body or {})["@odata.id"]).rsplit("/", 1)[-1] if adds else policy).lower()

    def look(raw: Sequence[Mapping[str, Any]]) -> State:
        """Whether the policy holds for the app, and which others do."""
        found = {str(each.get("id")).lower() for each in raw}
        return {"policy": policy if policy in found else None, "others": sorted(found - {policy})}

    def complete(raw: Any, endpoint: str) -> Request:
        """The reference names the cloud it is for."""
        return Request(request.method, request.path, reference(endpoint)) if adds else request

    def reference(base: str) -> dict[str, Any]:
        """The policy as a reference."""
        return {"@odata.id": f"{base}/v1.0/policies/appManagementPolicies/{policy}"}

    back = Request("DELETE", f"{path}/{policy}/$ref") if adds else Request("POST", f"{path}/$ref", reference(_GRAPH))
    return Form(
        kind="limit of an app",
        request=request,
        read=f"{path}?$select=id",
        look=look,
        after=lambda before: None if before is None else {**before, "policy": policy if adds else None},
        undo=lambda _: back,
        many=True,
        complete=complete,
    )


_R, _L = re.escape(_RULES), re.escape(_LIMITS)
_OF_APP = rf"(/v1\.0/applications/{ID}/appManagementPolicies)"
FORMS: tuple[tuple[str, str, Callable[..., Form]], ...] = (
    ("PUT", r"(/v1\.0/policies/adminConsentRequestPolicy)", _settings),
    ("PATCH", r"(/v1\.0/policies/defaultAppManagementPolicy)", _settings),
    ("POST", rf"({_R})", _new_policy),
    ("DELETE", rf"(({_R})/{_OWN})", lambda r, path, back, _: _old_policy(r, path, back)),
    ("POST", rf"({_R}/{_OWN}/(?:includes|excludes))", lambda r, path, _: RULE.making(r, path, path)),
    (
        "DELETE",
        rf"(({_R}/{_OWN}/(?:includes|excludes))/{ID})",
        lambda r, path, back, *_: RULE.removal(r, path, back),
    ),
    ("POST", rf"({_L})", lambda r, path: _LIMIT.making(r, path, path)),
    ("DELETE", rf"(({_L})/{ID})", lambda r, path, back, _: _LIMIT.removal(r, path, back)),
    ("POST", rf"{_OF_APP}/\$ref", lambda r, path, _: _limited(r, path)),
    ("DELETE", rf"{_OF_APP}/{ID}/\$ref", lambda r, path, _, policy: _limited(r, path, policy)),
)
