"""What planning reads: open findings and the state of their apps, as plain frozen values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb

from appgov_lib.actions.app_facts import read_app_facts
from appgov_lib.actions.more_facts import by_app, read_more, read_rows

Row = Mapping[str, Any]
AT_ONCE = 20_000
"""Findings whose facts are held at a time."""
_REMOVERS = frozenset({"remove_user_grants", "remove_extra_grants"})


@dataclass(frozen=True)
class OpenFinding:
    """A finding that calls for an action."""

    finding_id: str
    policy_id: str
    service_principal_id: str
    app_id: str
    severity: str
    reason: str
    action: str
    evidence: Row
    subject: str = ""


@dataclass(frozen=True)
class Guards:
    """Policies of the tenant that an action may tighten; see `tenant_asks`."""

    tenant_id: str = "tenant"
    consent_rules: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    """All rules that let something in, by consent policy; for policies that let in too much."""
    asking: Row | None = None
    """The policy for asking an administrator."""
    limits: Row | None = None
    """The parts of the policy for secrets and certificates of all apps."""
    app_policy: str = ""
    """An app management policy of the tenant's own that is strict enough for any app."""


@dataclass(frozen=True)
class Facts:
    """State of the apps with open findings; every mapping is by service principal id unless said."""

    findings: tuple[OpenFinding, ...]
    apps: Mapping[str, Row]
    grants: Mapping[str, tuple[Row, ...]]
    assignments: Mapping[str, tuple[Row, ...]]
    key_credentials: Mapping[str, tuple[Row, ...]]
    """By object id of the application or service principal that holds them."""
    removals: frozenset[tuple[str, str, str]]
    """(service principal id, resource id, permission) that some policy wants removed because of what it is."""
    owner_candidates: Mapping[str, tuple[str, str]]
    """Object id and name of the active user who last changed the app."""
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Who answers for the app: sign-in names, else names, of owners whose account is not disabled."""
    owner_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of all owners of the registration."""
    expired: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    """Secrets and certificates that ended."""
    federated: Mapping[str, Row] = field(default_factory=dict)
    """By id of the credential."""
    roles: Mapping[str, Row] = field(default_factory=dict)
    """Directory role assignments by their id."""
    locks: Mapping[str, Row | None] = field(default_factory=dict)
    """Property lock by object id of the registration; None: it has none."""
    alerts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Alerts of Graph about the app that nobody took up yet."""
    policy: Mapping[str, tuple[Row, Row]] = field(default_factory=dict)
    """What to write to the authorization policy and what is there, by name of the setting."""
    people: Mapping[str, Row] = field(default_factory=dict)
    """Users by id whom an action may be about; nobody on the protected list is among them."""
    mail_rules: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = field(default_factory=dict)
    """(user id, ids of inbox rules as far as the logs tell) of those that an app made rules for."""
    guards: Guards = field(default_factory=lambda: Guards())

    registrations: Mapping[str, Row] = field(default_factory=dict)
    """By object id: audience, state, reply addresses by platform, what it asks for; where a finding needs them."""
    live_keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Ids of the credentials of apps whose risk is to be judged, lower case."""

    limited: frozenset[str] = frozenset()
    """Service principals that a Conditional Access policy looks at for their risk, lower case."""

    @cached_property
    def severe(self) -> dict[str, frozenset[str]]:
        """The policies with a critical or high finding about an app."""
        found: dict[str, set[str]] = {}
        for finding in self.findings:
            if finding.severity in ("critical", "high"):
                found.setdefault(finding.service_principal_id, set()).add(finding.policy_id)
        return {key: frozenset(policies) for key, policies in found.items()}

    def grant(self, service_principal_id: str, grant_id: str) -> Row | None:
        """One delegated grant of an app."""
        found = self._by_id.get(grant_id)
        return found if found is not None and found["service_principal_id"] == service_principal_id else None

    @cached_property
    def _by_id(self) -> dict[str, Row]:
        """Grants by their id."""
        return {grant["grant_id"]: grant for grants in self.grants.values() for grant in grants}


def split(con: duckdb.DuckDBPyConnection, together: Iterable[str]) -> int:
    """Number the apps with findings in the table `apps_in_parts`; returns how many parts there are (at least one).

    Apps with a finding that asks for one of the actions `together` are all in the first part.
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE apps_in_parts AS WITH apps AS (SELECT service_principal_id, count(*) AS found, "
        "coalesce(bool_or(list_contains($together, action)), false) AS is_first FROM findings GROUP BY 1), "
        "counted AS (SELECT *, sum(found) OVER () AS of_all, sum(CASE WHEN is_first THEN 0 ELSE found END) "
        "OVER (ORDER BY service_principal_id NULLS FIRST) - found AS before FROM apps) "
        "SELECT service_principal_id, CASE WHEN is_first OR of_all <= $most THEN 0 "
        "ELSE CAST(1 + before // $most AS INTEGER) END AS part FROM counted",
        {"together": sorted(together), "most": AT_ONCE},
    )
    ((parts,),) = con.execute("SELECT coalesce(max(part), 0) + 1 FROM apps_in_parts").fetchall()
    return int(parts)


def read_facts(con: duckdb.DuckDBPyConnection, part: int) -> Facts:
    """Read everything planning needs about the apps of one part, in a stable order."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE apps_to_plan AS SELECT service_principal_id FROM apps_in_parts WHERE part = ?",
        [part],
    )
    findings = tuple(
        OpenFinding(**{**row, "evidence": json.loads(row["evidence"] or "{}")})
        for row in read_rows(
            con,
            "SELECT finding_id, policy_id, service_principal_id, app_id, severity, reason, action, subject, "
            "CAST(evidence AS VARCHAR) AS evidence FROM findings "
            "WHERE status = 'active' AND state IN ('new', 'open', 'returned') "
            "AND EXISTS (FROM apps_to_plan AS app "
            "WHERE app.service_principal_id IS NOT DISTINCT FROM findings.service_principal_id) ORDER BY finding_id",
        )
    )
    apps = read_rows(
        con,
        "SELECT service_principal_id, app_id, application_id, display_name, users_30d, calls_30d, risk_score, "
        "account_enabled, assignment_required, publisher_name, sign_in_audience "
        "FROM app_inventory SEMI JOIN apps_to_plan USING (service_principal_id) ORDER BY service_principal_id",
    )
    grants = read_rows(
        con,
        "SELECT grant_id, service_principal_id, resource_id, consent_type, principal_id, scopes, "
        "person.user_principal_name AS principal_name FROM stg_delegated_grants AS held "
        "SEMI JOIN apps_to_plan USING (service_principal_id) "
        "LEFT JOIN stg_users AS person ON person.user_id = lower(held.principal_id) ORDER BY grant_id",
    )
    assignments = read_rows(
        con,
        "SELECT assignment_id, service_principal_id, resource_id, app_role_id, "
        "coalesce(permission, app_role_id) AS permission FROM stg_app_role_assignments "
        "SEMI JOIN apps_to_plan USING (service_principal_id) ORDER BY assignment_id",
    )
    keys = read_rows(
        con,
        "SELECT service_principal_id AS object_id, CAST(key_credentials AS VARCHAR) AS keys "
        "FROM stg_service_principals SEMI JOIN apps_to_plan USING (service_principal_id) UNION ALL "
        "SELECT application_id, CAST(key_credentials AS VARCHAR) FROM stg_applications "
        "WHERE app_id IN (SELECT app_id FROM app_inventory SEMI JOIN apps_to_plan USING (service_principal_id)) "
        "ORDER BY object_id",
    )
    candidates = read_rows(
        con,
        # by equality on each target of an event: list_contains() would try every pair of app and event
        "WITH named AS (SELECT service_principal_id, service_principal_id AS target_id FROM app_inventory "
        "SEMI JOIN apps_to_plan USING (service_principal_id) UNION SELECT service_principal_id, application_id "
        "FROM app_inventory SEMI JOIN apps_to_plan USING (service_principal_id)), "
        "audits AS (SELECT actor_id, activity_at, audit_id, unnest(target_ids) AS target_id FROM stg_directory_audits) "
        "SELECT named.service_principal_id, arg_max(person.user_id, (audit.activity_at, audit.audit_id)) AS user_id, "
        "arg_max(coalesce(person.display_name, person.user_principal_name), (audit.activity_at, audit.audit_id)) "
        "AS name "
        "FROM named INNER JOIN audits AS audit USING (target_id) "
        "INNER JOIN stg_users AS person ON person.user_id = audit.actor_id "
        "WHERE person.account_enabled AND person.user_type IS DISTINCT FROM 'Guest' GROUP BY 1 ORDER BY 1",
    )
    more = {**read_more(con), **read_app_facts(con)}
    con.execute("DROP TABLE apps_to_plan")
    return Facts(
        findings=findings,
        apps={row["service_principal_id"]: row for row in apps},
        grants=by_app(grants),
        assignments=by_app(assignments),
        key_credentials={row["object_id"]: _objects(row["keys"]) for row in keys},
        removals=frozenset(
            (finding.service_principal_id, str(item.get("resource_id")), str(item.get("permission")))
            for finding in findings
            if finding.action in _REMOVERS
            for item in listed_permissions(finding)
        ),
        owner_candidates={row["service_principal_id"]: (row["user_id"], row["name"] or "") for row in candidates},
        **more,
    )


def listed_permissions(finding: OpenFinding) -> list[Row]:
    """The permissions a policy put into its evidence."""
    listed = finding.evidence.get("permissions")
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def _objects(text: str | None) -> tuple[Row, ...]:
    """The objects of a JSON array; anything else is none."""
    parsed = json.loads(text) if text else []
    return tuple(item for item in parsed if isinstance(item, dict)) if isinstance(parsed, list) else ()
