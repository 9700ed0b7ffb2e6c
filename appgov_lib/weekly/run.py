"""The weekly run of one tenant: what is done is not done again, what is missing is made up for, what fails is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from appgov_lib.as_of import last_week
from appgov_lib.errors import ConfigError, DiskFull, ExitCode, UserError, is_disk_full
from appgov_lib.lock import hold
from appgov_lib.settings import Settings
from appgov_lib.weekly import inputs
from appgov_lib.weekly.endings import endings
from appgov_lib.weekly.log import RunLog, where
from appgov_lib.weekly.outcome import STOPPED, Outcome
from appgov_lib.weekly.record import Record, read_record
from appgov_lib.weekly.space import check_space, remove_old_reports
from appgov_lib.weekly.supervise import StageEnd, run_stage

SKEW = timedelta(hours=1)
"""How far a clock may be set back without a word."""
_SNAPSHOT = re.compile(r"extract-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")
SEVERITIES = ("critical", "high", "medium", "low", "info")
Deliver = Callable[[Settings, Outcome, Record, RunLog], None]


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for."""

    quiet: bool = False
    again: bool = False
    """Do every stage anew."""
    fail_on: str = ""


class StageFailed(UserError):
    """A stage ended badly; carries how."""

    def __init__(self, end: StageEnd) -> None:
        """Take over its sentence and code."""
        super().__init__(end.error)
        self.end = end
        self.exit_code = ExitCode(end.code)


def run_tenant(settings: Settings, clock: Callable[[], datetime], wishes: Wishes, deliver: Deliver) -> Outcome:
    """Run one tenant to its end; nothing but a stop from outside is raised, all else is in the outcome."""
    now = clock()
    out = Outcome(settings.tenant, f"{now:%Y%m%dT%H%M%SZ}", last_week(now.date()).isoformat())
    log = RunLog(settings, out.run_id, clock)
    try:
        with hold(settings):
            _Run(settings, clock, now, wishes, out, log).go(deliver)
    except UserError as error:  # another run holds the tenant, or its folder cannot be made
        out.stop(error.exit_code, str(error))
    except OSError as error:
        full = is_disk_full(error)
        out.stop(
            DiskFull.exit_code if full else ExitCode.USAGE,
            str(DiskFull()) if full else f"{settings.data_dir} cannot be written ({type(error).__name__}).",
        )
    out.seconds = round((clock() - now).total_seconds(), 1)
    log("summary", **{key: value for key, value in out.line().items() if key not in ("tenant", "run_id")})
    return out


class _Run:
    """The state of one run."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime],
        now: datetime,
        wishes: Wishes,
        out: Outcome,
        log: RunLog,
    ) -> None:
        """Read what earlier runs left."""
        self.settings, self.clock, self.now, self.wishes, self.out, self.log = settings, clock, now, wishes, out, log
        self.as_of = date.fromisoformat(out.as_of)
        self.record = read_record(settings)

    def go(self, deliver: Deliver) -> None:
        """Do the run, say how it ended, hand the result on."""
        before = self.record.last_run
        if before and before.get("exit_code") is None:
            self.log("earlier run did not end", earlier=before.get("run_id"), stage=before.get("stage"))
        self.record.last_run = {"run_id": self.out.run_id, "began_at": self.now.isoformat(), "exit_code": None}
        try:
            self._work()
        except KeyboardInterrupt:
            self._stopped()
        except UserError as error:
            self.out.stop(error.exit_code, str(error))
        except Exception as error:  # noqa: BLE001 - a run nobody watches ends with a sentence, whatever happens
            full = is_disk_full(error)
            said = str(DiskFull()) if full else f"Internal error ({type(error).__name__}); please report it."
            self.out.stop(DiskFull.exit_code if full else ExitCode.INTERNAL, said)
            self.log("defect", kind=type(error).__name__, line=where(error))
        if not self.out.error:
            self.out.warnings += endings(self.settings, self.now)
            self.out.conclude(self._findings())
        if self.out.exit_code != STOPPED:
            self.record.last_run["stage"] = "deliver"
            self._save()
            try:
                deliver(self.settings, self.out, self.record, self.log)
            except KeyboardInterrupt:
                self._stopped()
            if self.out.undelivered and not self.out.error:
                self.out.conclude(self._findings())
        last = self.record.last_run
        last |= {"exit_code": self.out.exit_code, "sentence": self.out.sentence, "as_of": self.out.as_of}
        last["finished_at"] = self.clock().isoformat()
        self._save()

    def _stopped(self) -> None:
        """Note that somebody asked the run to end."""
        stage = self.record.last_run.get("stage") or "the beginning"
        self.out.stop(STOPPED, f"The run was stopped in the stage {stage}; the next run goes on there.")

    def _work(self) -> None:
        """All stages; raises `UserError` for what keeps the week's report from being made."""
        self._ready()
        missed, lost = self.record.missed(self.as_of)
        self.out.not_caught_up = [day.isoformat() for day in lost]
        self._read()
        for week in missed:
            try:
                self._make(week)
                self.out.caught_up.append(week.isoformat())
            except StageFailed as failed:
                self.out.notes.append(f"the missed week to {week} could not be made up for: {failed}")
        self._make(self.as_of)
        self._tidy()

    def _ready(self) -> None:
        """What can be known to be wrong before hours of reading is told before."""
        from appgov_lib.actions.automatic import load_settings
        from appgov_lib.store.retention import configured_days

        configured_days(profile=self.settings.profile)
        load_settings(self.settings)
        self._policies()
        self._clock_is_right()
        free, need = check_space(self.settings)
        self.log("begin", as_of=self.out.as_of, free_mb=free, expected_mb=need, again=self.wishes.again)
        self._save()

    def _policies(self) -> None:
        """Read the policies, exceptions and notebooks of the tenant once: a mistake in them stops here."""
        from appgov_lib.detect.exceptions import load_exceptions
        from appgov_lib.detect.run import tenant_policies, user_folder

        tenant_policies(self.settings, user_folder(self.settings))
        load_exceptions(self.settings.exceptions_file)
        inputs.of_report(self.settings)

    def _clock_is_right(self) -> None:
        """A clock that was set back would read the wrong weeks and call them read."""
        last = self.record.last_good
        snapshot = self.record.weeks.get(str(last.get("as_of")), {}).get("snapshot", "?")
        if last and not (self.settings.raw_dir / str(snapshot)).is_dir():
            # moved away, as the sentence below asks: what was made of it is not the last good run any more
            self.record.forget_after(self.now)
        good = str(self.record.last_good.get("finished_at", ""))
        folders = self.settings.raw_dir.glob("extract-*") if self.settings.raw_dir.is_dir() else ()
        starts = [found for p in folders if (found := _SNAPSHOT.match(p.name))]
        began = max(("{}-{}-{}T{}:{}:{}".format(*found.groups()) for found in starts), default="")
        latest = max(good, began)
        if latest and datetime.fromisoformat(latest) > self.now + SKEW:
            raise ConfigError(
                f"This machine's clock says {self.now.isoformat()}Z, which is before the last run ({latest}Z): set it "
                f"right. If it was wrong then, move the snapshot out of {self.settings.raw_dir} and run again."
            )

    # ---- reading ---------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Extract what the week still lacks: all of it, or the sources that could not be read."""
        week = self.record.week(self.as_of)
        there = (self.settings.raw_dir / str(week.get("snapshot", "?")) / "manifest.json").is_file()
        if self.wishes.again or not there or not week.get("sources"):
            week.pop("sources", None)
            week.pop("snapshot", None)
            self._extract()
        elif unread := [name for name, status in week["sources"].items() if status != "complete"]:
            self._extract(names=unread)
        else:
            self._skipped("extract")
        if not self.out.sources:
            self.out.sources = dict(week["sources"])

    def _extract(self, **spec: Any) -> None:
        """Read into a snapshot; one that an earlier run began is finished first, and then read on from."""
        week = self.record.week(self.as_of)
        end = self._stage("extract", **spec)
        if _about_raw(end.error) and self._repair():
            end = self._stage("extract", **spec)
        if end.error:
            raise StageFailed(end)
        ends = datetime.combine(self.as_of + timedelta(days=1), time())
        if datetime.fromisoformat(end.value["started_at"]).replace(tzinfo=None) < ends:
            end = self._stage("extract")  # what was finished just now was begun before the week was over
            if end.error:
                raise StageFailed(end)
        told = end.value["sources"]
        week["snapshot"] = end.value["snapshot"]
        week["sources"] = {**week.get("sources", {}), **{name: state["status"] for name, state in told.items()}}
        self.out.sources = dict(week["sources"])
        self.log(
            "read", snapshot=end.value["snapshot"], rows={n: s["rows"] for n, s in told.items()}, unread=self.out.unread
        )
        self._save()

    def _repair(self) -> bool:
        """Set damaged raw files aside and read again what they held; False when there was nothing to set aside."""
        end = self._stage("verify")
        if end.error:
            raise StageFailed(end)
        found = end.value["repaired"]
        for item in found:
            self.out.notes.append(item["sentence"])
            self.log("repaired", snapshot=item["snapshot_id"], files=item["files"], sources=item["sources"])
        read = [item for item in found if not item["imported"]]  # an export is not ours to read again
        names = sorted({name for item in read for name in item["sources"]})
        whole = any(item["whole"] for item in read)
        since = min((item["since"] for item in read if item["since"]), default=None)
        if (names or whole) and "snapshot" in self.record.week(self.as_of):
            oldest = self.now - timedelta(days=30)
            start = max(oldest, datetime.fromisoformat(since).replace(tzinfo=None)).isoformat() if since else None
            self._extract(names=[] if whole else names, since=oldest.isoformat() if whole else start)
        return bool(found)

    # ---- making ----------------------------------------------------------------------------------------------------

    def _make(self, as_of: date) -> None:
        """Build and report one week, as far as that was not done from the same inputs."""
        week = self.record.week(as_of)
        built = self._build(as_of, week)
        if as_of == self.as_of and (built or week.get("act_again")):
            week["act_again"] = self._act()
        report = self._report(as_of, week, fresh=built)
        if not built and report.error and report.kind not in ("TimedOut", "ConfigError", "DiskFull"):
            # DuckDB notices a damaged block only when it reads it; a warehouse made in this very run is not the reason
            self.out.notes.append("the warehouse could not be read to its end and was built anew")
            week.pop("built", None)
            self._build(as_of, week)
            report = self._report(as_of, week, fresh=True)
        if report.error:
            raise StageFailed(report)
        if as_of == self.as_of:
            self.out.report = Path(week["report"]["path"])
            self.out.failed = list(week["report"]["failed"])
            self.out.counts = json.loads((self.out.report / "run.json").read_bytes())["counts"]
        good = {"as_of": as_of.isoformat(), "finished_at": self.clock().isoformat(), "run_id": self.out.run_id}
        read = {"complete", "partial"} & set(self.out.sources.values())
        if read and good["as_of"] > self.record.last_good.get("as_of", ""):
            self.record.last_good = good
        self._save()

    def _build(self, as_of: date, week: dict[str, Any]) -> bool:
        """Build the warehouse; False when the current one is that very build already."""
        try:
            build_id, wanted = inputs.of_build(self.settings, as_of)
        except ConfigError as error:
            if not (_about_raw(str(error)) and self._repair()):
                raise
            build_id, wanted = inputs.of_build(self.settings, as_of)
        done = week.get("built", {})
        if done.get("inputs") == wanted and not self.wishes.again and inputs.usable(self.settings, build_id):
            self._skipped("build", as_of)
            return False
        end = self._stage("build", as_of)
        if _about_raw(end.error) and self._repair():
            _, wanted = inputs.of_build(self.settings, as_of)
            end = self._stage("build", as_of)
        if end.error:
            raise StageFailed(end)
        week["built"] = {"inputs": wanted, "file": end.value["file"], "build_id": end.value["build_id"]}
        self._save()
        return True

    def _act(self) -> bool:
        """Carry out what the tenant lets a run do by itself; a failure is told and does not hide the report.

        True when the stage did not come to its end, so that the next run goes on; what the tenant refused is not tried
        again.
        """
        from appgov_lib.actions.automatic import load_settings

        if load_settings(self.settings).mode == "off":
            return False
        end = self._stage("act")
        if end.error or not end.value["whole"]:
            why = end.error.rstrip(".") or "see their journal"
            self.out.notes.append(f"automatic actions were not all carried out: {why}")
        return bool(end.error)

    def _report(self, as_of: date, week: dict[str, Any], fresh: bool) -> StageEnd:
        """Run the notebooks, unless the report there is was made from this warehouse by these notebooks."""
        suite, done = inputs.of_report(self.settings), week.get("report", {})
        single = any(channel.attach for channel in self.settings.profile.channels)
        whole = done.get("warehouse") == week["built"]["file"] and done.get("suite") == suite and not done.get("failed")
        whole = whole and (not single or bool(done.get("single")))
        if not fresh and whole and (Path(done["path"]) / "index.html").is_file():
            self._skipped("report", as_of)
            return StageEnd("report", 0.0)
        told = {
            "run_id": self.out.run_id,
            "began_at": f"{self.now.isoformat()}Z",
            "caught_up": as_of != self.as_of,
            "stages": self.out.stages,
            "notes": self.out.notes,
            "inputs_sha256": week["built"]["inputs"],
            "policies_sha256": inputs.of_policies(self.settings),
        }
        end = self._stage("report", as_of, run=told, single=single)
        if not end.error:
            week["report"] = {
                "path": end.value["path"],
                "warehouse": week["built"]["file"],
                "suite": suite,
                "single": single,
                "failed": end.value["failed"],
            }
            self._save()
        return end

    def _tidy(self) -> None:
        """Drop what is older than the retentions; a failure is told and does not undo the report."""
        from appgov_lib.store.retention import configured_days

        if configured_days(profile=self.settings.profile) is not None:
            end = self._stage("prune")
            if end.error:
                self.out.notes.append(f"old raw rows were not pruned: {end.error.rstrip('.')}")
        for name in remove_old_reports(self.settings, self.now):
            self.log("report removed", as_of=name)

    # ---- stages ----------------------------------------------------------------------------------------------------

    def _stage(self, name: str, as_of: date | None = None, **spec: Any) -> StageEnd:
        """Run one stage and write down how it went."""
        seconds = 60.0 * self.settings.profile.budget_minutes.get(name, 120)
        day = (as_of or self.as_of).isoformat()
        self.record.last_run["stage"] = name
        self._save()
        shown = self.settings.profile.pseudonymise
        order = {"as_of": day, "quiet": self.wishes.quiet, "pseudonymise": shown, **spec}
        end = run_stage(
            self.settings,
            name,
            self.clock() if name != "report" else self.now,
            order,
            seconds=seconds,
            started=lambda pid: self.log("stage begins", stage=name, as_of=day, pid=pid),
        )
        self.out.stages.append({"stage": name, "as_of": day, "status": end.status, "seconds": end.seconds})
        self.log("stage ends", stage=name, as_of=day, status=end.status, seconds=end.seconds, code=end.code,
                 kind=end.kind, error=end.error, where=end.where)  # fmt: skip
        return end

    def _skipped(self, name: str, as_of: date | None = None) -> None:
        """Write down that there was nothing to do."""
        day = (as_of or self.as_of).isoformat()
        self.out.stages.append({"stage": name, "as_of": day, "status": "nothing to do", "seconds": 0.0})
        self.log("stage skipped", stage=name, as_of=day)

    def _save(self) -> None:
        """Keep the record; where it cannot be written the run goes on, and the next one does more than it must."""
        try:
            self.record.save()
        except OSError as error:
            self.log("record not written", kind=type(error).__name__)

    def _findings(self) -> int:
        """Open findings at or above the severity that was asked for."""
        wanted = self.wishes.fail_on or self.settings.profile.fail_on
        if not wanted:
            return 0
        found = self.out.counts["open_findings"]
        return sum(found.get(name, 0) for name in SEVERITIES[: SEVERITIES.index(wanted) + 1])


def _about_raw(sentence: str) -> bool:
    """Whether a failure is about raw data that cannot be read, so that looking at all of it is worth the time."""
    return "raw file" in sentence or "The manifest" in sentence
