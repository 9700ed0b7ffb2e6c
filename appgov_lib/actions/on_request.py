"""Actions that no finding has to ask for: a person names a kind and an app, and gets a plan to approve and apply.

They are built from what the warehouse knows and compared with the tenant like any other plan. None of them is ever
automatic.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import duckdb

from appgov_lib.actions import app_requests
from appgov_lib.actions.app_asks import ONE_TENANT
from appgov_lib.actions.app_builders import MOST, deletion
from appgov_lib.actions.chosen import Part, Planned
from appgov_lib.actions.more_facts import read_rows
from appgov_lib.actions.requests import Change
from appgov_lib.actions.scripts import plain
from appgov_lib.errors import ConfigError

Row = Mapping[str, Any]
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


def _known(app: Row, name: str) -> str:
    """An id of an app. Raises `ConfigError` where there is none."""
    if not app.get(name):
        what = {"application_id": "registered in this tenant", "service_principal_id": "in this tenant"}[name]
        raise ConfigError(f"The app {app['app_id']} is not {what}, as far as the warehouse knows.")
    return str(app[name])


def _block(con: duckdb.DuckDBPyConnection, app: Row, assignment: str) -> list[Change]:
    """A disabled service principal for an app that has none."""
    if app.get("service_principal_id"):
        raise ConfigError(f"The app {app['app_id']} has a service principal here: disable its sign-in instead.")
    return [app_requests.block_app(app["app_id"])]


def _deactivate(con: duckdb.DuckDBPyConnection, app: Row, assignment: str) -> list[Change]:
    """No token in any tenant."""
    return [app_requests.deactivate_registration(_known(app, "application_id"))]


def _confirm(con: duckdb.DuckDBPyConnection, app: Row, assignment: str) -> list[Change]:
    """The app is compromised."""
    return [app_requests.confirm_compromised(_known(app, "service_principal_id"))]


def _dismiss(con: duckdb.DuckDBPyConnection, app: Row, assignment: str) -> list[Change]:
    """The risk is dealt with."""
    return [app_requests.dismiss_risk(_known(app, "service_principal_id"))]


def _limit(con: duckdb.DuckDBPyConnection, app: Row, assignment: str) -> list[Change]:
    """A Conditional Access policy that reports."""
    _known(app, "application_id")
    if app.get("sign_in_audience") != ONE_TENANT:
        raise ConfigError("Conditional Access for workload identities is for single-tenant apps of this tenant alone.")
    return [app_requests.limit_sign_in(_known(app, "service_principal_id"))]


def _delete(con: duckdb.DuckDBPyConnection, app: Row, assignment: str) -> list[Change]:
    """What the app holds, then the app, then its registration."""
    key = _known(app, "service_principal_id")
    grants = read_rows(
        con,
        "SELECT grant_id, service_principal_id, resource_id, consent_type, principal_id, scopes "
        f"FROM stg_delegated_grants WHERE service_principal_id = '{key}' ORDER BY grant_id",
    )
    roles = read_rows(
        con,
        "SELECT assignment_id, service_principal_id, resource_id, app_role_id FROM stg_app_role_assignments "
        f"WHERE service_principal_id = '{key}' ORDER BY assignment_id",
    )
    if len(grants) + len(roles) > MOST:
        raise ConfigError(
            f"The app holds {len(grants) + len(roles)} grants and assignments; {MOST} at most go at once."
        )
    return deletion(key, app["app_id"], app.get("application_id"), grants, roles)


def _deleted(con: duckdb.DuckDBPyConnection, app: Row) -> list[str]:
    """Ids of what lies among the deleted objects of an app: the registration first, as it has to come back first."""
    rows = read_rows(
        con,
        f"SELECT 1 AS place, application_id AS id FROM stg_deleted_applications WHERE app_id = '{app['app_id']}' "
        "UNION ALL SELECT 2, service_principal_id FROM stg_deleted_service_principals "
        f"WHERE app_id = '{app['app_id']}' ORDER BY place, id",
    )
    if not rows:
        raise ConfigError(f"Nothing of the app {app['app_id']} is among the deleted objects, as the warehouse knows.")
    return [row["id"] for row in rows]


def _restore(con: duckdb.DuckDBPyConnection, app: Row, assignment: str) -> list[Change]:
    """Registration and service principal come back."""
    return [app_requests.restore_object(key, app["app_id"]) for key in _deleted(con, app)]


def _purge(con: duckdb.DuckDBPyConnection, app: Row, assignment: str) -> list[Change]:
    """Both go for good."""
    return [app_requests.purge_object(key, app["app_id"]) for key in reversed(_deleted(con, app))]


def _unassign(con: duckdb.DuckDBPyConnection, app: Row, assignment: str) -> list[Change]:
    """A user or group is taken off the app; a role of zeros, which means mere access, is no role in the warehouse."""
    rows = read_rows(
        con,
        "SELECT assignment_id, service_principal_id AS principal_id, resource_id, "
        "coalesce(app_role_id, '00000000-0000-0000-0000-000000000000') AS app_role_id FROM stg_app_role_assignments "
        f"WHERE resource_id = '{_known(app, 'service_principal_id')}' AND principal_type <> 'ServicePrincipal' "
        "ORDER BY assignment_id",
    )
    found = next((row for row in rows if row["assignment_id"] == assignment), None)
    if found is None:
        raise ConfigError(f"No user or group has the assignment {assignment!r} to the app; --assignment names one.")
    return [app_requests.unassign(found)]


Build = Callable[[duckdb.DuckDBPyConnection, Row, str], list[Change]]
ON_REQUEST: dict[str, tuple[str, Build]] = {
    "block_app": ("Block {app}", _block),
    "deactivate_registration": ("Deactivate the registration of {app}", _deactivate),
    "confirm_compromised": ("Confirm that {app} is compromised", _confirm),
    "dismiss_risk": ("Dismiss the risk of {app}", _dismiss),
    "limit_sign_in": ("Report when {app} would be blocked for its risk", _limit),
    "remove_user_assignment": ("Take somebody off {app}", _unassign),
    "delete_app": ("Delete {app}", _delete),
    "restore_app": ("Restore {app}", _restore),
    "purge_app": ("Delete {app} for good", _purge),
}
"""(title, what it sends) by kind."""


def requested(con: duckdb.DuckDBPyConnection, kind: str, app_id: str, assignment: str = "") -> Planned:
    """An action that somebody asks for. Raises `ConfigError` where it cannot be built."""
    app_id = app_id.strip().lower()
    if not _GUID(app_id):
        raise ConfigError(f"{app_id[:80]!r} is not the id of an app.")
    title, build = ON_REQUEST[kind]
    found = read_rows(
        con,
        "SELECT service_principal_id, app_id, application_id, display_name, sign_in_audience FROM app_inventory "
        f"WHERE app_id = '{app_id}' OR service_principal_id = '{app_id}' ORDER BY service_principal_id LIMIT 1",
    )
    app: Row = found[0] if found else {"app_id": app_id}
    changes = build(con, app, assignment)
    holder = str(app.get("service_principal_id") or "")
    return Planned(
        action_id=hashlib.sha256(f"{holder}|{kind}|{app['app_id']}|{assignment}".encode()).hexdigest()[:16],
        action_type=kind,
        title=plain(title.replace("{app}", str(app.get("display_name") or app["app_id"]))),
        app_id=str(app["app_id"]),
        service_principal_id=holder,
        disposition="needs_review",
        finding_ids=(),
        parts=tuple(Part(change.request, change.state) for change in changes),
    )
