"""The record of a run that changes a tenant: one JSON object a line, on the disk before the next request leaves.

A line that was not finished when the program died says nothing: its request was never sent. What happened to each
step follows from the lines alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from appgov_lib.actions.form import State
from appgov_lib.actions.requests import Request
from appgov_lib.errors import ConfigError
from appgov_lib.settings import Settings, private_dir

FILE = "journal.jsonl"
Clock = Callable[[], datetime]


@dataclass
class Step:
    """One request of a run, and how far it came."""

    number: int
    action_id: str
    title: str
    request: Request
    """As it was sent."""
    undo: Request | None
    """None: nothing undoes it."""
    before: State
    after: State
    outcome: str = "unknown"
    """unknown (sent, and nobody knows), done, not done, undone, undo unknown."""


@dataclass
class Told:
    """What a journal says."""

    header: dict[str, Any]
    steps: list[Step] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stopped(self) -> str:
        """Why the run stopped last; empty when it came to its end, or was broken off."""
        last = self.events[-1] if self.events else {}
        return str(last.get("reason", "")) if last.get("event") == "stop" else ""

    @property
    def ended(self) -> bool:
        """Whether all of it was carried out."""
        return any(event["event"] == "end" for event in self.events)


class Journal:
    """An open journal. Every line is on the disk when `write` returns."""

    def __init__(self, path: Path, descriptor: int, clock: Clock) -> None:
        """Use `create` or `reopen`."""
        self.path, self._descriptor, self._clock = path, descriptor, clock

    @classmethod
    def create(cls, settings: Settings, run: str, header: dict[str, Any], clock: Clock) -> Journal:
        """Begin the journal of a new run, readable by this user alone; `clock` gives the time of each line."""
        folder = private_dir(runs_dir(settings)) / run
        folder.mkdir(mode=0o700)
        path = folder / FILE
        journal = cls(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), clock)
        journal.write("begin", run=run, **header)
        for place in (folder, folder.parent):
            _sync(place)
        return journal

    @classmethod
    def reopen(cls, settings: Settings, run: str, clock: Clock) -> tuple[Journal, Told]:
        """Go on with the journal of an earlier run; an unfinished last line is cut off."""
        told = read(settings, run)
        path = run_dir(settings, run) / FILE
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        content = path.read_bytes()
        os.ftruncate(descriptor, content.rfind(b"\n") + 1)
        os.fsync(descriptor)
        return cls(path, descriptor, clock), told

    def write(self, event: str, **values: Any) -> None:
        """Add one line and wait for the disk."""
        line = (
            json.dumps(
                {"event": event, "at": f"{self._clock():%Y-%m-%dT%H:%M:%SZ}", **values},
                ensure_ascii=True,
                separators=(",", ":"),
            ).encode()
            + b"\n"
        )
        while line:
            line = line[os.write(self._descriptor, line) :]
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def runs_dir(settings: Settings) -> Path:
    """Where runs are recorded."""
    return settings.data_dir / "actions"


def run_dir(settings: Settings, run: str) -> Path:
    """The folder of one run. Raises `ConfigError` where there is none of this name."""
    names = [path.name for path in runs_dir(settings).iterdir()] if runs_dir(settings).is_dir() else []
    if run not in names or not (runs_dir(settings) / run / FILE).is_file():
        known = ", ".join(sorted(names)[-3:]) or "none yet"
        raise ConfigError(f"There is no run {run!r} for tenant {settings.tenant}; the last ones: {known}.")
    return runs_dir(settings) / run


def all_runs(settings: Settings) -> list[str]:
    """The names of all runs, oldest first."""
    folder = runs_dir(settings)
    return sorted(path.parent.name for path in folder.glob(f"*/{FILE}")) if folder.is_dir() else []


def read(settings: Settings, run: str) -> Told:
    """What the journal of a run says. Raises `ConfigError` for one that is damaged."""
    lines = (run_dir(settings, run) / FILE).read_bytes().split(b"\n")[:-1]
    try:
        events = [json.loads(line) for line in lines]
        told = Told(events[0])
        if told.header["event"] != "begin":
            raise ValueError("it has no beginning")
        for event in events[1:]:
            _take(told, event)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ConfigError(
            f"The journal of run {run} is damaged ({error}); nothing was changed by this command."
        ) from None
    return told


def _take(told: Told, event: dict[str, Any]) -> None:
    """Let one line tell how far its step came."""
    told.events.append(event)
    name = event["event"]
    if name == "send":
        undo = event["undo"]
        told.steps = [step for step in told.steps if step.number != event["step"]]
        told.steps.append(
            Step(
                event["step"],
                event["action_id"],
                event["title"],
                Request(**event["request"]),
                Request(**undo) if undo else None,
                event["before"],
                event["after"],
            )
        )
        return
    outcome = _OUTCOMES.get(name)
    for step in told.steps:
        if outcome and step.number == event.get("step"):
            step.outcome = outcome
            if name == "undo_send" and step.undo is None:
                step.undo = Request(**event["request"])


_OUTCOMES = {
    "verified": "done",
    "not_done": "not done",
    "refused": "not done",
    "undo_send": "undo unknown",
    "undo_verified": "undone",
    "undo_not_done": "done",
    "undo_refused": "done",
}


def as_record(request: Request | None) -> dict[str, Any] | None:
    """A request as it stands in the journal."""
    if request is None:
        return None
    return {"method": request.method, "path": request.path, "body": request.body}


def _sync(folder: Path) -> None:
    """Make a new name in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
