"""How well the policies find what is planted in sample tenants of seeds they were not made on.

python tools/bench_recall.py [SEED...]      one table over all seeds, as Markdown

A tenant's answer key says which policy has to find which app, which findings would be defensible too (left out here),
and which apps must be left alone. Policies that no key speaks of find facts of ordinary apps, such as a secret that
lasts long; a second table lists all of them, with the tests that hold rows of their own.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

SEEDS = (101, 102, 103, 104, 105)
"""Seeds that no policy was made on."""
AS_OF, NOW = date(2026, 11, 15), datetime(2026, 11, 16)
FIRST_DAY = datetime(2026, 8, 17)
MOST_FALSE = 0.05
TESTS = Path(__file__).resolve().parent.parent / "tests" / "policies"


@dataclass
class Score:
    """Counts by policy, over all seeds."""

    found: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    about_quiet_apps: Counter[str] = field(default_factory=Counter)
    """Findings above info about apps that must be left alone, whatever the policy."""
    unjudged: Counter[str] = field(default_factory=Counter)
    """Findings of policies that no key speaks of."""

    @property
    def recall(self) -> float:
        """Share of what is planted that was found."""
        planted = self.found.total() + self.missed.total()
        return self.found.total() / planted if planted else 1.0

    @property
    def precision(self) -> float:
        """Share of what was found, by policies the keys speak of or about apps to be left alone, that is planted."""
        told = self.found.total() + self.false.total() + self.about_quiet_apps.total()
        return self.found.total() / told if told else 1.0

    def add(self, key: dict[str, Any], told: set[tuple[str, str]], mild: set[str]) -> None:
        """Count the findings (policy, app) of one tenant against its key; `mild` policies are of severity info."""
        expected = {(policy, app) for policy, app in key["expected_findings"]}
        tolerated = {(policy, app) for policy, app in key["tolerated_findings"]}
        judged = {policy for policy, _ in expected}
        quiet = {(who["app_id"], policy) for who in key["quiet"] for policy in who["must_not"]}
        self.found.update(policy for policy, _ in expected & told)
        self.missed.update(policy for policy, _ in expected - told)
        for policy, app in told - expected - tolerated:
            if policy not in mild and ((app, "*") in quiet or (app, policy) in quiet):
                self.about_quiet_apps[policy] += 1
            elif policy in judged:
                self.false[policy] += 1
            else:
                self.unjudged[policy] += 1


def findings(seed: int, folder: Path) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """The answer key of a tenant, and what the policies find in it: (policy, app id)."""
    from appgov_lib.extract.credentials import ReadyToken
    from appgov_lib.extract.run import extract
    from appgov_lib.sample import answer_key, running
    from appgov_lib.settings import Settings
    from appgov_lib.store.build import build
    from appgov_lib.store.warehouse import open_read_only

    with running(seed) as tenant:
        settings = Settings(home=folder, endpoint=tenant.endpoint, tenant="sample")
        credential = ReadyToken(tenant.token)
        extract(settings, now=NOW, also=("api_activity",), since=FIRST_DAY, credential=credential)
    with open_read_only(build(settings, AS_OF).path) as con:
        told = set(con.execute("SELECT policy_id, app_id FROM findings WHERE app_id IS NOT NULL").fetchall())
    return answer_key(seed), told


def table(score: Score) -> str:
    """One line for each policy the keys speak of, and the sum."""
    lines = ["| policy | planted | found | missed | false |", "|---|---:|---:|---:|---:|"]
    names = sorted({*score.found, *score.missed, *score.false, *score.about_quiet_apps})
    for name in names:
        false = score.false[name] + score.about_quiet_apps[name]
        planted = score.found[name] + score.missed[name]
        lines.append(f"| `{name}` | {planted} | {score.found[name]} | {score.missed[name]} | {false} |")
    planted, false = score.found.total() + score.missed.total(), score.false.total() + score.about_quiet_apps.total()
    lines.append(f"| all | {planted} | {score.found.total()} | {score.missed.total()} | {false} |")
    return "\n".join(lines)


def not_planted(score: Score, policies: Iterable[str], tests: Mapping[str, str]) -> str:
    """One line for each of `policies` that no key speaks of; `tests` has the text of every test file by its name."""
    lines = [
        "| not planted (tested with rows of its own) | tests | findings about ordinary apps |",
        "|---|---|---:|",
    ]
    for name in sorted({*policies} - {*score.found, *score.missed}):
        files = [file for file, text in sorted(tests.items()) if f'"{name}"' in text]
        listed = ", ".join(f"`{file}`" for file in files) or "none"
        lines.append(f"| `{name}` | {listed} | {score.unjudged[name]} |")
    return "\n".join(lines)


def test_files() -> dict[str, str]:
    """The text of the test files that run rules on rows of their own, by name."""
    return {path.name: path.read_text(encoding="utf-8") for path in TESTS.glob("test_policies_*.py")}


def main(*seeds: str) -> bool:
    """Print the table over the seeds; False when something planted is missed or too much is false."""
    from appgov_lib.detect.policy import load_policies

    score, policies = Score(), load_policies()
    mild = {policy.policy_id for policy in policies if policy.severity == "info"}
    for seed in [int(text) for text in seeds] or SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            score.add(*findings(seed, Path(folder)), mild)
        print(f"  seed {seed}: recall {score.recall:.3f}, precision {score.precision:.3f} so far", file=sys.stderr)
    print(table(score), "\n")
    print(f"recall {score.recall:.3f}, precision {score.precision:.3f}\n")
    print(not_planted(score, [policy.policy_id for policy in policies], test_files()))
    return score.recall == 1.0 and score.precision >= 1 - MOST_FALSE


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)
