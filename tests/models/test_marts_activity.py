"""Marts about activity: days, metrics, periods; a day nobody looked at is never a zero."""

from __future__ import annotations

from datetime import date

from conftest import Bench

CALLS = (
    "request_id | app_id | called_at TIMESTAMP | service | status INTEGER | bytes_returned BIGINT | user_id | access "
    "| is_batch_envelope BOOLEAN\n"
)
SIGN_INS = (
    "sign_in_id | app_id | app_name | service_principal_id | user_id | created_at TIMESTAMP | sign_in_type "
    "| error_code INTEGER | ip_address | country\n"
)
DAILY = "app_id | day DATE | sign_in_type | sign_ins BIGINT | failures BIGINT | users BIGINT\n"
ACTIVITY = (
    "app_id | day DATE | service | calls BIGINT | errors BIGINT | throttled BIGINT | bytes_returned BIGINT "
    "| users BIGINT\n"
)


def cover(bench: Bench, *rows: tuple[str, str, str]) -> None:
    """covered_days from (source, first day, last day)."""
    bench.table("covered_days", "source | day DATE | is_complete BOOLEAN")
    for source, first, last in rows:
        bench.con.execute(
            "INSERT INTO covered_days SELECT ?, CAST(d AS DATE), true "
            "FROM range(CAST(? AS TIMESTAMP), CAST(? AS TIMESTAMP) + INTERVAL 1 DAY, INTERVAL 1 DAY) AS t(d)",
            [source, first, last],
        )


def test_sign_ins_daily(bench: Bench) -> None:
    bench.table("stg_service_principals", "service_principal_id | app_id\nsp2 | b")
    bench.table(
        "stg_sign_ins",
        SIGN_INS
        + """
        1 | a | A | - | u1 | 2026-11-14 00:00:00 | interactive | 0 | 192.0.2.1 | DE
        2 | a | A | - | u1 | 2026-11-14 23:59:59.999999 | interactive | 50126 | 192.0.2.2 | DE
        3 | a | A | - | u2 | 2026-11-15 00:00:00 | interactive | - | - | -
        4 | - | - | sp2 | - | 2026-11-15 00:00:00 | service_principal | 0 | 192.0.2.1 | FR
        5 | - | - | gone | - | 2026-11-15 00:00:00 | service_principal | 0 | 192.0.2.1 | FR
        6 | a | A | - | u1 | 2026-11-16 00:00:00 | interactive | 0 | 192.0.2.1 | DE
        7 | a | A | - | u1 | - | interactive | 0 | 192.0.2.1 | DE
        """,
    )
    # 5 names an app nobody knows, 6 is after the as-of date, 7 has no time.
    assert [tuple(row.values()) for row in bench.run("sign_ins_daily")] == [
        # app, day, type, sign-ins, failures, users, addresses, countries
        ("a", date(2026, 11, 14), "interactive", 2, 1, 1, 2, 1),
        ("a", date(2026, 11, 15), "interactive", 1, 0, 1, 0, 0),
        ("b", date(2026, 11, 15), "service_principal", 1, 0, 0, 1, 1),
    ]


def test_app_activity_daily_and_service_daily(bench: Bench) -> None:
    bench.requests(
        CALLS
        + """
        1 | a | 2026-11-15 00:00:00 | Exchange | 200 | 100 | u1 | read | false
        2 | a | 2026-11-15 10:00:00 | Exchange | 404 | - | u1 | read | false
        3 | a | 2026-11-15 11:00:00 | Exchange | 429 | 20 | u2 | write | false
        4 | a | 2026-11-15 12:00:00 | Other | 200 | 9999 | - | write | true
        5 | a | 2026-11-15 12:00:00 | Teams | 200 | - | - | read | false
        6 | b | 2026-11-15 12:00:00 | Exchange | 200 | 5 | - | read | false
        7 | - | 2026-11-15 12:00:00 | Exchange | 200 | 5 | - | read | false
        8 | a | 2026-11-16 00:00:00 | Exchange | 200 | 5 | - | read | false
        """,
    )
    day = date(2026, 11, 15)
    assert [tuple(row.values()) for row in bench.run("app_activity_daily")] == [
        # calls, errors (404; 429 is not one), throttled, bytes 100 + 20, one size unknown, users, reads, writes
        ("a", day, "Exchange", 3, 1, 1, 120, 1, 2, 2, 1),
        ("a", day, "Teams", 1, 0, 0, None, 1, 0, 1, 0),  # no size at all is NULL, not 0
        ("b", day, "Exchange", 1, 0, 0, 5, 0, 0, 1, 0),
    ]
    assert [tuple(row.values()) for row in bench.run("service_daily")] == [
        (day, "Exchange", 4, 1, 125, 2),  # 3 + 1 calls, 120 + 5 bytes, apps a and b
        (day, "Teams", 1, 0, None, 1),
    ]


def metrics(bench: Bench) -> dict[tuple[str, str], dict[int, float]]:
    """daily_metrics as (app, metric) -> {day of November: value}."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    if not bench.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'off_hours_daily'"):
        bench.table("off_hours_daily", "app_id | day DATE | sign_ins BIGINT")
    for row in bench.run("daily_metrics"):
        found.setdefault((row["app_id"], row["metric"]), {})[row["day"].day] = row["value"]
    return found


def test_silence_is_zero_only_where_somebody_listened(bench: Bench) -> None:
    bench.table("sign_ins_daily", DAILY + "a | 2026-11-11 | interactive | 4 | 1 | 2")
    bench.table("app_activity_daily", ACTIVITY)
    cover(
        bench,
        ("sign_ins_interactive", "2026-11-09", "2026-11-12"),
        ("sign_ins_interactive", "2026-11-14", "2026-11-16"),
    )
    # 9 and 10: before the app's first day. 13: nobody looked. 16: after the as-of date.
    found = metrics(bench)
    assert found == {
        ("a", "sign_ins"): {11: 4.0, 12: 0.0, 14: 0.0, 15: 0.0},
        ("a", "failures"): {11: 1.0, 12: 0.0, 14: 0.0, 15: 0.0},
    }


def test_every_source_an_app_uses_must_cover_the_day(bench: Bench) -> None:
    bench.table(
        "sign_ins_daily",
        DAILY
        + """
        a | 2026-11-13 | interactive | 1 | 0 | 1
        a | 2026-11-13 | service_principal | 5 | 0 | 0
        b | 2026-11-13 | interactive | 7 | 0 | 1
        c | 2026-11-13 | unknown | 7 | 0 | 1
        """,
    )
    bench.table("app_activity_daily", ACTIVITY)
    cover(
        bench,
        ("sign_ins_interactive", "2026-11-13", "2026-11-15"),
        ("sign_ins_service_principal", "2026-11-13", "2026-11-14"),
    )
    found = metrics(bench)
    assert found["a", "sign_ins"] == {13: 6.0, 14: 0.0}  # 1 + 5; the 15th misses one of two streams
    assert found["b", "sign_ins"] == {13: 7.0, 14: 0.0, 15: 0.0}
    assert ("c", "sign_ins") not in found  # no source vouches for a type without a name


def test_bytes_of_unknown_size_are_missing_not_zero(bench: Bench) -> None:
    bench.table("sign_ins_daily", DAILY)
    bench.table(
        "app_activity_daily",
        ACTIVITY
        + """
        a | 2026-11-13 | Exchange | 2 | 0 | 0 | - | 0
        a | 2026-11-14 | Exchange | 2 | 0 | 0 | 10 | 0
        a | 2026-11-14 | Teams | 1 | 0 | 0 | 5 | 0
        """,
    )
    cover(bench, ("api_activity", "2026-11-13", "2026-11-15"))
    assert metrics(bench) == {
        ("a", "api_calls"): {13: 2.0, 14: 3.0, 15: 0.0},
        ("a", "bytes_returned"): {14: 15.0, 15: 0.0},
    }


def summary(bench: Bench, sign_ins: str, calls: str = "", days: int = 7) -> dict[str, dict[str, object]]:
    """app_usage_summary by app, through the daily marts."""
    bench.table("stg_service_principals", "service_principal_id | app_id")
    bench.table("stg_sign_ins", SIGN_INS + sign_ins)
    bench.requests(CALLS + calls)
    bench.table("app_identity", "app_id | display_name | app_origin\nidle | Idle | internal")
    for model in ("sign_ins_daily", "app_activity_daily", "app_period_totals"):
        bench.run(model, days=days)
    return {row["app_id"]: row for row in bench.run("app_usage_summary", days=days)}


SEEN = "{n} | {app} | Name | - | u{n} | 2026-{day} | interactive | {code} | - | -"


def test_states_of_a_period(bench: Bench) -> None:
    # Period 9 to 15 November, previous 2 to 8, covered since 1 October.
    cover(bench, ("sign_ins_interactive", "2026-10-01", "2026-11-15"))
    events = [("active", "11-03"), ("active", "11-09"), ("new", "11-12"), ("quiet", "11-08"), ("back", "10-05"),
              ("back", "11-15"), ("long-gone", "10-05")]  # fmt: skip
    found = summary(bench, "\n".join(SEEN.format(n=n, app=a, day=d, code=0) for n, (a, d) in enumerate(events)))
    assert {app: row["state"] for app, row in found.items()} == {
        "active": "active", "new": "new", "quiet": "went quiet", "back": "returned", "long-gone": "inactive",
        "idle": "inactive",
    }  # fmt: skip
    assert (found["active"]["sign_ins"], found["active"]["sign_ins_previous"]) == (1, 1)
    assert (found["idle"]["sign_ins"], found["idle"]["display_name"]) == (0, "Idle")
    assert found["idle"]["calls"] is None  # API activity was never looked at
    assert found["new"]["display_name"] == "Name"  # only the log knows it


def test_nothing_is_new_when_nothing_earlier_was_seen(bench: Bench) -> None:
    cover(bench, ("sign_ins_interactive", "2026-11-09", "2026-11-15"))
    row = summary(bench, SEEN.format(n=1, app="a", day="11-12", code=50126))["a"]
    assert row["state"] == "active"
    assert (row["failures"], row["failures_previous"]) == (1, None)


def test_sums_over_the_period(bench: Bench) -> None:
    cover(bench, ("sign_ins_interactive", "2026-10-01", "2026-11-15"), ("api_activity", "2026-10-01", "2026-11-15"))
    row = summary(
        bench,
        SEEN.format(n=1, app="a", day="11-12", code=0),
        """
        1 | a | 2026-11-15 00:00:00 | Exchange | 200 | 100 | u1 | read | false
        2 | a | 2026-11-09 00:00:00 | Teams | 500 | 11 | u7 | read | false
        3 | a | 2026-11-08 23:59:59 | OneDrive | 200 | 7 | u8 | read | false
        4 | a | 2026-11-01 23:59:59 | OneDrive | 200 | 7 | u9 | read | false
        """,
    )["a"]
    # this period: calls 1 and 2, 100 + 11 bytes; before: call 3; call 4 is older than both periods
    assert (row["calls"], row["calls_previous"], row["errors"]) == (2, 1, 1)
    assert (row["bytes_returned"], row["bytes_previous"]) == (111, 7)
    assert (row["users"], row["users_previous"]) == (2, 1)  # u1 (sign-in and call) and u7; u8
    assert row["services"] == ["Exchange", "Teams"]
    assert (row["first_seen"], row["last_seen"]) == (date(2026, 11, 1), date(2026, 11, 15))
