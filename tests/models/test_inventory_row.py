"""The parts of the inventory row: each says what is known, and NULL where nobody could look."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from conftest import Bench

GRAPH = "00000003-0000-0000-c000-000000000000"
MICROSOFT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
PRINCIPALS = (
    "service_principal_id | app_id | display_name | app_owner_tenant_id | account_enabled BOOLEAN "
    "| is_disabled BOOLEAN | disabled_by_microsoft_status | service_principal_type | created_at TIMESTAMP "
    "| publisher_name | verified_publisher_id | verified_publisher_name | reply_urls VARCHAR[] "
    "| assignment_required BOOLEAN | odata_type | sign_in_audience | verified_publisher_added_at TIMESTAMP\n"
)
APPLICATIONS = "application_id | app_id | display_name | created_at TIMESTAMP | certification JSON | publisher_domain\n"
OAUTH = (
    "app_id | app_status | privilege_level | risk_score INTEGER | consented_users BIGINT | added_at TIMESTAMP "
    "| last_modified_at TIMESTAMP | last_used_at TIMESTAMP | observed_at TIMESTAMP\n"
)


def principals(bench: Bench, rows: str, columns: str) -> None:
    """stg_service_principals with the named columns filled."""
    bench.table("given", columns + "\n" + rows)
    bench.table("stg_service_principals", PRINCIPALS)
    bench.con.execute("INSERT INTO stg_service_principals BY NAME FROM given")


def identities(bench: Bench, rows: str) -> dict[str, dict[str, Any]]:
    """app_identity in tenant `home` of service principals with app id, owner tenant, type and name."""
    bench.table("stg_organization", "tenant_id\nhome")
    bench.table("stg_applications", APPLICATIONS)
    columns = "service_principal_id | app_id | app_owner_tenant_id | service_principal_type | display_name"
    principals(bench, rows, columns)
    return {row["service_principal_id"]: row for row in bench.run("app_identity")}


@pytest.mark.parametrize(
    ("app_id", "owner", "kind", "name", "origin", "first_party", "basis", "in_scope"),
    [
        ("a1", MICROSOFT, "Application", "Anything", "microsoft", True, "owner tenant", False),
        (CLI, "-", "Application", "Microsoft Azure CLI", "microsoft", True, "listed id", False),
        # the id of Microsoft's app, registered by somebody else: a look-alike
        (CLI, "away", "Application", "Microsoft Azure CLI", "external", False, "listed id, other tenant", True),
        ("a2", "away", "Application", " microsoft azure cli ", "external", False, "name only", True),
        ("a3", "home", "Application", "Microsoft Azure CLI", "internal", False, "name only", True),
        ("a4", "-", "Application", "Ours", "unknown", None, None, True),
        ("a5", "away", "Application", "Theirs", "external", False, None, True),
        ("a6", "-", "ManagedIdentity", "vm", "internal", None, None, False),
    ],
)
def test_only_an_owner_tenant_or_a_listed_id_without_one_makes_a_first_party(
    bench: Bench, app_id: str, owner: str, kind: str, name: str, origin: str, first_party: object, basis: object,
    in_scope: bool,
) -> None:  # fmt: skip
    identities(bench, "s1 | - | - | - | -")
    bench.con.execute("DELETE FROM stg_service_principals")
    bench.con.execute(
        "INSERT INTO stg_service_principals (service_principal_id, app_id, app_owner_tenant_id, "
        "service_principal_type, display_name) VALUES ('s1', ?, nullif(?, '-'), ?, ?)",
        [app_id, owner, kind, name],
    )
    row = bench.run("app_identity")[0]
    found = (row["app_origin"], row["is_first_party"], row["first_party_basis"], row["is_in_scope"])
    assert found == (origin, first_party, basis, in_scope)


def test_access_is_split_by_api(bench: Bench) -> None:
    principals(bench, f"g | {GRAPH}\ne | 00000002-0000-0ff1-ce00-000000000000", "service_principal_id | app_id")
    bench.table(
        "app_permissions",
        "service_principal_id | resource_id | resource_name | permission | permission_type | usage\n"
        """
        s1 | g | Microsoft Graph | Mail.Read | application | used
        s1 | g | Microsoft Graph | User.Read | delegated | used
        s2 | e | Exchange | full_access_as_app | application | unknown
        s2 | g | Microsoft Graph | Mail.Read | application | unused
        s3 | gone | - | x | application | used
        s3 | g | Microsoft Graph | User.Read | delegated | unknown
        """,
    )
    rows = bench.run("app_access_summary")
    assert [
        (r["graph_permission_count"], r["other_permission_count"], r["unknown_resource_count"], r["permission_usage"])
        for r in rows
    ] == [(2, 0, 0, "all_used"), (1, 1, 0, "some_unused"), (1, 0, 1, "unknown")]
    assert rows[1]["api_names"] == ["Exchange", "Microsoft Graph"]


def access(bench: Bench, status: str, unknown: int = 0, graph: int = 0) -> list[dict[str, Any]]:
    """app_access_facts of s1, which holds something, and s2, which holds nothing."""
    identities(bench, "s1 | a1 | home | Application | A\ns2 | a2 | home | Application | B")
    bench.table(
        "app_grant_summary",
        "service_principal_id | permission_count BIGINT | delegated_count BIGINT | application_count BIGINT "
        "| high_privilege_count BIGINT | medium_privilege_count BIGINT | unused_permission_count BIGINT "
        "| has_admin_consent BOOLEAN | has_user_consent BOOLEAN | consented_users BIGINT | directory_roles VARCHAR[] "
        "| has_privileged_role BOOLEAN\ns1 | 1 | 1 | 0 | 0 | 0 | 0 | false | true | 3 | [] | false",
    )
    bench.table(
        "app_access_summary",
        "service_principal_id | graph_permission_count BIGINT | other_permission_count BIGINT "
        f"| unknown_resource_count BIGINT | api_names VARCHAR[] | permission_usage\ns1 | {graph} | 0 | {unknown} | [] "
        "| unknown",
    )
    bench.table(
        "coverage",
        f"source | status\ndelegated_grants | {status}\napp_role_assignments | complete\n"
        "directory_role_assignments | complete",
    )
    return bench.run("app_access_facts")


def test_nothing_held_is_said_only_after_a_whole_reading(bench: Bench) -> None:
    one, two = access(bench, "complete", graph=1)
    assert (one["graph_api_access"], one["other_api_access"], one["permission_type"]) == (True, False, "delegated")
    assert (one["consent_type"], one["consented_users"], one["privilege_level"]) == ("user", 3, "low")
    assert (two["graph_api_access"], two["permission_type"], two["permission_usage"]) == (False, "none", "none")
    one, two = access(bench, "partial", graph=1)
    assert (one["graph_api_access"], one["other_api_access"]) == (True, None)
    for column in ("graph_api_access", "permission_type", "permission_usage", "privilege_level", "permission_count",
                   "consent_type", "api_names"):  # fmt: skip
        assert two[column] is None, column


def test_a_permission_of_an_unknown_api_leaves_graph_access_open(bench: Bench) -> None:
    one, two = access(bench, "complete", unknown=1)
    assert (one["graph_api_access"], two["graph_api_access"]) == (None, False)


def test_credentials_are_counted_by_kind(bench: Bench) -> None:
    bench.table(
        "app_credentials",
        "service_principal_id | credential_type | days_to_expiry BIGINT | ends_at TIMESTAMP | starts_at TIMESTAMP "
        "| last_used_at TIMESTAMP | last_used_known BOOLEAN\n"
        """
        s1 | secret | 10 | 2026-11-25 | 2026-01-01 | 2026-11-01 | true
        s1 | secret | -1 | 2026-11-14 | 2020-01-01 | 2020-02-01 | true
        s1 | certificate | 0 | 2026-11-15 | 2026-02-01 | - | true
        s1 | federated | - | - | - | - | false
        s2 | secret | 3 | 2026-11-18 | 2026-01-01 | - | false
        - | secret | 3 | 2026-11-18 | 2026-01-01 | - | true
        """,
    )
    one, two = bench.run("app_credential_summary")
    counts = ("credential_count", "live_secret_count", "live_certificate_count", "federated_credential_count",
              "expired_credential_count")  # fmt: skip
    assert [one[name] for name in counts] == [4, 1, 1, 1, 1]
    assert one["next_expiry_at"] == datetime(2026, 11, 15)
    assert one["credential_unused_since"] == datetime(2026, 2, 1)  # never used: idle since its start
    assert two["credential_unused_since"] is None  # nobody knows


def usage(bench: Bench, rows: str, first_day: str = "2026-09-17", gap: str = "2000-01-01") -> dict[str, Any]:
    """app_data_usage of a1 with the activity log read from a day to 15 November, but for one day."""
    bench.table("covered_days", "source | day DATE | is_complete BOOLEAN")
    bench.con.execute(
        "INSERT INTO covered_days SELECT 'api_activity', CAST(d AS DATE), d <> CAST(? AS DATE) "
        "FROM range(CAST(? AS TIMESTAMP), TIMESTAMP '2026-11-16', INTERVAL 1 DAY) AS r(d)",
        [gap, first_day],
    )
    bench.table(
        "app_activity_daily",
        "app_id | day DATE | calls BIGINT | reads BIGINT | writes BIGINT | bytes_returned BIGINT "
        "| bytes_unknown_calls BIGINT\n" + rows,
    )
    return bench.run("app_data_usage")[0]


# 30 days to 15 November begin on 17 October; the 30 before end on 16 October
DAYS = """
    a1 | 2026-10-17 | 10 | 8 | 2 | 150 | 0
    a1 | 2026-10-16 | 20 | 20 | 0 | 100 | 0
    a1 | 2026-09-16 | 9 | 9 | 0 | 9 | 0
"""


def test_data_usage_compares_two_whole_windows(bench: Bench) -> None:
    row = usage(bench, DAYS)
    assert (row["calls_30d"], row["reads_30d"], row["writes_30d"], row["bytes_30d"]) == (10, 8, 2, 150)
    assert (row["calls_previous_30d"], row["bytes_previous_30d"], row["bytes_trend_percent"]) == (20, 100, 50.0)


def test_a_window_with_a_gap_has_no_trend(bench: Bench) -> None:
    for options in ({"first_day": "2026-09-18"}, {"gap": "2026-10-01"}):
        row = usage(bench, DAYS, **options)
        assert (row["bytes_previous_30d"], row["bytes_trend_percent"], row["bytes_30d"]) == (None, None, 150)
    row = usage(bench, DAYS, gap="2026-11-01")
    assert (row["bytes_previous_30d"], row["bytes_trend_percent"]) == (100, None)


def test_calls_without_a_size_make_no_trend_and_no_zero(bench: Bench) -> None:
    row = usage(bench, "a1 | 2026-10-17 | 10 | 8 | 2 | 150 | 1\na1 | 2026-10-16 | 20 | 20 | 0 | 100 | 0")
    assert (row["bytes_30d"], row["unsized_calls_30d"], row["bytes_trend_percent"]) == (150, 1, None)
    assert usage(bench, "a1 | 2026-10-17 | 10 | 8 | 2 | - | 10")["bytes_30d"] is None
    quiet = usage(bench, "a1 | 2026-10-16 | 10 | 8 | 2 | 5 | 0")
    assert (quiet["calls_30d"], quiet["bytes_30d"], quiet["bytes_trend_percent"]) == (0, 0, -100.0)


def dates(bench: Bench, history: str = "", audits: str = "", oauth: str = "") -> dict[str, Any]:
    """app_dates of one registration and its service principal."""
    principals(bench, "s1 | a1 | 2026-02-01", "service_principal_id | app_id | created_at TIMESTAMP")
    bench.table("stg_applications", APPLICATIONS + "o1 | a1 | A | 2026-01-01 | - | -")
    bench.table("grant_history", "service_principal_id | valid_from TIMESTAMP | valid_from_source\n" + history)
    bench.table("stg_directory_audits", "target_ids VARCHAR[] | activity_at TIMESTAMP | activity | result\n" + audits)
    bench.table("stg_oauth_app_info", OAUTH + oauth)
    return bench.run("app_dates")[0]


def test_dates_of_an_app(bench: Bench) -> None:
    row = dates(
        bench,
        "s1 | 2026-05-02 | audit log\ns1 | 2026-04-02 | assignment date",
        """
        [o1] | 2026-10-01 | Update application – Certificates and secrets management | success
        [s1, u1] | 2026-09-01 | Update service principal | success
        [s1] | 2026-10-20 | Update service principal | failure
        [s1] | 2026-10-21 | Add owner to service principal | success
        [s1] | 2026-11-16 | Update service principal | success
        """,
        "a1 | Enabled | - | - | - | 2020-01-01 | 2026-06-01 | - | -",
    )
    assert (row["registered_at"], row["added_on"]) == (datetime(2026, 1, 1), datetime(2026, 2, 1))
    assert (row["first_consented_at"], row["first_consented_source"]) == (datetime(2026, 4, 2), "assignment date")
    assert (row["last_modified_at"], row["last_modified_source"]) == (datetime(2026, 10, 1), "audit log")


def test_an_undated_consent_may_be_the_first(bench: Bench) -> None:
    row = dates(bench, "s1 | 2026-05-02 | audit log\ns1 | - | before first snapshot")
    assert (row["first_consented_at"], row["first_consented_source"]) == (None, "before first snapshot")
    assert (row["last_modified_at"], row["last_modified_source"]) == (None, None)


def test_app_governance_dates_a_change_the_log_does_not_hold(bench: Bench) -> None:
    row = dates(bench, oauth="a1 | Enabled | - | - | - | - | 2026-06-01 | - | -")
    assert (row["last_modified_at"], row["last_modified_source"]) == (datetime(2026, 6, 1), "app governance")
    row = dates(bench, oauth="a1 | Enabled | - | - | - | - | 2026-11-16 | - | -")  # after the as-of date
    assert row["last_modified_at"] is None


def marks(bench: Bench, certification: str = "-", covered: str = "", oauth: str = "", labels: str = "") -> Any:
    """app_marks of an agent s1 registered here and a stranger s2."""
    principals(
        bench,
        "s1 | a1 | #microsoft.graph.agentIdentity\ns2 | a2 | #microsoft.graph.servicePrincipal",
        "service_principal_id | app_id | odata_type",
    )
    bench.table("stg_applications", APPLICATIONS + f"o1 | a1 | A | - | {certification} | home.example")
    bench.table("stg_oauth_app_info", OAUTH + oauth)
    bench.table("stg_cloud_app_events", "app_id | occurred_at TIMESTAMP | sensitivity_label_id\n" + labels)
    bench.table("covered_days", "source | day DATE\n" + covered)
    return bench.run("app_marks")


@pytest.mark.parametrize(
    ("certification", "word"),
    [
        ('{"isCertifiedByMicrosoft": true, "isPublisherAttested": true}', "certified"),
        ('{"isCertifiedByMicrosoft": false, "isPublisherAttested": true}', "attested"),
        ("-", "none"),
    ],
)
def test_certification_is_known_for_own_registrations_only(bench: Bench, certification: str, word: str) -> None:
    one, two = marks(bench, certification)
    assert (one["certification"], two["certification"]) == (word, None)
    assert (one["object_type"], one["is_agent"]) == ("agentIdentity", True)
    assert (two["object_type"], two["is_agent"]) == (None, False)


def test_app_governance_columns_are_null_where_it_says_nothing(bench: Bench) -> None:
    one, two = marks(bench, oauth="a1 | Enabled | High | 71 | 12 | - | - | 2026-11-01 | 2026-11-15")
    assert (one["microsoft_risk_score"], one["microsoft_privilege_level"], one["microsoft_app_status"]) == (
        71, "High", "Enabled",
    )  # fmt: skip
    assert one["microsoft_consented_users"] == 12
    for column in ("microsoft_risk_score", "microsoft_privilege_level", "microsoft_app_status"):
        assert two[column] is None, column


def test_labels_are_null_unless_events_were_read(bench: Bench) -> None:
    one, _ = marks(bench)
    assert one["sensitivity_label_ids"] is None
    one, two = marks(
        bench, covered="cloud_app_events | 2026-11-01",
        labels="a1 | 2026-11-02 | secret\na1 | 2026-11-03 | secret\na1 | 2026-10-16 | old",
    )  # fmt: skip
    assert (one["sensitivity_label_ids"], two["sensitivity_label_ids"]) == (["secret"], [])


def use(bench: Bench, last_used: str, microsoft: str) -> dict[str, Any]:
    """app_use_facts of an app whose last use two sources tell."""
    identities(bench, "s1 | a1 | home | Application | A")
    bench.table("app_marks", f"service_principal_id | microsoft_last_used_at TIMESTAMP\ns1 | {microsoft}")
    bench.table(
        "app_last_use",
        "app_id | last_sign_in_at TIMESTAMP | last_api_call_at TIMESTAMP | last_used_at TIMESTAMP | last_used_source "
        f"| users_30d BIGINT | services VARCHAR[]\na1 | {last_used} | - | {last_used} | sign-in log | - | -",
    )
    bench.table(
        "app_activity_daily",
        "app_id | day DATE | calls BIGINT | reads BIGINT | writes BIGINT | bytes_returned BIGINT "
        "| bytes_unknown_calls BIGINT",
    )
    bench.table("covered_days", "source | day DATE | is_complete BOOLEAN")
    bench.run("app_data_usage")
    return bench.run("app_use_facts")[0]


def test_the_latest_source_says_when_an_app_was_last_used(bench: Bench) -> None:
    row = use(bench, "2026-11-01", "2026-11-05")
    assert (row["last_used_at"], row["last_used_source"], row["days_since_last_use"]) == (
        datetime(2026, 11, 5), "app governance", 10,
    )  # fmt: skip
    assert use(bench, "2026-11-06", "2026-11-05")["last_used_source"] == "sign-in log"
    row = use(bench, "-", "-")
    assert (row["last_used_at"], row["last_used_source"], row["days_since_last_use"]) == (None, None, None)
    for column in ("calls_30d", "bytes_30d", "calls_previous_30d", "bytes_trend_percent", "users_30d", "services"):
        assert row[column] is None, column
