"""Options that several verbs share, and what becomes of them: the settings a verb runs with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from appgov_lib.extract.clouds import CLOUDS, cloud_named
from appgov_lib.settings import SIGN_INS, Settings


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options every verb has, and pass it `settings`, `as_json` and `quiet`."""

    @click.option(
        "--tenant", metavar="NAME", help="Tenant; default APPGOV_TENANT, the only one in appgov.toml, sample."
    )
    @click.option("--json", "as_json", is_flag=True, help="Machine-readable result on standard output.")
    @click.option("--quiet", is_flag=True, help="No progress on standard error.")
    @functools.wraps(function)
    def verb(
        *args: Any, tenant: str | None, cloud: str | None = None, sign_in: str | None = None, **options: Any
    ) -> Any:
        """Read the settings, then run the verb."""
        endpoint = cloud_named(cloud).endpoint if cloud else None
        return function(*args, settings=Settings.load(tenant=tenant, endpoint=endpoint, sign_in=sign_in), **options)

    return verb


def pseudonymise_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb that writes a report `--pseudonymise`, and pass it settings that say so."""

    @click.option("--pseudonymise", is_flag=True, help="Show tokens in place of people in everything that is written.")
    @functools.wraps(function)
    def verb(*args: Any, settings: Settings, pseudonymise: bool, **options: Any) -> Any:
        """Put the wish into the profile of the tenant."""
        return function(*args, settings=settings.showing_tokens() if pseudonymise else settings, **options)

    return verb


cloud_option = click.option(
    "--cloud", type=click.Choice(tuple(CLOUDS)), help="Microsoft's cloud; default: the one of APPGOV_GRAPH_ENDPOINT."
)


def asks_graph(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb that reads from Graph the options which say where and as whom; `common` takes them in."""
    way = click.option("--sign-in", type=click.Choice(SIGN_INS), help="How to sign in; default APPGOV_SIGN_IN.")
    return cloud_option(way(function))
