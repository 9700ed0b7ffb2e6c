"""Whether a policy can be judged at all: its sources against the table `coverage`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

import duckdb

from appgov_lib.detect.policy import Policy

READABLE = frozenset({"complete", "partial"})
_LOG_SHAPES = ("graph", "diagnostic", "log_analytics", "unified_audit", "hunting")
_STEMS = ("sign_ins", "directory_audits", "api_activity", "security_alerts")
_ACTIVITY = ("office_activity_unified_audit", "office_activity_log_analytics")
"""Imports of the records that an audit search gives, too."""


class SkipReason(StrEnum):
    """Why a policy was not evaluated. The first five are the states of a source that is not usable."""

    NOT_PERMITTED = "not_permitted"
    NOT_LICENSED = "not_licensed"
    FAILED = "failed"
    NOT_COLLECTED = "not_collected"
    PARTIAL = "partial"
    HISTORY_TOO_SHORT = "history_too_short"
    RULE_FAILED = "rule_failed"
    NOT_RUNNABLE = "not_runnable"

    @property
    def help(self) -> str:
        """What the reader can do about it."""
        return {
            SkipReason.NOT_PERMITTED: "grant the app that collects the data the permission that `appgov doctor` names",
            SkipReason.NOT_LICENSED: "the tenant needs another licence for this source, or an import of its logs",
            SkipReason.FAILED: "run `appgov extract` again; the log of the last run says what went wrong",
            SkipReason.NOT_COLLECTED: "run `appgov extract`, or import the log with `appgov import`",
            SkipReason.PARTIAL: "the rule concludes from absence and needs the whole of it; run `appgov extract` again",
            SkipReason.HISTORY_TOO_SHORT: "the rule compares with an earlier time; collect on",
            SkipReason.NOT_RUNNABLE: "take the rule out of the folder, or look at the same events elsewhere",
            SkipReason.RULE_FAILED: "correct the rule; `appgov policies test` shows the message",
        }[self]


@dataclass(frozen=True)
class SkippedCheck:
    """A policy that was not evaluated, which is neither a pass nor a finding."""

    policy_id: str
    policy_title: str
    code: SkipReason
    source: str
    """The source that is missing; "" where the rule itself failed."""
    reason: str
    """One sentence for the report."""


def _imports_of(source: str) -> tuple[str, ...]:
    """Names under which imported logs of the same kind stand in the coverage table."""
    if source == "audit_records":
        return _ACTIVITY
    return tuple(f"{stem}_{shape}" for stem in _STEMS if source.startswith(stem) for shape in _LOG_SHAPES)


def read_coverage(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, str]]:
    """Status and reason of each source."""
    rows = con.execute("SELECT source, status, coalesce(reason, '') FROM coverage ORDER BY source").fetchall()
    return {source: (status, reason) for source, status, reason in rows}


def why_not(policy: Policy, coverage: dict[str, tuple[str, str]]) -> SkippedCheck | None:
    """The reason `policy` cannot be judged with these sources; None if it can.

    An imported log stands in for the source of the same kind.
    """
    if policy.problem:
        text = (
            f"The rule {policy.policy_id} cannot be run: {policy.problem.rstrip('.')}; {SkipReason.NOT_RUNNABLE.help}."
        )
        return SkippedCheck(policy.policy_id, policy.title, SkipReason.NOT_RUNNABLE, "", text)
    for source in (*policy.requires, *policy.requires_complete):
        status, detail = _best(source, coverage)
        if status not in READABLE:
            return _skip(policy, source, status, detail)
        if status == "partial" and source in policy.requires_complete:
            return _skip(policy, source, status, detail)
    if policy.requires_any:
        states = [(source, *_best(source, coverage)) for source in policy.requires_any]
        if not any(status in READABLE for _, status, _ in states):
            source, status, detail = states[0]
            return _skip(policy, source, status, detail)
    return None


def read_reach(con: duckdb.DuckDBPyConnection) -> dict[str, dt.date]:
    """The day from which each source tells what changed: the start of a complete log, else its first reading."""
    rows = con.execute(
        "SELECT source, CAST(min(from_at) AS DATE) FROM coverage WHERE status = 'complete' AND from_at IS NOT NULL "
        "GROUP BY source UNION ALL SELECT source, CAST(min(read_at) AS DATE) FROM source_readings AS r "
        "ANTI JOIN (FROM coverage WHERE from_at IS NOT NULL) AS c USING (source) GROUP BY source ORDER BY source"
    ).fetchall()
    return dict(rows)


def too_young(
    policy: Policy, coverage: dict[str, tuple[str, str]], reach: dict[str, dt.date], as_of: dt.date, days: int
) -> SkippedCheck | None:
    """The reason `policy` cannot be compared with an earlier time; None if one of its histories goes back so far.

    The time is its threshold `days_history`, else the `days` of the period, before the end of the day `as_of`. For the
    period any log will do, also in part: what it shows did happen.
    """
    logs = [source for source in policy.requires_history if source.startswith(_STEMS)]
    by_events = "days_history" not in policy.thresholds and any(_best(log, coverage)[0] in READABLE for log in logs)
    if by_events or not policy.requires_history:
        return None
    needed = as_of + dt.timedelta(days=1 - int(policy.thresholds.get("days_history", days)))
    names = {name for source in policy.requires_history for name in (source, *_imports_of(source))}
    starts = [reach[name] for name in names if name in reach]
    if any(start <= needed for start in starts):
        return None
    source = policy.requires_history[0]
    since = f"goes back to {min(starts)}" if starts else "is not there"
    text = (
        f"The history of {' or '.join(policy.requires_history)} must go back to {needed} and {since}; "
        f"{SkipReason.HISTORY_TOO_SHORT.help}."
    )
    return SkippedCheck(policy.policy_id, policy.title, SkipReason.HISTORY_TOO_SHORT, source, text)


def _best(source: str, coverage: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """Status and reason of a source, or of an imported log that can stand in for it."""
    own = coverage.get(source, ("not_collected", ""))
    if own[0] == "complete":
        return own
    for status in ("complete", "partial"):
        for name in (source, *_imports_of(source)):
            if coverage.get(name, ("", ""))[0] == status:
                return coverage[name]
    return own


def _skip(policy: Policy, source: str, status: str, detail: str) -> SkippedCheck:
    """The skipped check for one missing source."""
    code = SkipReason(status) if status in set(SkipReason) else SkipReason.FAILED
    what = "is read only in part" if code is SkipReason.PARTIAL else f"is {code.replace('_', ' ')}"
    if code is SkipReason.FAILED:
        what = "could not be read"
    because = f" ({detail.rstrip('.')})" if detail else ""
    text = f"Source {source} {what}{because}; {code.help}."
    return SkippedCheck(policy.policy_id, policy.title, code, source, text)
