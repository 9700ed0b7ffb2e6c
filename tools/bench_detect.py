"""What all detections cost over 90 days of a tenant of 20,000 apps with 20 million rows of logs.

    python tools/bench_detect.py both|tables|judge HOME ROWS [FILE]

One tenant, timed; prints JSON (`make bench` runs `both` in a process). With FILE the tables stay there, and `judge` can
be run again over the tables that `tables` made.

The tenant is made by `bench_tenant`. Its logs are multiplied in the staging tables, before anything is made of them:
a copy has another id, another app and another day, so that every app did something nearly every day.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import duckdb

AS_OF = date(2026, 11, 15)
APPS, ROWS, DAYS = 20_000, 20_000_000, 90
MOST_SECONDS, NOISE = 60.0, 1.25
TABLES = "SQL models"
SHARES = {"stg_sign_ins": 0.5, "stg_api_activity_sums": 0.45, "stg_directory_audits": 0.05}
"""Of the rows of all logs."""

_APPS = """CREATE OR REPLACE TEMP TABLE numbered AS
SELECT app_id, service_principal_id, row_number() OVER (ORDER BY app_id) - 1 AS number
FROM stg_service_principals WHERE service_principal_type IS NOT NULL AND app_id IS NOT NULL"""
_COPIES = {
    "stg_sign_ins": """INSERT INTO stg_sign_ins BY NAME
        SELECT log.* EXCLUDE (place, app_id, service_principal_id, sign_in_id, created_at),
            app.app_id, app.service_principal_id,
            log.sign_in_id || '-' || copy AS sign_in_id,
            log.created_at - (copy % 3) * INTERVAL 30 DAY + (copy % 59) * INTERVAL 1 SECOND AS created_at
        FROM (SELECT *, row_number() OVER (ORDER BY sign_in_id) AS place FROM stg_sign_ins) AS log
        CROSS JOIN range(1, $copies + 1) AS copies (copy)
        INNER JOIN numbered AS app ON app.number = (log.place * 7 + copy * 131) % $apps""",
    "stg_api_activity_sums": """INSERT INTO stg_api_activity_sums BY NAME
        SELECT log.* EXCLUDE (place, app_id, day, first_called_at, last_called_at), app.app_id,
            log.day - CAST(copy % 3 * 30 AS INTEGER) AS day,
            log.first_called_at - (copy % 3) * INTERVAL 30 DAY AS first_called_at,
            log.last_called_at - (copy % 3) * INTERVAL 30 DAY AS last_called_at
        FROM (SELECT *, row_number() OVER (ORDER BY app_id, day, workload, endpoint, method, status) AS place
            FROM stg_api_activity_sums) AS log
        CROSS JOIN range(1, $copies + 1) AS copies (copy)
        INNER JOIN numbered AS app ON app.number = (log.place * 7 + copy * 131) % $apps""",
    # what was done to apps stays as rare as it is: the copies are about people
    "stg_directory_audits": """INSERT INTO stg_directory_audits BY NAME
        SELECT log.* EXCLUDE (audit_id, activity_at, activity), 'Update user' AS activity,
            log.audit_id || '-' || copy AS audit_id,
            log.activity_at - (copy % 3) * INTERVAL 30 DAY + (copy % 59) * INTERVAL 1 SECOND AS activity_at
        FROM (SELECT * FROM stg_directory_audits) AS log
        CROSS JOIN range(1, $copies + 1) AS copies (copy)""",
}


def multiply(con: duckdb.DuckDBPyConnection, rows: int) -> None:
    """Multiply the logs to `rows` in all, spread over `DAYS` days that count as read."""
    con.execute(_APPS)
    apps = con.execute("SELECT count(*) FROM numbered").fetchall()[0][0]
    for table, share in SHARES.items():
        there = con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
        values = {"copies": max(1, round(rows * share / there)), "apps": apps}
        con.execute(_COPIES[table], {name: n for name, n in values.items() if f"${name}" in _COPIES[table]})
    con.execute(
        "INSERT INTO covered_days SELECT DISTINCT source, day - CAST(n * 30 AS INTEGER), is_complete "
        "FROM covered_days CROSS JOIN range(1, 3) AS earlier (n)"
    )


@dataclass
class Clock:
    """What each part took, in seconds on the clock and in seconds of the processors."""

    seconds: dict[str, float] = field(default_factory=dict)
    processors: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Keep what the block takes."""
        started, worked = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] = time.perf_counter() - started
        self.processors[name] = time.process_time() - worked


def tables(home: Path, rows: int, file: Path, clock: Clock) -> dict[str, int]:
    """Make the tables of `home` with so many rows of logs in the new file `file`; rows of each log."""
    from appgov_lib.extract.snapshot import read_snapshots
    from appgov_lib.settings import Settings
    from appgov_lib.store.build import make_models, readable_folders
    from appgov_lib.store.kept import read_ledger
    from appgov_lib.store.models import load_models
    from appgov_lib.store.warehouse import Scratch

    settings = Settings(home=home)
    file.parent.mkdir(parents=True, exist_ok=True)
    place = Scratch(file, readable_folders(settings))
    snapshots, ledger = read_snapshots(settings.raw_dir), read_ledger(settings)
    with clock.timed(TABLES):
        counts: dict[str, int] = {}

        def more(con: duckdb.DuckDBPyConnection) -> None:
            """Multiply the logs while they are there; steps on the way are dropped."""
            multiply(con, rows)
            counts.update({name: con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in SHARES})

        hands = (place.con, place.beside)
        make_models(hands, settings, snapshots, ledger, load_models(), AS_OF, 7, lambda _: None, more)
    place.seal().close()
    return counts


def judge(home: Path, file: Path, clock: Clock) -> dict[str, int]:
    """Run all detections over the tables in `file`, as a build does; rows of what they made."""
    from appgov_lib import detect
    from appgov_lib.detect.chains import write_chains
    from appgov_lib.settings import Settings
    from appgov_lib.store.scores import contributors, score
    from appgov_lib.store.warehouse import open_sealed

    con = open_sealed(file)
    with clock.timed("anomalies"):
        score(con)
    with clock.timed("their contributors"):
        contributors(con)
    with clock.timed("policies and findings"):
        detect.run(con, Settings(home=home), as_of=AS_OF, keep=False)
    with clock.timed("chains"):
        write_chains(con, AS_OF)
    found = {name: con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]
             for name in ("app_inventory", "daily_metrics", "anomalies", "findings", "chains",
                          "skipped_checks")}  # fmt: skip
    con.close()
    return found


def costs(folder: Path, run: Callable[[str, list[str], Path], float]) -> tuple[dict[str, dict[str, float]], float]:
    """Make the tenant in `folder` and measure it; `run` runs a process with its output in a file and gives peak MB."""
    from bench_tenant import LargeTenant

    from appgov_lib.extract.snapshot import read_snapshots
    from appgov_lib.sample import running

    home, told = folder / "sample", folder / "told.json"
    with running() as tenant:
        program = str(Path(__file__).with_name("bench_run.py"))
        run("the sample", [sys.executable, program, tenant.endpoint, str(home), "2026-10-17"], told)
    (template,) = read_snapshots(home / "data" / "sample" / "raw")
    large = folder / "large"
    LargeTenant(template, APPS).write(large / "data" / "sample" / "raw")
    peak = run(f"{ROWS:,} rows", [sys.executable, __file__, "both", str(large), str(ROWS)], told)
    return json.loads(told.read_text(encoding="utf-8")), peak


def table(told: dict[str, dict[str, float]], peak_mb: float) -> str:
    """What was measured, as Markdown."""
    lines = ["| part | measured |", "|---|---:|"]
    lines += [f"| rows of `{name}` | {count:,} |" for name, count in told["rows"].items()]
    lines += [f"| {name.replace('_', ' ')} | {count:,} |" for name, count in told["found"].items()]
    lines += [
        f"| {name}, seconds (of the processors) | {value:.1f} ({told['processors'][name]:.1f}) |"
        for name, value in told["seconds"].items()
    ]
    most = f"at most {MOST_SECONDS:.0f}, {NOISE:g} times that on a busy machine"
    lines += [
        f"| all detections, seconds (of the processors); {most} | {detections(told):.1f} "
        f"({detections(told, 'processors'):.1f}) |",
        f"| peak MB | {peak_mb:,.0f} |",
    ]
    return "\n".join(lines)


def detections(told: dict[str, dict[str, float]], of: str = "seconds") -> float:
    """Seconds of everything that is judged, the tables it is judged from left out."""
    return sum(value for name, value in told[of].items() if name != TABLES)


def main(command: str, home: Path, rows: int, file: Path | None) -> None:
    """Make the tables, judge them, or both; prints JSON."""
    clock, told = Clock(), {}
    with tempfile.TemporaryDirectory(dir=home) as place:
        where = file or Path(place) / "tables.duckdb"
        if command != "judge":
            told["rows"] = tables(home, rows, where, clock)
            where.with_suffix(".json").write_text(json.dumps(told["rows"]), encoding="utf-8")
        else:
            told["rows"] = json.loads(where.with_suffix(".json").read_text(encoding="utf-8"))
        told["found"] = judge(home, where, clock) if command != "tables" else {}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**asdict(clock), **told, "peak": {"MB": memory}}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)
