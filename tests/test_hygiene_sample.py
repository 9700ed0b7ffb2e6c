"""Inventory and hygiene of the sample tenant against what its records say, counted here in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sample_tenant

import appgov_lib
from appgov_lib.sample import AS_OF, answer_key

MICROSOFT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
Credential = dict[str, Any]


@pytest.fixture(scope="module")
def con(sample_home: Path) -> Iterator[Any]:
    """The built sample warehouse, read-only."""
    made = appgov_lib.connect(tenant="sample", home=sample_home)
    yield made
    made.close()


def flagged(con: Any, check: str) -> set[str]:
    """Apps a check says yes to."""
    query = "SELECT app_id FROM app_hygiene WHERE check_id = ? AND verdict = 'yes'"
    return {app for (app,) in con.execute(query, [check]).fetchall()}


def credentials() -> Iterator[tuple[str, str, str, Credential]]:
    """Every secret and certificate of apps that are not Microsoft's: app id, object, kind, record."""
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


def day(text: str) -> date:
    """The day of a time of Graph."""
    return date.fromisoformat(text[:10])


def days_left(credential: Credential) -> int:
    """Days from the as-of date to the end."""
    return (day(credential["endDateTime"]) - AS_OF).days


def lifetime(credential: Credential) -> int:
    """Days from start to end."""
    return (day(credential["endDateTime"]) - day(credential["startDateTime"])).days


RULES: dict[str, Callable[[str, str, Credential], bool]] = {
    "expiring_credential": lambda place, kind, c: 0 <= days_left(c) <= 30,
    "expired_credential": lambda place, kind, c: days_left(c) < 0,
    "long_lived_secret": lambda place, kind, c: kind == "password" and days_left(c) >= 0 and lifetime(c) > 180,
    "very_long_lived_secret": lambda place, kind, c: kind == "password" and days_left(c) >= 0 and lifetime(c) > 365,
    "secret_on_service_principal": lambda place, kind, c: (place, kind) == ("service_principal", "password"),
}


@pytest.mark.parametrize("check", sorted(RULES))
def test_credentials_are_judged_as_their_records_say(con: Any, check: str) -> None:
    expected = {app for app, place, kind, record in credentials() if RULES[check](place, kind, record)}
    assert flagged(con, check) == expected


def test_exactly_the_apps_without_a_live_owner_are_ownerless(con: Any) -> None:
    enabled = {row["id"]: row["accountEnabled"] for row in sample_tenant.rows("/v1.0/users?$top=999")}
    on_principal: dict[str, list[str]] = {
        row["appId"]: [owner["id"] for owner in row["owners"]]
        for row in sample_tenant.rows("/v1.0/servicePrincipals?$top=999&$expand=owners")
    }
    expected, disabled = set(), set()
    for app_id, record in sample_tenant.applications().items():
        owners = {owner["id"] for owner in record["owners"]} | set(on_principal.get(app_id, []))
        if not any(enabled.get(owner, True) for owner in owners):
            expected.add(app_id)
            if owners:
                disabled.add(app_id)
    assert flagged(con, "ownerless") == expected
    assert flagged(con, "only_disabled_owners") == disabled
    assert disabled  # one owner who left is planted


def test_exactly_the_planted_apps_are_unused(con: Any) -> None:
    planted = {app for policy, app in answer_key()["expected_findings"] if policy == "unused-app"}
    assert flagged(con, "unused_app") == planted
    assert flagged(con, "dormant_with_permissions") == planted


def test_exactly_the_credentials_without_a_sign_in_are_unused(con: Any) -> None:
    report = sample_tenant.rows("/beta/reports/appCredentialSignInActivities?$top=999")
    used = {row["keyId"]: (row.get("signInActivity") or {}).get("lastSignInDateTime") for row in report}
    expected = {
        app
        for app, _, _, record in credentials()
        if days_left(record) >= 0 and (AS_OF - day(used.get(record["keyId"]) or record["startDateTime"])).days >= 30
    }
    planted = {app for policy, app in answer_key()["expected_findings"] if policy == "unused-credential"}
    assert planted <= expected
    assert flagged(con, "unused_credential") == expected


def test_a_pull_request_is_the_only_wide_subject(con: Any) -> None:
    query = "SELECT detail FROM app_hygiene WHERE check_id = 'wide_federated_subject' AND verdict = 'yes'"
    details = [detail for (detail,) in con.execute(query).fetchall()]
    assert len(details) == 1
    assert details[0].startswith("GitHub subject without branch, tag or environment: repo:")
    assert flagged(con, "foreign_federated_issuer") == set()


def test_almost_nothing_is_unknown_in_a_tenant_that_was_read_to_its_end(con: Any) -> None:
    rows = con.execute("SELECT check_id, reason FROM app_hygiene WHERE verdict = 'unknown'").fetchall()
    assert len(rows) < 10
    assert not [reason for _, reason in rows if reason.startswith("not fully read")]


def test_every_service_principal_is_in_the_inventory_and_microsofts_own_are_marked(con: Any) -> None:
    rows = con.execute("SELECT app_id, is_first_party, is_in_scope, first_party_basis FROM app_inventory").fetchall()
    principals = sample_tenant.rows("/v1.0/servicePrincipals?$top=999")
    assert len(rows) == len(principals)
    microsoft = {row["appId"] for row in principals if row.get("appOwnerOrganizationId") == MICROSOFT}
    assert {app for app, first_party, _, _ in rows if first_party} == microsoft
    managed = {row["appId"] for row in principals if row.get("servicePrincipalType") == "ManagedIdentity"}
    assert {app for app, _, in_scope, _ in rows if not in_scope} == microsoft | managed
    assert {basis for _, first_party, _, basis in rows if first_party} == {"owner tenant"}


def test_the_row_says_what_the_sources_say(con: Any) -> None:
    seen = con.execute(
        """SELECT count(*) FILTER (is_agent), count(microsoft_risk_score), count(bytes_trend_percent),
                  count(first_consented_at), count(last_modified_at), bool_and(first_consented_at <= $day + 1),
                  bool_and(first_consented_source IS NOT NULL) FILTER (permission_count > 0),
                  count(*) FILTER (days_since_last_use IS NOT NULL AND last_used_at IS NULL)
           FROM app_inventory""",
        {"day": AS_OF},
    ).fetchone()
    agents, scored, trends, consented, modified, in_time, sourced, invented = seen
    assert agents == 1
    assert min(scored, trends, consented, modified) > 50
    assert (in_time, sourced, invented) == (True, True, 0)
