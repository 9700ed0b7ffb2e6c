"""Whether a policy can be judged at all: its sources against the table `coverage`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import duckdb

from appgov_lib.detect.policy import Policy

READABLE = frozenset({"complete", "partial"})
_LOG_SHAPES = ("graph", "diagnostic", "log_analytics", "unified_audit", "hunting")
_STEMS = ("sign_ins", "directory_audits", "api_activity", "security_alerts")


class SkipReason(StrEnum):
    """Why a policy was not evaluated. The first five are the states of a source that is not usable."""

    NOT_PERMITTED = "not_permitted"
    NOT_LICENSED = "not_licensed"
    FAILED = "failed"
    NOT_COLLECTED = "not_collected"
    PARTIAL = "partial"
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
