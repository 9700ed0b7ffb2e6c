"""The proof that extraction finishes, exactly, at any size: a disturbed run against an undisturbed one, fact by fact.

The disturbed run meets throttling, server errors, cut bodies, closed connections, and the end of its token in the
middle. Each run is a process of its own, watched from outside; what it kept is compared record by record.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appgov_lib.extract.snapshot import Snapshot, read_lines, read_snapshots
from appgov_lib.extract.sources import choose_sources
from appgov_lib.sample import running

RUN = Path(__file__).resolve().parent / "bench_run.py"
MOST_MB = 250
MOST_RATIO = 1.10
FAULTS = {"throttle": 0.05, "error": 0.02, "cut": 0.01, "reset": 0.01}
DIRECTORY = tuple(s.name for s in choose_sources(()) if s.workload == "directory" or s.name == "oauth_app_info")
"""Every list of the directory, and hunting's row for each app."""

Measure = Callable[[str, int, list[str]], tuple[float, float]]
"""Runs a process: seconds and peak resident memory in MB."""


@dataclass(frozen=True)
class Fact:
    """One row of the printed table; `holds` is None for what is only reported."""

    name: str
    undisturbed: str
    disturbed: str
    wanted: str = ""
    holds: bool | None = None


def proof(objects: int, measure: Measure, warm: bool = True) -> list[Fact]:
    """Both runs over a tenant of `objects` service principals, and what came of them.

    `warm` lets a run go before them, because the server makes some answers only when they are first asked for.
    """
    with tempfile.TemporaryDirectory() as folder, running(service_principals=objects, activity=0.0001) as tenant:

        def run(name: str) -> tuple[Snapshot, float, float, list[int]]:
            """One run: what it kept, seconds, MB, and the statuses the server answered with (0: closed)."""
            before = {entry["number"] for entry in tenant.control("requests")}
            home = Path(folder) / name
            arguments = [sys.executable, str(RUN), tenant.endpoint, str(home), "2026-11-09", *DIRECTORY]
            seconds, peak = measure(name, objects, arguments)
            (snapshot,) = read_snapshots(home / "data" / "sample" / "raw")
            answered = [e["status"] for e in tenant.control("requests") if e["number"] not in before]
            return snapshot, seconds, peak, answered

        if warm:
            run("first")
            shutil.rmtree(Path(folder) / "first")
        calm, calm_seconds, calm_peak, calm_answered = run("undisturbed")
        old = tenant.control("token")["token"]
        tenant.control("faults", {**FAULTS, "expire_token_after": len(calm_answered) // 2})
        rough, rough_seconds, rough_peak, rough_answered = run("disturbed")
        renewed = old != tenant.control("token")["token"]
        facts = _runs(calm, rough)
        facts.append(Fact("seconds", f"{calm_seconds:.1f}", f"{rough_seconds:.1f}"))
        peak_held = max(calm_peak, rough_peak) < MOST_MB
        facts.append(Fact("peak MB", f"{calm_peak:.0f}", f"{rough_peak:.0f}", f"< {MOST_MB}", peak_held))
        facts += _answers(Counter(calm_answered), Counter(rough_answered), renewed)
        facts += [_credentials(calm, rough), *_records(calm, rough)]
    return facts


def failed(facts: list[Fact]) -> list[str]:
    """The facts that do not hold."""
    return [fact.name for fact in facts if fact.holds is False]


def _runs(calm: Snapshot, rough: Snapshot) -> list[Fact]:
    """Whether every source is complete, and what it cost in requests."""
    total = len(DIRECTORY)
    complete = [sum(state.status == "complete" for state in run.sources.values()) for run in (calm, rough)]
    facts = [Fact("complete sources", str(complete[0]), str(complete[1]), str(total), complete == [total, total])]
    for run in (calm, rough):
        for name, state in run.sources.items():
            if state.status != "complete":
                print(f"  {name}: {state.status} {state.reason}", file=sys.stderr)
    asked = [sum(state.requests for state in run.sources.values()) for run in (calm, rough)]
    least = [sum(state.least_requests or 0 for state in run.sources.values()) for run in (calm, rough)]
    facts.append(Fact("requests", f"{asked[0]:,}", f"{asked[1]:,}"))
    facts.append(Fact("least requests", f"{least[0]:,}", f"{least[1]:,}"))
    ratio = [a / b for a, b in zip(asked, least, strict=True)]
    held = ratio[0] <= MOST_RATIO
    return [*facts, Fact("ratio", f"{ratio[0]:.3f}", f"{ratio[1]:.3f}", f"<= {MOST_RATIO:.2f} undisturbed", held)]


def _answers(calm: Counter[int], rough: Counter[int], renewed: bool) -> list[Fact]:
    """What the server did: that the faults were there, and that the old token was refused."""

    def row(name: str, *statuses: int) -> Fact:
        """How often these statuses were answered."""
        found = [sum(counter[status] for status in statuses) for counter in (calm, rough)]
        return Fact(name, str(found[0]), str(found[1]))

    rows = [row("answers 429", 429), row("answers 5xx", 500, 502, 503), row("connections closed", 0)]
    refused = Fact("old token refused (401)", str(calm[401]), str(rough[401]), "then some", rough[401] > 0)
    return [*rows, refused, Fact("token renewed", "no", _word(renewed), "yes", renewed)]


def _records(calm: Snapshot, rough: Snapshot) -> list[Fact]:
    """For each bucket the number of records and a hash over all of them, in sorted order."""
    facts = []
    for bucket in sorted({*calm.buckets, *rough.buckets}):
        one, other = content(calm, bucket), content(rough, bucket)
        shown = [f"{count:,} {digest[:12]}" for count, digest in (one, other)]
        facts.append(Fact(bucket, shown[0], shown[1], "the same", one == other))
    return facts


def _credentials(calm: Snapshot, rough: Snapshot) -> Fact:
    """Secrets and certificates on registrations and on service principals."""
    found = []
    for run in (calm, rough):
        files = [path for bucket in ("applications", "service_principals") for path in run.files(bucket)]
        records = (msgspec.json.decode(line, type=_Holder) for path in files for line in read_lines(path))
        found.append(sum(len(r.passwordCredentials) + len(r.keyCredentials) for r in records))
    return Fact("credentials in them", f"{found[0]:,}", f"{found[1]:,}", "the same", found[0] == found[1] > 0)


class _Holder(msgspec.Struct):
    """Whatever has credentials."""

    passwordCredentials: list[msgspec.Raw] = []
    keyCredentials: list[msgspec.Raw] = []


def content(snapshot: Snapshot, bucket: str) -> tuple[int, str]:
    """(records, hash): equal for two buckets that hold the same records, whatever their order; repeats count."""
    digests = sorted(hashlib.sha256(line).digest() for path in snapshot.files(bucket) for line in read_lines(path))
    return len(digests), hashlib.sha256(b"".join(digests)).hexdigest()


def _word(value: bool | None) -> str:
    """A judgement as a word."""
    return "" if value is None else "yes" if value else "NO"


def table(facts: list[Fact]) -> str:
    """The facts as Markdown."""
    lines = ["| fact | undisturbed | disturbed | wanted | holds |", "|---|---:|---:|---|---|"]
    lines += [f"| {f.name} | {f.undisturbed} | {f.disturbed} | {f.wanted} | {_word(f.holds)} |" for f in facts]
    return "\n".join(lines)
