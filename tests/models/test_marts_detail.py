"""Marts that tell use and transfer apart: endpoints, users, hours, items, traffic, trends, and what is new."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from conftest import Bench
from test_marts_activity import cover

CALLS = (
    "request_id | app_id | called_at TIMESTAMP | service | resource_type | method | endpoint | status INTEGER "
    "| bytes_returned BIGINT | user_id | access | is_batch_envelope BOOLEAN | ip_address | user_agent\n"
)
SIGN_INS = (
    "app_id | created_at TIMESTAMP | user_id | asn | country | user_agent | resource_name | resource_id "
    "| credential_key_id\n"
)


@pytest.mark.parametrize(
    ("endpoint", "family"),
    [
        ("/me/messages", "/users/{id}/messages"),
        ("/users/{id}/messages/{id}/attachments", "/users/{id}/messages"),
        ("/users", "/users"),
        ("/users/{id}", "/users/{id}"),
        ("/me", "/users/{id}"),
        ("/menu/items", "/menu/items"),
        ("/sites/{id}/lists/{id}/items", "/sites/{id}/lists"),
        ("/auditLogs/signIns", "/auditLogs/signIns"),
        ("/reports/getDetail({id})", "/reports/getDetail"),
        ("/", ""),
    ],
)
def test_endpoints_of_one_kind_share_a_family(bench: Bench, endpoint: str, family: str) -> None:
    (found,) = bench.rows(f"SELECT endpoint_family('{endpoint}') AS family")
    assert found["family"] == family


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("agent_family('Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36 Edg/130.0')", "Edg"),
        ("agent_family('Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36')", "Chrome"),
        ("agent_family('Mozilla/5.0 (X11; rv:130.0) Gecko/20100101 Firefox/130.0')", "Firefox"),
        ("agent_family('Mozilla/4.0')", "Mozilla"),
        ("agent_family('python-requests/2.32')", "python-requests"),
        ("agent_family('curl')", "curl"),
        ("agent_family(' ')", None),
        ("address_block('203.0.113.77')", "203.0.113.0/24"),
        ("address_block('2001:DB8:1:2::3')", "2001:db8:1::/48"),
        ("address_block('2001:db8::3')", "2001:db8::/48"),
        ("address_block('unknown')", None),
        # a mailbox that was synchronised does not say how many messages it was
        ("office_items('MailItemsAccessed', [], [], '3', 'Sync')", None),
        ("office_items('MailItemsAccessed', [], [], '3', 'Bind')", 3),
        ("office_items('MailItemsAccessed', [10, NULL], [], '7', NULL)", 2),
        ("office_items('HardDelete', [], [1, 2, 3], NULL, NULL)", 3),
        ("office_items('FileDownloaded', [], [], NULL, NULL)", 1),
    ],
)
def test_words_of_the_models(bench: Bench, call: str, expected: object) -> None:
    assert bench.rows(f"SELECT {call} AS found") == [{"found": expected}]


def test_endpoint_usage_counts_two_periods(bench: Bench) -> None:
    bench.requests(
        CALLS
        + """
        1 | a | 2026-11-15 10:00:00 | Exchange | messages | GET | /me/messages | 200 | 100 | u | read | false | - | -
        2 | a | 2026-11-09 | Exchange | messages | GET | /users/{id}/messages | 200 | - | - | read | false | - | -
        3 | a | 2026-11-08 10:00:00 | Exchange | messages | GET | /me/messages | 200 | 7 | u | read | false | - | -
        4 | a | 2026-11-15 10:00:00 | Exchange | messages | GET | /me/messages | 403 | - | u | read | false | - | -
        5 | a | 2026-11-01 10:00:00 | Exchange | messages | GET | /me/messages | 200 | 7 | u | read | false | - | -
        """,
    )
    assert [tuple(row.values()) for row in bench.run("app_endpoint_usage")] == [
        # calls 1 and 2 in the period, 3 before it, 5 too old; one of two sizes known; two days
        ("a", "/users/{id}/messages", "GET", 200, "read", "Exchange", 2, 1, 100, 2),
        ("a", "/users/{id}/messages", "GET", 403, "read", "Exchange", 1, 0, None, 1),
    ]


def test_top_users_and_their_share(bench: Bench) -> None:
    rows = "\n".join(f"{n} | a | 2026-11-15 10:00:00 | X | x | GET | /x | 200 | {n} | u{n:02} | read | false | - | -"
                     for n in range(1, 13))  # fmt: skip
    bench.requests(
        CALLS + rows + "\n99 | a | 2026-11-15 10:00:00 | X | x | GET | /x | 200 | 22 | - | read | false | - | -"
    )
    bench.table("stg_sign_ins", SIGN_INS + "a | 2026-11-14 | u12 | - | - | - | - | - | -\n"
                "a | 2026-11-08 | u01 | - | - | - | - | - | -\n"
                "b | 2026-11-14 | u01 | - | - | - | - | - | -")  # fmt: skip
    bench.table("app_period_totals", "app_id | calls BIGINT | bytes_returned BIGINT\na | 13 | 100\nb | 0 | -")
    bench.table("stg_users", "user_id | user_principal_name\nu12 | twelve@x.example")
    found = bench.run("app_top_users")
    assert [row["user_id"] for row in found if row["app_id"] == "a"] == [f"u{n:02}" for n in range(12, 2, -1)]
    # 12 of 100 bytes, 1 of 13 calls
    assert tuple(found[0].values()) == ("a", "u12", "twelve@x.example", 1, 1, 12, 0.0769, 0.12)
    assert tuple(found[-1].values()) == ("b", "u01", None, 1, 0, None, None, None)


def test_hours_of_the_week(bench: Bench) -> None:
    bench.requests(
        CALLS
        + """
        1 | a | 2026-11-15 03:59:00 | X | x | GET | /x | 200 | 1 | u | read | false | - | -
        2 | a | 2026-11-08 03:00:00 | X | x | GET | /x | 200 | 1 | u | read | false | - | -
        3 | a | 2026-10-18 03:00:00 | X | x | GET | /x | 200 | 1 | u | read | false | - | -
        """,
    )
    bench.table("stg_sign_ins", SIGN_INS + "a | 2026-11-15 03:00:00 | u | - | - | - | - | - | -\n"
                "a | 2026-11-14 23:00:00 | u | - | - | - | - | - | -")  # fmt: skip
    assert [tuple(row.values()) for row in bench.run("app_hour_profile")] == [
        ("a", 6, 23, 1, None),  # no Saturday was read call by call: nobody knows how many there were
        ("a", 7, 3, 1, 2),  # Sunday, two of four weeks; the fifth week back does not count
    ]


def test_transfer_by_user_adds_up_whichever_way_it_was_read(bench: Bench) -> None:
    bench.table("api_paths", "path | endpoint | service | resource_type | is_batch_envelope BOOLEAN\n"
                "/sites | /sites | SharePoint | sites | false")  # fmt: skip
    bench.empty("api_sums")
    bench.con.execute("INSERT INTO api_sums BY NAME SELECT 'a' AS app_id, DATE '2026-11-14' AS day, '/sites' AS path, "
                      "'GET' AS method, 200 AS status, 4 AS calls, 1 AS bytes_unknown_calls, 300 AS bytes")  # fmt: skip
    bench.run("stg_api_activity_sums")
    bench.requests(
        CALLS
        + """
        1 | a | 2026-11-15 10:00:00 | Exchange | messages | GET | /m | 200 | 100 | u1 | read | false | - | -
        2 | a | 2026-11-15 10:00:00 | Exchange | messages | GET | /m | 200 | - | u1 | read | false | - | -
        3 | a | 2026-11-15 10:00:00 | Exchange | messages | POST | /m | 201 | 9 | u2 | write | false | - | -
        4 | a | 2026-11-15 10:00:00 | Other | other | POST | /$batch | 200 | 5000 | u2 | write | true | - | -
        """,
    )
    found = bench.run("data_transfer_daily")
    assert [tuple(row.values())[1:] for row in found] == [
        (date(2026, 11, 14), "SharePoint", "sites", "read", None, 4, 300, 1, "sums"),
        (date(2026, 11, 15), "Exchange", "messages", "read", "u1", 2, 100, 1, "requests"),
        (date(2026, 11, 15), "Exchange", "messages", "write", "u2", 1, 9, 0, "requests"),
    ]
    assert sum(row["bytes_returned"] for row in found) == 409 == bench.rows(
        "SELECT sum(bytes_returned) AS n FROM api_calls_daily"
    )[0]["n"]  # fmt: skip


def test_items_come_from_the_log_that_holds_more_of_a_day(bench: Bench) -> None:
    bench.table(
        "stg_office_activity",
        """
        app_id | occurred_at TIMESTAMP | operation | items BIGINT | bytes BIGINT | user_id | result
        a | 2026-11-14 10:00:00 | MailItemsAccessed | 3 | 900 | u1 | success
        a | 2026-11-14 11:00:00 | MailItemsAccessed | - | - | u2 | success
        a | 2026-11-14 11:00:00 | Send | 1 | 50 | u1 | success
        a | 2026-11-14 11:00:00 | Send | 1 | 50 | u1 | failure
        a | 2026-11-14 11:00:00 | FileUploaded | 1 | - | u1 | success
        a | 2026-11-14 11:00:00 | PageViewed | 1 | - | u1 | success
        a | 2026-11-15 11:00:00 | FileDownloaded | 1 | 10 | u1 | success
        """,
    )
    bench.table(
        "stg_cloud_app_events",
        """
        app_id | occurred_at TIMESTAMP | action | user_id
        a | 2026-11-14 10:00:00 | MailItemsAccessed | u1
        a | 2026-11-15 10:00:00 | FileDownloaded | u1
        a | 2026-11-15 10:00:00 | FileDownloaded | u2
        a | 2026-11-15 10:00:00 | MailItemsAccessed | u2
        """,
    )
    saturday, sunday = date(2026, 11, 14), date(2026, 11, 15)
    assert [tuple(row.values())[1:] for row in bench.run("app_items_daily")] == [
        # events, items, of unknown number, bytes, of unknown size, users
        (saturday, "files", "write", 1, 1, 0, None, 1, 1, "office_activity"),
        (saturday, "mail", "read", 2, 3, 1, 900, 1, 2, "office_activity"),
        (saturday, "mail", "sent", 1, 1, 0, 50, 0, 1, "office_activity"),
        (sunday, "files", "read", 2, 2, 0, None, 2, 2, "cloud_app_events"),
        (sunday, "mail", "read", 1, None, 1, None, 1, 1, "cloud_app_events"),
    ]


def test_traffic_of_several_reports_is_not_added_up(bench: Bench) -> None:
    bench.empty("stg_cloud_discovery_apps")
    bench.con.execute(
        "INSERT INTO stg_cloud_discovery_apps BY NAME SELECT 'd1' AS discovered_app_id, 'r' || n AS parent_id, 'Wiki' "
        "AS display_name, n * 10 AS uploaded_bytes, n * 100 AS downloaded_bytes, n AS transactions "
        "FROM range(1, 4) r(n)"
    )
    bench.table("stg_service_principals", "app_id | display_name\na2 | WIKI\na1 | Wiki\na3 | Other")
    (found,) = bench.run("discovered_app_traffic")
    assert (found["uploaded_bytes"], found["downloaded_bytes"], found["reports"]) == (30, 300, 3)
    assert found["same_name_app_ids"] == ["a1", "a2"]


def test_a_day_beside_its_weekday(bench: Bench) -> None:
    # Sundays: 10, 20, -, 40 before the period's own (90); Saturday before it 45; nobody looked on 11-08's Saturday
    bench.table(
        "daily_metrics",
        """
        app_id | metric | day DATE | value DOUBLE
        a | api_calls | 2026-10-18 | 10
        a | api_calls | 2026-10-25 | 20
        a | api_calls | 2026-11-08 | 40
        a | api_calls | 2026-11-14 | 45
        a | api_calls | 2026-11-15 | 90
        a | failures | 2026-11-14 | 0
        a | failures | 2026-11-15 | 5
        """,
    )
    found = {(row["metric"], row["day"].day): tuple(row.values())[3:] for row in bench.run("app_metric_trend")}
    assert found == {
        # 90 against 45, 40 and the middle of 10, 20 and 40
        ("api_calls", 15): (90.0, 45.0, 40.0, 20.0, 3, 100.0, 125.0, 350.0),
        ("api_calls", 14): (45.0, None, None, None, 0, None, None, None),
        ("failures", 14): (0.0, None, None, None, 0, None, None, None),
        ("failures", 15): (5.0, 0.0, None, None, 0, None, None, None),  # against nothing there is no share
    }


def first_seen(bench: Bench, *, from_day: str = "2026-10-01", roams: bool = False) -> dict[str, tuple[str, str]]:
    """Novelty and reason by dimension and value, of an app known since August and of one known for a week."""
    rows = [
        "a | 2026-11-15 | u | 64500 | DE | curl/8 | Graph | - | k1",
        "a | 2026-10-02 | u | 64500 | DE | curl/8 | Graph | - | k1",
        "a | 2026-11-14 | u | 64501 | FR | curl/9 | - | r9 | k2",
        "b | 2026-11-12 | u | 64500 | US | curl/8 | Graph | - | k3",
    ]
    if roams:
        rows += [f"a | 2026-10-02 | u | {n} | DE | curl/8 | Graph | - | k1" for n in range(64600, 64621)]
    bench.table("stg_sign_ins", SIGN_INS + "\n".join(rows))
    bench.requests(
        CALLS
        + """
        1 | a | 2026-10-02 10:00:00 | X | x | GET | /users | 200 | 1 | u | read | false | 192.0.2.1 | -
        2 | a | 2026-11-15 10:00:00 | X | x | GET | /me/messages | 200 | 1 | u | read | false | 192.0.2.9 | python/3
        3 | a | 2026-11-15 10:00:00 | X | x | GET | /users | 200 | 1 | u | read | false | 198.51.100.1 | -
        """,
    )
    cover(bench, ("sign_ins_service_principal", from_day, "2026-11-15"), ("api_activity", "2026-10-01", "2026-11-15"))
    bench.run("first_seen_values")
    return {
        f"{row['app_id']} {row['dimension']} {row['value']}": (row["novelty"], row["reason"])
        for row in bench.run("app_first_seen")
    }


def test_what_is_new(bench: Bench) -> None:
    found = first_seen(bench)
    new = {name for name, (novelty, _) in found.items() if novelty == "new"}
    assert new == {
        "a network AS64501", "a country FR", "a resource r9", "a credential k2", "a address_block 198.51.100.0/24",
        "a endpoint_family /users/{id}/messages",
    }  # fmt: skip
    assert found["a user_agent curl"] == ("known", None)  # another version of the same program is the same program
    assert found["a user_agent python"][0] == "unknown"  # no call named a program before
    assert found["b country US"] == ("unknown", "the app itself is young: everything it shows is new")
    (row,) = [row for row in bench.run("app_novelty") if row["app_id"] == "a" and row["dimension"] == "country"]
    # one sign-in of DE and one of FR now, none in the week before: half of them came with something new
    assert tuple(row.values())[3:] == (2, 0, 2, 0, 1, 0, 1, 0.5)


def test_a_log_that_begins_and_an_app_that_roams_show_nothing_new(bench: Bench) -> None:
    short = first_seen(bench, from_day="2026-10-30")
    assert short["a network AS64501"] == ("unknown", "the log covers 10 days before the period, 14 are needed")
    roaming = first_seen(bench, roams=True)
    assert roaming["a network AS64501"] == ("unknown", "the app showed 22 values before: it roams")
    assert roaming["a country FR"][0] == "new"


def test_events_of_an_app_come_from_every_log(bench: Bench) -> None:
    bench.table(
        "changes",
        "change_id | app_id | changed_at TIMESTAMP | kind | change | subject | actor_id | actor_name | display_name "
        "| source\n"
        "c1 | a | 2026-11-10 09:00:00 | credential | added | secret k1 | u1 | Ada | A | both\n"
        "c2 | gone | 2026-11-11 00:00:00 | app | removed | enterprise application | - | - | Old | snapshot\n"
        "c3 | - | 2026-11-11 00:00:00 | setting | changed | users may consent | - | - | - | snapshot",
    )
    bench.table(
        "app_first_seen",
        """
        app_id | family | dimension | value | novelty | first_seen DATE | first_seen_at TIMESTAMP
        a | api_activity | address_block | 192.0.2.0/24 | new | 2026-11-11 | 2026-11-11 02:00:00
        a | api_activity | endpoint_family | /users | new | 2026-11-11 | 2026-11-11 00:00:00
        a | sign_ins | country | DE | known | 2026-11-11 | 2026-11-11 02:00:00
        """,
    )
    bench.table("stg_service_principals", "app_id | service_principal_id | display_name\na | sp1 | A\nb | sp2 | B")
    bench.table(
        "stg_directory_audits",
        """
        activity_at TIMESTAMP | activity | actor_id | actor_type | actor_name | result
        2026-11-12 10:00:00 | Add member to role | sp2 | service_principal | B | success
        2026-11-12 09:00:00 | Add member to role | sp2 | service_principal | B | success
        2026-11-12 09:00:00 | Update user | sp2 | service_principal | B | failure
        2026-11-12 09:00:00 | Update user | u1 | user | Ada | success
        2026-11-16 00:00:00 | Update user | sp2 | service_principal | B | success
        """,
    )
    bench.table("stg_sign_ins", SIGN_INS + "a | 2026-11-12 08:00:00 | u | - | - | - | - | - | -\n"
                "a | 2026-11-12 07:00:00 | u | - | - | - | - | - | -\n"
                "b | 2026-11-12 | u | - | - | - | - | - | -")  # fmt: skip
    bench.table("api_calls_daily", "app_id | first_called_at TIMESTAMP\na | 2026-11-13 05:00:00")
    found = [(r["app_id"], str(r["happened_at"])[5:16], r["event"], r["detail"], r["is_dated"])
             for r in bench.run("app_events")]  # fmt: skip
    assert found == [
        ("a", "11-10 09:00", "credential added", "secret k1", True),
        ("a", "11-11 00:00", "new endpoint family", "/users", False),  # read as sums: the day is all that is known
        ("a", "11-11 02:00", "new address block", "192.0.2.0/24", True),
        ("a", "11-12 07:00", "used", "", True),  # the first of the day; b was used too, but nothing was done to it
        ("a", "11-13 05:00", "used", "", True),
        ("b", "11-12 09:00", "acted", "Add member to role", True),
        ("gone", "11-11 00:00", "app removed", "enterprise application", False),
    ]


def test_sign_ins_outside_the_usual_hours(bench: Bench) -> None:
    # five weeks, Monday to Friday: four sign-ins at nine; an app that works around the clock beside it
    start, rows = date(2026, 10, 5), []
    for day in (start + timedelta(days=n) for n in range(35)):
        if day.weekday() < 5:
            rows += [f"office | {day} 09:{n:02}:00 | u | - | - | - | - | - | -" for n in range(4)]
        rows += [f"clock | {day} {hour:02}:00:00 | u | - | - | - | - | - | -" for hour in range(24)]
        rows += [f"rare | {day} 09:00:00 | u | - | - | - | - | - | -"]
    rows += ["office | 2026-11-10 09:00:00 | u | - | - | - | - | - | -"]
    rows += [f"office | 2026-11-10 03:{n:02}:00 | u | - | - | - | - | - | -" for n in range(20)]
    rows += ["office | 2026-11-14 09:00:00 | u | - | - | - | - | - | -"]
    rows += ["clock | 2026-11-10 03:00:00 | u | - | - | - | - | - | -"]
    bench.table("stg_sign_ins", SIGN_INS + "\n".join(rows))
    found = {(row["app_id"], row["day"].isoformat()): row["sign_ins"] for row in bench.run("off_hours_daily")}
    assert {key: n for key, n in found.items() if n} == {
        ("office", "2026-11-10"): 20,  # the one at nine is as ever
        ("office", "2026-11-14"): 1,  # nine o'clock, but on a Saturday
    }
    assert found["clock", "2026-11-10"] == 0
    assert "rare" not in {app for app, _ in found}  # 35 sign-ins make no habit
    bench.con.execute("INSERT INTO kept_until VALUES ('sign_ins', DATE '2026-11-08')")
    assert bench.run("off_hours_daily") == []  # the rows that would tell are pruned
