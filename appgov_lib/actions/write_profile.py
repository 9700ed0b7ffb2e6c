"""As whom changes are made: a sign-in of its own, under variables of its own, never the reader's.

The variables are those of azure-identity with `APPGOV_WRITE_` in place of `AZURE_`; `APPGOV_WRITE_SIGN_IN` names the
way. azure-identity's default chain is not offered: it would take the reader's variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from appgov_lib.errors import ConfigError, SignInError
from appgov_lib.extract.credentials import NEEDS, credential_for
from appgov_lib.profiles import Profile
from appgov_lib.settings import SIGN_INS, Settings, is_loopback

PREFIX = "APPGOV_WRITE_"
WAYS = tuple(way for way in SIGN_INS if way != "default")


def write_credential(settings: Settings, env: Mapping[str, str] | None = None) -> tuple[Any, str]:
    """The credential that makes changes, and the app id it belongs to (empty for a ready token).

    Raises `ConfigError` when it is not set up, or is the one that reads.
    """
    env = os.environ if env is None else env
    reader = settings.profile.credential.environment(env)
    # what the tenant's profile says of signing in is the reader's, and would take the place of ours
    settings = replace(settings, profile=Profile())
    own = {name.removeprefix(PREFIX): value for name, value in env.items() if name.startswith(PREFIX)}
    if is_loopback(settings.endpoint):
        token = own.get("ACCESS_TOKEN", "")
        if not token:
            raise SignInError(f"No token to change {settings.endpoint} with: set {PREFIX}ACCESS_TOKEN.")
        if token == reader.get("APPGOV_ACCESS_TOKEN"):
            raise ConfigError(f"{PREFIX}ACCESS_TOKEN is the token that reads; changes need one of their own.")
        return credential_for(settings, {"APPGOV_ACCESS_TOKEN": token}), ""
    if own.get("ACCESS_TOKEN"):
        raise ConfigError(f"{PREFIX}ACCESS_TOKEN is for a loopback server; unset it and set {PREFIX}SIGN_IN.")
    way = own.get("SIGN_IN", "")
    if way not in WAYS:
        raise ConfigError(f"To make changes set {PREFIX}SIGN_IN to one of {', '.join(WAYS)}, and its variables.")
    app_id = own.get("CLIENT_ID", "")
    needed = [name.replace("AZURE_", PREFIX) for name in NEEDS[way]] or [f"{PREFIX}CLIENT_ID"]
    missing = [name for name in needed if not env.get(name)]
    if missing:
        raise ConfigError(f"Changes by {way} need {missing[0]}, which is not set.")
    if app_id.lower() == reader.get("AZURE_CLIENT_ID", "").lower():
        raise ConfigError(f"{PREFIX}CLIENT_ID is the app that reads; changes need an app of their own.")
    azure = {f"AZURE_{name}": value for name, value in own.items()}
    try:
        return credential_for(replace(settings, sign_in=way), azure), app_id
    except ConfigError as error:
        raise ConfigError(str(error).replace("AZURE_", PREFIX)) from None
