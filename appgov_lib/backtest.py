"""What a policy would have found in each past week, so that a threshold is chosen by looking, not by guessing.

Each week the models that the policies need are made in a file of their own, from what the data said at the end of
that week, and thrown away again. Nothing of the warehouse or the record of findings is touched, and exceptions do not
count: it is the rule that is tried.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import duckdb
import pandas as pd

from appgov_lib.as_of import default_as_of
from appgov_lib.detect import Policy, findings_of, policy_named, user_folder
from appgov_lib.detect.baselines import write_baselines
from appgov_lib.detect.coverage import read_coverage, why_not
from appgov_lib.errors import ConfigError, UserError
from appgov_lib.extract.snapshot import Snapshot, read_snapshots
from appgov_lib.extract.sources import load_sources
from appgov_lib.settings import Settings, private_write
from appgov_lib.store.build import make_models, readable_folders
from appgov_lib.store.kept import Ledger, read_ledger
from appgov_lib.store.models import Model, load_models, needed_models
from appgov_lib.store.past import Past, as_known, cut_rows
from appgov_lib.store.scores import score
from appgov_lib.store.warehouse import scratch

MOST_CHOICES = 12
"""Combinations of thresholds tried in one go at most."""
_SCORED = ("daily_metrics", "app_usage_summary")
"""What the anomalies are made from."""
_IMPORTED = tuple(f"sign_ins_from_{shape}" for shape in ("graph", "diagnostic", "log_analytics", "unified_audit"))
"""What says which sign-in types an import holds."""


@dataclass(frozen=True)
class WeekRow:
    """One policy with one choice of thresholds in one week."""

    week: dt.date
    """Last day of the week."""
    policy_id: str
    thresholds: str
    """The thresholds judged with, e.g. "days_unused = 90"."""
    findings: int | None
    """None: not evaluated."""
    new: int | None
    """Findings that the week before had not; None where that is not known."""
    apps: int | None
    skipped: str
    """Why it was not evaluated; "" where it was."""
    state_as_of: dt.date | None
    """Day of the reading of the directory that was judged; later than `week`: no reading of that time is kept."""


def backtest(
    settings: Settings,
    policy_ids: Sequence[str],
    *,
    weeks: int = 13,
    given: Mapping[str, Sequence[float]] | None = None,
    as_of: dt.date | None = None,
    progress: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """What the policies would have found in each of the `weeks` weeks ending with `as_of`, oldest first.

    `given` holds the values to try of a threshold, by its name; of several, each combination is tried. `as_of` is by
    default the last whole day in the data; `progress` is told what is being made. Columns are those of `WeekRow`.
    Raises `ConfigError` for an unknown policy or threshold, and where there is no data.
    """
    tell = progress or (lambda _: None)
    snapshots = read_snapshots(settings.raw_dir)
    last = as_of or default_as_of(snapshots)
    if weeks < 1:
        raise ConfigError(f"The number of weeks is {weeks}; give 1 or more.")
    extra = user_folder(settings)
    own = settings.profile.thresholds
    named = [policy_named(name, extra).with_thresholds(own.get(name, {})) for name in dict.fromkeys(policy_ids)]
    tried = _choices(named, given or {})
    models = _needed(tried, snapshots)
    ledger, sources = read_ledger(settings), load_sources()
    rows: list[WeekRow] = []
    before: list[set[str] | None] = [None] * len(tried)
    for number in range(weeks):
        week = last - dt.timedelta(days=7 * (weeks - 1 - number))
        tell(f"week {number + 1} of {weeks}, to {week}")
        past = as_known(snapshots, sources, week)
        with scratch(settings.data_dir / "backtests", readable_folders(settings)) as file:
            _make((file.con, file.beside), settings, past, ledger, models)
            con = file.seal()
            if any("anomalies" in _words(policy) for policy in tried):
                score(con)
            write_baselines(con, settings)
            for index, policy in enumerate(tried):
                row, found = _judge(con, policy, past, before[index])
                rows.append(row)
                before[index] = found
    return _frame(rows)


def _choices(policies: list[Policy], given: Mapping[str, Sequence[float]]) -> list[Policy]:
    """Each policy with each combination of the values given for its thresholds."""
    for name in given:
        if not any(name in policy.thresholds for policy in policies):
            policies[0].with_thresholds({name: 0.0})  # says which thresholds there are
    tried = []
    for policy in policies:
        mine = {name: sorted(set(values)) for name, values in given.items() if name in policy.thresholds}
        choices = itertools.product(*mine.values())
        tried += [policy.with_thresholds(dict(zip(mine, values, strict=True))) for values in choices]
    if len(tried) > MOST_CHOICES * len(policies):
        raise ConfigError(
            f"These values make {len(tried)} combinations of thresholds; try {MOST_CHOICES} for a policy at most."
        )
    return tried


def _words(policy: Policy) -> set[str]:
    """The words of a rule, among them the tables it reads."""
    return set(re.findall(r"\w+", re.sub(r"'(?:[^']|'')*'|--.*", "", policy.sql)))


def _needed(policies: list[Policy], snapshots: Sequence[Snapshot]) -> list[Model]:
    """The models these policies read, and all those are made from, in build order."""
    words = set().union(*(_words(policy) for policy in policies))
    wanted = words & {model.name for model in load_models()}
    if "anomalies" in words:
        wanted |= set(_SCORED)
    if any(snapshot.kind == "import" for snapshot in snapshots):
        wanted |= set(_IMPORTED)
    return needed_models(wanted)


def _make(
    hands: Sequence[duckdb.DuckDBPyConnection], settings: Settings, past: Past, ledger: Ledger, models: list[Model]
) -> None:
    """Make the models as of one day."""

    def cut(con: duckdb.DuckDBPyConnection) -> None:
        """Take what is later than the day out of the staging tables."""
        cut_rows(con, past.as_of)

    make_models(hands, settings, past.snapshots, ledger, models, past.as_of, 7, lambda _: None, cut)


def _judge(
    con: duckdb.DuckDBPyConnection, policy: Policy, past: Past, before: set[str] | None
) -> tuple[WeekRow, set[str] | None]:
    """One policy in one week, and the ids of what it found; None where it was not evaluated."""
    row = WeekRow(
        week=past.as_of,
        policy_id=policy.policy_id,
        thresholds=", ".join(f"{name} = {value:g}" for name, value in policy.thresholds.items()),
        findings=None,
        new=None,
        apps=None,
        skipped="",
        state_as_of=_state_day(policy, past),
    )
    skip = why_not(policy, read_coverage(con))
    if skip is not None:
        return replace(row, skipped=skip.reason), None
    try:
        found = findings_of(con, policy, past.as_of)
    except UserError as error:
        return replace(row, skipped=str(error)), None
    ids = {finding.finding_id for finding in found}
    apps = {finding.service_principal_id for finding in found}
    new = None if before is None else len(ids - before)
    return replace(row, findings=len(ids), new=new, apps=len(apps)), ids


def _state_day(policy: Policy, past: Past) -> dt.date | None:
    """The day of the reading judged: of the sources the policy names, the one farthest from the week's end."""
    named = {*policy.requires, *policy.requires_complete, *policy.requires_any} & past.read_on.keys()
    days = [past.read_on[name] for name in named or past.read_on.keys() & {"service_principals"}]
    return max(days, key=lambda day: (abs(day - past.as_of), day), default=None)


_KINDS = {"findings": "Int64", "new": "Int64", "apps": "Int64"}


def _frame(rows: list[WeekRow]) -> pd.DataFrame:
    """The rows as a table; dates as ISO text, so that they read the same everywhere."""
    records = [{**asdict(row), "week": row.week.isoformat(), "state_as_of": _iso(row.state_as_of)} for row in rows]
    return pd.DataFrame(records).astype(_KINDS)


def _iso(day: dt.date | None) -> str | None:
    """A day as text."""
    return day.isoformat() if day else None


# ---- results kept for the notebook ---------------------------------------------------------------------------------


def result_path(settings: Settings, policy_id: str) -> Path:
    """Where the result of the last backtest of a policy is kept."""
    if not re.fullmatch(r"[a-z0-9-]+", policy_id):
        raise ConfigError(f"There is no policy {policy_id!r}; `appgov policies list` shows the ids.")
    return settings.data_dir / "backtests" / f"{policy_id}.json"


def save(settings: Settings, result: pd.DataFrame) -> None:
    """Keep the rows of each policy of a backtest in a file of its own, replacing the one before."""
    for policy_id, rows in result.groupby("policy_id", sort=True):
        text = rows.to_json(orient="records", indent=1)
        private_write(result_path(settings, str(policy_id)), text.encode() + b"\n")


def saved_or_run(settings: Settings, policy_id: str, weeks: int) -> pd.DataFrame:
    """The result kept of the last `appgov policies backtest` of this policy; without one, a backtest of `weeks`."""
    path = result_path(settings, policy_id)
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        return pd.DataFrame(records)[list(WeekRow.__dataclass_fields__)].astype(_KINDS)
    except FileNotFoundError:
        return backtest(settings, [policy_id], weeks=weeks)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The result {path} is damaged ({type(error).__name__}); run `appgov policies backtest {policy_id}` again."
        ) from error


def parse_choices(texts: Sequence[str]) -> dict[str, list[float]]:
    """`name=value` texts as values by name; raises `ConfigError` for anything else."""
    return {name: [value for _, value in pairs] for name, pairs in itertools.groupby(_pairs(texts), lambda p: p[0])}


def _pairs(texts: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Name and value of each text, ordered by name."""
    found = []
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            if not equals or not name.strip():
                raise ValueError
            number = float(value)
            if not -1e15 < number < 1e15:
                raise ValueError
        except ValueError:
            raise ConfigError(f"--set is {text!r}; write it as name=number, e.g. days_unused=60.") from None
        found.append((name.strip(), number))
    return iter(sorted(found))
