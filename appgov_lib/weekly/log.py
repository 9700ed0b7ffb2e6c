"""The log of weekly runs: one JSON object a line, in `data/<tenant>/logs/`, rotated, without row data or secrets.

What goes in is chosen by name: events, stages, counts, codes, sentences of our own. Values of variables that hold
secrets are taken out whatever brought them there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from appgov_lib.profiles import secret_names
from appgov_lib.settings import Settings, private_dir

LARGEST = 1_000_000
"""Bytes after which a new file is begun."""
FILES = 5
"""Files that stay, the current one included."""
NAME = "weekly.jsonl"
_SECRET_NAMES = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|WEBHOOK|_URL$|_KEY$", re.IGNORECASE)


class RunLog:
    """Writes the events of one run."""

    def __init__(self, settings: Settings, run_id: str, clock: Callable[[], datetime]) -> None:
        """Nothing is opened before the first event."""
        self._folder = settings.data_dir / "logs"
        self._always = {"tenant": settings.tenant, "run_id": run_id}
        self._clock = clock
        self._secrets = secrets_in(os.environ) | secrets_named(settings)

    def __call__(self, event: str, **facts: Any) -> None:
        """Add one line; a log that cannot be written does not stop the run."""
        entry = {"at": f"{self._clock().isoformat()}Z", **self._always, "event": event, **facts}
        line = hide(json.dumps(entry, default=str), self._secrets) + "\n"
        try:
            path = private_dir(self._folder) / NAME
            rotate(path, len(line))
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as handle:
                handle.write(line)
        except OSError:
            return


def rotate(path: Path, more: int) -> None:
    """Begin a new file when this one would grow beyond `LARGEST`; the oldest goes."""
    if not path.exists() or path.stat().st_size + more <= LARGEST:
        return
    for number in range(FILES - 1, 0, -1):
        older = path.with_name(f"{NAME}.{number - 1}") if number > 1 else path
        if older.exists():
            older.replace(path.with_name(f"{NAME}.{number}"))


def secrets_in(env: Mapping[str, str]) -> set[str]:
    """Values of variables whose names say that they hold secrets."""
    return {value for name, value in env.items() if len(value) >= 6 and _SECRET_NAMES.search(name)}


def secrets_named(settings: Settings) -> set[str]:
    """Values of the variables that the tenant's profile names for secrets, whatever they are called."""
    names = secret_names(settings.profile)
    return {os.environ[name] for name in names if len(os.environ.get(name, "")) >= 6}


def hide(text: str, secrets: set[str]) -> str:
    """`text` without any of the secrets."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(json.dumps(secret)[1:-1], "***")
    return text


def where(error: Exception) -> str:
    """The file and line a defect comes from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
