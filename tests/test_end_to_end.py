"""The whole product on the sample tenant: every planted story is found, every benign look-alike stays quiet."""

from __future__ import annotations

import csv
import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import appgov_lib


@pytest.fixture(scope="module")
def key() -> dict[str, Any]:
    """The sample tenant's answer key."""
    from appgov_lib.sample import answer_key

    return answer_key()


@pytest.fixture
def con(sample_home: Path) -> Iterator[Any]:
    """The built sample warehouse, read-only."""
    con = appgov_lib.connect(tenant="sample", home=sample_home)
    yield con
    con.close()


def found(con: Any) -> set[tuple[str, str]]:
    """Every open finding as (policy, app)."""
    return set(
        con.execute(
            "SELECT DISTINCT policy_id, app_id FROM findings WHERE state IN ('new', 'open', 'returned')"
        ).fetchall()
    )


def test_every_planted_story_is_found(con: Any, key: dict[str, Any]) -> None:
    pairs = found(con)
    missed = [
        (story["story"], policy)
        for story in key["stories"]
        for policy in story["expect_policies"]
        if (policy, story["app_id"]) not in pairs
    ]
    assert missed == []


def test_every_benign_look_alike_stays_quiet(con: Any, key: dict[str, Any]) -> None:
    told = "SELECT DISTINCT policy_id, app_id FROM findings WHERE state <> 'resolved' AND severity <> 'info'"
    pairs = set(con.execute(told).fetchall())
    noisy = [
        (quiet["story"], policy)
        for quiet in key["quiet"]
        for policy, app_id in pairs
        if app_id == quiet["app_id"] and ("*" in quiet["must_not"] or policy in quiet["must_not"])
    ]
    assert noisy == []
    assert len(key["quiet"]) >= 10


def test_nothing_is_found_beyond_the_answer_key(con: Any, key: dict[str, Any]) -> None:
    """Of the policies that stories are about; what the others find is counted in tests/policies, from raw records."""
    expected = {(policy, app_id) for policy, app_id in key["expected_findings"]}
    told = {policy for policy, _ in expected}
    assert {pair for pair in found(con) if pair[0] in told} == expected
    assert len(told) >= 11


def test_no_finding_concerns_microsofts_own_apps_or_managed_identities(con: Any) -> None:
    query = """SELECT f.policy_id, i.display_name FROM findings f JOIN app_inventory i USING (service_principal_id)
               WHERE i.is_first_party OR i.service_principal_type = 'ManagedIdentity'"""
    assert con.execute(query).fetchall() == []


def test_every_story_is_on_the_pages(demo_report: Path, key: dict[str, Any]) -> None:
    told = [story for story in key["stories"] if story["expect_policies"]]
    assert len(told) >= 11
    for story in told:
        page = demo_report / "apps" / f"{story['app_id']}.html"
        assert page.exists(), story["story"]
        text = html.unescape(page.read_text(encoding="utf-8"))
        for policy in story["expect_policies"]:
            assert policy in text, (story["story"], policy)
    with (demo_report / "findings.csv").open(encoding="utf-8-sig", newline="") as handle:
        listed = {(row["policy_id"], row["app_id"]) for row in csv.DictReader(handle)}
    assert {(policy, story["app_id"]) for story in key["stories"] for policy in story["expect_policies"]} <= listed


def test_the_report_folder_is_complete(demo_report: Path) -> None:
    names = {path.name for path in demo_report.iterdir()}
    wanted = {"index.html", "findings.csv", "findings.json", "findings.ocsf.jsonl", "actions.csv", "actions.json"}
    assert wanted | {"actions.xlsx", "run.json", "apps"} <= names
    assert (demo_report.parent / "latest").resolve() == demo_report.resolve()
    run = json.loads((demo_report / "run.json").read_text())
    assert not [page for page in demo_report.glob("*.html") if "Traceback" in page.read_text(encoding="utf-8")]
    assert run["tenant"] == "sample"


def test_coverage_names_every_source(con: Any) -> None:
    from appgov_lib.extract.sources import load_sources

    rows = {
        source: (status, optional)
        for source, status, optional in con.execute("SELECT source, status, optional FROM coverage").fetchall()
    }
    assert set(load_sources()) <= set(rows)
    asked_for = {"api_activity"}
    for name, source in load_sources().items():
        is_read = source.default or name in asked_for
        assert rows[name] == ("complete" if is_read else "not_collected", not source.default), name


def test_totals_equal_the_raw_records(con: Any, sample_home: Path) -> None:
    """Counts and bytes in the marts equal an independent sum over the raw lines as they came over the wire."""
    from appgov_lib.extract.snapshot import read_lines, read_snapshots

    (snapshot,) = read_snapshots(sample_home / "data" / "sample" / "raw")
    sign_ins, requests = set(), {}
    for path in snapshot.files("sign_ins_graph"):
        sign_ins |= {json.loads(line)["id"] for line in read_lines(path)}
    for path in snapshot.files("api_activity_hunting"):
        for line in read_lines(path):
            row = json.loads(line)
            requests[row["RequestId"]] = row
    total = con.execute("SELECT count(*) FROM stg_sign_ins").fetchone()[0]
    assert total == len(sign_ins)
    assert con.execute("SELECT sum(sign_ins) FROM sign_ins_daily").fetchone()[0] <= total
    moved = sum(
        max(int(row["ResponseSize"]), 0)
        for row in requests.values()
        if row["ResponseSize"] not in (None, "") and not row["RequestUri"].split("?")[0].endswith("/$batch")
    )
    assert con.execute("SELECT sum(bytes_returned) FROM app_activity_daily").fetchone()[0] == moved
