"""What all tests share: no traffic but loopback, no global randomness, one sample tenant built per test run."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from wire import would_change

REPO = Path(__file__).resolve().parent.parent
SHARED = REPO.parent / "shared"
"""Public reference data beside the checkout; tests that need it skip where it is absent."""

LOOPBACK = {"127.0.0.1", "::1", "localhost"}

for name in [name for name in os.environ if name.startswith(("APPGOV_", "AZURE_"))]:
    del os.environ[name]
os.environ["AZURE_TOKEN_CREDENTIALS"] = "EnvironmentCredential"  # never ask a metadata service


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: many tests wait for the processes they start, or for a retry."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection to an address that is not loopback fails the test."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOOPBACK:
            pytest.fail(f"A test tried to reach {address[0]}; only loopback is allowed.")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def nothing_is_changed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that may change a tenant fails the test, unless that is marked as one that changes a tenant."""
    if request.node.get_closest_marker("changes_a_tenant"):
        return
    write = _SelectorSocketTransport.write

    def watched(self: Any, data: Any) -> None:
        if would_change(bytes(data)):
            pytest.fail(f"A request that changes something left the program: {bytes(data)[:80]!r}")
        write(self, data)

    monkeypatch.setattr(_SelectorSocketTransport, "write", watched)


@pytest.fixture(autouse=True)
def no_global_random() -> Iterator[None]:
    """A test that draws from a global generator is not repeatable, so it fails."""
    plain, legacy = random.getstate(), np.random.get_state()[1].tobytes()
    yield
    if np.random.get_state()[1].tobytes() != legacy:
        pytest.fail("numpy's global random generator was used; pass a seeded Generator.")
    random.setstate(plain)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder once per test run, also when several workers ask for it at the same time."""
    root = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        root = root.parent

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def sample_home(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """An APPGOV_HOME in which `appgov demo` ran, as a newcomer runs it; read it, never change it."""

    def fill(home: Path) -> None:
        env = {**os.environ, "APPGOV_HOME": str(home)}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-m", "appgov_lib", "demo", "--quiet"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=home)
        assert done.returncode == 0, done.stderr

    return once("sample-home", fill)


@pytest.fixture(scope="session")
def demo_report(sample_home: Path) -> Path:
    """Folder of the report that `appgov demo` wrote."""
    return sample_home / "reports" / "sample" / "2026-11-15"


@pytest.fixture(scope="session")
def prepared_week(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A home in which one weekly run of a small tenant went well; copy it (`weekly_home.copy_of`), never change it."""
    from weekly_home import Home

    from appgov_lib.sample import running

    def fill(home: Path) -> None:
        with running(service_principals=140, activity=0.2) as tenant:
            made = Home(home, tenant)
            made.write()
            code, line, said = made.run()
            assert code == 0, (line, said)

    return once("weekly-home", fill)
