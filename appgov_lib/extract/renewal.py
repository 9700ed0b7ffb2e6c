"""A token that the service refused is not shown again: the credential is asked past its cache, once for all waiting.

azure-identity renews a token that comes near its end by itself. It cannot know of one that ended early (revoked, a
clock that is wrong, a secret changed), and would hand the refused one out from its cache until that end.
"""

from __future__ import annotations

import asyncio
from typing import Any

PAST_THE_CACHE = '{"access_token":{"xms_cc":{"values":["CP1"]}}}'
"""Claims that ask for what every request of ours asks for anyway: azure-identity takes no token from its cache when
there are claims, and holds on to the one it then gets."""


class Renewing:
    """A credential that is told which token was refused."""

    def __init__(self, inner: Any) -> None:
        """`inner` has azure-core's asynchronous `get_token`."""
        self._inner = inner
        self._turn = asyncio.Lock()
        self._last = self._refused = ""

    def __repr__(self) -> str:
        """Say what this is without any token."""
        return f"Renewing({self._inner!r})"

    def refused(self, authorization: str | None = None) -> None:
        """Remember the token in a refused request's header, or the last one that was handed out."""
        self._refused = self._last if authorization is None else authorization.removeprefix("Bearer ")

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        """The credential's token; where that is the refused one, a new one. Raises `SignInError` without any."""
        async with self._turn:  # one asks, the others find the answer in its cache
            token = await self._inner.get_token(*scopes, **options)
            if token.token == self._refused and not options.get("claims"):
                token = await self._inner.get_token(*scopes, **{**options, "claims": PAST_THE_CACHE})
            self._last = token.token
        return token

    async def close(self) -> None:
        """Close the credential, where it can be."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            await close()
