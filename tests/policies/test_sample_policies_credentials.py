"""What the policies about credentials and owners find in the sample tenant, worked out here from its records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sample_tenant

import appgov_lib
from appgov_lib.sample import AS_OF, answer_key

MICROSOFT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
Found = set[tuple[str, str]]


@pytest.fixture(scope="module")
def con(sample_home: Path) -> Iterator[Any]:
    """The built sample warehouse, read-only."""
    made = appgov_lib.connect(tenant="sample", home=sample_home)
    yield made
    made.close()


def found(con: Any, policy: str) -> Found:
    """App and subject of each finding of a policy."""
    return set(con.execute("SELECT app_id, subject FROM findings WHERE policy_id = ?", [policy]).fetchall())


def day(text: str) -> date:
    """The day of a time of Graph."""
    return date.fromisoformat(text[:10])


def privileged(con: Any) -> set[str]:
    """Apps of high or medium privilege."""
    query = "SELECT app_id FROM app_inventory WHERE privilege_level IN ('high', 'medium')"
    return {app for (app,) in con.execute(query).fetchall()}


def credentials() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Secrets and certificates of apps in scope: app id, object, kind, record."""
    strangers = sample_tenant.service_principals()
    for place, objects in (("application", sample_tenant.applications()), ("service_principal", strangers)):
        for app_id, record in objects.items():
            principal = strangers.get(app_id, {})
            if principal.get("appOwnerOrganizationId") == MICROSOFT:
                continue
            if principal.get("servicePrincipalType") == "ManagedIdentity":
                continue
            for kind in ("password", "key"):
                for credential in record.get(f"{kind}Credentials") or []:
                    yield app_id, place, kind, credential


def added() -> Found:
    """Credentials of registrations in the audit log of the last week: app id, key id."""
    apps = {record["id"]: app_id for app_id, record in sample_tenant.applications().items()}
    pairs = set()
    for event in sample_tenant.rows("/v1.0/auditLogs/directoryAudits?$top=999"):
        if not 0 <= (AS_OF - day(event["activityDateTime"])).days < 7:
            continue
        for target in event["targetResources"]:
            for change in target["modifiedProperties"] or []:
                if change["displayName"] == "KeyDescription" and target["id"] in apps:
                    keys = re.findall("KeyIdentifier=([0-9a-f-]{36})", change["newValue"] or "")
                    pairs |= {(apps[target["id"]], key) for key in keys if key not in (change["oldValue"] or "")}
    return pairs


def test_each_credential_that_came_in_the_week_is_told_once(con: Any) -> None:
    assert len(added()) == 3
    assert found(con, "credential-added") == added()


def test_the_first_credential_is_that_of_the_app_which_has_no_other(con: Any) -> None:
    counts: dict[str, int] = {}
    for app_id, *_ in credentials():
        counts[app_id] = counts.get(app_id, 0) + 1
    expected = {(app, key) for app, key in added() if counts[app] == 1}
    assert len(expected) == 1
    assert found(con, "first-credential-on-app") == expected


def test_only_the_certificate_on_an_outside_app_is_reported(con: Any) -> None:
    expected = {(app, "") for app, place, _, _ in credentials() if place == "service_principal"}
    assert len(expected) == 1
    assert found(con, "credential-on-outside-app") == expected
    assert found(con, "credential-on-service-principal") == set()


def test_lifetimes_are_as_the_records_say(con: Any) -> None:
    wanted = {
        app
        for app, _, _, record in credentials()
        if day(record["endDateTime"]) >= AS_OF
        and (day(record["endDateTime"]) - day(record["startDateTime"])).days > 730
    }
    assert found(con, "long-lived-credential") == {(app, "") for app in wanted & privileged(con)}


def test_secrets_side_by_side_are_reported_once_the_change_is_over(con: Any) -> None:
    secrets: dict[str, list[dict[str, Any]]] = {}
    for app, _, kind, record in credentials():
        if kind == "password" and day(record["endDateTime"]) >= AS_OF:
            secrets.setdefault(app, []).append(record)
    expected = {
        (app, "")
        for app, held in secrets.items()
        if len(held) > 1
        and max((AS_OF - day(record["startDateTime"])).days for record in held) >= 90
        and all((AS_OF - day(record["startDateTime"])).days >= 90 for record in held)
        and all((day(record["endDateTime"]) - AS_OF).days >= 30 for record in held)
    }
    assert len(expected) == 1
    assert found(con, "several-live-secrets") == expected


def test_an_owner_who_left_counts_as_none(con: Any) -> None:
    stories = {story["story"]: story["app_id"] for story in answer_key()["stories"]}
    expected = {(stories["ownerless-high-privilege"], ""), (stories["owner-left"], "")}
    assert found(con, "ownerless-app") == expected


@pytest.mark.parametrize(
    "policy",
    [
        "credential-by-lower-tier-actor",  # an application administrator adds them all
        "untrusted-federated-issuer",
        "federated-credential-changed",
        "credential-on-microsoft-app",
        "expired-credential-left",
        "owners-gone",
        "risky-owner",
        "owner-added",  # two, on apps without high privilege
    ],
)
def test_nothing_is_reported_where_nothing_is_planted(con: Any, policy: str) -> None:
    assert found(con, policy) == set()


def test_quiet_apps_have_nothing_above_info_from_these_policies(con: Any) -> None:
    quiet = [entry["app_id"] for entry in answer_key()["quiet"]]
    query = "SELECT policy_id FROM findings WHERE app_id IN (SELECT unnest($quiet)) AND severity <> 'info'"
    assert con.execute(query, {"quiet": quiet}).fetchall() == []
