"""The page about what is answered of App governance: every fact once, and no claim without a column and a test."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from typing import Any

import pytest
from checkout import ROOT, text, tree
from test_docs import make_docs

WANTED = {
    *(f"OV-{n}" for n in (*range(1, 18), *range(20, 25))),
    *(f"INV-{n}" for n in range(1, 25)),
    *(f"DET-{n}" for n in range(1, 10)),
    *(f"HYG-{n}" for n in range(1, 6)),
}
CONTENT: dict[str, Any] = tomllib.loads(text("tools/capabilities.toml"))
FACTS: list[dict[str, Any]] = CONTENT["fact"]
IDS = [fact["id"] for fact in FACTS]


def columns() -> set[str]:
    """Every table.column there is: of the models that stay, and of what the build writes itself."""
    models = tomllib.loads(text("appgov_lib/models/models.toml"))["model"]
    found = {f"{model['name']}.{name}" for model in models if not model.get("temp") for name in model["columns"]}
    for row in make_docs().written_by_the_build().splitlines()[2:]:
        name, *rest = re.findall(r"`(\w+)`", row)
        found |= {f"{name}.{column}" for column in rest}
    return found


def names_of_tests(name: str) -> set[str]:
    """Names of the test functions in a file."""
    return {
        node.name for node in ast.walk(tree(name)) if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
    }


def test_every_fact_is_there_once() -> None:
    assert Counter(IDS) == Counter(WANTED)
    assert {identifier.split("-")[0] for identifier in IDS} == set(CONTENT["areas"])


def test_verdicts_are_those_the_page_explains() -> None:
    assert {fact["verdict"] for fact in FACTS} == set(make_docs().VERDICTS)


def test_answers_are_in_columns_that_exist() -> None:
    known = columns()
    assert {place for fact in FACTS for place in fact["where"]} - known == set()
    assert all(fact["where"] for fact in FACTS if fact["verdict"] != "unknowable")


@pytest.mark.parametrize("fact", FACTS, ids=IDS)
def test_a_claim_has_a_test_that_reads_the_table(fact: dict[str, Any]) -> None:
    assert fact["question"].endswith("?")
    assert fact["why"].endswith(".")
    if fact["verdict"] == "unknowable" and "test" not in fact:
        return
    name, test = fact["test"].split("::")
    assert (ROOT / name).is_file()
    assert test in names_of_tests(name)
    if fact["verdict"] == "works":
        assert re.search(rf"\b{fact['where'][0].split('.')[0]}\b", text(name))


def test_the_page_counts_what_it_lists() -> None:
    shown = make_docs().capabilities()
    for area, name in CONTENT["areas"].items():
        verdicts = Counter(fact["verdict"] for fact in FACTS if fact["id"].startswith(f"{area}-"))
        numbers = " | ".join(str(verdicts[verdict]) for verdict in make_docs().VERDICTS)
        assert f"| {name} | {numbers} |" in shown
    assert len(re.findall(r"^\| [A-Z]+-\d+ \|", shown, re.M)) == len(FACTS)
