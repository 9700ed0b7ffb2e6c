"""Data that apps took: bytes by month, services and labels, and days nobody read."""

from __future__ import annotations

from typing import Any

from conftest import Bench
from dashboard import APPS, numbers, tiles

USAGE = """
    a1 | 2026-11-01 | Exchange   | 4 | 1 | 0 | 100  | 1
    a1 | 2026-11-02 | OneDrive   | 1 | 1 | 0 | 7    | 0
    a1 | 2026-11-03 | Teams      | 1 | 0 | 0 | -    | 1
    a1 | 2026-11-03 | Directory  | 9 | 0 | 0 | 999  | 0
    a1 | 2026-10-15 | Exchange   | 1 | 0 | 0 | 40   | 0
    a1 | 2026-10-16 | Exchange   | 1 | 0 | 0 | 1000 | 0
    m1 | 2026-11-02 | Exchange   | 9 | 0 | 0 | 9999 | 0
    m2 | 2026-11-02 | Exchange   | 9 | 0 | 0 | 9999 | 0
    gone | 2026-11-02 | Exchange | 1 | 0 | 0 | 5    | 0
"""
ENDPOINTS = """
    a1 | 2026-11-01 | messages  | 3 | 60   | 0
    a1 | 2026-11-02 | messages  | 1 | 1    | 1
    a1 | 2026-11-02 | directory | 1 | 77   | 0
    m1 | 2026-11-02 | messages  | 1 | 8888 | 0
"""
WHOLE = '[["api_activity", "2026-08-01", "2026-11-15"]]'


def monthly(bench: Bench, table: str, key: str) -> dict[tuple[int, str], tuple[Any, ...]]:
    """A usage table as (month, key) -> bytes, calls, days, days covered, calls without a size."""
    rows = bench.rows(f"SELECT * FROM {table}")
    names = ("bytes_returned", "calls", "days", "days_covered", "bytes_unknown_calls")
    return {(r["month"].month, r[key]): tuple(r[name] for name in names) for r in rows}


def test_data_usage_by_month_and_service(bench: Bench) -> None:
    found = tiles(bench, app_inventory=APPS, app_activity_daily=USAGE, app_resource_daily=ENDPOINTS, days=WHOLE)
    services = monthly(bench, "data_usage_monthly", "service")
    assert len(services) == 16
    assert services[11, "Exchange"] == (105, 5, 15, 15, 1)  # a1 and an app that is gone; not Microsoft's
    assert services[11, "Teams"] == (None, 1, 15, 15, 1)  # no size at all
    assert services[11, "SharePoint"] == (0, 0, 15, 15, 0)
    assert services[10, "Exchange"] == (1040, 2, 31, 31, 0)
    assert services[8, "Exchange"] == (0, 0, 31, 31, 0)
    types = monthly(bench, "data_usage_by_resource_type", "resource_type")
    assert len(types) == 12
    assert types[11, "messages"] == (61, 4, 15, 15, 1)
    assert types[11, "files"] == (0, 0, 15, 15, 0)
    # the same days of October: up to the 15th
    assert numbers(found["OV-11"]) == (112.0, 40.0, "complete")
    assert "Exchange Web Services" in found["OV-11"]["reason"]
    assert "2 calls have no size" in found["OV-11"]["reason"]
    assert numbers(found["OV-12-messages"]) == (61.0, 0.0, "complete")


def test_months_nobody_read_are_unknown(bench: Bench) -> None:
    found = tiles(bench, app_inventory=APPS, days='[["api_activity", "2026-11-10", "2026-11-15"]]')
    services = monthly(bench, "data_usage_monthly", "service")
    assert services[10, "Exchange"] == (None, None, 31, 0, None)
    assert services[11, "Exchange"] == (0, 0, 15, 6, 0)
    reasons = {r["month"].month: r["reason"] for r in bench.rows("SELECT * FROM data_usage_monthly")}
    assert reasons[10].startswith("No day of this month was read.")
    assert reasons[11].startswith("6 of 15 days were read.")
    assert numbers(found["OV-11"]) == (0.0, None, "partial")
    assert "2026-10-01 to 2026-10-15 were not all read" in found["OV-11"]["reason"]


def test_an_import_of_the_log_stands_in_for_the_source(bench: Bench) -> None:
    states = {"api_activity": "not_licensed", "api_activity_log_analytics": "complete"}
    found = tiles(bench, states, app_inventory=APPS, app_activity_daily=USAGE, days=WHOLE)
    assert numbers(found["OV-11"]) == (112.0, 40.0, "complete")


def test_apps_accessed_services_where_a_call_was_answered(bench: Bench) -> None:
    found = tiles(bench, app_inventory=APPS, app_activity_daily=USAGE, days=WHOLE)
    rows = {r["service"]: (r["apps"], r["apps_total"]) for r in bench.rows("SELECT * FROM apps_by_service_accessed")}
    # the one call to OneDrive failed; `gone` is no app of the tenant any more
    assert rows == {"Exchange": (1, 4), "OneDrive": (0, 4), "SharePoint": (0, 4), "Teams": (1, 4)}
    assert numbers(found["OV-9"]) == (1.0, 1.0, "complete")
    tiles(bench, app_inventory=APPS)
    rows = {r["service"]: r["apps"] for r in bench.rows("SELECT * FROM apps_by_service_accessed")}
    assert set(rows.values()) == {None}


def test_labels_are_counted_only_where_the_log_has_any(bench: Bench) -> None:
    days = '[["cloud_app_events", "2026-09-01", "2026-11-15"]]'
    plain = "a1 | 2026-11-02 10:00:00 | - | SharePoint"
    found = tiles(bench, app_inventory=APPS, stg_cloud_app_events=plain, days=days)
    assert numbers(found["OV-10"]) == (None, None, "unknown")
    assert "carries a label" in found["OV-10"]["reason"]
    labelled = (
        plain
        + """
        a1 | 2026-11-02 10:00:00 | secret | SharePoint
        a2 | 2026-11-03 10:00:00 | secret | Exchange
        a2 | 2026-10-02 10:00:00 | public | Exchange
        m1 | 2026-11-03 10:00:00 | secret | Exchange
    """
    )
    found = tiles(bench, app_inventory=APPS, stg_cloud_app_events=labelled, days=days)
    assert numbers(found["OV-10"]) == (2.0, 1.0, "complete")
    rows = bench.rows("SELECT * FROM apps_by_sensitivity_label")
    assert [(r["sensitivity_label_id"], r["apps"], r["services"]) for r in rows] == [
        ("secret", 2, ["Exchange", "SharePoint"])
    ]
