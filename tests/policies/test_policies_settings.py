"""Settings of the tenant that leave apps without a bound: told where they are weak, silent where they are not known."""

from __future__ import annotations

import duckdb
import pytest
from policy_tables import add, cover, empty_warehouse, found

from appgov_lib.errors import UserError

TENANT = "00000000-0000-4000-8000-0000000000aa"
POLICY = "weak-app-settings"
SOURCES = ("authorization_policy", "admin_consent_request_policy", "default_app_management_policy")
SUBJECTS = (
    "admin_consent_duration",
    "admin_consent_reviewers",
    "admin_consent_workflow",
    "app_management_policy",
    "app_registration",
    "certificate_lifetime",
    "secret_lifetime",
)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse that knows its tenant."""
    made = empty_warehouse()
    add(made, "stg_organization", tenant_id=TENANT)
    return made


@pytest.mark.parametrize("verdict", ["weak", "risky"])
def test_weak_settings_are_told_one_by_one(con: duckdb.DuckDBPyConnection, verdict: str):
    for subject in SUBJECTS:
        add(con, "consent_posture", setting_id=subject, verdict=verdict, reason=f"{subject} is open.")
    rows = found(con, POLICY).to_dict("records")
    assert [(row["subject"], row["reason"]) for row in rows] == [(name, f"{name} is open.") for name in SUBJECTS]
    assert {(row["service_principal_id"], row["app_display_name"]) for row in rows} == {(TENANT, "Tenant settings")}


@pytest.mark.parametrize("verdict", ["safe", "unknown"])
def test_what_is_safe_or_not_known_is_not_told(con: duckdb.DuckDBPyConnection, verdict: str):
    for subject in SUBJECTS:
        add(con, "consent_posture", setting_id=subject, verdict=verdict, reason="Fine.")
    # judged too, and told elsewhere or by nobody
    for subject in ("user_consent", "secret_addition", "guest_access", "tenant_creation"):
        add(con, "consent_posture", setting_id=subject, verdict="risky", reason="Open.")
    assert found(con, POLICY).empty


def test_without_a_source_it_is_not_judged_and_with_one_it_is(con: duckdb.DuckDBPyConnection):
    for source in SOURCES[:2]:
        cover(con, source, "not_permitted", "403.")
    assert found(con, POLICY).empty
    cover(con, SOURCES[2], "not_permitted", "403.")
    with pytest.raises(UserError, match="not permitted"):
        found(con, POLICY)
