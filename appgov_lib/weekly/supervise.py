"""Watching a stage: its process, its time, and what can be said when it ends badly."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from appgov_lib.errors import ExitCode
from appgov_lib.settings import Settings

GRACE = 30.0
"""Seconds a stage gets to end by itself once its time is over, and again once it was asked to."""
EARLIER = "the earlier warehouse and report stay, and the next run begins the stage anew"


@dataclass(frozen=True)
class StageEnd:
    """How a stage ended."""

    name: str
    seconds: float
    value: Mapping[str, Any] = field(default_factory=dict)
    """What it brought; empty when it failed."""
    error: str = ""
    """One sentence; empty when it ended well."""
    code: int = 0
    kind: str = ""
    """Kind of the error: the name of its class, `TimedOut` or `Died`."""
    where: tuple[str, ...] = ()
    """For a defect: files and lines, for the log."""

    @property
    def status(self) -> str:
        """`done`, `timed out`, `died` or `failed`."""
        return {"": "done", "TimedOut": "timed out", "Died": "died"}.get(self.kind, "failed")


def run_stage(
    settings: Settings,
    name: str,
    now: datetime,
    spec: Mapping[str, Any],
    *,
    seconds: float,
    started: Callable[[int], None] = lambda _: None,
) -> StageEnd:
    """Run one stage for at most so many seconds; `started` is told the id of its process."""
    began = time.monotonic()
    order = {
        **spec,
        "stage": name,
        "tenant": settings.tenant,
        "home": str(settings.home),
        "endpoint": settings.endpoint,
        "sign_in": settings.sign_in,
        "now": now.isoformat(),
        "seconds": seconds,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "appgov_lib.weekly.stage"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # kernels end with it, and Ctrl-C reaches the run first
    )
    said = bytearray()
    try:
        started(process.pid)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        listener = threading.Thread(target=_listen, args=(process, said), daemon=True)
        listener.start()
        # reading ends by itself when its time is over, with what it has
        in_time = _wait(process, seconds + (GRACE if name == "extract" else 0))
    finally:
        _end(process)
    listener.join(timeout=GRACE)
    assert process.stdout is not None
    process.stdout.close()
    took = round(time.monotonic() - began, 1)
    if not in_time:
        limit = f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"
        return StageEnd(
            name,
            took,
            error=f"The stage {name} took longer than {limit} (budget_minutes.{name}) and was ended; {EARLIER}.",
            code=ExitCode.INTERNAL,
            kind="TimedOut",
        )
    with contextlib.suppress(ValueError):
        answer = json.loads(said)
        told = {key: answer[key] for key in ("value", "error", "code", "kind") if key in answer}
        return StageEnd(name, took, where=tuple(answer.get("where", ())), **told)
    how = f"by signal {-process.returncode}" if process.returncode < 0 else f"with code {process.returncode}"
    why = ", perhaps for want of memory" if process.returncode == -9 else ""
    return StageEnd(
        name,
        took,
        error=f"The process of the stage {name} was ended {how}{why}; {EARLIER}.",
        code=ExitCode.INTERNAL,
        kind="Died",
    )


def _listen(process: subprocess.Popen[bytes], said: bytearray) -> None:
    """Take in what the stage says, to its end."""
    assert process.stdout is not None
    while block := process.stdout.read(65_536):
        said += block


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the process ended within so many seconds."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that the process, and what it started, is gone."""
    if process.poll() is None:
        process.terminate()
        if not _wait(process, GRACE / 3):
            process.kill()
            process.wait()
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
