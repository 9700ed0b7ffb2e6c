"""Which credential speaks for us: one of azure-identity's, or a ready token for a loopback server.

The way is chosen by `--sign-in` or APPGOV_SIGN_IN; `default` leaves it to azure-identity's own chain and variables.
Values of the variables go to azure-identity and nowhere else: no message, log line or repr of ours holds one.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from appgov_lib.errors import ConfigError, SignInError
from appgov_lib.extract.clouds import GLOBAL, authority_for
from appgov_lib.extract.device_code import InThread, show_code
from appgov_lib.extract.sign_in_errors import explain_sign_in as explain_sign_in
from appgov_lib.extract.sign_in_errors import unreachable
from appgov_lib.settings import Settings, is_loopback

NEVER = 2**33
"""Seconds since 1970, in the year 2242."""
_APP = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "secret": (*_APP, "AZURE_CLIENT_SECRET"),
    "certificate": (*_APP, "AZURE_CLIENT_CERTIFICATE_PATH"),
    "managed-identity": (),
    "federation": (*_APP, "AZURE_FEDERATED_TOKEN_FILE"),
    "device-code": _APP,
}
"""Variables each way cannot do without. AZURE_CLIENT_CERTIFICATE_PASSWORD is used when the file is encrypted, and
AZURE_CLIENT_ID chooses a user-assigned managed identity."""


class ReadyToken:
    """A bearer token used as it is, never renewed."""

    way = "ready-token"

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


class SignIn:
    """An azure-identity credential whose failures are sentences of ours; `way` is one of `settings.SIGN_INS`."""

    def __init__(self, way: str, inner: Any, names: Mapping[str, str] | None = None) -> None:
        """`inner` has azure-core's asynchronous `get_token` and `close`.

        `names` says where the values come from that azure-identity reads from its own variables, for messages.
        """
        self.way, self._inner, self._names = way, inner, names or {}

    def __repr__(self) -> str:
        """Say which way without anything it was made from."""
        return f"SignIn({self.way!r})"

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        """A token for `scopes`, renewed when it is near its end; raises `SignInError` when there is none."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            try:
                return await self._inner.get_token(*scopes, **options)
            except ClientAuthenticationError as error:
                if not options.get("claims") or "claims challenge" not in str(error).lower():
                    raise
                # A developer's sign-in (az, azd) takes no claims and caches nothing here: that is all there is.
                return await self._inner.get_token(*scopes, **{**options, "claims": None})
        except ClientAuthenticationError as error:
            raise explain_sign_in(error, self.way, self._names) from None
        except AzureError as error:
            raise unreachable(type(error).__name__) from None
        except (OSError, ValueError, KeyError) as error:  # a token file that went away, an answer without a token
            raise SignInError(f"Sign-in failed: {type(error).__name__} while asking for a token.") from None

    async def close(self) -> None:
        """Close the connections to the sign-in service."""
        await self._inner.close()


def credential_for(settings: Settings, env: Mapping[str, str] | None = None) -> Any:
    """The asynchronous credential for `settings`: its `sign_in` way, in the cloud its endpoint belongs to.

    `APPGOV_ACCESS_TOKEN` is taken only when the endpoint is a loopback address. Raises `ConfigError` for a token
    set for any other endpoint, a variable that the chosen way needs and is not set, a file that cannot be used, or
    an authority of another cloud; `SignInError` when a loopback server's token is missing.
    """
    env = settings.profile.credential.environment(env)
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
    way = settings.sign_in
    if way == "default" and settings.profile.credential.given:
        # azure-identity's chain reads the environment itself, where the ids of another tenant may stand
        way = next((name for name in ("secret", "certificate", "federation") if _complete(env, name)), "")
        if not way:
            raise ConfigError(
                f"{settings.profile.origin}: ids are given and nothing that proves them; name client_secret_env, "
                "certificate_path, federated_token_file or sign_in."
            )
    missing = [name for name in NEEDS[way] if not env.get(name)]
    if missing:
        raise ConfigError(f"Sign-in by {way} needs {missing[0]}, which is not set.")
    tenant = env.get("AZURE_TENANT_ID", "")
    if NEEDS[way] and not re.fullmatch(r"[A-Za-z0-9.-]+", tenant):
        raise ConfigError("AZURE_TENANT_ID is neither a tenant id nor a domain name.")
    authority = authority_for(settings.endpoint, env.get("AZURE_AUTHORITY_HOST", ""))
    for name in ("azure", "msal"):  # else a refusal is also logged to standard error, with the service's whole answer
        if not logging.getLogger(name).handlers:
            logging.getLogger(name).addHandler(logging.NullHandler())
    return SignIn(way, _MAKERS[way](env, authority), settings.profile.credential.names)


def _default(env: Mapping[str, str], authority: str) -> Any:
    """azure-identity's chain: its variables, workload federation, managed identity, developer sign-in."""
    from azure.identity.aio import DefaultAzureCredential

    alone = _complete(env, "federation") and not (_complete(env, "secret") or _complete(env, "certificate"))
    if alone and authority != GLOBAL.authority and not env.get("AZURE_AUTHORITY_HOST"):
        # The chain does not hand its authority on to federation (azure-identity 1.27): it would ask the global cloud.
        return _federation(env, authority)
    return DefaultAzureCredential(authority=authority)


def _complete(env: Mapping[str, str], way: str) -> bool:
    """Whether everything `way` needs is set."""
    return all(env.get(name) for name in NEEDS[way])


def _secret(env: Mapping[str, str], authority: str) -> Any:
    """A service principal with a client secret."""
    from azure.identity.aio import ClientSecretCredential

    return ClientSecretCredential(
        env["AZURE_TENANT_ID"], env["AZURE_CLIENT_ID"], env["AZURE_CLIENT_SECRET"], authority=authority
    )


def _certificate(env: Mapping[str, str], authority: str) -> Any:
    """A service principal with a certificate and its RSA key, PEM or PKCS#12, with or without a password."""
    from azure.identity.aio import CertificateCredential

    path = _readable("AZURE_CLIENT_CERTIFICATE_PATH", env)
    password = env.get("AZURE_CLIENT_CERTIFICATE_PASSWORD") or None
    try:
        return CertificateCredential(
            env["AZURE_TENANT_ID"], env["AZURE_CLIENT_ID"], path, password=password, authority=authority
        )
    except (ValueError, TypeError):  # TypeError: an encrypted key and no password
        raise ConfigError(
            f"The certificate in AZURE_CLIENT_CERTIFICATE_PATH ({path}) cannot be used: it must hold the certificate "
            "and its RSA private key, as PEM or PKCS#12, and AZURE_CLIENT_CERTIFICATE_PASSWORD must open it."
        ) from None


def _managed_identity(env: Mapping[str, str], authority: str) -> Any:
    """The identity of the machine; it lives in one cloud, so `authority` says nothing to it."""
    from azure.identity.aio import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=env.get("AZURE_CLIENT_ID") or None)


def _federation(env: Mapping[str, str], authority: str) -> Any:
    """A service principal that shows a token of another issuer (Kubernetes, a pipeline), read anew at each renewal."""
    from azure.identity.aio import WorkloadIdentityCredential

    return WorkloadIdentityCredential(
        tenant_id=env["AZURE_TENANT_ID"],
        client_id=env["AZURE_CLIENT_ID"],
        token_file_path=_readable("AZURE_FEDERATED_TOKEN_FILE", env),
        authority=authority,
    )


def _device_code(env: Mapping[str, str], authority: str) -> Any:
    """A person who enters a code in a browser elsewhere; the app acts with their rights."""
    from azure.identity import DeviceCodeCredential

    return InThread(
        DeviceCodeCredential(
            env["AZURE_CLIENT_ID"], tenant_id=env["AZURE_TENANT_ID"], authority=authority, prompt_callback=show_code
        )
    )


def _readable(name: str, env: Mapping[str, str]) -> str:
    """The path in the variable `name`, which must be a file this user can read."""
    path = Path(env[name])
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ConfigError(f"{name} is {str(path)!r}, which is not a file that can be read.")
    return str(path)


_MAKERS: Mapping[str, Callable[[Mapping[str, str], str], Any]] = {
    "default": _default,
    "secret": _secret,
    "certificate": _certificate,
    "managed-identity": _managed_identity,
    "federation": _federation,
    "device-code": _device_code,
}
