"""The policies about what apps do with mail, files and the directory: each fires, stays silent, or is not judged."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from policy_tables import APP, AS_OF, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

ANY_LOG = ("api_activity", "cloud_app_events", "audit_records")
LONG_AGO = AS_OF - dt.timedelta(days=40)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse with one app."""
    con = state_warehouse()
    put(con, "app_inventory")
    return con


def did(con: duckdb.DuckDBPyConnection, day: str | dt.date, deed: str, events: int = 1, **more: object) -> None:
    """What the app did on a day of November 2026, or on a date."""
    put(con, "app_deeds_daily", day=f"2026-11-{day}" if isinstance(day, str) else day, deed=deed, events=events, **more)


def called(con: duckdb.DuckDBPyConnection, day: dt.date, **more: object) -> None:
    """A call that shows the app was there."""
    put(con, "api_calls_daily", **{"day": day, "endpoint": "/users", "calls": 1, "first_called_at": day, **more})


# ---- without the sources nothing is judged ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy",
    ["mail-rule-and-reading", "mail-rule-and-sending", "file-search-and-rule", "file-search-and-edit",
     "teams-messages-by-app", "app-starts-reading-mail"],
)  # fmt: skip
def test_without_any_log_of_deeds_a_policy_is_not_judged(con, policy: str):
    assert found(con, policy).empty
    for source in ANY_LOG[1:]:
        cover(con, source, "not_collected")
    assert found(con, policy).empty
    cover(con, ANY_LOG[0], "not_permitted")
    with pytest.raises(UserError, match="Source api_activity is not permitted"):
        found(con, policy)
    # an imported audit log holds what an audit search would have found
    put(con, "coverage", source="office_activity_unified_audit", status="partial")
    assert found(con, policy).empty
    con.execute("DELETE FROM coverage WHERE source = 'office_activity_unified_audit'")


@pytest.mark.parametrize(
    ("policy", "source"),
    [
        ("directory-listing-by-app", "api_activity"),
        ("dormant-app-new-api", "sign_ins_non_interactive"),
        ("mass-download-by-app", "cloud_app_events"),
        ("mail-read-volume", "cloud_app_events"),
    ],
)
def test_without_its_source_a_policy_is_not_judged(con, policy: str, source: str):
    assert found(con, policy).empty
    cover(con, "audit_records", "not_collected")
    cover(con, source, "not_permitted")
    with pytest.raises(UserError, match=f"Source {source} is not permitted"):
        found(con, policy)


# ---- inbox rule and mail ---------------------------------------------------------------------------------------------


def test_a_first_rule_of_an_app_that_reads_mail(con):
    called(con, LONG_AGO)
    did(con, "12", "inbox rule made", 2)
    did(con, "12", "inbox rule made", 1, log="office_activity")  # the same rules in another log
    did(con, "08", "mail read", 40)
    did(con, "13", "mail read", 50)
    did(con, "13", "mail searched", 3)
    row = one(con, "mail-rule-and-reading")
    assert row["measure"] == 2
    assert row["reason"] == (
        "On 2026-11-12 the app made the first of 2 inbox rules, which it had not been seen to do before, and within 7 "
        "days of it read mail 90 times and searched it 3 times (known since 2026-10-06)."
    )
    assert row["evidence"]["logs"] == ["api_activity"]
    con.execute("UPDATE app_inventory SET is_in_scope = false")
    assert found(con, "mail-rule-and-reading").empty


@pytest.mark.parametrize(
    ("rule", "reading", "reads"),
    [("12", "12", 9), ("08", "08", 90), ("12", "04", 90)],
    ids=["hardly reads", "before the period", "read long before"],
)
def test_a_rule_alone_is_nothing(con, rule: str, reading: str, reads: int):
    did(con, rule, "inbox rule made")
    did(con, reading, "mail read", reads)
    did(con, "12", "mail sent", 50)
    assert found(con, "mail-rule-and-reading").empty


def test_an_app_that_makes_rules_for_a_living_is_silent(con):
    did(con, LONG_AGO, "inbox rule made", log="cloud_app_events")
    did(con, "12", "inbox rule made", 5)
    did(con, "12", "mail read", 90)
    assert found(con, "mail-rule-and-reading").empty


# ---- dormant app -----------------------------------------------------------------------------------------------------

KINDS = ("sign_ins_service_principal", "sign_ins_interactive", "sign_ins_non_interactive")
AZURE, GRAPH_API = "797f4846-ba00-4fd7-ba43-dac1f8f63013", "00000003-0000-0000-c000-000000000000"


def look(con: duckdb.DuckDBPyConnection, *, but: str = "", complete: bool = True) -> None:
    """The log of every kind of sign-in covers the sixty days to the end of the period, `but` one day of one kind."""
    for kind in KINDS:
        for back in range(60):
            day = AS_OF - dt.timedelta(days=back)
            if f"{kind} {day}" != but:
                put(con, "covered_days", source=kind, day=day, is_complete=complete)


def signed_in(con: duckdb.DuckDBPyConnection, at: str, resource: str = AZURE, error: int = 0) -> None:
    """A sign-in of the app."""
    put(con, "stg_sign_ins", created_at=at, app_id=APP, resource_id=resource, error_code=error)
    put(con, "sign_ins_daily", app_id=APP, day=at[:10], sign_in_type="service_principal", sign_ins=1)


def test_a_dormant_app_at_an_api_it_had_not_used(con):
    look(con)
    signed_in(con, "2026-10-10 08:00", GRAPH_API)
    signed_in(con, "2026-11-11 02:00", AZURE)
    signed_in(con, "2026-11-12 02:00", GRAPH_API)
    row = one(con, "dormant-app-new-api")
    assert (row["subject"], row["measure"]) == ("Azure Resource Manager", 31)
    assert row["reason"] == (
        "After 31 days without a sign-in or call the app reached Azure Resource Manager on 2026-11-11 02:00 UTC, which "
        "it is not known to have used before."
    )
    con.execute("UPDATE app_inventory SET is_in_scope = false")
    assert found(con, "dormant-app-new-api").empty


def test_an_app_never_seen_before_is_dormant_if_it_is_old(con):
    look(con)
    called(con, dt.date(2026, 11, 11), first_called_at="2026-11-11 02:00")
    row = one(con, "dormant-app-new-api")
    # from 10 October, the first day that has to be covered, to 10 November
    assert (row["subject"], row["measure"]) == ("Microsoft Graph", 32)
    assert row["reason"].startswith("After 32 days or more without a sign-in or call the app reached Microsoft Graph")


@pytest.mark.parametrize(
    ("before", "resource", "age"),
    [
        (("2026-10-13 08:00", GRAPH_API, 0), AZURE, "2025-01-01"),
        (("2026-10-20 08:00", GRAPH_API, 7000215), AZURE, "2025-01-01"),
        (("2026-10-01 08:00", AZURE, 0), AZURE, "2025-01-01"),
        (("2026-10-01 08:00", GRAPH_API, 0), "00000000-0000-0000-0000-000000000001", "2025-01-01"),
        (None, AZURE, "2026-11-01"),
        (None, AZURE, None),
    ],
    ids=["silent for 28 days", "failed in between", "the API it used before", "another API", "new", "of unknown age"],
)
def test_other_returns_are_silent(con, before: tuple[str, str, int] | None, resource: str, age: str | None):
    look(con)
    con.execute("UPDATE app_inventory SET added_on = $age, created_at = $age", {"age": age})
    if before:
        signed_in(con, *before)
    signed_in(con, "2026-11-11 02:00", resource)
    assert found(con, "dormant-app-new-api").empty


@pytest.mark.parametrize("gap", ["one day of one kind", "imports only"])
def test_silence_that_nobody_watched_is_not_said(con, gap: str):
    look(con, but=f"{KINDS[2]} 2026-10-20" if gap == "one day of one kind" else "", complete=gap != "imports only")
    signed_in(con, "2026-11-11 02:00")
    assert found(con, "dormant-app-new-api").empty


def test_a_log_that_is_too_young_skips_the_policy(con):
    con.execute("UPDATE coverage SET from_at = '2026-10-20' WHERE source = 'sign_ins_service_principal'")
    with pytest.raises(UserError, match="must go back to 2026-10-10 and goes back to 2026-10-20"):
        found(con, "dormant-app-new-api")
    con.execute("UPDATE coverage SET from_at = '2026-08-17' WHERE source = 'sign_ins_service_principal'")
    cover(con, "sign_ins_interactive", "partial")
    with pytest.raises(UserError, match="Source sign_ins_interactive is read only in part"):
        found(con, "dormant-app-new-api")


# ---- directory -------------------------------------------------------------------------------------------------------

KINDS_OF_OBJECTS = ("/users", "/groups/{id}/members", "/servicePrincipals", "/directoryRoles/{id}")


def listed(con: duckdb.DuckDBPyConnection, at: str, *, calls: int = 20, kinds: int = 4, **more: object) -> None:
    """That many calls of one minute, over some kinds of objects."""
    for number in range(calls):
        put(
            con, "stg_api_activity", called_at=f"{at}:{number:02d}", endpoint=KINDS_OF_OBJECTS[number % kinds],
            **{"resource_type": "directory", **more},
        )  # fmt: skip


def test_a_directory_listed_within_a_minute(con):
    called(con, LONG_AGO)
    listed(con, "2026-11-12 03:00", calls=21)
    listed(con, "2026-11-12 03:04")
    row = one(con, "directory-listing-by-app")
    assert (row["measure"], row["threshold"], row["evidence"]["bursts"]) == (21, 20, 2)
    assert row["reason"] == (
        "In the minute of 2026-11-12 03:00 UTC the app read 4 kinds of directory objects in 21 calls (directoryRoles, "
        "groups, servicePrincipals, users), which it had not done in such a burst before; it is known since 2026-10-06."
    )


def test_a_directory_listed_on_a_day_of_sums(con):
    called(con, LONG_AGO)
    for endpoint in KINDS_OF_OBJECTS:
        called(con, dt.date(2026, 11, 12), endpoint=endpoint, calls=250, read_from="sums", resource_type="directory")
    row = one(con, "directory-listing-by-app")
    assert (row["measure"], row["threshold"]) == (1000, 1000)
    assert row["reason"].startswith("On 2026-11-12 the app read 4 kinds of directory objects in 1000 calls")
    con.execute("UPDATE api_calls_daily SET read_from = 'requests'")
    assert found(con, "directory-listing-by-app").empty


@pytest.mark.parametrize(
    ("why", "more"),
    [
        ("few calls", {"calls": 19}),
        ("few kinds", {"kinds": 3}),
        ("written", {"method": "POST"}),
        ("mail", {"resource_type": "messages"}),
        ("every night", {}),
        ("no past", {}),
        ("out of scope", {}),
    ],
)
def test_other_listings_are_silent(con, why: str, more: dict[str, object]):
    called(con, dt.date(2026, 10, 26) if why == "no past" else LONG_AGO)
    if why == "every night":
        listed(con, "2026-10-20 03:00")
    if why == "out of scope":
        con.execute("UPDATE app_inventory SET is_in_scope = false")
    listed(con, "2026-11-12 03:00", **more)
    assert found(con, "directory-listing-by-app").empty


def test_a_new_app_needs_no_past(con):
    con.execute("UPDATE app_inventory SET added_on = '2026-11-01'")
    called(con, dt.date(2026, 11, 12))
    listed(con, "2026-11-12 03:00")
    assert one(con, "directory-listing-by-app")["evidence"]["known_since"] == "2026-11-12"
