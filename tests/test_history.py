"""What was granted from when to when: each rule on two or three hand-made snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from snapshots import Records, rows, tables, take

from appgov_lib.settings import Settings

WEEKS = [datetime(2026, 10, day, 6) for day in (5, 12, 19, 26)]
APP, GRAPH, ADA, BOB, ADMIN, ROLE = ("app", "graph", "ada", "bob", "admin", "role-1")
PRINCIPALS = [
    {"id": GRAPH, "appId": "graph-app", "appRoles": [{"id": "r1", "value": "Mail.Read"}]},
    {"id": APP, "appId": "app-app"},
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty home."""
    return Settings(home=tmp_path)


def grant(scope: str, grant_id: str = "g1", principal: str | None = None) -> dict[str, Any]:
    """A delegated grant for everybody, or for one person."""
    kind = "Principal" if principal else "AllPrincipals"
    return {
        "id": grant_id, "clientId": APP, "resourceId": GRAPH, "consentType": kind, "principalId": principal,
        "scope": scope,
    }  # fmt: skip


def event(
    at: datetime, activity: str, targets: Iterable[str], changes: Mapping[str, tuple[Any, Any]] | None = None,
    actor: str = ADMIN, result: str = "success",
) -> dict[str, Any]:  # fmt: skip
    """An audit event; `changes` are the modified properties (old, new) of the first target, written as JSON text."""
    properties = [
        {"displayName": name, "oldValue": old and json.dumps(old), "newValue": new and json.dumps(new)}
        for name, (old, new) in (changes or {}).items()
    ]
    return {
        "id": f"{at}{activity}{actor}", "activityDateTime": at.isoformat() + "Z", "activityDisplayName": activity,
        "result": result, "initiatedBy": {"user": {"id": actor, "userPrincipalName": f"{actor}@x.example"}},
        "targetResources": [
            {"id": target, "modifiedProperties": [] if number else properties} for number, target in enumerate(targets)
        ],
    }  # fmt: skip


def consent(at: datetime, before: str, after: str, actor: str, kind: str = "AllPrincipals", who: str = "") -> Any:
    """A consent as the log writes it: all grants before and after."""

    def entry(scope: str) -> str:
        """One grant in square brackets; no scope is an empty list."""
        inner = f"[Id: x, ClientId: , PrincipalId: {who}, ResourceId: {GRAPH}, ConsentType: {kind}, Scope: {scope}, "
        return f"[{inner}CreatedDateTime: , LastModifiedDateTime ]]" if scope else "[]"

    return event(
        at, "Consent to application", [APP],
        {"ConsentAction.Permissions": (None, f"{entry(before)} => {entry(after)}; ")}, actor,
    )  # fmt: skip


def weekly(settings: Settings, source: str, *weeks: Records, ends: str = "", audits: Records = ()) -> None:
    """One snapshot a week with the records of one source; `ends` has one letter each: c(omplete), p(artial), f."""
    words = {"c": "complete", "p": "partial", "f": "failed"}
    for number, records in enumerate(weeks):
        log = {"directory_audits": (datetime(2026, 9, 1), WEEKS[-1], audits)} if number == 0 else {}
        status = words[ends[number]] if ends else "complete"
        take(settings, WEEKS[number], {"service_principals": PRINCIPALS, source: records}, log, {source: status})


def history(settings: Settings, table: str = "grant_history") -> list[dict[str, Any]]:
    """The rows of a history table, in their order."""
    con = tables(settings, table)
    try:
        return rows(con, f"FROM {table}")
    finally:
        con.close()


def shown(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Some columns of all rows."""
    return [tuple(row[name] for name in names) for row in found]


SPAN = ("permission", "valid_from", "valid_from_source", "valid_to", "valid_to_source")


def test_scopes_are_followed_one_by_one(settings: Settings) -> None:
    weekly(settings, "delegated_grants", [grant(" A B")], [grant("B C A")], [grant("B C")])
    assert shown(history(settings), *SPAN) == [
        ("A", None, "before first snapshot", WEEKS[2], "snapshot"),
        ("B", None, "before first snapshot", None, None),
        ("C", WEEKS[1], "snapshot", None, None),
    ]
    assert shown(history(settings), "first_snapshot", "last_snapshot")[2] == (
        "extract-20261012T060000Z",
        "extract-20261019T060000Z",
    )


def test_the_audit_log_says_who_consented_and_when(settings: Settings) -> None:
    at = WEEKS[0] + timedelta(days=2)
    audits = [
        consent(at, "A", "A C", ADMIN),
        consent(at + timedelta(days=1), "A C", "A C", BOB),  # again, and nothing new
        consent(at + timedelta(days=2), "", "C", BOB, "Principal", BOB),  # his own grant, not this one
    ]
    weekly(settings, "delegated_grants", [grant("A")], [grant("A C")], audits=audits)
    found = history(settings)[1]
    assert shown([found], *SPAN) == [("C", at, "audit log", None, None)]
    assert shown([found], "consented_by_id", "consented_by_name", "consented_at") == [
        (ADMIN, "admin@x.example", at),
    ]


@pytest.mark.parametrize(
    "miss",
    ["too early", "too late", "failed", "other app", "other scope", "other resource"],
)
def test_an_event_that_is_not_the_one_leaves_the_snapshot(settings: Settings, miss: str) -> None:
    at = {"too early": WEEKS[0] - timedelta(days=1), "too late": WEEKS[1] + timedelta(days=1)}.get(miss, WEEKS[1])
    audit = event(
        at,
        "Add delegated permission grant",
        ["elsewhere" if miss == "other resource" else GRAPH, "another" if miss == "other app" else APP],
        {"DelegatedPermissionGrant.Scope": ("", "D" if miss == "other scope" else " C")},
        result="failure" if miss == "failed" else "success",
    )
    weekly(settings, "delegated_grants", [grant("A")], [grant("A C")], audits=[audit])
    assert shown(history(settings), *SPAN)[1] == ("C", WEEKS[1], "snapshot", None, None)


def test_each_person_consents_for_himself(settings: Settings) -> None:
    at = WEEKS[0] + timedelta(days=1)
    change = {
        "DelegatedPermissionGrant.Scope": (None, "C"),
        "DelegatedPermissionGrant.ConsentType": (None, "Principal"),
    }
    audits = [
        event(at + timedelta(hours=n), "Add delegated permission grant", [GRAPH, APP], change, actor)
        for n, actor in enumerate((ADA, BOB))
    ]
    both = [grant("C", "ga", ADA), grant("C", "gb", BOB), grant("C", "gc")]
    weekly(settings, "delegated_grants", [], both, audits=audits)
    assert shown(history(settings), "grant_id", "consent_type", "principal_id", "consented_by_id", "valid_from") == [
        ("ga", "user", ADA, ADA, at),
        ("gb", "user", BOB, BOB, at + timedelta(hours=1)),
        ("gc", "admin", None, None, WEEKS[1]),
    ]


def test_what_was_there_first_is_dated_by_the_log_where_it_can_be(settings: Settings) -> None:
    at = WEEKS[0] - timedelta(days=20)
    weekly(settings, "delegated_grants", [grant("A B")], audits=[consent(at, "", "A", ADMIN)])
    assert shown(history(settings), *SPAN) == [
        ("A", at, "audit log", None, None),
        ("B", None, "before first snapshot", None, None),
    ]


@pytest.mark.parametrize("middle", ["p", "f"])
def test_a_reading_that_is_not_complete_ends_nothing(settings: Settings, middle: str) -> None:
    weekly(settings, "delegated_grants", [grant("A")], [], [grant("A")], ends=f"c{middle}c")
    assert shown(history(settings), *SPAN) == [("A", None, "before first snapshot", None, None)]


def test_nor_does_a_newest_one(settings: Settings) -> None:
    weekly(settings, "delegated_grants", [grant("A")], [], ends="cp")
    assert shown(history(settings), *SPAN) == [("A", None, "before first snapshot", None, None)]


def test_an_end_lies_between_complete_readings(settings: Settings) -> None:
    weekly(settings, "delegated_grants", [grant("A")], [], [], ends="cpc")
    assert shown(history(settings), *SPAN) == [("A", None, "before first snapshot", WEEKS[2], "snapshot")]


def test_a_complete_empty_reading_ends_everything(settings: Settings) -> None:
    weekly(settings, "delegated_grants", [grant("A B")], [])
    assert [row["valid_to"] for row in history(settings)] == [WEEKS[1]] * 2


def test_the_log_says_who_took_it_away(settings: Settings) -> None:
    at = WEEKS[0] + timedelta(days=3)
    change = {"DelegatedPermissionGrant.Scope": ("A", "")}
    audits = [event(at, "Remove delegated permission grant", [GRAPH, APP], change, BOB)]
    weekly(settings, "delegated_grants", [grant("A", principal=ADA)], [], audits=audits)
    assert shown(history(settings), *SPAN, "revoked_by_id") == [
        ("A", None, "before first snapshot", at, "audit log", BOB)
    ]


def test_a_deleted_app_ends_what_it_held(settings: Settings) -> None:
    at = WEEKS[0] + timedelta(days=3)
    weekly(settings, "delegated_grants", [grant("A")], [], audits=[event(at, "Remove service principal", [APP])])
    assert shown(history(settings), "valid_to", "valid_to_source") == [(at, "audit log")]


def test_gone_and_back_is_two_rows(settings: Settings) -> None:
    weekly(settings, "delegated_grants", [grant("A")], [], [grant("A")], [grant("A"), grant("A", "g2")])
    assert shown(history(settings), "grant_id", *SPAN[1:]) == [
        ("g1", None, "before first snapshot", WEEKS[1], "snapshot"),
        ("g1", WEEKS[2], "snapshot", None, None),
        ("g2", WEEKS[3], "snapshot", None, None),
    ]


def test_application_permissions_have_a_date_and_perhaps_a_name(settings: Settings) -> None:
    def assigned(number: int, role: str, at: datetime, kind: str = "ServicePrincipal") -> dict[str, Any]:
        """An assignment of a role of Graph to the app."""
        return {"id": f"a{number}", "principalId": APP, "principalType": kind, "resourceId": GRAPH, "appRoleId": role,
                "createdDateTime": at.isoformat() + "Z"}  # fmt: skip

    old, new = WEEKS[0] - timedelta(days=99), WEEKS[0] + timedelta(days=1)
    at = WEEKS[0] + timedelta(days=1, seconds=5)
    audits = [
        event(at, "Add app role assignment to service principal", [GRAPH],
              {"AppRole.Value": (None, "Mail.Read"), "ServicePrincipal.ObjectID": (None, APP)})
    ]  # fmt: skip
    first = [assigned(1, "unknown-role", old), assigned(2, "r9", new, "User")]
    weekly(settings, "app_role_assignments", first, [*first, assigned(3, "r1", new)], audits=audits)
    assert shown(history(settings), *SPAN[:3], "permission_type", "consented_by_id") == [
        ("Mail.Read", at, "audit log", "application", ADMIN),
        ("unknown-role", old, "assignment date", "application", None),
    ]


def test_credentials_of_both_objects_and_federated_ones(settings: Settings) -> None:
    def registration(*keys: str, name: str = "n") -> dict[str, Any]:
        """The registration with secrets that were valid from long before."""
        held = [{"keyId": key, "displayName": name, "startDateTime": "2026-01-01T00:00:00Z"} for key in keys]
        return {"id": "reg", "appId": "app-app", "passwordCredentials": held}

    k1, k2, k3, f1 = (f"{n}0000000-0000-4000-8000-000000000000" for n in "123f")
    at = WEEKS[0] + timedelta(days=1)
    described = [f"[KeyIdentifier={k},KeyType=Password,KeyUsage=Verify,DisplayName=n]" for k in (k1, k2)]
    audits = [
        event(at, "Update application \u2013 Certificates and secrets management ", ["reg"],
              {"KeyDescription": (described[:1], described)}, BOB),
        event(WEEKS[1] + timedelta(days=1), "Update application \u2013 Certificates and secrets management ", ["reg"],
              {"KeyDescription": (described, described[1:])}, ADA),
    ]  # fmt: skip
    principal = {"id": APP, "keyCredentials": [{"keyId": k3, "type": "AsymmetricX509Cert",
                                               "startDateTime": "2026-10-07T00:00:00Z"}]}  # fmt: skip
    federated = {"parent_id": "reg", "record": {"id": f1, "name": "ci"}}
    logs = {"directory_audits": (WEEKS[0], WEEKS[2], audits)}
    for number, (apps, principals, trusts) in enumerate([
        ([registration(k1)], [], []),
        ([registration(k1, k2)], [principal], [federated]),
        ([registration(k2, name="renamed")], [principal], []),
    ]):  # fmt: skip
        states = {"applications": apps, "service_principals": principals, "federated_credentials": trusts}
        take(settings, WEEKS[number], states, {} if number else logs)
    found = history(settings, "credential_history")
    assert shown(found, "key_id", "credential_type", "name", *SPAN[1:], "added_by_id", "removed_by_id") == [
        (k1, "secret", "n", datetime(2026, 1, 1), "start date", WEEKS[1] + timedelta(days=1), "audit log", None, ADA),
        (k2, "secret", "renamed", at, "audit log", None, None, BOB, None),
        (f1, "federated", "ci", WEEKS[1], "snapshot", WEEKS[2], "snapshot", None, None),
        (k3, "certificate", None, datetime(2026, 10, 7), "start date", None, None, None, None),
    ]


def test_owners_and_roles(settings: Settings) -> None:
    def owned(*owners: str) -> dict[str, Any]:
        """The registration with its owners."""
        kind = "#microsoft.graph.user"
        return {"id": "reg", "owners": [{"@odata.type": kind, "id": o, "userPrincipalName": f"{o}@x"} for o in owners]}

    held = {"id": "assigned", "principalId": APP, "roleDefinitionId": ROLE, "directoryScopeId": "/"}
    at = WEEKS[0] + timedelta(days=1)
    audits = [
        event(at, "Add owner to application", [BOB], {"Application.ObjectID": (None, "reg")}),
        event(WEEKS[1] + timedelta(days=1), "Remove owner from application", [ADA, "reg"], actor=BOB),
        event(at, "Add member to role", [APP], {"Role.TemplateId": (None, ROLE)}),
    ]
    logs = {"directory_audits": (WEEKS[0], WEEKS[2], audits)}
    take(settings, WEEKS[0], {"application_owners": [owned(ADA)], "directory_role_assignments": []}, logs)
    take(settings, WEEKS[1], {"application_owners": [owned(ADA, BOB)], "directory_role_assignments": [held]})
    take(settings, WEEKS[2], {"application_owners": [owned(BOB)], "directory_role_assignments": []})
    assert shown(history(settings, "owner_history"), "owner_id", "owner_name", *SPAN[1:], "added_by_id") == [
        (ADA, "ada@x", None, "before first snapshot", WEEKS[1] + timedelta(days=1), "audit log", None),
        (BOB, "bob@x", at, "audit log", None, None, ADMIN),
    ]
    assert shown(history(settings, "directory_role_history"), "principal_id", "scope", *SPAN[1:]) == [
        (APP, "/", at, "audit log", WEEKS[2], "snapshot")
    ]


def test_the_same_snapshots_give_the_same_history(settings: Settings) -> None:
    twice = [grant("B A"), grant("A C"), grant("A", "g2", ADA)]  # paging showed a grant in two forms
    weekly(settings, "delegated_grants", twice, twice[::-1], [grant("C")])
    assert history(settings) == history(settings)
    assert len(history(settings)) == 4


def test_nothing_is_lost_on_the_way(settings: Settings) -> None:
    """Every scope of the newest complete snapshot has exactly one open row, and no other row is open."""
    grants = [grant(" ".join(f"S{n * m % 7}" for m in range(1, n % 5 + 2)), f"g{n}") for n in range(60)]
    weekly(settings, "delegated_grants", grants[:40], grants[20:], grants[10:50])
    found = {(row["grant_id"], row["permission"]) for row in history(settings) if row["valid_to"] is None}
    assert found == {(g["id"], scope) for g in grants[10:50] for scope in g["scope"].split()}
    assert sum(row["valid_to"] is None for row in history(settings)) == len(found)
