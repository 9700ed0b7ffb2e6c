"""What `appgov build` costs at the size of a large tenant, table by table, and whether the stated bounds hold.

python tools/bench_build.py HOME        one build, timed; prints JSON (what `make bench` runs in a process)
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

AS_OF = date(2026, 11, 15)
MOST_SECONDS, MOST_MB, MOST_GROWTH, MOST_POLICIES = 30.0, 2_048.0, 12.0, 20.0
POLICIES = 60
"""The bound on policies is for this many; fewer have as much less."""
NOISE = 1.25
"""A bound counts as broken beyond this factor: two runs on one idle machine differ by up to a quarter."""
SLOWEST = 10
AFTER = ("check_results", "anomalies", "findings", "chains", "remediation_actions")
"""What a build does after its SQL models."""


@dataclass(frozen=True)
class Cost:
    """One build of one tenant."""

    objects: int
    peak_mb: float
    """Of the build; evaluating the policies once more is not in it."""
    model_seconds: float
    """All SQL models, two at a time, and their checks."""
    models: dict[str, float]
    """Seconds of each SQL model, beside another."""
    after: dict[str, float]
    """Seconds of each later part."""
    policies: int
    policy_seconds: float
    """All policies evaluated one after the other; nothing is written."""
    rows: dict[str, int]


def once(home: Path) -> None:
    """Build `home`, evaluate the policies, and print what both took."""
    from appgov_lib.detect.coverage import read_coverage, why_not
    from appgov_lib.detect.policy import load_policies
    from appgov_lib.detect.run import evaluate
    from appgov_lib.settings import Settings
    from appgov_lib.store import build as builder
    from appgov_lib.store.warehouse import open_read_only

    begun: list[tuple[str, float]] = []
    models: dict[str, float] = {}
    run_model = vars(builder)["run_model"]

    def timed(con: Any, model: Any, *rest: Any) -> None:
        """Run one model and keep its seconds."""
        started = time.perf_counter()
        run_model(con, model, *rest)
        models[model.name] = time.perf_counter() - started

    vars(builder)["run_model"] = timed
    settings = Settings(home=home)
    result = builder.build(settings, AS_OF, 7, lambda name: begun.append((name, time.perf_counter())))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun.append(("", time.perf_counter()))
    seconds = {name: end - start for (name, start), (_, end) in pairwise(begun)}
    con = open_read_only(result.path)
    coverage = read_coverage(con)
    chosen = [policy for policy in load_policies() if policy.status != "inactive" and not why_not(policy, coverage)]
    started = time.perf_counter()
    for policy in chosen:
        evaluate(con, policy, AS_OF, 7)
    print(json.dumps({
        "peak_mb": peak,
        "model_seconds": sum(value for name, value in seconds.items() if name not in AFTER),
        "models": models,
        "after": {name: seconds[name] for name in AFTER},
        "policies": len(chosen),
        "policy_seconds": time.perf_counter() - started,
        "rows": dict(result.tables),
    }))  # fmt: skip


def costs(folder: Path, sizes: tuple[int, ...], run: Callable[[str, list[str], Path], float]) -> list[Cost]:
    """Make a tenant of each size and build it; `run` runs a process with its output in a file and gives its peak MB."""
    from bench_tenant import LargeTenant

    from appgov_lib.extract.snapshot import read_snapshots
    from appgov_lib.sample import running

    sample = folder / "sample"
    with running() as tenant:
        program = str(Path(__file__).with_name("bench_run.py"))
        run("the sample", [sys.executable, program, tenant.endpoint, str(sample), "2026-10-17"], folder / "out")
    (template,) = read_snapshots(sample / "data" / "sample" / "raw")
    found = []
    for size in sizes:
        home, told = folder / str(size), folder / f"{size}.json"
        LargeTenant(template, size).write(home / "data" / "sample" / "raw")
        run(f"build of {size:,}", [sys.executable, __file__, str(home)], told)
        found.append(Cost(objects=size, **json.loads(told.read_text(encoding="utf-8"))))
    return found


def table(found: list[Cost]) -> str:
    """The parts of each build, and the slowest models of the largest one."""
    largest = found[-1]
    head = " | ".join(f"{cost.objects:,}" for cost in found)
    lines = [f"| part | {head} |", "|---|" + "---:|" * len(found)]

    def row(name: str, value: Callable[[Cost], str]) -> None:
        """One line of the table."""
        lines.append(f"| {name} | {' | '.join(value(cost) for cost in found)} |")

    row("SQL models, seconds", lambda cost: f"{cost.model_seconds:.1f}")
    for part in AFTER:
        row(f"{part}, seconds", lambda cost, part=part: f"{cost.after[part]:.1f}")  # type: ignore[misc]
    row("policies", lambda cost: str(cost.policies))
    row("evaluating them, seconds", lambda cost: f"{cost.policy_seconds:.1f}")
    row("findings", lambda cost: f"{cost.rows['findings']:,}")
    row("rows of all tables", lambda cost: f"{sum(cost.rows.values()):,}")
    row("peak MB", lambda cost: f"{cost.peak_mb:,.0f}")
    slowest = sorted(largest.models, key=lambda name: -largest.models[name])[:SLOWEST]
    for name in slowest:
        row(f"`{name}`, seconds", lambda cost, name=name: f"{cost.models[name]:.2f}")  # type: ignore[misc]
    return "\n".join(lines)


def broken(found: list[Cost]) -> list[str]:
    """The bounds that do not hold, noise allowed for; growth is judged between the first size and the last."""
    first, last = found[0], found[-1]
    growth = last.model_seconds / first.model_seconds / (last.objects / first.objects / 10)
    judged = [
        ("seconds of the SQL models", last.model_seconds, MOST_SECONDS),
        ("peak MB", last.peak_mb, MOST_MB),
        ("growth of the SQL models for ten times the objects", growth, MOST_GROWTH),
        (f"seconds of {last.policies} policies", last.policy_seconds, MOST_POLICIES * last.policies / POLICIES),
    ]
    for name, value, most in judged:
        print(f"{name}: {value:,.1f}, wanted at most {most:,.1f}{'' if value <= most else ' (NOT HELD)'}")
    return [name for name, value, most in judged if value > most * NOISE]


if __name__ == "__main__":
    once(Path(sys.argv[1]))
