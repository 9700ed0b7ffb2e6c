"""How a run of one tenant ended: its exit code, its sentence, and the one line a machine reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appgov_lib.errors import ExitCode

GRAVEST_FIRST = (ExitCode.INTERNAL, ExitCode.SIGN_IN, ExitCode.USAGE, ExitCode.BUSY, ExitCode.PARTIAL,
                 ExitCode.FINDINGS, ExitCode.DONE)  # fmt: skip
"""Which code a run over several tenants ends with."""
NAMED = 4
"""Sources named in the sentence; the line has all."""
STOPPED = 130
"""What a run ends with that was told to stop."""


@dataclass
class Outcome:
    """One tenant's run."""

    tenant: str
    run_id: str
    as_of: str = ""
    exit_code: int = int(ExitCode.DONE)
    sentence: str = ""
    error: bool = False
    """It ended before there was a report for the week."""
    report: Path | None = None
    """Folder of the week's report."""
    failed: list[str] = field(default_factory=list)
    """Notebooks that stopped."""
    sources: dict[str, str] = field(default_factory=dict)
    """Status of each source that was read for the week."""
    stages: list[dict[str, Any]] = field(default_factory=list)
    """Name, week, status and seconds, in order."""
    caught_up: list[str] = field(default_factory=list)
    """Missed weeks that were made up for."""
    not_caught_up: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was repaired or went wrong beside the report, a sentence each."""
    warnings: list[str] = field(default_factory=list)
    """What will keep a later run from its work, a sentence each."""
    counts: dict[str, Any] = field(default_factory=dict)
    """Of the report's run.json."""
    delivered: dict[str, str] = field(default_factory=dict)
    """`delivered`, `unchanged` or `failed: ...` by delivery."""
    seconds: float = 0.0

    @property
    def unread(self) -> dict[str, str]:
        """Sources that were not read whole."""
        return {name: status for name, status in sorted(self.sources.items()) if status != "complete"}

    @property
    def undelivered(self) -> list[str]:
        """Deliveries that failed."""
        return [name for name, how in self.delivered.items() if how.startswith("failed")]

    def conclude(self, findings: int) -> None:
        """Set code and sentence of a run that made its report; `findings` are those that `fail_on` asks for."""
        reasons = []
        if self.unread:
            named = ", ".join(f"{name} {status.replace('_', ' ')}" for name, status in [*self.unread.items()][:NAMED])
            more = f" and {len(self.unread) - NAMED} more" if len(self.unread) > NAMED else ""
            reasons.append(f"{_number(self.unread, 'source')} not read whole ({named}{more})")
        if self.failed:
            reasons.append(f"{_number(self.failed, 'notebook')} stopped ({', '.join(self.failed)})")
        reasons += self.notes
        if self.undelivered:
            reasons.append(f"{_number(self.undelivered, 'delivery')} failed ({', '.join(self.undelivered)})")
        week = f"the report for the week to {self.as_of}"
        if self.sources and set(self.sources.values()) == {"not_permitted"}:
            self.exit_code = int(ExitCode.SIGN_IN)
            self.sentence = f"Not one source may be read; {week} shows what was known before."
        elif reasons:
            self.exit_code = int(ExitCode.PARTIAL)
            self.sentence = f"Done in part: {week} is written, but {'; '.join(reasons)}."
        elif findings:
            self.exit_code = int(ExitCode.FINDINGS)
            self.sentence = f"Done: {week} is written; open findings of the severity asked for: {findings}."
        else:
            self.exit_code = int(ExitCode.DONE)
            self.sentence = f"Done: {week} is written."
        if self.caught_up:
            self.sentence += f" Missed weeks made up for: {', '.join(self.caught_up)}."
        self.sentence = " ".join([self.sentence, *self.warnings])

    def stop(self, code: int, sentence: str) -> None:
        """Set code and sentence of a run that ended before its report."""
        self.exit_code, self.sentence, self.error = int(code), sentence, True

    def line(self) -> dict[str, Any]:
        """All of it, for one line of JSON."""
        told: dict[str, Any] = {
            "tenant": self.tenant,
            "run_id": self.run_id,
            "as_of": self.as_of,
            "exit_code": self.exit_code,
            "sentence": self.sentence,
            "report": str(self.report / "index.html") if self.report else None,
            "failed": self.failed,
            "unread": self.unread,
            "stages": self.stages,
            "caught_up": self.caught_up,
            "not_caught_up": self.not_caught_up,
            "notes": self.notes,
            "warnings": self.warnings,
            "counts": self.counts,
            "delivered": self.delivered,
            "seconds": self.seconds,
        }
        return told | ({"error": self.sentence} if self.error else {})


def gravest(codes: list[int]) -> int:
    """The code that a run over several tenants ends with."""
    return next((int(code) for code in GRAVEST_FIRST if code in codes), max(codes, default=0))


def _number(items: Any, word: str) -> str:
    """`1 source was`, `3 sources were`, without the verb for what stops by itself."""
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"1 {word}" if len(items) == 1 else f"{len(items)} {plural}"
