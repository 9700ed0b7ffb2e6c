"""What was deleted within the last thirty days and can be restored: registrations and service principals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import NOW, days_before_now
from appgov_lib.sample.changes import APPS, REGISTRATIONS, Changes
from appgov_lib.sample.directory import Directory, compact
from appgov_lib.sample.world import DOMAIN, ORGANIZATION, World

_decode, _encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
_GONE = (
    ("Newsletter Sender", 3.2, True),
    ("Old Badge Reader", 12.7, True),
    ("Proof of Concept 7", 28.4, True),
    ("Gamified Quiz", 8.9, False),
)
"""(name, deleted so many days before NOW, registered here); the last one belonged to somebody else."""


def listed(kind: str, directory: Directory, changes: Changes, purged: set[str]) -> list[bytes]:
    """Deleted objects of a kind, those that changes removed last, without what was deleted for good."""
    of_apps = kind == "servicePrincipal"
    rows = service_principals(directory.world) if of_apps else applications(directory.world)
    path, row = (APPS, directory.service_principal) if of_apps else (REGISTRATIONS, directory.application)
    for number in changes.removed(path, "changed"):
        record = _decode(changes.current(path, number, row))
        rows.append(_encode({**record, "deletedDateTime": NOW.strftime("%Y-%m-%dT%H:%M:%SZ")}))
    return [row for row in rows if _decode(row)["id"] not in purged] if purged else rows


def one(key: str, of_kind: Callable[[str], list[bytes]]) -> bytes | None:
    """The deleted object of this id, with its kind; `of_kind` gives those of a kind."""
    for kind in ("application", "servicePrincipal"):
        for row in of_kind(kind):
            record = _decode(row)
            if record["id"] == key:
                return _encode({"@odata.type": f"#microsoft.graph.{kind}", **record})
    return None


def applications(world: World) -> list[bytes]:
    """Deleted registrations."""
    return [
        compact(
            _common(world, number, name, age)
            | {
                "id": ids.guid(world.seed, "deleted application", number),
                "signInAudience": "AzureADMyOrg",
                "publisherDomain": DOMAIN,
                "identifierUris": [],
                "requiredResourceAccess": [],
                "web": {"redirectUris": [f"https://gone{number}.{DOMAIN}/signin-oidc"]},
            }
        ).encode()
        for number, (name, age, here) in enumerate(_GONE)
        if here
    ]


def service_principals(world: World) -> list[bytes]:
    """Deleted service principals: those of the registrations, and one of an external app."""
    return [
        compact(
            _common(world, number, name, age)
            | {
                "id": ids.guid(world.seed, "deleted service principal", number),
                "accountEnabled": True,
                "appDisplayName": name,
                "appOwnerOrganizationId": world.tenant_id if here else ids.guid(world.seed, "deleted owner", number),
                "publisherName": ORGANIZATION if here else "Quizmakers",
                "servicePrincipalType": "Application",
                "signInAudience": "AzureADMyOrg" if here else "AzureADMultipleOrgs",
                "replyUrls": [],
                "servicePrincipalNames": [],
                "appRoles": [],
                "oauth2PermissionScopes": [],
            }
        ).encode()
        for number, (name, age, here) in enumerate(_GONE)
    ]


def _common(world: World, number: int, name: str, age: float) -> dict[str, Any]:
    """What a deleted app's two objects share."""
    return {
        "deletedDateTime": days_before_now(age),
        "appId": ids.guid(world.seed, "deleted appId", number),
        "createdDateTime": days_before_now(300 + 100 * number),
        "displayName": name,
        "keyCredentials": [],
        "passwordCredentials": [],
        "tags": [],
    }
