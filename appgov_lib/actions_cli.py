"""`appgov actions`: see the plan, save a part of it for approval, compare it with the tenant, carry it out, undo it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appgov_lib.errors import ConfigError, ExitCode
from appgov_lib.options import asks_graph
from appgov_lib.output import print_frame, print_json
from appgov_lib.session import warehouse
from appgov_lib.settings import Settings, private_write
from appgov_lib.terminal import clean

if TYPE_CHECKING:
    from appgov_lib.actions.apply import Result
    from appgov_lib.actions.chosen import Planned

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Hold = Callable[[Settings], AbstractContextManager[None]]
_ids = click.option("--ids", multiple=True, metavar="ID[,ID]...", help="Actions by their ids; may be repeated.")
_safe = click.option("--safe", is_flag=True, help="All actions that are safe and have a request.")
_confirm = click.option("--confirm", is_flag=True, help="Change the tenant; without it nothing but GET is sent.")


def actions_group(common: Decorator, hold: Hold, clock: Callable[[], datetime]) -> click.Group:
    """The command group; `common` gives a verb the options all have, `hold` keeps a tenant to one run at a time."""

    @click.group()
    def actions() -> None:
        """The action plan: what to change, and carrying it out with a way back."""

    _looking(actions, common)
    _changing(actions, common, hold, clock)
    return actions


def _looking(actions: click.Group, common: Decorator) -> None:
    """Add the verbs that read the warehouse and the journals."""

    @actions.command(name="list")
    @common
    def actions_list(settings: Settings, as_json: bool, quiet: bool) -> int:
        """The action plan in order of priority."""
        with warehouse(settings) as con:
            frame = con.sql(
                "SELECT priority, action_id, display_name, title, disposition, permission_needed "
                "FROM remediation_actions ORDER BY priority"
            ).df()
        return print_frame(frame, as_json)

    @actions.command(name="show")
    @common
    @click.argument("action_id")
    def actions_show(settings: Settings, as_json: bool, quiet: bool, action_id: str) -> int:
        """One action in full: requests, undo, why, how to verify."""
        with warehouse(settings) as con:
            frame = con.execute("SELECT * FROM remediation_actions WHERE action_id = ?", [action_id]).df()
        if frame.empty:
            raise ConfigError(f"There is no action {action_id!r} in the plan; `appgov actions list` shows the ids.")
        record = json.loads(frame.to_json(orient="records", date_format="iso"))[0]
        if as_json:
            print_json(record)
        else:
            for key, value in record.items():
                click.echo(f"{key + ':':<20} {clean(value)}")
        return ExitCode.DONE

    @actions.command(name="save")
    @common
    @click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
    @_ids
    @_safe
    def actions_save(
        settings: Settings, as_json: bool, quiet: bool, file: Path, ids: tuple[str, ...], safe: bool
    ) -> int:
        """Write chosen actions to FILE for approval and print its SHA-256, which `apply --plan` asks for."""
        return _saved(file, _chosen(settings, ids, safe), as_json)

    @actions.command(name="request")
    @common
    @click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
    @click.option("--kind", required=True, help="What to do, e.g. block_app; an unknown kind lists them all.")
    @click.option("--app", required=True, metavar="ID", help="Application (client) id, or id of the service principal.")
    @click.option("--assignment", default="", metavar="ID", help="Of a user or group, for remove_user_assignment.")
    def actions_request(
        settings: Settings, as_json: bool, quiet: bool, file: Path, kind: str, app: str, assignment: str
    ) -> int:
        """Write an action that no finding asks for to FILE, e.g. deleting an app, and print the file's SHA-256.

        `apply --plan` compares it with the tenant and carries it out like any other plan.
        """
        from appgov_lib.actions.on_request import ON_REQUEST, requested

        if kind not in ON_REQUEST:
            raise ConfigError(f"{kind[:80]!r} is none of the kinds that can be asked for: {', '.join(ON_REQUEST)}.")
        with warehouse(settings) as con:
            return _saved(file, [requested(con, kind, app, assignment)], as_json)

    @actions.command(name="outcomes")
    @common
    @click.option("--weekly", is_flag=True, help="Sum up the risk removed by the date at which it was gone.")
    def actions_outcomes(settings: Settings, as_json: bool, quiet: bool, weekly: bool) -> int:
        """What became of the actions of earlier plans: open, failed, undone, found again, done."""
        with warehouse(settings) as con:
            if not con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'action_outcomes'").fetchall():
                raise ConfigError("The warehouse was built by an earlier version; run `appgov build` first.")
            sums = (
                "SELECT CAST(ended_on AS VARCHAR) AS ended_on, count(*) AS actions, "
                "round(sum(risk_removed), 1) AS risk_removed "
                "FROM action_outcomes WHERE outcome = 'done' GROUP BY ALL ORDER BY ended_on"
            )
            rows = (
                "SELECT outcome, action_id, display_name, title, CAST(first_planned AS VARCHAR) AS first_planned, "
                "coalesce(CAST(ended_on AS VARCHAR), '') AS ended_on, risk_removed, detail "
                "FROM action_outcomes ORDER BY list_position(['open', 'failed', 'undone', 'found again', 'done'], "
                "outcome), risk_removed DESC, action_id"
            )
            return print_frame(con.sql(sums if weekly else rows).df(), as_json)

    @actions.command(name="runs")
    @common
    def actions_runs(settings: Settings, as_json: bool, quiet: bool) -> int:
        """What was carried out so far: every run with how its requests ended."""
        from collections import Counter

        from appgov_lib.actions.journal import all_runs, read

        rows = []
        for run in all_runs(settings):
            told = read(settings, run)
            counts = Counter(step.outcome for step in told.steps)
            state = "ended" if told.ended else "stopped: " + told.stopped if told.stopped else "broken off"
            rows.append({"run": run, "at": told.header["at"], "state": state, "requests": dict(sorted(counts.items()))})
        if as_json:
            print_json(rows)
        else:
            for row in rows:
                counted = ", ".join(f"{count} {outcome}" for outcome, count in row["requests"].items()) or "nothing"
                click.echo(f"{row['run']}  {clean(row['state'], 200)}  {counted}")
        return ExitCode.DONE


def _changing(actions: click.Group, common: Decorator, hold: Hold, clock: Callable[[], datetime]) -> None:
    """Add the verbs that ask the tenant, and change it with --confirm."""

    @actions.command(name="apply")
    @common
    @asks_graph
    @_ids
    @_safe
    @click.option("--plan", type=click.Path(path_type=Path), help="An approved file of `appgov actions save`.")
    @click.option("--sha256", default="", metavar="HEX", help="The approved SHA-256 of that file.")
    @click.option("--resume", "resumed", metavar="RUN", help="Go on with a run that stopped or was broken off.")
    @click.option("--irreversible", is_flag=True, help="Allow what nothing undoes, such as removing a secret.")
    @_confirm
    def actions_apply(
        settings: Settings,
        as_json: bool,
        quiet: bool,
        ids: tuple[str, ...],
        safe: bool,
        plan: Path | None,
        sha256: str,
        resumed: str | None,
        irreversible: bool,
        confirm: bool,
    ) -> int:
        """Compare actions with the tenant as it is now and show what would change; with --confirm, change it.

        Changes need a sign-in of their own (APPGOV_WRITE_SIGN_IN and its variables), are written to a journal before
        they are sent, read back after, and stop at the first surprise. `appgov actions undo` takes them back.
        """
        from appgov_lib.actions import apply as work
        from appgov_lib.actions.chosen import from_file

        if sum((bool(ids), safe, plan is not None, bool(resumed))) != 1:
            raise ConfigError("Say which actions: --ids, --safe, --plan with --sha256, or --resume.")
        tell = _teller(quiet)
        if resumed:
            if not confirm:
                raise ConfigError("A run is resumed with --confirm; `appgov actions runs` shows how far it came.")
            with hold(settings):
                return _done(work.resume(settings, resumed, clock=clock, tell=tell), as_json)
        if confirm and safe:
            raise ConfigError("--confirm needs --ids or an approved --plan; `appgov actions save --safe` writes one.")
        chosen = from_file(plan, sha256) if plan else _chosen(settings, ids, safe)
        if not confirm:
            return _done(work.dry_run(settings, chosen), as_json)
        with hold(settings):
            found = work.apply(settings, chosen, clock=clock, irreversible=irreversible, tell=tell)
        return _done(found, as_json)

    @actions.command(name="mail-rules")
    @common
    @asks_graph
    @click.argument("user_id")
    @click.option("--rules", multiple=True, metavar="ID[,ID]...", help="Rules that are to go, with --save.")
    @click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write a plan that removes them.")
    def actions_mail_rules(
        settings: Settings, as_json: bool, quiet: bool, user_id: str, rules: tuple[str, ...], save: Path | None
    ) -> int:
        """The inbox rules of the user USER_ID as they are now; with --rules and --save a plan that removes some.

        It reads, and changes nothing. The sign-in that reads needs MailboxSettings.Read for it.
        """
        from appgov_lib.actions.mailbox import mail_rules, removal

        found = mail_rules(settings, user_id)
        if save or rules:
            wanted = [key.strip() for text in rules for key in text.split(",") if key.strip()]
            if not save:
                raise ConfigError("--rules needs --save FILE: a plan that removes them.")
            return _saved(save, [removal(user_id, found, wanted)], as_json)
        if as_json:
            print_json(found)
        else:
            for rule in found:
                click.echo(f"{clean(rule.get('id'), 80)}  {clean(rule.get('displayName'), 160)}")
                click.echo(f"    when {clean(json.dumps(rule.get('conditions')), 300)}")
                click.echo(f"    then {clean(json.dumps(rule.get('actions')), 300)}")
        return ExitCode.DONE

    @actions.command(name="undo")
    @common
    @asks_graph
    @click.argument("run")
    @_confirm
    def actions_undo(settings: Settings, as_json: bool, quiet: bool, run: str, confirm: bool) -> int:
        """Restore what RUN changed, from its journal, last change first; a dry run unless --confirm."""
        from appgov_lib.actions import apply as work

        if not confirm:
            return _done(work.undo(settings, run, clock=clock), as_json)
        with hold(settings):
            return _done(work.undo(settings, run, clock=clock, confirm=True, tell=_teller(quiet)), as_json)


def _chosen(settings: Settings, ids: tuple[str, ...], safe: bool) -> list[Planned]:
    """The actions of the warehouse that were asked for."""
    from appgov_lib.actions.chosen import by_ids, safe_ones

    wanted = [key.strip() for text in ids for key in text.split(",") if key.strip()]
    if bool(wanted) == safe:
        raise ConfigError("Say which actions: --ids or --safe.")
    with warehouse(settings) as con:
        return safe_ones(con) if safe else by_ids(con, wanted)


def _saved(file: Path, chosen: list[Planned], as_json: bool) -> int:
    """Write a plan file and print its SHA-256."""
    from appgov_lib.actions.chosen import plan_bytes

    content = plan_bytes(chosen)
    private_write(file.absolute(), content)
    digest = hashlib.sha256(content).hexdigest()
    if as_json:
        print_json({"file": str(file), "sha256": digest, "actions": [action.action_id for action in chosen]})
    else:
        click.echo(f"{digest}  {clean(file, 400)}")
    return ExitCode.DONE


def _teller(quiet: bool) -> Callable[[str], None]:
    """Says on standard error what was done."""

    def tell(text: str) -> None:
        """One line."""
        if not quiet:
            click.echo(clean(text, 300), err=True)

    return tell


def _done(found: Result, as_json: bool) -> int:
    """Print what came of it; 0 when all of it was, or would be, carried out, else 4."""
    from dataclasses import asdict

    if as_json:
        print_json(asdict(found))
    else:
        for item in found.checked if not found.steps else ():
            click.echo(f"{item.verdict:<13} {item.action_id}  {clean(item.title, 160)}")
            if item.reason:
                click.echo(f"              {clean(item.reason, 300)}")
            if not item.reversible:
                click.echo("              cannot be undone: needs --irreversible")
            for part in item.requests:
                click.echo(f"    {part.method} {clean(part.path, 300)}: {part.verdict}")
                for line in part.diff:
                    click.echo(f"      {clean(line, 300)}")
        for step in found.steps:
            click.echo(f"{step['outcome']:<13} step {step['step']}  {clean(step['title'], 160)}")
            for line in step.get("diff", ()):
                click.echo(f"      {clean(line, 300)}")
        if found.run and found.checked:
            click.echo(f"Run {found.run}; `appgov actions undo {found.run}` takes it back.")
        if found.stopped:
            click.echo(f"Stopped: {clean(found.stopped, 500)}", err=True)
    return ExitCode.DONE if found.whole else ExitCode.PARTIAL
