"""`make bench` proves that a disturbed extraction is exact; here it proves it of a small tenant, and can fail."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType

from checkout import ROOT

from appgov_lib.extract.snapshot import SnapshotWriter


def load() -> ModuleType:
    """tools/bench_proof.py as a module."""
    spec = importlib.util.spec_from_file_location("bench_proof", ROOT / "tools" / "bench_proof.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_proof"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


proof = load()


def test_a_disturbed_run_of_a_small_tenant_is_exact() -> None:
    """Faults, and a token that ends in the middle; memory is not measured here."""

    def run(_name: str, _count: int, arguments: list[str]) -> tuple[float, float]:
        """One extraction."""
        subprocess.run(arguments, check=True)
        return 1.0, 1.0

    facts = proof.proof(300, run, warm=False)
    assert proof.failed(facts) == [], proof.table(facts)
    names = {fact.name for fact in facts}
    assert {"ratio", "old token refused (401)", "oauth_app_info", "service_principals", "delegated_grants"} <= names
    assert "NO" not in proof.table(facts)


def test_a_fact_that_does_not_hold_is_named() -> None:
    facts = [proof.Fact("good", "1", "1", "", True), proof.Fact("bad", "1", "2", "", False), proof.Fact("told", "", "")]
    assert proof.failed(facts) == ["bad"]
    assert "| bad | 1 | 2 |  | NO |" in proof.table(facts)


def test_a_record_lost_repeated_or_changed_changes_the_content(tmp_path: Path) -> None:
    def content(name: str, *pages: list[bytes]) -> tuple[int, str]:
        """What a bucket of these pages holds."""
        with SnapshotWriter(tmp_path, name, "extract", datetime(2026, 11, 16)) as writer:
            for lines in pages:
                writer.write("users", lines, "origin")
            found: tuple[int, str] = proof.content(writer.finish(datetime(2026, 11, 16)), "users")
        return found

    first = content("first", [b"{1}", b"{2}"], [b"{3}"])
    assert content("order", [b"{3}", b"{2}"], [b"{1}"]) == first, "order and pages say nothing"
    for number, lines in enumerate(([b"{1}", b"{2}"], [b"{1}", b"{2}", b"{3}", b"{3}"], [b"{1}", b"{2}", b"{4}"])):
        assert content(f"other-{number}", lines) != first
