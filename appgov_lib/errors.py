"""The errors a user can cause, each with the exit code a scheduler reads.

Everything that is expected to go wrong sometimes is a `UserError`: one sentence, no traceback. Anything else is
a defect of ours and ends with `INTERNAL`.
"""

from __future__ import annotations

import errno
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the `appgov` command (documented in the README; a test compares the two)."""

    DONE = 0
    FINDINGS = 1
    USAGE = 2
    SIGN_IN = 3
    PARTIAL = 4
    INTERNAL = 5
    BUSY = 6


class UserError(Exception):
    """Something the user or the environment can mend. The message says what is wrong, where, and what to do."""

    exit_code = ExitCode.USAGE


class ConfigError(UserError):
    """A setting, option, file or date that cannot be used as given."""


class WarehouseMissing(UserError):
    """There is no warehouse yet for the tenant, or its pointer names a file that is gone."""


class SignInError(UserError):
    """No credential, a wrong tenant, an expired secret, or a permission that was never granted."""

    exit_code = ExitCode.SIGN_IN


class BusyError(UserError):
    """Another run holds the tenant."""

    exit_code = ExitCode.BUSY


class NotebookFailed(UserError):
    """One or more notebooks stopped with an error; the executed copies show where."""

    exit_code = ExitCode.PARTIAL


class DiskFull(UserError):
    """There is no room left, or less than a run needs."""

    def __init__(self, what: str = "The disk is full") -> None:
        """`what` begins the sentence."""
        super().__init__(f"{what}; make room and run again: it goes on where it stopped, and what was there stays.")


_NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})
_NO_ROOM_TEXTS = ("no space left on device", "file too large", "disk quota exceeded", "disk full", "not enough space")


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that nothing more could be written."""
    while error is not None:
        if isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in _NO_ROOM):
            return True
        # DuckDB tells it in words alone
        if type(error).__module__.partition(".")[0] in ("duckdb", "_duckdb") and any(
            text in str(error).lower() for text in _NO_ROOM_TEXTS
        ):
            return True
        error = error.__cause__ or error.__context__
    return False
