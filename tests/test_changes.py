"""What became different: each kind on hand-made snapshots, and the sample tenant changed between its extractions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from snapshots import Records, tables, take

import appgov_lib
from appgov_lib import changes
from appgov_lib.errors import ConfigError
from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.run import extract
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings
from appgov_lib.store.retention import prune

WEEKS = [datetime(2026, 10, day, 6) for day in (5, 12, 19, 26)]
GRAPH = {"id": "graph", "appId": "graph-app", "displayName": "Microsoft Graph",
         "appRoles": [{"id": "r1", "value": "Mail.Read"}]}  # fmt: skip
APP = {"id": "app", "appId": "app-app", "displayName": "App", "accountEnabled": True,
       "appRoleAssignmentRequired": False, "signInAudience": "AzureADMyOrg", "publisherName": "Acme",
       "replyUrls": ["https://a.example", "https://b.example"],
       "verifiedPublisher": {"displayName": None}}  # fmt: skip
GRANT = {"id": "g1", "clientId": "app", "resourceId": "graph", "consentType": "AllPrincipals", "scope": "User.Read"}
MINE = {**GRANT, "id": "g2", "consentType": "Principal", "principalId": "u1"}
ASSIGNED = {"id": "a1", "principalId": "app", "principalType": "ServicePrincipal", "resourceId": "graph",
            "appRoleId": "r1"}  # fmt: skip
POLICY = {"id": "authorizationPolicy", "allowInvitesFrom": "everyone",
          "defaultUserRolePermissions": {"permissionGrantPoliciesAssigned": []}}  # fmt: skip
BASE: dict[str, Records] = {
    "service_principals": [GRAPH, APP],
    "applications": [{"id": "reg", "appId": "app-app", "displayName": "App", "passwordCredentials": []}],
    "delegated_grants": [GRANT],
    "app_role_assignments": [],
    "application_owners": [{"id": "reg", "owners": []}],
    "directory_role_assignments": [],
    "authorization_policy": [POLICY],
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty home."""
    return Settings(home=tmp_path)


def found(settings: Settings, when: Any = None, *, everything: bool = False) -> list[dict[str, Any]]:
    """The rows `since` selects, or the whole table."""
    with tables(settings, "changes") as con:
        return changes.since(con, date(1900, 1, 1) if everything else when)


def told(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The columns a reader looks at, sorted."""
    return sorted(
        ((r["kind"], r["change"], r["display_name"], r["subject"], r["before"], r["after"]) for r in rows), key=str
    )


def weekly(settings: Settings, *weeks: Mapping[str, Records], ends: Mapping[str, str] | None = None) -> None:
    """One snapshot a week, each the base with some sources in another form; `ends` are of the second week."""
    for number, differing in enumerate(weeks):
        take(settings, WEEKS[number], {**BASE, **differing}, ends=ends if number == 1 else None)


def another(record: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """A record with other values."""
    return {**record, **values}


def test_the_first_reading_is_where_history_starts(settings: Settings) -> None:
    weekly(settings, {})
    assert found(settings, everything=True) == []


def test_nothing_is_told_when_nothing_became_different(settings: Settings) -> None:
    shuffled = another(APP, replyUrls=APP["replyUrls"][::-1])  # lists come in any order
    spaced = another(GRANT, scope=" User.Read ")
    weekly(settings, {}, {"service_principals": [shuffled, GRAPH]}, {"delegated_grants": [spaced]})
    assert found(settings, everything=True) == []


CASES: list[tuple[str, dict[str, Records], list[tuple[Any, ...]]]] = [
    ("new app", {"service_principals": [GRAPH, APP, {"id": "new", "appId": "n", "displayName": "New"}]},
     [("app", "added", "New", "enterprise application", None, None)]),
    ("app gone", {"service_principals": [GRAPH]}, [("app", "removed", "App", "enterprise application", None, None)]),
    ("registration gone", {"applications": []}, [("app", "removed", "App", "app registration", None, None)]),
    ("scope added", {"delegated_grants": [another(GRANT, scope="Mail.Send User.Read")]},
     [("delegated_grant", "added", "App", "Mail.Send of Microsoft Graph", None, "for everybody")]),
    ("grant gone", {"delegated_grants": []},
     [("delegated_grant", "removed", "App", "User.Read of Microsoft Graph", "for everybody", None)]),
    ("consent of one user", {"delegated_grants": [GRANT, MINE]},
     [("delegated_grant", "added", "App", "User.Read of Microsoft Graph", None, "for u1")]),
    ("application permission", {"app_role_assignments": [ASSIGNED]},
     [("application_permission", "added", "App", "Mail.Read of Microsoft Graph", None, "without a user")]),
    ("secret", {"applications": [{"id": "reg", "appId": "app-app", "displayName": "App", "passwordCredentials": [
        {"keyId": "k", "displayName": "n", "endDateTime": "2027-01-01T00:00:00Z"}]}]},
     [("credential", "added", "App", 'secret "n", key k', None, "on the app registration, valid until 2027-01-01")]),
    ("owner", {"application_owners": [{"id": "reg", "owners": [{"id": "u1", "userPrincipalName": "ada@x"}]}]},
     [("owner", "added", "App", "ada@x", None, "owner of the app registration")]),
    ("role of an app, not of a person", {"directory_role_assignments": [
        {"id": "x", "principalId": "app", "roleDefinitionId": "62e90394-69f5-4237-9190-012177145e10",
         "directoryScopeId": "/"},
        {"id": "y", "principalId": "ada", "roleDefinitionId": "role", "directoryScopeId": "/"}]},
     [("directory_role", "added", "App", "Global Administrator", None, "over the whole tenant")]),
    ("reply URLs", {"service_principals": [GRAPH, another(APP, replyUrls=["https://b.example", "https://c.example"])]},
     [("reply_url", "added", "App", "https://c.example", None, "https://c.example"),
      ("reply_url", "removed", "App", "https://a.example", "https://a.example", None)]),
    ("name, publisher, state, audience", {"service_principals": [GRAPH, another(
        APP, displayName="Other", publisherName=None, verifiedPublisher={"displayName": "Acme Ltd"},
        accountEnabled=False, appRoleAssignmentRequired=True, signInAudience="AzureADMultipleOrgs")]},
     [("property", "changed", "Other", "assignment required", "false", "true"),
      ("property", "changed", "Other", "display name", "App", "Other"),
      ("property", "changed", "Other", "publisher", "Acme", None),
      ("property", "changed", "Other", "sign-in audience", "AzureADMyOrg", "AzureADMultipleOrgs"),
      ("property", "changed", "Other", "sign-in enabled", "true", "false"),
      ("property", "changed", "Other", "verified publisher", None, "Acme Ltd")]),
    # a renamed registration is told once, by its service principal, here not renamed
    ("registration renamed", {"applications": [{"id": "reg", "appId": "app-app", "displayName": "Renamed"}]}, []),
    ("what was not sent along", {"service_principals": [GRAPH, another(APP, accountEnabled=None)]}, []),
    ("setting", {"authorization_policy": [another(POLICY, defaultUserRolePermissions={
        "permissionGrantPoliciesAssigned": ["ManagePermissionGrantsForSelf.microsoft-user-default-legacy"]})]},
     [("setting", "changed", None, "permission grant policies by which users may consent", "",
       "ManagePermissionGrantsForSelf.microsoft-user-default-legacy")]),
]  # fmt: skip


@pytest.mark.parametrize(("second", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_exactly_what_became_different(settings: Settings, second: Any, expected: list[tuple[Any, ...]]) -> None:
    weekly(settings, {}, second, second)
    rows = found(settings, everything=True)
    assert told(rows) == expected
    for row in rows:
        assert (row["changed_at"], row["seen_from"], row["seen_at"]) == (WEEKS[1], WEEKS[0], WEEKS[1])
        assert (row["source"], row["is_latest"]) == ("snapshot", False)
        assert row["reason"] == "Between 2026-10-05 06:00 and 2026-10-12 06:00 UTC; no audit event names it."


@pytest.mark.parametrize("end", ["partial", "failed", "not_permitted"])
def test_sources_not_read_in_full_between_show_nothing_gone(settings: Settings, end: str) -> None:
    weekly(settings, {}, {name: [] for name in BASE}, {}, ends=dict.fromkeys(BASE, end))
    assert found(settings, everything=True) == []


def test_a_source_left_out_of_a_run_shows_nothing_gone(settings: Settings) -> None:
    take(settings, WEEKS[0], BASE)
    take(settings, WEEKS[1], {"service_principals": BASE["service_principals"]})
    take(settings, WEEKS[2], {**BASE, "delegated_grants": []})
    (row,) = found(settings, everything=True)
    # nobody knows on which side of the run in between it went
    assert (row["change"], row["seen_from"], row["seen_at"]) == ("removed", WEEKS[0], WEEKS[2])


def test_gone_and_back_is_two_rows(settings: Settings) -> None:
    back = [GRAPH, another(APP, displayName="Back")]
    weekly(settings, {}, {"service_principals": [GRAPH]}, {"service_principals": back})
    rows = found(settings, everything=True)
    assert [(r["change"], r["changed_at"], r["display_name"]) for r in rows] == [
        ("added", WEEKS[2], "Back"), ("removed", WEEKS[1], "Back"),
    ]  # fmt: skip


def audit(at: datetime, activity: str, target: str, name: str = "", actor: str = "ada") -> dict[str, Any]:
    """An audit event on one object that names one property."""
    return {
        "id": f"{at}{activity}{name}{actor}", "activityDateTime": at.isoformat() + "Z", "result": "success",
        "activityDisplayName": activity,
        "initiatedBy": {"user": {"id": actor, "userPrincipalName": f"{actor}@x.example"}},
        "targetResources": [{"id": target, "modifiedProperties": [{"displayName": name, "newValue": "1"}]}],
    }  # fmt: skip


def test_the_audit_log_says_when_and_who(settings: Settings) -> None:
    at = WEEKS[0] + timedelta(days=2)
    events = [
        audit(at, "Update service principal", "app", "DisplayName"),
        audit(at + timedelta(hours=1), "Update service principal", "app", "Description", "bob"),  # another property
        audit(WEEKS[0] - timedelta(days=1), "Update service principal", "app", "DisplayName", "eve"),  # too early
        # the registration was edited, and the service principal followed
        audit(at, "Update application", "reg", "AppAddress", "bob"),
        audit(at, "Remove service principal", "old", actor="bob"),
        # before the first reading: the log alone knows that it was new
        audit(WEEKS[0] - timedelta(days=3), "Add service principal", "graph", actor="bob"),
    ]
    old = {"id": "old", "appId": "o", "displayName": "Old"}
    logs = {"directory_audits": (datetime(2026, 9, 1), WEEKS[1], events)}
    take(settings, WEEKS[0], {**BASE, "service_principals": [GRAPH, APP, old]}, logs)
    renamed = another(APP, displayName="Other", replyUrls=["https://b.example"])
    take(settings, WEEKS[1], {**BASE, "service_principals": [GRAPH, renamed]})
    rows = sorted(found(settings, everything=True), key=lambda r: (r["kind"], r["change"]))
    assert [(r["kind"], r["change"], r["changed_at"], r["actor_id"], r["source"]) for r in rows] == [
        ("app", "added", WEEKS[0] - timedelta(days=3), "bob", "audit log"),
        ("app", "removed", at, "bob", "both"),
        ("property", "changed", at, "ada", "both"),
        ("reply_url", "removed", at, "bob", "both"),
    ]
    assert rows[2]["actor_name"] == "ada@x.example"
    assert [r["is_latest"] for r in rows] == [False, True, True, True]


def test_since_takes_dates_times_and_nothing(settings: Settings) -> None:
    one, two = another(GRANT, scope="User.Read A"), another(GRANT, scope="User.Read A B")
    weekly(settings, {}, {"delegated_grants": [one]}, {"delegated_grants": [two]})
    with tables(settings, "changes") as con:

        def subjects(when: Any = None) -> list[str]:
            """First letters of the permissions, the newest first."""
            return [row["subject"][0] for row in appgov_lib.changes.since(con, when)]

        assert subjects() == ["B"]
        assert subjects("2026-10-12") == subjects(date(2026, 10, 12)) == ["B", "A"]
        assert subjects(WEEKS[1]) == ["B", "A"]
        assert subjects(WEEKS[1] + timedelta(seconds=1)) == ["B"]
        assert subjects(WEEKS[1].replace(tzinfo=timezone(timedelta(hours=2)))) == ["B", "A"]
        assert subjects(WEEKS[2].replace(tzinfo=UTC) + timedelta(hours=1)) == []
        with pytest.raises(ConfigError, match="no date or time"):
            subjects("yesterday'; DROP TABLE changes; --")


def test_names_of_strangers_are_only_text(settings: Settings) -> None:
    name = "=cmd|'/c calc'!A1 <b>'; DROP TABLE changes; --\u202e"
    weekly(settings, {}, {"service_principals": [GRAPH, another(APP, displayName=name)]})
    assert [row["after"] for row in found(settings)] == [name]


def test_pruning_leaves_what_became_different(settings: Settings) -> None:
    for week in range(14):
        app = another(APP, displayName=f"Name {week // 5}", replyUrls=[f"https://{week // 3}.example"])
        policy = another(POLICY, allowInvitesFrom=f"v{week // 4}")
        apps = [GRAPH, app] if week % 7 else [GRAPH]
        take(settings, datetime(2026, 6, 1, 6) + timedelta(weeks=week),
             {**BASE, "service_principals": apps, "authorization_policy": [policy]})  # fmt: skip
    before = found(settings, everything=True)
    assert {row["kind"] for row in before} == {"app", "property", "reply_url", "setting"}
    for now in (datetime(2026, 7, 25), datetime(2026, 11, 16)):  # one prune builds on another
        assert prune(settings, 40, now).files > 0
    assert found(settings, everything=True) == before


def test_a_home_pruned_before_apps_were_kept_starts_their_history_later(settings: Settings) -> None:
    for week in range(12):
        app = another(APP, displayName=f"Name {week}")
        take(settings, datetime(2026, 7, 6, 6) + timedelta(weeks=week), {**BASE, "service_principals": [GRAPH, app]})
    prune(settings, 40, datetime(2026, 11, 16))
    for name in ("apps_seen", "settings_seen"):
        (settings.data_dir / "history" / f"{name}.parquet").unlink()
    rows = found(settings, everything=True)
    assert {row["kind"] for row in rows} == {"property"}
    assert [row["after"] for row in rows] == [f"Name {week}" for week in range(11, 4, -1)]


# ---- the sample tenant -----------------------------------------------------------------------------------------------


NAMES = ("organization", "service_principals", "applications", "delegated_grants", "app_role_assignments",
         "application_owners", "directory_role_assignments", "users")  # fmt: skip


@pytest.fixture
def tenant() -> Iterator[SampleTenant]:
    """A tenant of its own, because the test changes it."""
    with running(service_principals=160) as started:
        yield started


def test_three_extractions_show_what_was_done_between(tenant: SampleTenant, tmp_path: Path) -> None:
    """Each change of the sample is there once and nothing else, and a forbidden list shows nothing gone."""
    settings = Settings(home=tmp_path, endpoint=tenant.endpoint)

    def read(day: int) -> None:
        """Extract that many days after the first run."""
        extract(settings, now=datetime(2026, 11, 9 + day), names=NAMES, credential=ReadyToken(tenant.token))

    read(0)
    read(1)
    assert found(settings, everything=True) == []
    for kind in ("rename_app", "add_password", "add_grant", "rename_user", "delete_user"):
        tenant.control("change", {"n": 1, "kind": kind})
    read(2)
    first = found(settings)
    assert sorted((r["kind"], r["change"], r["source"]) for r in first) == [
        ("credential", "added", "snapshot"),
        ("delegated_grant", "added", "snapshot"),  # two scopes
        ("delegated_grant", "added", "snapshot"),
        ("property", "changed", "snapshot"),
    ]
    assert next(r["after"] for r in first if r["kind"] == "property").endswith("(renamed 1)")
    # the app and two of the lists that hang on it
    gone = tenant.control("change", {"n": 1, "kind": "delete_service_principal"})["changes"]
    tenant.control("faults", {"forbid": "/servicePrincipals"})
    read(3)
    assert [r for r in found(settings, everything=True) if r["kind"] == "app"] == []
    tenant.control("faults", {})
    read(4)
    apps = [r for r in found(settings) if r["kind"] == "app"]
    assert [(r["change"], r["service_principal_id"]) for r in apps] == [
        ("removed", next(c["id"] for c in gone if c["path"] == "/servicePrincipals"))
    ]
    assert (apps[0]["seen_from"], apps[0]["seen_at"]) == (datetime(2026, 11, 11), datetime(2026, 11, 13))
    assert {r["change"] for r in found(settings, datetime(2026, 11, 12))} == {"removed"}
