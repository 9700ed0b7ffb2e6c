"""`python -m appgov_lib.sample serve` runs the sample tenant, `answer-key` prints what is planted in it."""

from __future__ import annotations

import asyncio
import contextlib
import json

import click

from appgov_lib.errors import UserError
from appgov_lib.sample.faults import Faults, parse
from appgov_lib.sample.key import answer_key
from appgov_lib.sample.world import Size, default_users


@click.group(help=__doc__)
def main() -> None:
    """Group of the two commands."""


@main.command("serve")
@click.option("--port", default=0, show_default=True, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option("--seed", default=7, show_default=True, help="Everything follows from it.")
@click.option("--service-principals", default=400, show_default=True, help="Apps in the tenant.")
@click.option("--users", default=None, type=int, help="People in the tenant [default: 3 an app, at most 20000].")
@click.option("--activity", default=1.0, show_default=True, help="Factor on the activity of ordinary apps.")
@click.option("--faults", default="", help="For example throttle=0.05,error=0.02,forbid=/auditLogs/signIns.")
@click.option("--writable", is_flag=True, help="Take requests that change the tenant; changes are kept in memory.")
@click.option("--until-stdin-closes", is_flag=True, help="Stop when standard input ends.")
def serve_command(
    port: int,
    seed: int,
    service_principals: int,
    users: int | None,
    activity: float,
    faults: str,
    writable: bool,
    until_stdin_closes: bool,
) -> None:
    """Serve the tenant until interrupted. Prints one line of JSON: url, token and, if writable, write_token."""
    # Imported here so that `answer-key` and `--help` do not wait for the HTTP library.
    from appgov_lib.sample.server import SampleServer, serve
    from appgov_lib.sample.tenant import Tenant

    try:
        wanted = parse(faults) if faults else Faults()
        size = Size(service_principals, users if users is not None else default_users(service_principals), activity)
        server = SampleServer(Tenant(seed, size, writable), wanted)
    except UserError as error:
        raise click.ClickException(str(error)) from None

    def ready(url: str) -> None:
        """Tell the caller where to go."""
        told = {"url": url, "token": server.token}
        click.echo(json.dumps(told | {"write_token": server.write_token} if writable else told))

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(server, port, ready, until_stdin_closes))


@main.command("answer-key")
@click.option("--seed", default=7, show_default=True, help="Everything follows from it.")
@click.option("--service-principals", default=400, show_default=True, help="Apps in the tenant.")
def answer_key_command(seed: int, service_principals: int) -> None:
    """Print the answer key as JSON."""
    try:
        click.echo(json.dumps(answer_key(seed, service_principals), indent=2))
    except UserError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
