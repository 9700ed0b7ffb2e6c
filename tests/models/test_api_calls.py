"""API calls from single requests and from sums: the same patterns, the same counts, no day counted twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime

import pytest
from conftest import Bench
from sample_tenant import calls

from appgov_lib.extract.sources import Window, load_sources
from appgov_lib.sample import hunting
from appgov_lib.sample.calendar import FIRST_DAY
from appgov_lib.sample.records import HUNTING_COLUMNS

DAY = date(2026, 11, 11)
GRAPH = "https://graph.microsoft.com"
ODD_PATHS = [
    "/v1.0/users('ada%40x.example')/events", "/v1.0/users('o''brien@x.example')/events",
    "/v1.0/users(userPrincipalName='ada@x.example')/events",
    "/v1.0/groups('8f1c2d3e-0000-4000-8000-000000000001')/members",
    "/v1.0/reports/getOffice365ActiveUserDetail(period='D7')",
    "/v1.0/reports/getOffice365ActiveUserDetail(date=2026-11-01)",
    "/v1.0/users/8f1c2d3e-0000-4000-8000-000000000001/calendarView/delta()",
    "/v1.0/me/drive/root/search(q='{a (b) c}')", "/v1.0/me/drive/root/search(q='it''s')",
    "/v1.0/me/drive/root/search(q='a/b')",
    "/v1.0/sites/x.sharepoint.com,8f1c2d3e-0000-4000-8000-000000000001,8f1c2d3e-0000-4000-8000-000000000002/lists",
    "/v1.0/sites/contoso.sharepoint.com:/sites/hr:/drive/root/children",
    "/v1.0/sites/contoso.sharepoint.com:/sites/hr", "/v1.0/me/drive/root:/Finance/2026 (final)/a.xlsx:/content",
    "/v1.0/me/drive/root:/Finance/2026%20(final)/a.xlsx:/content", "/v1.0/me/drive/root:/a.xlsx",
    "/v1.0/drives/b!AbCd-123/items/01ABCDEFGHIJKLMNOPQRSTUVWXYZ234567:/x.txt:/createUploadSession",
    "/v1.0/drives/b!AbCd-123/items/01ABCDEFGHIJKLMNOPQRSTUVWXYZ234567/content",
    "/v1.0/drives/b!AbCd-123/root:/x's (1)/y('z').txt:/content", "/v1.0/me/messages/AAMkAGI2TG93AAA=/attachments",
    "/v1.0/me/messages/AAMkAGI2TG93AAA%3D/attachments",
    "/v1.0/me/messages/AAMkAGVmMDEzMTM4LTZmYWUtNDdkNC1hMDZiLTU1OGY5OTZhYmY4OABGAAAAAADVLUKkxWuIQaIMTL5T6MZIBw"
    "DjAAAAAAAAAA_-/attachments/AAMkAGVmMDEzMTM4LTZmYWUtNDdkNC1hMDZiLTU1OGY5OTZhYmY4OABGAAAAAADVLUKkxWuIQaIMT"
    "L5T6MZIBwDjAAAAAAAAAA/$value",
    "/v1.0/me/messages/AAMkAGI2TG93AAAx_yz/attachments", "/v1.0/$batch", "/beta/$batch", "/beta/$BATCH",
    "/V1.0/Users/Ada@x.example/Messages", "https://GRAPH.microsoft.com/Beta/ME/MailFolders/Inbox/messages/$count",
    "//v1.0//users//8f1c2d3e-0000-4000-8000-000000000001//messages", "//beta/me", "/v1.0", "/v1.0/",
    "/", "/v1.0/me/drive", "/beta/users/12345/x",
    "/v1.0/me?$select=a/b(c='d')", "/v1.0/me#frag", "/v1.0/me#frag/x?y",
    "/v1.0/security/alerts_v2/da637551227677560813_-961444813",
    "/v1.0/oauth2PermissionGrants/AVs6JuUDjkCFV7q2gd8QTPimBBgj5iBFj0C6GwwRxC0",
    "/v1.0/deviceManagement/deviceConfigurations/8f1c2d3e-0000-4000-8000-000000000001/getOmaSettingPlainTextV"
    "alue(secretReferenceValueId='x')",
    "/v1.0/servicePrincipals(appId='8f1c2d3e-0000-4000-8000-000000000001')/owners",
    "/v1.0/servicePrincipals(appId=%278f1c2d3e-0000-4000-8000-000000000001%27)/owners",
    "/v1.0/chats/19:meeting_MjdhNjM@thread.v2/messages",
    "/v1.0/chats/19%3Ameeting_MjdhNjM%40thread.v2/messages/1616990032035",
    "/v1.0/teams/8f1c2d3e-0000-4000-8000-000000000001/channels/19:abc@thread.tacv2/messages", "/v1.0/users/123/x",
    "/v1.0/users/123abc/x", "/v1.0/users/12-3/x", "/v1.0/users/ada+b@x.example", "/v1.0/a/b~c/d", "/v1.0/a/b c/d",
    "/v1.0/a/b,c",
    "/v1.0/deviceManagement/virtualEndpoint/retrieveCrossRegionDisasterRecoveryReportForEverybodyAndAll",
    "/v1.0/deviceManagement/x/microsoft.graph.windowsManagementAppHealthStatusAndManyMoreWords/y",
    "/v1.0/me/calendars/AQMkADAwATM3ZmYA/events", "/v1.0/users/ABCDEFGHIJKLMNOPQ/events",
    "/v1.0/users/8F1C2D3E-0000-4000-8000-00000000000A/events", "/v1.0/users/8f1c2d3e00004000800000000000000a/events",
    "/v1.0/me/drive/items/01ABC!123/workbook/worksheets('Sheet 1')/range(address='A1:B2')",
    "/v1.0/me/drive/items/01ABC!123/workbook/tables(%271%27)/rows/itemAt(index=5)",
    "/v1.0/me/drive/items/01ABC!123/workbook/worksheets/{00000000-0001-0000-0000-000000000000}/range",
    "/v1.0/directoryObjects/delta(a='x',b='y')", "/v1.0/x/f(a=5,b='y(z)')/g", "/v1.0/x/f((a))/g",
    "/v1.0/x/f('a')('b')/g", "/v1.0/x/f(')/g", "/v1.0/x/'/g", "/v1.0/x/:/y", "/v1.0/x/a:/b:/c:/d", "/v1.0/x:",
    "/v1.0/x/a\"b/c\\d", "/v1.0/x/üñî/1", "/v1.0/x/a:/b/c:/d:/e", "/v1.0/drive/root:/a:b/c:/children",
    "/v1.0/identity/conditionalAccess/namedLocations/0854951d-5fc0-4eb1-b392-9b2c9d7949c2",
    "/v1.0/users/delta?$deltatoken=xx", "/v1.0/users/{id}/messages", "/v1.0beta/x", "/v2.0/x", "/v1.0/x/(a)/y",
    "/v1.0/x/('a')/y", "/v1.0/x/f(a='b", "/v1.0/x/f(a='b@c')/d", "/v1.0/x/f(a=@p)/d?@p='x'",
    "/v1.0/x/f(path='a/b')/d", "/v1.0/sites/root/lists/Docs/items/5/fields", "/v1.0/x/2026-11-01/y",
    "/v1.0/x/2026.5/y", "/v1.0/x/5:/y:/z",
]  # fmt: skip
"""Keys in brackets, functions with arguments, places in a drive, ids of mails, escapes, odd spellings and nonsense."""


def summed(uris: list[str]) -> list[str]:
    """What the catalogue's query makes of each address, in the sample's query engine."""

    def day(number: int) -> Iterator[hunting.Fragments]:
        if number == (DAY - FIRST_DAY).days:
            columns = {name: ['""'] * len(uris) for name in HUNTING_COLUMNS}
            columns["Timestamp"] = [f'"{DAY}T10:00:00.0000000Z"'] * len(uris)
            columns["ResponseSize"] = ["5"] * len(uris)
            columns["RequestUri"] = [json.dumps(uri) for uri in uris]
            # an app each, so that no two are summed up
            columns["ApplicationId"] = [json.dumps(str(number)) for number in range(len(uris))]
            yield columns

    window = Window(datetime(2026, 11, 11), datetime(2026, 11, 12))
    query = load_sources()["api_activity_sums"].hunting_query(window)
    answer = hunting.run({"GraphApiAuditEvents": hunting.Table(HUNTING_COLUMNS, day)}, query, None)
    found = {int(row["ApplicationId"]): row["Endpoint"] for row in json.loads(b"{" + answer + b"}")["results"]}
    return [found[number] for number in range(len(uris))]


def disagreements(bench: Bench, uris: list[str]) -> list[dict[str, object]]:
    """Addresses whose pattern, family or kind is another one when it is made of the sum's."""
    bench.con.execute("CREATE TABLE pairs (uri VARCHAR, sum_endpoint VARCHAR)")
    bench.con.execute("INSERT INTO pairs SELECT unnest(?), unnest(?)", [uris, summed(uris)])
    bench.con.execute("CREATE TABLE api_requests AS SELECT api_path(filled(uri)) AS path FROM pairs")
    bench.con.execute("CREATE TABLE api_sums AS SELECT api_path(hunted(sum_endpoint)) AS path FROM pairs")
    bench.run("api_paths")
    columns = "endpoint, service, resource_type, is_batch_envelope"
    return bench.rows(
        f"""
        WITH own AS (SELECT p.uri, a.* FROM pairs AS p LEFT JOIN api_paths AS a ON a.path = api_path(filled(p.uri))),
        summed AS (SELECT p.*, a.* FROM pairs AS p LEFT JOIN api_paths AS a ON a.path = api_path(hunted(sum_endpoint)))
        SELECT DISTINCT o.uri, o.endpoint AS own, s.sum_endpoint, s.endpoint AS after_the_sum
        FROM own AS o INNER JOIN summed AS s ON s.uri = o.uri
        WHERE ({columns.replace("e", "o.e", 1).replace(", ", ", o.")}) IS DISTINCT FROM
            ({columns.replace("e", "s.e", 1).replace(", ", ", s.")})
        """
    )


def test_patterns_of_sums_are_those_of_single_requests(bench: Bench) -> None:
    odd = [*ODD_PATHS, *(f"{GRAPH}{path}" for path in ODD_PATHS if path.startswith("/")), "", GRAPH, "me/drive"]
    seen = sorted({row["RequestUri"] for row in calls()})
    assert len(seen) > 3_000
    assert disagreements(bench, [*odd, *seen]) == []


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1.0/users('o''brien@x.example')/events", "/users/{id}/events"),
        ("/v1.0/users/5/messages/6/attachments/7?$top=1", "/users/{id}/messages/{id}/attachments/{id}"),
        ("/beta/me/drive/root:/a/b c.txt:/content", "/me/drive/root:/{id}:/content"),
        ("/v1.0/drives/b!x/items/01ABCDEFGHIJKLMNOPQRSTUVWXYZ234567:/x.txt:/content",
         "/drives/{id}/items/{id}:/{id}:/content"),
        ("/v1.0/reports/getOffice365ActiveUserDetail(period='D7')", "/reports/getOffice365ActiveUserDetail({id})"),
        ("/v1.0/$batch", "/$batch"),
        ("/v1.0/me/messages/AAMkAGVmMDEzMTM4LTZmYWUtNDdkNC1hMDZiLTU1OGY5OTZhYmY4OABGAAAA_-/$value",
         "/me/messages/{id}/$value"),
        ("//V1.0//users//ada@x.example/", "/users/{id}"),
        ("/v1.0", "/"),
    ],
)  # fmt: skip
def test_the_service_leaves_out_the_ids_before_it_sums(path: str, endpoint: str) -> None:
    assert summed([GRAPH + path, path]) == [endpoint, endpoint]


SUMS = (
    "app_id | day DATE | workload | service | resource_type | endpoint | method | access | status INTEGER "
    "| is_app_only BOOLEAN | is_batch_envelope BOOLEAN | calls BIGINT | bytes_returned BIGINT "
    "| bytes_unknown_calls BIGINT | users BIGINT | first_called_at TIMESTAMP | last_called_at TIMESTAMP\n"
)
REQUESTS = (
    "request_id | app_id | called_at TIMESTAMP | service | resource_type | endpoint | method | access "
    "| status INTEGER | bytes_returned BIGINT | user_id | is_app_only BOOLEAN | is_batch_envelope BOOLEAN\n"
)


def test_a_day_seen_both_ways_is_counted_once_from_whichever_saw_more(bench: Bench) -> None:
    bench.table(
        "stg_api_activity_sums",
        SUMS
        + """
        a | 2026-11-11 | E | Exchange | messages | /m | GET | read | 200 | true | false | 2 | 20 | 0 | 0 | - | -
        a | 2026-11-12 | E | Exchange | messages | /m | GET | read | 200 | true | false | 3 | 30 | 0 | 0 | - | -
        a | 2026-11-13 | E | Exchange | messages | /m | GET | read | 200 | true | false | 1 | 10 | 0 | 0 | - | -
        a | 2026-11-14 | E | Exchange | messages | /m | GET | read | 200 | true | false | 9 | 90 | 0 | 0 | - | -
        """,
    )
    bench.requests(
        REQUESTS
        + """
        1 | a | 2026-11-11 01:00 | Exchange | messages | /m | GET | read | 200 | 10 | - | true | false
        2 | a | 2026-11-11 02:00 | Exchange | messages | /m | GET | read | 200 | 10 | - | true | false
        3 | a | 2026-11-12 01:00 | Exchange | messages | /m | GET | read | 200 | 10 | - | true | false
        4 | a | 2026-11-13 01:00 | Exchange | messages | /m | GET | read | 200 | 10 | - | true | false
        5 | a | 2026-11-13 02:00 | Exchange | messages | /m | GET | read | 200 | 10 | - | true | false
        6 | a | 2026-11-15 02:00 | Exchange | messages | /m | GET | read | 200 | 10 | - | true | false
        """
    )
    names = ("day", "read_from", "calls", "bytes_returned")
    assert [tuple(row[name] for name in names) for row in bench.run("api_calls_daily")] == [
        (date(2026, 11, 11), "requests", 2, 20),  # both saw the same: single requests tell more
        (date(2026, 11, 12), "sums", 3, 30),
        (date(2026, 11, 13), "requests", 2, 20),
        (date(2026, 11, 14), "sums", 9, 90),  # only one of them was there
        (date(2026, 11, 15), "requests", 1, 10),
    ]


def test_people_of_sums_are_a_least_number_and_those_of_requests_exact(bench: Bench) -> None:
    bench.table(
        "stg_api_activity_sums",
        SUMS
        + """
        a | 2026-11-11 | E | Exchange | messages | /m | GET | read | 200 | false | false | 5 | 5 | 0 | 3 | - | -
        a | 2026-11-11 | E | Exchange | messages | /n | GET | read | 200 | false | false | 5 | 5 | 0 | 2 | - | -
        """,
    )
    bench.requests(
        REQUESTS
        + """
        1 | a | 2026-11-12 01:00 | Exchange | messages | /m | GET | read | 200 | 10 | u1 | false | false
        2 | a | 2026-11-12 02:00 | Exchange | messages | /n | GET | read | 200 | 10 | u2 | false | false
        """
    )
    # the three of /m and the two of /n may be the same people or not
    assert [(row["day"].day, row["users"]) for row in bench.run("app_activity_daily")] == [(11, 3), (12, 2)]


def test_the_envelope_of_a_batch_is_no_call_in_sums_either(bench: Bench) -> None:
    bench.table(
        "stg_api_activity_sums",
        SUMS
        + """
        a | 2026-11-11 | - | Other | other | /$batch | POST | write | 200 | true | true | 1 | 900 | 0 | 0 | - | -
        a | 2026-11-11 | - | Directory | directory | /users | GET | read | 200 | true | false | 4 | 800 | 0 | 0 | - | -
        """,
    )
    bench.requests(REQUESTS)
    assert [(row["endpoint"], row["calls"]) for row in bench.run("api_calls_daily")] == [("/users", 4)]


def test_an_id_of_zeros_is_nobody_in_sums_as_in_single_requests() -> None:
    zeros = "00000000-0000-0000-0000-000000000000"
    people = [(zeros, zeros), (zeros, "8f1c2d3e-0000-4000-8000-000000000001"), ("", ""), ("u1", "")]

    def day(number: int) -> Iterator[hunting.Fragments]:
        if number == (DAY - FIRST_DAY).days:
            columns = {name: ['""'] * len(people) for name in HUNTING_COLUMNS}
            columns["Timestamp"] = [f'"{DAY}T10:00:00.0000000Z"'] * len(people)
            columns["ResponseSize"] = ["5"] * len(people)
            columns["ApplicationId"] = [json.dumps(str(number)) for number in range(len(people))]
            columns["AccountObjectId"] = [json.dumps(user) for user, _ in people]
            columns["ServicePrincipalId"] = [json.dumps(app) for _, app in people]
            yield columns

    query = load_sources()["api_activity_sums"].hunting_query(Window(datetime(2026, 11, 11), datetime(2026, 11, 12)))
    answer = hunting.run({"GraphApiAuditEvents": hunting.Table(HUNTING_COLUMNS, day)}, query, None)
    found = {row["ApplicationId"]: row for row in json.loads(b"{" + answer + b"}")["results"]}
    assert [(bool(row["HasUser"]), bool(row["HasApp"]), row["Users"]) for _, row in sorted(found.items())] == [
        (False, False, 0), (False, True, 0), (False, False, 0), (True, False, 1),
    ]  # fmt: skip
