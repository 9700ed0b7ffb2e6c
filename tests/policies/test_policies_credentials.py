"""The policies about credentials, owners and federation: each fires, stays silent, and says when it cannot judge."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from policy_tables import APP, REGISTRATION, SP, add, cover, empty_warehouse, found, one

from appgov_lib.errors import UserError

Rows = list[tuple[str, dict[str, Any]]]
HIGH = {"privilege_level": "high", "high_privilege_count": 2}
TEN_YEARS = {"lifetime_days": 3650, "ends_at": "2034-01-01"}
ON_PRINCIPAL = {"credential_origin": "service_principal"}
OUTSIDE = {"app_origin": "external", "application_id": None}
MICROSOFT = {"app_origin": "microsoft", "is_first_party": True, "is_in_scope": False, "application_id": None}
OTHER = "00000000-0000-4000-8000-00000000000b"


def trust(issuer: str, subject: str = "repo:a/b:ref:refs/heads/main") -> str:
    """A list of one federated credential as the audit log writes it."""
    return json.dumps([json.dumps({"Issuer": issuer, "Subject": subject, "Name": "ci"})])


def update(old: str, new: str, **values: Any) -> tuple[str, dict[str, Any]]:
    """The audit event of a registration whose federated credentials were `old` and are `new`."""
    change = {"displayName": "FederatedIdentityCredentials", "oldValue": old, "newValue": new}
    row = {
        "audit_id": "e1",
        "activity_at": "2026-11-12 09:00",
        "activity": "Update application",
        "target_ids": [REGISTRATION],
        "targets": json.dumps([{"id": REGISTRATION, "modifiedProperties": [change]}]),
    }
    return "stg_directory_audits", {**row, **values}


def app(**values: Any) -> tuple[str, dict[str, Any]]:
    """The app, changed by `values`."""
    return "app_inventory", values


def came(**values: Any) -> tuple[str, dict[str, Any]]:
    """A credential that came in the period."""
    return "credential_additions", values


def held(**values: Any) -> tuple[str, dict[str, Any]]:
    """A credential the app has."""
    return "app_credentials", values


def owner(**values: Any) -> tuple[str, dict[str, Any]]:
    """An owner."""
    return "app_owners", values


def moved(change: str, **values: Any) -> tuple[str, dict[str, Any]]:
    """An owner who came or went."""
    words = "owner of the app registration"
    side = {"after": words} if change == "added" else {"before": words}
    return "changes", {"kind": "owner", "change": change, "subject": "ada@x.example", **side, **values}


def issuer(**values: Any) -> tuple[str, dict[str, Any]]:
    """A verdict about the issuer."""
    detail = "issuer that is not on our list: https://evil.example"
    return "app_hygiene", {"check_id": "foreign_federated_issuer", "subject": "f1", "detail": detail, **values}


SAML = ("stg_service_principals", {"service_principal_id": SP, "single_sign_on_mode": "saml"})
OLD, NEW = trust("https://gitlab.com"), trust("https://evil.example")
PLAIN_SP = held(**ON_PRINCIPAL, credential_type="certificate")

FIRES: list[tuple[str, Rows, tuple[str, float], str]] = [
    (
        "first-credential-on-app",
        [app(**HIGH), came()],
        ("k1", 680),
        "had no credential until one came on 2026-11-12, added by Ada.",
    ),
    (
        "first-credential-on-app",
        [app(privilege_level="medium"), came(actor_name=None)],
        ("k1", 680),
        "by whom is not known.",
    ),
    (
        "credential-added",
        [app(), came(earlier_count=3)],
        ("k1", 3),
        "A secret came on 2026-11-12, added by Ada, beside 3 known before.",
    ),
    ("credential-added", [app(), came(credential_type=None, is_present=False)], ("k1", 0), "it is gone again."),
    (
        "credential-added",
        [app(), came(credential_type="federated", added_at="2026-11-15 23:59")],
        ("k1", 0),
        "A federated",
    ),
    (
        "credential-by-lower-tier-actor",
        [app(**HIGH), came()],
        ("k1", 2),
        "Ada, who holds no privileged Entra role of their own, added",
    ),
    (
        "credential-by-lower-tier-actor",
        [app(**HIGH), came(), owner(owner_id="u1")],
        ("k1", 2),
        "own and owns the app, added",
    ),
    (
        "credential-by-lower-tier-actor",
        [
            app(**HIGH),
            came(actor_id=OTHER, actor_type="service_principal"),
            app(service_principal_id=OTHER, app_id="o"),
        ],
        ("k1", 2),
        "of its own, added",
    ),
    (
        "credential-by-lower-tier-actor",
        [app(**HIGH), came(), ("stg_directory_role_assignments", {"principal_id": "u1", "is_privileged": False})],
        ("k1", 2),
        "no privileged",
    ),
    ("untrusted-federated-issuer", [app(), issuer(hits=2)], ("f1", 2), "https://evil.example (and 1 more)."),
    (
        "federated-credential-changed",
        [app(), update(OLD, NEW)],
        ("e1", 1),
        "https://evil.example in place of https://gitlab.com.",
    ),
    (
        "federated-credential-changed",
        [app(), update(OLD, trust("https://gitlab.com", "repo:a/b:pull_request"), target_ids=[SP])],
        ("e1", 1),
        "repo:a/b:pull_request in place of repo:a/b:ref:refs/heads/main.",
    ),
    ("credential-on-service-principal", [app(), PLAIN_SP], ("", 1), "do not show it, the newest from 2026-01-01."),
    (
        "credential-on-service-principal",
        [app(), PLAIN_SP, held(**ON_PRINCIPAL, key_id="k3", ends_at=None), held(key_id="k2")],
        ("", 2),
        "2 credentials that work are on the service principal, where the pages of the app registration do not show "
        "them; the registration has 1 of its own",
    ),
    ("credential-on-outside-app", [app(**OUTSIDE), PLAIN_SP], ("", 1), "run by another tenant"),
    (
        "long-lived-credential",
        [app(**HIGH), held(**TEN_YEARS)],
        ("", 3650),
        "A secret was made to last 3650 days, until 2034-01-01.",
    ),
    (
        "owner-added",
        [app(**HIGH), moved("added", actor_name="Bob")],
        ("ada@x.example, owner of the app registration", 2),
        "added by Bob",
    ),
    (
        "owners-gone",
        [app(owner_count=0), moved("removed")],
        ("", 0),
        "ada@x.example no longer owned the app from 2026-11-12, and nobody",
    ),
    ("owners-gone", [app(owner_count=1, live_owner_count=0), moved("removed")], ("", 0), "nobody who can sign in"),
    (
        "risky-owner",
        [app(**HIGH), owner(owner_is_guest=True)],
        ("u9", 2),
        "gus@x.example, a guest from another organisation, owns",
    ),
    (
        "risky-owner",
        [app(**HIGH, owner_count=2, live_owner_count=1), owner(owner_enabled=False)],
        ("u9", 2),
        "still owns",
    ),
    ("credential-on-microsoft-app", [app(**MICROSOFT), held(**ON_PRINCIPAL)], ("k1", 365), "works until 2027-11-15"),
    (
        "credential-on-microsoft-app",
        [
            app(**MICROSOFT),
            PLAIN_SP,
            ("stg_users", {"user_id": "u1"}),
            ("credential_history", {"object_id": SP, "key_id": "k1", "added_by_id": "u1", "added_by_name": "Ada"}),
        ],
        ("k1", 365),
        "added by Ada",
    ),
    (
        "expired-credential-left",
        [app(), held(ends_at="2026-01-01"), held(key_id="k2", ends_at="2026-02-01")],
        ("", 318),
        "2 credentials are",
    ),
    (
        "several-live-secrets",
        [app(), held(), held(key_id="k2", starts_at="2026-03-01")],
        ("", 2),
        "the newest came on 2026-03-01",
    ),
    ("ownerless-app", [app(**HIGH, owner_count=2, live_owner_count=0)], ("", 0), "Every owner is disabled (2), while"),
    ("ownerless-app", [app(**HIGH), owner(owner_is_guest=True)], ("", 0), "Every owner is a guest (1), while"),
    (
        "ownerless-app",
        [
            app(**HIGH, owner_count=2, live_owner_count=1),
            owner(owner_is_guest=True),
            owner(owner_id="u8", owner_enabled=False),
        ],
        ("", 0),
        "Every owner is a guest or disabled (2), while",
    ),
]


@pytest.mark.parametrize(("policy", "rows", "expected", "words"), FIRES)
def test_it_is_found(policy: str, rows: Rows, expected: tuple[str, float], words: str) -> None:
    con = filled(rows)
    row = one(con, policy)
    assert (row["service_principal_id"], row["app_id"]) == (SP, APP)
    assert (row["subject"], row["measure"]) == expected
    assert words in row["reason"]


SILENT: list[tuple[str, Rows]] = [
    *[
        ("first-credential-on-app", rows)
        for rows in (
            [app(**HIGH), came(earlier_count=1)],
            [app(**HIGH, created_at="2026-10-20"), came()],
            [app(**HIGH), came(added_at="2026-11-08 23:59")],
            [app(**HIGH), came(added_at="2026-11-16")],
            [app(privilege_level="low"), came()],
            [app(**HIGH, **OUTSIDE), came()],
            [app(**HIGH, is_in_scope=False), came()],
        )
    ],
    ("credential-added", [app(), came(added_at="2026-11-08 23:59")]),
    ("credential-added", [app(is_in_scope=False), came()]),
    ("credential-added", [came()]),
    *[
        ("credential-by-lower-tier-actor", rows)
        for rows in (
            [app(), came()],
            [app(**HIGH), came(actor_id=None, actor_name=None)],
            [app(**HIGH), came(), ("stg_directory_role_assignments", {"principal_id": "u1", "is_privileged": True})],
            [app(**HIGH), came(), ("stg_directory_role_assignments", {"principal_id": "u1", "is_privileged": None})],
            [app(**HIGH), came(), ("stg_role_eligibility_schedules", {"principal_id": "u1"})],
            [app(**HIGH), came(actor_id=OTHER, actor_type="service_principal")],  # its access is not known
            [
                app(**HIGH),
                came(actor_id=OTHER, actor_type="service_principal"),
                app(**HIGH, service_principal_id=OTHER, app_id="o"),
            ],
            [
                app(**HIGH),
                came(actor_id=OTHER, actor_type="service_principal"),
                app(**MICROSOFT, service_principal_id=OTHER, app_id="o"),
            ],
        )
    ],
    ("untrusted-federated-issuer", [app(), issuer(verdict="unknown")]),
    ("untrusted-federated-issuer", [app(), issuer(check_id="wide_federated_subject")]),
    ("untrusted-federated-issuer", [app(is_in_scope=False), issuer()]),
    ("federated-credential-changed", [app(), update("[]", NEW)]),
    ("federated-credential-changed", [app(), update(OLD, "[]")]),
    ("federated-credential-changed", [app(), update(OLD, OLD[:-1] + ", " + NEW[1:])]),  # one beside the other
    ("federated-credential-changed", [app(), update(OLD, NEW, result="failure")]),
    ("federated-credential-changed", [app(), update(OLD, NEW, activity_at="2026-11-08 23:59")]),
    ("federated-credential-changed", [app(), update("no list", "nor this")]),
    *[
        (policy, [app(**origin), *rows])
        for policy, origin in (("credential-on-service-principal", {}), ("credential-on-outside-app", OUTSIDE))
        for rows in (
            [held()],
            [PLAIN_SP, SAML],
            [PLAIN_SP, held(**ON_PRINCIPAL, key_id="k2")],  # the pair of single sign-on: one end
            [held(**ON_PRINCIPAL, ends_at="2026-11-14")],
        )
    ],
    ("credential-on-service-principal", [app(**OUTSIDE), PLAIN_SP]),
    ("credential-on-outside-app", [app(), PLAIN_SP]),
    ("credential-on-outside-app", [app(**{**OUTSIDE, "app_origin": "unknown"}), PLAIN_SP]),
    ("credential-on-service-principal", [app(service_principal_type="Legacy"), PLAIN_SP]),
    ("credential-on-service-principal", [app(service_principal_type="ManagedIdentity", is_in_scope=False), PLAIN_SP]),
    ("long-lived-credential", [app(**HIGH), held(**{**TEN_YEARS, "lifetime_days": 730})]),
    ("long-lived-credential", [app(), held(**TEN_YEARS)]),
    ("long-lived-credential", [app(**HIGH), held(**{**TEN_YEARS, "ends_at": "2026-11-14"})]),
    ("long-lived-credential", [app(**HIGH), held(**ON_PRINCIPAL, **TEN_YEARS), SAML]),
    ("long-lived-credential", [app(**HIGH, is_in_scope=False), held(**TEN_YEARS)]),
    ("owner-added", [app(), moved("added")]),
    ("owner-added", [app(**HIGH), moved("removed")]),
    ("owner-added", [app(**HIGH), moved("added", changed_at="2026-11-08")]),
    ("owners-gone", [app(owner_count=1), moved("removed")]),
    ("owners-gone", [app(owner_count=None), moved("removed")]),
    ("owners-gone", [app(owner_count=0), moved("removed", changed_at="2026-11-08")]),
    ("owners-gone", [app(owner_count=0), moved("added")]),
    ("risky-owner", [app(**HIGH), owner()]),
    ("risky-owner", [app(), owner(owner_is_guest=True)]),
    ("risky-owner", [app(**HIGH), owner(owner_is_guest=None, owner_enabled=None)]),
    ("risky-owner", [app(**HIGH, owner_count=1, live_owner_count=0), owner(owner_enabled=False)]),  # ownerless-app
    ("credential-on-microsoft-app", [app(**MICROSOFT), PLAIN_SP]),
    ("credential-on-microsoft-app", [app(**MICROSOFT), held(**ON_PRINCIPAL, ends_at="2026-11-14")]),
    ("credential-on-microsoft-app", [app(), held(**ON_PRINCIPAL)]),
    (
        "credential-on-microsoft-app",  # Microsoft's own service renews it
        [app(**MICROSOFT), PLAIN_SP, ("credential_history", {"object_id": SP, "key_id": "k1", "added_by_id": OTHER})],
    ),
    ("expired-credential-left", [app(), held(), held(key_id="k2", ends_at="2026-08-17")]),
    ("expired-credential-left", [app(), held(**ON_PRINCIPAL, ends_at="2026-01-01"), SAML]),
    ("expired-credential-left", [app(is_in_scope=False), held(ends_at="2026-01-01")]),
    ("several-live-secrets", [app(), held()]),
    ("several-live-secrets", [app(), held(), held(key_id="k2", starts_at="2026-10-15")]),  # being changed
    ("several-live-secrets", [app(), held(), held(key_id="k2", ends_at="2026-12-01")]),  # the old one ends soon
    ("several-live-secrets", [app(), held(), held(key_id="k2", ends_at="2026-11-14")]),
    ("several-live-secrets", [app(), held(), held(key_id="k2", credential_type="certificate")]),
    ("ownerless-app", [app(**HIGH, owner_count=2), owner(owner_is_guest=True)]),
    ("ownerless-app", [app(**HIGH, owner_count=2, live_owner_count=1), owner(owner_enabled=False)]),
]


@pytest.mark.parametrize(("policy", "rows"), SILENT)
def test_it_is_silent(policy: str, rows: Rows) -> None:
    assert found(filled(rows), policy).empty


MISSING = [
    *[
        ("first-credential-on-app", s, "partial")
        for s in ("applications", "federated_credentials", "service_principals")
    ],
    ("first-credential-on-app", "directory_audits", "failed"),
    ("credential-added", "directory_audits applications", "failed"),
    ("credential-by-lower-tier-actor", "directory_role_assignments", "partial"),
    ("credential-by-lower-tier-actor", "directory_audits", "not_permitted"),
    ("untrusted-federated-issuer", "federated_credentials", "failed"),
    ("federated-credential-changed", "directory_audits", "failed"),
    ("credential-on-service-principal", "applications", "failed"),
    ("credential-on-outside-app", "organization", "failed"),
    ("long-lived-credential", "applications", "failed"),
    ("owner-added", "directory_audits application_owners service_principal_owners", "failed"),
    ("owners-gone", "application_owners", "partial"),
    ("risky-owner", "users", "failed"),
    ("credential-on-microsoft-app", "service_principals", "failed"),
    ("expired-credential-left", "applications", "failed"),
    ("several-live-secrets", "applications", "failed"),
]


@pytest.mark.parametrize(("policy", "sources", "status"), MISSING)
def test_what_was_not_read_is_not_judged(policy: str, sources: str, status: str) -> None:
    con = empty_warehouse()
    for source in sources.split():
        cover(con, source, status)
    with pytest.raises(UserError, match="cannot be judged"):
        found(con, policy)


def test_every_policy_of_this_part_has_all_three_kinds_of_test() -> None:
    fires = {policy for policy, *_ in FIRES} - {"ownerless-app"}
    assert fires == {policy for policy, _ in SILENT} - {"ownerless-app"} == {policy for policy, *_ in MISSING}


def filled(rows: Rows) -> duckdb.DuckDBPyConnection:
    """A warehouse with these rows."""
    con = empty_warehouse()
    for table, values in rows:
        add(con, table, **values)
    return con
