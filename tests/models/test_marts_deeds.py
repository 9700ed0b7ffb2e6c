"""The mart of deeds: what a call or a record of an activity log means, log by log."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from conftest import Bench

CALLS = (
    "request_id | app_id | called_at TIMESTAMP | service | resource_type | method | endpoint | status INTEGER "
    "| bytes_returned BIGINT | user_id | access | is_batch_envelope BOOLEAN | uri\n"
)
OFFICE = "app_id | occurred_at TIMESTAMP | operation | result\n"
DEFENDER = "app_id | occurred_at TIMESTAMP | action\n"


def deeds(bench: Bench, calls: str = "", office: str = "", defender: str = "") -> list[tuple[object, ...]]:
    """The rows of the mart for these calls and records."""
    bench.requests(CALLS + calls)
    bench.table("stg_office_activity", OFFICE + office)
    bench.table("stg_cloud_app_events", DEFENDER + defender)
    return [tuple(row.values()) for row in bench.run("app_deeds_daily")]


@pytest.mark.parametrize(
    ("resource_type", "method", "endpoint", "access", "meant"),
    [
        ("messages", "POST", "/me/mailFolders/{id}/messageRules", "write", ["inbox rule made"]),
        ("messages", "PATCH", "/users/{id}/mailFolders/{id}/messageRules/{id}", "write", ["inbox rule made"]),
        ("messages", "GET", "/me/mailFolders/{id}/messageRules", "read", []),
        ("messages", "DELETE", "/me/mailFolders/{id}/messageRules/{id}", "write", []),
        ("messages", "GET", "/users/{id}/mailFolders/{id}/messages/{id}/attachments", "read", ["mail read"]),
        ("messages", "GET", "/users/{id}/mailFolders", "read", []),
        ("messages", "POST", "/users/{id}/messages/{id}/replyAll", "write", ["mail sent"]),
        ("other", "POST", "/search/query", "read", ["files searched", "mail searched"]),
        ("files", "GET", "/drives/{id}/root/search({id})", "read", ["files searched"]),
        ("files", "GET", "/drives/{id}/items/{id}/content", "read", ["files read"]),
        ("files", "GET", "/drives/{id}/items/{id}", "read", []),
        ("files", "PATCH", "/drives/{id}/items/{id}", "write", ["files edited"]),
        ("sites", "PATCH", "/sites/{id}/lists/{id}", "write", []),
        ("chats", "GET", "/chats/{id}/messages", "read", ["chats read"]),
        ("chats", "GET", "/users/{id}/chats/getAllMessages", "read", []),
        ("chats", "POST", "/teams/{id}/channels/{id}/messages/{id}/replies", "write", ["chats sent"]),
        ("chats", "GET", "/chats", "read", []),
    ],
)
def test_what_a_call_means(
    bench: Bench, resource_type: str, method: str, endpoint: str, access: str, meant: list[str]
) -> None:
    kind = f"S | {resource_type} | {method} | {endpoint}"
    row = f"1 | a | 2026-11-15 10:00:00 | {kind} | 200 | - | - | {access} | false | -"
    assert [found[2] for found in deeds(bench, row)] == meant


def test_only_what_was_served_counts_and_searches_are_read_from_the_address(bench: Bench) -> None:
    mail = "S | messages | GET | /users/{id}/messages"
    found = deeds(
        bench,
        f"""
        1 | a | 2026-11-15 10:00:00 | {mail} | 200 | - | - | read | false | https://x/users/1/messages?$top=5&$search="pay"
        2 | a | 2026-11-15 09:00:00 | {mail} | 200 | - | - | read | false | https://x/users/1/messages?%24search=%22a%22
        3 | a | 2026-11-15 08:00:00 | {mail} | 403 | - | - | read | false | https://x/users/1/messages?$search="pay"
        4 | a | 2026-11-15 11:00:00 | {mail} | 304 | - | - | read | false | https://x/users/1/messages
        5 | a | 2026-11-16 11:00:00 | {mail} | 200 | - | - | read | false | https://x/users/1/messages
        """,
    )
    sunday = date(2026, 11, 15)
    # three of five were served on the day or before it; two of them searched
    assert found == [
        ("a", sunday, "mail read", "api_activity", 3, datetime(2026, 11, 15, 9)),
        ("a", sunday, "mail searched", "api_activity", 2, datetime(2026, 11, 15, 9)),
    ]


def test_logs_are_kept_apart_and_failures_left_out(bench: Bench) -> None:
    found = deeds(
        bench,
        office="""
        a | 2026-11-14 10:00:00 | New-InboxRule | success
        a | 2026-11-14 11:00:00 | UpdateInboxRules | unknown
        a | 2026-11-14 11:00:00 | New-InboxRule | failure
        a | 2026-11-14 12:00:00 | MailItemsAccessed | success
        a | 2026-11-14 12:00:00 | Update | success
        a | 2026-11-14 12:00:00 | FileModified | success
        a | 2026-11-14 12:00:00 | PageViewed | success
        - | 2026-11-14 12:00:00 | FileModified | success
        """,
        defender="""
        a | 2026-11-14 12:00:00 | MailItemsAccessed
        a | 2026-11-14 12:00:01 | SearchQueryInitiatedExchange
        """,
    )
    assert [(row[2], row[3], row[4]) for row in found] == [
        ("files edited", "office_activity", 1),
        ("inbox rule made", "office_activity", 2),
        ("mail read", "cloud_app_events", 1),
        ("mail read", "office_activity", 1),
        ("mail searched", "cloud_app_events", 1),
    ]


@pytest.mark.parametrize(
    ("operation", "parameters", "properties", "whom"),
    [
        ("New-InboxRule", '[{"Name":"ForwardTo","Value":"a@x.example"}]', None, "a@x.example"),
        ("New-InboxRule", '[{"Value":"a@x.example","Name":"RedirectTo"}]', None, "a@x.example"),
        ("New-InboxRule", '[{"Name":"MoveToFolder","Value":"RSS"}]', None, None),
        ("Set-Mailbox", '[{"Name":"ForwardingSmtpAddress","Value":"smtp:a@x.example"}]', None, "a@x.example"),
        ("Set-Mailbox", '[{"Name":"ForwardingSmtpAddress","Value":""}]', None, None),
        (
            "UpdateInboxRules",
            None,
            '[{"Name":"RuleActions","Value":"[{\\"ActionType\\":\\"Forward\\",\\"Recipients\\":[\\"a@x.example\\"]}]"}]',
            "a@x.example",
        ),
        (
            "UpdateInboxRules",
            None,
            '[{"Name":"RuleActions","Value":"[{\\"ActionType\\":\\"Redirect\\",\\"Recipients\\":[\\"Bob\\"]}]"}]',
            "not named",
        ),
        ("UpdateInboxRules", None, '[{"Name":"RuleActions","Value":"[{\\"ActionType\\":\\"Move\\"}]"}]', None),
        ("MailItemsAccessed", '[{"Name":"ForwardTo","Value":"a@x.example"}]', None, None),
        ("New-InboxRule", "no list", None, None),
    ],
)
def test_whom_mail_is_sent_on_to(
    bench: Bench, operation: str, parameters: str | None, properties: str | None, whom: str | None
) -> None:
    given = bench.con.execute("SELECT office_forwards(?, ?, ?)", [operation, parameters, properties]).fetchall()
    assert given == [(whom,)]


@pytest.mark.parametrize(
    ("operation", "properties", "throttled"),
    [
        ("MailItemsAccessed", '[{"Value":"True","Name":"IsThrottled"}]', True),
        ("MailItemsAccessed", '[{"Name":"IsThrottled","Value":"False"}]', False),
        ("MailItemsAccessed", "[]", None),
        ("Send", '[{"Name":"IsThrottled","Value":"True"}]', None),
    ],
)
def test_whether_reading_was_throttled(
    bench: Bench, operation: str, properties: str | None, throttled: bool | None
) -> None:
    given = bench.con.execute("SELECT office_throttled(?, ?)", [operation, properties]).fetchall()
    assert given == [(throttled,)]


@pytest.mark.parametrize("shape", ["log_analytics", "unified_audit"])
def test_both_are_read_from_a_record(bench: Bench, shape: str) -> None:
    common = {"AppId": "00000000-0000-4000-8000-0000000000a0", "UserId": "ada@x.example"}
    named = {"ForwardTo": "bob@y.example"}, {"IsThrottled": "True"}
    lists = [[{"Name": name, "Value": value} for name, value in pairs.items()] for pairs in named]
    when = {"log_analytics": "TimeGenerated", "unified_audit": "CreationTime"}[shape]
    bench.raw(
        f"office_activity_{shape}",
        [
            {**common, when: "2026-11-14T10:00:00", "Operation": "New-InboxRule", "Parameters": lists[0]},
            {**common, when: "2026-11-14T11:00:00", "Operation": "MailItemsAccessed", "OperationProperties": lists[1]},
        ],
    )
    found = bench.run(f"office_activity_from_{shape}")
    assert [(row["forwards_to"], row["is_throttled"]) for row in found] == [("bob@y.example", None), (None, True)]
