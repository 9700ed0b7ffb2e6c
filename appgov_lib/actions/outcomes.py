"""What became of the actions of earlier plans: done, open, failed, undone, found again.

One small JSON file an as-of date holds every action ever planned; a build compares with the newest of an earlier date,
so that running twice gives the same bytes. What was carried out is read from the journals of runs that began before the
data was read: a later one says nothing about this data.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import duckdb

from appgov_lib.actions.journal import all_runs, read
from appgov_lib.detect.write import write_table
from appgov_lib.errors import ConfigError, UserError
from appgov_lib.settings import Settings, private_write

OUTCOMES = ("open", "failed", "undone", "found again", "done")
OUTCOME_TYPES = {
    "action_id": "VARCHAR",
    "action_type": "VARCHAR",
    "app_id": "VARCHAR",
    "service_principal_id": "VARCHAR",
    "display_name": "VARCHAR",
    "title": "VARCHAR",
    "severity": "VARCHAR",
    "disposition": "VARCHAR",
    "risk_removed": "DOUBLE",
    "outcome": "VARCHAR",
    "detail": "VARCHAR",
    "run": "VARCHAR",
    "first_planned": "DATE",
    "last_planned": "DATE",
    "ended_on": "DATE",
}
_FROM_PLAN = tuple(OUTCOME_TYPES)[:9]


@dataclass(frozen=True)
class Outcome:
    """One action over all plans; dates are as-of dates."""

    action_id: str
    action_type: str
    app_id: str
    service_principal_id: str
    display_name: str
    title: str
    severity: str
    disposition: str
    risk_removed: float
    outcome: str
    """One of `OUTCOMES`."""
    detail: str
    run: str
    """The last run that had to do with it; empty: none of ours."""
    first_planned: str
    last_planned: str
    ended_on: str | None
    """The first as-of date at which it was no longer planned."""


@dataclass(frozen=True)
class Carried:
    """What the journals say of one action: applied, failed or undone, by which run."""

    state: str
    run: str
    detail: str


def write_outcomes(con: duckdb.DuckDBPyConnection, settings: Settings, as_of: dt.date) -> None:
    """Write the table `action_outcomes` and the record of this as-of date."""
    read_at = con.execute("SELECT value FROM run_info WHERE key = 'data_read_at'").fetchone()
    result = con.execute(f"SELECT {', '.join(_FROM_PLAN)} FROM remediation_actions ORDER BY priority").fetchall()
    planned = [dict(zip(_FROM_PLAN, row, strict=True)) for row in result]
    folder = settings.data_dir / "plans"
    found = advance(_before(folder, as_of), planned, carried(settings, str(read_at[0]) if read_at else ""), as_of)
    lines = ",\n".join(json.dumps(asdict(outcome), sort_keys=True) for outcome in found)
    private_write(folder / f"{as_of}.json", f'{{"as_of": "{as_of}", "actions": [\n{lines}\n]}}\n'.encode())
    write_table(con, "action_outcomes", OUTCOME_TYPES, map(_row, found))


def advance(
    before: Iterable[Outcome], planned: Iterable[Mapping[str, Any]], done: Mapping[str, Carried], as_of: dt.date
) -> list[Outcome]:
    """Bring the actions known before together with the plan of now and with what was carried out."""
    known = {outcome.action_id: outcome for outcome in before}
    today, result = as_of.isoformat(), []
    for action in planned:
        old, run = known.pop(action["action_id"], None), done.get(action["action_id"])
        outcome, detail = _of_planned(old, run)
        result.append(
            Outcome(
                **{name: action[name] for name in _FROM_PLAN},
                outcome=outcome,
                detail=detail,
                run=run.run if run else "",
                first_planned=old.first_planned if old else today,
                last_planned=today,
                ended_on=None,
            )
        )
    for old in known.values():
        run = done.get(old.action_id)
        ended = old.ended_on or today
        if run is None:
            words = "no longer planned; changed by hand, or the finding ended by itself"
            result.append(replace(old, outcome="done", detail=words, ended_on=ended))
        elif run.state == "applied":
            result.append(replace(old, outcome="done", detail=run.detail, run=run.run, ended_on=ended))
        elif run.state == "undone":
            result.append(replace(old, outcome="undone", detail=run.detail, run=run.run, ended_on=ended))
        else:
            words = f"no longer planned after a run that stopped: {run.detail}"
            result.append(replace(old, outcome="done", detail=words, run=run.run, ended_on=ended))
    return sorted(
        result, key=lambda outcome: (OUTCOMES.index(outcome.outcome), -outcome.risk_removed, outcome.action_id)
    )


def _of_planned(old: Outcome | None, run: Carried | None) -> tuple[str, str]:
    """(outcome, detail) of an action that is planned now."""
    if run is not None and run.state == "applied":
        return "found again", f"carried out, and needed again: {run.detail}"
    if run is not None:
        return run.state, run.detail
    if old is not None and (old.ended_on is not None or old.outcome == "found again"):
        return "found again", f"was gone on {old.ended_on}, and is needed again" if old.ended_on else old.detail
    return "open", "planned, not carried out"


def carried(settings: Settings, read_at: str) -> dict[str, Carried]:
    """What the journals say of each action, by runs that began before `read_at` (ISO, UTC); the last run counts."""
    found: dict[str, Carried] = {}
    limit = _moment(read_at)
    for run in all_runs(settings):
        try:
            told = read(settings, run)
        except ConfigError:
            continue  # `appgov actions runs` says which one is damaged; a build has to go on
        began = _moment(str(told.header["at"]))
        if limit and began and began > limit:
            continue
        steps: dict[str, list[str]] = {}
        for step in told.steps:
            steps.setdefault(step.action_id, []).append(step.outcome)
        for event in told.events:
            if event["event"] == "already_done":
                steps.setdefault(event["action_id"], []).append("done")
        for action in told.header["actions"]:
            wanted, outcomes = len(action["requests"]), steps.get(action["action_id"], [])
            when = f"by run {run}"
            if any(outcome in ("undone", "undo unknown") for outcome in outcomes):
                found[action["action_id"]] = Carried("undone", run, f"taken back {when}")
            elif outcomes.count("done") == wanted:
                found[action["action_id"]] = Carried("applied", run, when)
            elif outcomes:
                why = told.stopped or "it was broken off"
                found[action["action_id"]] = Carried("failed", run, f"{when}: {why}")
    return found


def _moment(text: str) -> dt.datetime | None:
    """A time of a journal or manifest, naive UTC; None for no text."""
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None) if text else None


def _before(folder: Path, as_of: dt.date) -> list[Outcome]:
    """The actions as the newest record of an earlier date knows them."""
    names = sorted(path for path in folder.glob("????-??-??.json") if path.stem < as_of.isoformat())
    if not names:
        return []
    try:
        entries = json.loads(names[-1].read_text(encoding="utf-8"))["actions"]
        return [Outcome(**{field.name: entry[field.name] for field in fields(Outcome)}) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The record of plans {names[-1]} is damaged ({error}); restore it or delete it, then build again."
        ) from error


def _row(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a row of the table."""
    days = {"first_planned": outcome.first_planned, "last_planned": outcome.last_planned, "ended_on": outcome.ended_on}
    return {**vars(outcome), **{key: dt.date.fromisoformat(day) if day else None for key, day in days.items()}}
