"""The inventory of the sample tenant column by column, each computed here from the records of the directory."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sample_tenant import applications, page, rows

from appgov_lib.sample import AS_OF
from appgov_lib.sample.key import answer_key
from appgov_lib.store.warehouse import connect

MICROSOFT = {"f8cdef31-a31e-4b4a-93e4-5f571e91255a", "72f988bf-86f1-41af-91ab-2d7cd011db47"}
GRAPH = "00000003-0000-0000-c000-000000000000"


@pytest.fixture(scope="module")
def con(sample_home: Path) -> duckdb.DuckDBPyConnection:
    """The warehouse of the sample tenant."""
    return connect("sample", sample_home)


def column(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """A column of app_inventory by service principal; times as the first 19 letters of their ISO form."""
    found = con.execute(f"SELECT service_principal_id, {name} FROM app_inventory").fetchall()
    return {key: value.isoformat()[:19] if hasattr(value, "isoformat") else value for key, value in found}


@cache
def principals() -> dict[str, dict[str, Any]]:
    """Service principals by object id; one has no app id."""
    return {row["id"]: row for row in rows("/v1.0/servicePrincipals?$top=999")}


@cache
def assignments() -> list[dict[str, Any]]:
    """Every application permission, with the app that holds it and the API that gives it."""
    return [row for key in principals() for row in rows(f"/v1.0/servicePrincipals/{key}/appRoleAssignments")]


@cache
def delegated() -> list[dict[str, Any]]:
    """Delegated grants that name at least one scope."""
    return [row for row in rows("/v1.0/oauth2PermissionGrants?$top=999") if (row.get("scope") or "").split()]


def test_names_ids_publishers_and_origins(con: duckdb.DuckDBPyConnection) -> None:
    registered = {app: row["displayName"] for app, row in applications().items()}
    apps = principals()
    assert column(con, "app_id") == {key: row.get("appId") for key, row in apps.items()}
    assert column(con, "display_name") == {
        key: row.get("displayName") or registered.get(row.get("appId") or "") for key, row in apps.items()
    }
    verified = {key: (row.get("verifiedPublisher") or {}) for key, row in apps.items()}
    assert column(con, "publisher_verified") == {key: bool(v.get("verifiedPublisherId")) for key, v in verified.items()}
    names = {key: v.get("displayName") or apps[key].get("publisherName") for key, v in verified.items()}
    assert column(con, "publisher_name") == names
    home = answer_key()["tenant_id"]

    def origin(row: dict[str, Any]) -> str:
        owner = row.get("appOwnerOrganizationId")
        if row.get("servicePrincipalType") == "ManagedIdentity" or owner == home:
            return "internal"
        return "microsoft" if owner in MICROSOFT else "external" if owner else "unknown"

    assert column(con, "app_origin") == {key: origin(row) for key, row in apps.items()}


def test_status_and_the_day_it_came(con: duckdb.DuckDBPyConnection) -> None:
    def status(row: dict[str, Any]) -> str | None:
        if row.get("isDisabled"):
            return "deactivated"
        if (row.get("disabledByMicrosoftStatus") or "").startswith("Disabled"):
            return "disabled_by_microsoft"
        return {True: "enabled", False: "disabled_by_user"}.get(row.get("accountEnabled"))  # type: ignore[arg-type]

    assert column(con, "status") == {key: status(row) for key, row in principals().items()}
    dated = {key: row["createdDateTime"][:19] for key, row in principals().items() if row.get("createdDateTime")}
    found = column(con, "added_on")
    assert {key: found[key] for key in dated} == dated
    assert len(dated) > 300


def test_what_apps_hold_and_who_consented(con: duckdb.DuckDBPyConnection) -> None:
    (graph,) = [key for key, row in principals().items() if row.get("appId") == GRAPH]
    roles = {row["principalId"] for row in rows("/v1.0/roleManagement/directory/roleAssignments")}
    held = {"application": {row["principalId"] for row in assignments()}, "entra_roles": roles}
    held["delegated"] = {row["clientId"] for row in delegated()}
    users = defaultdict(set)
    for row in delegated():
        if row["consentType"] == "Principal":
            users[row["clientId"]].add(row["principalId"])
    everybody = {row["clientId"] for row in delegated() if row["consentType"] == "AllPrincipals"}
    kinds, consents = {}, {}
    for key in principals():
        mine = [kind for kind, holders in held.items() if key in holders]
        kinds[key] = "mixed" if len(mine) > 1 else mine[0] if mine else "none"
        by = (key in everybody or key in held["application"], key in users)
        consents[key] = {(True, True): "mixed", (True, False): "admin", (False, True): "user"}.get(by, "none")
    assert column(con, "permission_type") == kinds
    assert column(con, "consent_type") == consents
    assert {"delegated", "application", "mixed", "none"} <= set(kinds.values())
    assert column(con, "consented_users") == {key: len(users[key]) for key in principals()}
    on_graph = {row["principalId"] for row in assignments() if row["resourceId"] == graph}
    on_graph |= {row["clientId"] for row in delegated() if row["resourceId"] == graph}
    assert column(con, "graph_api_access") == {key: key in on_graph for key in principals()}
    total = con.execute("SELECT count(*) FROM app_permissions WHERE permission_type = 'application'").fetchall()
    assert total[0][0] == len({(row["principalId"], row["resourceId"], row["appRoleId"]) for row in assignments()})


def test_the_next_credential_to_end(con: duckdb.DuckDBPyConnection) -> None:
    today = AS_OF.isoformat()
    expected = {}
    for key, row in principals().items():
        objects = [row, applications().get(row.get("appId") or "", {})]
        ends = [
            credential["endDateTime"][:19]
            for record in objects
            for kind in ("passwordCredentials", "keyCredentials")
            for credential in record.get(kind) or []
            if credential["endDateTime"][:10] >= today
        ]
        expected[key] = min(ends, default=None)
    assert column(con, "next_expiry_at") == expected


def test_last_sign_in_is_the_newest_of_report_and_log(con: duckdb.DuckDBPyConnection) -> None:
    report = {
        row["appId"]: ((row.get("lastSignInActivity") or {}).get("lastSignInDateTime") or "")[:19]
        for row in page("/beta/reports/servicePrincipalSignInActivities?$top=999")["value"]
    }
    found = column(con, "last_sign_in_at")
    by_app = {principals()[key].get("appId"): value for key, value in found.items()}
    told = {app: at for app, at in report.items() if at and app in by_app}
    assert len(told) > 100
    assert all(by_app[app] is not None and by_app[app] >= at for app, at in told.items())
    silent = {key for key, value in column(con, "last_used_at").items() if value is None}
    assert {key for key, value in column(con, "days_since_last_use").items() if value is None} == silent
    assert silent
