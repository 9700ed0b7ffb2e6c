"""Tiles of the dashboard about apps: how many, how many before, and what is not known."""

from __future__ import annotations

from datetime import date
from typing import Any

from conftest import Bench
from dashboard import APPS, SOURCES, USES, numbers, tiles


def categories(bench: Bench) -> dict[str, list[str]]:
    """app_categories as category -> service principals."""
    found: dict[str, list[str]] = {}
    for row in bench.rows("SELECT * FROM app_categories"):
        found.setdefault(row["category"], []).append(row["service_principal_id"])
    return found


def test_categories_hold_apps_and_leave_out_microsoft(bench: Bench) -> None:
    found = tiles(bench, app_inventory=APPS, app_permissions=USES)
    assert categories(bench) == {
        "all": ["ok", "old", "out", "own"],
        "app_only": ["own"],
        "external_unverified": ["out"],
        "highly_privileged": ["own"],
        "new_30d": ["ok", "out"],
        "new_7d": ["out"],
        "overprivileged": ["own"],
        "risky": ["own"],
        "unused": ["old"],  # 90 days and a bit
        "unused_30d": ["old"],
        "unverified_publisher": ["out", "own"],
    }
    assert numbers(found["OV-1"]) == (4.0, 3.0, "complete")  # one was created in the period
    assert found["OV-1"]["change"] == 1.0
    assert (found["OV-1"]["period_from"], found["OV-1"]["period_to"]) == (date(2026, 11, 9), date(2026, 11, 15))
    assert numbers(found["OV-3"]) == (1.0, None, "partial")  # of `out` it is not known
    assert "1 of 4 apps" in found["OV-3"]["reason"]
    assert {f: found[f]["value"] for f in ("OV-2", "OV-4", "OV-5", "OV-13-unverified", "OV-13-new", "OV-20")} == {
        "OV-2": 1.0, "OV-4": 1.0, "OV-5": 1.0, "OV-13-unverified": 2.0, "OV-13-new": 1.0, "OV-20": 2.0,
    }  # fmt: skip
    for one, other in (("OV-4", "OV-21"), ("OV-2", "OV-22"), ("OV-3", "OV-23")):
        assert found[one]["value"] == found[other]["value"]


def test_silence_of_an_app_needs_the_whole_sign_in_report(bench: Bench) -> None:
    found = tiles(bench, {"service_principal_sign_in_activities": "partial"}, app_inventory=APPS)
    assert numbers(found["OV-2"]) == (0.0, None, "partial")
    assert "Not known for 1 of 4 apps." in found["OV-2"]["reason"]
    found = tiles(bench, {"service_principal_sign_in_activities": "not_permitted"}, app_inventory=APPS)
    assert numbers(found["OV-2"]) == (None, None, "unknown")
    assert "service principal sign in activities: not permitted" in found["OV-2"]["reason"]


def test_nothing_read_is_unknown_everywhere(bench: Bench) -> None:
    found = tiles(bench, dict.fromkeys(SOURCES, ""))
    assert len(found) == 26
    assert {numbers(row) for row in found.values()} == {(None, None, "unknown")}
    assert all("not collected" in row["reason"] for row in found.values())


def test_an_empty_tenant_is_zero(bench: Bench) -> None:
    found = tiles(bench)
    for fact in ("OV-6", "OV-17-expiring-credentials", "OV-17-unused-credentials"):
        assert found[fact]["value"] == 0.0, fact


def test_apps_deleted_since_were_there_before(bench: Bench) -> None:
    gone = """
        d1 | away | Application | 2026-01-01 00:00:00 | 2026-11-12 00:00:00
        d2 | away | Application | 2026-11-10 00:00:00 | 2026-11-12 00:00:00
        d3 | away | Application | 2026-01-01 00:00:00 | 2026-11-08 23:00:00
        d4 | f8cdef31-a31e-4b4a-93e4-5f571e91255a | Application | 2020-01-01 00:00:00 | 2026-11-12 00:00:00
        d5 | away | Application | 2026-11-05 00:00:00 | 2026-11-12 00:00:00
    """
    found = tiles(bench, app_inventory=APPS, stg_deleted_service_principals=gone)
    assert numbers(found["OV-1"]) == (4.0, 5.0, "complete")  # own, old, ok, d1, d5
    assert numbers(found["OV-13-new"]) == (1.0, 1.0, "complete")  # d5
    unknown = tiles(bench, {"deleted_service_principals": "failed"}, app_inventory=APPS)
    assert numbers(unknown["OV-1"]) == (4.0, None, "complete")
    assert "deleted" in unknown["OV-1"]["reason"]


HELD = """
    own | api | Mail.Read | application | - | -
    old | api | Mail.Read | application | - | 2026-11-11 00:00:00
    ok  | api | Mail.Read | application | 2026-11-12 00:00:00 | -
    ms  | api | Mail.Read | application | - | -
"""
FOUR = ("delegated_grants", "app_role_assignments", "directory_role_assignments", "service_principals")


def highs(bench: Bench, read: dict[str, str], held: str = HELD, roles: str = "") -> dict[str, Any]:
    """The tile of highly privileged apps, with grants from when to when and the days of readings by source."""
    return tiles(
        bench, app_inventory=APPS, app_permissions=USES, grant_history=held, directory_role_history=roles,
        permission_judgements="\napi-app | Mail.Read | application | high\napi-app | User.Read | delegated | low",
        stg_service_principals="\napi | api-app",
        source_readings="\n".join(f"{source} | {at}" for source, at in read.items()),
    )["OV-4"]  # fmt: skip


def test_high_privilege_before_is_what_the_readings_before_showed(bench: Bench) -> None:
    row = highs(bench, dict.fromkeys(FOUR, "2026-11-09 00:00:00"))
    assert numbers(row) == (1.0, 2.0, "complete")  # own and old; ok came later, ms is Microsoft's
    role = "out | 62e90394-69f5-4237-9190-012177145e10 | - | -"
    assert highs(bench, dict.fromkeys(FOUR, "2026-11-09 00:00:00"), roles=role)["previous_value"] == 3.0


def test_without_a_reading_before_the_period_there_is_no_number_before(bench: Bench) -> None:
    late = dict.fromkeys(FOUR, "2026-11-09 00:00:00") | {"delegated_grants": "2026-11-10 00:00:00"}
    row = highs(bench, late)
    assert numbers(row) == (1.0, None, "complete")
    assert "No complete reading" in row["reason"]


def test_a_permission_nobody_judged_leaves_the_number_before_unknown(bench: Bench) -> None:
    row = highs(bench, dict.fromkeys(FOUR, "2026-11-01 00:00:00"), HELD + "old | api | Gone.Read | delegated | - | -")
    assert row["previous_value"] is None
    assert "cannot be judged" in row["reason"]
