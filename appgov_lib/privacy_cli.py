"""`appgov pseudonym`: who a token in a report stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from appgov_lib.errors import ExitCode
from appgov_lib.lock import hold
from appgov_lib.output import print_json
from appgov_lib.settings import Settings
from appgov_lib.terminal import clean


def pseudonym_command(common: Callable[..., Any]) -> click.Command:
    """Make the command; `common` gives it the options every verb has."""

    @click.command(name="pseudonym")
    @common
    @click.argument("token", metavar="TOKEN")
    def pseudonym(settings: Settings, as_json: bool, quiet: bool, token: str) -> int:
        """Say who a token of a pseudonymised report stands for, from the warehouse and the key on this machine."""
        from appgov_lib.privacy.lookup import meaning_of

        with hold(settings):
            found = meaning_of(settings, token)
        if as_json:
            print_json(asdict(found))
        else:
            for value in found.values:
                click.echo(clean(value))
        return ExitCode.DONE

    return pseudonym
