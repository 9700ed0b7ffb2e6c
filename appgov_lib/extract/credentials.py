"""Which credential speaks for us: azure-identity's own chain, or a ready token for a loopback server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from appgov_lib.errors import ConfigError, SignInError
from appgov_lib.settings import Settings, is_loopback

NEVER = 2**33
"""Seconds since 1970, in the year 2242."""


class ReadyToken:
    """A bearer token used as it is, never renewed."""

    def __init__(self, token: str) -> None:
        """Keep `token` in memory; it is never written or shown."""
        self._token = token

    def __repr__(self) -> str:
        """Say what this is without the token."""
        return "ReadyToken(...)"

    async def get_token(self, *scopes: str, **_: Any) -> Any:
        """Return the token in azure-core's form, with an expiry far enough away that nobody asks again."""
        from azure.core.credentials import AccessToken

        return AccessToken(self._token, NEVER)

    async def close(self) -> None:
        """Nothing is held open."""

    async def __aenter__(self) -> ReadyToken:
        """Return itself."""
        return self

    async def __aexit__(self, *_: Any) -> None:
        """Nothing to end."""


def credential_for(settings: Settings, env: Mapping[str, str] | None = None) -> Any:
    """The asynchronous credential for `settings`.

    `APPGOV_ACCESS_TOKEN` is taken only when the endpoint is a loopback address (`ConfigError` otherwise); in every
    other case azure-identity's DefaultAzureCredential reads its own variables (service principal with secret or
    certificate, workload federation, managed identity, developer sign-in).
    """
    env = os.environ if env is None else env
    token = env.get("APPGOV_ACCESS_TOKEN", "")
    if token and not is_loopback(settings.endpoint):
        raise ConfigError(
            "APPGOV_ACCESS_TOKEN is set but the Graph endpoint is not a loopback address; unset it and sign in "
            "through azure-identity (AZURE_TENANT_ID, AZURE_CLIENT_ID, ...)."
        )
    if token:
        return ReadyToken(token)
    if is_loopback(settings.endpoint):
        raise SignInError(
            f"No token for the loopback server {settings.endpoint}: set APPGOV_ACCESS_TOKEN to the one it printed."
        )
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential(exclude_interactive_browser_credential=True)


def explain_sign_in(error: Exception) -> SignInError:
    """Turn azure-identity's many-line failure into one sentence that says what to do."""
    text = str(error)
    if "AADSTS90002" in text or "AADSTS900023" in text:
        what = "the tenant in AZURE_TENANT_ID does not exist; check the id or domain"
    elif "AADSTS700016" in text:
        what = "the app in AZURE_CLIENT_ID is not known in that tenant; check both ids"
    elif "AADSTS7000222" in text:
        what = "the client secret has expired; create a new one and update AZURE_CLIENT_SECRET"
    elif "AADSTS7000215" in text:
        what = "the client secret is wrong; AZURE_CLIENT_SECRET takes the secret's value, not its id"
    elif "AADSTS" in text:
        code = text[text.index("AADSTS") :].split(":", 1)[0][:16]
        what = f"Entra ID refused with {code}; look the code up at https://login.microsoftonline.com/error"
    else:
        what = (
            "no credential was found; set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET "
            "(or a certificate path), or sign in with `az login`"
        )
    return SignInError(f"Sign-in failed: {what}.")
