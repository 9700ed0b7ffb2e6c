"""Which path holds what: lists and single objects of the tenant by their Graph path."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

from appgov_lib.sample import fixed
from appgov_lib.sample.audits import Audits
from appgov_lib.sample.collections import Plain, Timed
from appgov_lib.sample.directory import Directory
from appgov_lib.sample.grants import Grants
from appgov_lib.sample.rhythm import Rhythm
from appgov_lib.sample.world import World

Listed = Plain | Timed
_RELATION = re.compile(r"^/(servicePrincipals|applications)/([0-9a-fA-F-]{36})/(\w+)$")
_BY_APP_ID = re.compile(r"^/(servicePrincipals|applications)\(appId='([0-9a-fA-F-]{36})'\)(/\w+)?$")
_OBJECT = re.compile(r"^/(servicePrincipals|applications|users)/([0-9a-fA-F-]{36})$")
_EMPTY = (
    "/identityProtection/riskyServicePrincipals",
    "/identityProtection/servicePrincipalRiskDetections",
    "/roleManagement/directory/roleAssignmentScheduleInstances",
    "/roleManagement/directory/roleEligibilityScheduleInstances",
    "/policies/appManagementPolicies",
    "/identityGovernance/appConsent/appConsentRequests",
    "/directory/deletedItems/microsoft.graph.servicePrincipal",
    "/directory/deletedItems/graph.servicePrincipal",
    "/directory/deletedItems/microsoft.graph.application",
    "/directory/deletedItems/graph.application",
    "/directoryRoles",
    "/security/auditLog/queries",
)


class Catalogue:
    """Finds collections and objects by path; what a path needs is made on first use."""

    def __init__(self, world: World, rhythm: Rhythm) -> None:
        """Set up the writers."""
        self.world = world
        self.directory = Directory(world)
        self.grants = Grants(self.directory, rhythm)
        self._beta = {
            "/reports/servicePrincipalSignInActivities": self._sign_in_activities,
            "/reports/appCredentialSignInActivities": self._key_activities,
        }
        self._lists: dict[str, Callable[[], Listed]] = {
            "/servicePrincipals": lambda: self._service_principals,
            "/applications": lambda: self._applications,
            "/users": lambda: Plain(world.size.users, self.directory.user, index={"id": lambda: self._users}),
            "/oauth2PermissionGrants": lambda: Plain(self.grants.grant_count, self.grants.grant),
            "/organization": lambda: fixed.fixed_list([fixed.organization(world)]),
            "/roleManagement/directory/roleDefinitions": lambda: fixed.fixed_list(self.grants.role_definitions()),
            "/roleManagement/directory/roleAssignments": self._role_assignments,
            "/policies/permissionGrantPolicies": lambda: fixed.fixed_list(fixed.GRANT_POLICIES),
            "/auditLogs/directoryAudits": lambda: self._audits,
            "/security/alerts_v2": lambda: self._alerts,
            "/security/incidents": lambda: fixed.fixed_list([fixed.incident(world)]),
        }

    def collection(self, path: str, beta: bool) -> Listed | None:
        """The list at `path`, or None. Reports are in beta only."""
        by_app = _BY_APP_ID.match(path)
        if by_app and by_app[3]:
            path = self._path_of_app(by_app[1], by_app[2]) + by_app[3]
        if beta and path in self._beta:
            return self._beta[path]()
        if path in self._lists:
            found = self._lists[path]()
            return (
                _renamed(found, b'"oauth2PermissionScopes":', b'"publishedPermissionScopes":')
                if beta and path == "/servicePrincipals"
                else found
            )
        if path in _EMPTY:
            return fixed.fixed_list([])
        relation = _RELATION.match(path)
        return self._related(relation[1], relation[2].lower(), relation[3], beta) if relation else None

    def object_at(self, path: str, beta: bool) -> bytes | None:
        """The single object at `path`, or None."""
        by_app = _BY_APP_ID.match(path)
        if by_app and not by_app[3]:
            path = self._path_of_app(by_app[1], by_app[2])
        found = _OBJECT.match(path)
        if not found:
            return None
        kind, key = found[1], found[2].lower()
        if kind == "users":
            place = self._users.get(key)
            return None if place is None else self.directory.user(place)
        if kind == "applications":
            place = self._application_places.get(key)
            return None if place is None else self.directory.application(place)
        place = self.world.index_of_sp.get(key)
        return None if place is None else self.directory.service_principal(place)

    # ---- indexes ---------------------------------------------------------------------------------------------------

    @cached_property
    def _users(self) -> dict[str, int]:
        """User number by id."""
        return {self.world.user_ids[number]: number for number in range(self.world.size.users)}

    @cached_property
    def _application_places(self) -> dict[str, int]:
        """Registration number by object id."""
        return {self.directory.application_id(number): number for number in range(self.directory.application_count)}

    @cached_property
    def _applications_by_app(self) -> dict[str, int]:
        """Registration number by app id."""
        return {self.world.app_ids[index]: number for number, index in enumerate(self.world.registered.tolist())}

    def _path_of_app(self, kind: str, app_id: str) -> str:
        """The path of an object named by its app id."""
        if kind == "applications":
            place = self._applications_by_app.get(app_id.lower(), -1)
            return f"/applications/{self.directory.application_id(place)}"
        index = self.world.index_of_app.get(app_id.lower())
        return f"/servicePrincipals/{self.world.sp_ids[index] if index is not None else app_id}"

    # ---- lists -----------------------------------------------------------------------------------------------------

    @cached_property
    def _service_principals(self) -> Plain:
        """All service principals."""
        world, directory = self.world, self.directory
        return Plain(
            world.count,
            directory.service_principal,
            {"owners": lambda index: directory.owner_objects(index, on_service_principal=True)},
            {"appId": lambda: world.index_of_app, "id": lambda: world.index_of_sp},
            brief=directory.brief_service_principal,
        )

    @cached_property
    def _applications(self) -> Plain:
        """All registrations."""
        directory = self.directory
        return Plain(
            directory.application_count,
            directory.application,
            {"owners": self._application_owners, "federatedIdentityCredentials": self._federated},
            {"appId": lambda: self._applications_by_app, "id": lambda: self._application_places},
            brief=directory.brief_application,
        )

    def _application_owners(self, number: int) -> list[dict[str, Any]]:
        """Owners of a registration."""
        if number >= len(self.world.registered):
            return []
        return self.directory.owner_objects(int(self.world.registered[number]), on_service_principal=False)

    def _federated(self, number: int) -> list[Any]:
        """Federated credentials of a registration, decoded."""
        return [fixed.decoded(row) for row in self.directory.federated(number)]

    @cached_property
    def _audits(self) -> Timed:
        """The directory audit log."""
        moments, rows = Audits(self.directory, self.grants).rows()
        return Timed(moments, rows, ("activityDateTime",))

    @cached_property
    def _alerts(self) -> Timed:
        """Security alerts."""
        pairs = fixed.alerts(self.world)
        return Timed([moment for moment, _ in pairs], [row for _, row in pairs], ("createdDateTime",))

    def _role_assignments(self) -> Plain:
        """Directory role assignments; `$expand=principal` gives the id and type of the principal."""
        rows = self.grants.role_assignments()
        return fixed.fixed_list(rows, {"principal": lambda number: self._principal(rows[number])})

    def _principal(self, row: bytes) -> dict[str, Any]:
        """The principal of a role assignment."""
        principal = fixed.decoded(row)["principalId"]
        kind = "servicePrincipal" if principal in self.world.index_of_sp else "user"
        return {"@odata.type": f"#microsoft.graph.{kind}", "id": principal}

    def _sign_in_activities(self) -> Plain:
        """Report of the newest sign-in by app."""
        return Plain(len(self.grants.signed_in), self.grants.sign_in_activity, default_top=1_000, max_top=1_000)

    def _key_activities(self) -> Plain:
        """Report of the newest sign-in by credential."""
        return Plain(self.grants.key_count, self.grants.key_activity, default_top=1_000, max_top=1_000)

    def _related(self, kind: str, key: str, relation: str, beta: bool) -> Listed | None:
        """Lists below one service principal or registration; None when there is no such object or relation."""
        grants = self.grants
        if kind == "applications":
            number = self._application_places.get(key)
            if number is None or relation not in ("owners", "federatedIdentityCredentials"):
                return None
            return fixed.fixed_list(
                fixed.encoded(self._application_owners(number))
                if relation == "owners"
                else self.directory.federated(number)
            )
        index = self.world.index_of_sp.get(key)
        if index is None:
            return None
        if relation == "owners":
            return fixed.fixed_list(fixed.encoded(self.directory.owner_objects(index, on_service_principal=True)))
        if relation == "oauth2PermissionGrants":
            return fixed.fixed_list(grants.grants_of_app(index))
        found: Plain | None = None
        if relation == "appRoleAssignments":
            found = fixed.fixed_list(grants.assignments_of(index))
        elif relation == "appRoleAssignedTo":
            found = Plain(grants.assigned_count(index), lambda number: grants.assigned(index, number))
        return _renamed(found, b'"createdDateTime":', b'"creationTimestamp":') if found and beta else found


def _renamed(found: Listed, old: bytes, new: bytes) -> Listed:
    """The same list with one property under the name it has in beta."""
    if not isinstance(found, Plain):
        return found
    row = found.row
    return replace(found, row=lambda number: row(number).replace(old, new, 1))
