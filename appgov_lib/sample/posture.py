"""What Microsoft advises: directory recommendations with the apps they concern, and Secure Score."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import NOW, days_before_now
from appgov_lib.sample.directory import Directory, compact
from appgov_lib.sample.grants import Grants
from appgov_lib.sample.profiles import PROFILE_NAMES, PROFILES
from appgov_lib.sample.world import INTERNAL, MANAGED, MICROSOFT, ODD

_NINETY_DAYS_AGO = days_before_now(90)


@dataclass(frozen=True)
class Advice:
    """One recommendation and what it concerns: (service principal index, a detail) pairs."""

    kind: str
    title: str
    priority: str
    status: str
    score: tuple[float, float]
    impact: str
    concerned: list[tuple[int, str]]


class Posture:
    """Writes recommendations and scores."""

    def __init__(self, directory: Directory, grants: Grants) -> None:
        """Remember where the facts come from."""
        self.directory, self.grants, self.world = directory, grants, directory.world

    def advice(self) -> list[Advice]:
        """The recommendations of the tenant; each looks at the same facts as the reports do."""
        return [
            Advice("staleApps", "Remove unused applications", "medium", "active", (3, 8), "apps", self._stale()),
            Advice("staleAppCreds", "Remove unused credentials from applications", "medium", "active", (4, 8), "apps",
                   self._credentials(lambda c: c.last_used is not None and c.last_used > 30 and c.ends < 0)),
            Advice("applicationCredentialExpiry", "Renew expiring application credentials", "high", "active", (5, 10),
                   "apps", self._credentials(lambda c: -30 < c.ends < 0, registered=True)),
            Advice("turnOffPerUserMFA", "Switch from per-user MFA to Conditional Access MFA", "low",
                   "completedBySystem", (10, 10), "users", []),
        ]  # fmt: skip

    def _stale(self) -> list[tuple[int, str]]:
        """Apps older than ninety days without a sign-in for ninety days; Microsoft's own are exempt."""
        world = self.world
        found = []
        for index in range(world.cast_start, world.count):
            profile = PROFILES[PROFILE_NAMES[world.profile[index]]]
            exempt = world.kind[index] in (MICROSOFT, MANAGED, ODD) or profile == PROFILES["nothing"]
            if exempt or world.created[index] <= 90:
                continue
            last = self.grants.last_sign_in(index)
            if last is None or last < _NINETY_DAYS_AGO:
                found.append((index, last or ""))
        return found

    def _credentials(self, wanted: Any, registered: bool = False) -> list[tuple[int, str]]:
        """(app, key id) of the credentials that `wanted` picks."""
        world = self.world
        return [
            (index, world.key_id(index, place))
            for index in range(world.cast_start, world.count)
            if world.kind[index] == INTERNAL or (not registered and world.kind[index] not in (MICROSOFT, MANAGED))
            for place, credential in enumerate(world.credentials(index))
            if credential.kind != "federated" and wanted(credential)
        ]

    def recommendation_id(self, kind: str) -> str:
        """Id of a recommendation."""
        return f"{self.world.tenant_id}_Microsoft.Identity.IAM.Insights.{kind[0].upper()}{kind[1:]}"

    def recommendation(self, advice: Advice) -> bytes:
        """A recommendation (beta) without its resources."""
        text = f"{advice.title}."
        step = {"stepNumber": 1, "text": text, "actionUrl": {"displayName": "App registrations",
                                                              "url": "https://entra.microsoft.com/"}}  # fmt: skip
        return compact(
            {
                "id": self.recommendation_id(advice.kind),
                "recommendationType": advice.kind,
                "createdDateTime": "2026-03-02T04:11:00Z",
                "impactStartDateTime": "2026-03-02T04:11:00Z",
                "postponeUntilDateTime": None,
                "lastModifiedDateTime": "2026-11-15T04:10:12Z",
                "lastModifiedBy": "System",
                "lastCheckedDateTime": "2026-11-15T04:10:12Z",
                "displayName": advice.title,
                "featureAreas": ["applications" if advice.impact == "apps" else "conditionalAccess"],
                "insights": f"{len(advice.concerned)} resources are concerned.",
                "benefits": "A smaller attack surface.",
                "category": "identitySecureScore" if advice.impact == "users" else "identityBestPractice",
                "status": advice.status,
                "priority": advice.priority,
                "releaseType": "generallyAvailable",
                "requiredLicenses": "workloadIdentities" if advice.impact == "apps" else "notApplicable",
                "impactType": advice.impact,
                "currentScore": advice.score[0],
                "maxScore": advice.score[1],
                "remediationImpact": "Apps that still need it stop working.",
                "actionSteps": [step],
            }
        ).encode()

    def impacted(self, advice: Advice) -> list[dict[str, Any]]:
        """The resources a recommendation concerns; the key id of a credential is an additional detail."""
        world, people = self.world, self.directory.people
        rows = []
        for rank, (index, detail) in enumerate(advice.concerned, start=1):
            key = "lastSignInDateTime" if advice.kind == "staleApps" else "keyId"
            rows.append(
                {
                    "id": ids.guid(world.seed, "impacted", f"{advice.kind}/{index}/{detail}"),
                    "subjectId": world.app_ids[index],
                    "recommendationId": self.recommendation_id(advice.kind),
                    "resourceType": "app",
                    "addedDateTime": days_before_now(1 + index % 40),
                    "postponeUntilDateTime": None,
                    "lastModifiedDateTime": "2026-11-15T04:10:12Z",
                    "lastModifiedBy": "System",
                    "displayName": people.app_name(index),
                    "owner": None,
                    "rank": rank,
                    "portalUrl": f"https://entra.microsoft.com/#/apps/{world.app_ids[index]}",
                    "apiUrl": None,
                    "status": "active",
                    "additionalDetails": [{"key": key, "value": detail}],
                }
            )
        return rows

    # ---- Secure Score ----------------------------------------------------------------------------------------------

    def scores(self) -> list[bytes]:
        """Secure Score of the last ninety days, newest first; it rose when user consent was limited."""
        world = self.world
        rows = []
        for age in range(90):
            day = (NOW - timedelta(days=age + 1)).strftime("%Y-%m-%d")
            parts = [
                {
                    "controlCategory": category,
                    "controlName": name,
                    "description": title,
                    "score": worth if age < since else 0.0,
                    "scoreInPercentage": 100.0 if age < since else 0.0,
                    "implementationStatus": title,
                    "lastSynced": f"{day}T00:00:00Z",
                }
                for name, category, title, worth, since in _CONTROLS
            ]
            rows.append(
                compact(
                    {
                        "id": f"{world.tenant_id}_{day}",
                        "azureTenantId": world.tenant_id,
                        "activeUserCount": len(world.active_users),
                        "createdDateTime": f"{day}T00:00:00Z",
                        "currentScore": sum(worth for _, _, _, worth, since in _CONTROLS if age < since),
                        "enabledServices": ["HasExchange", "HasSharePoint", "HasAADP1"],
                        "licensedUserCount": world.size.users,
                        "maxScore": sum(worth for _, _, _, worth, _ in _CONTROLS),
                        "vendorInformation": _VENDOR,
                        "averageComparativeScores": [],
                        "controlScores": parts,
                    }
                ).encode()
            )
        return rows

    def controls(self) -> list[bytes]:
        """What Secure Score looks at."""
        return [
            compact(
                {
                    "id": name,
                    "azureTenantId": self.world.tenant_id,
                    "actionType": "Config",
                    "actionUrl": "https://security.microsoft.com/securescore",
                    "controlCategory": category,
                    "title": title,
                    "deprecated": False,
                    "implementationCost": "Low",
                    "lastModifiedDateTime": None,
                    "maxScore": worth,
                    "rank": rank,
                    "remediation": f"{title}.",
                    "remediationImpact": "Low",
                    "service": "AzureAD" if category == "Identity" else "MCAS",
                    "threats": ["Account Breach", "Data Exfiltration"],
                    "tier": "Core",
                    "userImpact": "Low",
                    "complianceInformation": [],
                    "controlStateUpdates": [],
                    "vendorInformation": _VENDOR,
                }
            ).encode()
            for rank, (name, category, title, worth, _) in enumerate(_CONTROLS, start=1)
        ]


_VENDOR = {"provider": "SecureScore", "providerVersion": None, "subProvider": None, "vendor": "Microsoft"}
_CONTROLS = (
    ("AdminMFAV2", "Identity", "Ensure multifactor authentication is enabled for all users in administrative roles",
     10.0, 999),
    ("BlockLegacyAuthentication", "Identity", "Enable policies to block legacy authentication", 8.0, 999),
    ("IntegratedApps", "Identity", "Ensure user consent to apps accessing company data on their behalf is limited",
     4.0, 30),
    ("aad_admin_consent_workflow", "Identity", "Ensure the admin consent workflow is enabled", 2.0, 60),
    ("AppG_UnusedApps", "Apps", "Remove or disable unused OAuth apps", 3.0, 0),
    ("AppG_OverprivilegedApps", "Apps", "Regulate OAuth apps with unused permissions", 4.0, 0),
)  # fmt: skip
"""(id, category, title, points, implemented since so many days: 999 always, 0 not yet)."""
