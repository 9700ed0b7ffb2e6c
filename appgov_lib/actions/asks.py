"""From a finding to what it asks for: the smallest things whose change would answer it.

An ask names a target inside an app (a grant, an assignment, a credential, the sign-in, the owner, a review). Asks
of several findings for the same target become one action later. Order of choice, least disruptive first: a scope or
app role, the whole grant, a credential, the sign-in of the app; where nothing can be said safely, a review.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from appgov_lib.actions import people_asks, tenant_asks
from appgov_lib.actions.app_asks import HANDLERS as _OF_APPS
from appgov_lib.actions.app_asks import stop_elsewhere
from appgov_lib.actions.ask import Ask
from appgov_lib.actions.facts import Facts, OpenFinding, Row, listed_permissions

URGENT = ("critical", "high")
"""Severities at which alerts about the same app are taken up together with what the finding asks for."""


def asks(finding: OpenFinding, facts: Facts) -> list[Ask]:
    """What `finding` asks for; a review where its policy names no action or nothing to change is left."""
    handler = _HANDLERS.get(finding.action, _review)
    found = list(handler(finding, facts)) or list(_review(finding, facts))
    if finding.severity in URGENT and facts.alerts.get(finding.service_principal_id):
        found.append(Ask(finding, "take_up_alerts", finding.service_principal_id))
    return found


def _review(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Someone looks at the app; reviews of one app are one action."""
    yield Ask(finding, "review_app", finding.service_principal_id)


def _review_settings(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Someone looks at settings of the tenant; the finding is about no app."""
    yield Ask(finding, "review_settings", finding.service_principal_id)


def _removals(
    finding: OpenFinding, facts: Facts, permission: Row, safe: bool, users_only: bool = False
) -> Iterator[Ask]:
    """Asks that together remove one permission: every grant and assignment that carries it."""
    name, resource = permission.get("permission"), permission.get("resource_id")
    if permission.get("permission_type") == "delegated":
        for grant in facts.grants.get(finding.service_principal_id, ()):
            wanted = grant["resource_id"] == resource and name in (grant["scopes"] or ())
            if wanted and not (users_only and grant["consent_type"] == "AllPrincipals"):
                yield Ask(finding, "remove_scopes", grant["grant_id"], scope=str(name), safe=safe)
    else:
        for assignment in facts.assignments.get(finding.service_principal_id, ()):
            if assignment["resource_id"] == resource and assignment["permission"] == name:
                yield Ask(finding, "remove_app_role", assignment["assignment_id"], safe=safe)


def _remove_unused(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Remove the permissions that the policy found unused."""
    for permission in listed_permissions(finding):
        yield from _removals(finding, facts, permission, safe=True)


def _remove_listed(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Remove the permissions of the evidence, used or not."""
    for permission in listed_permissions(finding):
        yield from _removals(finding, facts, permission, safe=permission.get("usage") == "unused")


def _remove_user_grants(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Remove the listed scopes from the grants that single users gave."""
    for permission in listed_permissions(finding):
        yield from _removals(finding, facts, permission, safe=permission.get("usage") == "unused", users_only=True)


def _reduce_privilege(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Remove what is not used or what another finding wants removed; the rest a person has to weigh."""
    weigh = False
    for permission in listed_permissions(finding):
        unused = permission.get("usage") == "unused"
        key = (finding.service_principal_id, str(permission.get("resource_id")), str(permission.get("permission")))
        if unused or key in facts.removals:
            yield from _removals(finding, facts, permission, safe=unused)
        else:
            weigh = True
    if weigh:
        yield from _review(finding, facts)


def _disable(safe: bool) -> Callable[[OpenFinding, Facts], Iterator[Ask]]:
    """A handler that asks to disable the app's sign-in."""

    def handler(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
        """Disable sign-in, unless it already is."""
        app = facts.apps.get(finding.service_principal_id)
        if app is not None and app["account_enabled"] is not False:
            yield Ask(finding, "disable_sign_in", finding.service_principal_id, safe=safe)

    return handler


def _disable_or_block(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Disable sign-in, everywhere where the app is ours and open to other tenants; block an app that is not here."""
    yield from _disable(safe=False)(finding, facts)
    yield from stop_elsewhere(finding, facts)


def _credential(action_type: str) -> Callable[[OpenFinding, Facts], Iterator[Ask]]:
    """A handler about the credential that the evidence names."""

    def handler(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
        """Change or renew the credential."""
        if finding.evidence.get("key_id"):
            yield Ask(finding, action_type, str(finding.evidence["key_id"]))

    return handler


def _expired_credentials(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Remove what ended before: every expired secret and certificate, as one action."""
    if facts.expired.get(finding.service_principal_id):
        yield Ask(finding, "remove_expired_credentials", finding.service_principal_id)


def _remove_federated(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Remove the federated credential that the evidence names."""
    key = str(finding.evidence.get("federated_credential_id") or "")
    if key in facts.federated:
        yield Ask(finding, "remove_federated_credential", key)


def _remove_owner(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Take an owner away, as long as another one is left who can answer for the app."""
    app, evidence = facts.apps.get(finding.service_principal_id), finding.evidence
    others = (evidence.get("live_owner_count") or 0) - (evidence.get("is_enabled") is not False)
    owned = facts.owner_ids.get(finding.service_principal_id, ()) if app is not None and app["application_id"] else ()
    if others > 0 and str(evidence.get("owner_id")) in owned:
        yield Ask(finding, "remove_owner", str(evidence["owner_id"]))


def _remove_directory_role(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Take the directory role from the app: every assignment that the evidence names."""
    for key in finding.evidence.get("assignment_ids") or ():
        if str(key) in facts.roles:
            yield Ask(finding, "remove_directory_role", str(key))


def _require_assignment(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Let only assigned users sign in."""
    if finding.service_principal_id in facts.apps:
        yield Ask(finding, "require_assignment", finding.service_principal_id)


def _lock_properties(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Lock the properties of the registration."""
    app = facts.apps.get(finding.service_principal_id)
    if app is not None and app["application_id"] in facts.locks:
        yield Ask(finding, "lock_properties", app["application_id"])


def _change_settings(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Write the setting, where its value is known; else somebody looks."""
    yield from list(tenant_asks.setting_asks(finding, facts)) or _review_settings(finding, facts)


def _add_owner(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Give the registration an owner."""
    app = facts.apps.get(finding.service_principal_id)
    if app is not None and app["application_id"]:
        yield Ask(finding, "add_owner", app["application_id"])


_HANDLERS: dict[str, Callable[[OpenFinding, Facts], Iterator[Ask]]] = {
    "remove_unused_permissions": _remove_unused,
    "remove_extra_grants": _remove_listed,
    "remove_user_grants": _remove_user_grants,
    "reduce_privilege": _reduce_privilege,
    "disable_sign_in": _disable_or_block,
    "disable_unused_app": _disable(safe=True),
    "remove_credential": _credential("remove_credential"),
    "renew_credential": _credential("renew_credential"),
    "add_owner": _add_owner,
    "remove_expired_credentials": _expired_credentials,
    "remove_federated_credential": _remove_federated,
    "remove_owner": _remove_owner,
    "remove_directory_role": _remove_directory_role,
    "require_assignment": _require_assignment,
    "lock_properties": _lock_properties,
    "change_setting": _change_settings,
    "review_settings": _review_settings,
    **people_asks.HANDLERS,
    **tenant_asks.HANDLERS,
    **_OF_APPS,
}
