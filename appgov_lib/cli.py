"""The `appgov` command: verbs in the order of the data flow. The only module that reads the clock or prints results.

Heavy imports are inside the verbs, so that `appgov --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

import click

from appgov_lib import __version__
from appgov_lib.actions_cli import actions_group
from appgov_lib.errors import ExitCode, WarehouseMissing
from appgov_lib.lock import hold as _hold
from appgov_lib.options import asks_graph, cloud_option, common, pseudonymise_option
from appgov_lib.output import (
    doctor_done,
    extract_done,
    health_said,
    print_import,
    print_json,
    prune_done,
    report_done,
    weekly_done,
)
from appgov_lib.permissions_file import permissions_group
from appgov_lib.policies_cli import policies_group
from appgov_lib.privacy_cli import pseudonym_command
from appgov_lib.session import bars as _bars
from appgov_lib.session import warehouse as _warehouse
from appgov_lib.session import warehouse_as_of as _warehouse_as_of
from appgov_lib.settings import Settings
from appgov_lib.terminal import clean

SEVERITIES = ("critical", "high", "medium", "low", "info")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="appgov")
def cli() -> None:
    """Open app governance for Microsoft 365: what OAuth apps are granted, use and move, and what to do about it."""


@cli.command()
@common
@pseudonymise_option
@click.option("--full", is_flag=True, help="Read the sample tenant again although it was read before.")
def demo(settings: Settings, as_json: bool, quiet: bool, full: bool) -> int:
    """Show the whole product on a sample tenant: extract, build, notebooks, report."""
    from appgov_lib.demo import run_demo

    with _hold(settings), _bars(quiet) as bars:
        result = run_demo(settings, full=full, bars=bars)
    return report_done(result, as_json)


@cli.command()
@common
@asks_graph
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
def doctor(settings: Settings, as_json: bool, quiet: bool, sources: tuple[str, ...]) -> int:
    """Say how weekly runs stand, who signs in, and per source whether it can be read and what is lost without it."""
    from appgov_lib.extract.doctor import diagnose
    from appgov_lib.weekly.record import health

    state = health(settings, _now())
    health_said(state)  # before the sign-in, which may be what has failed
    return doctor_done(diagnose(settings, now=_now(), names=sources), as_json, state)


@cli.command(name="setup-script")
@common
@cloud_option
@click.option(
    "--shell", type=click.Choice(["bash", "powershell"]), default="bash", show_default=True, help="For which shell."
)
@click.option("--certificate", is_flag=True, help="Let the script make a certificate for the app to sign in with.")
@click.option("--name", default="appgov", show_default=True, help="Name of the app.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="For this source alone; may be repeated.")
def setup_script_(
    settings: Settings, as_json: bool, quiet: bool, shell: str, certificate: bool, name: str, sources: tuple[str, ...]
) -> int:
    """Print a script that makes the app registration, with read permissions alone; nothing is run."""
    from appgov_lib.extract.clouds import GLOBAL, cloud_of
    from appgov_lib.extract.setup_script import permissions_for, setup_script
    from appgov_lib.extract.sources import choose_sources

    permissions = permissions_for(tuple(choose_sources(sources)) if sources else None)
    cloud = cloud_of(settings.endpoint) or GLOBAL
    text = setup_script(shell, cloud, name=name, certificate=certificate, permissions=permissions)
    if as_json:
        print_json(
            {"shell": shell, "cloud": cloud.name, "permissions": [asdict(p) for p in permissions], "script": text}
        )
    else:
        click.echo(text, nl=False)
    return ExitCode.DONE


@cli.command()
@common
@asks_graph
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only this source; may be repeated.")
@click.option("--also", multiple=True, metavar="NAME", help="This source too, e.g. api_activity; may be repeated.")
@click.option("--since", metavar="DATE", help="Start of the logs; default: where the last run ended, less a day.")
@click.option("--full", is_flag=True, help="Read logs from their beginning although earlier runs read them.")
def extract(
    settings: Settings,
    as_json: bool,
    quiet: bool,
    sources: tuple[str, ...],
    also: tuple[str, ...],
    since: str | None,
    full: bool,
) -> int:
    """Read the tenant from Microsoft Graph into a new snapshot; continue an interrupted one."""
    from appgov_lib.as_of import parse_date
    from appgov_lib.extract.run import extract as run_extract

    start = datetime.combine(parse_date(since, "--since"), datetime.min.time()) if since else None
    with _hold(settings), _bars(quiet) as bars:
        snapshot = run_extract(
            settings, now=_now(), names=sources, also=also, since=start, full=full, progress=bars.rows
        )
    return extract_done(snapshot, as_json)


@cli.command(name="import")
@common
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
def import_(settings: Settings, as_json: bool, quiet: bool, paths: tuple[str, ...]) -> int:
    """Take in log exports: files, folders, globs; .json, .ndjson, .csv, each also .gz; told apart by content."""
    from appgov_lib.imports import import_paths

    with _hold(settings), _bars(quiet) as bars:
        result = import_paths(paths, settings, now=_now(), progress=bars.step)
    if as_json:
        print_json(result.as_dict())
    else:
        print_import(result)
    return ExitCode.PARTIAL if result.rejected_rows else ExitCode.DONE


@cli.command()
@common
@click.option("--as-of", metavar="DATE", help="Last day of the period; default: the last whole day in the data.")
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="Length of the period.")
def build(settings: Settings, as_json: bool, quiet: bool, as_of: str | None, days: int) -> int:
    """Turn the snapshots into the warehouse: staging, marts, anomalies, policies, findings, actions."""
    from appgov_lib.store.build import build as run_build

    with _hold(settings), _bars(quiet) as bars:
        result = run_build(settings, _as_of(settings, as_of), days, progress=bars.step)
    if as_json:
        print_json({"warehouse": str(result.path), "tables": dict(result.tables), "warnings": list(result.warnings)})
    else:
        for warning in result.warnings:
            click.echo(f"Warning: {clean(warning)}", err=True)
        click.echo(result.path)
    return ExitCode.DONE


@cli.command()
@common
@pseudonymise_option
@click.option("--as-of", metavar="DATE", help="Last day of the period; default: the day the warehouse was built for.")
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True, help="Length of the period.")
@click.option("--only", metavar="NOTEBOOK", help="Run one notebook, e.g. 02_usage.")
@click.option("--single-file", is_flag=True, help="Also write report.html: summary and worst apps in one file.")
@click.option("--all-apps", is_flag=True, help="A page for every app, not only for those with an open finding.")
@click.option("--app", "apps", multiple=True, metavar="ID", help="A page for this app too; may be repeated.")
@click.option("--pdf", is_flag=True, help="Also print the summary as PDF, where Chromium, Chrome or Edge is there.")
@click.option("--fail-on", type=click.Choice(SEVERITIES), help="Exit with 1 when a finding is at least this severe.")
def report(
    settings: Settings,
    as_json: bool,
    quiet: bool,
    as_of: str | None,
    days: int,
    only: str | None,
    single_file: bool,
    pdf: bool,
    fail_on: str | None,
    all_apps: bool,
    apps: tuple[str, ...],
) -> int:
    """Run the notebooks over the warehouse and write the HTML report."""
    from appgov_lib.report import Asked, build_report

    with _hold(settings), _bars(quiet) as bars:
        result = build_report(
            settings,
            _warehouse_as_of(settings, as_of),
            days=days,
            only=only,
            now=_now(),
            progress=bars.step,
            single_file=single_file,
            pdf=pdf,
            asked=Asked(apps, all_apps),
        )
    code = report_done(result, as_json)
    if fail_on and code == ExitCode.DONE and _findings_at(settings, fail_on):
        return ExitCode.FINDINGS
    return code


@cli.command()
@common
@pseudonymise_option
@asks_graph
@click.option("--all-tenants", is_flag=True, help="Every tenant in appgov.toml, and a page that shows all of them.")
@click.option("--again", is_flag=True, help="Do every stage anew, although this week's run has done it.")
@click.option("--fail-on", type=click.Choice(SEVERITIES), help="Exit with 1 when a finding is at least this severe.")
def weekly(settings: Settings, as_json: bool, quiet: bool, all_tenants: bool, again: bool, fail_on: str | None) -> int:
    """Extract, build, report and deliver the last complete week (Monday to Sunday, UTC); safe to run twice."""
    from appgov_lib.weekly.run import Wishes
    from appgov_lib.weekly.tenants import run_all, run_one

    wishes = Wishes(quiet, again, fail_on or "")
    if all_tenants:
        return weekly_done(run_all(settings, _now, wishes), as_json, many=True)
    return weekly_done([run_one(settings, _now, wishes)], as_json)


@cli.command()
@common
@click.option("--keep-days", type=int, help="Days of raw rows to keep; default APPGOV_RETENTION_DAYS, else all.")
@click.option("--dry-run", is_flag=True, help="Say what would go and change nothing.")
def prune(settings: Settings, as_json: bool, quiet: bool, keep_days: int | None, dry_run: bool) -> int:
    """Remove raw rows older than the retention; daily sums, last uses and history stay."""
    from appgov_lib.store import retention

    with _hold(settings):
        days = retention.configured_days(profile=settings.profile) if keep_days is None else keep_days
        result = retention.prune(settings, days, _now(), dry_run) if days is not None else None
    return prune_done(result, dry_run, as_json)


@cli.command()
@common
@click.argument("what", type=click.Choice(["warehouse", "report", "raw"]), default="warehouse")
def path(settings: Settings, as_json: bool, quiet: bool, what: str) -> int:
    """Print where the current warehouse, report or raw data is."""
    from appgov_lib.store.warehouse import current_path

    places: dict[str, Callable[[], Path]] = {
        "warehouse": lambda: current_path(settings),
        "report": lambda: settings.reports_dir / "latest",
        "raw": lambda: settings.raw_dir,
    }
    place = places[what]()
    if not place.exists():
        raise WarehouseMissing(f"There is no {what} for tenant {settings.tenant} in {settings.home} yet.")
    print_json({what: str(place.resolve())}) if as_json else click.echo(place.resolve())
    return ExitCode.DONE


cli.add_command(permissions_group(common))
cli.add_command(pseudonym_command(common))
cli.add_command(policies_group(common, lambda: _now().date()))


def _now() -> datetime:
    """The only look at the clock: UTC, whole seconds, without zone."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def _as_of(settings: Settings, text: str | None) -> date:
    """The day given, else the last whole day in the data."""
    from appgov_lib.as_of import default_as_of, parse_date
    from appgov_lib.extract.snapshot import read_snapshots

    return parse_date(text, "--as-of") if text else default_as_of(read_snapshots(settings.raw_dir))


cli.add_command(actions_group(common, _hold, _now))


def _findings_at(settings: Settings, severity: str) -> int:
    """Number of open findings at `severity` or above."""
    wanted = list(SEVERITIES[: SEVERITIES.index(severity) + 1])
    with _warehouse(settings) as con:
        query = (
            "SELECT count(*) FROM findings WHERE state IN ('new', 'open', 'returned') AND list_contains(?, severity)"
        )
        return int(con.execute(query, [wanted]).fetchone()[0])
