"""One run at a time for each tenant: a lock file that the system lets go of when its process ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from appgov_lib.errors import BusyError
from appgov_lib.settings import Settings, private_dir


@contextmanager
def hold(settings: Settings, name: str = ".run.lock", patience: float = 0) -> Iterator[None]:
    """Hold the tenant for one run; `BusyError` when another process has it for longer than `patience` seconds."""
    from filelock import FileLock, Timeout

    lock = FileLock(private_dir(settings.data_dir) / name, timeout=patience, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"Another appgov run holds tenant {settings.tenant} in {settings.home}; wait for it to end."
        ) from None
    try:
        yield
    finally:
        lock.release()
