"""Policies about who does something to apps: people without a history, with fresh access, or with a script."""

from __future__ import annotations

import json

import duckdb
import pytest
from policy_tables import REGISTRATION, SP, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse with one highly privileged app."""
    con = state_warehouse()
    put(con, "app_inventory", privilege_level="high", high_privilege_count=2, owner_count=1)
    con.execute("UPDATE coverage SET from_at = '2026-08-17'")
    return con


def skipped(con: duckdb.DuckDBPyConnection, policy: str, source: str, state: str = "not_permitted") -> None:
    """The policy is not judged where a source is in this state."""
    cover(con, source, state)
    with pytest.raises(UserError, match=f"Source {source} is"):
        found(con, policy)


def credential(con: duckdb.DuckDBPyConnection, at: str, actor: str = "u1", **more: object) -> None:
    """A credential that was added, by the audit log."""
    row = {
        "service_principal_id": SP,
        "object_id": REGISTRATION,
        "key_id": f"k-{at}",
        "added_at": f"2026-{at}",
        "added_source": "audit log",
        "actor_id": actor,
        "actor_name": {"u1": "Ada", "u2": "Bob"}.get(actor, actor),
        "actor_type": "user",
        "is_present": True,
        "earlier_count": 1,
    }
    put(con, "credential_additions", **{**row, **more})


def told(con: duckdb.DuckDBPyConnection, at: str, activity: str, *targets: dict[str, object], **more: object) -> None:
    """An audit event of November by Cy."""
    row = {"audit_id": f"a-{at}", "actor_id": "u3", "actor_name": "Cy", "result": "success"}
    ids = [str(target["id"]) for target in targets]
    row |= {"activity": activity, "activity_at": f"2026-11-{at}", "target_ids": ids, "targets": json.dumps(targets)}
    put(con, "stg_directory_audits", **{**row, **more})


def person(user: str = "u1", **properties: str) -> dict[str, object]:
    """A person as target, with changed properties; _ in a name stands for a dot."""
    changed = [{"displayName": name.replace("_", "."), "newValue": value} for name, value in properties.items()]
    return {"id": user, "type": "User", "modifiedProperties": changed}


# ---- credential-by-unusual-actor -------------------------------------------------------------------------------------

UNUSUAL = "credential-by-unusual-actor"


def usual(con: duckdb.DuckDBPyConnection, *days: str) -> None:
    """Credentials that Bob adds."""
    for day in days or ("09-01", "09-10", "09-20", "10-01", "10-10"):
        credential(con, f"{day} 09:00", "u2")


def test_a_person_who_never_added_a_credential(con):
    usual(con)
    credential(con, "11-10 09:00")
    credential(con, "11-11 09:00", "u2")
    row = one(con, UNUSUAL)
    assert (row["subject"], row["measure"]) == ("k-11-10 09:00", 5)
    assert row["reason"] == (
        "Ada, who does not own the app, added a credential on 2026-11-10 09:00 UTC; in the 90 days to the end of the "
        "period 5 credentials were added before by 1 other person and none by this one. The app holds 2 permissions "
        "of high privilege."
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credential_additions SET actor_id = 'u1' WHERE added_at < '2026-09-02'",
        "DELETE FROM credential_additions WHERE added_at < '2026-09-02'",
        f"INSERT INTO app_owners (service_principal_id, owner_id) VALUES ('{SP}', 'u1')",
        "UPDATE app_inventory SET owner_count = NULL",
        "UPDATE app_inventory SET high_privilege_count = 0",
        "UPDATE app_inventory SET is_in_scope = false",
        "UPDATE credential_additions SET actor_type = 'service_principal' WHERE actor_id = 'u1'",
    ],
    ids=["did so before", "rare for all", "an owner", "owners not known", "no power", "Microsoft's own", "an app"],
)
def test_people_who_may_well_add_a_credential(con, change: str):
    usual(con)
    credential(con, "11-10 09:00")
    assert len(found(con, UNUSUAL)) == 1
    con.execute(change)
    assert found(con, UNUSUAL).empty


def test_the_history_of_people_needs_the_whole_log_and_long_enough(con):
    skipped(con, UNUSUAL, "directory_audits", "partial")
    cover(con, "directory_audits", "complete")
    con.execute("UPDATE coverage SET from_at = '2026-10-17'")
    with pytest.raises(UserError, match="must go back to 2026-08-18"):
        found(con, UNUSUAL)


# ---- credential-after-fresh-role -------------------------------------------------------------------------------------

FRESH = "credential-after-fresh-role"
ROLE = {"Role_DisplayName": '"Application Administrator"'}
READERS = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b"


def test_a_role_and_then_a_credential(con):
    told(con, "10 09:00", "Add member to role", person(**ROLE))
    credential(con, "11-10 15:00")
    row = one(con, FRESH)
    assert (row["subject"], row["measure"]) == ("u1", 6)
    assert row["reason"] == (
        "Ada was given Application Administrator on 2026-11-10 09:00 UTC by Cy and added a credential to this app on "
        "2026-11-10 15:00 UTC; it holds 2 permissions of high privilege."
    )


@pytest.mark.parametrize(
    "properties",
    [{"Role_TemplateId": '"62E90394-69F5-4237-9190-012177145E10"'}, {}],
    ids=["named by its id", "not named"],
)
def test_roles_that_the_log_names_otherwise(con, properties: dict[str, str]):
    told(con, "10 09:00", "Add eligible member to role in PIM completed (permanent)", person(**properties))
    credential(con, "11-10 15:00")
    assert one(con, FRESH)["evidence"]["role"] == ("Global Administrator" if properties else "a role that is not named")


@pytest.mark.parametrize(
    ("at", "activity", "properties", "more"),
    [
        ("10 16:00", "Add member to role", ROLE, {}),
        ("09 09:00", "Add member to role", ROLE, {}),
        ("10 09:00", "Add member to role", ROLE, {"actor_name": "MS-PIM"}),
        ("10 09:00", "Add member to role completed (PIM activation)", ROLE, {}),
        ("10 09:00", "Add member to role", ROLE, {"result": "failure"}),
        ("10 09:00", "Add member to role", {"Role_DisplayName": '"Application Developer"'}, {}),
        ("10 09:00", "Add member to role", {"Role_DisplayName": '"Directory Readers"'}, {}),
        ("10 09:00", "Add member to role", {"Role_TemplateId": f'"{READERS}"'}, {}),
    ],
    ids=["after it", "30 hours", "activated", "activation", "failed", "developer", "reader", "reader by id"],
)
def test_roles_that_explain_nothing(con, at: str, activity: str, properties: dict[str, str], more: dict[str, str]):
    told(con, at, activity, person(**properties), **more)
    credential(con, "11-10 15:00")
    assert found(con, FRESH).empty


def test_a_credential_of_another_person_or_on_a_harmless_app(con):
    told(con, "10 09:00", "Add member to role", person(**ROLE))
    credential(con, "11-10 15:00", "u2")
    assert found(con, FRESH).empty
    credential(con, "11-10 16:00")
    assert len(found(con, FRESH)) == 1
    con.execute("UPDATE app_inventory SET high_privilege_count = 0")
    assert found(con, FRESH).empty
    skipped(con, FRESH, "directory_audits")


# ---- many-apps-by-one-actor ------------------------------------------------------------------------------------------

MANY = "many-apps-by-one-actor"


def burst(con: duckdb.DuckDBPyConnection, *minutes: int) -> None:
    """Apps that Cy brings in."""
    for minute in minutes:
        target = {"id": f"sp{minute}", "type": "ServicePrincipal"}
        told(con, f"10 09:{minute:02}", "Add service principal", target, target_name=f"App {minute}")


def test_apps_brought_in_by_a_script(con):
    burst(con, 0, 1, 5, 10, 11)
    row = one(con, MANY)
    assert (row["service_principal_id"], row["subject"], row["measure"]) == ("sp0", "u3", 4)
    assert row["reason"] == (
        "Cy brought 4 apps into the tenant from 2026-11-10 09:00 UTC to 09:10 UTC (App 0, App 1, App 10)."
    )
    assert row["evidence"]["apps"] == ["App 0", "App 1", "App 10", "App 5"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stg_directory_audits SET activity_at = '2026-11-10 09:20' WHERE target_name = 'App 3'",
        "UPDATE stg_directory_audits SET actor_id = target_name",
        "UPDATE stg_directory_audits SET target_ids = ['sp0']",
        "UPDATE stg_directory_audits SET actor_id = NULL",
        "UPDATE stg_directory_audits SET result = 'failure'",
        "UPDATE stg_directory_audits SET actor_app_id = '00000002-0000-0000-c000-000000000000'",
        "INSERT INTO app_inventory (service_principal_id, is_first_party) VALUES ('u3', true)",
        "INSERT INTO app_inventory (service_principal_id, is_first_party) VALUES ('sp0', true)",
        "INSERT INTO app_inventory (service_principal_id, service_principal_type) VALUES ('sp0', 'ManagedIdentity')",
    ],
    ids=["later", "several people", "one app", "nobody named", "failed", "by a listed app", "by Microsoft's", "of "
         "Microsoft's", "managed identity"],
)  # fmt: skip
def test_apps_that_come_in_ordinary_ways(con, change: str):
    burst(con, 0, 1, 2, 3)
    assert len(found(con, MANY)) == 1
    con.execute(change)
    assert found(con, MANY).empty


def test_bursts_are_not_judged_without_the_audit_log(con):
    skipped(con, MANY, "directory_audits")


# ---- receiver-becomes-giver ------------------------------------------------------------------------------------------

GIVER = "receiver-becomes-giver"


def given(con: duckdb.DuckDBPyConnection, at: str, detail: str = "Dee", actor: str = "u1") -> None:
    """An owner of the app, named by Ada."""
    put(con, "app_events", happened_at=f"2026-11-{at}", event="owner added", detail=detail, actor_id=actor,
        actor_name="Ada")  # fmt: skip


def test_access_that_is_given_on(con):
    told(con, "10 09:00", "Add owner to application", person(), {"id": REGISTRATION, "type": "Application"})
    given(con, "10 10:00")
    row = one(con, GIVER)
    assert (row["subject"], row["measure"]) == ("u1", 1)
    assert row["reason"] == (
        "Ada was given access on 2026-11-10 09:00 UTC (Add owner to application) by Cy and gave access on from "
        "2026-11-10 10:00 UTC (owner added: Dee); the app holds 2 permissions of high privilege."
    )


@pytest.mark.parametrize(
    ("at", "more", "on"),
    [
        ("10 11:00", {}, "10 10:00"),
        ("10 09:00", {}, "11 10:00"),
        ("10 09:00", {"actor_id": "u1"}, "10 10:00"),
        ("10 09:00", {"activity": "Add member to role completed (PIM activation)"}, "10 10:00"),
        ("10 09:00", {"actor_name": "MS-PIM", "activity": "Add member to role"}, "10 10:00"),
        ("02 09:00", {}, "02 10:00"),
    ],
    ids=["given before", "a day later", "took it", "activation", "activated", "before the period"],
)
def test_access_that_is_no_chain(con, at: str, more: dict[str, str], on: str):
    activity = more.get("activity", "Add owner to application")
    told(con, at, activity, person(), **{name: value for name, value in more.items() if name != "activity"})
    given(con, on)
    assert found(con, GIVER).empty


def test_a_chain_over_a_harmless_app_or_without_the_log(con):
    told(con, "10 09:00", "Add member to role", person(**ROLE))
    given(con, "10 10:00", actor="u2")
    assert found(con, GIVER).empty
    given(con, "10 10:00")
    assert len(found(con, GIVER)) == 1
    con.execute("UPDATE app_inventory SET high_privilege_count = 0")
    assert found(con, GIVER).empty
    skipped(con, GIVER, "directory_audits")
