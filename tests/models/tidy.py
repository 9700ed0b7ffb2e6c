"""One tidy app for the hygiene checks, and what tests change on it."""

from __future__ import annotations

from typing import Any

from conftest import Bench

SOURCES = (
    "service_principals", "applications", "service_principal_sign_in_activities", "delegated_grants",
    "app_role_assignments", "credential_sign_in_activities", "federated_credentials", "service_principal_owners",
    "application_owners", "organization",
)  # fmt: skip
MARTS = (
    "hygiene_objects", "hygiene_use", "hygiene_credentials", "hygiene_federated", "hygiene_owners",
    "hygiene_reply_urls", "hygiene_settings",
)  # fmt: skip
TABLES = {
    "app_inventory": (
        "service_principal_id | app_id | application_id | display_name | app_origin | service_principal_type "
        "| is_first_party BOOLEAN | is_in_scope BOOLEAN | status | created_at TIMESTAMP | sign_in_audience "
        "| reply_urls VARCHAR[] | last_used_at TIMESTAMP | permission_count BIGINT | directory_roles VARCHAR[] "
        "| assignment_required BOOLEAN"
    ),
    "stg_service_principals": "service_principal_id | app_id | single_sign_on_mode",
    "stg_applications": (
        "application_id | app_id | display_name | created_at TIMESTAMP | sign_in_audience | reply_urls VARCHAR[] "
        "| allows_public_client BOOLEAN | implicit_access_tokens BOOLEAN | implicit_id_tokens BOOLEAN "
        "| property_lock JSON"
    ),
    "app_credentials": (
        "service_principal_id | application_id | object_id | credential_origin | key_id | credential_type "
        "| starts_at TIMESTAMP | ends_at TIMESTAMP | lifetime_days BIGINT | days_to_expiry BIGINT "
        "| last_used_at TIMESTAMP | last_used_known BOOLEAN"
    ),
    "stg_federated_credentials": "federated_credential_id | parent_id | issuer | subject | claims_expression",
    "stg_organization": "tenant_id",
    "app_owners": (
        "service_principal_id | owner_id | owner_name | owner_type | owner_enabled BOOLEAN | owner_is_guest BOOLEAN"
    ),
    "stg_owners": (
        "object_kind | object_id | owner_id | owner_name | owner_type | owner_enabled BOOLEAN | owner_user_type"
    ),
    "stg_users": "user_id | display_name | account_enabled BOOLEAN | user_type",
    "app_grant_summary": (
        "service_principal_id | application_count BIGINT | delegated_count BIGINT | high_privilege_count BIGINT "
        "| high_application_count BIGINT"
    ),
    "coverage": "source | status",
}
APP = {
    "service_principal_id": "s1", "app_id": "a1", "application_id": "o1", "app_origin": "internal",
    "service_principal_type": "Application", "is_first_party": False, "is_in_scope": True, "status": "enabled",
    "created_at": "2024-01-01", "reply_urls": [], "last_used_at": "2026-11-14", "permission_count": 0,
    "directory_roles": [], "assignment_required": True,
}  # fmt: skip
REGISTRATION = {"application_id": "o1", "app_id": "a1", "sign_in_audience": "AzureADMyOrg", "reply_urls": []}
SECRET = {
    "service_principal_id": "s1", "application_id": "o1", "object_id": "o1", "credential_origin": "application",
    "key_id": "k1", "credential_type": "secret", "starts_at": "2026-10-01", "ends_at": "2027-01-01",
    "lifetime_days": 92, "days_to_expiry": 47, "last_used_at": "2026-11-14", "last_used_known": True,
}  # fmt: skip
ON_PRINCIPAL = {"object_id": "s1", "credential_origin": "service_principal", "key_id": "k2"}
OWNER = {
    "service_principal_id": "s1", "owner_id": "u1", "owner_name": "Ada", "owner_type": "user", "owner_enabled": True,
    "owner_is_guest": False,
}  # fmt: skip
GITHUB = "https://token.actions.githubusercontent.com"
TRUST = {"federated_credential_id": "f1", "parent_id": "o1", "issuer": GITHUB}


def fill(bench: Bench, table: str, rows: list[dict[str, Any]]) -> None:
    """An input table with these rows; columns that are not given are NULL."""
    bench.table(table, TABLES[table])
    for row in rows:
        marks = ", ".join("?" * len(row))
        bench.con.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def hygiene(
    bench: Bench,
    unread: dict[str, str] | None = None,
    app: dict[str, Any] | None = None,
    **tables: list[dict[str, Any]],
) -> dict[tuple[str, str], dict[str, Any]]:
    """app_hygiene by (object, check) of one good app registered here, with what is given in place of its parts."""
    given: dict[str, list[dict[str, Any]]] = {
        "app_inventory": [APP | (app or {})],
        "stg_service_principals": [{"service_principal_id": "s1", "app_id": "a1"}],
        "stg_applications": [REGISTRATION],
        "app_owners": [OWNER],
        "stg_organization": [{"tenant_id": "home"}],
        "coverage": [{"source": name, "status": (unread or {}).get(name, "complete")} for name in SOURCES],
    }
    for table in TABLES:
        fill(bench, table, (given | tables).get(table, []))
    for model in MARTS:
        bench.run(model)
    return {(row["object_id"], row["check_id"]): row for row in bench.run("app_hygiene")}


def verdict(found: dict[tuple[str, str], dict[str, Any]], check: str, of: str = "s1") -> str | None:
    """What a check says, None where it does not apply."""
    row = found.get((of, check))
    return row["verdict"] if row else None


def each(bench: Bench, cases: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Verdicts by check of each case, every case on an app of its own in one build.

    A case changes the `app`, its `registration`, or gives rows of tables; s1, a1 and o1 in them are the case's own.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    for number, case in enumerate(cases):
        own = {f"{letter}1": f"{letter}{number}" for letter in "sao"}
        rows = {
            "app_inventory": [APP | case.get("app", {})],
            "stg_service_principals": [{"service_principal_id": "s1", "app_id": "a1"}],
            "stg_applications": [REGISTRATION | case.get("registration", {})],
            "app_owners": [OWNER],
        }
        for table, found in (rows | {name: case[name] for name in case if name in TABLES}).items():
            tables.setdefault(table, []).extend(
                {name: own.get(value, value) if isinstance(value, str) else value for name, value in row.items()}
                for row in found
            )
    every = hygiene(bench, **tables)
    return [
        {check: row["verdict"] for (of, check), row in every.items() if of == f"s{number}"}
        for number in range(len(cases))
    ]
