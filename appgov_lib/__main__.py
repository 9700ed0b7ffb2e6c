"""`python -m appgov_lib`, the same as `appgov`: runs a verb and turns errors into a sentence and an exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback

import click

from appgov_lib.cli import cli
from appgov_lib.errors import DiskFull, ExitCode, UserError, is_disk_full
from appgov_lib.terminal import clean


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit; never shows a traceback unless APPGOV_DEBUG is set."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(args=arguments, prog_name="appgov", standalone_mode=False)
        sys.exit(int(code or 0))
    except UserError as error:
        _stop(str(error), error.exit_code, arguments)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.Abort:
        _stop("Stopped.", 130, arguments)
    except click.ClickException as error:
        _stop(error.format_message(), ExitCode.USAGE, arguments)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.DONE)
    except Exception as error:  # noqa: BLE001 - the outermost edge: whatever is left is a defect, told in one sentence
        if os.environ.get("APPGOV_DEBUG"):
            traceback.print_exc()
        if is_disk_full(error):
            _stop(str(DiskFull()), DiskFull.exit_code, arguments)
        _stop(
            f"Internal error ({type(error).__name__}: {error}). Nothing was published. "
            "Set APPGOV_DEBUG=1 and run again to see where.",
            ExitCode.INTERNAL,
            arguments,
        )


def _stop(message: str, code: int, arguments: list[str]) -> None:
    """Say why in one line on standard error (and as JSON on standard output when asked), then exit."""
    text = clean(message)
    if "--json" in arguments:
        print(json.dumps({"error": text, "exit_code": int(code)}))
    print(f"appgov: {text}", file=sys.stderr)
    sys.exit(int(code))


if __name__ == "__main__":
    main()
