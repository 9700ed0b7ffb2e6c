"""azure-identity's many-line failures as one sentence that says what to do, with nothing of the request in it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from appgov_lib.errors import SignInError

_TENANT = "the tenant in AZURE_TENANT_ID does not exist in this cloud; check the id or domain, and --cloud"
_FEDERATED = (
    "no federated credential of the app fits the token in AZURE_FEDERATED_TOKEN_FILE; compare its issuer, subject and "
    "audience with the app's *Certificates & secrets*"
)
_CERTIFICATE_ENDED = (
    "the certificate has expired; make a new one, upload it to the app and put it into AZURE_CLIENT_CERTIFICATE_PATH"
)
CODES: Mapping[str, str] = {
    "90002": _TENANT,
    "900023": _TENANT,
    "700016": "the app in AZURE_CLIENT_ID is not known in that tenant; check both ids",
    "7000112": "the app in AZURE_CLIENT_ID is disabled; enable it, or use another",
    "7000215": "the client secret is wrong; AZURE_CLIENT_SECRET takes the secret's value, not its id",
    "7000222": "the client secret has expired; create a new one and update AZURE_CLIENT_SECRET",
    "700027": "the app does not know the certificate, or it has expired; upload the one in "
    "AZURE_CLIENT_CERTIFICATE_PATH to the app",
    "70021": _FEDERATED,
    "700211": _FEDERATED,
    "700212": _FEDERATED,
    "700213": _FEDERATED,
    "7000218": "the app does not allow public client flows, which sign-in by device code needs; allow them on the "
    "app's *Authentication* page, or use another --sign-in",
    "500011": "this tenant does not know Microsoft Graph at that address; check --cloud",
    "65001": "nobody has consented to the app's permissions; ask an administrator to grant them",
    "53003": "Conditional Access refused; sign in from where its policies allow, or use another --sign-in",
}
"""By the digits of AADSTS...: Microsoft Entra authentication error codes, Microsoft Learn (2026)."""
_NOTHING: Mapping[str, str] = {
    "default": "no credential was found; set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET "
    "(or a certificate path), or sign in with `az login`",
    "secret": "Entra ID gave no token for the app and its secret",
    "certificate": "Entra ID gave no token for the app and its certificate",
    "managed-identity": "no managed identity answered here; run on Azure with one assigned, and set AZURE_CLIENT_ID "
    "for a user-assigned one alone",
    "federation": "Entra ID gave no token for the one in AZURE_FEDERATED_TOKEN_FILE",
    "device-code": "the code was not entered in time, or the sign-in was declined; run the command again",
}
_LOGIN_HOST = re.compile(r"(?:connect to host |host=')(login\.[a-z.]+)")


def explain_sign_in(error: Exception, way: str = "default", names: Mapping[str, str] | None = None) -> SignInError:
    """The sentence for a refusal; `way` is the sign-in that was tried.

    `names` says what stands in the place of azure-identity's variables, where a profile names another.
    """
    text = str(error)
    code = re.search(r"AADSTS(\d{2,9})", text)
    host = _LOGIN_HOST.search(text)
    if code and code[1] == "700027" and "key used is expired" in text:
        what = _CERTIFICATE_ENDED
    elif code and code[1] in CODES:
        what = CODES[code[1]]
    elif code:
        what = f"Entra ID refused with {code[0]}; look the code up at https://login.microsoftonline.com/error"
    elif host:
        return unreachable(host[1])
    else:
        what = _NOTHING.get(way, _NOTHING["default"])
    for variable, place in (names or {}).items():
        what = what.replace(variable, place)
    return SignInError(f"Sign-in failed: {what}.")


def unreachable(what: str) -> SignInError:
    """The sentence for a sign-in service that did not answer; `what` is its host or the kind of failure."""
    return SignInError(
        f"Sign-in failed: the sign-in service did not answer ({what}); check network, proxy and --cloud."
    )
