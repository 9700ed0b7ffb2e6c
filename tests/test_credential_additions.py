"""Which credentials came, when, by whom, and what was there before: hand-made snapshots and audit events."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from snapshots import rows, tables, take

from appgov_lib.settings import Settings

WEEKS = [datetime(2026, 10, day, 6) for day in (5, 12)]
K1, K2, K3 = (f"{n}0000000-0000-4000-8000-000000000000" for n in "123")
REG, SP = "reg", "sp"


def registration(*keys: str) -> dict[str, Any]:
    """The registration with these secrets, valid from long before."""
    held = [{"keyId": key, "displayName": "n", "startDateTime": "2026-01-01T00:00:00Z"} for key in keys]
    return {"id": REG, "appId": "a", "displayName": "App", "passwordCredentials": held}


def secrets(at: datetime, before: list[str], after: list[str]) -> dict[str, Any]:
    """The audit event of a change of secrets by Ada."""
    old, new = (str([f"[KeyIdentifier={key},KeyType=Password]" for key in keys]) for keys in (before, after))
    change = {"displayName": "KeyDescription", "oldValue": old, "newValue": new}
    return {
        "id": f"e-{at}", "activityDateTime": at.isoformat() + "Z", "result": "success",
        "activityDisplayName": "Update application \u2013 Certificates and secrets management ",
        "initiatedBy": {"user": {"id": "ada", "userPrincipalName": "ada@x.example", "ipAddress": "198.51.100.7"}},
        "targetResources": [{"id": REG, "modifiedProperties": [change]}],
    }  # fmt: skip


def additions(settings: Settings, weeks: list[dict[str, Any]], audits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table after one reading a week."""
    logs = {"directory_audits": (WEEKS[0] - timedelta(days=30), WEEKS[-1], audits)}
    for at, record in zip(WEEKS, weeks, strict=True):
        principal = {"id": SP, "appId": "a", "displayName": "App"}
        states = {"applications": [record], "service_principals": [principal]}
        take(settings, at, states, logs if at == WEEKS[0] else {})
    con = tables(settings, "credential_additions")
    try:
        return rows(con, "FROM credential_additions")
    finally:
        con.close()


def shown(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Some columns of all rows."""
    return [tuple(row[name] for name in names) for row in found]


def test_what_the_first_reading_shows_did_not_come(tmp_path: Path) -> None:
    assert additions(Settings(home=tmp_path), [registration(K1), registration(K1)], []) == []


def test_two_readings_show_what_came_and_what_was_there_before(tmp_path: Path) -> None:
    found = additions(Settings(home=tmp_path), [registration(K1), registration(K1, K2)], [])
    assert shown(found, "service_principal_id", "key_id", "credential_type", "added_at", "added_source") == [
        (SP, K2, "secret", WEEKS[1], "snapshot")
    ]
    assert shown(found, "is_present", "earlier_count", "actor_id", "audit_id") == [(True, 1, None, None)]


def test_the_audit_log_names_who_and_when(tmp_path: Path) -> None:
    at = WEEKS[0] - timedelta(days=3)
    found = additions(Settings(home=tmp_path), [registration(K1), registration(K1)], [secrets(at, [], [K1])])
    assert shown(
        found, "key_id", "added_at", "added_source", "is_present", "earlier_count", "actor_id", "actor_ip"
    ) == [(K1, at, "audit log", True, 0, "ada", "198.51.100.7")]


def test_what_came_and_went_between_readings_is_told_and_known_to_be_gone(tmp_path: Path) -> None:
    came, went = WEEKS[0] + timedelta(days=1), WEEKS[0] + timedelta(days=2)
    audits = [secrets(came, [K1], [K1, K3]), secrets(went, [K1, K3], [K1])]
    found = additions(Settings(home=tmp_path), [registration(K1), registration(K1)], audits)
    assert shown(found, "service_principal_id", "key_id", "credential_type", "added_at", "is_present") == [
        (SP, K3, None, came, False)
    ]
    assert shown(found, "earlier_count", "actor_name") == [(1, "ada@x.example")]


def test_a_secret_removed_before_the_first_reading_still_counts_as_earlier(tmp_path: Path) -> None:
    at = WEEKS[0] - timedelta(days=3)
    audits = [secrets(at, [K1], [K2])]  # one in place of the other
    found = additions(Settings(home=tmp_path), [registration(K2), registration(K2)], audits)
    assert shown(found, "key_id", "earlier_count") == [(K2, 1)]
