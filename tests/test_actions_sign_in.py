"""The sign-in that makes changes: its own variables, never the reader's, and what it says when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from appgov_lib.actions.write_profile import write_credential
from appgov_lib.errors import ConfigError
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
