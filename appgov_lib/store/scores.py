"""The tables `anomalies` and `anomaly_contributors`: the daily numbers of all apps, and what made the odd days."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd

from appgov_lib import anomalies


def score(con: duckdb.DuckDBPyConnection) -> None:
    """Create the table anomalies from daily_metrics and app_usage_summary; peers are apps of the same origin."""
    daily = _daily_numbers(con)
    kinds = con.execute("SELECT app_id, app_origin AS kind FROM app_usage_summary ORDER BY app_id").df()
    con.register("scored", anomalies.score_daily(daily, kinds))
    con.execute(
        "CREATE OR REPLACE TABLE anomalies AS "
        "SELECT s.* REPLACE (CAST(s.day AS DATE) AS day), u.display_name "
        "FROM scored AS s LEFT JOIN app_usage_summary AS u USING (app_id) ORDER BY s.app_id, s.metric, s.day"
    )
    con.unregister("scored")


def _daily_numbers(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The rows of daily_metrics in no order; each name once, because millions of texts would be most of the work."""
    names = {
        column: con.execute(f"SELECT DISTINCT {column} AS name FROM daily_metrics ORDER BY name").df()["name"]
        for column in ("app_id", "metric")
    }
    for column, texts in names.items():
        con.register(f"{column}_places", pd.DataFrame({column: texts, "place": texts.index.astype("int32")}))
    rows = con.execute(
        "SELECT a.place AS app_id, m.place AS metric, d.day, d.value FROM daily_metrics AS d "
        "INNER JOIN app_id_places AS a ON a.app_id = d.app_id INNER JOIN metric_places AS m ON m.metric = d.metric"
    ).df()
    for column, texts in names.items():
        con.unregister(f"{column}_places")
        rows[column] = pd.Categorical.from_codes(rows[column].to_numpy(), pd.Index(texts))
    return rows


def contributors(con: duckdb.DuckDBPyConnection) -> None:
    """Create the table anomaly_contributors: which users, endpoints and addresses made the anomalous days."""
    query = Path(__file__).with_name("anomaly_contributors.sql").read_text(encoding="utf-8")
    # a table of its own, because the planner then knows that they are few, and reads of the logs what they need
    con.execute(
        "CREATE OR REPLACE TEMP TABLE flagged_days AS SELECT app_id, metric, day FROM anomalies WHERE is_anomaly "
        "ORDER BY app_id, metric, day"
    )
    con.execute(f"CREATE OR REPLACE TABLE anomaly_contributors AS {query}")
    con.execute("DROP TABLE flagged_days")
