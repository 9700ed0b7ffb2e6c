"""What the plan says about each kind of action that is about an app as a whole."""

from __future__ import annotations

from appgov_lib.actions.text import RESOLVED, Words

WORDS = {
    "remove_reply_urls": Words(
        "Remove reply addresses from {app}: {listed}",
        (
            "Ask the team of {app} which program still answers at these addresses; no log tells.",
            "Send the request: {left}. The other lists of the registration are not touched.",
            "If a sign-in fails with AADSTS50011, send the undo request.",
        ),
        "GET /v1.0/applications/{id} no longer lists the addresses; " + RESOLVED,
        "medium",
    ),
    "trim_manifest": Words(
        "Let {app} no longer ask for {listed}",
        (
            "Ask the team of {app} whether it is waiting for a decision on these permissions.",
            "Send the request: what is granted stays, and the next consent no longer gives these.",
            "If the app needs them after all, send the undo request and decide on the consent.",
        ),
        "GET /v1.0/applications/{id} no longer lists them in requiredResourceAccess; " + RESOLVED,
        "low",
    ),
    "deactivate_registration": Words(
        "Deactivate the registration of {app} in all tenants",
        (
            "{app} is open to other tenants: disabling it here does not stop who signs in to it there.",
            "Tell the customers of {app}. Disable its sign-in here first.",
            "Send the request: it gets no new token in any tenant; its settings and credentials stay.",
            "When the cause is removed, send the undo request.",
        ),
        "GET /v1.0/applications/{id} shows isDisabled true; " + RESOLVED,
        "high",
    ),
    "block_app": Words(
        "Block {app} ({known}) before anybody consents to it",
        (
            "{app} has no service principal here, so there is nothing to disable yet.",
            "Send the request: it makes one that is disabled, and consent to the app fails from then on.",
            "Keep it. Deleting it, as the undo request does, opens the way again.",
        ),
        "GET /v1.0/servicePrincipals(appId='{id}') shows accountEnabled false.",
        "low",
    ),
    "confirm_compromised": Words(
        "Confirm to Microsoft that {app} is compromised",
        (
            "Read the other findings about {app}: they and Microsoft's detection speak of the same app.",
            "If it is compromised, disable its sign-in and remove its credentials first.",
            "Send the request: the risk becomes high, and Conditional Access for workload identities acts on it. It "
            "needs the Workload Identities Premium licence.",
            "If it was wrong, dismiss the risk: the undo request does, and the former state does not come back.",
        ),
        "GET /v1.0/identityProtection/riskyServicePrincipals/{id} shows confirmedCompromised.",
        "medium",
    ),
    "dismiss_risk": Words(
        "Dismiss the risk of {app}, whose credentials in question are gone",
        (
            "Check that none of the credentials that the detections name is on the app any more, and what was done "
            "with them.",
            "Send the request. It cannot be undone: Microsoft has no way back to 'at risk'.",
        ),
        "GET /v1.0/identityProtection/riskyServicePrincipals/{id} shows dismissed; " + RESOLVED,
        "low",
    ),
    "limit_sign_in": Words(
        "Report when {app} would be blocked for its risk",
        (
            "Send the request: it makes a Conditional Access policy that only reports. It needs the licence Workload "
            "Identities Premium.",
            "Watch it for two weeks in the sign-in log, under report-only.",
            "If it hits what it should and nothing else, turn the policy on by hand in the Entra admin center.",
        ),
        "GET /v1.0/identity/conditionalAccess/policies lists a policy for {id}.",
        "low",
    ),
    "delete_app": Words(
        "Delete {app}, which is disabled and not used",
        (
            "Ask the owner of {app} a last time. Nothing signs in with it, so nothing stops.",
            "Send the requests in their order: {count} grants and assignments first, as a restored app comes back "
            "without them; then the app, and its registration where it is ours.",
            "It can be restored for 30 days: the undo requests do, last first. Grants and assignments return under new "
            "ids; users assigned to it and Conditional Access policies that name it do not return.",
        ),
        "GET /v1.0/servicePrincipals/{id} answers 404; " + RESOLVED,
        "low",
    ),
}

BY_HAND = {
    "delete_app": Words(
        "Delete {app}, which is disabled and not used, by hand",
        (
            "{count} grants and assignments would have to be taken back one by one, to come back if need be: too many "
            "for one action. Save the list of them from the report's page of {app}.",
            "Delete the app in the Entra admin center. It can be restored there for 30 days, without the grants.",
        ),
        "GET /v1.0/servicePrincipals/{id} answers 404; " + RESOLVED,
        "medium",
    ),
}
