"""The life of a finding over runs: one small JSON file an as-of date, compared only with earlier dates.

A run reads the newest file of a strictly earlier date and writes its own, so running twice gives the same bytes.
Each file carries everything needed to go on: open findings, and those that ended, so that one that comes back
is called returned and keeps the date it was first seen.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from appgov_lib.errors import UserError
from appgov_lib.settings import private_write

_ENTRY = json.JSONEncoder(sort_keys=True, default=str)


@dataclass(frozen=True)
class Finding:
    """One policy holding for one subject of one service principal. Dates are as-of dates."""

    finding_id: str
    """First 16 hex digits of sha256("policy_id|service_principal_id|subject")."""
    policy_id: str
    policy_title: str
    app_id: str
    service_principal_id: str
    display_name: str
    title: str
    subject: str
    """What inside the app it is about, e.g. a key id; "" = the app."""
    severity: str
    confidence: str
    status: str
    """Of the policy: active or audit."""
    state: str
    """new, open, returned, excepted or resolved."""
    measure: float | None
    threshold: float | None
    reason: str
    evidence: str
    """JSON object."""
    mitre: tuple[str, ...]
    action: str
    """What the action plan starts from, from the policy."""
    judged: bool
    """False: the policy was skipped in this run and the finding is carried over from an earlier one."""
    first_seen: dt.date
    last_seen: dt.date
    exception: str = ""
    """Of an excepted finding: who accepted it, why, and until when."""

    @property
    def ids(self) -> tuple[str, str]:
        """The ids by which its app is known."""
        return self.service_principal_id, self.app_id


def advance(
    earlier: Iterable[Finding], found: Iterable[Finding], judged: Collection[str], skipped: Collection[str]
) -> tuple[list[Finding], list[Finding]]:
    """Bring the findings of this run together with those of the run before.

    `found` hold first_seen = last_seen = this run's date, and `exception` where somebody accepted them; `judged` and
    `skipped` name the policies evaluated and not evaluated now. Returns what the report shows and what the ledger
    keeps. A finding of a skipped policy stays open: that nobody looked does not resolve it. One of a policy that is
    gone or inactive is kept, not shown.
    """
    before = {finding.finding_id: finding for finding in earlier}
    shown: list[Finding] = []
    kept: list[Finding] = []
    for finding in found:
        old = before.pop(finding.finding_id, None)
        if finding.exception:
            state = "excepted"
        elif old is None:
            state = "new"
        else:
            state = "returned" if old.state in ("resolved", "excepted") else "open"
        now = replace(finding, state=state, first_seen=old.first_seen if old else finding.first_seen)
        shown.append(now)
        kept.append(now)
    for old in before.values():
        if old.state == "resolved":
            kept.append(old)
        elif old.policy_id in judged:
            ended = replace(old, state="resolved", judged=True)
            shown.append(ended)
            kept.append(ended)
        elif old.policy_id in skipped:
            carried = replace(old, state="excepted" if old.exception else "open", judged=False)
            shown.append(replace(carried, reason=f"Not judged in this run; as of {old.last_seen}: {old.reason}"))
            kept.append(carried)
        else:
            kept.append(old)
    return shown, sorted(kept, key=lambda finding: finding.finding_id)


def read_before(folder: Path, as_of: dt.date) -> list[Finding]:
    """The findings kept by the newest ledger of a date before `as_of`; [] if there is none."""
    names = sorted(path for path in folder.glob("????-??-??.json") if path.stem < as_of.isoformat())
    if not names:
        return []
    path = names[-1]
    try:
        return [_from_json(entry) for entry in json.loads(path.read_text(encoding="utf-8"))["findings"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The record of findings {path} is damaged ({error}); restore it or delete it, then build again."
        ) from error


def write(folder: Path, as_of: dt.date, kept: Iterable[Finding]) -> Path:
    """Write the ledger of `as_of`, replacing an earlier one of the same date; return its path."""
    # a line each: with `indent` the encoder of the standard library is ten times as slow
    entries = ",\n".join(_ENTRY.encode(vars(finding)) for finding in kept)
    path = folder / f"{as_of.isoformat()}.json"
    private_write(path, f'{{"as_of": "{as_of.isoformat()}", "findings": [\n{entries}\n]}}\n'.encode())
    return path


def _from_json(entry: dict[str, object]) -> Finding:
    """One ledger entry back to a finding; raises KeyError or ValueError where a field is missing or wrong."""
    values = {"exception": "", **{field.name: entry[field.name] for field in fields(Finding) if field.name in entry}}
    if len(values) < len(fields(Finding)):
        raise KeyError("a finding lacks a field")
    for name in ("first_seen", "last_seen"):
        values[name] = dt.date.fromisoformat(str(values[name]))
    values["mitre"] = tuple(str(item) for item in values["mitre"])  # type: ignore[attr-defined]
    return Finding(**values)  # type: ignore[arg-type]
