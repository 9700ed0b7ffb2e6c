"""The weekly run of one tenant or of all, one after the other, and the page that shows all of them."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from appgov_lib import __version__, formats
from appgov_lib.errors import ConfigError, UserError
from appgov_lib.profiles import load_profiles
from appgov_lib.progress import Bars
from appgov_lib.report.assets import write_assets
from appgov_lib.settings import Settings, private_write
from appgov_lib.tables import Cell, Column, Table
from appgov_lib.templating import render
from appgov_lib.weekly.deliver import deliver
from appgov_lib.weekly.outcome import STOPPED, Outcome
from appgov_lib.weekly.record import health
from appgov_lib.weekly.run import Wishes, run_tenant

COLUMNS = (
    Column("Tenant"),
    Column("Week to", "date"),
    Column("Critical", "number"),
    Column("High", "number"),
    Column("Medium", "number"),
    Column("Actions", "number"),
    Column("Last run", "prose"),
)


def run_one(settings: Settings, clock: Callable[[], datetime], wishes: Wishes) -> Outcome:
    """The weekly run of one tenant."""
    with stoppable():
        return run_tenant(settings, clock, wishes, deliver)


def run_all(settings: Settings, clock: Callable[[], datetime], wishes: Wishes) -> list[Outcome]:
    """The weekly run of every tenant in `appgov.toml`; one that fails does not keep the others from running.

    Raises `ConfigError` where the file names none.
    """
    found, bars = [], Bars(wishes.quiet)
    profiles = load_profiles(settings.home)
    if not profiles.tenants:
        raise ConfigError(f"{profiles.path} names no tenants; --all-tenants runs those under [tenant.NAME].")
    with stoppable():
        for name in profiles.tenants:
            bars.step(f"Tenant {name} ...")
            try:
                mine = Settings.load(tenant=name, home=settings.home)
                mine = mine.showing_tokens() if settings.profile.pseudonymise else mine
                one = run_tenant(mine, clock, wishes, deliver)
            except UserError as error:
                one = Outcome(name, f"{clock():%Y%m%dT%H%M%SZ}")
                one.stop(error.exit_code, str(error))
            found.append(one)
            if one.exit_code == STOPPED:
                break
    try:
        write_overview(settings, list(profiles.tenants), found, clock())
    except OSError as error:
        bars.step(f"The page over all tenants was not written ({type(error).__name__}).")
    return found


def write_overview(settings: Settings, names: Sequence[str], outcomes: Sequence[Outcome], now: datetime) -> None:
    """Write `reports/index.html` and `reports/overview.json`: how every tenant stands."""
    ended = {one.tenant: one for one in outcomes}
    rows, warnings, told = [], [], []
    for name in names:
        try:
            one = Settings.load(tenant=name, home=settings.home)
        except UserError:  # its outcome says why
            one = Settings(settings.home, name)
        state = health(one, now)
        warnings += [f"{name}: {sentence}" for sentence in state.warnings]
        run = _last_report(one)
        counts = run.get("counts", {})
        said = ended[name].sentence if name in ended else state.last_run_said
        href = f"{name}/{run['as_of']}/index.html" if run else ""
        found = counts.get("open_findings", {})
        numbers = [found.get(key) for key in ("critical", "high", "medium")] + [counts.get("actions")]
        rows.append(
            [
                Cell(name, href=href),
                _cell(run.get("as_of")),
                *(_cell(number) for number in numbers),
                Cell(formats.plain(said or formats.UNKNOWN, 300)),
            ]
        )
        code = ended[name].exit_code if name in ended else state.last_run_exit_code
        told.append(
            {"tenant": name, "as_of": run.get("as_of"), "exit_code": code, "sentence": said, "counts": counts}
            | {"last_good_week": state.last_good_week or None, "warnings": list(state.warnings)}
        )
    good = sum(one.exit_code in (0, 1) for one in outcomes)
    page = render(
        "tenants.html.j2",
        here="index.html",
        up="",
        site={"links": (), "made": f"appgov {__version__}, written at {now.isoformat()}Z."},
        headline=f"{good} of {formats.count(len(names), 'tenant')} done without a gap.",
        warnings=warnings,
        table=Table("Tenants and how their last run ended", COLUMNS, rows),
    )
    write_assets(settings.home / "reports")
    private_write(settings.home / "reports" / "index.html", page.encode())
    private_write(settings.home / "reports" / "overview.json", json.dumps(told, indent=1, default=str).encode() + b"\n")


def _last_report(settings: Settings) -> dict[str, Any]:
    """The run.json of a tenant's newest report; empty where there is none."""
    folders = sorted(path for path in settings.reports_dir.glob("????-??-??") if (path / "run.json").is_file())
    try:
        return dict(json.loads((folders[-1] / "run.json").read_bytes())) if folders else {}
    except (OSError, ValueError):
        return {}


def _cell(value: object) -> Cell:
    """A value, or that it is not known."""
    return Cell(formats.UNKNOWN, muted=True) if value is None else Cell(str(value))


@contextmanager
def stoppable() -> Iterator[None]:
    """Take a request to end (SIGTERM, as systemd and containers send it) like Ctrl-C: the run notes where it was."""

    def stop(*_: object) -> None:
        """End as Ctrl-C does."""
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
