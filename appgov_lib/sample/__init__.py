"""The sample tenant: a made-up Microsoft 365 tenant, served on loopback in the wire format of Microsoft Graph.

Nothing in it is real: names are invented, addresses come from the ranges reserved for documentation. The demo shows it,
and the tests extract from it. Everything follows from a seed, so two runs give the same bytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from appgov_lib.errors import ConfigError
from appgov_lib.sample.calendar import AS_OF, NOW
from appgov_lib.sample.key import answer_key

__all__ = ["AS_OF", "NOW", "SampleTenant", "answer_key", "running"]


@dataclass(frozen=True)
class SampleTenant:
    """A running sample tenant: where it listens, the bearer token it takes, and its clock."""

    endpoint: str
    token: str
    now: datetime = NOW
    as_of: date = AS_OF
    write_token: str = ""
    """The bearer token that may change a writable tenant."""

    def control(self, name: str, body: dict[str, Any] | None = None) -> Any:
        """Ask a control path: `faults` or `change` (with a `body`), `requests` (the log), `token` (the valid one)."""
        data = None if body is None else json.dumps(body).encode()
        # The address is the loopback one that `running` read from its own child process.
        request = urllib.request.Request(f"{self.endpoint}/_control/{name}", data=data)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read())


@contextmanager
def running(
    seed: int = 7,
    service_principals: int = 400,
    faults: str | None = None,
    users: int | None = None,
    activity: float = 1.0,
    writable: bool = False,
) -> Iterator[SampleTenant]:
    """Run the sample tenant in a process of its own for the length of a `with`.

    A `writable` tenant takes requests that change it and forgets the changes at its end.
    `faults` as in `python -m appgov_lib.sample serve --faults`, e.g. "throttle=0.05,error=0.02". The process ends
    with the block, and also when this process dies. Raises ConfigError when it does not start.
    """
    command = [sys.executable, "-m", "appgov_lib.sample", "serve", "--port", "0", "--until-stdin-closes"]
    command += ["--seed", str(seed), "--service-principals", str(service_principals), "--activity", str(activity)]
    command += ["--users", str(users)] if users is not None else []
    command += ["--faults", faults] if faults else []
    command += ["--writable"] if writable else []
    with (
        tempfile.TemporaryFile() as told,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told) as process,  # noqa: S603
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                process.wait(timeout=20)
                told.seek(0)
                lines = told.read().decode(errors="replace").strip().splitlines()
                raise ConfigError(f"The sample tenant did not start: {lines[-1] if lines else 'no message'}")
            ready = json.loads(line)
            yield SampleTenant(ready["url"], ready["token"], write_token=ready.get("write_token", ""))
        finally:
            process.terminate()
            process.wait(timeout=20)
