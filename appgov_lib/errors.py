"""The errors a user can cause, each with the exit code a scheduler reads.

Everything that is expected to go wrong sometimes is a `UserError`: one sentence, no traceback. Anything else is
a defect of ours and ends with `INTERNAL`.
"""

from __future__ import annotations

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
