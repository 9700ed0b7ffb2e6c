"""What Microsoft raised about apps: from the evidence or the service, never from the title; once each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Bench
from importing import SHARED

A1, A2, A9 = (f"00000000-0000-4000-8000-0000000000{n}" for n in ("a1", "a2", "a9"))
S1, S2, R2 = (f"00000000-0000-4000-8000-0000000000{n}" for n in ("51", "52", "72"))
INVENTORY = f"""service_principal_id | app_id | application_id | display_name
                {S1} | {A1} | -    | Payroll
                {S2} | {A2} | {R2} | Mailer"""
PUBLIC = SHARED / "realdata" / "panther_rule_tests" / "microsoft_graph_passthrough.json"
KIND = "#microsoft.graph.security."


def alert(identifier: str, *evidence: dict[str, Any], **values: Any) -> dict[str, Any]:
    """An alert of app governance as Graph writes it."""
    return {
        "id": identifier,
        "createdDateTime": "2026-11-09T14:02:51.7654321Z",
        "lastUpdateDateTime": "2026-11-10T14:02:51Z",
        "title": f"Title of {identifier}",
        "severity": "medium",
        "status": "new",
        "serviceSource": "microsoftAppGovernance",
        "detectionSource": "appGovernanceDetection",
        "alertWebUrl": f"https://security.microsoft.com/alerts/{identifier}",
        "evidence": list(evidence),
        **values,
    }


def oauth(app: str | None = None, thing: str | None = None) -> dict[str, Any]:
    """Evidence that names an OAuth app."""
    return {"@odata.type": f"{KIND}oauthApplicationEvidence", "appId": app, "objectId": thing}


def made(bench: Bench, alerts: list[dict[str, Any]], incidents: str = "", risky: str = "") -> list[dict[str, Any]]:
    """The rows of app_alerts."""
    bench.table("app_inventory", INVENTORY)
    bench.raw("security_alerts_graph", alerts)
    bench.run("security_alerts_from_graph")
    for name in ("security_alerts_from_log_analytics", "stg_service_principal_risk_detections"):
        bench.run(name)
    bench.run("stg_security_alerts")
    bench.table(
        "stg_incidents",
        "incident_id | status | classification | redirect_incident_id | web_url\n" + incidents,
    )
    bench.table(
        "stg_risky_service_principals",
        "service_principal_id | app_id | risk_level | risk_state | risk_detail | risk_updated_at TIMESTAMP\n" + risky,
    )
    bench.run("alert_apps")
    return bench.run("app_alerts")


def test_an_alert_is_about_the_app_its_evidence_names(bench: Bench) -> None:
    rows = made(
        bench,
        [
            alert("by-app-id", oauth(A1)),
            alert("by-registration", oauth(None, R2)),
            alert("by-principal", {"@odata.type": f"{KIND}servicePrincipalEvidence", "servicePrincipalObjectId": S1}),
            alert("of-a-stranger", oauth(A9)),
            alert("two-apps", oauth(A1), oauth(A2)),
            alert("of-defender", oauth(A1), serviceSource="microsoftDefenderForCloudApps", detectionSource="x"),
            alert("of-a-new-service", oauth(A1), serviceSource="somethingNew", severity="grave"),
            alert("of-cloud-app", {"@odata.type": f"{KIND}cloudApplicationEvidence", "appId": A2}),
        ],
    )
    assert [(r["alert_id"], r["app_id"], r["service_principal_id"], r["display_name"]) for r in rows] == [
        ("by-app-id", A1, S1, "Payroll"),
        ("by-principal", A1, S1, "Payroll"),
        ("by-registration", A2, S2, "Mailer"),
        ("of-a-new-service", A1, S1, "Payroll"),
        ("of-a-stranger", A9, None, None),
        ("of-cloud-app", A2, S2, "Mailer"),
        ("of-defender", A1, S1, "Payroll"),
        ("two-apps", A1, S1, "Payroll"),
        ("two-apps", A2, S2, "Mailer"),
    ]
    new = next(r for r in rows if r["alert_id"] == "of-a-new-service")
    assert (new["severity"], new["level"], new["service_source"], new["is_open"]) == (
        "grave",
        None,
        "somethingNew",
        True,
    )
    assert rows[0]["app_url"].endswith(f"/objectId/{S1}/appId/{A1}")


def test_app_governance_without_an_app_is_kept_and_titles_decide_nothing(bench: Bench) -> None:
    user = {"@odata.type": f"{KIND}userEvidence", "userAccount": {"azureAdUserId": S2}}
    number = {"@odata.type": f"{KIND}cloudApplicationEvidence", "appId": 11161}
    rows = made(
        bench,
        [
            alert("unnamed", user),
            alert("of-a-policy", serviceSource="microsoft365Defender", detectionSource="appGovernancePolicy"),
            alert("about-a-user", user, number, serviceSource="microsoft365Defender", detectionSource="custom",
                  title="Suspicious OAuth app"),
        ],
    )  # fmt: skip
    assert [(r["alert_id"], r["app_id"], r["app_url"]) for r in rows] == [
        ("of-a-policy", None, None),
        ("unnamed", None, None),
    ]


@pytest.mark.parametrize(
    ("values", "incident", "is_open"),
    [
        ({}, "", True),
        ({"status": "inProgress"}, "", True),
        ({"status": "somethingNew"}, "", True),
        ({"status": None}, "", True),
        ({"status": "resolved"}, "", False),
        ({"classification": "truePositive"}, "", True),
        ({"classification": "unknown"}, "", True),
        ({"classification": "falsePositive"}, "", False),
        ({"classification": "informationalExpectedActivity"}, "", False),
        ({"incidentId": "7"}, "7 | active | unknown | - | u", True),
        ({"incidentId": "7"}, "7 | resolved | unknown | - | u", False),
        ({"incidentId": "7", "classification": "unknown"}, "7 | active | falsePositive | - | u", False),
        ({"incidentId": "7"}, "7 | redirected | unknown | 8 | u\n8 | active | unknown | - | v", True),
        ({"incidentId": "7"}, "7 | redirected | unknown | 8 | u\n8 | resolved | unknown | - | v", False),
        ({"incidentId": "9"}, "7 | resolved | unknown | - | u", True),
    ],
)
def test_what_is_resolved_or_harmless_is_not_open(
    bench: Bench, values: dict[str, Any], incident: str, is_open: bool
) -> None:
    (row,) = made(bench, [alert("x", oauth(A1), **values)], incident)
    assert row["is_open"] is is_open
    if "\n" in incident:
        assert (row["incident_id"], row["incident_url"]) == ("8", "v")


def test_the_same_alert_by_two_ways_is_one(bench: Bench) -> None:
    bench.raw(
        "security_alerts_log_analytics",
        [
            {
                "SystemAlertId": "other-id",
                "TimeGenerated": "2026-11-09T14:02:59Z",
                "DisplayName": "Title of x",
                "AlertSeverity": "Medium",
                "Entities": json.dumps([{"Type": "oauth-application", "OAuthAppId": A1}]),
            }
        ],
    )
    rows = made(bench, [alert("x", oauth(A1)), alert("y", oauth(A1), createdDateTime=None, title="Title of x")])
    assert [(r["alert_id"], r["shape"]) for r in rows] == [("x", "graph"), ("y", "graph")]


def test_a_risk_stands_once(bench: Bench) -> None:
    bench.raw(
        "service_principal_risk_detections",
        [
            {"id": "d1", "servicePrincipalId": S1, "appId": A1, "riskState": "atRisk", "riskLevel": "high",
             "riskEventType": "leakedCredentials", "detectedDateTime": "2026-11-09T00:00:00Z"},
            {"id": "d2", "servicePrincipalId": S2, "appId": A2, "riskState": "dismissed", "riskLevel": "low",
             "riskEventType": "generic", "detectedDateTime": "2026-11-09T00:00:00Z"},
        ],
    )  # fmt: skip
    rows = made(
        bench,
        [alert("idp", oauth(A1), serviceSource="azureAdIdentityProtection"), alert("other", oauth(A1))],
        risky=f"{S1} | {A1} | high | atRisk | none | 2026-11-09 00:00:00\n"
        f"{S2} | {A2} | low | atRisk | none | 2026-11-09 00:00:00",
    )
    assert [(r["record_kind"], r["alert_id"], r["is_open"], r["is_told_as_risk"]) for r in rows] == [
        ("alert", "idp", True, True),
        ("alert", "other", True, False),
        ("risk", S1, True, True),
        ("risk", S2, True, False),  # low
        ("risk detection", "d1", True, True),
        ("risk detection", "d2", False, False),
    ]


@pytest.mark.skipif(not PUBLIC.exists(), reason="the public reference records are not there")
def test_public_records_about_people_are_about_no_app(bench: Bench) -> None:
    logs = [test["log"] for test in json.loads(PUBLIC.read_text(encoding="utf-8"))["tests"]]
    assert len(logs) == 4
    renamed = json.loads(json.dumps(logs).replace("at_sign_odata_type", "@odata.type"))
    assert made(bench, [*renamed]) == []
    assert len(bench.rows("FROM stg_security_alerts")) == 4
