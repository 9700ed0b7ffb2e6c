"""Tokens in place of people: keyed, so that nobody without the key can make or try them, and always the same."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from appgov_lib.errors import ConfigError
from appgov_lib.settings import Settings, private_write

KEY_FILE = "pseudonyms.key"
_BYTES = 32
_DIGITS = 12
"""Of a token, after its kind: two among a hundred thousand people are the same once in fifty thousand tenants."""
KINDS = ("user", "name", "address", "grant")


class Tokens:
    """Makes tokens with one key."""

    def __init__(self, key: bytes, tenant: str) -> None:
        """Remember the key; another tenant gets other tokens for the same person."""
        self.made: dict[str, str] = {}
        """What each token stands for."""
        self._key = hmac.digest(key, tenant.encode(), hashlib.sha256)

    def of(self, kind: str, value: str) -> str:
        """The token of a value: its kind and twelve hex digits."""
        token = f"{kind}-{self.digits(f'{kind}|{value}')[:_DIGITS]}"
        self.made[token] = value
        return token

    def digits(self, text: str) -> str:
        """Hex digits that stand for a text."""
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Tells two keys apart and gives none of them away."""
        return self.digits("fingerprint")[:8]


def tokens_of(settings: Settings, *, make: bool = True) -> Tokens:
    """The tokens of a tenant; its key is made at first use, where only this user reads it.

    Raises `ConfigError` for a key that is damaged, and for one that is not there unless it may be made.
    """
    path = settings.data_dir / KEY_FILE
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        if not make:
            raise ConfigError(
                f"There is no key {path}: no report of the tenant {settings.tenant!r} was pseudonymised here."
            ) from None
        key = secrets.token_bytes(_BYTES)
        private_write(path, key.hex().encode() + b"\n")
    except (OSError, ValueError):
        key = b""
    if len(key) != _BYTES:
        raise ConfigError(
            f"The key {path} cannot be used; put it back from a backup, or move it away for tokens that are all new."
        )
    return Tokens(key, settings.tenant)
