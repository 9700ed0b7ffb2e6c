"""`appgov policies`: list them, try one today, try one on past weeks, start one, approve an app, see the exceptions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import click

from appgov_lib.errors import ConfigError, ExitCode
from appgov_lib.output import print_frame, print_json
from appgov_lib.session import bars, warehouse, warehouse_as_of
from appgov_lib.settings import Settings
from appgov_lib.terminal import clean

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_set = click.option(
    "--set", "choices", multiple=True, metavar="NAME=VALUE", help="Another value of a threshold; may be repeated."
)
_as_of = click.option("--as-of", metavar="DATE", help="Last day judged; default: the day the warehouse was built for.")


def policies_group(common: Decorator, today: Callable[[], date]) -> click.Group:
    """The command group; `common` gives a verb the options every verb has, `today` is the day an approval bears."""

    @click.group()
    def policies() -> None:
        """The policies: list them, try them, start one of your own, approve apps, see the exceptions."""

    _looking(policies, common)
    _writing(policies, common, today)
    return policies


def _looking(policies: click.Group, common: Decorator) -> None:
    """Add the verbs that change nothing but the result a backtest keeps."""

    @policies.command(name="list")
    @common
    def policies_list(settings: Settings, as_json: bool, quiet: bool) -> int:
        """Every policy with severity, status and what it finds; your own and Sigma rules too."""
        from appgov_lib.detect import policies_table, user_folder

        return print_frame(policies_table(user_folder(settings)), as_json)

    @policies.command(name="test")
    @common
    @click.argument("policy_id")
    @_set
    @_as_of
    def policies_test(
        settings: Settings, as_json: bool, quiet: bool, policy_id: str, choices: tuple[str, ...], as_of: str | None
    ) -> int:
        """What POLICY_ID finds in the current warehouse; nothing is stored. Your own and Sigma rules too."""
        from appgov_lib.backtest import parse_choices
        from appgov_lib.detect import test_policy, user_folder

        given = parse_choices(choices)
        twice = [name for name, values in given.items() if len(values) > 1]
        if twice:
            raise ConfigError(f"--set gives {twice[0]} twice; to compare values use `appgov policies backtest`.")
        own = settings.profile.thresholds.get(policy_id, {})
        values = {**own, **{name: found[0] for name, found in given.items()}}
        extra = user_folder(settings)
        day = warehouse_as_of(settings, as_of)
        with warehouse(settings) as con:
            return print_frame(test_policy(con, policy_id, day, extra=extra, thresholds=values), as_json)

    @policies.command(name="backtest")
    @common
    @click.argument("policy_ids", nargs=-1, required=True, metavar="ID...")
    @click.option("--weeks", type=click.IntRange(1, 104), default=13, show_default=True, help="How many past weeks.")
    @_set
    @click.option("--as-of", metavar="DATE", help="Last day of the last week; default: the last whole day in the data.")
    def policies_backtest(
        settings: Settings,
        as_json: bool,
        quiet: bool,
        policy_ids: tuple[str, ...],
        weeks: int,
        choices: tuple[str, ...],
        as_of: str | None,
    ) -> int:
        """What each policy would have found in each past week, from the data kept.

        --set tries another value of a threshold; give it several times to compare values. Warehouse and findings stay
        as they are; exceptions do not count. The result is kept for the notebook 09_backtest.
        """
        from appgov_lib.as_of import parse_date
        from appgov_lib.backtest import backtest, parse_choices, save

        day = parse_date(as_of, "--as-of") if as_of else None
        with bars(quiet) as shown:
            result = backtest(
                settings, policy_ids, weeks=weeks, given=parse_choices(choices), as_of=day, progress=shown.step
            )
        save(settings, result)
        return print_frame(result if as_json else result.astype(object).where(result.notna(), ""), as_json)

    @policies.command(name="exceptions")
    @common
    def policies_exceptions(settings: Settings, as_json: bool, quiet: bool) -> int:
        """The exceptions of exceptions.toml as of the last build: in use, expired, or matching nothing."""
        with warehouse(settings) as con:
            if not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'policy_exceptions'").fetchall():
                raise ConfigError("The warehouse was built by an earlier version; run `appgov build` first.")
            columns = "state, findings, policy, app, subject, expires, approver, reason"
            frame = con.execute(
                f"SELECT {columns} FROM policy_exceptions ORDER BY state, expires, policy, app, subject"
            ).df()
        if frame.empty and not as_json:
            click.echo("There are no exceptions.")
            return ExitCode.DONE
        return print_frame(frame, as_json)


def _writing(policies: click.Group, common: Decorator, today: Callable[[], date]) -> None:
    """Add the verbs that write into the folder of the user's policies."""

    @policies.command(name="new")
    @common
    @click.argument("policy_id")
    @click.option("--from", "template", metavar="POLICY|T1..T10", help="What it starts from; default: T10, empty.")
    def policies_new(settings: Settings, as_json: bool, quiet: bool, policy_id: str, template: str | None) -> int:
        """Start a policy of your own: POLICY_ID.sql, its page, and an entry in policies.toml.

        It starts from a policy there is, or from one of ten templates: T1 unused app, T2 new app with high data usage,
        T3 increase in users, T4 overprivileged app, T5 new highly privileged app, T6 new app with non-Graph
        permissions, T7 new high risk app, T8 new uncertified app, T9 unused credentials, T10 empty.
        """
        from appgov_lib.detect.templates import start_policy

        made = start_policy(settings, policy_id, template or "T10")
        if as_json:
            print_json([str(path) for path in made])
        else:
            for path in made:
                click.echo(clean(path, 400))
        return ExitCode.DONE

    @policies.command(name="approve")
    @common
    @click.argument("app")
    @click.option("--approver", required=True, metavar="NAME", help="Who approves it.")
    @click.option("--reason", required=True, metavar="TEXT", help="Why it is right as it is.")
    def policies_approve(settings: Settings, as_json: bool, quiet: bool, app: str, approver: str, reason: str) -> int:
        """Record what APP is now as approved: permissions, owners, credentials, reply URLs, publisher.

        APP is an app id, an object id or an exact name. It goes into policies/approved.toml; from the next build on,
        the policy approved-set-changed finds what deviates.
        """
        from appgov_lib.detect.baselines import FILE, approve

        with warehouse(settings) as con:
            made = approve(con, settings, app, approver=approver, reason=reason, today=today())
        counts = {key: len(values) for key, values in made.parts.items()}
        path = settings.policies_dir / FILE
        if as_json:
            print_json({"app_id": made.app, "name": made.name, "approved_on": made.approved_on, **counts, "file": path})
        else:
            told = ", ".join(f"{count} {key.replace('_', ' ')}" for key, count in counts.items() if key != "publisher")
            click.echo(f"{clean(made.name)} ({made.app}) is approved with {told}: {clean(path, 400)}")
        return ExitCode.DONE
