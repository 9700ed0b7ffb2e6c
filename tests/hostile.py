"""A warehouse in which every text a stranger may choose tries to break out of the page it is shown on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb

from appgov_lib.settings import Settings
from appgov_lib.store.warehouse import current_path

MARK = "window.pwned=1"
PAYLOAD = (
    f"'\"></title></style></script><script>{MARK}</script><img src=x onerror={MARK}>"
    f"<svg onload={MARK}><a href=javascript:{MARK}>{{{{7*7}}}}{{%set x=1%}}%{{meta.x}}\u202e\x07=1+1"
)
SHORT = f"<img src=x onerror={MARK}>"

# Columns that hold a stranger's words, by table; names stay different so that rows do.
TEXTS = {
    "app_inventory": ["display_name", "publisher_name"],
    "app_usage_summary": ["display_name"],
    "anomalies": ["display_name"],
    "app_owners": ["owner_name"],
    "app_credentials": ["display_name", "name"],
    "app_permissions": ["permission", "resource_name", "usage_reason", "level_reason"],
    "coverage": ["reason", "what_is_lost"],
    "findings": ["display_name", "reason", "subject", "policy_title", "title"],
    "remediation_actions": ["display_name", "title", "why", "verify", "path", "permission_needed", "publisher_name"],
    "action_outcomes": ["display_name", "title", "detail"],
    "stg_organization": ["display_name", "default_domain"],
    "stg_users": ["user_principal_name", "display_name"],
    "stg_directory_audits": ["activity", "actor_name"],
    "service_daily": ["service"],
    "changes": ["display_name", "subject", "before", "after", "actor_name", "reason"],
    "risky_grants": ["display_name", "consented_by_name", "reason"],
    "consent_posture": ["value", "reason"],
    "least_privilege": ["permission", "reason"],
    "app_hygiene": ["subject", "detail", "reason"],
    "app_risk_parts": ["why"],
    "latest_incidents": ["display_name", "source"],
    "stg_security_alerts": ["title", "status"],
    "stg_incidents": ["display_name"],
    "stg_oauth_app_info": ["app_status", "privilege_level", "verified_publisher_name"],
    "data_usage_monthly": ["service"],
    "data_usage_by_resource_type": ["resource_type"],
    "secure_score_items": ["title"],
    "unrecognised_values": ["value"],
}


def hostile_home(home: Path, sample_home: Path) -> Settings:
    """Copy the built sample tenant to `home` and poison it; a few values become unknown as well."""
    source = Settings(home=sample_home)
    settings = Settings(home=home)
    settings.warehouse_dir.mkdir(parents=True)
    file = settings.warehouse_dir / current_path(source).name
    shutil.copy(current_path(source), file)
    (settings.warehouse_dir / "current.json").write_text(json.dumps({"file": file.name}))
    con = duckdb.connect(str(file))
    for table, columns in TEXTS.items():
        for column in columns:
            con.execute(f"UPDATE {table} SET {column} = ? || coalesce({column}, '')", [PAYLOAD])
    texts = [PAYLOAD, json.dumps({"note": PAYLOAD}), json.dumps({SHORT: PAYLOAD})]
    con.execute("UPDATE remediation_actions SET steps = [?], undo = ?, body = ?", texts)
    listed = json.dumps([{"method": PAYLOAD, "path": PAYLOAD, "body": {SHORT: PAYLOAD}}] * 2)
    con.execute("UPDATE remediation_actions SET requests = ?, owners = [?]", [listed, PAYLOAD])
    evidence: dict[str, Any] = {SHORT: PAYLOAD, "rows": [{"name": PAYLOAD, "deep": {"x": PAYLOAD}}], "list": [PAYLOAD]}
    con.execute("UPDATE findings SET evidence = ?", [json.dumps(evidence)])
    con.execute("UPDATE app_inventory SET risk_score = NULL, last_used_at = NULL, publisher_verified = NULL")
    con.execute("UPDATE app_usage_summary SET users = NULL")
    con.execute(
        "INSERT INTO skipped_checks BY NAME SELECT ? AS policy_id, ? AS policy_title, ? AS reason",
        [SHORT, PAYLOAD, PAYLOAD],
    )
    con.execute("UPDATE coverage SET status = 'not_licensed' WHERE source = 'api_activity'")
    con.close()
    return settings
