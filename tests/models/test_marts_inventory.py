"""Marts about apps: who they are, what they hold, who answers for them, how much risk that makes."""

from __future__ import annotations

import json
from datetime import datetime

from conftest import Bench

PRINCIPALS = (
    "service_principal_id | app_id | display_name | app_owner_tenant_id | account_enabled BOOLEAN "
    "| is_disabled BOOLEAN | disabled_by_microsoft_status | service_principal_type | created_at TIMESTAMP "
    "| publisher_name "
    "| verified_publisher_id | verified_publisher_name | reply_urls VARCHAR[] | assignment_required BOOLEAN "
    "| key_credentials JSON | password_credentials JSON | odata_type | sign_in_audience "
    "| verified_publisher_added_at TIMESTAMP | single_sign_on_mode\n"
)
COVERAGE = "source | status | rows BIGINT\n"
ALL_READ = COVERAGE + "\n".join(
    f"{name} | complete | 1"
    for name in (
        "delegated_grants", "app_role_assignments", "directory_role_assignments", "service_principal_owners",
        "application_owners", "applications", "credential_sign_in_activities", "federated_credentials",
    )
)  # fmt: skip


def principals(bench: Bench, rows: str) -> None:
    """stg_service_principals with short rows: id, app id, owner tenant, type, enabled, disabled, status, verified."""
    bench.table("stg_service_principals", PRINCIPALS)
    for line in rows.strip().splitlines():
        cells = [None if cell.strip() == "-" else cell.strip() for cell in line.split("|")]
        bench.con.execute(
            "INSERT INTO stg_service_principals (service_principal_id, app_id, app_owner_tenant_id, "
            "service_principal_type, account_enabled, is_disabled, disabled_by_microsoft_status, "
            "verified_publisher_id, display_name, reply_urls) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, []",
            [*cells, f"App {cells[0]}"],
        )


def organization(bench: Bench) -> None:
    """One tenant, `home`."""
    bench.table("stg_organization", "tenant_id\nhome")
    bench.table(
        "stg_applications",
        "application_id | app_id | display_name | created_at TIMESTAMP | certification JSON | publisher_domain\n"
        "o1 | a1 | App | - | - | home.example",
    )


def test_origin_and_status(bench: Bench) -> None:
    organization(bench)
    principals(
        bench,
        """
        s1 | a1 | home | Application | true | - | - | -
        s2 | a2 | away | Application | false | - | - | 123
        s3 | a3 | f8cdef31-a31e-4b4a-93e4-5f571e91255a | Application | true | true | - | -
        s4 | a4 | 72f988bf-86f1-41af-91ab-2d7cd011db47 | Application | true | - | DisabledDueToViolation | -
        s5 | a5 | - | ManagedIdentity | - | - | NotDisabled | -
        s6 | a6 | - | Application | true | false | - | -
        """,
    )
    rows = bench.run("app_identity")
    assert [(r["app_origin"], r["is_first_party"], r["status"], r["publisher_verified"]) for r in rows] == [
        ("internal", False, "enabled", False),
        ("external", False, "disabled_by_user", True),
        ("microsoft", True, "deactivated", False),
        ("microsoft", True, "disabled_by_microsoft", False),
        ("internal", None, None, False),  # nobody said whether it is enabled
        ("unknown", None, "enabled", False),
    ]
    assert [r["application_id"] for r in rows] == ["o1", None, None, None, None, None]


def test_origin_is_unknown_without_the_tenant(bench: Bench) -> None:
    organization(bench)
    bench.table("stg_organization", "tenant_id")
    principals(bench, "s1 | a1 | home | Application | true | - | - | -")
    assert bench.run("app_identity")[0]["app_origin"] == "unknown"


def credentials(bench: Bench, coverage: str, federated: str = "") -> list[dict[str, object]]:
    """app_credentials of one registration with a secret and a certificate, and a service principal with a key."""
    organization(bench)
    principals(
        bench, "s1 | a1 | home | Application | true | - | - | -\ns2 | a2 | away | Application | true | - | - | -"
    )
    secret = [{"keyId": "K1", "displayName": "=cmd()", "startDateTime": "2026-11-01T00:00:00Z",
               "endDateTime": "2026-11-20T23:00:00Z"}, {"keyId": None}]  # fmt: skip
    key = [{"keyId": "K2", "type": "AsymmetricX509Cert", "endDateTime": "2026-11-14T00:00:00Z"}]
    bench.table(
        "stg_applications",
        "application_id | app_id | display_name | created_at TIMESTAMP | key_credentials JSON "
        "| password_credentials JSON\n"
        f"o1 | a1 | App | - | {json.dumps(key)} | {json.dumps(secret)}",
    )
    bench.con.execute(
        "UPDATE stg_service_principals SET key_credentials = ? WHERE service_principal_id = 's2'",
        ['[{"keyId": "K3", "type": "Symmetric"}]'],
    )
    bench.table("stg_sign_ins", "app_id | credential_key_id | created_at TIMESTAMP | error_code INTEGER\n"
                "a1 | k1 | 2026-11-10 | 0\na1 | k1 | 2026-11-12 | 7000222")  # fmt: skip
    bench.table("stg_credential_sign_in_activities",
                "app_id | key_id | last_sign_in_at TIMESTAMP\na1 | k1 | 2026-11-05")  # fmt: skip
    bench.table("stg_federated_credentials", "federated_credential_id | parent_id | name\n" + federated)
    bench.table("coverage", COVERAGE + coverage)
    return bench.run("app_credentials")


def test_credentials(bench: Bench) -> None:
    rows = credentials(bench, "credential_sign_in_activities | complete | 1")
    assert [
        (r["service_principal_id"], r["credential_origin"], r["key_id"], r["credential_type"], r["days_to_expiry"])
        for r in rows
    ] == [
        ("s1", "application", "k1", "secret", 5),  # 15 to 20 November
        ("s1", "application", "k2", "certificate", -1),  # ended the day before
        ("s2", "service_principal", "k3", "secret", None),  # a symmetric key is a secret; no end known
    ]
    assert rows[0]["lifetime_days"] == 19
    assert rows[0]["last_used_at"] == datetime(
        2026, 11, 10
    )  # the later of report and log; failed sign-ins do not count
    assert [(r["last_used_at"] is None, r["last_used_known"]) for r in rows[1:]] == [(True, True), (True, True)]


def test_without_the_report_nobody_knows_whether_a_credential_was_used(bench: Bench) -> None:
    rows = credentials(bench, "credential_sign_in_activities | not_licensed | 0")
    assert [r["last_used_known"] for r in rows] == [True, False, False]


def test_federated_credentials_are_credentials_without_an_end(bench: Bench) -> None:
    found = credentials(
        bench,
        "credential_sign_in_activities | complete | 1",
        federated="f1 | o1 | build-main\nf2 | o1 | -\nf1 | o9 | of an app that is not listed",
    )
    rows = [row for row in found if row["credential_type"] == "federated"]
    assert [(r["service_principal_id"], r["app_id"], r["object_id"], r["key_id"], r["name"]) for r in rows] == [
        ("s1", "a1", "o1", "f1", "build-main"),
        ("s1", "a1", "o1", "f2", None),
        (None, None, "o9", "f1", "of an app that is not listed"),
    ]
    for row in rows:
        assert row["credential_origin"] == "application"
        for column in ("starts_at", "ends_at", "lifetime_days", "days_to_expiry", "last_used_at"):
            assert row[column] is None, column
        assert row["last_used_known"] is False  # the report of credential use does not follow them


def test_owners(bench: Bench) -> None:
    organization(bench)
    principals(bench, "s1 | a1 | home | Application | true | - | - | -")
    bench.table(
        "stg_owners",
        "object_kind | object_id | owner_id | owner_type | owner_name | owner_user_principal_name "
        "| owner_enabled BOOLEAN | owner_user_type\n"
        """
        application | o1 | u1 | user | Ada | ada@x.example | true | Member
        application | o9 | u1 | user | Ada | ada@x.example | true | Member
        service_principal | s1 | u2 | unknown | - | - | - | -
        """,
    )
    bench.table(
        "stg_users",
        "user_id | user_principal_name | display_name | account_enabled BOOLEAN | user_type\n"
        "u1 | ada@x.example | Ada | false | Member\nu2 | guest@y.example | Gus | true | Guest",
    )
    rows = bench.run("app_owners")
    assert [
        (r["owner_id"], r["owner_name"], r["owner_type"], r["owner_enabled"], r["owner_is_guest"], r["owned_object"])
        for r in rows
    ] == [
        ("u1", "Ada", "user", False, False, "application"),  # the list of users is newer than the expanded copy
        ("u2", "Gus", "user", True, True, "service_principal"),
    ]


def test_last_use_takes_the_latest_of_three_sources(bench: Bench) -> None:
    principals(bench, "s1 | a1 | home | Application | true | - | - | -")
    bench.table("stg_service_principal_sign_in_activities",
                "app_id | last_sign_in_at TIMESTAMP\na1 | 2026-11-01\na2 | 2026-11-10\na3 | -")  # fmt: skip
    bench.table("stg_sign_ins", "app_id | service_principal_id | created_at TIMESTAMP\n"
                "- | s1 | 2026-11-12\na2 | - | 2026-11-10\na1 | - | 2026-11-17")  # fmt: skip
    bench.requests(
        """
        app_id | called_at TIMESTAMP | service | user_id | bytes_returned BIGINT | is_batch_envelope BOOLEAN
        a1 | 2026-11-11 | Exchange | u1 | 5 | false
        a1 | 2026-10-17 | Teams | u2 | 6 | false
        a1 | 2026-10-16 | OneDrive | u3 | 7 | false
        a1 | 2026-11-15 | Other | - | 9 | true
        """,
    )
    rows = {row["app_id"]: row for row in bench.run("app_last_use")}
    first = rows["a1"]
    assert (first["last_used_at"], first["last_used_source"]) == (datetime(2026, 11, 12), "sign-in log")
    assert (first["last_api_call_at"], first["days_since_last_use"]) == (datetime(2026, 11, 11), 3)
    # 30 days to 15 November begin on 17 October: 2 calls, 5 + 6 bytes, 2 users
    assert (first["calls_30d"], first["bytes_30d"], first["users_30d"]) == (2, 11, 2)
    assert first["services"] == ["Exchange", "Teams"]
    assert rows["a2"]["last_used_source"] == "sign-in activity report"  # a tie goes to the service's own report
    never = rows["a3"]
    assert (never["last_used_at"], never["last_used_source"], never["days_since_last_use"]) == (None, None, None)


ROW_MARTS = (
    "app_access_summary", "app_access_facts", "app_credential_summary", "app_data_usage", "app_marks", "app_dates",
    "app_use_facts",
)  # fmt: skip


def inventory(
    bench: Bench, coverage: str = ALL_READ, permissions: str = "", roles: str = ""
) -> dict[str, dict[str, object]]:
    """app_inventory of an internal app s1, an external unverified app s2 and a managed identity s3."""
    organization(bench)
    principals(
        bench,
        """
        s1 | a1 | home | Application | true | - | - | -
        s2 | a2 | away | Application | true | - | - | -
        s3 | a3 | - | ManagedIdentity | true | - | - | -
        """,
    )
    bench.table(
        "app_permissions",
        "service_principal_id | permission | permission_type | consent_type | privilege_level | usage | resource_id "
        "| resource_name\n" + permissions,
    )
    bench.table("stg_delegated_grants", "service_principal_id | consent_type | principal_id\n"
                "s2 | Principal | u1\ns2 | Principal | u2\ns2 | Principal | u1")  # fmt: skip
    bench.table("stg_directory_role_assignments",
                "principal_id | role_name | role_definition_id | is_privileged BOOLEAN\n" + roles)  # fmt: skip
    bench.table("app_owners", "service_principal_id | owner_id | owner_enabled BOOLEAN\ns2 | u1 | true\ns2 | u1 | true")
    bench.table(
        "app_credentials",
        """
        service_principal_id | credential_type | days_to_expiry BIGINT | lifetime_days BIGINT | ends_at TIMESTAMP \
        | starts_at TIMESTAMP | last_used_at TIMESTAMP | last_used_known BOOLEAN
        s1 | secret | 10 | 730 | 2026-11-25 | 2024-11-25 | 2026-11-14 | true
        s1 | secret | 5 | 30 | 2026-11-20 | 2026-10-21 | - | true
        s1 | secret | -5 | 9000 | 2026-11-10 | 2002-03-20 | - | true
        s1 | federated | - | - | - | - | - | false
        """,
    )
    bench.table(
        "app_last_use",
        "app_id | last_sign_in_at TIMESTAMP | last_api_call_at TIMESTAMP | last_used_at TIMESTAMP | last_used_source "
        "| days_since_last_use BIGINT | calls_30d BIGINT | bytes_30d BIGINT | users_30d BIGINT | services VARCHAR[]\n"
        "a2 | 2026-08-17 | - | 2026-08-17 | sign-in log | 90 | - | - | - | -",
    )
    bench.table("covered_days", "source | day DATE | is_complete BOOLEAN\napi_activity | 2026-11-15 | true")
    bench.table("coverage", coverage)
    bench.empty("stg_oauth_app_info", "stg_cloud_app_events")
    bench.table("stg_directory_audits", "target_ids VARCHAR[] | activity_at TIMESTAMP | activity | result")
    bench.table("grant_history", "service_principal_id | valid_from TIMESTAMP | valid_from_source")
    bench.table(
        "app_activity_daily",
        "app_id | day DATE | calls BIGINT | reads BIGINT | writes BIGINT | bytes_returned BIGINT "
        "| bytes_unknown_calls BIGINT",
    )
    bench.table(
        "app_risk",
        "service_principal_id | risk_score INTEGER | risk_impact INTEGER | risk_likelihood INTEGER | risk_level "
        "| risk_unknown_points INTEGER | is_ranked BOOLEAN | risk_parts JSON\ns1 | 55 | 40 | 15 | high | 3 | true | []",
    )
    for model in ("app_identity", "app_grant_summary", *ROW_MARTS):
        bench.run(model)
    return {str(row["service_principal_id"]): row for row in bench.run("app_inventory")}


PERMISSIONS = """
    s1 | Mail.Read | application | admin | high | unused | g | Microsoft Graph
    s1 | User.Read.All | application | admin | medium | unknown | g | Microsoft Graph
    s2 | Mail.Read | delegated | user | high | used | g | Microsoft Graph
    s2 | openid | delegated | admin | low | unknown | g | Microsoft Graph
"""


def test_inventory_sums_up(bench: Bench) -> None:
    found = inventory(
        bench, permissions=PERMISSIONS, roles="s1 | Global Administrator | r | true\nu9 | Reader | q | true"
    )
    s1, s2, s3 = found["s1"], found["s2"], found["s3"]
    assert (s1["permission_type"], s1["consent_type"], s1["privilege_level"]) == ("mixed", "admin", "high")
    assert (s1["permission_count"], s1["high_privilege_count"], s1["unused_permission_count"]) == (2, 1, 1)
    assert (s1["directory_roles"], s1["owner_count"]) == (["Global Administrator"], 0)
    # expired and federated ones count, neither is ever next
    assert (s1["credential_count"], s1["next_expiry_at"]) == (4, datetime(2026, 11, 20))
    assert (s1["risk_score"], s1["risk_level"], s1["risk_unknown_points"], s3["risk_score"]) == (55, "high", 3, None)
    assert (s2["permission_type"], s2["consent_type"], s2["consented_users"]) == ("delegated", "mixed", 2)
    assert (s2["owner_count"], s2["days_since_last_use"]) == (1, 90)
    assert (s3["permission_type"], s3["consent_type"], s3["privilege_level"]) == ("none", "none", "none")
    assert (s3["calls_30d"], s3["bytes_30d"], s3["services"]) == (0, 0, [])


def test_what_was_not_readable_is_null(bench: Bench) -> None:
    ends = {
        "delegated_grants": "not_permitted",
        "app_role_assignments": "complete",
        "service_principal_owners": "failed",
    }
    readings = "\n".join(f"{source} | {status} | 0" for source, status in ends.items())
    found = inventory(bench, coverage=COVERAGE + readings)["s3"]
    for column in ("permission_type", "consent_type", "privilege_level", "permission_count", "owner_count",
                   "credential_count", "directory_roles"):  # fmt: skip
        assert found[column] is None, column


def test_no_credential_is_certain_only_when_federated_ones_were_read(bench: Bench) -> None:
    assert inventory(bench)["s3"]["credential_count"] == 0
    unread = ALL_READ.replace("federated_credentials | complete", "federated_credentials | not_permitted")
    found = inventory(bench, coverage=unread)
    assert (found["s1"]["credential_count"], found["s3"]["credential_count"]) == (4, None)


def test_the_row_joins_its_parts(bench: Bench) -> None:
    inventory(bench, permissions=PERMISSIONS)
    bench.con.execute("UPDATE app_identity SET status = 'disabled_by_user' WHERE service_principal_id IN ('s1', 's2')")
    bench.con.execute(
        "UPDATE app_marks SET microsoft_app_status = 'DisabledByAppGovernancePolicy' "
        "WHERE service_principal_id IN ('s1', 's3')"
    )
    bench.con.execute("UPDATE app_owners SET owner_enabled = false")
    rows = {str(row["service_principal_id"]): row for row in bench.run("app_inventory")}
    # app governance says who switched an app off, not whether it is off
    assert [rows[app]["status"] for app in ("s1", "s2", "s3")] == ["disabled_by_policy", "disabled_by_user", "enabled"]
    assert (rows["s2"]["owner_count"], rows["s2"]["live_owner_count"]) == (1, 0)
    assert (rows["s1"]["live_secret_count"], rows["s1"]["expired_credential_count"]) == (2, 1)
    assert rows["s1"]["credential_unused_since"] == datetime(2026, 10, 21)
    assert (rows["s1"]["certification"], rows["s2"]["certification"]) == ("none", None)
    assert (rows["s3"]["is_in_scope"], rows["s3"]["permission_usage"]) == (False, "none")
    assert [rows[app]["used_by_agents"] for app in rows] == [None, None, None]


def test_a_list_that_was_read_in_part_says_neither_none_nor_zero(bench: Bench) -> None:
    found = inventory(bench, coverage=ALL_READ.replace("delegated_grants | complete", "delegated_grants | partial"))
    for column in ("permission_type", "permission_count", "privilege_level", "permission_usage", "graph_api_access"):
        assert found["s3"][column] is None, column
    # what was read may still be topped by what was not: only the highest level and both kinds at once are sure
    for row in found.values():
        assert row["privilege_level"] in ("high", None)
        assert row["permission_type"] in ("mixed", None)
