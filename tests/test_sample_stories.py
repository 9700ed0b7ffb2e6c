"""The answer key is sound, and the stories it tells hold in the raw rows."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sample_tenant import (
    applications,
    calls_by_app,
    daily,
    day,
    grants,
    moment,
    ratios,
    roles_of,
    rows,
    service_principals,
    sign_ins,
    tenant,
)

from appgov_lib.sample import NOW, answer_key

KEY = answer_key()
STORY = {story["story"]: story for story in KEY["stories"]}
POLICIES = {
    "overprivileged-app", "highly-privileged-unverified-app", "user-consented-mail-access",
    "dormant-app-new-credential", "dormant-app-new-api", "expiring-credential", "unused-credential", "ownerless-app",
    "grant-not-in-manifest", "unused-app", "unusual-data-transfer", "app-went-silent", "credential-then-new-place",
    "credential-then-new-data", "app-from-new-network", "alert-by-microsoft", "high-alert-by-microsoft",
    "disabled-app-left",
}  # fmt: skip


def registration(story: str) -> dict[str, Any]:
    """The registration of a story's app."""
    return applications()[STORY[story]["app_id"]]


# ---- the key itself --------------------------------------------------------------------------------------------------


def test_key_names_apps_that_exist_and_policies_that_exist() -> None:
    """Every id is in the directory, and all these policies have something to find."""
    for item in [*KEY["stories"], *KEY["quiet"]]:
        found = service_principals()[item["app_id"]]
        assert (found["id"], found["displayName"]) == (item["service_principal_id"], item["display_name"])
    policies = {policy for policy, _ in KEY["expected_findings"]}
    assert policies == POLICIES
    assert all(app in service_principals() for _, app in KEY["expected_findings"] + KEY["tolerated_findings"])
    assert json.loads(json.dumps(KEY)) == KEY


def test_key_names_owners_of_smaller_tenants_too() -> None:
    """The key of a small tenant speaks of the people who are in it."""
    people = {row["id"] for row in rows("/v1.0/users?$top=999", of=tenant(7, 160))}
    owners = {owner for story in answer_key(7, 160)["stories"] for owner in story["facts"]["owners"]}
    assert owners <= people


def test_key_does_not_contradict_itself() -> None:
    """No app is planted and quiet at once, and every story's policy is among the expected findings."""
    quiet = {item["app_id"] for item in KEY["quiet"]}
    assert not quiet & {app for _, app in KEY["expected_findings"] + KEY["tolerated_findings"]}
    for story in KEY["stories"]:
        for policy in story["expect_policies"]:
            assert [policy, story["app_id"]] in KEY["expected_findings"]


# ---- the stories -----------------------------------------------------------------------------------------------------


def test_overprivileged_integration_only_reads_users() -> None:
    """Three strong permissions, one kind of call."""
    app = STORY["overprivileged-integration"]["app_id"]
    assert roles_of(app) == {"Directory.ReadWrite.All", "Mail.ReadWrite", "Files.ReadWrite.All"}
    made = calls_by_app()[app]
    assert len(made) > 300
    assert {(row["RequestMethod"], row["RequestUri"].split("?")[0]) for row in made} == {
        ("GET", "https://graph.microsoft.com/v1.0/users")
    }


def test_phishing_app_reads_mail_of_users_who_consented() -> None:
    """Unverified, user consent only, mail read from its own servers, all within the last weeks."""
    app = STORY["consent-phishing"]["app_id"]
    sp = service_principals()[app]
    assert sp["verifiedPublisher"]["verifiedPublisherId"] is None
    assert NOW - moment(sp["createdDateTime"]) < timedelta(days=21)
    given = [grant for grant in grants() if grant["clientId"] == sp["id"]]
    assert len({grant["principalId"] for grant in given}) == len(given) == 11
    assert all({"Mail.Read", "offline_access"} <= set(grant["scope"].split()) for grant in given)
    made = calls_by_app()[app]
    assert sum("messages" in row["RequestUri"] for row in made) > 200
    assert {row["AccountObjectId"] for row in made} <= {grant["principalId"] for grant in given}
    assert {row["Location"] for row in made} == {"NG"}
    consents = [
        row for row in rows("/v1.0/auditLogs/directoryAudits") if row["activityDisplayName"] == "Consent to application"
    ]
    assert sum(row["targetResources"][0]["id"] == sp["id"] for row in consents) == 11


def test_dormant_app_wakes_after_a_new_secret() -> None:
    """Silent for twelve weeks, a secret, then sign-ins and calls from another country with that secret."""
    app = STORY["dormant-app-wakes"]["app_id"]
    secret = registration("dormant-app-wakes")["passwordCredentials"][0]
    added = [
        row
        for row in rows("/v1.0/auditLogs/directoryAudits")
        if row["activityDisplayName"] == "Update application \u2013 Certificates and secrets management "
        and row["targetResources"][0]["id"] == registration("dormant-app-wakes")["id"]
    ]
    assert len(added) == 1
    assert secret["keyId"] in added[0]["targetResources"][0]["modifiedProperties"][0]["newValue"]
    start = added[0]["activityDateTime"]
    assert 84 <= day(start) <= 90
    woke = sign_ins()[app]
    assert woke
    first = min(row["createdDateTime"] for row in woke)
    assert start < first
    assert {row["servicePrincipalCredentialKeyId"] for row in woke} == {secret["keyId"]}
    assert (
        {row["location"]["countryOrRegion"] for row in woke}
        == {"MD"}
        == {row["Location"] for row in calls_by_app()[app]}
    )
    assert first < min(row["Timestamp"] for row in calls_by_app()[app])


def test_the_dormant_app_gets_its_secret_first_whatever_the_seed() -> None:
    """In other tenants too, the secret of that day comes before the first sign-in, and that before the first call."""
    for seed in range(3):
        other = tenant(seed, 160)
        index = other.world.cast_index("Legacy Invoice Archiver")
        firsts = []
        for stream in (2, 4):
            events = other.rhythm.events(stream, 86)
            firsts.append(int(events.second[events.app == index].min()))
        assert 32_832 < firsts[0] < firsts[1]


def test_a_stolen_app_is_used_beside_its_owner() -> None:
    """An app that only ever looked up users; a second secret; from the next day on, mail read from another country."""
    app = STORY["stolen-app"]["app_id"]
    own, theirs = registration("stolen-app")["passwordCredentials"]
    added = [
        row["activityDateTime"]
        for row in rows("/v1.0/auditLogs/directoryAudits")
        if row["activityDisplayName"].startswith("Update application \u2013 Certificates")
        and row["targetResources"][0]["id"] == registration("stolen-app")["id"]
    ]
    assert [day(moment_) for moment_ in added] == [86]
    made = calls_by_app()[app]
    mail = [row for row in made if "/messages" in row["RequestUri"]]
    assert {row["Location"] for row in mail} == {"MD"}
    assert min(row["Timestamp"] for row in mail) > added[0]
    assert {day(row["Timestamp"]) for row in mail} <= {87, 88, 89, 90}
    assert {row["Location"] for row in made if row not in mail} == {"IE"}
    assert len({day(row["Timestamp"]) for row in made}) > 60
    used = {(row["servicePrincipalCredentialKeyId"], row["location"]["countryOrRegion"]) for row in sign_ins()[app]}
    assert used == {(own["keyId"], "IE"), (theirs["keyId"], "MD")}


def test_slow_exfiltration_moves_more_on_each_of_the_last_seven_days() -> None:
    """About two and a half times the bytes, as many calls."""
    made = calls_by_app()[STORY["slow-exfiltration"]["app_id"]]
    size = ratios(daily(made, "Timestamp", "ResponseSize"))
    assert min(size) > 1.7
    assert 2.2 < sum(size) / 7 < 2.9
    assert 0.8 < sum(ratios(daily(made, "Timestamp"))) / 7 < 1.2


def test_burst_is_one_day() -> None:
    """About twelve times the bytes on one Wednesday, an ordinary week otherwise."""
    size = ratios(daily(calls_by_app()[STORY["burst-download"]["app_id"]], "Timestamp", "ResponseSize"))
    assert 8 < size[2] < 16
    assert max(size[:2] + size[3:]) < 2.5


def test_silent_app_was_steady() -> None:
    """Calls and sign-ins on every ordinary day, none in the last seven."""
    app = STORY["went-silent"]["app_id"]
    for values in (daily(calls_by_app()[app], "Timestamp"), daily(sign_ins()[app], "createdDateTime")):
        assert sum(values[84:]) == 0
        working = [values[k] for k in range(84) if k not in (56, 57)]
        assert min(working) > 0


def test_credential_stories() -> None:
    """One secret ends soon without a successor; others open doors that nobody uses."""
    ends = [moment(key["endDateTime"]) for key in registration("expiring-credential")["passwordCredentials"]]
    assert [timedelta(0) < end - NOW < timedelta(days=30) for end in ends] == [True]
    report = {row["keyId"]: row for row in rows("/beta/reports/appCredentialSignInActivities")}
    for story, live in (("unused-credential", 1), ("unused-certificate", 0)):
        app = STORY[story]["app_id"]
        holder = applications().get(app, service_principals()[app])
        keys = [*holder["keyCredentials"], *holder["passwordCredentials"]]
        idle = [
            NOW - moment(report[key["keyId"]]["signInActivity"]["lastSignInDateTime"]) > timedelta(days=90)
            for key in keys
        ]
        assert (sum(idle), len(idle) - sum(idle)) == (1, live)
        assert all(moment(key["endDateTime"]) > NOW for key in keys)
        assert max(row["createdDateTime"] for row in sign_ins()[app]) > "2026-11-12"


def test_ownership_and_manifest_and_disuse_stories() -> None:
    """No owner; a role nobody asked for; an app unused for months; an unverified one with much power."""
    app = STORY["ownerless-high-privilege"]["app_id"]
    assert applications()[app]["owners"] == []
    assert rows(f"/v1.0/servicePrincipals/{service_principals()[app]['id']}/owners") == []
    assert "Directory.ReadWrite.All" in roles_of(app)
    app = STORY["grant-not-in-manifest"]["app_id"]
    wanted = {access["id"] for api in applications()[app]["requiredResourceAccess"] for access in api["resourceAccess"]}
    assert "9492366f-7969-46a4-8d15-ed1a20078fff" not in wanted
    assert "Sites.ReadWrite.All" in roles_of(app)
    app = STORY["unused-app"]["app_id"]
    last = {
        row["appId"]: row["lastSignInActivity"]["lastSignInDateTime"]
        for row in rows("/beta/reports/servicePrincipalSignInActivities")
    }
    assert NOW - moment(last[app]) > timedelta(days=90)
    assert app not in sign_ins()
    app = STORY["unverified-high-privilege"]["app_id"]
    assert service_principals()[app]["verifiedPublisher"]["verifiedPublisherId"] is None
    assert "Directory.ReadWrite.All" in roles_of(app)
