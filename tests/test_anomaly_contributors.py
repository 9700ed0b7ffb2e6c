"""Who and what made an anomalous day: shares of the day beside usual shares; what the logs do not tell is said."""

from __future__ import annotations

import duckdb
import pytest
from tables import load_table

from appgov_lib.store.scores import contributors

ANOMALIES = "app_id | metric | day DATE | is_anomaly BOOLEAN | observed DOUBLE\n"


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """One app: an ordinary day in October, and an anomalous one that was read as requests and one read as sums."""
    con = duckdb.connect()
    load_table(
        con,
        "anomalies",
        ANOMALIES
        + """
        a | api_calls | 2026-11-09 | false | 2
        a | api_calls | 2026-11-10 | true | 4
        a | api_calls | 2026-11-11 | true | 9
        a | sign_ins | 2026-11-12 | true | 0
        """,
    )
    load_table(
        con,
        "stg_api_activity",
        """
        app_id | called_at TIMESTAMP | user_id | endpoint | ip_address | bytes_returned INT | is_batch_envelope BOOLEAN
        a | 2026-10-20 10:00 | u1 | /users | 192.0.2.1 | 5 | false
        a | 2026-10-20 11:00 | u1 | /sites | 192.0.2.1 | 5 | false
        a | 2026-11-10 10:00 | u2 | /users | 192.0.2.9 | 5 | false
        a | 2026-11-10 10:01 | u2 | /users | 192.0.2.9 | 5 | false
        a | 2026-11-10 10:02 | u2 | /users | 192.0.2.9 | 5 | false
        a | 2026-11-10 10:03 | u1 | /sites | 192.0.2.9 | 5 | false
        a | 2026-11-10 10:04 | u3 | /$batch | 192.0.2.7 | 5 | true
        b | 2026-11-10 10:04 | u3 | /x | 192.0.2.7 | 5 | false
        """,
    )
    load_table(
        con,
        "stg_api_activity_sums",
        "app_id | day DATE | endpoint | calls BIGINT | bytes_returned BIGINT | is_batch_envelope BOOLEAN\n"
        "a | 2026-11-11 | /users | 9 | 90 | false\na | 2026-11-10 | /users | 99 | 90 | false",
    )
    days = "2026-10-20 | requests\n2026-11-10 | requests\n2026-11-11 | sums"
    load_table(con, "api_day_sources", f"day DATE | read_from\n{days}")
    load_table(con, "stg_sign_ins", "app_id | created_at TIMESTAMP | user_id | ip_address | error_code INTEGER")
    return con


def test_contributors_of_each_day(con: duckdb.DuckDBPyConnection) -> None:
    contributors(con)
    found = con.sql(
        "SELECT metric, day(day), dimension, place, value, share, usual_share, reason FROM anomaly_contributors"
    ).fetchall()
    assert found == [
        # 4 calls: three by u2 who never called before, one by u1 who made all earlier ones
        ("api_calls", 10, "address", 1, "192.0.2.9", 1.0, 0.0, ""),
        ("api_calls", 10, "endpoint", 1, "/users", 0.75, 0.5, ""),
        ("api_calls", 10, "endpoint", 2, "/sites", 0.25, 0.5, ""),
        ("api_calls", 10, "user", 1, "u2", 0.75, 0.0, ""),
        ("api_calls", 10, "user", 2, "u1", 0.25, 1.0, ""),
        # a day read as sums names its endpoints and nobody
        ("api_calls", 11, "address", 1, None, None, None, "the logs of this day do not tell"),
        ("api_calls", 11, "endpoint", 1, "/users", 1.0, 0.5, ""),
        ("api_calls", 11, "user", 1, None, None, None, "the logs of this day do not tell"),
        ("sign_ins", 12, "address", 1, None, None, None, "nothing happened on this day"),
        ("sign_ins", 12, "user", 1, None, None, None, "nothing happened on this day"),
    ]


def test_without_an_anomaly_there_is_nobody_to_name(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("UPDATE anomalies SET is_anomaly = false")
    contributors(con)
    assert con.sql("SELECT count(*) FROM anomaly_contributors").fetchall() == [(0,)]
