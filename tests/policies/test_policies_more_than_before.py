"""The policies that compare what an app did with its own past in the same log."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from policy_tables import AS_OF, found, one
from state_tables import put, state_warehouse

LONG_AGO = AS_OF - dt.timedelta(days=40)
BEFORE = AS_OF - dt.timedelta(days=20)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse with one app."""
    con = state_warehouse()
    put(con, "app_inventory")
    return con


def did(con: duckdb.DuckDBPyConnection, day: str | dt.date, deed: str, events: int = 1, **more: object) -> None:
    """What the app did on a day of November 2026, or on a date."""
    put(con, "app_deeds_daily", day=f"2026-11-{day}" if isinstance(day, str) else day, deed=deed, events=events, **more)


def known_since(con: duckdb.DuckDBPyConnection, day: dt.date, log: str) -> None:
    """Something else the app did, which shows that it was there and the log was read."""
    did(con, day, "mail sent", log=log)


# ---- inbox rule and files --------------------------------------------------------------------------------------------


def test_a_first_rule_of_an_app_that_searches_files(con):
    known_since(con, LONG_AGO, "office_activity")
    did(con, "12", "inbox rule made")
    did(con, "10", "files searched", 4)
    did(con, "13", "files searched", 4)
    row = one(con, "file-search-and-rule")
    assert row["measure"] == 1
    assert row["reason"] == (
        "On 2026-11-12 the app made an inbox rule, which it had not been seen to do before, and within 7 days of it "
        "searched files 8 times (known since 2026-10-06)."
    )


@pytest.mark.parametrize(
    ("rule", "search", "searches", "usual"),
    [("12", "12", 4, False), ("08", "08", 9, False), ("12", "04", 9, False), ("12", "12", 9, True)],
    ids=["few searches", "before the period", "searched long before", "makes rules for a living"],
)
def test_other_rules_and_searches_are_silent(con, rule: str, search: str, searches: int, usual: bool):
    if usual:
        did(con, BEFORE, "inbox rule made")
    did(con, rule, "inbox rule made")
    did(con, search, "files searched", searches)
    did(con, rule, "mail read", 90)
    assert found(con, "file-search-and-rule").empty


# ---- searched and edited ---------------------------------------------------------------------------------------------


def test_files_searched_and_edited_on_one_day(con):
    known_since(con, LONG_AGO, "api_activity")
    did(con, BEFORE, "files searched", 20)
    did(con, BEFORE, "files edited", 30)
    did(con, "12", "files searched", 60)
    did(con, "12", "files edited", 900)
    row = one(con, "file-search-and-edit")
    # the smaller number counts: 60 against three times 20
    assert (row["measure"], row["threshold"]) == (60, 60)
    assert row["reason"] == (
        "On 2026-11-12 the app searched files 60 times and edited 900; on its busiest day before it did at least 20 of "
        "each (known since 2026-10-06)."
    )


@pytest.mark.parametrize(
    ("searches", "edits", "why"),
    [
        (60, 49, "hardly edits"),
        (49, 900, "hardly searches"),
        (60, 60, "another day"),
        (60, 60, "another log"),
        (60, 60, "does so"),
        (60, 60, "no past"),
        (60, 60, "out of scope"),
    ],
)
def test_other_searches_and_edits_are_silent(con, searches: int, edits: int, why: str):
    known_since(con, BEFORE if why == "no past" else LONG_AGO, "api_activity")
    if why == "does so":
        did(con, BEFORE, "files searched", 21)
        did(con, BEFORE, "files edited", 21)
    if why == "out of scope":
        con.execute("UPDATE app_inventory SET is_in_scope = false")
    did(con, "12", "files searched", searches)
    did(con, "13" if why == "another day" else "12", "files edited", edits,
        log="office_activity" if why == "another log" else "api_activity")  # fmt: skip
    assert found(con, "file-search-and-edit").empty


# ---- one deed more than ever before ----------------------------------------------------------------------------------

DEEDS = {
    # deed, log, least of a day, what is told
    "teams-messages-by-app": ("chats read", "api_activity", 200, "the app read messages of Teams 200 times"),
    "mass-download-by-app": ("files read", "cloud_app_events", 1000, "the app downloaded or opened 1000 files"),
}


@pytest.mark.parametrize("policy", sorted(DEEDS))
def test_a_deed_more_often_than_ever_before(con, policy: str):
    deed, log, least, words = DEEDS[policy]
    known_since(con, LONG_AGO, log)
    did(con, "12", deed, least, log=log)
    did(con, "13", deed, least - 1, log=log)
    row = one(con, policy)
    assert (row["measure"], row["threshold"]) == (least, least)
    assert row["reason"].startswith(f"On 2026-11-12 {words}; on no day before had it done so (known since 2026-10-06")
    did(con, BEFORE, deed, least // 4, log=log)
    assert f"; on its busiest day before it was {least // 4}" in one(con, policy)["reason"]


@pytest.mark.parametrize("policy", sorted(DEEDS))
@pytest.mark.parametrize("why", ["too few", "usual", "no past", "before the period", "out of scope", "another log"])
def test_a_deed_is_silent(con, policy: str, why: str):
    deed, log, least, _ = DEEDS[policy]
    known_since(con, BEFORE if why == "no past" else LONG_AGO, "office_activity" if why == "another log" else log)
    if why == "usual":
        did(con, BEFORE, deed, least // 3 + 1, log=log)
    if why == "out of scope":
        con.execute("UPDATE app_inventory SET is_in_scope = false")
    did(con, "08" if why == "before the period" else "12", deed, least - (why == "too few"), log=log)
    assert found(con, policy).empty


def test_calls_of_graph_are_no_downloads_of_this_policy(con):
    known_since(con, LONG_AGO, "api_activity")
    did(con, "12", "files read", 5000)
    assert found(con, "mass-download-by-app").empty


def test_reading_and_sending_of_chats_are_two_findings(con):
    known_since(con, LONG_AGO, "api_activity")
    for deed in ("chats read", "chats sent"):
        did(con, "12", deed, 300)
    assert list(found(con, "teams-messages-by-app")["subject"]) == ["chats read", "chats sent"]


# ---- begins to read mail ---------------------------------------------------------------------------------------------


def test_an_app_begins_to_read_mail(con):
    known_since(con, LONG_AGO, "api_activity")
    did(con, "12", "mail read", 15)
    did(con, "13", "mail read", 15)
    row = one(con, "app-starts-reading-mail")
    assert row["measure"] == 30
    assert row["reason"] == (
        "Since 2026-11-12 the app reads mail, 30 times on 2 days; it is known since 2026-10-06 and had not read any "
        "until then."
    )


@pytest.mark.parametrize("why", ["few", "did before", "no past", "known in another log", "out of scope"])
def test_other_reading_of_mail_is_silent(con, why: str):
    log = "office_activity" if why == "known in another log" else "api_activity"
    known_since(con, BEFORE if why == "no past" else LONG_AGO, log)
    if why == "did before":
        did(con, BEFORE, "mail read")
    if why == "out of scope":
        con.execute("UPDATE app_inventory SET is_in_scope = false")
    did(con, "12", "mail read", 19 if why == "few" else 90)
    assert found(con, "app-starts-reading-mail").empty


# ---- inbox rule and sending ------------------------------------------------------------------------------------------


def test_a_first_rule_of_an_app_that_sends_mail(con):
    did(con, "10", "inbox rule made", 3, log="office_activity")
    did(con, "12", "mail sent", 30)
    row = one(con, "mail-rule-and-sending")
    assert row["measure"] == 3
    assert row["reason"] == (
        "On 2026-11-10 the app made the first of 3 inbox rules, which it had not been seen to do before, and within 7 "
        "days of it sent, answered or forwarded mail 30 times (known since 2026-11-10)."
    )


@pytest.mark.parametrize("why", ["sends little", "makes rules for a living", "sent long before", "out of scope"])
def test_other_rules_and_mail_are_silent(con, why: str):
    if why == "makes rules for a living":
        did(con, BEFORE, "inbox rule made")
    if why == "out of scope":
        con.execute("UPDATE app_inventory SET is_in_scope = false")
    did(con, "12", "inbox rule made")
    did(con, "04" if why == "sent long before" else "12", "mail sent", 9 if why == "sends little" else 90)
    did(con, "12", "mail read", 90)
    assert found(con, "mail-rule-and-sending").empty


# ---- volume of mail --------------------------------------------------------------------------------------------------


def read_mail(con: duckdb.DuckDBPyConnection, day: str, items: int | None, **more: object) -> None:
    """A record of the audit log about that many messages."""
    put(con, "stg_office_activity", occurred_at=f"{day} 08:00", items=items, **more)


def test_more_messages_than_ever_before(con):
    known_since(con, LONG_AGO, "office_activity")
    read_mail(con, "2026-10-20", 300)
    read_mail(con, "2026-11-12", 999)
    read_mail(con, "2026-11-12", None)  # a synchronised mailbox counts once
    row = one(con, "mail-read-volume")
    assert (row["measure"], row["threshold"]) == (1000, 1000)
    assert row["reason"] == (
        "On 2026-11-12 the app read 1000 messages or more; on its busiest day before it was 300 (known since "
        "2026-10-06)."
    )


def test_reads_that_only_defender_saw(con):
    known_since(con, LONG_AGO, "cloud_app_events")
    did(con, "12", "mail read", 1000, log="cloud_app_events")
    assert "; on no day before had it done so" in one(con, "mail-read-volume")["reason"]


@pytest.mark.parametrize("why", ["few", "usual", "no past", "known in another log", "another record", "calls of Graph"])
def test_other_volumes_are_silent(con, why: str):
    log = "cloud_app_events" if why == "known in another log" else "office_activity"
    known_since(con, BEFORE if why == "no past" else LONG_AGO, log)
    if why == "usual":
        read_mail(con, "2026-10-20", 334)
    if why == "calls of Graph":
        known_since(con, LONG_AGO, "api_activity")
        did(con, "12", "mail read", 5000)
    else:
        operation = "Send" if why == "another record" else "MailItemsAccessed"
        read_mail(con, "2026-11-12", 999 if why == "few" else 1000, operation=operation)
    assert found(con, "mail-read-volume").empty
