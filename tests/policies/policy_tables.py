"""A warehouse small enough to read: empty marts, and rows that name only what matters for the test."""

from __future__ import annotations

import atexit
import datetime as dt
import itertools
import json
import shutil
import tempfile
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from appgov_lib.detect import load_policies, test_policy

AS_OF = dt.date(2026, 11, 15)
SP = "00000000-0000-4000-8000-00000000000a"
APP = "00000000-0000-4000-8000-0000000000a0"
REGISTRATION = "00000000-0000-4000-8000-000000000a00"
GRAPH = "00000000-0000-4000-8000-0000000000ff"

REFERENCE = [
    Path(str(resources.files("appgov_lib") / "reference" / f"{name}.csv"))
    for name in ("permission_levels", "privileged_roles", "takeover_permissions")
]

TABLES = {
    "app_inventory": """service_principal_id VARCHAR, app_id VARCHAR, application_id VARCHAR, display_name VARCHAR,
        app_origin VARCHAR, is_first_party BOOLEAN, service_principal_type VARCHAR, status VARCHAR,
        account_enabled BOOLEAN, publisher_name VARCHAR, publisher_verified BOOLEAN, consent_type VARCHAR,
        consented_users BIGINT, permission_count BIGINT, high_privilege_count BIGINT, privilege_level VARCHAR,
        directory_roles VARCHAR[], owner_count BIGINT, live_owner_count BIGINT, is_in_scope BOOLEAN,
        credential_count BIGINT, next_expiry_at TIMESTAMP, created_at TIMESTAMP, last_used_at TIMESTAMP,
        last_used_source VARCHAR, calls_30d BIGINT, users_30d BIGINT, services VARCHAR[], reply_urls VARCHAR[],
        risk_score INTEGER, assignment_required BOOLEAN, sign_in_audience VARCHAR""",
    "app_permissions": """service_principal_id VARCHAR, app_id VARCHAR, resource_id VARCHAR, resource_name VARCHAR,
        permission VARCHAR, permission_type VARCHAR, consent_type VARCHAR, consented_users BIGINT,
        privilege_level VARCHAR, level_reason VARCHAR, usage VARCHAR, usage_reason VARCHAR, in_manifest BOOLEAN,
        granted_at TIMESTAMP""",
    "app_credentials": """service_principal_id VARCHAR, application_id VARCHAR, app_id VARCHAR, key_id VARCHAR,
        credential_type VARCHAR, credential_origin VARCHAR, name VARCHAR, starts_at TIMESTAMP, ends_at TIMESTAMP,
        last_used_at TIMESTAMP, last_used_known BOOLEAN, lifetime_days BIGINT, object_id VARCHAR,
        days_to_expiry BIGINT""",
    "app_hygiene": """service_principal_id VARCHAR, app_id VARCHAR, check_id VARCHAR, verdict VARCHAR,
        subject VARCHAR, measure DOUBLE, detail VARCHAR, hits BIGINT, reason VARCHAR""",
    "app_owners": """service_principal_id VARCHAR, app_id VARCHAR, owner_id VARCHAR, owner_name VARCHAR,
        owner_user_principal_name VARCHAR, owner_type VARCHAR, owner_enabled BOOLEAN, owner_is_guest BOOLEAN,
        owned_object VARCHAR""",
    "changes": """changed_at TIMESTAMP, kind VARCHAR, change VARCHAR, service_principal_id VARCHAR, app_id VARCHAR,
        display_name VARCHAR, subject VARCHAR, before VARCHAR, after VARCHAR, actor_id VARCHAR, actor_name VARCHAR,
        source VARCHAR, reason VARCHAR, is_latest BOOLEAN, change_id VARCHAR""",
    "credential_additions": """service_principal_id VARCHAR, app_id VARCHAR, object_id VARCHAR,
        credential_origin VARCHAR, key_id VARCHAR, credential_type VARCHAR, name VARCHAR, starts_at TIMESTAMP,
        ends_at TIMESTAMP, added_at TIMESTAMP, added_source VARCHAR, is_present BOOLEAN, earlier_count BIGINT,
        actor_id VARCHAR, actor_name VARCHAR, actor_type VARCHAR, actor_ip VARCHAR, audit_id VARCHAR""",
    "credential_history": """object_id VARCHAR, key_id VARCHAR, added_by_id VARCHAR, added_by_name VARCHAR,
        added_at TIMESTAMP""",
    "stg_directory_role_assignments": """principal_id VARCHAR, role_name VARCHAR, is_privileged BOOLEAN,
        assignment_id VARCHAR, role_definition_id VARCHAR, scope VARCHAR""",
    "stg_role_eligibility_schedules": "principal_id VARCHAR, role_definition_id VARCHAR, scope VARCHAR",
    "anomalies": """app_id VARCHAR, metric VARCHAR, day DATE, observed DOUBLE, expected DOUBLE, lower DOUBLE,
        upper DOUBLE, p_value DOUBLE, score DOUBLE, is_anomaly BOOLEAN, history_days BIGINT, reason VARCHAR""",
    "coverage": """source VARCHAR, status VARCHAR, rows BIGINT, from_at TIMESTAMP, to_at TIMESTAMP, reason VARCHAR,
        what_is_lost VARCHAR""",
    "stg_directory_audits": """audit_id VARCHAR, activity_at TIMESTAMP, activity VARCHAR, result VARCHAR,
        actor_id VARCHAR, actor_name VARCHAR, actor_ip VARCHAR, target_ids VARCHAR[], targets JSON""",
    "stg_sign_ins": "sign_in_id VARCHAR, created_at TIMESTAMP, app_id VARCHAR",
    "api_calls_daily": "app_id VARCHAR, first_called_at TIMESTAMP, last_called_at TIMESTAMP, calls BIGINT",
    "stg_delegated_grants": """grant_id VARCHAR, service_principal_id VARCHAR, resource_id VARCHAR,
        consent_type VARCHAR, principal_id VARCHAR, scopes VARCHAR[]""",
    "stg_app_role_assignments": """assignment_id VARCHAR, service_principal_id VARCHAR, resource_id VARCHAR,
        app_role_id VARCHAR, permission VARCHAR""",
    "stg_service_principals": """service_principal_id VARCHAR, app_id VARCHAR, key_credentials JSON,
        single_sign_on_mode VARCHAR""",
    "stg_applications": """application_id VARCHAR, app_id VARCHAR, key_credentials JSON, property_lock JSON,
        sign_in_audience VARCHAR, is_disabled BOOLEAN, web_reply_urls VARCHAR[], spa_reply_urls VARCHAR[],
        public_reply_urls VARCHAR[], required_resource_access JSON""",
    "stg_federated_credentials": """federated_credential_id VARCHAR, parent_id VARCHAR, name VARCHAR, issuer VARCHAR,
        subject VARCHAR, claims_expression VARCHAR, audiences VARCHAR[], description VARCHAR""",
    "stg_security_alerts": """alert_id VARCHAR, status VARCHAR, shape VARCHAR, app_id VARCHAR,
        service_principal_id VARCHAR""",
    "stg_authorization_policy": """policy_id VARCHAR, user_consent_policies VARCHAR[],
        users_may_consent_to_risky_apps BOOLEAN, users_may_register_apps BOOLEAN""",
    "stg_permission_grant_policies": "policy_id VARCHAR, includes JSON",
    "stg_admin_consent_request_policy": """policy_id VARCHAR, is_enabled BOOLEAN, notifies_reviewers BOOLEAN,
        sends_reminders BOOLEAN, request_days INTEGER, reviewers VARCHAR[]""",
    "stg_default_app_management_policy": """policy_id VARCHAR, is_enabled BOOLEAN, application_password_rules JSON,
        application_key_rules JSON, identifier_uri_rules JSON""",
    "stg_app_management_policies": "policy_id VARCHAR, is_enabled BOOLEAN, password_rules JSON, key_rules JSON",
    "stg_api_activity": """app_id VARCHAR, user_id VARCHAR, method VARCHAR, path VARCHAR, status INTEGER""",
    "stg_office_activity": """app_id VARCHAR, user_id VARCHAR, user_principal_name VARCHAR, operation VARCHAR,
        result VARCHAR""",
    "stg_users": """user_id VARCHAR, user_principal_name VARCHAR, display_name VARCHAR, account_enabled BOOLEAN,
        user_type VARCHAR""",
    "stg_organization": "tenant_id VARCHAR, display_name VARCHAR, default_domain VARCHAR",
    "stg_conditional_access_policies": """state VARCHAR, included_service_principals VARCHAR[],
        service_principal_risk_levels VARCHAR[]""",
    "stg_risky_service_principals": """service_principal_id VARCHAR, app_id VARCHAR, risk_level VARCHAR,
        risk_state VARCHAR, risk_detail VARCHAR, risk_updated_at TIMESTAMP""",
    "stg_service_principal_risk_detections": """detection_id VARCHAR, service_principal_id VARCHAR,
        detected_at TIMESTAMP, risk_event_type VARCHAR, risk_level VARCHAR, risk_state VARCHAR, ip_address VARCHAR,
        country VARCHAR, key_ids VARCHAR[]""",
    "stg_app_consent_requests": """consent_request_id VARCHAR, app_id VARCHAR, display_name VARCHAR,
        pending_scopes VARCHAR[]""",
    "stg_user_consent_requests": """user_consent_request_id VARCHAR, parent_id VARCHAR, status VARCHAR,
        created_at TIMESTAMP""",
    "source_readings": "source VARCHAR, reading BIGINT, snapshot_id VARCHAR, read_at TIMESTAMP",
    "grant_history": """grant_id VARCHAR, service_principal_id VARCHAR, permission VARCHAR, permission_type VARCHAR,
        consent_type VARCHAR, principal_id VARCHAR, valid_from TIMESTAMP, valid_to TIMESTAMP""",
    "manifest_permissions": """application_id VARCHAR, app_id VARCHAR, resource_app_id VARCHAR, resource_id VARCHAR,
        resource_name VARCHAR, permission VARCHAR, permission_id VARCHAR, permission_type VARCHAR,
        granted BOOLEAN""",
    "consent_posture": """setting_id VARCHAR, setting VARCHAR, value VARCHAR, verdict VARCHAR, reason VARCHAR,
        recommended VARCHAR, source VARCHAR, microsoft_reference VARCHAR""",
    "approved_baselines": """app_id VARCHAR, kind VARCHAR, value VARCHAR, approved_by VARCHAR, approved_on DATE,
        reason VARCHAR""",
}

_NUMBERS = itertools.count()

# An app that no policy has anything against, and the parts it may hold.
DEFAULTS: dict[str, dict[str, Any]] = {
    "app_inventory": {
        "service_principal_id": SP,
        "app_id": APP,
        "application_id": REGISTRATION,
        "display_name": "Payroll Sync",
        "app_origin": "internal",
        "is_first_party": False,
        "is_in_scope": True,
        "service_principal_type": "Application",
        "status": "enabled",
        "account_enabled": True,
        "publisher_verified": True,
        "permission_count": 2,
        "high_privilege_count": 0,
        "privilege_level": "low",
        "directory_roles": [],
        "owner_count": 1,
        "credential_count": 1,
        "created_at": "2025-01-01",
        "last_used_at": "2026-11-14",
        "calls_30d": 1200,
        "users_30d": 5,
        "risk_score": 10,
        "assignment_required": False,
    },
    "app_permissions": {
        "service_principal_id": SP,
        "app_id": APP,
        "resource_id": GRAPH,
        "resource_name": "Microsoft Graph",
        "permission": "User.Read",
        "permission_type": "delegated",
        "consent_type": "admin",
        "consented_users": 0,
        "privilege_level": "low",
        "usage": "used",
        "in_manifest": True,
    },
    "app_credentials": {
        "service_principal_id": SP,
        "application_id": REGISTRATION,
        "app_id": APP,
        "key_id": "k1",
        "credential_type": "secret",
        "credential_origin": "application",
        "starts_at": "2026-01-01",
        "ends_at": "2027-11-15",
        "last_used_at": "2026-11-14",
        "last_used_known": True,
    },
    "app_owners": {
        "service_principal_id": SP,
        "app_id": APP,
        "owner_id": "u9",
        "owner_name": "Gus",
        "owner_user_principal_name": "gus@x.example",
        "owner_type": "user",
        "owner_enabled": True,
        "owner_is_guest": False,
        "owned_object": "application",
    },
    "credential_additions": {
        "service_principal_id": SP,
        "app_id": APP,
        "object_id": REGISTRATION,
        "credential_origin": "application",
        "key_id": "k1",
        "credential_type": "secret",
        "added_at": "2026-11-12 09:00",
        "added_source": "audit log",
        "is_present": True,
        "earlier_count": 0,
        "actor_id": "u1",
        "actor_name": "Ada",
        "actor_type": "user",
    },
    "app_hygiene": {
        "service_principal_id": SP,
        "app_id": APP,
        "verdict": "yes",
        "hits": 1,
    },
    "changes": {
        "service_principal_id": SP,
        "app_id": APP,
        "changed_at": "2026-11-12",
        "change_id": "c1",
    },
    "anomalies": {
        "app_id": APP,
        "p_value": 1e-09,
        "is_anomaly": True,
        "history_days": 8,
    },
    "coverage": {
        "status": "complete",
        "rows": 1,
        "from_at": "2026-08-17",
        "to_at": "2026-11-16",
        "reason": "",
    },
    "stg_directory_audits": {
        "result": "success",
        "actor_id": "u1",
        "actor_name": "Ada",
        "actor_ip": "198.51.100.7",
    },
}


@cache
def _template() -> Path:
    """A file that holds the empty tables, made once a process: making them takes longer than most tests."""
    from state_tables import extend  # it builds on this module

    folder = Path(tempfile.mkdtemp(prefix="policy-tables-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "empty.duckdb"
    with duckdb.connect(str(path)) as con:
        for name, columns in TABLES.items():
            con.execute(f"CREATE TABLE {name} ({columns})")
        extend(con)
        for reference in REFERENCE:
            con.execute(
                f"CREATE OR REPLACE TABLE ref_{reference.stem} AS FROM read_csv("
                f"'{reference}', header = true, all_varchar = true, delim = ',', quote = '\"')"
            )
        for policy in load_policies():
            for source in (*policy.requires, *policy.requires_complete, *policy.requires_any):
                if con.execute("SELECT count(*) FROM coverage WHERE source = ?", [source]).fetchone() == (0,):
                    add(con, "coverage", source=source)
    return path


def empty_warehouse() -> duckdb.DuckDBPyConnection:
    """A connection with every table a policy or the plan reads, each empty but coverage, which is complete."""
    path = _template().with_name(f"{next(_NUMBERS)}.duckdb")
    shutil.copyfile(_template(), path)
    con = duckdb.connect(str(path))
    path.unlink()  # the open file stays until the connection goes
    return con


def add(con: duckdb.DuckDBPyConnection, table: str, **values: Any) -> None:
    """Insert one row: the defaults of the table, overwritten by `values`."""
    row = {**DEFAULTS.get(table, {}), **values}
    if table == "app_inventory":
        row.setdefault("live_owner_count", row["owner_count"])
    marks = ", ".join("?" for _ in row)
    con.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def cover(con: duckdb.DuckDBPyConnection, source: str, status: str, reason: str = "") -> None:
    """Set the coverage of one source."""
    con.execute("UPDATE coverage SET status = ?, reason = ? WHERE source = ?", [status, reason, source])


def found(con: duckdb.DuckDBPyConnection, policy_id: str, days: int = 7) -> pd.DataFrame:
    """What one policy finds."""
    return test_policy(con, policy_id, AS_OF, days)


def one(con: duckdb.DuckDBPyConnection, policy_id: str) -> dict[str, Any]:
    """The only finding of a policy, its evidence parsed."""
    rows = found(con, policy_id).to_dict("records")
    assert len(rows) == 1, rows
    return {**rows[0], "evidence": json.loads(rows[0]["evidence"])}
