"""Which path holds what: lists and single objects of the tenant by their Graph path, as they are now."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

from appgov_lib.sample import consent, deleted, discovery, fixed, guardrails, kept, risk, roles, summaries
from appgov_lib.sample.audits import Audits
from appgov_lib.sample.changes import APPS, GRANTS, REGISTRATIONS, USERS, Changes
from appgov_lib.sample.collections import Plain, Timed
from appgov_lib.sample.directory import Directory
from appgov_lib.sample.edits import Edits
from appgov_lib.sample.grants import Grants
from appgov_lib.sample.posture import Posture
from appgov_lib.sample.rhythm import Rhythm
from appgov_lib.sample.world import World

Listed = Plain | Timed
_RELATION = re.compile(r"^/(servicePrincipals|applications)/([0-9a-fA-F-]{36})/(\w+)$")
_BY_APP_ID = re.compile(r"^/(servicePrincipals|applications)\(appId='([0-9a-fA-F-]{36})'\)(/\w+)?$")
_OBJECT = re.compile(r"^(/(?:servicePrincipals|applications|users))/([0-9a-fA-F-]{36})$")
_BELOW = re.compile(r"^(.+)/([^/]+)/(\w+)$")
_SUMMARY = re.compile(r"^/reports/getAzureADApplicationSignInSummary\(period='(\w+)'\)$")
_DISCOVERED = re.compile(
    r"^/security/dataDiscovery/cloudAppDiscovery/uploadedStreams/([\w-]+)"
    r"/microsoft\.graph\.security\.aggregatedAppsDetails\(period=duration'(\w+)'\)$"
)
_DELETED_ITEMS = re.compile(r"^/directory/deletedItems/(?:microsoft\.)?graph\.(application|servicePrincipal)$")
_DIRECTORY = {APPS: "_service_principals", REGISTRATIONS: "_applications", GRANTS: "_delegated_grants", USERS: "_users"}
"""Where the four lists are that can change."""
_CONSENT_REQUESTS = "/identityGovernance/appConsent/appConsentRequests"
_GRANT_POLICIES, _APP_POLICIES = "/policies/permissionGrantPolicies", "/policies/appManagementPolicies"
_MAIL_RULES = re.compile(r"^/users/([0-9a-fA-F-]{36})/mailFolders/inbox/messageRules$")
_MEMBERS = (
    GRANTS,
    "/appRoleAssignments",
    "/appRoleAssignedTo",
    "/riskyServicePrincipals",
    "/conditionalAccess/policies",
    "/federatedIdentityCredentials",
    "/roleAssignments",
    "/alerts_v2",
    "/incidents",
    "/messageRules",
    "/includes",
    "/excludes",
    _APP_POLICIES,
)
"""Lists whose objects can be asked for one by one."""
_RECOMMENDATIONS = "/directory/recommendations"


class Catalogue:
    """Finds collections and objects by path; what a path needs is made on first use."""

    def __init__(self, world: World, rhythm: Rhythm) -> None:
        """Set up the writers."""
        self.world, self.rhythm = world, rhythm
        self.directory = Directory(world)
        self.grants = Grants(self.directory, rhythm)
        self.changes = Changes(self.directory, self.grants)
        self.edits = Edits()
        self._held: dict[str, Listed] = {}
        self._beta: dict[str, Callable[[], Listed]] = {
            "/reports/servicePrincipalSignInActivities": self._sign_in_activities,
            "/reports/appCredentialSignInActivities": self._key_activities,
            "/security/dataDiscovery/cloudAppDiscovery/uploadedStreams": lambda: fixed.fixed_list(
                discovery.streams(world)
            ),
            _RECOMMENDATIONS: self._recommendations,
            "/policies/authorizationPolicy": lambda: fixed.fixed_list(
                fixed.encoded([consent.authorization_policy(beta=True)])
            ),
        }
        self._lists: dict[str, Callable[[], Listed]] = {
            "/organization": lambda: fixed.fixed_list([fixed.organization(world)]),
            "/directoryRoles": lambda: fixed.fixed_list([]),
            "/roleManagement/directory/roleDefinitions": lambda: fixed.fixed_list(roles.role_definitions()),
            "/roleManagement/directory/roleAssignments": self._role_assignments,
            "/roleManagement/directory/roleAssignmentScheduleInstances": lambda: fixed.fixed_list(
                roles.assignment_instances(world)
            ),
            "/roleManagement/directory/roleEligibilityScheduleInstances": lambda: fixed.fixed_list(
                roles.eligibility_instances(world)
            ),
            _GRANT_POLICIES: lambda: kept.grant_policy_list(world, self.edits),
            _APP_POLICIES: lambda: kept.app_policy_list(self.directory, self.edits),
            "/identity/conditionalAccess/policies": lambda: fixed.fixed_list(
                fixed.encoded(guardrails.conditional_access_policies(world))
            ),
            _CONSENT_REQUESTS: self._consent_requests,
            "/auditLogs/directoryAudits": lambda: self.audits,
            "/identityProtection/servicePrincipalRiskDetections": lambda: fixed.timed_list(
                risk.risk_detections(world), "detectedDateTime", max_top=500
            ),
            "/security/alerts_v2": lambda: fixed.timed_list(risk.alerts(world), "createdDateTime"),
            "/security/incidents": self._incidents,
            "/security/secureScores": lambda: fixed.fixed_list(self._posture.scores()),
            "/security/secureScoreControlProfiles": lambda: fixed.fixed_list(self._posture.controls()),
        }

    # ---- lists -----------------------------------------------------------------------------------------------------

    def collection(self, path: str, beta: bool) -> Listed | None:
        """The list at `path`, or None. Reports and cloud discovery are in beta only."""
        by_app = _BY_APP_ID.match(path)
        if by_app and by_app[3]:
            path = self._path_of_app(by_app[1], by_app[2]) + by_app[3]
        if path in _DIRECTORY:
            return self.changes.over(path, self.whole(path, beta))
        gone = _DELETED_ITEMS.match(path)
        if gone:
            return fixed.fixed_list(self._deleted(gone[1]))
        if path == "/identityProtection/riskyServicePrincipals":
            found = self.edits.at_risk(risk.risky_service_principals(self.world, beta))
            return fixed.fixed_list(found, max_top=500)
        if path in (_GRANT_POLICIES, _APP_POLICIES):  # may be written, so they are made anew
            return self._lists[path]()
        held = f"{path}?{beta}"
        if held not in self._held:
            made = self._made(path, beta)
            if made is None:
                return self._related(path, beta)
            self._held[held] = made
        return self.edits.listed(path, self._held[held])

    def _made(self, path: str, beta: bool) -> Listed | None:
        """A list that never changes, or None."""
        if beta and path in self._beta:
            return self._beta[path]()
        if path in self._lists:
            return self._lists[path]()
        summary, discovered = _SUMMARY.match(path), _DISCOVERED.match(path)
        if beta and summary and summary[1] in summaries.PERIODS:
            return fixed.fixed_list(summaries.sign_in_summaries(self.rhythm, summaries.PERIODS[summary[1]]))
        if beta and discovered and discovered[2] in discovery.PERIODS:
            rows = discovery.apps(self.world, discovered[1], discovery.PERIODS[discovered[2]])
            return None if rows is None else fixed.fixed_list(rows)
        return None

    def whole(self, path: str, beta: bool) -> Plain:
        """One of the four directory lists as at the start, before any change."""
        found: Plain = getattr(self, _DIRECTORY[path])
        scopes = (b'"oauth2PermissionScopes":', b'"publishedPermissionScopes":')
        return _renamed(found, *scopes) if beta and path == APPS else found

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
            related={"federatedIdentityCredentials": lambda: self._with_federated},
        )

    @cached_property
    def _users(self) -> Plain:
        """All users."""
        return Plain(self.world.size.users, self.directory.user, index={"id": lambda: self.user_places})

    @cached_property
    def _delegated_grants(self) -> Plain:
        """All delegated grants."""
        return Plain(self.grants.grant_count, self.grants.grant)

    @cached_property
    def audits(self) -> Timed:
        """The directory audit log."""
        moments, rows = Audits(self.directory, self.grants).rows()
        return Timed(moments, rows, ("activityDateTime",))

    # ---- single objects and indexes --------------------------------------------------------------------------------

    def object_at(self, path: str, beta: bool) -> bytes | None:
        """The single object at `path`, or None."""
        by_app = _BY_APP_ID.match(path)
        if by_app and not by_app[3]:
            path = self._path_of_app(by_app[1], by_app[2])
        policies: dict[str, Callable[[], dict[str, Any]]] = {
            "/policies/adminConsentRequestPolicy": lambda: consent.admin_consent_request_policy(self.world),
            "/policies/defaultAppManagementPolicy": guardrails.default_app_management_policy,
            "/policies/authorizationPolicy": lambda: consent.authorization_policy(beta=False),
        }
        if path in policies:
            return fixed.encoded([self.edits.single(path, policies[path]())])[0]
        found = _OBJECT.match(path)
        if not found:
            return self._member_at(path, beta)
        now = self.changes.over(found[1], self.whole(found[1], beta))
        rows = now.positions("id", found[2])
        return now.row(rows.start) if len(rows) else None

    def _member_at(self, path: str, beta: bool) -> bytes | None:
        """The object of a list that is named by its id below the list's path, or None."""
        base, _, key = path.rpartition("/")
        if base == _GRANT_POLICIES:  # its rules come with it
            found = [each for each in kept.grant_policies(self.world, self.edits) if each[0]["id"] == key]
            return next((fixed.encoded([{**p, "includes": i, "excludes": e}])[0] for p, i, e in found), None)
        if base == "/directory/deletedItems":
            return deleted.one(key.lower(), self._deleted)
        if not base.endswith(_MEMBERS):
            return None
        listed, wanted = self.collection(base, beta), f'"id":"{key}"'.encode()
        rows = listed.rows(0, len(listed)) if listed else []
        return next((row for row in rows if wanted in row and fixed.decoded(row)["id"] == key), None)

    def place_of(self, kind: str, key: str) -> int | None:
        """Number of a service principal or registration by its object id."""
        places = self.world.index_of_sp if kind == APPS else self._application_places
        found = places.get(key.lower())
        return self.changes.place_of_added(key.lower()) if found is None and kind == APPS else found

    @cached_property
    def user_places(self) -> dict[str, int]:
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

    @cached_property
    def _with_federated(self) -> list[int]:
        """Numbers of the registrations with federated credentials."""
        return self.directory.federated_numbers()

    def _path_of_app(self, kind: str, app_id: str) -> str:
        """The path of an object named by its app id."""
        if kind == "applications":
            place = self._applications_by_app.get(app_id.lower(), -1)
            return f"/applications/{self.directory.application_id(place)}"
        index = self.world.index_of_app.get(app_id.lower())
        key = self.world.sp_ids[index] if index is not None else self.changes.added_app(app_id.lower()) or app_id
        return f"/servicePrincipals/{key}"

    # ---- lists that are made from others ---------------------------------------------------------------------------

    def _application_owners(self, number: int) -> list[dict[str, Any]]:
        """Owners of a registration."""
        found: list[dict[str, Any]] = []
        if number < len(self.world.registered):
            found = self.directory.owner_objects(int(self.world.registered[number]), on_service_principal=False)
        return self.edits.owners.over(self.directory.application_id(number), found)

    def _federated(self, number: int) -> list[Any]:
        """Federated credentials of a registration, decoded."""
        found = [fixed.decoded(row) for row in self.directory.federated(number)]
        return self.edits.federated.over(self.directory.application_id(number), found)

    def _role_assignments(self) -> Plain:
        """Directory role assignments; `$expand=principal` gives the id and type of the principal."""
        rows = roles.role_assignments(self.world)
        return fixed.fixed_list(rows, {"principal": lambda number: self._principal(rows[number])})

    def _principal(self, row: bytes) -> dict[str, Any]:
        """The principal of a role assignment."""
        principal = fixed.decoded(row)["principalId"]
        kind = "servicePrincipal" if principal in self.world.index_of_sp else "user"
        return {"@odata.type": f"#microsoft.graph.{kind}", "id": principal}

    def _consent_requests(self) -> Plain:
        """Requests for admin consent, to be expanded by those of the users."""
        found = consent.consent_requests(self.world)
        return fixed.fixed_list(
            fixed.encoded([record for record, _ in found]), {"userConsentRequests": lambda place: found[place][1]}
        )

    def _incidents(self) -> Timed:
        """Incidents, fifty a page, to be expanded by their alerts."""
        pairs = risk.incidents(self.world)
        raised = [fixed.decoded(row) for _, row in risk.alerts(self.world)]

        def of(place: int) -> list[dict[str, Any]]:
            """The alerts of an incident."""
            identifier = fixed.decoded(pairs[place][1])["id"]
            return [alert for alert in raised if alert["incidentId"] == identifier]

        return fixed.timed_list(pairs, "createdDateTime", {"alerts": of}, max_top=50)

    @cached_property
    def _posture(self) -> Posture:
        """Recommendations and scores."""
        return Posture(self.directory, self.grants)

    def _recommendations(self) -> Plain:
        """Recommendations, to be expanded by the resources they concern."""
        advice = self._posture.advice()
        return fixed.fixed_list(
            [self._posture.recommendation(each) for each in advice],
            {"impactedResources": lambda place: self._posture.impacted(advice[place])},
        )

    def _deleted(self, kind: str) -> list[bytes]:
        """Deleted registrations or service principals, those removed by changes last."""
        return deleted.listed(kind, self.directory, self.changes, self.edits.purged)

    def _sign_in_activities(self) -> Plain:
        """Report of the newest sign-in by app."""
        return Plain(len(self.grants.signed_in), self.grants.sign_in_activity, default_top=1_000, max_top=1_000)

    def _key_activities(self) -> Plain:
        """Report of the newest sign-in by credential."""
        return Plain(self.grants.key_count, self.grants.key_activity, default_top=1_000, max_top=1_000)

    # ---- lists below one object ------------------------------------------------------------------------------------

    def _related(self, path: str, beta: bool) -> Listed | None:
        """Lists below one object; None when there is no such object or relation."""
        relation = _RELATION.match(path)
        if relation:
            kind, key = relation[1], relation[2].lower()
            below = self._below_application if kind == "applications" else self._below_service_principal
            return below(key, relation[3], beta)
        mailbox = _MAIL_RULES.match(path)
        if mailbox and mailbox[1].lower() in self.user_places:
            return fixed.fixed_list(fixed.encoded(kept.mail_rules(self.world, self.edits, mailbox[1].lower())))
        found = _BELOW.match(path)
        if not found or found[1] not in (_GRANT_POLICIES, _CONSENT_REQUESTS, _RECOMMENDATIONS):
            return None
        parents = self.collection(found[1], beta)
        if parents is None or found[3] not in parents.expanders:
            return None
        keys = [fixed.decoded(row)["id"] for row in parents.rows(0, len(parents))]
        if found[2] not in keys:
            return None
        return fixed.fixed_list(fixed.encoded(parents.expanders[found[3]](keys.index(found[2]))))

    def _below_application(self, key: str, relation: str, beta: bool) -> Listed | None:
        """Lists below a registration."""
        number = self._application_places.get(key)
        if number is not None and relation == "appManagementPolicies":
            held = kept.app_policies(self.directory, self.edits)
            return fixed.fixed_list(fixed.encoded([policy for policy, apps in held if key in apps]))
        if number is None or relation not in ("owners", "federatedIdentityCredentials"):
            return None
        if self.changes.is_removed(REGISTRATIONS, number):
            return None
        return fixed.fixed_list(
            fixed.encoded(self._application_owners(number) if relation == "owners" else self._federated(number))
        )

    def _below_service_principal(self, key: str, relation: str, beta: bool) -> Listed | None:
        """Lists below a service principal."""
        index, grants = self.world.index_of_sp.get(key), self.grants
        if index is None and self.changes.place_of_added(key) is not None:
            return fixed.fixed_list([])  # made a moment ago: it holds nothing
        if index is None or self.changes.is_removed(APPS, index):
            return None
        if relation == "owners":
            return fixed.fixed_list(fixed.encoded(self.directory.owner_objects(index, on_service_principal=True)))
        if relation == "oauth2PermissionGrants":
            return fixed.fixed_list([row for _, row in self.changes.grants_of(index)])
        found: Plain | None = None
        if relation == "appRoleAssignments":
            found = self.edits.assigned(fixed.fixed_list(grants.assignments_of(index)), client=key)
        elif relation == "appRoleAssignedTo":
            found = Plain(grants.assigned_count(index), lambda number: grants.assigned(index, number))
            gone = set(self.changes.removed(APPS))
            if gone:
                found = found.chosen(grants.assigned_without(index, gone))
            found = self.edits.assigned(found, resource=key)
        return _renamed(found, b'"createdDateTime":', b'"creationTimestamp":') if found and beta else found


def _renamed(found: Plain, old: bytes, new: bytes) -> Plain:
    """The same list with one property under the name it has in beta."""
    row = found.row
    return replace(found, row=lambda number: row(number).replace(old, new, 1))
