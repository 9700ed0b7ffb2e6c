"""What planning reads about owners, expired and federated credentials, roles, locks and the tenant's policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import duckdb

Row = Mapping[str, Any]
_SELF_CONSENT = "ManagePermissionGrantsForSelf."
_LOW_RISK = "ManagePermissionGrantsForSelf.microsoft-user-default-low"


def read_more(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The further fields of `Facts`; the apps to plan for are in the table `apps_to_plan`."""
    mine = "SEMI JOIN apps_to_plan USING (service_principal_id)"
    owners = read_rows(
        con,
        "SELECT service_principal_id, coalesce(owner_user_principal_name, owner_name, owner_id) AS name "
        f"FROM app_owners {mine} WHERE owner_enabled IS DISTINCT FROM FALSE "
        "GROUP BY ALL ORDER BY service_principal_id, name",
    )
    held = read_rows(
        con,
        "SELECT service_principal_id, owner_id FROM app_owners "
        f"{mine} WHERE owned_object = 'application' ORDER BY service_principal_id, owner_id",
    )
    expired = read_rows(
        con,
        "SELECT service_principal_id, object_id, credential_origin, credential_type, key_id FROM app_credentials "
        f"{mine} WHERE credential_type IN ('secret', 'certificate') AND days_to_expiry < 0 "
        "ORDER BY service_principal_id, object_id, key_id",
    )
    federated = read_rows(
        con,
        "SELECT federated_credential_id, parent_id, name, issuer, subject, audiences, description, claims_expression "
        "FROM stg_federated_credentials "
        f"WHERE parent_id IN (SELECT application_id FROM app_inventory {mine}) ORDER BY federated_credential_id",
    )
    roles = read_rows(
        con,
        "SELECT assignment_id, principal_id, role_definition_id, role_name, scope FROM stg_directory_role_assignments "
        "WHERE principal_id IN (SELECT service_principal_id FROM apps_to_plan) ORDER BY assignment_id",
    )
    locks = read_rows(
        con,
        "SELECT application_id, CAST(property_lock AS VARCHAR) AS lock FROM stg_applications "
        f"WHERE application_id IN (SELECT application_id FROM app_inventory {mine}) ORDER BY application_id",
    )
    alerts = read_rows(
        con,
        # an alert of another shape has an id that Graph does not know
        "WITH alerts AS (SELECT alert_id, app_id, service_principal_id FROM stg_security_alerts "
        "WHERE lower(status) = 'new' AND shape = 'graph'), "
        f"apps AS (SELECT service_principal_id, app_id FROM app_inventory {mine}) "
        "SELECT service_principal_id, alert_id FROM alerts INNER JOIN apps USING (service_principal_id) "
        "UNION SELECT apps.service_principal_id, alert_id FROM alerts INNER JOIN apps USING (app_id) ORDER BY ALL",
    )
    policy = read_rows(
        con,
        "SELECT user_consent_policies AS consent, users_may_consent_to_risky_apps AS risky, "
        "users_may_register_apps AS registers "
        "FROM stg_authorization_policy ORDER BY policy_id LIMIT 1",
    )
    return {
        "owners": {key: tuple(row["name"] for row in rows) for key, rows in by_app(owners).items()},
        "owner_ids": {key: tuple(row["owner_id"] for row in rows) for key, rows in by_app(held).items()},
        "expired": by_app(expired),
        "federated": {row["federated_credential_id"]: row for row in federated},
        "roles": {row["assignment_id"]: row for row in roles},
        "locks": {row["application_id"]: json.loads(row["lock"]) if row["lock"] else None for row in locks},
        "alerts": {key: tuple(row["alert_id"] for row in rows) for key, rows in by_app(alerts).items()},
        "policy": _settings(policy[0]) if policy else {},
    }


def _settings(found: Row) -> dict[str, tuple[Row, Row]]:
    """(what to write, what is there) by setting, for settings whose value is known."""
    known: dict[str, tuple[Row, Row]] = {}
    if found["risky"] is True:
        known["risky_app_consent"] = (
            {"allowUserConsentForRiskyApps": False},
            {"allowUserConsentForRiskyApps": True},
        )
    if found["registers"] is True:
        known["app_registration"] = (
            {"defaultUserRolePermissions": {"allowedToCreateApps": False}},
            {"defaultUserRolePermissions": {"allowedToCreateApps": True}},
        )
    if found["consent"]:
        # what owners of teams and chats may consent to stands in the same list, and stays
        stays = [name for name in found["consent"] if not name.startswith(_SELF_CONSENT)]
        name = "permissionGrantPoliciesAssigned"
        known["user_consent"] = (
            {"defaultUserRolePermissions": {name: sorted([_LOW_RISK, *stays])}},
            {"defaultUserRolePermissions": {name: sorted(found["consent"])}},
        )
    return known


def read_rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Result rows as dictionaries."""
    result = con.execute(sql)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def by_app(rows: list[dict[str, Any]]) -> dict[str, tuple[Row, ...]]:
    """Rows by service principal id, order kept."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["service_principal_id"], []).append(row)
    return {key: tuple(values) for key, values in grouped.items()}
