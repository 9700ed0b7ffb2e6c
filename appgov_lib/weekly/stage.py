"""One stage in a process of its own: `python -m appgov_lib.weekly.stage`, started by `weekly.supervise`.

A stage that runs out of memory or hangs ends alone, and the run that watches it can say so. Standard input brings one
line that says what to do and then stays open: when it ends, the run is gone, and so is this process, at once. A lock of
its own makes sure that a stage of a run that was killed has ended before the next run begins one.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from appgov_lib.errors import DiskFull, ExitCode, UserError, is_disk_full
from appgov_lib.lock import hold
from appgov_lib.settings import Settings

LOCK = ".stage.lock"
PATIENCE = 60.0
"""Seconds to wait for a stage of an earlier run to notice that it is alone."""


def extract(settings: Settings, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Graph to a snapshot; what each source ended as."""
    from appgov_lib.extract.run import extract as run_extract
    from appgov_lib.progress import Bars

    since = spec.get("since")
    with Bars(spec["quiet"]) as bars:
        snapshot = run_extract(
            settings,
            now=datetime.fromisoformat(spec["now"]),
            names=tuple(spec.get("names", ())),
            since=datetime.fromisoformat(since).replace(tzinfo=None) if since else None,
            progress=bars.rows,
            seconds=spec["seconds"],
        )
    states = snapshot.sources.items()
    return {
        "snapshot": snapshot.snapshot_id,
        "started_at": snapshot.started_at,
        "sources": {name: {"status": s.status, "reason": s.reason, "rows": s.rows} for name, s in states},
    }


def build(settings: Settings, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Snapshots to the warehouse."""
    from appgov_lib.progress import Bars
    from appgov_lib.store.build import build as run_build

    with Bars(spec["quiet"]) as bars:
        made = run_build(settings, date.fromisoformat(spec["as_of"]), progress=bars.step)
    return {"file": made.path.name, "build_id": made.build_id, "warnings": len(made.warnings)}


def act(settings: Settings, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a tenant lets the weekly run change by itself; whether all of it went well."""
    from appgov_lib.actions.automatic import automatic
    from appgov_lib.progress import Bars

    now = datetime.fromisoformat(spec["now"])
    with Bars(spec["quiet"]) as bars:
        done = automatic(settings, clock=lambda: now, tell=bars.step)
    return {"run": done.run, "whole": done.whole}


def report(settings: Settings, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Warehouse to report."""
    from appgov_lib.progress import Bars
    from appgov_lib.report import build_report

    with Bars(spec["quiet"]) as bars:
        made = build_report(
            settings,
            date.fromisoformat(spec["as_of"]),
            now=datetime.fromisoformat(spec["now"]),
            progress=bars.step,
            run=spec["run"],
            single_file=spec["single"],
        )
    return {"path": str(made.path), "pages": len(made.pages), "failed": list(made.failed)}


def prune(settings: Settings, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Drop raw rows older than the retention."""
    from appgov_lib.store.retention import prune_as_set

    done = prune_as_set(settings, datetime.fromisoformat(spec["now"]))
    return {"files": done.files, "bytes": done.bytes} if done else {}


def verify(settings: Settings, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Read every raw file against its hash and set aside what is damaged."""
    from appgov_lib.extract.repair import repair
    from appgov_lib.store.kept import read_ledger

    done = repair(settings.raw_dir, datetime.fromisoformat(spec["now"]), read_ledger(settings).dropped)
    return {"repaired": [{**asdict(item), "sentence": item.sentence} for item in done]}


STAGES: Mapping[str, Callable[[Settings, Mapping[str, Any]], dict[str, Any]]] = {
    "extract": extract,
    "build": build,
    "act": act,
    "report": report,
    "prune": prune,
    "verify": verify,
}


def main() -> None:
    """Do the stage that standard input names; one JSON object on standard output says how it ended."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is progress, not the answer
    spec = json.loads(_first_line())
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    try:
        settings = Settings.load(
            spec["tenant"], spec["home"], endpoint=spec["endpoint"] or None, sign_in=spec["sign_in"]
        )
        if spec.get("pseudonymise"):
            settings = settings.showing_tokens()
        with hold(settings, LOCK, PATIENCE):
            value: dict[str, Any] = {"value": STAGES[spec["stage"]](settings, spec)}
    except UserError as error:
        value = {"error": str(error), "code": int(error.exit_code), "kind": type(error).__name__}
    except Exception as error:  # noqa: BLE001 - the edge of the process: told to the run, which tells the user
        value = _defect(error)
    answer.write(json.dumps(value))
    answer.close()
    sys.stdout.flush()
    os._exit(0)  # threads of libraries have nothing left to say


def _defect(error: Exception) -> dict[str, Any]:
    """A defect as an answer: its kind and where, for the log; its words may hold data and go to the terminal alone."""
    if is_disk_full(error):
        return {"error": str(DiskFull()), "code": int(DiskFull.exit_code), "kind": "DiskFull"}
    if os.environ.get("APPGOV_DEBUG"):
        traceback.print_exc()
    where = [f"{frame.filename.rsplit('appgov_lib', 1)[-1]}:{frame.lineno}" for frame in
             traceback.extract_tb(error.__traceback__) if "appgov_lib" in frame.filename]  # fmt: skip
    return {
        "error": f"Internal error ({type(error).__name__}). Set APPGOV_DEBUG=1 and run again to see where.",
        "code": int(ExitCode.INTERNAL),
        "kind": type(error).__name__,
        "where": where[-4:],
    }


def _first_line() -> bytes:
    """The line that says what to do, read byte by byte: the rest of the stream is for `_end_with_the_run`."""
    line = bytearray()
    while (char := os.read(0, 1)) not in (b"", b"\n"):
        line += char
    return bytes(line)


def _end_with_the_run() -> None:
    """End at once when standard input does: the run that started this stage is gone."""
    while os.read(0, 4_096):
        pass
    os._exit(ExitCode.INTERNAL)


if __name__ == "__main__":
    main()
