"""What is said about a run, before any form: numbers, the findings that changed, what was not read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appgov_lib import formats
from appgov_lib.terminal import clean

SEVERITIES = ("critical", "high", "medium", "low", "info")
LISTED = 10
CHANGED = ("new", "returned")


@dataclass(frozen=True)
class Line:
    """One finding as a message lists it. Names are a stranger's words: each form escapes them in its own way."""

    severity: str
    state: str
    title: str
    app: str

    def __post_init__(self) -> None:
        """Make one printable line of each."""
        for name in ("severity", "state", "title", "app"):
            object.__setattr__(self, name, clean(getattr(self, name), 120))


@dataclass(frozen=True)
class Message:
    """The result of one run of one tenant."""

    tenant: str
    as_of: str
    exit_code: int
    sentence: str
    failed: bool = False
    """No report was made."""
    open: Mapping[str, int] | None = None
    """Open findings by severity; None where there is no report."""
    states: Mapping[str, int] | None = None
    """Findings by state."""
    lines: tuple[Line, ...] = ()
    """New and returned findings, most severe first, at most `LISTED`."""
    more: int = 0
    """How many are not listed."""
    gaps: tuple[str, ...] = ()
    """Sources that were not read whole, with their status."""
    actions: int = 0
    folder: Path | None = None
    """The report."""
    digest: str = ""
    """The same for two runs with the same open findings, gaps and outcome."""

    def __post_init__(self) -> None:
        """Make one printable line of whatever services and names brought in."""
        object.__setattr__(self, "sentence", clean(self.sentence, 1_000))
        object.__setattr__(self, "gaps", tuple(clean(gap, 200) for gap in self.gaps))

    @property
    def title(self) -> str:
        """One line, for subjects and headings; without line ends whatever the tenant is called."""
        if self.failed:
            what = f"run failed (exit code {self.exit_code})"
        else:
            told = [f"{count} {name}" for name in SEVERITIES[:3] if (count := (self.open or {}).get(name))]
            weight = ", ".join(told) or "nothing of weight"
            what = f"week to {self.as_of}: {weight} open, {len(self.lines) + self.more} new"
        return formats.plain(f"[appgov] {self.tenant}: {what}", 200)

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """Name and value of what is counted."""
        if self.open is None:
            return []
        states = self.states or {}
        found = [(f"Open, {name}", str(self.open.get(name, 0))) for name in SEVERITIES]
        found += [(name.capitalize(), str(states.get(name, 0))) for name in ("new", "returned", "resolved", "excepted")]
        return [*found, ("Actions in the plan", str(self.actions))]

    @property
    def page(self) -> Path | None:
        """The report as one file that opens by itself; None where there is none."""
        found = self.folder / "report.html" if self.folder else None
        return found if found and found.is_file() else None


def message_of(
    tenant: str,
    as_of: str,
    exit_code: int,
    sentence: str,
    folder: Path | None,
    gaps: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Message:
    """The message about a run; `folder` is its report, None when there is none. A new warning is a change."""
    if folder is None:
        digest = _digest([as_of, "failed", exit_code, sentence])
        return Message(tenant, as_of, exit_code, sentence, failed=True, digest=digest)
    findings: list[dict[str, Any]] = json.loads((folder / "findings.json").read_bytes())
    counts = json.loads((folder / "run.json").read_bytes())["counts"]
    states: dict[str, int] = {}
    for finding in findings:
        states[finding["state"]] = states.get(finding["state"], 0) + 1
    changed = [finding for finding in findings if finding["state"] in CHANGED]
    changed.sort(key=lambda f: (SEVERITIES.index(f["severity"]), f["policy_id"], f["finding_id"]))
    lines = tuple(
        Line(
            f["severity"],
            f["state"],
            formats.plain(f["policy_title"], 120),
            formats.plain(f["display_name"] or f["app_id"] or "the tenant", 80),
        )
        for f in changed[:LISTED]
    )
    still = sorted(f"{f['finding_id']} {f['severity']}" for f in findings if f["state"] in ("new", "open", "returned"))
    return Message(
        tenant,
        as_of,
        exit_code,
        sentence,
        open=counts["open_findings"],
        states=states,
        lines=lines,
        more=len(changed) - len(lines),
        gaps=tuple(gaps),
        actions=counts["actions"],
        folder=folder,
        digest=_digest([*still, *gaps, *warnings]),
    )


def _digest(parts: Sequence[object]) -> str:
    """A hash over what a reader would call the same."""
    return hashlib.sha256(json.dumps(list(parts), default=str).encode()).hexdigest()[:16]
