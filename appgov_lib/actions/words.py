"""What the plan says about each kind of action: title, steps, how to verify."""

from __future__ import annotations

from appgov_lib.actions.app_words import BY_HAND
from appgov_lib.actions.app_words import WORDS as _OF_APPS
from appgov_lib.actions.text import RESOLVED as _RESOLVED
from appgov_lib.actions.text import Words

WORDS = {
    "remove_scopes": Words(
        "Remove {listed} ({who}) from {app}",
        (
            "Tell the owner of {app} that these delegated permissions will go: {listed}.",
            "Send the request; the other scopes of the grant stay.",
            "If something breaks, send the undo request: it restores the grant as it was.",
            "A removed grant does not stop a new consent. Where that matters, require assignment or tighten the "
            "consent policy.",
        ),
        "GET /v1.0/oauth2PermissionGrants no longer shows {listed} for grant {id}; " + _RESOLVED,
        "medium",
    ),
    "remove_app_role": Words(
        "Remove the application permission {listed} from {app}",
        (
            "Tell the owner of {app} that {listed} will go and ask about jobs that run rarely.",
            "Send the request.",
            "If something breaks, send the undo request: it assigns the same permission again.",
            "Tokens already issued keep the permission until they expire, usually within an hour.",
        ),
        "GET /v1.0/servicePrincipals/(id)/appRoleAssignments no longer lists assignment {id}; " + _RESOLVED,
        "medium",
    ),
    "remove_credential": Words(
        "Remove the {kind} {id} from {app}",
        (
            "Ask the owner of {app} whether the {kind} is kept for an emergency.",
            "Check once more that no sign-in used it.",
            "Send the request. It cannot be undone; a new credential has to be made instead.",
            "Check that the other credentials of the app are still listed.",
        ),
        "The {kind} {id} is no longer listed on the app, the app still signs in, and " + _RESOLVED,
        "medium",
    ),
    "renew_credential": Words(
        "Renew the {kind} of {app} before {ends}",
        (
            "Ask the owner of {app} whether the {kind} {id} is still in use; if not, let it end.",
            "Add the next credential; prefer a certificate or a federated credential to another secret.",
            "Give it to the app and check that a sign-in uses it.",
            "Remove the old {kind}.",
        ),
        "A sign-in with the new credential is in the log, and " + _RESOLVED,
        "high",
    ),
    "add_owner": Words(
        "Make {owner} an owner of {app}",
        (
            "{owner} changed the app last. Ask whether {owner} answers for it, or who does.",
            "Send the request, or the same request with the id of the person named.",
            "Add a second owner and record the team in the app's notes.",
        ),
        "GET /v1.0/applications/(id)/owners lists the person; " + _RESOLVED,
        "medium",
    ),
    "disable_sign_in": Words(
        "Disable sign-in of {app}",
        (
            "Announce it to the owner of {app} and to the users affected.",
            "Send the request: the app gets no new tokens in this tenant. Tokens already issued work until they "
            "expire, usually within an hour.",
            "Wait one business cycle. If somebody misses the app, send the undo request.",
            "If nobody does, delete it; a deleted app can be restored for 30 days.",
        ),
        "GET /v1.0/servicePrincipals/{id} shows accountEnabled false; " + _RESOLVED,
        "medium",
    ),
    "remove_expired_credentials": Words(
        "Remove {count} expired credentials of {app}",
        (
            "Nobody can sign in with them any more; they only hide which ones count.",
            "Send the requests. A removed secret cannot be restored, and need not be.",
            "Check that the credentials in use are still listed.",
        ),
        "No credential of {app} is listed past its end, and " + _RESOLVED,
        "low",
    ),
    "remove_federated_credential": Words(
        "Remove the federated credential {id} (issuer {issuer}) from {app}",
        (
            "Ask the owner of {app} who controls {issuer} and what signs in through it.",
            "Send the request: whoever the issuer vouches for gets no new tokens as {app}.",
            "If something breaks, send the undo request: the credential returns under a new id.",
        ),
        "GET /v1.0/applications/(id)/federatedIdentityCredentials no longer lists {id}; " + _RESOLVED,
        "medium",
    ),
    "remove_owner": Words(
        "Take {owner} off the owners of {app}",
        (
            "Tell the other owners of {app} that {owner} will go.",
            "Send the request. Check the credentials that {owner} could have added meanwhile.",
            "If it was wrong, send the undo request.",
        ),
        "GET /v1.0/applications/(id)/owners no longer lists the person; " + _RESOLVED,
        "medium",
    ),
    "remove_directory_role": Words(
        "Take the directory role {listed} from {app}",
        (
            "Ask the owner of {app} what needs the role; most tasks have a Graph permission that is narrower.",
            "Send the request. Tokens already issued keep the role until they expire, usually within an hour.",
            "If something breaks, send the undo request: the role returns under a new id.",
        ),
        "GET /v1.0/roleManagement/directory/roleAssignments no longer lists {id}; " + _RESOLVED,
        "medium",
    ),
    "require_assignment": Words(
        "Let only assigned users sign in to {app}",
        (
            "Find out who uses {app} and assign them, or a group of them, first.",
            "Send the request: users who are not assigned cannot sign in any more.",
            "If somebody is missed, assign them, or send the undo request.",
        ),
        "GET /v1.0/servicePrincipals/{id} shows appRoleAssignmentRequired true; " + _RESOLVED,
        "medium",
    ),
    "lock_properties": Words(
        "Lock the properties of {app} against other tenants",
        (
            "Check that no customer adds a credential to their copy of {app}.",
            "Send the request: in other tenants nobody can add one any more.",
            "If a customer is stopped by it, send the undo request.",
        ),
        "GET /v1.0/applications/{id} shows servicePrincipalLockConfiguration.isEnabled true; " + _RESOLVED,
        "low",
    ),
    "take_up_alerts": Words(
        "Take up the new alerts about {app} ({count})",
        (
            "Read the alerts in the Defender portal together with the findings about {app}.",
            "Send the request: it marks them as in progress, so that nobody else starts on them.",
            "When it is known what happened, close them there with a classification.",
        ),
        "The alerts about {app} are in progress or closed.",
        "low",
    ),
    "change_setting": Words(
        "Tighten the setting {setting} of the tenant",
        (
            "Ask who set it, and why. Give users a way to ask for apps before taking one away.",
            "Send the request: it changes this setting and no other.",
            "If too much is asked of the administrators, send the undo request.",
        ),
        "GET /v1.0/policies/authorizationPolicy shows the new value; " + _RESOLVED,
        "medium",
    ),
    "review_app": Words(
        "Review {app} ({listed})",
        (
            "Read the page of {app} in the report: what it was granted, what it used, what changed.",
            "Ask the owner, or a user of it, to explain what the findings describe.",
            "If the explanation holds, write it down with a date. If not, disable sign-in and go on from there.",
        ),
        "The explanation is recorded, or " + _RESOLVED,
        "high",
    ),
    "review_settings": Words(
        "Review the settings of the tenant ({listed})",
        (
            "Read the findings: they name each setting, its value and what is recommended.",
            "Ask who set it, and why. Give users a way to ask for apps before taking one away.",
            "Change the setting in the Entra admin center, or write down with a date why it stays.",
        ),
        "The setting has the recommended value, or " + _RESOLVED,
        "medium",
    ),
    **_OF_APPS,
}

# The same kinds of action where no request can be proposed and a person has to find out something first.
DEFAULT_WORDS = {
    "add_owner": Words(
        "Find an owner for {app}",
        (
            "No active user changed {app} in the recorded time. Ask the teams that use the data it reaches.",
            "Make the person named an owner in the Entra admin center, better two persons.",
            "If nobody answers for the app, treat it as unused: disable its sign-in and wait.",
        ),
        "GET /v1.0/applications/(id)/owners lists a person; " + _RESOLVED,
        "high",
    ),
    "remove_expired_credentials": Words(
        "Remove {count} expired credentials of {app} by hand",
        (
            "The list of certificates could not be read in full, so no request is proposed: remove them in the Entra "
            "admin center.",
        ),
        "No credential of {app} is listed past its end, and " + _RESOLVED,
        "medium",
    ),
    "remove_credential": Words(
        "Remove the {kind} {id} from {app} by hand",
        (
            "Ask the owner of {app} whether the {kind} is kept for an emergency.",
            "The list of credentials could not be read in full, so no request is proposed: remove the {kind} in the "
            "Entra admin center.",
        ),
        "The {kind} {id} is no longer listed on the app, and " + _RESOLVED,
        "medium",
    ),
    **BY_HAND,
}
