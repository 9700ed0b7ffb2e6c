"""What an access token says about its holder, read without checking its signature and never shown whole.

Graph decides what the token may do; this is only to tell, before anything is read, what was granted.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec


class _Payload(msgspec.Struct):
    """Claims of an Entra ID access token (Microsoft Learn: access token claims reference)."""

    tid: str = ""
    appid: str = ""
    azp: str = ""
    app_displayname: str = ""
    idtyp: str = ""
    appidacr: str = ""
    azpacr: str = ""
    roles: list[str] = []
    scp: str = ""
    exp: float = 0


_METHODS = {"0": "public client", "1": "secret", "2": "certificate or federation"}
"""Claim appidacr / azpacr: how the client proved who it is."""


@dataclass(frozen=True)
class Claims:
    """The readable part of a token."""

    tenant_id: str
    app_id: str
    app_name: str
    kind: str
    """`application` (permissions in `roles`) or `delegated` (in `scp`, and no more than the person may do)."""
    client_proof: str
    """How the app proved who it is; empty when the token does not say."""
    permissions: frozenset[str]
    expires_at: datetime | None
    """Naive UTC."""


def read_claims(token: str) -> Claims | None:
    """The claims of `token`; None when it is not a JSON web token: by contract Graph's tokens are opaque to clients."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        body = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        found = msgspec.json.decode(body, type=_Payload)
    except (binascii.Error, ValueError):  # msgspec's errors are ValueErrors
        return None
    delegated = bool(found.scp) or found.idtyp == "user"
    return Claims(
        tenant_id=found.tid,
        app_id=found.appid or found.azp,
        app_name=found.app_displayname,
        kind="delegated" if delegated else "application",
        client_proof=_METHODS.get(found.appidacr or found.azpacr, ""),
        permissions=frozenset(found.scp.split() if delegated else found.roles),
        expires_at=_moment(found.exp),
    )


def _moment(seconds: float) -> datetime | None:
    """Seconds since 1970 as a naive UTC time; None for what is not a time of this era."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None) if 0 < seconds < 2**33 else None
