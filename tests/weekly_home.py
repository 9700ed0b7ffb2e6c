"""Homes for tests of the weekly run: real processes, a sample tenant on loopback, one small notebook."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from appgov_lib.sample import SampleTenant

CLOCKED = Path(__file__).with_name("clocked.py")
MONDAY = "2026-11-16T05:17:00"
NEXT_RUN = "2026-11-16T09:00:00"
ONE = '[[notebook]]\nname = "01_one"\ntitle = "One"\nquestion = "Is it there?"\n'
SUITE = "workers = 1\ntimeout_seconds = {seconds}\n" + ONE


def notebook(*code: str) -> dict[str, Any]:
    """A notebook with a parameters cell and these cells."""

    def cell(source: str, *tags: str) -> dict[str, Any]:
        meta = {"tags": list(tags)}
        return {"cell_type": "code", "id": f"c{abs(hash(source)) % 10**8}", "metadata": meta, "source": source,
                "execution_count": None, "outputs": []}  # fmt: skip

    first = cell('tenant = "sample"\nas_of = "2026-11-15"\ndays = 7', "parameters")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"cells": [first, *map(cell, code)], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


@dataclass
class Home:
    """One APPGOV_HOME with a profile of the tenant `contoso`."""

    path: Path
    tenant: SampleTenant
    more: str = ""
    """Further lines of the profile."""
    env: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The tenant's data."""
        return self.path / "data" / "contoso"

    def write(self, *cells: str, seconds: int = 60) -> None:
        """Write the profile and the notebook."""
        self.path.mkdir(exist_ok=True)
        (self.path / "appgov.toml").write_text(
            f'[tenant.contoso]\nendpoint = "{self.tenant.endpoint}"\naccess_token_env = "LOOPBACK"\n'
            f'notebooks = "suite"\nmin_free_mb = 1\n{self.more}\n'
        )
        suite = self.path / "suite"
        suite.mkdir(exist_ok=True)
        (suite / "suite.toml").write_text(SUITE.format(seconds=seconds))
        (suite / "01_one.ipynb").write_text(json.dumps(notebook(*(cells or ("print(tenant)",)))))

    def start(
        self, *arguments: str, now: str = MONDAY, limit: int | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command; `limit` is the largest file it may write."""

        def small() -> None:
            assert limit is not None
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        told = {**os.environ, "APPGOV_HOME": str(self.path), "LOOPBACK": self.tenant.token, **self.env, **(env or {})}
        told.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, str(CLOCKED), now, *(arguments or ("weekly", "--json", "--quiet"))]
        return subprocess.Popen(
            command,
            env=told,
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=small if limit else None,
        )

    def run(self, *arguments: str, **options: Any) -> tuple[int, dict[str, Any], str]:
        """Run a command to its end: exit code, the one line of JSON, standard error."""
        return ended(self.start(*arguments, **options))

    def log(self) -> list[dict[str, Any]]:
        """Every line of the log."""
        path = self.data / "logs" / "weekly.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def stage_pid(self, stage: str, process: subprocess.Popen[str], seen: int = 0) -> int:
        """The process of a stage, as soon as the log tells it after its first `seen` lines."""
        return int(wait_for(lambda: [e["pid"] for e in self.log()[seen:] if e.get("stage") == stage and "pid" in e],
                            process)[-1])  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """Wait for a run: exit code, the one line of JSON on standard output, standard error."""
    out, err = process.communicate(timeout=200)
    lines = out.strip().splitlines()
    assert len(lines) <= 1, out
    assert "Traceback" not in err, err
    return process.returncode, json.loads(lines[0]) if lines else {}, err


def wait_for(ask: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """What `ask` answers, once it is something; fails when the process ends before."""
    until = time.monotonic() + 150
    while time.monotonic() < until:
        found = ask()
        if found:
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("waited too long")


def copy_of(prepared: Path, target: Path, tenant: SampleTenant, more: str = "") -> Home:
    """A home of a test's own over the data of another."""
    shutil.copytree(prepared, target, symlinks=True)
    record = target / "data" / "contoso" / "weekly.json"
    record.write_text(record.read_text().replace(str(prepared), str(target)))
    home = Home(target, tenant, more)
    home.write()
    return home


def stages(line: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and status of the stages of a run."""
    return [(stage["stage"], stage["status"]) for stage in line["stages"]]


def to_build(home: Home) -> None:
    """Give the next run a reason to build anew, and none to read."""
    home.more += "\n[tenant.contoso.thresholds.unused-app]\ndays_unused = 91\n"
    home.write()


def current(home: Home) -> Path:
    """The current warehouse, opened once to see that it can be read."""
    folder = home.data / "warehouse"
    path = folder / json.loads((folder / "current.json").read_text())["file"]
    with duckdb.connect(str(path), read_only=True) as con:
        assert con.execute("SELECT count(*) > 0 FROM findings").fetchall() == [(True,)]
    return path


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
