"""The policies about the state of permissions: each fires, stays silent, and says when it cannot judge."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from policy_tables import APP, GRAPH, SP, add, cover, empty_warehouse, found, one

from appgov_lib.errors import UserError

GRAPH_APP = "00000003-0000-0000-c000-000000000000"
EXCHANGE, EXCHANGE_APP = "00000000-0000-4000-8000-0000000000ee", "00000002-0000-0ff1-ce00-000000000000"
VAULT, VAULT_APP = "00000000-0000-4000-8000-0000000000dd", "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"
OWN, OWN_APP = "00000000-0000-4000-8000-0000000000cc", "00000000-0000-4000-8000-000000000cc0"
OUTSIDE = {"app_origin": "external", "publisher_verified": False}
HIGH_ROLE = {"permission_type": "application", "privilege_level": "high", "level_reason": "much"}
OFF = [{"is_in_scope": False}, {"status": "disabled_by_user"}, {"status": None}]


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with the APIs of a tenant."""
    con = empty_warehouse()
    for principal, app in ((GRAPH, GRAPH_APP), (EXCHANGE, EXCHANGE_APP), (VAULT, VAULT_APP), (OWN, OWN_APP)):
        add(con, "stg_service_principals", service_principal_id=principal, app_id=app)
    add(con, "stg_applications", application_id="own", app_id=OWN_APP)
    return con


# One permission each: what fires a policy, and what of it does not.

FILES = {"permission": "Files.Read.All", "consent_type": "user", "consented_users": 3, "privilege_level": "high"}
MANAGE = {**HIGH_ROLE, "permission": "Exchange.ManageAsApp", "resource_id": EXCHANGE}
HELD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "user-consented-file-access": (
        OUTSIDE,
        FILES,
        "3 users gave an app of another tenant, whose publisher is not verified, access to files: Files.Read.All.",
    ),
    "directory-role-power-granted": (
        {},
        {**HIGH_ROLE, "permission": "RoleManagement.ReadWrite.Directory"},
        "The app may hand out directory roles without a user, its own included, with "
        "RoleManagement.ReadWrite.Directory.",
    ),
    "privileged-graph-permission": (
        {},
        {**HIGH_ROLE, "permission": "AppRoleAssignment.ReadWrite.All"},
        "Without a user, the app may take over the tenant with AppRoleAssignment.ReadWrite.All; with the first of "
        "them it gives itself any other application permission.",
    ),
    "exchange-full-access": (
        {},
        {**HIGH_ROLE, "permission": "full_access_as_app", "resource_id": EXCHANGE},
        "The app may read, change and send everything in every mailbox through Exchange Web Services "
        "(full_access_as_app).",
    ),
    "mailbox-read-for-all": (
        {},
        {**HIGH_ROLE, "permission": "Mail.Read"},
        "Without a user, the app may read the mail of every mailbox with Mail.Read, unless Exchange limits it to some "
        "mailboxes, which Graph does not show.",
    ),
    "legacy-exchange-access": (
        {},
        {"permission": "EWS.AccessAsUser.All", "resource_id": EXCHANGE},
        "The app may use mailboxes by old protocols (EWS.AccessAsUser.All), whose use the Graph activity log does not "
        "show.",
    ),
    "sensitive-app-role": (
        {},
        {"permission": "user_impersonation", "resource_id": VAULT, "resource_name": "Vault", "privilege_level": "high"},
        "The app holds strong rights outside Microsoft Graph: user_impersonation of Vault.",
    ),
}
OTHERWISE: list[tuple[str, dict[str, Any]]] = [
    ("user-consented-file-access", {"consent_type": "admin"}),
    ("user-consented-file-access", {"permission": "Files.ReadWrite.AppFolder"}),
    ("user-consented-file-access", {"permission": "Sites.Selected"}),
    ("user-consented-file-access", {"permission": "Filesystem"}),
    ("directory-role-power-granted", {"permission_type": "delegated"}),
    ("directory-role-power-granted", {"permission": "AppRoleAssignment.ReadWrite.All"}),
    ("directory-role-power-granted", {"resource_id": OWN}),  # an API may call its roles what it likes
    ("privileged-graph-permission", {"permission_type": "delegated"}),
    ("privileged-graph-permission", {"permission": "RoleManagement.ReadWrite.Directory"}),
    ("privileged-graph-permission", {"permission": "Directory.ReadWrite.All"}),
    ("privileged-graph-permission", {"resource_id": OWN}),
    ("exchange-full-access", {"resource_id": OWN}),
    ("exchange-full-access", {"permission": "Exchange.ManageAsApp"}),
    ("mailbox-read-for-all", {"permission_type": "delegated"}),
    ("mailbox-read-for-all", {"permission": "Mail.ReadBasic.All"}),
    ("mailbox-read-for-all", {"permission": "Mail.Send"}),
    ("mailbox-read-for-all", {"resource_id": OWN}),
    ("legacy-exchange-access", {"permission": "Mail.Read"}),
    ("legacy-exchange-access", {"permission": "full_access_as_app", "permission_type": "application"}),
    ("legacy-exchange-access", {"resource_id": OWN}),
    ("sensitive-app-role", {"privilege_level": "medium"}),
    ("sensitive-app-role", {"resource_id": GRAPH}),
    ("sensitive-app-role", {"resource_id": EXCHANGE}),
    ("sensitive-app-role", {"consent_type": "user"}),  # an own app for one user
    ("sensitive-app-role", {"resource_id": OWN, "permission_type": "application", "privilege_level": "medium"}),
]


@pytest.mark.parametrize("policy", HELD)
def test_the_permission_is_found(con, policy: str):
    app, permission, reason = HELD[policy]
    add(con, "app_inventory", **app)
    add(con, "app_permissions", **permission)
    row = one(con, policy)
    assert (row["service_principal_id"], row["app_id"], row["subject"]) == (SP, APP, "")
    assert (row["measure"], row["threshold"]) == (permission.get("consented_users", 1), 1)
    assert row["reason"] == reason
    (listed,) = row["evidence"]["permissions"]
    assert (listed["permission"], listed["resource_id"]) == (
        permission["permission"],
        permission.get("resource_id", GRAPH),
    )
    assert (listed["permission_type"], listed["usage"]) == (permission.get("permission_type", "delegated"), "used")


@pytest.mark.parametrize("policy", HELD)
@pytest.mark.parametrize("off", OFF)
def test_apps_out_of_scope_or_not_known_to_be_on_are_no_finding(con, policy: str, off: dict[str, Any]):
    app, permission, _ = HELD[policy]
    add(con, "app_inventory", **{**app, **off})
    add(con, "app_permissions", **permission)
    assert found(con, policy).empty


@pytest.mark.parametrize(("policy", "change"), OTHERWISE)
def test_another_permission_is_no_finding(con, policy: str, change: dict[str, Any]):
    app, permission, _ = HELD[policy]
    add(con, "app_inventory", **app)
    add(con, "app_permissions", **{**permission, **change})
    assert found(con, policy).empty


@pytest.mark.parametrize(
    "app", [{"app_origin": "internal"}, {"publisher_verified": True}, {"publisher_verified": None}]
)
def test_file_access_of_known_publishers_is_no_finding(con, app: dict[str, Any]):
    add(con, "app_inventory", **{**OUTSIDE, **app})
    add(con, "app_permissions", **FILES)
    assert found(con, "user-consented-file-access").empty


def test_an_outside_app_on_an_api_registered_here_is_found_whatever_its_role_is_called(con):
    add(con, "app_inventory", **OUTSIDE)
    add(con, "app_permissions", permission="Orders.Read", permission_type="application", resource_id=OWN,
        resource_name="Orders", privilege_level="medium")  # fmt: skip
    assert one(con, "sensitive-app-role")["reason"] == (
        "The app holds strong rights outside Microsoft Graph: Orders.Read of Orders; it is an app of another tenant "
        "on an API registered here."
    )


@pytest.mark.parametrize(
    ("policy", "source"),
    [
        ("user-consented-file-access", "delegated_grants"),
        ("tenant-wide-delegated-consent", "delegated_grants"),
        ("directory-role-power-granted", "app_role_assignments"),
        ("privileged-graph-permission", "app_role_assignments"),
        ("exchange-full-access", "app_role_assignments"),
        ("exchange-administrator-app", "directory_role_assignments"),
        ("mailbox-read-for-all", "app_role_assignments"),
        ("legacy-exchange-access", "delegated_grants"),
        ("sensitive-app-role", "applications"),
        ("workload-identity-at-risk", "risky_service_principals"),
    ],
)
def test_without_its_source_a_policy_is_not_judged(con, policy: str, source: str):
    cover(con, source, "not_permitted", "403.")
    with pytest.raises(UserError, match=rf"{source} is not permitted \(403\)"):
        found(con, policy)


# tenant-wide-delegated-consent

WIDE = {"privilege_level": "high", "permission_type": "delegated"}


@pytest.mark.parametrize(
    ("app", "second", "expected"),
    [
        ({}, {}, 1),
        ({"publisher_verified": True}, {}, 1),
        ({"assignment_required": True}, {}, 0),
        ({"assignment_required": None}, {}, 0),
        ({"app_origin": "internal"}, {}, 0),
        ({"is_in_scope": False}, {}, 0),
        ({}, {"consent_type": "user"}, 0),
        ({}, {"privilege_level": "medium"}, 0),
        ({}, {"permission_type": "application"}, 0),
    ],
)
def test_consent_for_everybody_counts_high_permissions(con, app, second, expected: int):
    add(con, "app_inventory", **{**OUTSIDE, **app})
    add(con, "app_permissions", permission="Mail.Read", **WIDE)
    add(con, "app_permissions", permission="Chat.Read", **{**WIDE, **second})
    rows = found(con, "tenant-wide-delegated-consent")
    assert len(rows) == expected
    if expected:
        assert rows["reason"][0] == (
            "An administrator let an app of another tenant act for everybody with 2 high permissions: Chat.Read, "
            "Mail.Read; every user may sign in to it."
        )


# exchange-administrator-app

ROLE = {
    "principal_id": SP,
    "role_definition_id": "29232cdf-9323-42fd-ade2-1d097af3e4de",
    "role_name": "Exchange Administrator",
    "scope": "/",
}


@pytest.mark.parametrize(
    ("role", "permission", "expected"),
    [
        ({}, {}, 1),
        ({"role_definition_id": "88d8e3e3-8f55-4a1e-953a-9b9898b8876b"}, {}, 0),
        ({"scope": "/administrativeUnits/1"}, {}, 0),
        ({"principal_id": "another"}, {}, 0),
        ({}, {"permission": "Mail.Read"}, 0),
        ({}, {"resource_id": OWN}, 0),
    ],
)
def test_exchange_administration_takes_a_role_and_a_permission(con, role, permission, expected: int):
    add(con, "app_inventory")
    add(con, "app_permissions", **{**MANAGE, **permission})
    add(con, "stg_directory_role_assignments", **{**ROLE, **role})
    rows = found(con, "exchange-administrator-app")
    assert len(rows) == expected
    if expected:
        assert rows["reason"][0].startswith("The app may run Exchange PowerShell as Exchange Administrator, so")


# workload-identity-at-risk


@pytest.mark.parametrize(
    ("state", "level", "measure", "reason"),
    [
        ("atRisk", "high", 3, "Microsoft holds the app to be at risk, level high, since 2026-11-12"),
        ("atRisk", "medium", 2, "Microsoft holds the app to be at risk, level medium, since 2026-11-12"),
        (
            "atRisk",
            "hidden",
            None,
            "Microsoft holds the app to be at risk and does not show how much, since 2026-11-12",
        ),
        (
            "confirmedCompromised",
            "low",
            1,
            "An administrator confirmed to Microsoft that the app is compromised, since",
        ),
        ("atRisk", "low", 0, None),
        ("dismissed", "high", 0, None),
        ("remediated", "high", 0, None),
        ("confirmedSafe", "none", 0, None),
    ],
)
def test_risk_that_stands_is_found(con, state: str, level: str, measure: int | None, reason: str | None):
    add(con, "app_inventory")
    add(con, "stg_risky_service_principals", service_principal_id=SP, risk_state=state, risk_level=level,
        risk_updated_at="2026-11-12 03:00")  # fmt: skip
    for kind, still in (("suspiciousSignins", "atRisk"), ("leakedCredentials", "dismissed")):
        add(con, "stg_service_principal_risk_detections", detection_id=kind, service_principal_id=SP,
            risk_event_type=kind, risk_state=still)  # fmt: skip
    rows = found(con, "workload-identity-at-risk").to_dict("records")
    assert len(rows) == (reason is not None)
    if reason is not None:
        assert rows[0]["reason"].startswith(reason)
        assert rows[0]["reason"].endswith(": suspiciousSignins.")
        assert rows[0]["measure"] == measure or (measure is None and rows[0]["measure"] != rows[0]["measure"])


def test_risk_of_apps_out_of_scope_is_silent(con):
    add(con, "app_inventory", is_in_scope=False)
    add(con, "stg_risky_service_principals", service_principal_id=SP, risk_state="atRisk", risk_level="high")
    assert found(con, "workload-identity-at-risk").empty
