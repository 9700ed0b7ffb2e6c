"""Policies about the answers apps get: refused, told to wait, failed, or much larger than before."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from policy_tables import APP, AS_OF, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

NOW, BEFORE = dt.date(2026, 11, 12), dt.date(2026, 10, 28)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with one app."""
    con = state_warehouse()
    put(con, "app_inventory")
    return con


def calls(con: duckdb.DuckDBPyConnection, day: dt.date, number: int, **more: object) -> None:
    """Calls of one day, as the daily table counts them."""
    put(con, "api_calls_daily", **{"day": day, "endpoint": "/users", "calls": number, **more})


def refused(con: duckdb.DuckDBPyConnection, at: str, *, errors: int = 16, served: int = 10, kinds: int = 4,
            paths: int = 16, status: int = 403) -> None:  # fmt: skip
    """Calls of one minute, some refused at several places, some served."""
    for number in range(errors + served):
        put(con, "stg_api_activity", called_at=f"2026-{at}:{number:02d}",
            endpoint=f"/kind{number % kinds}/{{id}}", path=f"/some/{number % paths}",
            status=status if number < errors else 200)  # fmt: skip


@pytest.mark.parametrize(
    "policy", ["many-refused-calls", "throttled-app", "error-rate-of-app", "bytes-per-call-out-of-line"]
)
def test_without_calls_a_policy_is_not_judged(con, policy: str):
    assert found(con, policy).empty
    cover(con, "api_activity", "not_permitted")
    with pytest.raises(UserError, match="Source api_activity is not permitted"):
        found(con, policy)


# ---- many-refused-calls ----------------------------------------------------------------------------------------------

REFUSED = "many-refused-calls"


def test_an_app_that_tries_many_doors(con):
    refused(con, "11-12 03:01")
    row = one(con, REFUSED)
    assert (row["measure"], row["threshold"], row["evidence"]["paths"]) == (16, 10, 16)
    assert row["reason"] == (
        "Within 2 minutes from 2026-11-12 03:00 UTC 16 of 26 calls of the app were refused (62 %), at 4 kinds of "
        "endpoints (/kind0/{id}, /kind1/{id}, /kind2/{id}); it had no such time in the 56 days before."
    )


@pytest.mark.parametrize(
    "more",
    [
        {"errors": 15, "served": 5},
        {"served": 30},
        {"kinds": 3},
        {"paths": 14},
        {"status": 429},
        {"status": 503},
    ],
    ids=["few calls", "most served", "few kinds", "few paths", "told to wait", "the service failed"],
)
def test_other_refusals_are_silent(con, more: dict[str, int]):
    refused(con, "11-12 03:00", **more)
    assert found(con, REFUSED).empty


def test_an_app_refused_week_by_week_is_silent(con):
    refused(con, "10-12 03:00")
    refused(con, "11-12 03:00")
    assert found(con, REFUSED).empty


def test_refusals_of_microsofts_apps_are_silent(con):
    refused(con, "11-12 03:00")
    con.execute("UPDATE app_inventory SET is_in_scope = false")
    assert found(con, REFUSED).empty


def test_a_day_of_sums_is_judged_as_a_day(con):
    for number in range(10):
        calls(con, NOW, 10, endpoint=f"/kind{number}/{{id}}", status=403, read_from="sums")
    calls(con, NOW, 100, read_from="sums")
    row = one(con, REFUSED)
    assert (row["measure"], row["threshold"]) == (100, 100)
    assert row["reason"].startswith("On 2026-11-12 100 of 200 calls of the app were refused (50 %), at 10 kinds")
    con.execute("UPDATE api_calls_daily SET read_from = 'requests'")
    assert found(con, REFUSED).empty


# ---- throttled-app ---------------------------------------------------------------------------------------------------

THROTTLED = "throttled-app"


def total(con: duckdb.DuckDBPyConnection, throttled: int, calls: int = 200) -> None:
    """What the period came to."""
    put(con, "app_usage_summary", app_id=APP, calls=calls, errors=throttled, throttled=throttled, services=["Exchange"])


@pytest.mark.parametrize(("throttled", "critical"), [(10, False), (20, True)], ids=["warning", "critical"])
def test_an_app_told_to_wait(con, throttled: int, critical: bool):
    total(con, throttled)
    row = one(con, THROTTLED)
    assert (row["measure"], row["threshold"]) == (throttled / 2, 5)
    assert row["evidence"]["is_critical"] is critical
    assert row["reason"].startswith(
        f"{throttled} of the app's 200 calls of the period were told to wait ({throttled / 2}"
    )
    con.execute("UPDATE app_inventory SET is_in_scope = false")
    assert found(con, THROTTLED).empty


@pytest.mark.parametrize(("throttled", "number"), [(9, 200), (99, 199), (None, 200)], ids=["seldom", "few", "unknown"])
def test_an_app_that_hardly_waits_is_silent(con, throttled: int | None, number: int):
    total(con, throttled, number)
    assert found(con, THROTTLED).empty


# ---- error-rate-of-app -----------------------------------------------------------------------------------------------

ERRORS = "error-rate-of-app"


def test_an_app_whose_calls_begin_to_fail(con):
    calls(con, BEFORE, 990)
    calls(con, BEFORE, 10, status=404)
    calls(con, NOW, 160)
    calls(con, NOW, 40, status=403, endpoint="/groups")
    row = one(con, ERRORS)
    assert (row["measure"], row["threshold"]) == (20, 10)
    assert row["reason"] == (
        "40 of the app's 200 calls of the period failed (20.0 %), most often /groups with 403; in the 28 days before "
        "it was 10 of 1000."
    )


@pytest.mark.parametrize(
    ("before", "failed_before", "now", "failed", "status"),
    [(1000, 10, 180, 19, 403), (1000, 80, 160, 40, 403), (199, 0, 160, 40, 403), (1000, 10, 100, 40, 403),
     (1000, 10, 160, 40, 429)],
    ids=["a few", "always so", "no past", "few calls", "told to wait"],
)  # fmt: skip
def test_other_shares_are_silent(con, before: int, failed_before: int, now: int, failed: int, status: int):
    calls(con, BEFORE, before - failed_before)
    calls(con, BEFORE, failed_before, status=status)
    calls(con, NOW, now)
    calls(con, NOW, failed, status=status)
    assert found(con, ERRORS).empty


# ---- bytes-per-call-out-of-line --------------------------------------------------------------------------------------

BYTES = "bytes-per-call-out-of-line"


def sized(con: duckdb.DuckDBPyConnection, day: dt.date, number: int, size: int, **more: object) -> None:
    """Calls whose answers have this many kilobytes each."""
    calls(con, day, number, **{"bytes_returned": number * size * 1000, **more})


def others(con: duckdb.DuckDBPyConnection, size: int, number: int = 5) -> None:
    """Other apps at the same service, whose answers are always of this size."""
    for other in range(number):
        for day in (BEFORE, NOW):
            sized(con, day, 100, size, app_id=f"other{other}")


def test_an_app_that_begins_to_copy(con):
    sized(con, BEFORE, 400, 20)
    sized(con, NOW, 100, 1500)
    row = one(con, BYTES)
    assert (row["subject"], row["measure"], row["threshold"]) == ("Exchange", 1_500_000, 100_000)
    assert row["reason"] == (
        "An answer of Exchange to the app had 1500 kB on average, over 100 calls and 150 MB; in the 28 days before it "
        "was 20 kB; too few other apps call the service to compare with."
    )
    others(con, 40)
    assert one(con, BYTES)["reason"].endswith("it was 20 kB, and three of four other apps have 40 kB or less.")


@pytest.mark.parametrize(
    "why", ["as other apps", "little in all", "not much larger", "few calls", "no past", "sizes unknown", "failed"]
)
def test_other_sizes_are_silent(con, why: str):
    if why == "as other apps":
        others(con, 1600)
    sized(con, BEFORE, 49 if why == "no past" else 400, 301 if why == "not much larger" else 20)
    number = {"little in all": 60, "few calls": 49}.get(why, 100)
    unknown = number - 40 if why == "sizes unknown" else 0
    size = {"few calls": 9000}.get(why, 1500)
    sized(con, NOW, number, size, bytes_unknown_calls=unknown, status=500 if why == "failed" else 200)
    assert found(con, BYTES).empty


def test_another_service_has_its_own_past(con):
    sized(con, BEFORE, 400, 20)
    sized(con, NOW, 100, 1500, service="SharePoint")
    assert found(con, BYTES).empty
    assert (AS_OF - NOW).days < 7
