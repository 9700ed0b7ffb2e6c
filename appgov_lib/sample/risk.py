"""What Microsoft raised about apps: alerts, the incidents they belong to, risky service principals and detections."""

from __future__ import annotations

from typing import Any

from appgov_lib.sample import ids
from appgov_lib.sample.directory import compact
from appgov_lib.sample.people import People, Place
from appgov_lib.sample.world import INTERNAL, World

_APPS_INCIDENT, _USER_INCIDENT = "41", "38"


def alerts(world: World) -> list[tuple[str, bytes]]:
    """(time, record) of the security alerts, newest first: two of app governance, one about something else."""
    people = People(world)
    phishing, dormant = world.cast_index("DocuViewer Pro 365"), world.cast_index("Legacy Invoice Archiver")
    return [
        _alert(
            world, people, dormant, "2026-11-13T08:20:11.1234567Z", "medium", "appGovernanceDetection",
            "App accessed from unusual location made anomalous Graph calls post credential update",
            "Persistence", ["T1098"],
        ),
        _alert(
            world, people, phishing, "2026-11-09T14:02:51.7654321Z", "high", "appGovernancePolicy",
            "New app with mail permissions and unverified publisher", "Collection", ["T1114"],
        ),
        _other_alert(world),
    ]  # fmt: skip


def _alert(
    world: World,
    people: People,
    index: int,
    moment: str,
    severity: str,
    source: str,
    title: str,
    category: str,
    mitre: list[str],
) -> tuple[str, bytes]:
    """One alert of app governance with the app as evidence."""
    identifier = f"ag{ids.guid(world.seed, 'alert', title)}"
    evidence: dict[str, Any] = {
        "@odata.type": "#microsoft.graph.security.oauthApplicationEvidence",
        "createdDateTime": moment,
        "verdict": "suspicious",
        "remediationStatus": "none",
        "remediationStatusDetails": None,
        "roles": [],
        "detailedRoles": [],
        "tags": [],
        "appId": world.app_ids[index],
        "displayName": people.app_name(index),
        "objectId": world.sp_ids[index],
        "publisher": people.vendor(index),
    }
    record = _record(world, identifier, _APPS_INCIDENT, moment, severity, title, category, mitre)
    record |= {"serviceSource": "microsoftAppGovernance", "detectionSource": source, "evidence": [evidence]}
    return moment, compact(record).encode()


def _other_alert(world: World) -> tuple[str, bytes]:
    """An alert that has nothing to do with apps."""
    moment, title = "2026-10-21T22:40:00.5Z", "Unfamiliar sign-in properties"
    record = _record(
        world, "da638000000000000000_-1", _USER_INCIDENT, moment, "low", title, "InitialAccess", []
    )  # fmt: skip
    record |= {
        "serviceSource": "azureAdIdentityProtection",
        "detectionSource": "azureAdIdentityProtection",
        "status": "resolved",
    }
    return moment, compact(record).encode()


def _record(
    world: World,
    identifier: str,
    incident: str,
    moment: str,
    severity: str,
    title: str,
    category: str,
    mitre: list[str],
) -> dict[str, Any]:
    """What all alerts share."""
    return {
        "@odata.type": "#microsoft.graph.security.alert",
        "id": identifier,
        "providerAlertId": identifier,
        "incidentId": incident,
        "status": "new",
        "severity": severity,
        "classification": None,
        "determination": None,
        "detectorId": ids.guid(world.seed, "detector", title),
        "tenantId": world.tenant_id,
        "title": title,
        "description": title + ".",
        "recommendedActions": "Review the app and its permissions.",
        "category": category,
        "assignedTo": None,
        "alertWebUrl": f"https://security.microsoft.com/alerts/{identifier}?tid={world.tenant_id}",
        "incidentWebUrl": f"https://security.microsoft.com/incidents/{incident}?tid={world.tenant_id}",
        "mitreTechniques": mitre,
        "createdDateTime": moment,
        "lastUpdateDateTime": moment,
        "resolvedDateTime": None,
        "firstActivityDateTime": moment,
        "lastActivityDateTime": moment,
        "comments": [],
        "evidence": [],
        "systemTags": [],
    }


def incidents(world: World) -> list[tuple[str, bytes]]:
    """(time, record) of the incidents, newest first; `$expand=alerts` adds their alerts."""
    rows = (
        (_APPS_INCIDENT, "2026-11-09T14:05:00Z", "2026-11-13T08:21:00Z", "active", "high",
         "Suspicious OAuth app activity involving several users"),
        (_USER_INCIDENT, "2026-10-21T22:41:00Z", "2026-10-23T09:12:30Z", "resolved", "low",
         "Unfamiliar sign-in properties involving one user"),
    )  # fmt: skip
    found = []
    for identifier, created, updated, status, severity, name in rows:
        record: dict[str, Any] = {
            "@odata.type": "#microsoft.graph.security.incident",
            "id": identifier,
            "tenantId": world.tenant_id,
            "status": status,
            "severity": severity,
            "displayName": name,
            "description": None,
            "summary": None,
            "redirectIncidentId": None,
            "assignedTo": None,
            "lastModifiedBy": None,
            "resolvingComment": None,
            "createdDateTime": created,
            "lastUpdateDateTime": updated,
            "classification": "unknown",
            "determination": "unknown",
            "incidentWebUrl": f"https://security.microsoft.com/incidents/{identifier}?tid={world.tenant_id}",
            "comments": [],
            "customTags": [],
            "systemTags": [],
        }
        found.append((created, compact(record).encode()))
    return found


# ---- Identity Protection for workload identities ---------------------------------------------------------------------


def _suspects(world: World) -> tuple[tuple[int, str, str, str], ...]:
    """(index, level, state, detail): the dormant app, the phishing app, and one whose risk was dismissed."""
    ordinary = next(
        index
        for index in range(world.ordinary_start, world.count)
        if world.kind[index] == INTERNAL and any(key.kind == "secret" for key in world.credentials(index))
    )
    return (
        (world.cast_index("Legacy Invoice Archiver"), "high", "atRisk", "none"),
        (world.cast_index("DocuViewer Pro 365"), "medium", "atRisk", "none"),
        (ordinary, "low", "dismissed", "adminDismissedAllRiskForServicePrincipal"),
    )


_UPDATED = ("2026-11-12T03:11:46.0451374Z", "2026-11-09T14:00:00Z", "2026-09-16T09:30:00Z")


def risky_service_principals(world: World, beta: bool) -> list[bytes]:
    """The three risky service principals; beta calls the account's state `accountEnabled` too."""
    people = People(world)
    return [
        compact(
            {
                "id": world.sp_ids[index],
                "isEnabled": True,
                "isProcessing": False,
                "riskLastUpdatedDateTime": updated,
                "riskLevel": level,
                "riskState": state,
                "riskDetail": detail,
                "displayName": people.app_name(index),
                "appId": world.app_ids[index],
                "servicePrincipalType": "Application",
                **({"accountEnabled": True} if beta else {}),
            }
        ).encode()
        for (index, level, state, detail), updated in zip(_suspects(world), _UPDATED, strict=True)
    ]


def risk_detections(world: World) -> list[tuple[str, bytes]]:
    """(time, record) of the detections, newest first: two on the dormant app after it woke."""
    people = People(world)
    dormant, phishing, ordinary = _suspects(world)
    rows = (
        (dormant, "suspiciousAPITraffic", "offline", "2026-11-13T04:40:00Z", "2026-11-12T19:05:00Z"),
        (dormant, "suspiciousSignins", "offline", "2026-11-12T03:11:46Z", "2026-11-11T16:02:00Z"),
        (phishing, "suspiciousApplication", "offline", "2026-11-09T14:00:00Z", "2026-11-09T00:00:00Z"),
        (ordinary, "leakedCredentials", "offline", "2026-09-14T11:00:00Z", "2026-09-14T00:00:00Z"),
    )
    found = []
    for (index, level, state, detail), kind, timing, detected, happened in rows:
        signing = kind == "suspiciousSignins"
        record = {
            "@odata.type": "#microsoft.graph.servicePrincipalRiskDetection",
            "id": ids.digest(world.seed, "risk detection", f"{kind}/{index}").hex(),
            "requestId": ids.guid(world.seed, "risk request", kind) if signing else None,
            "correlationId": ids.guid(world.seed, "risk correlation", kind) if signing else None,
            "riskEventType": kind,
            "riskState": state,
            "riskLevel": level,
            "riskDetail": detail,
            "source": "IdentityProtection",
            "detectionTimingType": timing,
            "activity": "signin" if signing else "servicePrincipal",
            "tokenIssuerType": "AzureAD",
            "ipAddress": people.app_address(index, 0) if signing else None,
            "location": _location(people.app_place(index)) if signing else None,
            "activityDateTime": happened,
            "detectedDateTime": detected,
            "lastUpdatedDateTime": detected,
            "servicePrincipalId": world.sp_ids[index],
            "servicePrincipalDisplayName": people.app_name(index),
            "appId": world.app_ids[index],
            "keyIds": [world.key_id(index, place) for place, _ in enumerate(world.credentials(index))],
            "additionalInfo": '[{"Key":"alertUrl","Value":null}]',
        }
        found.append((detected, compact(record).encode()))
    return found


def _location(place: Place) -> dict[str, Any]:
    """A place as a detection describes it."""
    coordinates = {"altitude": None, "latitude": place.latitude, "longitude": place.longitude}
    return {
        "city": place.city,
        "state": place.state,
        "countryOrRegion": place.country,
        "geoCoordinates": coordinates,
    }
