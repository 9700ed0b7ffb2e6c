"""The risk score on the sample tenant: what was planted to be risky is on top, and the top is small."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from appgov_lib.sample.key import answer_key
from appgov_lib.store.warehouse import connect

RISKY = {"overprivileged-integration", "consent-phishing", "dormant-app-wakes", "unverified-high-privilege"}
NEXT = {"ownerless-high-privilege", "owner-left"}


@pytest.fixture(scope="module")
def con(sample_home: Path) -> duckdb.DuckDBPyConnection:
    """The warehouse of the sample tenant."""
    return connect("sample", sample_home)


def test_planted_risky_apps_rank_on_top(con: duckdb.DuckDBPyConnection) -> None:
    ranked = [
        row[0]
        for row in con.execute(
            "SELECT app_id FROM app_inventory WHERE is_ranked ORDER BY risk_score DESC, display_name"
        ).fetchall()
    ]
    stories = {story["story"]: story["app_id"] for story in answer_key()["stories"]}
    assert {stories[name] for name in RISKY} == set(ranked[:4])
    assert {stories[name] for name in NEXT} <= set(ranked[:12])


def test_the_upper_levels_are_small(con: duckdb.DuckDBPyConnection) -> None:
    ranked, upper = con.execute(
        "SELECT count(*), count(*) FILTER (risk_level IN ('critical', 'high')) FROM app_risk WHERE is_ranked"
    ).fetchall()[0]
    assert 0 < upper <= 0.05 * ranked


def test_every_score_is_the_sum_of_its_stored_parts(con: duckdb.DuckDBPyConnection) -> None:
    wrong = con.execute(
        "SELECT count(*) FROM app_risk AS r LEFT JOIN (SELECT service_principal_id, sum(points) AS points "
        "FROM app_risk_parts GROUP BY ALL) AS p USING (service_principal_id) "
        "WHERE r.risk_score <> coalesce(p.points, 0) OR r.risk_score NOT BETWEEN 0 AND 100 "
        "OR r.risk_score <> r.risk_impact + coalesce(r.risk_likelihood, 0)"
    ).fetchall()
    assert wrong == [(0,)]
