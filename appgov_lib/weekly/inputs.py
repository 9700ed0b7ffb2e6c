"""What a build and a report are made from, as one hash each: work whose inputs are the same is not done again."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

from appgov_lib import __version__
from appgov_lib.errors import UserError
from appgov_lib.settings import Settings

DAYS = 7


def of_build(settings: Settings, as_of: date) -> tuple[str, str]:
    """The build id that a build for `as_of` would get, and a hash over all that it would read.

    Raises `ConfigError` when a manifest cannot be read.
    """
    from appgov_lib.extract.snapshot import read_snapshots
    from appgov_lib.store.build import make_build_id, own_tables
    from appgov_lib.store.kept import read_ledger

    snapshots = read_snapshots(settings.raw_dir)
    build_id = make_build_id(as_of, DAYS, snapshots, read_ledger(settings), own_tables(settings))
    return build_id, _hash([build_id, of_policies(settings)])


def of_policies(settings: Settings) -> str:
    """A hash over the user's own policies, exceptions, approvals and thresholds."""
    folder, exceptions = settings.policies_dir, settings.exceptions_file
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if exceptions.is_file() and exceptions not in files:
        files.append(exceptions)
    told = [f"{path.name} {_of_file(path)}" for path in files]
    thresholds = {name: dict(values) for name, values in settings.profile.thresholds.items()}
    return _hash([*told, json.dumps(thresholds, sort_keys=True)])


def of_report(settings: Settings) -> str:
    """A hash over the notebooks a report runs, the version that renders them, and how people are shown."""
    from appgov_lib.runner import load_suite

    suite = load_suite(settings.profile.notebooks)
    shown = [f"pseudonymise {settings.profile.pseudonymise}", f"least {settings.profile.min_users_shown}"]
    return _hash([__version__, *shown, *(f"{book.name} {_of_file(book.path)}" for book in suite.notebooks)])


def usable(settings: Settings, build_id: str) -> bool:
    """Whether the current warehouse is that very build and can be read."""
    from appgov_lib.store.warehouse import current_path, open_read_only

    try:
        con = open_read_only(current_path(settings))
    except UserError:
        return False
    try:
        found = con.execute("SELECT value FROM run_info WHERE key = 'build_id'").fetchone()
    except Exception:  # noqa: BLE001 - whatever is wrong with the file, a build makes a new one
        return False
    finally:
        con.close()
    return found is not None and found[0] == build_id


def _of_file(path: Path) -> str:
    """The hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _hash(parts: list[str]) -> str:
    """One hash over several texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
