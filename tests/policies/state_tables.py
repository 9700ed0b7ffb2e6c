"""The small warehouse of `policy_tables`, with the tables that policies about state and daily use read as well."""

from __future__ import annotations

from functools import cache
from typing import Any

import duckdb
import policy_tables
from policy_tables import APP, SP

from appgov_lib import lookalikes
from appgov_lib.store.models import MODELS_DIR, REFERENCE_DIR

TENANT = "00000000-0000-4000-8000-00000000ffff"
NEW_COLUMNS = {
    "is_in_scope": "BOOLEAN",
    "assignment_required": "BOOLEAN",
    "added_on": "TIMESTAMP",
    "certification": "VARCHAR",
    "other_api_access": "BOOLEAN",
    "api_names": "VARCHAR[]",
    "sensitivity_label_ids": "VARCHAR[]",
    "risk_parts": "JSON",
    "publisher_domain": "VARCHAR",
}
TABLES = {
    "changes": """changed_at TIMESTAMP, seen_at TIMESTAMP, kind VARCHAR, change VARCHAR, service_principal_id VARCHAR,
        app_id VARCHAR, display_name VARCHAR, subject VARCHAR, before VARCHAR, after VARCHAR, actor_id VARCHAR,
        actor_name VARCHAR, source VARCHAR""",
    "app_setting_changes": """changed_at TIMESTAMP, service_principal_id VARCHAR, app_id VARCHAR, display_name VARCHAR,
        property VARCHAR, change VARCHAR, value VARCHAR, actor_id VARCHAR, actor_name VARCHAR, source VARCHAR""",
    "app_hygiene": """service_principal_id VARCHAR, app_id VARCHAR, check_id VARCHAR, verdict VARCHAR, subject VARCHAR,
        detail VARCHAR, hits BIGINT""",
    "hygiene_reply_urls": "object_id VARCHAR, check_id VARCHAR, subject VARCHAR",
    "app_events": """app_id VARCHAR, service_principal_id VARCHAR, display_name VARCHAR, happened_at TIMESTAMP,
        event VARCHAR, detail VARCHAR, actor_id VARCHAR, actor_name VARCHAR, is_dated BOOLEAN""",
    "audited_apps": """audit_id VARCHAR, activity_at TIMESTAMP, activity VARCHAR, result VARCHAR, result_reason VARCHAR,
        object_id VARCHAR, app_id VARCHAR, app_name VARCHAR, is_in_directory BOOLEAN, is_first_party BOOLEAN,
        actor_id VARCHAR, actor_type VARCHAR, actor_name VARCHAR, actor_ip VARCHAR, is_rotation BOOLEAN""",
    "stg_organization": "tenant_id VARCHAR, verified_domains VARCHAR[]",
    "stg_service_principals": """service_principal_id VARCHAR, app_id VARCHAR, app_owner_tenant_id VARCHAR,
        disabled_by_microsoft_status VARCHAR, homepage VARCHAR""",
    "name_skeletons": "name VARCHAR, skeleton VARCHAR, disguised_word VARCHAR, oddity VARCHAR",
    "app_domains": """service_principal_id VARCHAR, place VARCHAR, host VARCHAR, domain VARCHAR, label VARCHAR,
        top_level_domain VARCHAR, is_shared_host BOOLEAN, skeleton VARCHAR, disguised_word VARCHAR, addresses BIGINT,
        example VARCHAR""",
    "domain_lookalikes": """domain VARCHAR, imitated VARCHAR, owner VARCHAR, reads_alike BOOLEAN, distance BIGINT,
        letters BIGINT""",
    "app_alerts": """record_kind VARCHAR, alert_id VARCHAR, app_id VARCHAR, service_principal_id VARCHAR, title VARCHAR,
        severity VARCHAR, status VARCHAR, classification VARCHAR, is_open BOOLEAN, service_source VARCHAR,
        detection_source VARCHAR, first_at TIMESTAMP, last_at TIMESTAMP, incident_id VARCHAR, alert_url VARCHAR,
        incident_url VARCHAR, mitre VARCHAR[], is_told_as_risk BOOLEAN, level INTEGER, display_name VARCHAR,
        app_url VARCHAR""",
    "stg_deleted_service_principals": """service_principal_id VARCHAR, deleted_at TIMESTAMP,
        service_principal_type VARCHAR""",
    "stg_directory_role_assignments": """assignment_id VARCHAR, principal_id VARCHAR, role_definition_id VARCHAR,
        role_name VARCHAR, is_privileged BOOLEAN, scope VARCHAR""",
    "stg_directory_audits": """audit_id VARCHAR, activity_at TIMESTAMP, activity VARCHAR, result VARCHAR,
        actor_id VARCHAR, actor_name VARCHAR, target_ids VARCHAR[], target_name VARCHAR, targets JSON,
        result_reason VARCHAR, actor_app_id VARCHAR, actor_type VARCHAR, actor_ip VARCHAR""",
    "stg_sign_ins": """sign_in_id VARCHAR, created_at TIMESTAMP, app_id VARCHAR, app_name VARCHAR, user_id VARCHAR,
        user_principal_name VARCHAR, service_principal_id VARCHAR, service_principal_name VARCHAR,
        sign_in_type VARCHAR, error_code INTEGER, risk_level VARCHAR, risk_state VARCHAR, user_agent VARCHAR,
        ip_address VARCHAR, asn VARCHAR, country VARCHAR, authentication_protocol VARCHAR, resource_id VARCHAR,
        resource_name VARCHAR, credential_type VARCHAR, token_id VARCHAR, city VARCHAR,
        authentication_requirement VARCHAR""",
    "grant_history": "revoked_by_id VARCHAR",
    "stg_api_activity": """app_id VARCHAR, called_at TIMESTAMP, method VARCHAR, uri VARCHAR, endpoint VARCHAR,
        resource_type VARCHAR, is_batch_envelope BOOLEAN, path VARCHAR, status INTEGER, user_id VARCHAR,
        token_id VARCHAR, ip_address VARCHAR, is_app_only BOOLEAN""",
    "api_calls_daily": """app_id VARCHAR, day DATE, service VARCHAR, endpoint VARCHAR, method VARCHAR, status INTEGER,
        calls BIGINT, bytes_returned BIGINT, bytes_unknown_calls BIGINT, resource_type VARCHAR, read_from VARCHAR,
        endpoint_family VARCHAR""",
    "app_deeds_daily": """app_id VARCHAR, day DATE, deed VARCHAR, log VARCHAR, events BIGINT, first_at TIMESTAMP""",
    "sign_ins_daily": "app_id VARCHAR, day DATE, sign_in_type VARCHAR, sign_ins BIGINT, failures BIGINT",
    "app_usage_summary": "app_id VARCHAR, calls BIGINT, errors BIGINT, throttled BIGINT, services VARCHAR[]",
    "covered_days": "source VARCHAR, day DATE, is_complete BOOLEAN",
    "app_first_seen": """app_id VARCHAR, family VARCHAR, dimension VARCHAR, value VARCHAR, first_seen_at TIMESTAMP,
        values_before BIGINT, events_now BIGINT, look_back_days BIGINT, novelty VARCHAR""",
    "stg_office_activity": """app_id VARCHAR, occurred_at TIMESTAMP, operation VARCHAR, user_id VARCHAR,
        user_principal_name VARCHAR, user_agent VARCHAR, result VARCHAR, is_throttled BOOLEAN,
        forwards_to VARCHAR, items BIGINT""",
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "app_inventory": {"is_in_scope": True, "assignment_required": True, "added_on": "2025-01-01", "consented_users": 0},
    "changes": {"service_principal_id": SP, "app_id": APP, "display_name": "Payroll Sync", "source": "snapshot"},
    "app_setting_changes": {
        "changed_at": "2026-11-12",
        "service_principal_id": SP,
        "app_id": APP,
        "property": "reply address",
        "change": "added",
        "actor_name": "Ada",
        "source": "audit log",
    },
    "app_hygiene": {"service_principal_id": SP, "app_id": APP, "verdict": "yes", "hits": 1},
    "hygiene_reply_urls": {"object_id": SP},
    "audited_apps": {
        "audit_id": "e1",
        "activity_at": "2026-11-12 09:00",
        "result": "success",
        "is_in_directory": False,
        "is_first_party": False,
        "is_rotation": False,
        "actor_type": "user",
        "actor_name": "Ada",
    },
    "app_events": {"app_id": APP, "service_principal_id": SP, "display_name": "Payroll Sync", "is_dated": True},
    "stg_organization": {"tenant_id": TENANT, "verified_domains": ["contoso.example"]},
    "stg_service_principals": {"service_principal_id": SP, "app_id": APP, "app_owner_tenant_id": TENANT},
    "stg_directory_role_assignments": {"assignment_id": "r1", "principal_id": SP, "scope": "/"},
    "stg_sign_ins": {"sign_in_id": "s1", "created_at": "2026-11-12 09:00:00", "user_id": "u1"},
    "stg_api_activity": {
        "app_id": APP,
        "method": "GET",
        "resource_type": "messages",
        "is_batch_envelope": False,
        "status": 200,
    },
    "app_alerts": {
        "record_kind": "alert",
        "alert_id": "a1",
        "app_id": APP,
        "service_principal_id": SP,
        "title": "Odd use",
        "severity": "medium",
        "level": 2,
        "status": "new",
        "is_open": True,
        "service_source": "microsoftAppGovernance",
        "first_at": "2026-11-10 08:00:00",
        "last_at": "2026-11-11 08:00:00",
        "alert_url": "https://security.microsoft.com/alerts/a1",
        "is_told_as_risk": False,
        "display_name": "Payroll Sync",
    },
    "api_calls_daily": {"app_id": APP, "service": "Exchange", "method": "GET", "status": 200, "bytes_unknown_calls": 0},
    "app_deeds_daily": {"app_id": APP, "log": "api_activity", "events": 1},
    "covered_days": {"is_complete": True},
    "app_first_seen": {"app_id": APP, "family": "api_activity", "novelty": "new", "values_before": 1, "events_now": 9},
    "stg_office_activity": {"app_id": APP, "operation": "MailItemsAccessed", "user_id": "u1", "result": "success"},
}


REFERENCES = (
    "abused_apps",
    "attack_scopes",
    "brand_domains",
    "command_line_apps",
    "first_party_apps",
    "privileged_roles",
    "reclaimable_hosts",
    "takeover_permissions",
    "tool_user_agents",
    "unusual_tlds",
)


def extend(con: duckdb.DuckDBPyConnection) -> None:
    """Add what these policies read to a warehouse that has some of it: tables, columns and reference tables."""
    for name, columns in {**TABLES, "app_inventory": ", ".join(f"{c} {t}" for c, t in NEW_COLUMNS.items())}.items():
        first, *rest = [column.strip() for column in columns.split(",")]
        con.execute(f"CREATE TABLE IF NOT EXISTS {name} ({first})")
        for column in (first, *rest):
            con.execute(f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS {column}")
    for name in REFERENCES:
        con.execute(
            f"CREATE TABLE IF NOT EXISTS ref_{name} AS FROM read_csv($path, header = true, all_varchar = true, "
            "delim = ',', quote = '\"')",
            {"path": str(REFERENCE_DIR / f"{name}.csv")},
        )


def read_names(con: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of names and domains from the apps there are, as a build would."""
    for name in lookalikes.FUNCTIONS:
        known = con.execute("SELECT count(*) FROM duckdb_functions() WHERE function_name = ?", [name]).fetchall()
        if known == [(0,)]:
            con.create_function(name, getattr(lookalikes, name), ["VARCHAR"], "VARCHAR")
    for name in ("name_skeletons", "app_domains", "domain_lookalikes"):
        con.execute(f"CREATE OR REPLACE TABLE {name} AS {(MODELS_DIR / 'marts' / f'{name}.sql').read_text()}")


@cache
def _made() -> duckdb.DuckDBPyConnection:
    """The warehouse of a test process: making it takes longer than a test."""
    con = policy_tables.empty_warehouse()
    con.execute("CREATE TABLE kept_abused_apps AS FROM ref_abused_apps")
    con.execute("CREATE TABLE kept_coverage AS FROM coverage")
    return con


def state_warehouse() -> duckdb.DuckDBPyConnection:
    """An empty warehouse with the reference tables and every table these policies read."""
    con = _made()
    for name in ({*policy_tables.TABLES} | {*TABLES}) - {"coverage"}:
        con.execute(f"DELETE FROM {name}")
    con.execute("CREATE OR REPLACE TABLE coverage AS FROM kept_coverage")
    con.execute("CREATE OR REPLACE TABLE ref_abused_apps AS FROM kept_abused_apps")
    return con


def put(con: duckdb.DuckDBPyConnection, table: str, **values: Any) -> None:
    """Insert one row: the defaults of the table, overwritten by `values`."""
    base = policy_tables.DEFAULTS.get(table, {}) if table not in TABLES else {}
    row = {**base, **DEFAULTS.get(table, {}), **values}
    marks = ", ".join("?" for _ in row)
    con.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
