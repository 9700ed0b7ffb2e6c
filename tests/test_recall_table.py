"""The tables of what is planted and found: every policy stands in one of them, and none is proved by nothing."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from appgov_lib.detect.policy import load_policies

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def recall() -> Any:
    """The benchmark's module."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        return importlib.import_module("bench_recall")
    finally:
        sys.path.remove(str(ROOT / "tools"))


def test_what_is_planted_and_what_is_not_are_told_apart(recall: Any) -> None:
    score = recall.Score()
    key = {"expected_findings": [("one", "a"), ("one", "b")], "tolerated_findings": [], "quiet": []}
    score.add(key, {("one", "a"), ("three", "a")}, set())
    assert "| `one` | 2 | 1 | 1 | 0 |" in recall.table(score)
    rest = recall.not_planted(score, ["one", "two", "three"], {"test_a.py": 'x("two")', "test_b.py": '"two", "three"'})
    assert rest.splitlines()[2:] == ["| `three` | `test_b.py` | 1 |", "| `two` | `test_a.py`, `test_b.py` | 0 |"]


def test_every_policy_has_a_test_with_rows_of_its_own(recall: Any) -> None:
    told = recall.not_planted(recall.Score(), [policy.policy_id for policy in load_policies()], recall.test_files())
    assert "| none |" not in told


def test_every_policy_stands_in_the_page_of_benchmarks() -> None:
    page = (
        (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").split("## What is planted")[1].split("\n## ")[0]
    )
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(policy.policy_id for policy in load_policies())
