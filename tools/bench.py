"""`make bench`: what the parts cost, beside what a plain way of doing the same costs, all in one run.

Every row is a process of its own, so its time holds start-up and imports and its peak memory is its own. Machines are
noisy: read the ratios, not the seconds. Sizes are options, so that a first look takes a minute:

    .venv/bin/python tools/bench.py --objects 20000
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
WAYS = HERE / "bench_ways.py"
TABLES = ("extraction", "proof", "kills", "build", "detections", "recall", "anomalies", "pipeline", "report")


@dataclass(frozen=True)
class Row:
    """One measured process."""

    name: str
    items: int
    seconds: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Items per second."""
        return self.items / self.seconds


def measure(
    name: str,
    items: int,
    arguments: list[str],
    env: dict[str, str] | None = None,
    output: IO[bytes] | int = subprocess.DEVNULL,
) -> Row:
    """Run `arguments` as a process; its wall time and its peak resident memory in MB (0 where the system hides it)."""
    started = time.perf_counter()
    process = subprocess.Popen(arguments, env={**os.environ, **(env or {})}, stdout=output)  # noqa: S603
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(process.pid, 0)
        code, peak = os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024
        process.returncode = code
    else:
        code, peak = process.wait(), 0.0
    if code:
        raise SystemExit(f"{name} failed with exit code {code}.")
    return Row(name, items, time.perf_counter() - started, peak)


def median(name: str, runs: int, once: Callable[[], Row]) -> Row:
    """The run in the middle by time."""
    rows = sorted((once() for _ in range(runs)), key=lambda row: row.seconds)
    print(f"  {name}: {', '.join(f'{row.seconds:.1f} s' for row in rows)}", file=sys.stderr)
    return rows[len(rows) // 2]


def extraction(objects: int, model_objects: int, runs: int) -> list[Row]:
    """Service principals from the same loopback server into DuckDB: ours, bare httpx, SDK models into pandas."""
    from appgov_lib.sample import running

    rows = []
    with tempfile.TemporaryDirectory() as folder, running(service_principals=objects, activity=0.0001) as tenant:
        address = [tenant.endpoint, tenant.token]

        def way(name: str, count: int) -> Row:
            """One run of one way, in a folder of its own."""
            place = Path(folder) / name
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            return measure(name, count, [sys.executable, str(WAYS), name, *address, str(place), str(count)])

        for name, count, times in (("appgov", objects, runs), ("httpx", objects, runs), ("models", model_objects, 1)):
            rows.append(median(name, times, lambda name=name, count=count: way(name, count)))  # type: ignore[misc]
    return rows


def pipeline() -> list[Row]:
    """The verbs on the sample tenant, and the smallest one."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        env = {"APPGOV_HOME": folder}
        verb = [sys.executable, "-m", "appgov_lib"]
        rows.append(median("appgov --help", 5, lambda: measure("appgov --help", 1, [*verb, "--help"], env)))
        rows.append(measure("appgov demo", 1, [*verb, "demo", "--quiet"], env))
        rows.append(measure("appgov build", 1, [*verb, "build", "--quiet"], env))
        rows.append(measure("appgov report", 1, [*verb, "report", "--quiet"], env))
    return rows


def proof(objects: int) -> bool:
    """Print whether a disturbed extraction equals an undisturbed one; False when a fact does not hold."""
    import bench_proof

    def run(name: str, count: int, arguments: list[str]) -> tuple[float, float]:
        """Seconds and peak MB of one process."""
        row = measure(name, count, arguments)
        print(f"  {name}: {row.seconds:.1f} s, {row.peak_mb:.0f} MB", file=sys.stderr)
        return row.seconds, row.peak_mb

    facts = bench_proof.proof(objects, run)
    print(bench_proof.table(facts), "\n")
    for name in bench_proof.failed(facts):
        print(f"Not proved: {name}\n")
    return not bench_proof.failed(facts)


def kills(objects: int) -> bool:
    """Print whether twenty kills leave a trace in the warehouse; False when they do."""
    import bench_kills

    from appgov_lib.sample import running

    started = time.perf_counter()
    size = {"service_principals": objects, "activity": 0.05}
    with tempfile.TemporaryDirectory() as folder, running(**size, faults="delay=0.02") as tenant:  # type: ignore[arg-type]
        calm = Path(folder) / "undisturbed"
        bench_kills.undisturbed(tenant.endpoint, calm, "2026-11-09")
        homes = bench_kills.killed(tenant.endpoint, Path(folder), "2026-11-09")
        one, found = bench_kills.built(calm), []
        for home in homes:
            tables, rows, differing = bench_kills.differences(one, bench_kills.built(home))
            found += differing
    print("| fact | found |\n|---|---:|")
    print(f"| kills | {bench_kills.KILLS} |\n| runs they hit | {len(homes)} |\n| tables compared | {tables} |")
    print(f"| rows compared in each | {rows:,} |\n| tables that differ | {len(found)} |")
    print(f"| seconds in all | {time.perf_counter() - started:.0f} |\n")
    for (name, column), reason in bench_kills.NOT_COMPARED.items():
        print(f"Not compared: {name}.{column}: {reason}.")
    for line in found:
        print(f"Differs: {line}")
    return not found


def builds(objects: int) -> bool:
    """Print what a build costs at a tenth of the size and at the size; False when a bound does not hold."""
    import bench_build

    def run(name: str, arguments: list[str], told: Path) -> float:
        """Peak MB of one process whose output goes to the file `told`."""
        with told.open("wb") as output:
            row = measure(name, 1, arguments, output=output)
        print(f"  {name}: {row.seconds:.1f} s, {row.peak_mb:.0f} MB", file=sys.stderr)
        return row.peak_mb

    with tempfile.TemporaryDirectory() as folder:
        found = bench_build.costs(Path(folder), (objects // 10, objects), run)
    print(bench_build.table(found), "\n")
    failed = bench_build.broken(found)
    for name in failed:
        print(f"Not held: {name}\n")
    return not failed


def detections() -> bool:
    """Print what all detections cost over twenty million rows of logs; False when the bound does not hold."""
    import bench_detect

    def run(name: str, arguments: list[str], told: Path) -> float:
        """Peak MB of one process whose output goes to the file `told`."""
        with told.open("wb") as output:
            row = measure(name, 1, arguments, output=output)
        print(f"  {name}: {row.seconds:.1f} s, {row.peak_mb:.0f} MB", file=sys.stderr)
        return row.peak_mb

    with tempfile.TemporaryDirectory() as folder:
        told, peak = bench_detect.costs(Path(folder), run)
    print(bench_detect.table(told, peak), "\n")
    return bench_detect.detections(told) <= bench_detect.MOST_SECONDS * bench_detect.NOISE


def anomalies(apps: int) -> bool:
    """Print how well and how fast anomalies are found; False when a bound does not hold."""
    import bench_anomalies as found

    print(f"{len(found.SEEDS)} tenants of {found.APPS} apps, 5 % attacked; precision, recall and F1 count apps\n")
    counts = found.compare()
    print(found.table(counts), "\n")
    print("Other shares of attacked apps, other budgets\n")
    print(found.budget_table(), "\n")
    print("Found, by shape of the app and kind of attack\n")
    print(found.recall_table(), "\n")
    fast, in_time = found.speed(apps)
    print(fast, "\n")
    ours = counts["appgov"][0]
    return in_time and ours.f1 >= found.WANTED_F1 and ours.precision >= found.WANTED_PRECISION


def table(rows: list[Row], base: str = "") -> str:
    """The rows as Markdown; with `base`, how many times that row's rate each one reaches."""
    reference = next((row.rate for row in rows if row.name == base), None)
    head = ["way", "items", "seconds", "items/s", "peak MB"] + ([f"times {base}"] if reference else [])
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row in rows:
        cells = [row.name, f"{row.items:,}", f"{row.seconds:.2f}", f"{row.rate:,.1f}", f"{row.peak_mb:.0f}"]
        lines.append("| " + " | ".join(cells + ([f"{row.rate / reference:.2f}"] if reference else [])) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the benchmarks asked for and print their tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--objects", type=int, default=110_000, help="service principals to extract")
    options.add_argument("--model-objects", type=int, default=1_500, help="of them through SDK models (slow)")
    options.add_argument("--runs", type=int, default=3, help="runs of each fast way; the median is shown")
    options.add_argument("--kill-objects", type=int, default=5_000, help="service principals of the run that is killed")
    options.add_argument("--anomaly-apps", type=int, default=20_000, help="apps of five metrics each, for speed")
    options.add_argument("--only", choices=TABLES, help="one table")
    chosen = options.parse_args()
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    held = []
    if chosen.only in (None, "extraction"):
        print("Service principals over HTTP into DuckDB (items are objects)\n")
        rows = extraction(chosen.objects, min(chosen.model_objects, chosen.objects), chosen.runs)
        print(table(rows, base="models"), "\n")
    if chosen.only in (None, "proof"):
        print(f"The directory of {chosen.objects:,} service principals, disturbed and undisturbed\n")
        held.append(proof(chosen.objects))
    if chosen.only in (None, "kills"):
        print(f"{chosen.kill_objects:,} service principals, killed 20 times, against an undisturbed run\n")
        held.append(kills(chosen.kill_objects))
    if chosen.only in (None, "build"):
        print(f"`appgov build` of {chosen.objects:,} service principals and of a tenth\n")
        held.append(builds(chosen.objects))
    if chosen.only in (None, "detections"):
        print("All detections over 90 days of 20,000 apps, 20 million rows of logs\n")
        held.append(detections())
    if chosen.only in (None, "recall"):
        import bench_recall

        print("What is planted in sample tenants of other seeds, and what is found\n")
        held.append(bench_recall.main())
    if chosen.only in (None, "anomalies"):
        print("Anomalies\n")
        held.append(anomalies(chosen.anomaly_apps))
    if chosen.only in (None, "pipeline"):
        print("The verbs on the sample tenant\n")
        print(table(pipeline()), "\n")
    if chosen.only in (None, "report"):
        import bench_report

        print(f"The report of the sample tenant and of one of {bench_report.APPS:,} apps, written and opened\n")
        held.append(bench_report.made_and_reported(bench_report.APPS))
    if not all(held):
        raise SystemExit("What was to be proved does not hold; see above.")


if __name__ == "__main__":
    main()
