"""Evaluating the policies and writing `findings` and `skipped_checks`."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from appgov_lib.detect import ledger
from appgov_lib.detect.baselines import write_baselines
from appgov_lib.detect.coverage import SkippedCheck, SkipReason, read_coverage, read_reach, too_young, why_not
from appgov_lib.detect.exceptions import RiskAcceptance, load_exceptions
from appgov_lib.detect.ledger import Finding
from appgov_lib.detect.policy import SEVERITIES, Policy, load_policies, policy_named
from appgov_lib.detect.write import write_table
from appgov_lib.errors import ConfigError, UserError
from appgov_lib.settings import Settings

POLICY_COLUMNS = (
    "service_principal_id",
    "app_id",
    "app_display_name",
    "subject",
    "measure",
    "threshold",
    "reason",
    "evidence",
)
_NUMBERS = ("measure", "threshold")
FINDING_TYPES = {
    "finding_id": "VARCHAR",
    "policy_id": "VARCHAR",
    "policy_title": "VARCHAR",
    "app_id": "VARCHAR",
    "service_principal_id": "VARCHAR",
    "display_name": "VARCHAR",
    "title": "VARCHAR",
    "subject": "VARCHAR",
    "severity": "VARCHAR",
    "confidence": "VARCHAR",
    "status": "VARCHAR",
    "state": "VARCHAR",
    "measure": "DOUBLE",
    "threshold": "DOUBLE",
    "reason": "VARCHAR",
    "evidence": "JSON",
    "mitre": "VARCHAR[]",
    "action": "VARCHAR",
    "judged": "BOOLEAN",
    "first_seen": "DATE",
    "last_seen": "DATE",
    "exception": "VARCHAR",
}
SKIPPED_TYPES = {
    "policy_id": "VARCHAR",
    "policy_title": "VARCHAR",
    "code": "VARCHAR",
    "source": "VARCHAR",
    "reason": "VARCHAR",
}
EXCEPTION_TYPES = {
    "policy": "VARCHAR",
    "app": "VARCHAR",
    "subject": "VARCHAR",
    "reason": "VARCHAR",
    "approver": "VARCHAR",
    "expires": "DATE",
    "state": "VARCHAR",
    "findings": "BIGINT",
}
_STATES = ("returned", "new", "open", "excepted", "resolved")


@dataclass(frozen=True)
class DetectResult:
    """What one run found and what it could not judge, in the order of the tables."""

    findings: tuple[Finding, ...]
    skipped: tuple[SkippedCheck, ...]


def run(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    as_of: dt.date,
    days: int = 7,
    extra: Path | None = None,
    keep: bool = True,
) -> DetectResult:
    """Evaluate every active and audit policy for the `days` ending with `as_of` and write the two tables.

    `extra` is a folder of the user's own policies; by default `policies/` in the home folder, where it exists.
    Findings that somebody accepted (`exceptions.toml` in the same folder) are excepted until that ends.
    The life cycle (new, open, returned, excepted, resolved) comes from `data/<tenant>/findings/`; `keep=False`
    neither reads nor writes it. Raises `UserError` naming the file when a built-in rule cannot be run.
    """
    own = extra or settings.policies_dir
    accepted = load_exceptions(extra or settings.exceptions_file)
    write_baselines(con, settings, own)
    if extra is None:
        extra = user_folder(settings)
    coverage = read_coverage(con)
    reach = read_reach(con)
    found: list[Finding] = []
    skipped: list[SkippedCheck] = []
    judged: set[str] = set()
    for policy in tenant_policies(settings, extra):
        if policy.status == "inactive":
            continue
        skip = why_not(policy, coverage) or too_young(policy, coverage, reach, as_of, days)
        if skip is None:
            try:
                found.extend(_accepted(row, accepted, as_of) for row in findings_of(con, policy, as_of, days))
                judged.add(policy.policy_id)
            except UserError as error:
                if policy.built_in:
                    raise
                skip = SkippedCheck(policy.policy_id, policy.title, SkipReason.RULE_FAILED, "", str(error))
        if skip is not None:
            skipped.append(skip)
    folder = settings.data_dir / "findings"
    before = ledger.read_before(folder, as_of) if keep else []
    shown, kept = ledger.advance(before, found, judged, {skip.policy_id for skip in skipped})
    shown.sort(key=_order)
    skipped.sort(key=lambda skip: skip.policy_id)
    write_table(con, "findings", FINDING_TYPES, map(vars, shown))
    write_table(con, "skipped_checks", SKIPPED_TYPES, map(vars, skipped))
    about = [(finding.policy_id, finding.ids, finding.subject) for finding in shown if finding.state != "resolved"]
    write_table(con, "policy_exceptions", EXCEPTION_TYPES, [_in_use(entry, about, as_of) for entry in accepted])
    if keep:
        ledger.write(folder, as_of, kept)
    return DetectResult(tuple(shown), tuple(skipped))


def tenant_policies(settings: Settings, extra: Path | None) -> tuple[Policy, ...]:
    """The policies of a tenant, with the thresholds its profile sets; raises `ConfigError` for one there is not."""
    policies = {policy.policy_id: policy for policy in load_policies(extra)}
    for policy_id, values in settings.profile.thresholds.items():
        if policy_id not in policies:
            raise ConfigError(f"{settings.profile.origin}: thresholds names the policy {policy_id!r}, which is none.")
        policies[policy_id] = policies[policy_id].with_thresholds(values)
    return tuple(policies.values())


def user_folder(settings: Settings) -> Path | None:
    """The folder of the user's own policies, None where there is none."""
    folder = settings.policies_dir
    return folder if (folder / "policies.toml").is_file() or (folder / "sigma").is_dir() else None


def _accepted(finding: Finding, accepted: tuple[RiskAcceptance, ...], as_of: dt.date) -> Finding:
    """The finding, with the words of the exception that covers it."""
    for exception in accepted:
        if exception.covers(finding.policy_id, finding.ids, finding.subject, as_of):
            return replace(finding, exception=exception.words)
    return finding


def findings_of(con: duckdb.DuckDBPyConnection, policy: Policy, as_of: dt.date, days: int = 7) -> list[Finding]:
    """What one policy finds within its scope; raises `UserError` naming its file if it cannot be run."""
    rows = _findings(policy, evaluate(con, policy, as_of, days), as_of)
    return [row for row in rows if policy.concerns(row.ids)]


def _in_use(exception: RiskAcceptance, about: list[tuple[str, tuple[str, str], str]], as_of: dt.date) -> dict[str, Any]:
    """An exception as a row: how many findings it matches, and whether it still holds."""
    matched = sum(exception.matches(*finding) for finding in about)
    used = "in use" if matched else "matches nothing"
    return {**asdict(exception), "state": "expired" if as_of > exception.expires else used, "findings": matched}


def test_policy(
    con: duckdb.DuckDBPyConnection,
    policy_id: str,
    as_of: dt.date,
    days: int = 7,  # noqa: PT028
    extra: Path | None = None,  # noqa: PT028
    thresholds: Mapping[str, float] | None = None,  # noqa: PT028
) -> pd.DataFrame:
    """What one policy finds for the `days` ending with `as_of`, with other `thresholds` if given; nothing is stored.

    Raises `ConfigError` for an unknown policy or threshold and `UserError` where its sources are missing or its rule
    fails.
    """
    policy = policy_named(policy_id, extra).with_thresholds(thresholds or {})
    coverage = read_coverage(con)
    skip = why_not(policy, coverage) or too_young(policy, coverage, read_reach(con), as_of, days)
    if skip is not None:
        raise UserError(f"The policy {policy_id} cannot be judged. {skip.reason}")
    rows = evaluate(con, policy, as_of, days)
    inside = [policy.concerns((str(row.service_principal_id), str(row.app_id))) for row in rows.itertuples()]
    return rows[pd.Series(inside, index=rows.index, dtype=bool)].reset_index(drop=True)


test_policy.__test__ = False  # type: ignore[attr-defined]  # a function of ours, not a test


def evaluate(con: duckdb.DuckDBPyConnection, policy: Policy, as_of: dt.date, days: int) -> pd.DataFrame:
    """Rows of one policy with exactly `POLICY_COLUMNS`; raises `UserError` naming its file if it cannot be run."""
    values: dict[str, Any] = {"as_of": as_of, "days": days, **policy.thresholds}
    try:
        statements = con.extract_statements(policy.sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise UserError(f"{policy.origin} must hold exactly one SELECT; put each rule into a file of its own.")
        unknown = sorted(statements[0].named_parameters - values.keys())
        if unknown:
            raise UserError(
                f"{policy.origin} uses ${unknown[0]}, which is neither $as_of, $days nor a threshold of the policy "
                f"{policy.policy_id}; add it under thresholds in policies.toml."
            )
        used = {name: values[name] for name in statements[0].named_parameters}
        rows = _read_only(con, statements[0], used)
    except duckdb.Error as error:
        if policy.built_in and isinstance(error, duckdb.OutOfMemoryException):
            raise  # not the rule's fault: a build begins anew with more; a user's own rule is skipped with its reason
        first = str(error).strip().splitlines()[0]
        raise UserError(f"The policy {policy.origin} cannot be run: {first}") from error
    if set(rows.columns) != set(POLICY_COLUMNS) or len(rows.columns) != len(POLICY_COLUMNS):
        wrong = sorted(set(rows.columns) ^ set(POLICY_COLUMNS)) or sorted(rows.columns)
        raise UserError(
            f"{policy.origin} must return exactly {', '.join(POLICY_COLUMNS)}; "
            f"missing or not expected: {', '.join(wrong)}."
        )
    return rows[list(POLICY_COLUMNS)]


def _read_only(con: duckdb.DuckDBPyConnection, statement: duckdb.Statement, values: dict[str, Any]) -> pd.DataFrame:
    """The rows of a SELECT that can change nothing: DuckDB takes an INSERT inside a WITH for a SELECT."""
    con.execute("BEGIN TRANSACTION READ ONLY")
    try:
        return con.execute(statement, values).df()
    finally:
        con.execute("ROLLBACK")


def _findings(policy: Policy, rows: pd.DataFrame, as_of: dt.date) -> list[Finding]:
    """Rows of a policy as findings, one an id (of several rows the one with the largest measure)."""
    chosen: dict[str, Finding] = {}
    texts = [_texts(rows[name]) for name in POLICY_COLUMNS if name not in _NUMBERS]
    numbers = [map(_number, rows[name].tolist()) for name in _NUMBERS]
    for *words, measure, threshold in zip(*texts, *numbers, strict=True):
        service_principal_id, app_id, name, subject, reason, evidence = words
        if not service_principal_id or not reason:
            raise UserError(f"{policy.origin} returned a row without service_principal_id or reason; filter such rows.")
        fingerprint = f"{policy.policy_id}|{service_principal_id}|{subject}"
        finding = Finding(
            finding_id=hashlib.sha256(fingerprint.encode()).hexdigest()[:16],
            policy_id=policy.policy_id,
            policy_title=policy.title,
            app_id=app_id,
            service_principal_id=service_principal_id,
            display_name=name,
            title=f"{policy.title}: {name or app_id or service_principal_id}",
            subject=subject,
            severity=policy.severity,
            confidence=policy.confidence,
            status=policy.status,
            state="new",
            measure=measure,
            threshold=threshold,
            reason=reason,
            evidence=_evidence(policy, evidence),
            mitre=policy.mitre,
            action=policy.action,
            judged=True,
            first_seen=as_of,
            last_seen=as_of,
        )
        other = chosen.get(finding.finding_id)
        if other is None or _weight(finding) > _weight(other):
            chosen[finding.finding_id] = finding
    return list(chosen.values())


def _weight(finding: Finding) -> tuple[float, str]:
    """Which of two rows about the same subject is told: the larger measure, then the later text."""
    return (-math.inf if finding.measure is None else finding.measure, finding.reason)


def _texts(column: pd.Series) -> list[str]:
    """The values as text, "" where there is none."""
    pairs = zip(column.tolist(), column.isna().tolist(), strict=True)
    return ["" if missing else str(value) for value, missing in pairs]


def _number(value: object) -> float | None:
    """A finite number, or None where it is not known."""
    number = math.nan if value is None or value is pd.NA else float(str(value))
    return number if math.isfinite(number) else None


def _evidence(policy: Policy, text: str) -> str:
    """The evidence as a JSON object; `UserError` if it is anything else."""
    try:
        parsed = json.loads(text or "{}")
    except ValueError as error:
        raise UserError(f"{policy.origin} returned evidence that is not JSON; build it with json_object().") from error
    if not isinstance(parsed, dict):
        raise UserError(f"{policy.origin} returned evidence that is not a JSON object; build it with json_object().")
    return json.dumps(parsed, ensure_ascii=False)


def _order(finding: Finding) -> tuple[int, int, str, str, str]:
    """Most severe first; within a severity what changed first; then by policy and name."""
    return (
        SEVERITIES.index(finding.severity),
        _STATES.index(finding.state),
        finding.policy_id,
        finding.display_name,
        finding.finding_id,
    )
