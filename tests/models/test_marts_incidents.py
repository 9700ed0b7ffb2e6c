"""Incidents, credentials, scores and suggestions of the dashboard."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from conftest import Bench
from dashboard import APPS, numbers, tiles

RAISED = """
    1 | Both     | active   | high   | 2026-11-10 00:00:00 | 2026-11-11 00:00:00 | -
    2 | Policy   | resolved | medium | 2026-11-01 00:00:00 | 2026-11-12 00:00:00 | -
    3 | Users    | active   | low    | 2026-11-01 00:00:00 | 2026-11-14 00:00:00 | -
    4 | Old      | resolved | low    | 2026-10-01 00:00:00 | 2026-10-02 00:00:00 | -
    5 | Open     | -        | low    | 2026-10-01 00:00:00 | 2026-10-02 00:00:00 | -
"""
NAMED = """
    x1 | 1 | a1 | microsoftAppGovernance | appGovernancePolicy | 2026-11-10 00:00:00
    x2 | 1 | a9 | microsoftAppGovernance | appGovernanceDetection | 2026-11-12 00:00:00
    x3 | 2 | a1 | microsoftAppGovernance | appGovernancePolicy | 2026-11-01 00:00:00
    x4 | 3 | -  | azureAdIdentityProtection | azureAdIdentityProtection | 2026-11-01 00:00:00
    x5 | 5 | a1 | microsoftDefenderForCloudApps | cloudAppSecurity | 2026-10-01 00:00:00
"""


def test_incidents_are_about_apps_when_an_alert_is(bench: Bench) -> None:
    found = tiles(bench, app_inventory=APPS, stg_incidents=RAISED, stg_security_alerts=NAMED)
    rows = bench.rows("SELECT * FROM latest_incidents")
    assert [(r["incident_id"], r["source"], r["apps"]) for r in rows] == [
        ("1", "policy and detection", ["Own", "a9"]),  # an app nobody knows is named by its id
        ("5", "detection", ["Own"]),
    ]
    assert rows[0]["last_activity_at"] == datetime(2026, 11, 12)
    assert numbers(found["OV-6"]) == (2.0, 2.0, "complete")  # before: 2, closed in the period, and 5
    assert numbers(found["OV-6-threat"]) == (2.0, 1.0, "complete")
    assert numbers(found["OV-6-policy"]) == (1.0, 1.0, "complete")


def test_without_alerts_nobody_knows_which_incidents_are_about_apps(bench: Bench) -> None:
    found = tiles(bench, {"security_alerts": "not_permitted"}, app_inventory=APPS, stg_incidents=RAISED)
    assert numbers(found["OV-6"]) == (None, None, "unknown")
    rows = bench.rows("SELECT * FROM latest_incidents")
    assert [(r["incident_id"], r["about_apps"]) for r in rows] == [("3", None), ("1", None), ("5", None)]


def test_only_ten_incidents_are_listed(bench: Bench) -> None:
    many = "\n".join(
        f"{n} | I | active | low | 2026-10-01 00:00:00 | 2026-10-{n:02} 00:00:00 | -" for n in range(1, 15)
    )
    tiles(bench, {"security_alerts": "failed"}, stg_incidents=many)
    assert [r["incident_id"] for r in bench.rows("SELECT * FROM latest_incidents")] == [
        str(n) for n in range(14, 4, -1)
    ]


KEYS = """
    a1 | secret      | 2026-01-01 00:00:00 | 2026-11-20 00:00:00 | 5   | -                   | true
    a1 | certificate | 2026-01-01 00:00:00 | 2027-01-01 00:00:00 | 47  | 2026-11-14 00:00:00 | true
    a1 | secret      | 2026-01-01 00:00:00 | 2026-11-01 00:00:00 | -14 | -                   | true
    a1 | secret      | 2026-11-10 00:00:00 | 2027-01-01 00:00:00 | 47  | -                   | true
    a1 | federated   | -                   | -                   | -   | -                   | false
    m1 | secret      | 2026-01-01 00:00:00 | 2026-11-20 00:00:00 | 5   | -                   | true
"""
KEPT = """
    a1 | k1 | secret | 2026-11-20 00:00:00 | - | -
    a1 | k2 | secret | 2026-11-30 00:00:00 | - | 2026-11-12 00:00:00
    a1 | k3 | secret | 2026-11-30 00:00:00 | 2026-11-12 00:00:00 | -
    a1 | k4 | secret | 2026-12-15 00:00:00 | - | -
"""


def test_credentials_unused_and_expiring(bench: Bench) -> None:
    read = "applications | 2026-11-08 00:00:00\nservice_principals | 2026-11-08 00:00:00"
    found = tiles(bench, app_inventory=APPS, app_credentials=KEYS, credential_history=KEPT, source_readings=read)
    assert numbers(found["OV-17-unused-credentials"]) == (1.0, None, "complete")  # not the ended, not the young
    assert numbers(found["OV-17-expiring-credentials"]) == (1.0, 2.0, "complete")  # before: k1 and k2
    found = tiles(bench, {"credential_sign_in_activities": "partial"}, app_inventory=APPS, app_credentials=KEYS)
    assert numbers(found["OV-17-unused-credentials"]) == (0.0, None, "partial")
    assert numbers(found["OV-17-expiring-credentials"]) == (1.0, None, "complete")


def test_secure_score_items_are_those_about_apps(bench: Bench) -> None:
    scored = [{"controlName": n, "score": s} for n, s in (("AppG_UnusedApps", 1), ("IntegratedApps", 4), ("MFA", 9))]
    profiles = """
        AppG_UnusedApps | Remove unused OAuth apps | Apps | 3 | false | - | []
        IntegratedApps | Limit user consent | Identity | 4 | false | - | []
        MFA | MFA for admins | Identity | 10 | false | - | []
        aad_admin_consent_workflow | Admin consent workflow | Identity | 2 | false | - | [{"state": "Ignored"}]
        AppG_Old | Old OAuth control | Apps | 5 | true | - | []
    """
    score = f"s | 2026-11-15 00:00:00 | {json.dumps(scored)}"
    found = tiles(bench, stg_secure_scores=score, stg_secure_score_profiles=profiles)
    rows = {r["control_id"]: (r["score"], r["max_score"], r["state"]) for r in bench.rows("FROM secure_score_items")}
    assert rows == {
        "AppG_UnusedApps": (1.0, 3.0, "partly done"),
        "IntegratedApps": (4.0, 4.0, "done"),
        "aad_admin_consent_workflow": (None, 2.0, "ignored"),
    }
    assert numbers(found["OV-16"]) == (5.0, None, "partial")  # one control was not scored


@pytest.mark.parametrize(("low", "wanted"), [(True, []), (False, ["outside-apps", "user-consent", "unused-apps"])])
def test_policies_are_suggested_where_there_is_something(bench: Bench, low: bool, wanted: list[str]) -> None:
    value = "0" if low else "3"
    bench.table("overview_tiles", f"fact_id | value DOUBLE\nOV-2 | {value}\nOV-3 | -\nOV-24 | {value}")
    bench.table("consent_posture", "setting_id | verdict\nx | weak")
    bench.table("risky_grants", "grant_id | let_in_by\nx | administrator" + ("" if low else "\ny | user_consent"))
    rows = bench.run("suggested_policies")
    assert [r["suggestion_id"] for r in rows] == wanted
    assert all(r["why"].endswith(f": {r['measure']}.") for r in rows)
