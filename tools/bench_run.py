"""One extraction as a process of its own, for `bench_proof.py` to time, to watch and to kill.

    python tools/bench_run.py ENDPOINT HOME [SINCE [SOURCE...]]

Logs are read from SINCE (a date) on; without sources, the default ones are read.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

NOW = datetime(2026, 11, 16)
LIFE = 3600
EARLY = 300
"""Seconds before its end at which a token is renewed, as azure-identity does."""


class RenewedToken:
    """A credential like azure-identity's: a cached token until it is near its end, or until it is asked with claims."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is a sample tenant, which tells the token it takes."""
        self._address = f"{endpoint}/_control/token"
        self._token, self._until = "", 0.0

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        """The token in azure-core's form."""
        from azure.core.credentials import AccessToken

        if options.get("claims") or time.time() > self._until - EARLY:
            self._token, self._until = await asyncio.to_thread(self._ask), time.time() + LIFE
        return AccessToken(self._token, int(self._until))

    def _ask(self) -> str:
        """The token that is valid now."""
        # The address is a loopback one that the benchmark started itself.
        with urllib.request.urlopen(self._address, timeout=60) as answer:  # noqa: S310
            return str(json.loads(answer.read())["token"])


def main(endpoint: str, home: str, since: str = "2026-11-09", *names: str) -> None:
    """Extract, or go on with what was interrupted."""
    from appgov_lib.extract.run import extract
    from appgov_lib.settings import Settings

    extract(
        Settings(home=Path(home), endpoint=endpoint),
        now=NOW,
        since=datetime.fromisoformat(since),
        names=names,
        credential=RenewedToken(endpoint),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
