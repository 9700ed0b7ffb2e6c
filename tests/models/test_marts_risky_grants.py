"""Risky grants: which setting let one in, and whether it would do so again."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Bench
from consent import ANY_DELEGATED, LEGACY, coverage, posture, users_may

GRAPH = {
    "id": "graph", "appId": "graph-app", "appOwnerOrganizationId": "f8cdef31-a31e-4b4a-93e4-5f571e91255a",
    "oauth2PermissionScopes": [
        {"id": "scope-mail", "value": "Mail.Read", "type": "User"},
        {"id": "scope-all", "value": "Directory.Read.All", "type": "Admin"},
    ],
}  # fmt: skip


def risky(bench: Bench, *grants: tuple[str, str, str | None], verified: bool = False, **client: Any) -> Any:
    """risky_grants of one outside app with (id, scope, user) grants; what users may do is set before."""
    more = {"verifiedPublisher": {"verifiedPublisherId": "mpn"}} if verified else {}
    app = {"id": "app", "appId": "app-app", "appOwnerOrganizationId": "away", **more, **client}
    bench.raw("service_principals", [GRAPH, app])
    bench.table("stg_delegated_grants", "grant_id | service_principal_id | resource_id | consent_type | principal_id "
                "| scopes VARCHAR[]\n" + "\n".join(
                    f"{g} | app | graph | {'Principal' if user else 'AllPrincipals'} | {user or '-'} | [{scope}]"
                    for g, scope, user in grants))  # fmt: skip
    bench.table(
        "app_permissions",
        "service_principal_id | resource_id | resource_name | permission | permission_id | permission_type "
        "| privilege_level\n"
        "app | graph | Graph | Mail.Read | scope-mail | delegated | high\n"
        "app | graph | Graph | Directory.Read.All | scope-all | delegated | medium\n"
        "app | graph | Graph | openid | - | delegated | low\n"
        "app | graph | Graph | Mail.Send | role-send | application | high\n",
    )
    if not bench.con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'stg_app_role_assignments'").fetchall():
        bench.table("stg_app_role_assignments", ROLES)
    if not bench.con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'grant_history'").fetchall():
        bench.table("grant_history", HISTORY)
    bench.table(
        "app_inventory",
        "service_principal_id | app_id | display_name | app_origin | publisher_verified BOOLEAN "
        "| is_first_party BOOLEAN | service_principal_type\n"
        f"app | app-app | <i>App</i> | external | {verified} | false | Application",
    )
    posture(bench)
    bench.run("consent_asks")
    bench.run("consent_verdicts")
    return {r["grant_id"]: r for r in bench.run("risky_grants")}


ROLES = "assignment_id | service_principal_id | principal_type | resource_id | app_role_id | permission\n"
HISTORY = "grant_id | permission | valid_to TIMESTAMP | consented_at TIMESTAMP | consented_by_id | consented_by_name\n"


def test_a_user_grant_the_policy_still_allows_is_open(bench: Bench) -> None:
    coverage(bench)
    users_may(bench, LEGACY["id"])
    bench.raw("permission_grant_policies", [LEGACY])
    bench.table("grant_history", HISTORY + "g | Mail.Read | - | 2026-11-01 10:00:00 | ada | Ada")
    row = risky(bench, ("g", "Mail.Read", "ada"))["g"]
    assert (row["let_in_by"], row["still_open"], row["privilege_level"]) == ("user_consent", True, "high")
    assert (row["consented_by_name"], row["permissions"], row["principal_id"]) == ("Ada", ["Mail.Read"], "ada")
    assert "users may still give it (microsoft-user-default-legacy)" in row["reason"]


def test_a_permission_that_needs_an_administrator_is_closed(bench: Bench) -> None:
    coverage(bench)
    users_may(bench, LEGACY["id"])
    bench.raw("permission_grant_policies", [LEGACY])
    row = risky(bench, ("g", "Directory.Read.All, Mail.Read", "ada"))["g"]
    assert row["still_open"] is False
    assert "Directory.Read.All: the policy of users does not allow it" in row["reason"]
    assert "as far as known" in row["reason"]  # no audit event says who consented


LOW = {
    "id": "low",
    "includes": [
        {**ANY_DELEGATED, "permissionClassification": "low", "clientApplicationsFromVerifiedPublisherOnly": True}
    ],
}


@pytest.mark.parametrize(("verified", "still_open"), [(False, False), (True, None)])
def test_low_permissions_of_verified_publishers(bench: Bench, verified: bool, still_open: bool | None) -> None:
    coverage(bench)
    users_may(bench, "low")
    bench.raw("permission_grant_policies", [LOW])
    row = risky(bench, ("g", "Mail.Read", "ada"), verified=verified)["g"]
    assert row["still_open"] is still_open
    assert ("which was not read" in row["reason"]) is verified


@pytest.mark.parametrize(
    ("includes", "excludes", "still_open"),
    [
        ([ANY_DELEGATED], [], True),
        (
            [ANY_DELEGATED],
            [{**ANY_DELEGATED, "permissions": ["scope-mail"], "resourceApplication": "graph-app"}],
            False,
        ),
        ([ANY_DELEGATED], [{**ANY_DELEGATED, "permissions": ["scope-all"]}], True),
        ([ANY_DELEGATED], [{**ANY_DELEGATED, "permissionClassification": "high"}], None),
        ([{**ANY_DELEGATED, "clientApplicationIds": ["APP-APP"]}], [], True),
        ([{**ANY_DELEGATED, "clientApplicationIds": ["other"]}], [], False),
        ([{**ANY_DELEGATED, "clientApplicationTenantIds": ["home"]}], [], False),
        ([{**ANY_DELEGATED, "clientApplicationPublisherIds": ["mpn"]}], [], False),
        ([{**ANY_DELEGATED, "resourceApplication": "other-api"}], [], False),
        ([{"permissionType": "application"}], [], False),
    ],
)
def test_each_condition_of_a_policy_counts(
    bench: Bench, includes: list[Any], excludes: list[Any], still_open: bool | None
) -> None:
    coverage(bench)
    users_may(bench, "own")
    bench.raw("permission_grant_policies", [{"id": "own", "includes": includes, "excludes": excludes}])
    assert risky(bench, ("g", "Mail.Read", "ada"))["g"]["still_open"] is still_open


def test_nobody_may_consent_any_more(bench: Bench) -> None:
    coverage(bench)
    users_may(bench)
    row = risky(bench, ("g", "Mail.Read", "ada"))["g"]
    assert (row["still_open"], "users may not consent" in row["reason"]) == (False, True)


def test_an_app_that_requires_assignment_is_closed(bench: Bench) -> None:
    coverage(bench)
    users_may(bench, "own")
    bench.raw("permission_grant_policies", [{"id": "own", "includes": [ANY_DELEGATED]}])
    assert risky(bench, ("g", "Mail.Read", "ada"), appRoleAssignmentRequired=True)["g"]["still_open"] is False


def test_an_unread_setting_leaves_it_unknown(bench: Bench) -> None:
    coverage(bench, authorization_policy="not_permitted")
    row = risky(bench, ("g", "Mail.Read", "ada"))["g"]
    assert (row["still_open"], "was not read" in row["reason"]) == (None, True)


def test_what_an_administrator_gave_is_no_setting(bench: Bench) -> None:
    coverage(bench)
    users_may(bench, LEGACY["id"])
    bench.raw("permission_grant_policies", [LEGACY])
    bench.table("stg_app_role_assignments", ROLES + "role | app | ServicePrincipal | graph | role-send | Mail.Send\n"
                "group | app | Group | graph | role-send | Mail.Send")  # fmt: skip
    bench.table("grant_history", HISTORY + "one | Mail.Read | - | 2026-11-01 10:00:00 | admin | Admin")
    found = risky(bench, ("all", "Mail.Read", None), ("one", "Mail.Read", "ada"), ("low", "openid", "bob"))
    assert sorted(found) == ["all", "one", "role"]  # a low permission is not risky
    assert {(r["let_in_by"], r["still_open"]) for r in found.values()} == {("administrator", None)}
    assert found["role"]["permission_type"] == "application"


def test_an_admin_grant_of_medium_privilege_to_a_verified_publisher_is_not_risky(bench: Bench) -> None:
    coverage(bench)
    users_may(bench)
    assert risky(bench, ("g", "Directory.Read.All", None), verified=True) == {}
    assert sorted(risky(bench, ("g", "Directory.Read.All", None))) == ["g"]  # an unverified one is
