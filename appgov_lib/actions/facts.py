"""What planning reads: open findings and the state of their apps, as plain frozen values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

Row = Mapping[str, Any]
_REMOVERS = frozenset({"remove_user_grants", "remove_extra_grants"})


@dataclass(frozen=True)
class OpenFinding:
    """A finding that calls for an action."""

    finding_id: str
    policy_id: str
    service_principal_id: str
    app_id: str
    severity: str
    reason: str
    action: str
    evidence: Row


@dataclass(frozen=True)
class Facts:
    """State of the apps with open findings; every mapping is by service principal id unless said."""

    findings: tuple[OpenFinding, ...]
    apps: Mapping[str, Row]
    grants: Mapping[str, tuple[Row, ...]]
    assignments: Mapping[str, tuple[Row, ...]]
    key_credentials: Mapping[str, tuple[Row, ...]]
    """By object id of the application or service principal that holds them."""
    removals: frozenset[tuple[str, str, str]]
    """(service principal id, resource id, permission) that some policy wants removed because of what it is."""
    owner_candidates: Mapping[str, tuple[str, str]]
    """Object id and name of the active user who last changed the app."""


def read_facts(con: duckdb.DuckDBPyConnection) -> Facts:
    """Read everything planning needs, in a stable order."""
    findings = tuple(
        OpenFinding(**{**row, "evidence": json.loads(row["evidence"] or "{}")})
        for row in _rows(
            con,
            "SELECT finding_id, policy_id, service_principal_id, app_id, severity, reason, action, "
            "CAST(evidence AS VARCHAR) AS evidence FROM findings "
            "WHERE status = 'active' AND state IN ('new', 'open', 'returned') ORDER BY finding_id",
        )
    )
    con.execute("CREATE OR REPLACE TEMP TABLE apps_to_plan AS SELECT DISTINCT service_principal_id FROM findings")
    apps = _rows(
        con,
        "SELECT service_principal_id, app_id, application_id, display_name, users_30d, risk_score, account_enabled "
        "FROM app_inventory SEMI JOIN apps_to_plan USING (service_principal_id) ORDER BY service_principal_id",
    )
    grants = _rows(
        con,
        "SELECT grant_id, service_principal_id, resource_id, consent_type, principal_id, scopes, "
        "person.user_principal_name AS principal_name FROM stg_delegated_grants AS held "
        "SEMI JOIN apps_to_plan USING (service_principal_id) "
        "LEFT JOIN stg_users AS person ON person.user_id = lower(held.principal_id) ORDER BY grant_id",
    )
    assignments = _rows(
        con,
        "SELECT assignment_id, service_principal_id, resource_id, app_role_id, "
        "coalesce(permission, app_role_id) AS permission FROM stg_app_role_assignments "
        "SEMI JOIN apps_to_plan USING (service_principal_id) ORDER BY assignment_id",
    )
    keys = _rows(
        con,
        "SELECT service_principal_id AS object_id, CAST(key_credentials AS VARCHAR) AS keys "
        "FROM stg_service_principals SEMI JOIN apps_to_plan USING (service_principal_id) UNION ALL "
        "SELECT application_id, CAST(key_credentials AS VARCHAR) FROM stg_applications "
        "WHERE app_id IN (SELECT app_id FROM app_inventory SEMI JOIN apps_to_plan USING (service_principal_id)) "
        "ORDER BY object_id",
    )
    candidates = _rows(
        con,
        # by equality on each target of an event: list_contains() would try every pair of app and event
        "WITH named AS (SELECT service_principal_id, service_principal_id AS target_id FROM app_inventory "
        "SEMI JOIN apps_to_plan USING (service_principal_id) UNION SELECT service_principal_id, application_id "
        "FROM app_inventory SEMI JOIN apps_to_plan USING (service_principal_id)), "
        "audits AS (SELECT actor_id, activity_at, audit_id, unnest(target_ids) AS target_id FROM stg_directory_audits) "
        "SELECT named.service_principal_id, arg_max(person.user_id, (audit.activity_at, audit.audit_id)) AS user_id, "
        "arg_max(coalesce(person.display_name, person.user_principal_name), (audit.activity_at, audit.audit_id)) "
        "AS name "
        "FROM named INNER JOIN audits AS audit USING (target_id) "
        "INNER JOIN stg_users AS person ON person.user_id = audit.actor_id "
        "WHERE person.account_enabled AND person.user_type IS DISTINCT FROM 'Guest' GROUP BY 1 ORDER BY 1",
    )
    con.execute("DROP TABLE apps_to_plan")
    return Facts(
        findings=findings,
        apps={row["service_principal_id"]: row for row in apps},
        grants=_by_app(grants),
        assignments=_by_app(assignments),
        key_credentials={row["object_id"]: _objects(row["keys"]) for row in keys},
        removals=frozenset(
            (finding.service_principal_id, str(item.get("resource_id")), str(item.get("permission")))
            for finding in findings
            if finding.action in _REMOVERS
            for item in listed_permissions(finding)
        ),
        owner_candidates={row["service_principal_id"]: (row["user_id"], row["name"] or "") for row in candidates},
    )


def listed_permissions(finding: OpenFinding) -> list[Row]:
    """The permissions a policy put into its evidence."""
    listed = finding.evidence.get("permissions")
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def _rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Result rows as dictionaries."""
    result = con.execute(sql)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _by_app(rows: list[dict[str, Any]]) -> dict[str, tuple[Row, ...]]:
    """Rows by service principal id, order kept."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["service_principal_id"], []).append(row)
    return {key: tuple(values) for key, values in grouped.items()}


def _objects(text: str | None) -> tuple[Row, ...]:
    """The objects of a JSON array; anything else is none."""
    parsed = json.loads(text) if text else []
    return tuple(item for item in parsed if isinstance(item, dict)) if isinstance(parsed, list) else ()
