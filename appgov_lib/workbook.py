"""The tables of a report as one Excel workbook: a sheet a topic, frozen headings, filters, texts that stay texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from appgov_lib.excel import Book
from appgov_lib.exports import MOST_ROWS, as_shown

SHEETS: Mapping[str, str] = {
    "Findings": "SELECT severity, state, policy_title, display_name, subject, reason, confidence, measure, threshold, "
    "first_seen, last_seen, policy_id, app_id, service_principal_id, finding_id FROM findings ORDER BY "
    "list_position(['critical', 'high', 'medium', 'low', 'info'], severity), policy_id, display_name, finding_id",
    "Chains": "SELECT severity, about, name, findings, apps, begins_at, ends_at, story, app_id FROM chains",
    "Actions": "SELECT priority, severity, disposition, effort, title, why, display_name, affected_users, steps, "
    "verify, method, path, permission_needed, action_id FROM remediation_actions ORDER BY priority, action_id",
    "Apps": "SELECT display_name, app_origin, publisher_name, publisher_verified, status, risk_score, privilege_level, "
    "permission_count, unused_permission_count, consent_type, consented_users, owner_count, credential_count, "
    "next_expiry_at, created_at, last_used_at, calls_30d, bytes_30d, app_id, service_principal_id FROM app_inventory "
    "WHERE is_in_scope ORDER BY risk_score DESC NULLS LAST, display_name, service_principal_id",
    "Permissions": "SELECT i.display_name, p.resource_name, p.permission, p.permission_type, p.privilege_level, "
    "p.consent_type, p.consented_users, p.usage, p.usage_reason, p.app_id FROM app_permissions AS p "
    "INNER JOIN app_inventory AS i USING (service_principal_id) WHERE i.is_in_scope "
    "ORDER BY i.display_name, p.service_principal_id, p.resource_name, p.permission, p.permission_type",
    "Credentials": "SELECT i.display_name, c.credential_type, c.name, c.credential_origin, c.starts_at, c.ends_at, "
    "c.last_used_at, c.lifetime_days, c.key_id, c.app_id FROM app_credentials AS c "
    "INNER JOIN app_inventory AS i USING (service_principal_id) WHERE i.is_in_scope "
    "ORDER BY c.ends_at, i.display_name, c.key_id",
    "Owners": "SELECT i.display_name, o.owner_name, o.owner_user_principal_name, o.owner_type, o.owner_enabled, "
    "o.owner_is_guest, o.owned_object, o.app_id FROM app_owners AS o INNER JOIN app_inventory AS i "
    "USING (service_principal_id) ORDER BY i.display_name, o.owner_name, o.owner_id, o.owned_object",
    "Changes": "SELECT changed_at, kind, change, display_name, subject, before, after, actor_name, source, app_id "
    "FROM changes WHERE is_latest ORDER BY changed_at DESC, change_id",
    "Consent settings": "SELECT setting, value, verdict, reason, recommended FROM consent_posture ORDER BY setting_id",
    "Not evaluated": "SELECT policy_title, code, source, reason FROM skipped_checks ORDER BY policy_id",
    "Coverage": "SELECT source, status, rows, from_at, to_at, reason, what_is_lost FROM coverage ORDER BY source",
}
"""Sheet and query, in their order."""
REST = "findings.csv, actions.csv and apps.csv have every row, the warehouse every table"
_WIDE = frozenset({"reason", "story", "why", "steps", "usage_reason", "what_is_lost", "title", "verify", "recommended"})


def write_workbook(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write the workbook; the same warehouse gives the same bytes."""
    book = Book(path, "App governance")
    for name, query in SHEETS.items():
        result = con.execute(f"{query} LIMIT {MOST_ROWS + 1}")
        columns = [column[0] for column in result.description or []]
        rows = as_shown(con, columns, result.fetchall())
        heads = [(column.replace("_", " "), 60 if column in _WIDE else 18) for column in columns]
        note = f"Only the first {MOST_ROWS:,} rows are here; {REST}." if len(rows) > MOST_ROWS else ""
        book.add(name, heads, rows[:MOST_ROWS], note)
    book.close()
