"""The risk score: every part on hand-made apps, what could not be judged, and the weights an analyst may change."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
from checkout import text
from conftest import Bench

UNITS = ("risk_units_access", "risk_units_trust", "risk_units_credentials", "risk_units_microsoft")
GRAPH = "00000003-0000-0000-c000-000000000000"
HEADERS = {
    "app_identity": "service_principal_id | app_id | display_name | app_origin | service_principal_type "
    "| publisher_verified BOOLEAN | publisher_name | created_at TIMESTAMP | assignment_required BOOLEAN "
    "| reply_urls VARCHAR[]",
    "app_permissions": "service_principal_id | resource_id | permission | permission_type | consent_type "
    "| consented_users BIGINT | privilege_level | service | access | usage | usage_reason | in_manifest BOOLEAN",
    "app_last_use": "app_id | last_used_at TIMESTAMP | days_since_last_use BIGINT",
    "app_owners": "service_principal_id | owner_id | owner_enabled BOOLEAN | owner_is_guest BOOLEAN",
    "app_credentials": "service_principal_id | object_id | credential_type | credential_origin | days_to_expiry BIGINT "
    "| lifetime_days BIGINT | starts_at TIMESTAMP | last_used_at TIMESTAMP | last_used_known BOOLEAN",
    "stg_directory_role_assignments": "principal_id | role_name | role_definition_id | is_privileged BOOLEAN | scope",
    "stg_users": "user_id | account_enabled BOOLEAN",
    "stg_risky_service_principals": "service_principal_id | risk_level | risk_state | risk_updated_at TIMESTAMP",
    "stg_security_alerts": "alert_id | app_id | service_principal_id | title | severity | status "
    "| created_at TIMESTAMP",
    "stg_oauth_app_info": "app_id | service_principal_id | risk_score BIGINT | last_used_at TIMESTAMP",
    "stg_service_principals": "service_principal_id | app_id | key_credentials JSON",
}
SOURCES = sorted(
    {name for row in csv.DictReader(text("appgov_lib/reference/risk_weights.csv").splitlines())
     for name in row["sources"].split()} | {"service_principal_sign_in_activities"}
)  # fmt: skip
INTERNAL = "s1 | a1 | App | internal | Application | false | - | 2026-10-01 | true | []"
EXTERNAL = "s1 | a1 | App | external | Application | false | Acme | 2026-10-01 | true | []"
OWNED = "s1 | u1 | true | false"
USED = "a1 | 2026-11-15 | 0"


def permission(name: str, kind: str = "application", level: str = "high", **other: str) -> str:
    """A row of app_permissions for s1 on Microsoft Graph."""
    values = {"consent": "admin", "users": "0", "service": "Other", "access": "read", "usage": "used", "reason": "-",
              "manifest": "true"} | other  # fmt: skip
    return (
        f"s1 | graph | {name} | {kind} | {values['consent']} | {values['users']} | {level} | {values['service']} "
        f"| {values['access']} | {values['usage']} | {values['reason']} | {values['manifest']}"
    )


def score(bench: Bench, unread: dict[str, str] | None = None, **tables: str) -> dict[str, Any]:
    """The row of app_risk of app s1; `tables` fill inputs, an app used today with a live owner is the default."""
    filled = {"app_identity": INTERNAL, "app_owners": OWNED, "app_last_use": USED} | tables
    filled["stg_service_principals"] = f"graph | {GRAPH} | []\n" + filled.get("stg_service_principals", "s1 | a1 | []")
    for name, header in HEADERS.items():
        bench.table(name, f"{header}\n{filled.get(name, '')}")
    status = dict.fromkeys(SOURCES, "complete") | (unread or {})
    bench.table("coverage", "source | status\n" + "\n".join(f"{name} | {end}" for name, end in status.items()))
    for model in (*UNITS, "app_risk_parts"):
        bench.run(model)
    return next(row for row in bench.run("app_risk") if row["service_principal_id"] == "s1")


def points(found: dict[str, Any]) -> dict[str, int]:
    """Points of every part that counts."""
    return {part["part"]: part["points"] for part in json.loads(found["risk_parts"]) if part["points"]}


def test_an_app_without_anything_scores_nothing(bench: Bench) -> None:
    found = score(bench)
    assert points(found) == {}
    assert (found["risk_score"], found["risk_impact"], found["risk_likelihood"], found["risk_unknown_points"]) == (
        0, 0, 0, 0,
    )  # fmt: skip
    assert (found["risk_level"], found["is_ranked"], found["weights_version"]) == ("info", True, "2026-11")


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"app_permissions": permission("Sites.Selected", level="low")}, {}),
        ({"app_permissions": permission("User.Read.All", level="medium")}, {"application_medium": 2}),
        ({"app_permissions": permission("Mail.Read", service="Exchange")},
         {"application_high": 15, "application_content": 10}),
        ({"app_permissions": permission("A.Write", service="Directory", access="write") + "\n" + permission("B")},
         {"application_high": 15, "application_high_more": 3, "application_directory": 10}),
        ({"app_permissions": permission("RoleManagement.ReadWrite.Directory")},
         {"application_takeover": 15, "application_high": 15}),
        # delegated ones of that name do only what the user may
        ({"app_permissions": permission("RoleManagement.ReadWrite.Directory", "delegated")},
         {"delegated_high_everybody": 6}),
        ({"app_permissions": permission("Mail.Read", "delegated"), "stg_users": "u1 | true\nu2 | false"},
         {"delegated_high_everybody": 6, "users_reached": 1}),
        ({"app_permissions": permission("Mail.Read", "delegated", consent="user", users="12")},
         {"delegated_high_some": 4, "users_reached": 2}),
        ({"app_permissions": permission("openid", "delegated", "low", consent="user", users="12")}, {}),
        ({"stg_directory_role_assignments": "s1 | Global Administrator | g | true | /"}, {"entra_role_privileged": 20}),
        ({"stg_directory_role_assignments": "s1 | Global Administrator | g | true | /administrativeUnits/x"},
         {"entra_role_other": 4}),
        ({"app_permissions": permission("X", usage="unused", manifest="false")},
         {"application_high": 15, "unused_high": 2, "not_in_manifest": 3}),
    ],
)  # fmt: skip
def test_what_an_app_could_do(bench: Bench, tables: dict[str, str], expected: dict[str, int]) -> None:
    users = {"stg_users": "u1 | true"} if "stg_users" not in tables else {}
    found = points(score(bench, **({} if "users_reached" not in expected else users), **tables))
    assert found == expected


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"app_identity": EXTERNAL}, {"publisher_unverified": 15}),
        ({"app_identity": EXTERNAL.replace("| false |", "| true |")}, {}),
        ({"app_identity": EXTERNAL,
          "app_permissions": permission("M", "delegated", "medium", consent="user", users="9")},
         {"publisher_unverified": 15, "user_consent": 6, "delegated_medium": 1, "users_reached": 1}),
        ({"app_owners": ""}, {"owner_none": 8}),
        ({"app_owners": "s1 | u1 | false | false\ns1 | u2 | true | true"}, {"owner_none": 8}),
        ({"app_owners": "s1 | u1 | false | false\ns1 | u2 | - | -"}, {}),
        ({"app_identity": EXTERNAL, "app_owners": ""}, {"publisher_unverified": 15}),
        ({"app_identity": INTERNAL.replace("[]", "[https://a.example/x, http://localhost:1/, myapp://x]")}, {}),
        ({"app_identity": INTERNAL.replace("[]", "[http://a.example/x]")}, {"reply_url_unsafe": 4}),
        ({"app_identity": INTERNAL.replace("[]", "[http://localhost.evil.example]")}, {"reply_url_unsafe": 4}),
        ({"app_identity": INTERNAL.replace("[]", "[https://*.a.example, https://10.0.0.1/x]")},
         {"reply_url_unsafe": 4}),
        ({"app_last_use": "a1 | 2026-08-17 | 90"}, {}),
        ({"app_last_use": "a1 | 2026-08-17 | 90", "app_permissions": permission("low", level="low")}, {"dormant": 5}),
        # what app governance saw counts too, but not a day after the as-of date
        ({"app_last_use": "a1 | 2026-08-17 | 90", "app_permissions": permission("low", level="low"),
          "stg_oauth_app_info": "a1 | - | - | 2026-11-01"}, {}),
        ({"app_last_use": "", "app_permissions": permission("low", level="low"),
          "stg_oauth_app_info": "a1 | - | - | 2026-08-17"}, {"dormant": 5}),
        ({"app_last_use": "a1 | 2026-08-17 | 90", "app_permissions": permission("low", level="low"),
          "stg_oauth_app_info": "a1 | - | - | 2026-11-16"}, {"dormant": 5}),
        # a row of the report without any date is no use today: it counts from the day the app was added
        ({"app_last_use": "a1 | - | -", "app_permissions": permission("low", level="low"),
          "app_identity": INTERNAL.replace("2026-10-01", "2026-01-01")}, {"dormant": 5}),
        ({"app_last_use": "", "app_permissions": permission("low", level="low")}, {}),  # added 45 days ago
        ({"app_last_use": "", "app_permissions": permission("low", level="low"),
          "app_identity": INTERNAL.replace("2026-10-01", "2026-01-01")}, {"dormant": 5}),
        ({"app_credentials": "s1 | o | secret | application | 9 | 366 | 2026-11-01 | 2026-11-14 | true"},
         {"secret_long_lived": 2}),
        ({"app_credentials": "s1 | o | secret | application | 9 | 30 | 2026-01-01 | - | true\n"
          "s1 | o | secret | application | -9 | 900 | 2026-01-01 | - | true\n"
          "s1 | o | secret | application | 9 | 30 | 2026-10-01 | - | true\n"
          "s1 | o | federated | application | - | - | - | - | true"},
         {"credential_unused": 2, "credential_expired": 1, "credential_several": 1}),
        ({"app_credentials": "s1 | s1 | certificate | service_principal | 9 | 900 | 2026-11-01 | - | true"},
         {"credential_on_service_principal": 4}),
        # the pair of a SAML app
        ({"app_credentials": "s1 | s1 | certificate | service_principal | 9 | 900 | 2026-11-01 | - | true",
          "stg_service_principals": 's1 | a1 | [{"usage":"Sign"},{"usage":"Verify"}]'}, {}),
        ({"stg_risky_service_principals": "s1 | high | atRisk | 2026-11-01"}, {"microsoft_risk": 12}),
        ({"stg_risky_service_principals": "s1 | high | dismissed | 2026-11-01"}, {}),
        ({"stg_risky_service_principals": "s1 | none | confirmedCompromised | -"}, {"microsoft_risk": 16}),
        ({"stg_security_alerts": "x | a1 | - | T | high | new | 2026-11-01\ny | a1 | s1 | T | low | new | 2026-11-01"},
         {"microsoft_alert": 8}),
        ({"stg_security_alerts": "x | a1 | - | T | high | resolved | 2026-11-01\n"
          "y | a1 | s1 | T | low | new | 2026-08-17"}, {}),
        ({"stg_oauth_app_info": "a1 | - | 75 | -"}, {"microsoft_score": 2}),
        ({"stg_oauth_app_info": "a1 | - | 49 | -"}, {}),
    ],
)  # fmt: skip
def test_how_easily_it_is_abused_or_wrong(bench: Bench, tables: dict[str, str], expected: dict[str, int]) -> None:
    assert points(score(bench, **tables)) == expected


def test_the_score_is_the_sum_of_its_parts_and_the_excess_is_one_of_them(bench: Bench) -> None:
    wide = "\n".join(permission(f"P{n}", service="Exchange") for n in range(6))
    wide += "\n" + permission("RoleManagement.ReadWrite.Directory", service="Directory", access="write")
    found = score(
        bench,
        app_permissions=wide,
        stg_directory_role_assignments="s1 | Global Administrator | g | true | /",
        app_identity=EXTERNAL,
        stg_risky_service_principals="s1 | - | confirmedCompromised | 2026-11-01",
        stg_security_alerts="x | a1 | - | T | high | new | 2026-11-01\ny | a1 | - | T | high | new | 2026-11-01",
        stg_oauth_app_info="a1 | - | 90 | -",
    )
    parts = points(found)
    # impact 15 + 15 + 12 + 10 + 10 + 20 = 82, likelihood 15 + 16 + 8 + 2 = 41
    assert (parts["impact_over_cap"], parts["likelihood_over_cap"]) == (-22, -1)
    assert (found["risk_impact"], found["risk_likelihood"], found["risk_score"]) == (60, 40, 100)
    assert sum(parts.values()) == 100
    assert found["risk_level"] == "critical"
    assert all(part["why"].endswith(".") for part in json.loads(found["risk_parts"]))


def test_what_was_not_read_adds_nothing_and_says_so(bench: Bench) -> None:
    unread = {"application_owners": "partial", "risky_service_principals": "not_permitted"}
    found = score(bench, unread, app_owners="")
    assert points(found) == {}
    assert found["risk_unknown_points"] == 8 + 16
    (owner,) = bench.rows("SELECT * FROM app_risk_parts WHERE part_id = 'owner_none'")
    assert (owner["points"], owner["max_points"], owner["known"]) == (0, 8, False)
    assert owner["why"] == "Could not be judged, not read in full: application_owners partial."


def test_what_a_part_of_a_list_shows_counts_all_the_same(bench: Bench) -> None:
    found = score(bench, {"app_role_assignments": "partial"}, app_permissions=permission("X"))
    assert points(found) == {"application_high": 15}
    # the other parts that need the whole list: takeover 15, more 12, directory 10, content 10, medium 6, manifest 3
    assert found["risk_unknown_points"] == min(60 - 15, 15 + 12 + 10 + 10 + 6) + 3


def test_use_that_nobody_knows_is_no_disuse(bench: Bench) -> None:
    found = score(
        bench,
        {"service_principal_sign_in_activities": "not_licensed"},
        app_identity=INTERNAL.replace("2026-10-01", "2020-01-01"),
        app_last_use="",
        app_permissions=permission("X", usage="unknown", reason="no log"),
        app_credentials="s1 | o | secret | application | 9 | 30 | 2020-01-01 | - | false",
    )
    assert points(found) == {"application_high": 15}
    rows = bench.rows("SELECT part_id FROM app_risk_parts WHERE NOT known ORDER BY ALL")
    assert [row["part_id"] for row in rows] == ["credential_unused", "dormant", "unused_high"]
    assert found["risk_unknown_points"] == 4 + 5 + 8


@pytest.mark.parametrize("identity", [
    INTERNAL.replace("Application", "ManagedIdentity"), EXTERNAL.replace("external", "microsoft"),
])  # fmt: skip
def test_microsofts_own_apps_and_managed_identities_have_an_impact_and_no_rank(bench: Bench, identity: str) -> None:
    found = score(
        bench,
        app_identity=identity,
        app_permissions=permission("X"),
        app_owners="",
        stg_oauth_app_info="a1 | - | 90 | -",
    )
    assert points(found) == {"application_high": 15}
    assert (found["risk_impact"], found["risk_likelihood"]) == (15, None)
    assert (found["is_ranked"], found["risk_level"]) == (False, "info")


def test_a_weight_is_changed_without_touching_sql(bench: Bench) -> None:
    bench.reference_changed = True
    bench.con.execute("UPDATE ref_risk_weights SET points = '7', cap = '9' WHERE part_id = 'application_medium'")
    two = permission("A", level="medium") + "\n" + permission("B", level="medium")
    assert points(score(bench, app_permissions=two)) == {"application_medium": 9}


def test_names_of_strangers_stay_in_one_sentence(bench: Bench) -> None:
    name = "<script>alert(1)</script>'; DROP TABLE x; --"
    found = score(bench, app_permissions="\n".join(permission(f"{name}{n}") for n in range(5)))
    (part, *_) = [p for p in json.loads(found["risk_parts"]) if p["part"] == "application_high"]
    assert part["why"] == f"High-privilege application permissions: {name}0, {name}1, {name}2 and 2 more."


def test_the_weights_are_whole_and_every_part_has_one(bench: Bench) -> None:
    weights = list(csv.DictReader(text("appgov_lib/reference/risk_weights.csv").splitlines()))
    assert len({row["part_id"] for row in weights}) == len(weights)
    assert len({row["version"] for row in weights}) == 1
    for row in weights:
        assert row["dimension"] in {"impact", "likelihood"}
        assert row["condition"]
        assert row["source"]
        assert row["applies_to"] in {"all", "internal", "external"}
        if not row["part_id"].endswith("_over_cap"):
            assert 0 < int(row["points"]) <= int(row["cap"]), row["part_id"]
    used = {
        part
        for model in UNITS
        for part in {row["part_id"] for row in weights}
        if f"'{part}'" in text(f"appgov_lib/models/marts/{model}.sql")
    }
    assert used == {row["part_id"] for row in weights if not row["part_id"].endswith("_over_cap")}


def test_the_page_about_the_score_shows_the_weights_that_count() -> None:
    page = text("docs/explanation/risk-score.md")
    weights = csv.DictReader(text("appgov_lib/reference/risk_weights.csv").splitlines())
    wanted = [
        f"| `{row['part_id']}` | {row['points']} | {row['cap']} | {row['condition']} |"
        for row in weights
        if not row["part_id"].endswith("_over_cap")
    ]
    assert [line for line in page.splitlines() if line.startswith("| `") and line.count("|") == 5] == wanted
    levels = csv.DictReader(text("appgov_lib/reference/risk_levels.csv").splitlines())
    for row in levels:
        assert f"| {row['level']} | {row['least_score']} | {row['meaning']} |" in page
