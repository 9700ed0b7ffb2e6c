"""The policies about consent and its settings: each fires, stays silent, and says when it cannot judge."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from policy_tables import APP, GRAPH, REGISTRATION, SP, add, cover, empty_warehouse, found, one

from appgov_lib.errors import UserError

GRAPH_APP = "00000003-0000-0000-c000-000000000000"
TENANT = "00000000-0000-4000-8000-00000000ffff"
OUTSIDE = {"app_origin": "external", "publisher_verified": False}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with a tenant."""
    con = empty_warehouse()
    add(con, "stg_organization", tenant_id=TENANT)
    return con


# settings of the tenant


def test_a_risky_consent_setting_concerns_the_tenant(con):
    reason = "Users may consent to apps that Microsoft holds to be risky."
    add(con, "consent_posture", setting_id="risky_app_consent", verdict="risky", value="yes", reason=reason)
    add(con, "consent_posture", setting_id="guest_invitations", verdict="risky", reason="Everyone may invite.")
    add(con, "consent_posture", setting_id="user_consent", verdict="weak", reason="More than low.")
    add(con, "consent_posture", setting_id="permission_grant_policies", verdict="unknown", reason="Not known.")
    row = one(con, "consent-too-broad")
    assert (row["service_principal_id"], row["app_display_name"]) == (TENANT, "Tenant settings")
    assert row["app_id"] is None
    assert (row["subject"], row["reason"]) == ("risky_app_consent", reason)


RISKY = "users may consent to risky apps"
POLICIES = "permission grant policies by which users may consent"
OWN_POLICY = "permission grant policy ours, allows"
SELF = "ManagePermissionGrantsForSelf."
LOW, LEGACY = SELF + "microsoft-user-default-low", SELF + "microsoft-user-default-legacy"


@pytest.mark.parametrize(
    ("setting", "before", "after", "subject"),
    [
        (RISKY, "false", "true", "risky_app_consent"),
        (RISKY, "true", "false", None),
        (POLICIES, LOW, LEGACY, "user_consent"),
        (POLICIES, "", LEGACY, "user_consent"),
        (POLICIES, LOW, f"{LOW}, {SELF}ours", "user_consent"),
        (POLICIES, LEGACY, LOW, None),
        (POLICIES, LEGACY, f"{SELF}ours", None),
        (POLICIES, "", LOW, None),  # what Microsoft recommends
        (OWN_POLICY, '{"a":1}', '{"a":1}, {"b":2}', OWN_POLICY),
        (OWN_POLICY, '{"a":1}, {"b":2}', '{"b":2}', None),
        ("permission grant policy ours, forbids", '{"a":1}', "", "permission grant policy ours, forbids"),
        ("permission grant policy ours, forbids", "", '{"a":1}', None),
        ("permission grant policy microsoft-user-default-recommended, allows", "", '{"a":1}', None),
        ("users may register apps", "false", "true", None),
    ],
)
def test_a_loosened_setting_is_told_from_a_tightened_one(
    con, setting: str, before: str, after: str, subject: str | None
):
    add(con, "changes", changed_at="2026-11-12 09:00", kind="setting", change="changed", subject=setting,
        before=before, after=after, source="snapshot")  # fmt: skip
    rows = found(con, "consent-guard-weakened")
    assert list(rows["subject"]) == ([subject] if subject else [])
    if subject:
        assert rows["service_principal_id"][0] == TENANT
        assert "since 2026-11-12 09:00 UTC." in rows["reason"][0]


def event(**values: Any) -> dict[str, Any]:
    """An audit event that changes the authorization policy as public examples write it."""
    properties = [
        {"displayName": "AllowUserConsentForRiskyApps", "oldValue": "[\r\n  false\r\n]", "newValue": "[true]"},
        {
            "displayName": "PermissionGrantPolicyIdsAssignedToDefaultUserRole",
            "oldValue": f'["{LEGACY}"]',
            "newValue": '["microsoft-user-default-legacy"]',
        },
    ]
    targets = json.dumps([{"id": "t", "modifiedProperties": properties}])
    activity = {"audit_id": "a1", "activity": "Update authorization policy", "activity_at": "2026-11-10 08:00"}
    return {**activity, "targets": targets, **values}


def test_a_loosened_setting_of_the_audit_log_names_who_did_it(con):
    add(con, "stg_directory_audits", **event())
    # the next reading shows it too: one finding with both
    add(con, "changes", changed_at="2026-11-09 09:00", kind="setting", change="changed", subject=RISKY, before="false",
        after="true", source="snapshot")  # fmt: skip
    row = one(con, "consent-guard-weakened")
    assert (row["subject"], row["measure"]) == ("risky_app_consent", 2)
    assert row["reason"] == (
        "Users may consent to apps that Microsoft holds to be risky since 2026-11-10 08:00 UTC, changed by Ada."
    )
    assert [change["source"] for change in row["evidence"]["changes"]] == ["snapshot", "audit log"]


@pytest.mark.parametrize(
    "change",
    [
        {"result": "failure"},
        {"activity_at": "2026-11-08 23:59"},
        {"activity_at": "2026-11-16 00:00"},
        {"targets": "[]"},
    ],
)
def test_events_outside_the_period_or_refused_loosen_nothing(con, change: dict[str, Any]):
    add(con, "stg_directory_audits", **event(**change))
    assert found(con, "consent-guard-weakened").empty


@pytest.mark.parametrize(
    ("log", "first_reading", "is_judged"),
    [
        ("complete", None, True),
        ("not_permitted", "2026-11-09 03:00", True),
        ("not_permitted", "2026-11-10 03:00", False),
        ("not_permitted", None, False),
        ("partial", None, True),
    ],
)
def test_a_change_needs_something_to_compare_with(con, log: str, first_reading: str | None, is_judged: bool):
    con.execute("UPDATE coverage SET from_at = NULL WHERE source = 'authorization_policy'")
    cover(con, "directory_audits", log)
    if log == "not_permitted":
        con.execute("UPDATE coverage SET from_at = NULL WHERE source = 'directory_audits'")
    if first_reading:
        add(con, "source_readings", source="authorization_policy", reading=1, read_at=first_reading)
    if is_judged:
        assert found(con, "consent-guard-weakened").empty
        return
    with pytest.raises(UserError, match="must go back to 2026-11-09 and "):
        found(con, "consent-guard-weakened")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, 1),
        ({"status": "Completed"}, 0),
        ({"created_at": "2026-11-09 00:00"}, 0),
        ({"created_at": None}, 0),
    ],
)
def test_requests_that_wait_too_long_are_one_finding(con, request_, expected: int):
    add(con, "stg_app_consent_requests", consent_request_id="r1", app_id=APP, display_name="=Notes",
        pending_scopes=["Files.Read"])  # fmt: skip
    waiting = {"parent_id": "r1", "status": "InProgress", "created_at": "2026-11-03 10:00", **request_}
    add(con, "stg_user_consent_requests", user_consent_request_id="u1", **waiting)
    add(con, "stg_user_consent_requests", user_consent_request_id="u2", **waiting)
    rows = found(con, "consent-requests-waiting")
    assert len(rows) == expected
    if expected:
        assert (rows["measure"][0], rows["threshold"][0]) == (12, 7)
        assert rows["reason"][0] == (
            "2 requests for 1 app waited more than 7 days for an answer, the oldest since 2026-11-03."
        )
        assert json.loads(rows["evidence"][0])["asked_for"][0]["name"] == "=Notes"


# manifest-asks-for-more

ASKED = {
    "application_id": REGISTRATION,
    "app_id": APP,
    "resource_app_id": GRAPH_APP,
    "permission": "Mail.Read",
    "permission_type": "application",
    "granted": False,
}


@pytest.mark.parametrize(
    ("asked", "app", "expected"),
    [
        ({}, {}, 1),
        ({"granted": True}, {}, 0),
        ({"granted": None}, {}, 0),
        ({"permission": "User.Read", "permission_type": "delegated"}, {}, 0),
        ({"permission": "Not.Reviewed"}, {}, 0),
        ({}, {"status": "disabled_by_user"}, 0),
        ({}, {"is_in_scope": False}, 0),
    ],
)
def test_a_registration_that_asks_for_high_permissions_is_listed(con, asked, app, expected: int):
    add(con, "app_inventory", **app)
    add(con, "manifest_permissions", **{**ASKED, **asked})
    rows = found(con, "manifest-asks-for-more")
    assert len(rows) == expected
    if expected:
        assert rows["reason"][0] == "The app registration asks for 1 high permission it was not given: Mail.Read."


def test_the_day_the_list_was_changed_is_told(con):
    add(con, "app_inventory")
    add(con, "manifest_permissions", **ASKED)
    targets = json.dumps([{"id": REGISTRATION, "modifiedProperties": [{"displayName": "RequiredResourceAccess"}]}])
    add(con, "stg_directory_audits", audit_id="a1", activity="Update application", activity_at="2026-11-11 07:00",
        target_ids=[REGISTRATION], targets=targets)  # fmt: skip
    row = one(con, "manifest-asks-for-more")
    assert row["reason"].endswith("Mail.Read; its list was changed on 2026-11-11.")
    assert row["evidence"]["changed_by"] == "Ada"


def test_what_was_not_granted_needs_all_grants(con):
    cover(con, "delegated_grants", "partial")
    with pytest.raises(UserError, match="delegated_grants is read only in part"):
        found(con, "manifest-asks-for-more")


# consent-surge


def consents(con: duckdb.DuckDBPyConnection, old: int, new: int, **values: Any) -> None:
    """Users of the app: `old` from before history, `new` of this month."""
    for number in range(old + new):
        begun = "2026-11-02 10:00" if number >= old else None
        row = {"service_principal_id": SP, "permission_type": "delegated", "consent_type": "user", **values}
        # two permissions a user: still one user
        for permission in ("Files.Read", "openid"):
            add(con, "grant_history", grant_id=f"g{number}", principal_id=f"u{number}", permission=permission,
                **{"valid_from": begun, **row})  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "values", "app", "expected"),
    [
        (0, 5, {}, {}, 1),
        (0, 4, {}, {}, 0),
        (10, 5, {}, {}, 1),
        (11, 5, {}, {}, 0),  # 45 percent
        (0, 9, {"valid_to": "2026-11-08"}, {}, 0),
        (0, 9, {"valid_from": "2026-08-17 23:00"}, {}, 0),  # 91 days ago
        (0, 9, {"valid_from": "2026-11-16 00:00"}, {}, 0),
        (0, 9, {"consent_type": "admin"}, {}, 0),
        (0, 9, {}, {"app_origin": "internal"}, 0),
        (0, 9, {}, {"is_in_scope": False}, 0),
        (0, 9, {}, {"status": "disabled_by_user"}, 0),
    ],
)
def test_a_surge_takes_a_number_and_a_share(con, old: int, new: int, values, app, expected: int):
    add(con, "app_inventory", **{**OUTSIDE, **app})
    consents(con, old, new, **values)
    rows = found(con, "consent-surge")
    assert len(rows) == expected
    if expected:
        assert (rows["measure"][0], rows["threshold"][0]) == (5, 5)
        assert rows["reason"][0] == (
            f"Users who consented went from {old} to {old + new} in 90 days, the first new one on 2026-11-02."
        )


def test_a_surge_cannot_be_told_from_a_short_history(con):
    con.execute("UPDATE coverage SET from_at = '2026-10-16' WHERE source = 'directory_audits'")
    con.execute("UPDATE coverage SET from_at = NULL WHERE source = 'delegated_grants'")
    add(con, "source_readings", source="delegated_grants", reading=1, read_at="2026-11-09")
    with pytest.raises(UserError, match=r"must go back to 2026-08-18 and goes back to 2026-10-16; the rule compares"):
        found(con, "consent-surge")


# privileged-user-consented

GRANT = {"grant_id": "g", "service_principal_id": SP, "resource_id": GRAPH, "consent_type": "Principal",
         "principal_id": "u1", "scopes": ["Mail.Read", "openid"]}  # fmt: skip
ADMIN = {"principal_id": "u1", "role_definition_id": "r", "role_name": "User Administrator", "is_privileged": True}


@pytest.mark.parametrize(
    ("app", "permission", "role", "grant", "expected"),
    [
        ({}, {}, {}, {}, 1),
        ({"publisher_verified": True}, {}, {}, {}, 1),
        ({}, {"privilege_level": "medium"}, {}, {}, 1),
        ({"publisher_verified": True}, {"privilege_level": "medium"}, {}, {}, 0),
        ({}, {"privilege_level": "low"}, {}, {}, 0),
        ({}, {}, {"is_privileged": False}, {}, 0),
        ({}, {}, {"is_privileged": None}, {}, 0),
        ({}, {}, {"principal_id": "u2"}, {}, 0),
        ({}, {}, {}, {"consent_type": "AllPrincipals", "principal_id": None}, 0),
        ({}, {}, {}, {"scopes": ["openid"]}, 0),
        ({"app_origin": "internal"}, {}, {}, {}, 0),
        ({"is_in_scope": False}, {}, {}, {}, 0),
    ],
)
def test_grants_of_privileged_users_are_found(con, app, permission, role, grant, expected: int):
    add(con, "app_inventory", **{**OUTSIDE, **app})
    add(con, "app_permissions", **{"permission": "Mail.Read", "privilege_level": "high", **permission})
    add(con, "stg_users", user_id="u1", user_principal_name="ada@contoso.example")
    add(con, "stg_directory_role_assignments", **{**ADMIN, **role})
    add(con, "stg_delegated_grants", **{**GRANT, **grant})
    rows = found(con, "privileged-user-consented")
    assert len(rows) == expected
    if expected:
        assert rows["reason"][0] == (
            "1 user with a privileged role let an app of another tenant act for them: ada@contoso.example."
        )
        (consenter,) = json.loads(rows["evidence"][0])["consenters"]
        assert (consenter["roles"], consenter["permissions"]) == (["User Administrator"], ["Mail.Read"])


def test_a_role_that_may_be_switched_on_counts(con):
    add(con, "app_inventory", **OUTSIDE)
    add(con, "app_permissions", permission="Mail.Read", privilege_level="high")
    add(con, "stg_users", user_id="u1")
    add(con, "stg_role_eligibility_schedules", principal_id="u1",
        role_definition_id="62e90394-69f5-4237-9190-012177145e10")  # fmt: skip
    add(con, "stg_delegated_grants", **GRANT)
    row = one(con, "privileged-user-consented")
    assert row["evidence"]["consenters"][0]["roles"] == ["Global Administrator (eligible)"]


@pytest.mark.parametrize(
    ("policy", "source"),
    [
        ("consent-too-broad", "authorization_policy"),
        ("consent-requests-waiting", "user_consent_requests"),
        ("privileged-user-consented", "directory_role_assignments"),
    ],
)
def test_without_its_source_a_policy_is_not_judged(con, policy: str, source: str):
    cover(con, source, "not_permitted", "403.")
    with pytest.raises(UserError, match=rf"{source} is not permitted \(403\)"):
        found(con, policy)


def test_a_home_of_imported_logs_alone_has_no_tenant_to_name(con):
    con.execute("DELETE FROM stg_organization")
    add(con, "stg_directory_audits", **event())
    assert one(con, "consent-guard-weakened")["service_principal_id"] == "tenant"
