"""The whole product on the sample tenant: what `make report` runs, and the first thing a newcomer sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.run import extract
from appgov_lib.extract.snapshot import read_snapshots
from appgov_lib.profiles import Profile
from appgov_lib.progress import Bars
from appgov_lib.settings import Settings

if TYPE_CHECKING:
    from appgov_lib.report import ReportResult


def build_sample(settings: Settings, *, full: bool = False, bars: Bars | None = None) -> None:
    """Start the sample tenant on loopback, extract it and build its warehouse, all by the sample's own calendar.

    A sample tenant that was extracted before is not read again unless `full`.
    """
    from appgov_lib.sample import AS_OF, NOW, running
    from appgov_lib.sample.calendar import FIRST_DAY
    from appgov_lib.store.build import build

    bars = bars or Bars(quiet=True)
    settings = replace(settings, tenant="sample", profile=Profile())
    done = any(snapshot.kind == "extract" for snapshot in read_snapshots(settings.raw_dir))
    if full or not done:
        bars.step("Extracting the sample tenant from a loopback server ...")
        with running() as tenant:
            extract(
                replace(settings, endpoint=tenant.endpoint),
                now=NOW.replace(tzinfo=None),
                # a real tenant has too many to read one by one; here they show what an import of them would
                also=("api_activity",),
                since=datetime.combine(FIRST_DAY, datetime.min.time()),
                credential=ReadyToken(tenant.token),
                progress=bars.rows,
            )
    else:
        bars.step("The sample tenant was extracted before; its snapshot is used again.")
    bars.step("Building the warehouse ...")
    build(settings, AS_OF, progress=bars.step)


def run_demo(settings: Settings, *, full: bool = False, bars: Bars | None = None) -> ReportResult:
    """Build the sample and its report; the same demo gives the same report every time."""
    from appgov_lib.report import build_report
    from appgov_lib.sample import AS_OF, NOW

    bars = bars or Bars(quiet=True)
    build_sample(settings, full=full, bars=bars)
    bars.step("Running the notebooks and writing the report ...")
    # a demo is the sample's own, but for how people are shown
    shown = {name: getattr(settings.profile, name) for name in ("pseudonymise", "min_users_shown")}
    return build_report(
        replace(settings, tenant="sample", profile=Profile(**shown)),
        AS_OF,
        now=NOW.replace(tzinfo=None),
        progress=bars.step,
    )
