"""What findings ask for that is about an app as a whole, or about what its registration says.

Least disruptive first: an address, a requested permission, a word to Microsoft, the registration, the app itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from appgov_lib.actions.ask import Ask
from appgov_lib.actions.facts import Facts, OpenFinding, Row

ONE_TENANT = "AzureADMyOrg"
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


def _registration(finding: OpenFinding, facts: Facts) -> tuple[str, Row]:
    """(object id, registration) of the app, where this tenant registers it; else empty."""
    app = facts.apps.get(finding.service_principal_id)
    key = str(app["application_id"] or "") if app is not None else ""
    return (key, facts.registrations[key]) if key in facts.registrations else ("", {})


def _listed(finding: OpenFinding, name: str) -> list[Any]:
    """A list of the evidence."""
    found = finding.evidence.get(name)
    return found if isinstance(found, list) else []


def _reply_urls(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Take the addresses of the evidence off the registration; those of an outside app only its publisher can."""
    key, registration = _registration(finding, facts)
    held = {url for urls in registration.get("reply_urls", {}).values() for url in urls}
    for url in _listed(finding, "addresses"):
        if url in held:
            yield Ask(finding, "remove_reply_urls", key, scope=str(url))


def _manifest(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Take permissions off what the registration asks for; they were not granted here, so nothing here uses them."""
    key, registration = _registration(finding, facts)
    held = {
        (str(api.get("resourceAppId")).lower(), str(each.get("id")).lower())
        for api in registration.get("asked", ())
        for each in api.get("resourceAccess") or ()
    }
    alone = registration.get("sign_in_audience") == ONE_TENANT
    for wanted in _listed(finding, "asked_for"):
        pair = (str(wanted.get("resource_app_id")).lower(), str(wanted.get("permission_id")).lower())
        if pair in held:
            yield Ask(finding, "trim_manifest", key, scope=" ".join(pair), safe=alone)


def stop_elsewhere(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Where disabling sign-in here is not enough: our own app is used in other tenants, or the app is not here yet."""
    key, registration = _registration(finding, facts)
    open_to_others = registration.get("sign_in_audience") not in (None, ONE_TENANT)
    if open_to_others and registration.get("is_disabled") is not True:
        yield Ask(finding, "deactivate_registration", key)
    app_id = finding.app_id.lower()
    if finding.service_principal_id not in facts.apps and _GUID(app_id):
        yield Ask(finding, "block_app", app_id)


def _risk(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """A verdict on the risk that Microsoft sees, as far as other findings or what became of the keys bear it out."""
    key, app = finding.service_principal_id, facts.apps.get(finding.service_principal_id)
    if finding.evidence.get("risk_state") == "confirmedCompromised":
        if app is not None and app["account_enabled"] is not False:
            yield Ask(finding, "disable_sign_in", key)
        return
    named = {str(each).lower() for found in _listed(finding, "detections") for each in found.get("key_ids") or ()}
    if facts.severe.get(key, frozenset()) - {finding.policy_id}:
        yield Ask(finding, "review_app", key)  # telling Microsoft removes nothing by itself
        yield Ask(finding, "confirm_compromised", key)
        if app is not None and app["application_id"] and app.get("sign_in_audience") == ONE_TENANT:
            yield Ask(finding, "limit_sign_in", key)
    elif named and not named & facts.live_keys.get(key, frozenset()):
        yield Ask(finding, "dismiss_risk", key)


def _delete(finding: OpenFinding, facts: Facts) -> Iterator[Ask]:
    """Delete an app that is disabled and that nobody missed."""
    app = facts.apps.get(finding.service_principal_id)
    if app is not None and app["account_enabled"] is False:
        yield Ask(finding, "delete_app", finding.service_principal_id)


HANDLERS: dict[str, Callable[[OpenFinding, Facts], Iterator[Ask]]] = {
    "remove_reply_urls": _reply_urls,
    "trim_manifest": _manifest,
    "judge_risk": _risk,
    "delete_app": _delete,
}
