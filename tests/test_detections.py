"""The page about known detections: every alert and idea once, and no claim without a policy that exists."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from typing import Any

import pytest
from checkout import text
from test_docs import make_docs

from appgov_lib.detect import load_policies

WANTED = {
    *(f"ALERT-{n}" for n in range(1, 46)),
    *(f"OAD-{n}" for n in range(1, 8)),
    *(f"C{n}" for n in range(1, 27)),
    *(f"K{n}" for n in range(1, 21)),
    *(f"L{n}" for n in range(1, 23)),
    *(f"S{n}" for n in range(1, 20)),
    *(f"G{n}" for n in range(1, 27)),
}
CONTENT: dict[str, Any] = tomllib.loads(text("tools/detections.toml"))
LISTED: list[dict[str, Any]] = CONTENT["detection"]
IDS = [entry["id"] for entry in LISTED]


def test_every_alert_and_idea_is_there_once() -> None:
    assert Counter(IDS) == Counter(WANTED)
    assert len([name for name in IDS if not name.startswith(("ALERT", "OAD"))]) == 113


def test_areas_and_parts_are_those_of_the_page() -> None:
    areas = [area for inside in CONTENT["parts"].values() for area in inside]
    assert areas == list(CONTENT["areas"])
    assert {entry["area"] for entry in LISTED} == set(areas)
    assert {entry["verdict"] for entry in LISTED} <= set(make_docs().OUTCOMES)  # none may be missing


@pytest.mark.parametrize("entry", LISTED, ids=IDS)
def test_a_claim_names_policies_that_exist(entry: dict[str, Any]) -> None:
    known = {policy.policy_id for policy in load_policies() if policy.status != "inactive"}
    assert set(entry["policies"]) - known == set()
    assert len(entry["policies"]) == len(set(entry["policies"]))
    assert bool(entry["policies"]) == (entry["verdict"] in ("works", "partly"))
    assert not entry["idea"].endswith(".")
    if entry["verdict"] != "works":
        assert entry["why"].endswith(".")


def test_tables_the_sentences_name_exist() -> None:
    models = {model["name"] for model in tomllib.loads(text("appgov_lib/models/models.toml"))["model"]}
    named = {word for entry in LISTED for word in re.findall(r"\b(?:app|stg)_[a-z_]+", entry.get("why", ""))}
    assert named
    assert named - models == set()


def test_the_page_counts_what_it_lists() -> None:
    shown = make_docs().detections()
    for area, title in CONTENT["areas"].items():
        verdicts = Counter(entry["verdict"] for entry in LISTED if entry["area"] == area)
        assert f"| {title} | {' | '.join(str(verdicts[outcome]) for outcome in make_docs().OUTCOMES)} |" in shown
    assert len(re.findall(r"^\| (?:ALERT-|OAD-|[CKLSG])\d+ \|", shown, re.M)) == len(LISTED)
