"""What tests of the dashboard share: inputs with nothing in them, a few apps, and the tiles made of them."""

from __future__ import annotations

import json
from typing import Any

from conftest import Bench

COVERAGE = "source | status | reason | from_at TIMESTAMP\n"
SOURCES = (
    "service_principals", "service_principal_sign_in_activities", "delegated_grants", "app_role_assignments",
    "directory_role_assignments", "api_activity", "cloud_app_events", "incidents", "security_alerts", "secure_scores",
    "secure_score_profiles", "applications", "credential_sign_in_activities", "deleted_service_principals",
)  # fmt: skip
INVENTORY = (
    "service_principal_id | app_id | app_origin | publisher_verified BOOLEAN | is_first_party BOOLEAN "
    "| service_principal_type | privilege_level | risk_score INTEGER | permission_count INTEGER "
    "| created_at TIMESTAMP | last_used_at TIMESTAMP | display_name\n"
)
PERMISSIONS = "service_principal_id | permission_type | usage\n"
ACTIVITY = (
    "app_id | day DATE | service | calls BIGINT | errors BIGINT | throttled BIGINT | bytes_returned BIGINT "
    "| bytes_unknown_calls BIGINT\n"
)
CALLS = "app_id | day DATE | resource_type | calls BIGINT | bytes_returned BIGINT | bytes_unknown_calls BIGINT\n"
EVENTS = "app_id | occurred_at TIMESTAMP | sensitivity_label_id | application\n"
DELETED = (
    "service_principal_id | app_owner_tenant_id | service_principal_type | created_at TIMESTAMP "
    "| deleted_at TIMESTAMP\n"
)
INCIDENTS = (
    "incident_id | display_name | status | severity | created_at TIMESTAMP | last_updated_at TIMESTAMP | web_url\n"
)
ALERTS = "alert_id | incident_id | app_id | service_source | detection_source | created_at TIMESTAMP\n"
CREDENTIALS = (
    "app_id | credential_type | starts_at TIMESTAMP | ends_at TIMESTAMP | days_to_expiry INTEGER "
    "| last_used_at TIMESTAMP | last_used_known BOOLEAN\n"
)
CREDENTIAL_HISTORY = (
    "app_id | key_id | credential_type | ends_at TIMESTAMP | valid_from TIMESTAMP | valid_to TIMESTAMP\n"
)
GRANTS = (
    "service_principal_id | resource_id | permission | permission_type | valid_from TIMESTAMP | valid_to TIMESTAMP\n"
)
ROLES = "principal_id | role_definition_id | valid_from TIMESTAMP | valid_to TIMESTAMP\n"
READINGS = "source | read_at TIMESTAMP\n"
EMPTY = {
    "app_inventory": INVENTORY,
    "app_permissions": PERMISSIONS,
    "app_activity_daily": ACTIVITY,
    "app_resource_daily": CALLS,
    "stg_cloud_app_events": EVENTS,
    "stg_deleted_service_principals": DELETED,
    "stg_incidents": INCIDENTS,
    "stg_security_alerts": ALERTS,
    "app_credentials": CREDENTIALS,
    "credential_history": CREDENTIAL_HISTORY,
    "grant_history": GRANTS,
    "directory_role_history": ROLES,
    "source_readings": READINGS,
    "permission_judgements": "resource_app_id | permission | permission_type | privilege_level",
    "stg_service_principals": "service_principal_id | app_id",
    "covered_days": "source | day DATE | is_complete BOOLEAN",
    "stg_secure_scores": "score_id | created_at TIMESTAMP | control_scores JSON",
    "stg_secure_score_profiles": "control_id | title | category | max_score DOUBLE | is_deprecated BOOLEAN "
    "| action_url | state_updates JSON",
}
STEPS = (
    "category_marks", "app_categories", "data_usage_monthly", "data_usage_by_resource_type", "apps_by_service_accessed",
    "apps_by_sensitivity_label", "incident_alerts", "latest_incidents", "secure_score_items", "source_states",
    "earlier_highs", "overview_categories", "overview_usage", "overview_others", "overview_tiles",
)  # fmt: skip


def tiles(bench: Bench, states: dict[str, str] | None = None, **inputs: str) -> dict[str, dict[str, Any]]:
    """overview_tiles by fact, from the inputs given; the others are empty and every source is complete."""
    for name, header in EMPTY.items():
        bench.table(name, header.rstrip("\n") + "\n" + inputs.get(name, ""))
    for source, first, last in json.loads(inputs.get("days", "[]")):
        bench.con.execute(
            "INSERT INTO covered_days SELECT ?, CAST(d AS DATE), true "
            "FROM range(CAST(? AS TIMESTAMP), CAST(? AS TIMESTAMP) + INTERVAL 1 DAY, INTERVAL 1 DAY) AS t(d)",
            [source, first, last],
        )
    status = dict.fromkeys(SOURCES, "complete") | (states or {})
    bench.table(
        "coverage",
        COVERAGE + "\n".join(f"{s} | {word} | - | 2026-08-17 00:00:00" for s, word in status.items() if word),
    )
    for name in STEPS:
        bench.run(name)
    return {row["fact_id"]: row for row in bench.rows("SELECT * FROM overview_tiles")}


def numbers(row: dict[str, Any]) -> tuple[Any, Any, str]:
    """Value, value before, coverage."""
    return row["value"], row["previous_value"], row["coverage"]


APPS = """
    own | a1 | internal | false | false | Application | high | 55 | 2 | 2025-01-01 00:00:00 | 2026-11-14 00:00:00 | Own
    out | a2 | external | false | false | Application | medium | 39 | 1 | 2026-11-10 00:00:00 | - | Out
    old | a3 | external | true | false | Application | low | 0 | 1 | 2024-01-01 00:00:00 | 2026-08-17 00:00:00 | Old
    ok | a4 | external | true | false | Application | none | 0 | 0 | 2026-10-20 00:00:00 | 2026-10-25 00:00:00 | OK
    ms | m1 | microsoft | true | true | Application | high | 90 | 5 | 2020-01-01 00:00:00 | - | Graph
    mi | m2 | internal | false | - | ManagedIdentity | high | 90 | 5 | 2020-01-01 00:00:00 | - | MI
"""
USES = "own | application | used\nown | delegated | unused\nout | delegated | unknown\nold | delegated | used"
