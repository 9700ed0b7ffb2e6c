"""Every kind of request that may change a tenant: where its state is read, how it looks after, what undoes it.

A request that is none of these is refused before anything is read: a plan file cannot carry another one in. States are
small JSON values, the same for a request and for the one that undoes it, so that they can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from appgov_lib.actions import people, tenant_settings
from appgov_lib.actions.app_forms import FORMS as _OF_APPS
from appgov_lib.actions.form import ID, KEY, Form, Member, State, guid
from appgov_lib.actions.requests import Request
from appgov_lib.errors import ConfigError

_WRITTEN = frozenset(
    {
        "accountEnabled",
        "appRoleAssignmentRequired",
        "isDisabled",
        "keyCredentials",
        "publicClient",
        "requiredResourceAccess",
        "servicePrincipalLockConfiguration",
        "spa",
        "web",
    }
)
"""Properties of apps that an action may write."""


def form_of(request: Request) -> Form:
    """The form of a request. Raises `ConfigError` for one that this program does not send."""
    for method, pattern, make in (*_FORMS, *people.FORMS, *tenant_settings.FORMS):
        found = re.fullmatch(pattern, request.path)
        if found and request.method == method and (request.body is None) == _is_bare(request):
            try:
                return make(request, *found.groups())
            except (KeyError, TypeError, AttributeError, ValueError):
                break
    raise ConfigError(f"The request {request.method} {request.path[:120]!r} is none that appgov sends.")


def _is_bare(request: Request) -> bool:
    """Whether a request has no body."""
    return request.method == "DELETE" or request.path.endswith("/revokeSignInSessions")


def differs(expected: Mapping[str, Any] | None, found: State) -> bool:
    """Whether the state found is not the one expected, as far as that says anything."""
    if expected is None or found is None:
        return expected is not found
    return not _holds(expected, found)


def _holds(expected: Any, found: Any) -> bool:
    """Whether a value is as expected: of an object the parts named, of a list of texts in any order."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        return all(_holds(value, found.get(name, _NOTHING)) for name, value in expected.items())
    if isinstance(expected, list | tuple) and isinstance(found, list) and all(isinstance(v, str) for v in expected):
        return sorted(expected) == sorted(map(str, found))
    return bool(expected == found)


def ids_in(value: Any) -> set[str]:
    """Every object id in a path, body or state, lower case."""
    return {found.lower() for found in re.findall(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", str(value))}


_NOTHING = object()


# ---- objects whose properties are written --------------------------------------------------------------------------


def _properties(request: Request, path: str, selects: bool = True) -> Form:
    """PATCH of an object: the properties of the body, nested ones by name."""
    body = dict(request.body or {})
    if selects and not set(body) <= _WRITTEN:
        raise KeyError("a property that no action writes")
    names = ",".join(("id", *body)) if selects else ""

    def undo(raw: Any) -> Request | None:
        """Write what was there."""
        values = {name: _before(body.get(name), raw.get(name)) for name in body}
        if any(not key.get("key") for key in values.get("keyCredentials") or ()):
            return None
        return Request(request.method, path, values)

    def complete(raw: Any, endpoint: str) -> Request:
        """Certificates are written with their public key, which a list of apps does not show."""
        if "keyCredentials" not in body:
            return request
        held = {str(key.get("keyId")).lower(): key for key in raw.get("keyCredentials") or ()}
        stay = [held.get(str(key.get("keyId")).lower(), key) for key in body["keyCredentials"]]
        return Request(request.method, path, {**body, "keyCredentials": stay})

    return Form(
        kind="properties",
        request=request,
        read=f"{path}?$select={names}" if selects else path,
        look=lambda raw: None if raw is None else {name: _shown(name, raw.get(name), body[name]) for name in body},
        after=lambda before: {name: _shown(name, value, value) for name, value in body.items()},
        undo=undo,
        complete=complete,
    )


def _shown(name: str, value: Any, like: Any) -> Any:
    """A property as far as `like` names its parts; certificates by their ids alone."""
    if name == "keyCredentials":
        return sorted(str(key.get("keyId")).lower() for key in value or ())
    if name == "permissionGrantPoliciesAssigned":
        return sorted(value or ())
    if isinstance(like, Mapping) and isinstance(value, Mapping):
        return {part: _shown(part, value.get(part), inner) for part, inner in like.items()}
    return value


def _before(like: Any, value: Any) -> Any:
    """What to write back for a property: of an object only the parts that were written."""
    if isinstance(like, Mapping) and isinstance(value, Mapping):
        return {part: _before(inner, value.get(part)) for part, inner in like.items()}
    return value


def _whole(request: Request, path: str) -> Form:
    """PATCH of an object that is always read whole."""
    return _properties(request, path, selects=False)


# ---- objects that are removed and made ----------------------------------------------------------------------------


_GRANT = Member(
    "grant",
    ("clientId", "consentType", "principalId", "resourceId", "scope"),
    ("clientId", "consentType", "principalId", "resourceId"),
)
_ASSIGNMENT = Member("assignment", ("principalId", "resourceId", "appRoleId"), ("resourceId", "appRoleId"))
_FEDERATED = Member(
    "federated credential",
    ("name", "issuer", "subject", "claimsMatchingExpression", "audiences", "description"),
    ("name", "issuer", "subject", "audiences"),
)
_ROLE_PARTS = ("principalId", "roleDefinitionId", "directoryScopeId")
_ROLE = Member("role assignment", _ROLE_PARTS, _ROLE_PARTS)


def _cut_grant(request: Request, path: str) -> Form:
    """PATCH of a delegated grant's scopes; they are compared as a set, and written back letter by letter."""
    scope = " ".join(sorted(set(str((request.body or {})["scope"]).split())))
    return Form(
        kind="grant",
        request=request,
        read=path,
        look=_GRANT.state,
        after=lambda before: None if before is None else {**before, "scope": scope},
        undo=lambda raw: Request("PATCH", path, {"scope": raw["scope"]}),
    )


def _new_grant(request: Request, path: str) -> Form:
    """POST of a delegated grant."""
    body = request.body or {}
    clauses = f"clientId eq '{guid(body['clientId'])}' and resourceId eq '{guid(body['resourceId'])}'"
    return _GRANT.making(request, path, f"{path}?$filter={quote(clauses)}")


def _new_role(request: Request, path: str) -> Form:
    """POST of a directory role assignment."""
    clause = f"principalId eq '{guid((request.body or {})['principalId'])}'"
    return _ROLE.making(request, path, f"{path}?$filter={quote(clause)}")


# ---- secrets and owners ----------------------------------------------------------------------------------------------


def _secret(request: Request, path: str) -> Form:
    """Removing a secret: nothing brings it back."""
    key = str((request.body or {})["keyId"]).lower()

    def look(raw: Any) -> State:
        """Whether the secret is there, and which others are."""
        if raw is None:
            return None
        found = {str(each.get("keyId")).lower() for each in raw.get("passwordCredentials") or ()}
        return {"keyId": key if key in found else None, "others": sorted(found - {key})}

    return Form(
        kind="secret",
        request=request,
        read=f"{path}?$select=id,passwordCredentials",
        look=look,
        after=lambda before: None if before is None else {**before, "keyId": None},
        undo=lambda _: None,
    )


def _owner(request: Request, path: str, owner: str = "") -> Form:
    """Adding or removing an owner."""
    adds = request.method == "POST"
    owner = guid(unquote(str((request.body or {})["@odata.id"]).rsplit("/", 1)[-1]) if adds else owner).lower()

    def look(raw: Sequence[Mapping[str, Any]]) -> State:
        """Whether the person is an owner, and who else is."""
        found = {str(each.get("id")).lower() for each in raw}
        return {"owner": owner if owner in found else None, "others": sorted(found - {owner})}

    def complete(raw: Any, endpoint: str) -> Request:
        """The reference names the cloud it is for."""
        reference = {"@odata.id": f"{endpoint}/v1.0/directoryObjects/{owner}"}
        return Request(request.method, request.path, reference) if adds else request

    def undo(raw: Any) -> Request | None:
        """The other of the two."""
        if adds:
            return Request("DELETE", f"{path}/{owner}/$ref")
        return Request(
            "POST", f"{path}/$ref", {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{owner}"}
        )

    return Form(
        kind="owner",
        request=request,
        read=f"{path}?$select=id",
        look=look,
        after=lambda before: None if before is None else {**before, "owner": owner if adds else None},
        undo=undo,
        many=True,
        complete=complete,
    )


_FORMS: tuple[tuple[str, str, Callable[..., Form]], ...] = (
    ("PATCH", rf"(/v1\.0/(?:servicePrincipals|applications)/{ID})", lambda r, path, _: _properties(r, path)),
    ("PATCH", r"(/v1\.0/policies/authorizationPolicy)", _whole),
    ("PATCH", rf"(/v1\.0/security/(?:alerts_v2|incidents)/{KEY})", lambda r, path, _: _whole(r, path)),
    ("PATCH", rf"(/v1\.0/oauth2PermissionGrants/{KEY})", lambda r, path, _: _cut_grant(r, path)),
    (
        "DELETE",
        rf"((/v1\.0/oauth2PermissionGrants)/{KEY})",
        lambda r, path, back, _: _GRANT.removal(r, path, back),
    ),
    ("POST", r"(/v1\.0/oauth2PermissionGrants)", _new_grant),
    (
        "DELETE",
        rf"((/v1\.0/servicePrincipals/{ID}/appRoleAssignments)/{KEY})",
        lambda r, path, back, *_: _ASSIGNMENT.removal(r, path, back),
    ),
    (
        "POST",
        rf"(/v1\.0/servicePrincipals/{ID}/appRoleAssignments)",
        lambda r, path, _: _ASSIGNMENT.making(r, path, path),
    ),
    (
        "POST",
        rf"(/v1\.0/(?:servicePrincipals|applications)/{ID})/removePassword",
        lambda r, path, _: _secret(r, path),
    ),
    (
        "DELETE",
        rf"((/v1\.0/applications/{ID}/federatedIdentityCredentials)/{KEY})",
        lambda r, path, back, *_: _FEDERATED.removal(r, path, back),
    ),
    (
        "POST",
        rf"(/v1\.0/applications/{ID}/federatedIdentityCredentials)",
        lambda r, path, _: _FEDERATED.making(r, path, path),
    ),
    ("POST", rf"(/v1\.0/applications/{ID}/owners)/\$ref", lambda r, path, _: _owner(r, path)),
    ("DELETE", rf"(/v1\.0/applications/{ID}/owners)/{ID}/\$ref", lambda r, path, _, owner: _owner(r, path, owner)),
    (
        "DELETE",
        rf"((/v1\.0/roleManagement/directory/roleAssignments)/{KEY})",
        lambda r, path, back, _: _ROLE.removal(r, path, back),
    ),
    ("POST", r"(/v1\.0/roleManagement/directory/roleAssignments)", _new_role),
    *_OF_APPS,
)
