"""Staging of logs: every shape has one form, duplicates collapse, addresses become endpoints."""

from __future__ import annotations

from datetime import datetime

import pytest
from conftest import Bench
from test_staging_state import ODD

SHAPES = [
    "sign_ins_from_graph", "directory_audits_from_graph", "security_alerts_from_graph",
]  # fmt: skip
FAMILIES = {
    "stg_sign_ins": ["graph", "diagnostic", "log_analytics", "unified_audit"],
    "stg_directory_audits": ["graph", "diagnostic", "log_analytics", "unified_audit"],
    "stg_api_activity": ["diagnostic", "log_analytics", "hunting"],
    "stg_office_activity": ["log_analytics", "unified_audit", "audit_query"],
    "stg_security_alerts": ["graph", "log_analytics"],
}


def family(bench: Bench, table: str) -> list[dict[str, object]]:
    """Run the shapes of a log family and its staging table, with what they are made from."""
    bench.run("stg_audit_records")
    for shape in FAMILIES[table]:
        bench.run(f"{table.removeprefix('stg_')}_from_{shape}")
    if table == "stg_directory_audits":
        bench.run("directory_audit_pairs")
    return requests(bench) if table == "stg_api_activity" else bench.run(table)


def requests(bench: Bench) -> list[dict[str, object]]:
    """stg_api_activity and the steps to it, from shapes that are there."""
    for step in ("api_requests", "api_sums", "api_paths"):
        bench.run(step)
    return bench.run("stg_api_activity")


@pytest.mark.parametrize("shape", SHAPES)
def test_no_odd_record_breaks_a_shape_and_none_is_lost(bench: Bench, shape: str) -> None:
    bench.raw(shape.replace("_from_", "_"), ODD)
    rows = bench.run(shape)
    assert len(rows) == len(ODD)  # what cannot be read is a row of NULLs, counted, not dropped
    assert all(next(iter(row.values())) for row in rows)


@pytest.mark.parametrize("table", FAMILIES)
def test_copies_add_up_to_the_records(bench: Bench, table: str) -> None:
    stem = table.removeprefix("stg_")
    bucket = f"{stem}_{FAMILIES[table][0]}"
    bench.raw(bucket, [{"id": "1", "RequestId": "1"}, {"id": "1", "RequestId": "1"}])
    bench.raw(bucket, [{"id": "1", "RequestId": "1"}])
    rows = family(bench, table)
    assert [row["copies"] for row in rows] == [3]


@pytest.mark.parametrize("table", FAMILIES)
def test_columns_are_those_of_the_catalogue(bench: Bench, table: str) -> None:
    family(bench, table)
    found = [row["column_name"] for row in bench.rows(f"DESCRIBE {table}")]
    assert found == list(bench.models[table].columns)
    for shape in FAMILIES[table]:
        name = f"{table.removeprefix('stg_')}_from_{shape}"
        types = {row["column_name"]: row["column_type"] for row in bench.rows(f"DESCRIBE {name}")}
        types.pop("received", None)  # becomes part of `copies`
        final = {row["column_name"]: row["column_type"] for row in bench.rows(f"DESCRIBE {table}")}
        assert types == {column: final[column] for column in types}, f"{name} has other types than {table}"


def test_sign_in_types(bench: Bench) -> None:
    bench.raw(
        "sign_ins_graph",
        [
            {"id": "1", "userId": "u", "isInteractive": True},  # v1.0 has no event types
            {"id": "2", "userId": "u", "isInteractive": False},
            {"id": "3", "signInEventTypes": ["nonInteractiveUser"], "isInteractive": True},
            {"id": "4", "signInEventTypes": ["servicePrincipal"]},
            {"id": "5", "signInEventTypes": ["managedIdentity", "servicePrincipal"]},
            {"id": "6", "servicePrincipalId": "s", "userId": "00000000-0000-0000-0000-000000000000"},
            {"id": "7"},
        ],
    )
    assert [row["sign_in_type"] for row in bench.run("sign_ins_from_graph")] == [
        "interactive", "non_interactive", "non_interactive", "service_principal", "managed_identity",
        "service_principal", "unknown",
    ]  # fmt: skip


def test_the_fuller_copy_of_a_sign_in_wins(bench: Bench) -> None:
    record = {"id": "X1", "createdDateTime": "2026-11-01T10:00:00Z", "appId": "A", "status": {"errorCode": 0},
              "location": {"countryOrRegion": "DE"}}  # fmt: skip
    bench.raw("sign_ins_graph", [record, {**record, "uniqueTokenIdentifier": "tok"}])
    (row,) = family(bench, "stg_sign_ins")
    assert (row["sign_in_id"], row["token_id"], row["copies"], row["country"]) == ("x1", "tok", 2, "DE")
    assert row["created_at"] == datetime(2026, 11, 1, 10)
    assert row["error_code"] == 0


def test_audit_names_actors_and_targets(bench: Bench) -> None:
    bench.raw(
        "directory_audits_graph",
        [
            {
                "id": "Directory_Ab_1",
                "activityDateTime": "2026-11-02T00:00:00Z",
                "activityDisplayName": "Update application \u2013 Certificates and secrets management ",
                "result": "success",
                "initiatedBy": {"app": {"appId": "APP", "servicePrincipalId": "SP1", "displayName": "Robot"}},
                "targetResources": [{"id": "T1", "displayName": "Target", "Type": "Application"}, {"id": None}],
            },
            {
                "id": "Directory_aB_1",
                "result": "timeout",
                "initiatedBy": {"user": {"id": "U", "ipAddress": "192.0.2.1"}},
            },
        ],
    )
    rows = family(bench, "stg_directory_audits")
    assert {row["audit_id"] for row in rows} == {"Directory_Ab_1", "Directory_aB_1"}
    first = next(row for row in rows if row["audit_id"] == "Directory_Ab_1")
    assert first["activity"] == "Update application - Certificates and secrets management"
    assert (first["actor_type"], first["actor_id"], first["actor_app_id"]) == ("service_principal", "sp1", "app")
    assert (first["target_ids"], first["target_name"], first["target_type"]) == (["t1"], "Target", "Application")
    other = next(row for row in rows if row["audit_id"] == "Directory_aB_1")
    assert (other["result"], other["actor_type"], other["actor_ip"]) == ("unknown", "user", "192.0.2.1")


def test_alert_evidence_names_the_app(bench: Bench) -> None:
    bench.raw(
        "security_alerts_graph",
        [{"id": "a", "createdDateTime": "2026-11-02T00:00:00Z", "serviceSource": "microsoftAppGovernance",
          "mitreTechniques": ["T1114"],
          "evidence": [{"@odata.type": "#microsoft.graph.security.cloudApplicationEvidence", "appId": 20893},
                       {"@odata.type": "#microsoft.graph.security.oauthApplicationEvidence", "appId": "APP",
                        "objectId": "SP"},
                       {"@odata.type": "#microsoft.graph.security.userEvidence",
                        "userAccount": {"azureAdUserId": "U"}}]}],
    )  # fmt: skip
    (row,) = family(bench, "stg_security_alerts")
    assert (row["app_id"], row["service_principal_id"], row["user_id"], row["mitre"]) == ("app", "sp", "u", ["T1114"])


def test_the_newest_version_of_an_alert_counts(bench: Bench) -> None:
    """Read again after every change; reopened is newer than resolved."""
    alert = {"id": "a", "createdDateTime": "2026-11-02T00:00:00Z", "evidence": None}
    bench.raw(
        "security_alerts_graph",
        [
            {**alert, "status": "resolved", "lastUpdateDateTime": "2026-11-03T00:00:00Z"},
            {**alert, "status": "inProgress", "lastUpdateDateTime": "2026-11-04T00:00:00.5Z", "incidentId": "41"},
            {**alert, "status": "new", "lastUpdateDateTime": None},
        ],
    )
    (row,) = family(bench, "stg_security_alerts")
    assert (row["status"], row["incident_id"], row["copies"]) == ("inProgress", "41", 3)
    assert row["evidence_app_ids"] is None  # no list of evidence: nobody said that no app is named


def test_evidence_without_apps_is_an_empty_list(bench: Bench) -> None:
    evidence: list[object] = [
        {"@odata.type": "#microsoft.graph.security.cloudApplicationEvidence", "appId": 20893},
        {"@odata.type": "#microsoft.graph.security.oauthApplicationEvidence", "appId": None},
        1,
        None,
    ]
    bench.raw("security_alerts_graph", [{"id": "a", "evidence": evidence}, {"id": "b", "evidence": []}])
    assert [row["evidence_app_ids"] for row in family(bench, "stg_security_alerts")] == [[], []]


ENDPOINTS = [
    ("https://graph.microsoft.com/v1.0/users/8f1c2d3e-0000-4000-8000-000000000001/messages?$top=5",
     "/users/{id}/messages", "Exchange", "messages"),
    ("https://graph.microsoft.com//beta/me/messages/AAMkAGI2TG93AAA=/attachments", "/me/messages/{id}/attachments",
     "Exchange", "messages"),
    ("https://graph.microsoft.us/v1.0/users/ada@northwind.example/sendMail", "/users/{id}/sendMail", "Exchange",
     "messages"),
    ("https://graph.microsoft.com/v1.0/users('ada%40x.example')/events", "/users/{id}/events", "Exchange", "calendar"),
    ("/v1.0/me/drive/root:/Finance/2026 (final)/a.xlsx:/content", "/me/drive/root:/{id}:/content", "OneDrive", "files"),
    ("/v1.0/drives/b!AbCd-123/items/01ABCDEFGHIJKLMNOPQRSTUVWXYZ234567/content", "/drives/{id}/items/{id}/content",
     "OneDrive", "files"),
    ("/v1.0/sites/contoso.sharepoint.com,8f1c2d3e-0000-4000-8000-000000000001,8f1c2d3e-0000-4000-8000-000000000002/lists",
     "/sites/{id}/lists", "SharePoint", "sites"),
    ("/v1.0/sites/contoso.sharepoint.com:/sites/hr:/drive/root/children", "/sites/{id}:/{id}:/drive/root/children",
     "SharePoint", "files"),
    ("/v1.0/chats/19:meeting_MjdhNjM@thread.v2/messages", "/chats/{id}/messages", "Teams", "chats"),
    ("/v1.0/teams/8f1c2d3e-0000-4000-8000-000000000001/channels", "/teams/{id}/channels", "Teams", "chats"),
    ("/v1.0/groups/8f1c2d3e-0000-4000-8000-000000000001/drive", "/groups/{id}/drive", "SharePoint", "files"),
    ("/v1.0/reports/getOffice365ActiveUserDetail(period='D7')", "/reports/getOffice365ActiveUserDetail({id})", "Other",
     "other"),
    ("/v1.0/security/alerts_v2/da637551227677560813_-961444813", "/security/alerts_v2/{id}", "Other", "other"),
    ("/v1.0/oauth2PermissionGrants/AVs6JuUDjkCFV7q2gd8QTPimBBgj5iBFj0C6GwwRxC0", "/oauth2PermissionGrants/{id}",
     "Directory", "directory"),
    ("/v1.0/servicePrincipals(appId='8f1c2d3e-0000-4000-8000-000000000001')/owners", "/servicePrincipals({id})/owners",
     "Directory", "directory"),
    ("/v1.0/users/delta()?$deltatoken=latest", "/users/delta()", "Directory", "directory"),
    ("/beta/$batch", "/$batch", "Other", "other"),
    ("/v1.0/deviceManagement/managedDevices", "/deviceManagement/managedDevices", "Other", "other"),
    ("/v1.0/me", "/me", "Directory", "directory"),
    ("/V1.0/Me/MailFolders/inbox/messages/$count", "/Me/MailFolders/inbox/messages/$count", "Exchange", "messages"),
    ("https://graph.microsoft.com/v1.0", "/", "Other", "other"),
]  # fmt: skip


def test_addresses_become_endpoints(bench: Bench) -> None:
    for shape in FAMILIES["stg_api_activity"]:
        bench.empty(f"api_activity_from_{shape}")
    for number, (uri, *_) in enumerate(ENDPOINTS):
        bench.con.execute(
            "INSERT INTO api_activity_from_hunting (request_id, called_at, uri, method) VALUES (?, ?, ?, 'GET')",
            [str(number), datetime(2026, 11, 1, 0, 0, number), uri],
        )
    rows = requests(bench)
    assert [(row["uri"], row["endpoint"], row["service"], row["resource_type"]) for row in rows] == ENDPOINTS
    assert [row["uri"] for row in rows if row["is_batch_envelope"]] == ["/beta/$batch"]


def test_access_follows_the_method_but_searches_read(bench: Bench) -> None:
    for shape in FAMILIES["stg_api_activity"]:
        bench.empty(f"api_activity_from_{shape}")
    calls = [("GET", "/v1.0/me"), ("POST", "/v1.0/me/sendMail"), ("POST", "/v1.0/search/query"), ("PATCH", "/v1.0/me"),
             ("DELETE", "/v1.0/me/messages/1"), (None, "/v1.0/me"), ("GET", None)]  # fmt: skip
    for number, (method, uri) in enumerate(calls):
        bench.con.execute(
            "INSERT INTO api_activity_from_hunting (request_id, called_at, uri, method) VALUES (?, ?, ?, ?)",
            [str(number), datetime(2026, 11, 1, 0, 0, number), uri, method],
        )
    rows = requests(bench)
    assert [row["access"] for row in rows] == ["read", "write", "read", "write", "write", None, "read"]
    assert (rows[6]["service"], rows[6]["is_batch_envelope"]) == ("Other", False)
