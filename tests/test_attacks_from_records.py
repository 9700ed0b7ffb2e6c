"""Attacks told by records as the service writes them, from snapshot and logs to findings, beside innocent apps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pytest
from snapshots import take

from appgov_lib.settings import Settings
from appgov_lib.store.build import build

MICROSOFT, OURS, THEIRS = "f8cdef31-a31e-4b4a-93e4-5f571e91255a", "tenant-ours", "tenant-theirs"
FROM, UNTIL = datetime(2026, 8, 17), datetime(2026, 11, 16)
GRAPH_APP = "00000003-0000-0000-c000-000000000000"
GRAPH, SYNC, PAYROLL, VIEWER, FRESH = ("sp-graph", "sp-sync", "sp-payroll", "sp-viewer", "sp-fresh")
KIT = "User.Read offline_access Mail.ReadWrite Mail.Send Files.Read.All"
OWN = {"signInAudience": "AzureADMyOrg"}


def principal(sp: str, app: str, name: str, tenant: str, created: str, **more: Any) -> dict[str, Any]:
    """A service principal."""
    row = {"id": sp, "appId": app, "displayName": name, "appOwnerOrganizationId": tenant, "accountEnabled": True}
    return {**row, "createdDateTime": f"{created}T08:00:00Z", "servicePrincipalType": "Application", **more}


def registration(number: str, app: str, name: str, *keys: str) -> dict[str, Any]:
    """A registration of our own with secrets."""
    held = [{"keyId": key, "startDateTime": "2026-11-09T15:00:00Z", "endDateTime": "2027-11-09T15:00:00Z"}
            for key in keys]  # fmt: skip
    return {"id": number, "appId": app, "displayName": name, "passwordCredentials": held, **OWN}


STATES: dict[str, list[dict[str, Any]]] = {
    "service_principals": [
        principal(GRAPH, GRAPH_APP, "Microsoft Graph", MICROSOFT, "2024-01-01",
                  appRoles=[{"id": "r-mail", "value": "Mail.Read"}, {"id": "r-user", "value": "User.Read.All"}]),
        principal(SYNC, "app-sync", "Invoice Sync", OURS, "2025-01-01"),
        principal(PAYROLL, "app-payroll", "Payroll", OURS, "2025-01-01"),
        principal(FRESH, "app-fresh", "Mail Archive", OURS, "2026-11-09"),
        principal(VIEWER, "app-viewer", "Viewer Pro", THEIRS, "2026-11-02"),
    ],
    "applications": [
        registration("reg-sync", "app-sync", "Invoice Sync", "10000000-0000-4000-8000-000000000000"),
        registration("reg-fresh", "app-fresh", "Mail Archive", "30000000-0000-4000-8000-000000000000"),
        registration("reg-payroll", "app-payroll", "Payroll", "20000000-0000-4000-8000-000000000000"),
    ],
    "delegated_grants": [
        {"id": "g4", "clientId": VIEWER, "resourceId": GRAPH, "consentType": "Principal", "principalId": "u4",
         "scope": KIT},
    ],
    "app_role_assignments": [
        {"id": f"a-{client}", "principalId": client, "principalType": "ServicePrincipal", "resourceId": GRAPH,
         "appRoleId": "r-mail", "createdDateTime": made}
        for client, made in ((SYNC, "2026-11-09T09:00:00Z"), (FRESH, "2026-11-10T10:00:00Z"),
                             (PAYROLL, "2025-01-01T09:00:00Z"))
    ],
    "users": [{"id": f"u{n}", "userPrincipalName": f"u{n}@x.example", "accountEnabled": True} for n in range(12)],
    "application_owners": [],
    "service_principal_owners": [],
    "organization": [{"id": OURS, "displayName": "Ours", "verifiedDomains": []}],
}  # fmt: skip


def event(
    at: str, activity: str, actor: str, *targets: tuple[str, str], **changes: tuple[str | None, str | None]
) -> Any:
    """An audit event of November; `changes` belong to the first target, _ in a name stands for a dot."""
    changed = [
        {"displayName": name.replace("_", "."), "oldValue": old, "newValue": new}
        for name, (old, new) in changes.items()
    ]
    return {
        "id": f"{at} {activity} {actor}", "activityDateTime": f"2026-11-{at}Z", "activityDisplayName": activity,
        "result": "success", "initiatedBy": {"user": {"id": actor, "userPrincipalName": f"{actor}@x.example"}},
        "targetResources": [
            {"id": target, "type": kind, "modifiedProperties": [] if number else changed}
            for number, (target, kind) in enumerate(targets)
        ],
    }  # fmt: skip


def secret(at: str, actor: str, number: str, key: str) -> Any:
    """A secret that came."""
    told = json.dumps([f"[KeyIdentifier={key}0000000-0000-4000-8000-000000000000,KeyType=Password]"])
    activity = "Update application \u2013 Certificates and secrets management "
    return event(at, activity, actor, (number, "Application"), KeyDescription=("[]", told))


def consent(at: str, user: str, activity: str = "Consent to application") -> Any:
    """A consent of a person to the viewer, or its withdrawal, which names the API first."""
    if activity == "Consent to application":
        entry = f"[] => [[Id: x, PrincipalId: {user}, ResourceId: {GRAPH}, ConsentType: Principal, Scope: {KIT}, ]]; "
        return event(at, activity, user, (VIEWER, "ServicePrincipal"),
                     ConsentAction_Permissions=(None, json.dumps(entry)))  # fmt: skip
    return event(at, activity, user, (GRAPH, "ServicePrincipal"), DelegatedPermissionGrant_Scope=(f'"{KIT}"', None),
                 ServicePrincipal_ObjectID=(f'"{VIEWER}"', None))  # fmt: skip


AUDITS = [
    event("09T08:00:00", "Add member to role", "u1", ("u2", "User"),
          Role_DisplayName=(None, '"Application Administrator"')),
    event("09T09:00:00", "Add app role assignment to service principal", "u2", (GRAPH, "ServicePrincipal"),
          (SYNC, "ServicePrincipal"), AppRole_Value=(None, '"Mail.Read"')),
    secret("09T15:00:00", "u2", "reg-sync", "1"),
    secret("10T15:00:00", "u3", "reg-payroll", "2"),
    secret("11T15:00:00", "u3", "reg-fresh", "3"),
    *(consent(f"0{day}T09:00:00", f"u{day}") for day in (4, 5, 6, 7)),
    *(consent(f"1{day - 4}T09:00:00", f"u{day}", "Remove delegated permission grant") for day in (5, 6, 7)),
]  # fmt: skip


def sign_in(number: str, at: str, app: str, sp: str = "", user: str = "", error: int = 0, asn: int = 64496,
            country: str = "IE") -> dict[str, Any]:  # fmt: skip
    """A sign-in of an app, or of a person through it."""
    return {
        "id": number, "createdDateTime": at, "appId": app, "servicePrincipalId": sp, "userId": user,
        "isInteractive": bool(user), "signInEventTypes": [] if user else ["servicePrincipal"],
        "status": {"errorCode": error}, "autonomousSystemNumber": asn, "location": {"countryOrRegion": country},
        "resourceDisplayName": "Microsoft Graph", "resourceId": GRAPH_APP, "ipAddress": "198.51.100.7",
    }  # fmt: skip


def app_sign_ins() -> Iterator[dict[str, Any]]:
    """Two apps sign in each day; the one that was taken over also from elsewhere."""
    for number in range((UNTIL - FROM).days):
        day = (FROM + timedelta(days=number)).date().isoformat()
        yield sign_in(f"s{number}", f"{day}T07:00:00Z", "app-sync", SYNC)
        yield sign_in(f"p{number}", f"{day}T07:00:00Z", "app-payroll", PAYROLL)
        if number >= 88:
            yield sign_in(f"f{number}", f"{day}T03:00:00Z", "app-fresh", FRESH, asn=64777, country="NG")
        if number >= 86:
            yield sign_in(f"x{number}", f"{day}T02:00:00Z", "app-sync", SYNC, asn=64666, country="MD")


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse of the week that ends on 15 November."""
    settings = Settings(home=tmp_path_factory.mktemp("attacks"))
    refused = [sign_in(f"r{n}", f"2026-11-12T09:0{n}:00Z", "app-viewer", user=f"u{n}", error=65004) for n in (8, 9, 0)]
    logs = {
        "directory_audits": AUDITS,
        "sign_ins_service_principal": list(app_sign_ins()),
        "sign_ins_interactive": refused,
        "sign_ins_non_interactive": [],
    }
    take(settings, UNTIL, STATES, {name: (FROM, UNTIL, records) for name, records in logs.items()})
    built = build(settings, date(2026, 11, 15))
    with duckdb.connect(str(built.path), read_only=True) as made:
        yield made


NEW = {
    "consent-credential-new-use": SYNC, "app-from-new-network": SYNC, "credential-then-new-place": SYNC,
    "credential-after-fresh-role": SYNC, "consents-taken-back": VIEWER, "consent-refused-by-users": VIEWER,
    "attack-kit-scopes": VIEWER, "receiver-becomes-giver": SYNC,
    "new-app-from-unknown-network": FRESH,
}  # fmt: skip
SILENT = ("credential-by-unusual-actor", "many-apps-by-one-actor", "rare-operation-by-app",
          "consent-soon-after-birth", "sign-in-failures-rise", "unusual-device-code", "ropc-sign-in")  # fmt: skip


def test_each_attack_is_found_by_its_policies_and_nobody_else_is(con: duckdb.DuckDBPyConnection) -> None:
    names = [*NEW, *SILENT]
    query = (
        "SELECT policy_id, service_principal_id FROM findings WHERE policy_id IN (SELECT unnest($names)) ORDER BY ALL"
    )
    assert con.execute(query, {"names": names}).fetchall() == sorted(NEW.items())
    assert con.execute("SELECT count(*) FROM skipped_checks WHERE policy_id IN (SELECT unnest($names))",
                       {"names": names}).fetchall() == [(0,)]  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (
            "consent-credential-new-use",
            "The app was given Mail.Read of Microsoft Graph on 2026-11-09 09:00 UTC by u2@x.example, a credential on "
            "2026-11-09 15:00 UTC by u2@x.example, and from 2026-11-11 02:00 UTC it did what it had never done (new "
            "country: MD, new network: AS64666).",
        ),
        (
            "credential-after-fresh-role",
            "u2@x.example was given Application Administrator on 2026-11-09 08:00 UTC by u1@x.example and added a "
            "credential to this app on 2026-11-09 15:00 UTC; it holds 1 permission of high privilege.",
        ),
        (
            "consents-taken-back",
            "Of 4 people who consented to this new app, 3 took it back, the first on 2026-11-11, the last on "
            "2026-11-13.",
        ),
        (
            "consent-refused-by-users",
            "Of 4 people whom this new app asked for consent, 3 refused, from 2026-11-12 09:00 UTC to 2026-11-12 "
            "09:09 UTC.",
        ),
    ],
)
def test_the_reason_tells_who_and_when(con: duckdb.DuckDBPyConnection, policy: str, reason: str) -> None:
    assert con.execute("SELECT reason FROM findings WHERE policy_id = $policy", {"policy": policy}).fetchall() == [
        (reason,)
    ]
