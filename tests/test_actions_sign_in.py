"""The sign-in that makes changes: its own variables, never the reader's, and what it says when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from appgov_lib.actions.write_profile import write_credential
from appgov_lib.errors import ConfigError
from appgov_lib.profiles import Credential, Profile
from appgov_lib.settings import Settings


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "APPGOV_WRITE_SIGN_IN"),
        ({"APPGOV_WRITE_SIGN_IN": "default"}, "one of secret"),
        ({"APPGOV_WRITE_SIGN_IN": "secret", "APPGOV_WRITE_TENANT_ID": "t"}, "APPGOV_WRITE_CLIENT_ID"),
        ({"APPGOV_WRITE_SIGN_IN": "managed-identity"}, "APPGOV_WRITE_CLIENT_ID"),
        ({"APPGOV_WRITE_ACCESS_TOKEN": "x"}, "loopback"),
        (
            {
                "APPGOV_WRITE_SIGN_IN": "secret",
                "APPGOV_WRITE_TENANT_ID": "t",
                "APPGOV_WRITE_CLIENT_ID": "Same",
                "APPGOV_WRITE_CLIENT_SECRET": "s",
                "AZURE_CLIENT_ID": "same",
            },
            "is the app that reads",
        ),
        (
            {
                "APPGOV_WRITE_SIGN_IN": "certificate",
                "APPGOV_WRITE_TENANT_ID": "t",
                "APPGOV_WRITE_CLIENT_ID": "c",
                "APPGOV_WRITE_CLIENT_CERTIFICATE_PATH": "/nowhere",
            },
            "APPGOV_WRITE_CLIENT_CERTIFICATE_PATH is '/nowhere'",
        ),
    ],
)
def test_the_write_profile_says_what_is_missing(env: dict[str, str], words: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=words):
        write_credential(Settings(home=tmp_path), env)


READER = Profile(credential=Credential(tenant_id="t", client_id="Reader", client_secret_env="READER_SECRET"))
OWN = {"APPGOV_WRITE_SIGN_IN": "secret", "APPGOV_WRITE_TENANT_ID": "t", "APPGOV_WRITE_CLIENT_SECRET": "s"}


def test_the_readers_profile_does_not_sign_the_writer_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[Settings, dict[str, str]]] = []
    monkeypatch.setattr(
        "appgov_lib.actions.write_profile.credential_for", lambda settings, env: seen.append((settings, dict(env)))
    )
    here = Settings(home=tmp_path, profile=READER)
    env = {**OWN, "APPGOV_WRITE_CLIENT_ID": "writer", "READER_SECRET": "r"}
    assert write_credential(here, env) == (None, "writer")
    ((used, told),) = seen
    assert not used.profile.credential.given
    assert used.profile.credential.environment(told)["AZURE_CLIENT_ID"] == "writer"
    with pytest.raises(ConfigError, match="is the app that reads"):
        write_credential(here, {**env, "APPGOV_WRITE_CLIENT_ID": "reader"})


def test_on_loopback_the_profiles_token_is_the_readers(tmp_path: Path):
    profile = Profile(credential=Credential(access_token_env="LOOPBACK"))
    here = Settings(home=tmp_path, endpoint="http://127.0.0.1:1", profile=profile)
    assert write_credential(here, {"LOOPBACK": "r", "APPGOV_WRITE_ACCESS_TOKEN": "w"})[1] == ""
    with pytest.raises(ConfigError, match="is the token that reads"):
        write_credential(here, {"LOOPBACK": "r", "APPGOV_WRITE_ACCESS_TOKEN": "r"})
