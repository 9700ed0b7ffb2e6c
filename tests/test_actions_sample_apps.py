"""The sample tenant's plan for apps as a whole, and actions that a person asks for, from file to undo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from changing import rows
from changing_apps import ABUSED, whole
from test_actions_sample import here as prepared
from test_actions_sample import said

from appgov_lib.actions.on_request import ON_REQUEST, requested
from appgov_lib.errors import ConfigError
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings
from appgov_lib.store.warehouse import connect

pytestmark = pytest.mark.changes_a_tenant
KINDS = {
    ("Retired Kiosk", "delete_app"),
    ("DocuViewer Pro 365", "confirm_compromised"),
    ("Legacy Invoice Archiver", "confirm_compromised"),
    ("Legacy Invoice Archiver", "limit_sign_in"),
}


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """The tenant that the sample's warehouse was made from."""
    with running(writable=True) as made:
        yield made


here = prepared


@pytest.fixture
def con(here: Settings) -> Iterator[Any]:
    """The sample's warehouse."""
    made = connect(tenant=here.tenant, home=here.home)
    yield made
    made.close()


def test_what_the_sample_asks_for(con: Any):
    found = con.execute(
        "SELECT display_name, action_type FROM remediation_actions WHERE action_type IN ('remove_reply_urls', "
        "'trim_manifest', 'deactivate_registration', 'block_app', 'confirm_compromised', 'dismiss_risk', "
        "'limit_sign_in', 'delete_app')"
    ).fetchall()
    assert sorted(found) == sorted(KINDS)
    steps = con.execute("SELECT requests FROM remediation_actions WHERE action_type = 'delete_app'").fetchone()
    paths = [each["path"] for each in json.loads(steps[0])]
    assert [path.split("/")[2] for path in paths[-2:]] == ["servicePrincipals", "applications"]
    assert len(paths) > 2  # what it holds goes first


def app_of(con: Any, name: str) -> str:
    """An app id by name."""
    found: tuple[str] = con.execute("SELECT app_id FROM app_inventory WHERE display_name = ?", [name]).fetchone()
    return found[0]


ASKED = [
    ("block_app", ""),
    ("deactivate_registration", "Legacy Invoice Archiver"),
    ("confirm_compromised", "Retired Kiosk"),
    ("limit_sign_in", "Legacy Invoice Archiver"),
    ("delete_app", "Legacy Invoice Archiver"),
    ("delete_app", "DocuViewer Pro 365"),
]


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_asked_for_applied_and_taken_back(
    tenant: SampleTenant,
    here: Settings,
    con: Any,
    tmp_path: Path,
    kind: str,
    name: str,
):
    app_id, file = app_of(con, name) if name else ABUSED, str(tmp_path / "plan.json")
    con.close()
    before = whole(tenant)
    code, text = said(here, "request", file, "--kind", kind, "--app", app_id.upper(), "--json")
    assert code == 0, text
    plan = ("--plan", file, "--sha256", json.loads(text)["sha256"])
    assert "ready" in said(here, "apply", *plan)[1]
    assert whole(tenant) == before
    code, text = said(here, "apply", *plan, "--confirm", "--json", "--quiet")
    assert (code, {step["outcome"] for step in json.loads(text)["steps"]}) == (0, {"done"})
    assert said(here, "undo", json.loads(text)["run"], "--confirm", "--quiet")[0] == 0
    after = whole(tenant)
    lost = {"block_app": {"deletedServicePrincipals"}, "confirm_compromised": {"risky"}}.get(kind, set())
    assert {part for part in before if after[part] != before[part]} == lost


def test_what_is_deleted_is_restored_or_goes_for_good(
    tenant: SampleTenant,
    here: Settings,
    con: Any,
    tmp_path: Path,
):
    file = str(tmp_path / "plan.json")
    gone = rows(tenant, "/v1.0/directory/deletedItems/microsoft.graph.application")
    (app_id,) = {row["appId"] for row in gone if row["displayName"] == "Newsletter Sender"}
    planned = requested(con, "restore_app", app_id)
    assert [part.request.path.rsplit("/", 1)[-1] for part in planned.parts] == ["restore"] * 2
    con.close()
    _, text = said(here, "request", file, "--kind", "purge_app", "--app", app_id, "--json")
    plan = ("--plan", file, "--sha256", json.loads(text)["sha256"])
    assert said(here, "apply", *plan, "--confirm")[0] == 2  # it needs the word
    assert said(here, "apply", *plan, "--confirm", "--irreversible", "--quiet")[0] == 0
    left = rows(tenant, "/v1.0/directory/deletedItems/microsoft.graph.application")
    assert {row["appId"] for row in gone} - {row["appId"] for row in left} == {app_id}


def test_what_cannot_be_asked_for(con: Any, here: Settings, tmp_path: Path):
    inside, outside = app_of(con, "Retired Kiosk"), app_of(con, "DocuViewer Pro 365")
    for kind, app_id, words in (
        ("block_app", inside, "disable its sign-in instead"),
        ("deactivate_registration", outside, "not registered in this tenant"),
        ("limit_sign_in", outside, "not registered in this tenant"),
        ("confirm_compromised", ABUSED, "not in this tenant"),
        ("restore_app", inside, "among the deleted"),
        ("remove_user_assignment", inside, "--assignment"),
        ("delete_app", "x' OR 1 = 1", "not the id of an app"),
    ):
        with pytest.raises(ConfigError, match=words):
            requested(con, kind, app_id)
    con.close()
    code, _ = said(here, "request", str(tmp_path / "x"), "--kind", "delete_everything", "--app", inside)
    assert (code, (tmp_path / "x").exists()) == (2, False)
    assert replace(here) == here
    assert set(ON_REQUEST) >= {"delete_app", "purge_app", "remove_user_assignment"}


def test_a_user_is_taken_off_an_app(con: Any, here: Settings):
    con.close()
    import duckdb

    own = duckdb.connect()
    own.execute(
        "CREATE TABLE app_inventory AS SELECT 'cccccccc-0000-4000-8000-000000000001' AS service_principal_id, "
        "'aaaaaaaa-0000-4000-8000-000000000001' AS app_id, NULL AS application_id, 'A' AS display_name, "
        "NULL AS sign_in_audience"
    )
    own.execute(
        "CREATE TABLE stg_app_role_assignments AS SELECT 'as_1' AS assignment_id, 'u1' AS service_principal_id, "
        "'User' AS principal_type, 'cccccccc-0000-4000-8000-000000000001' AS resource_id, NULL AS app_role_id"
    )
    made = requested(own, "remove_user_assignment", "aaaaaaaa-0000-4000-8000-000000000001", "as_1")
    (part,) = made.parts
    assert part.request.path.endswith("/appRoleAssignedTo/as_1")
    assert part.expected == {
        "principalId": "u1",
        "resourceId": "cccccccc-0000-4000-8000-000000000001",
        "appRoleId": "00000000-0000-0000-0000-000000000000",
    }
    own.close()
