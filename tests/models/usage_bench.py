"""What tests of permission usage share: three apps, a small endpoint map, and the models from grants to verdicts."""

from __future__ import annotations

from typing import Any

from conftest import Bench

GRAPH = "00000003-0000-0000-c000-000000000000"

PRINCIPALS = f"""
    service_principal_id | app_id | display_name | created_at TIMESTAMP
    graph | {GRAPH} | Microsoft Graph | 2020-01-01
    other | api | Orders API | 2020-01-01
    old | a-old | Old app | 2025-01-01
    young | a-young | Young app | 2026-11-01
    undated | a-undated | Undated app | -
"""
DEFINITIONS = """
    resource_id | permission_id | permission_type | permission
    graph | r-mail | application | Mail.Read
    graph | s-mail | delegated | Mail.Read
    graph | s-user | delegated | User.Read
    other | r-orders | application | Orders.Read.All
"""
MAP = """
    method | endpoint | permission_type | permissions | source
    GET | /users/{id}/messages/** | delegated | Mail.ReadBasic Mail.Read Mail.ReadWrite | test
    GET | /users/{id}/messages/** | application | Mail.ReadBasic.All Mail.Read Mail.ReadWrite | test
    POST | /users/{id}/messages | application | Mail.ReadWrite | test
    PATCH | /users/{id}/messages/{id} | application | Mail.ReadWrite | test
    DELETE | /users/{id}/messages/{id} | application | Mail.ReadWrite | test
    POST | /users/{id}/sendMail | application | Mail.Send | test
    POST | /users/{id}/sendMail | delegated | Mail.Send | test
    GET | /users | application | User.ReadBasic.All User.Read.All User.ReadWrite.All Directory.Read.All \
Directory.ReadWrite.All | test
    GET | /users/** | application | User.Read.All Directory.Read.All Directory.ReadWrite.All | test
    GET | /users/{id} | delegated | User.Read User.ReadBasic.All User.Read.All Directory.Read.All | test
    PATCH | /users/{id} | application | User.ReadWrite.All Directory.ReadWrite.All | test
    GET | /groups/** | application | GroupMember.Read.All Group.Read.All Directory.Read.All Directory.ReadWrite.All | t
    GET | /drives/** | application | Files.Read.All Sites.Read.All Files.ReadWrite.All Sites.Selected | test
    GET | /drives/** | delegated | Files.Read Files.Read.All Sites.Read.All | test
    GET | /reports/getDetail({id}) | application | Reports.Read.All | test
    POST | /communications/getPresences | application | Presence.Read.All | test
"""

CALLS = (
    "request_id | app_id | called_at TIMESTAMP | method | endpoint | resource_type | service | access | status INTEGER "
    "| is_app_only BOOLEAN | is_batch_envelope BOOLEAN\n"
)
VERDICT_MODELS = (
    "consent_grants", "called_endpoints", "permission_judgements", "app_calls", "permission_options",
    "permission_calls", "permission_ages", "app_call_totals", "permission_usage", "permission_redundancy",
    "permission_obstacles", "app_permissions",
)  # fmt: skip
COVER_MODELS = ("cover_groups", "permission_covers", "permission_swaps", "least_privilege")


def grants(bench: Bench, delegated: str = "", roles: str = "") -> None:
    """The two staging tables of grants, with their headers."""
    bench.table("stg_service_principals", PRINCIPALS)
    bench.table("permission_definitions", DEFINITIONS)
    bench.table(
        "stg_delegated_grants",
        "grant_id | service_principal_id | resource_id | consent_type | principal_id | scopes VARCHAR[]\n" + delegated,
    )
    bench.table(
        "stg_app_role_assignments",
        "assignment_id | service_principal_id | principal_type | resource_id | app_role_id | permission "
        "| created_at TIMESTAMP\n" + roles,
    )


def call(line: str) -> str:
    """A call given as `METHOD endpoint status kind`, kind being app, user or - (the log does not tell), as a row."""
    method, endpoint, status, kind = line.split()
    app_only = {"app": "true", "user": "false", "-": "-"}[kind]
    envelope = "true" if endpoint == "/$batch" else "false"
    access = "read" if method == "GET" else "write"
    return f"a-old | 2026-11-10 | {method} | {endpoint} | other | Other | {access} | {status} | {app_only} | {envelope}"


def held(*names: str, since: str = "2026-03-01") -> str:
    """Application permissions of the old app, as rows of stg_app_role_assignments."""
    return "\n".join(
        f"a{n} | old | ServicePrincipal | graph | r-{name} | {name} | {since}" for n, name in enumerate(names)
    )


def scopes(*names: str) -> str:
    """Delegated permissions of the old app, for everybody, as a row of stg_delegated_grants."""
    return f"g1 | old | graph | AllPrincipals | - | [{', '.join(names)}]"


def judge(
    bench: Bench,
    *calls: str,
    rows: str = "",
    covered: int = 30,
    delegated: str = "",
    roles: str = "",
    tables: dict[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """app_permissions by permission; the last `covered` days up to 15 November are completely covered.

    `calls` are short (see `call`), `rows` whole rows of requests; `tables` replaces the rows of the small inputs.
    """
    given = {
        "stg_applications": "",
        "stg_oauth_app_info": "",
        "stg_sign_ins": "",
        "stg_service_principal_sign_in_activities": "",
        "stg_directory_audits": "",
        "grants_seen_history": "",
        "source_readings": "",
        **(tables or {}),
    }
    headers = {
        "stg_applications": "application_id | app_id | required_resource_access JSON",
        "stg_oauth_app_info": "app_id | permissions JSON",
        "stg_sign_ins": "app_id | resource_id | error_code INTEGER | created_at TIMESTAMP | sign_in_type",
        "stg_service_principal_sign_in_activities": "app_id | delegated_client_at TIMESTAMP",
        "stg_directory_audits": "activity | result | activity_at TIMESTAMP | target_ids VARCHAR[]",
        "grants_seen_history": "source | service_principal_id | resource_id | scope | readings BIGINT[]",
        "source_readings": "source | reading BIGINT | read_at TIMESTAMP | previous_read_at TIMESTAMP",
    }
    grants(bench, delegated, roles)
    bench.reference("endpoint_permissions", MAP)
    bench.requests(CALLS + "\n".join(f"{n} | {call(line)}" for n, line in enumerate(calls)) + rows)
    bench.table("covered_days", "source | day DATE | is_complete BOOLEAN")
    bench.con.execute(
        "INSERT INTO covered_days SELECT 'api_activity', DATE '2026-11-15' - CAST(i AS INTEGER), true "
        "FROM range(?) AS t(i)",
        [covered],
    )
    for name, header in headers.items():
        bench.table(name, header + "\n" + given[name])
    for model in VERDICT_MODELS:
        bench.run(model)
    return {row["permission"]: row for row in bench.rows("SELECT * FROM app_permissions")}


def propose(bench: Bench, *calls: str, **more: Any) -> dict[str, dict[str, Any]]:
    """least_privilege by permission, for what `judge` takes."""
    judge(bench, *calls, **more)
    for model in COVER_MODELS:
        bench.run(model)
    return {row["permission"]: row for row in bench.rows("SELECT * FROM least_privilege")}
