"""Public log records with a published verdict: those about an app that are to be found are found, no innocent one is.

All files are imported and built as one tenant, and the findings compared with `expected.csv`, line by line. Nothing but
logs is in these files, so that every finding here rests on an event alone.
"""

from __future__ import annotations

import csv
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from importing import SHARED, Desk
from snapshots import take

from appgov_lib.store.build import build

REALDATA = SHARED / "realdata"
pytestmark = pytest.mark.skipif(
    not (REALDATA / "expected.csv").exists(), reason=f"the public reference records are not there: {REALDATA}"
)

SPLUNK, PANTHER, LAB = "splunk_security_content/", "panther_rule_tests/", "sentinel_training_lab/"
FOUND_BY = {
    (SPLUNK + "aad_diagnostic/add_service_principal.json", "0"): "app-created",
    (SPLUNK + "aad_diagnostic/consent_to_application.json", "0"): "consent-stopped",
    (SPLUNK + "aad_diagnostic/add_owner_to_application.json", "0"): "change-to-unread-app",
    (SPLUNK + "aad_diagnostic/update_authorization_policy.json", "0"): "consent-guard-weakened",
    (SPLUNK + "unified_audit/add_service_principal.json", "0"): "app-created",
    (SPLUNK + "unified_audit/update_authorization_policy.json", "0"): "consent-guard-weakened",
    **{(LAB + "AuditLogs_Hunting.csv", str(n)): "change-to-unread-app" for n in range(5)},
    (PANTHER + "azure_failed_signins.json", "tests[0]"): "credential-refused",
    (PANTHER + "azure_graph_session_multiple_ips.json", "tests[0]"): "tool-signs-in-for-users",
    (PANTHER + "azure_service_principal_credentials_added.json", "tests[0]"): "change-to-unread-app",
    ("elastic_integrations_ELv2/serviceprincipal_signin_failure.ndjson", "0"): "credential-refused",
}
"""Policy that finds a line, by file and record."""

AT_RISK = PANTHER + "azure_risklevel_passthrough.json"
"""Five variants of one sign-in under one id, of which a build keeps one: they are built under ids of their own."""

NOT_ABOUT_APPS = {
    "azure_auth_methods_policy_oidc_change.json": "how people prove who they are",
    "azure_high_risk_signin.json": "the risk of a person, not of an app",
    "azure_invite_external_users.json": "a guest",
    "azure_keyvault_secret_accessed_or_recovered.json": "a key vault, in the Azure activity log",
    "azure_legacyauth.json": "how a person signed in to Exchange",
    "azure_mfa_disabled.json": "a conditional access policy for people",
    "azure_policy_changed.json": "conditional access policies for people",
    "microsoft365_mfa_disabled.json": "how a person proves who they are",
    "microsoft_graph_passthrough.json": "alerts about people",
    "TimeSeriesDemo.csv": "bytes of a network, judged in the anomaly benchmark",
}
"""Files of which the lines to be found concern no app, and what they concern."""
NOT_LOGS = {
    "MaliciousOauthAppDetections.json": "a list of app ids, each of which a consent or a sign-in is made up for",
    "ProviderSettingsExport.json": "apps as another tool read them, built as a reading of the directory",
}

Finding = dict[str, Any]


def lines(verdict: str) -> list[dict[str, str]]:
    """Lines of `expected.csv` with this verdict."""
    with (REALDATA / "expected.csv").open(encoding="utf-8-sig", newline="") as handle:
        return [row for row in csv.DictReader(handle) if row["should_flag"] == verdict]


def findings(desk: Desk) -> list[Finding]:
    """Findings of a build whose period holds all records, from 2019 on."""
    result = build(desk.settings, date(2026, 6, 30), 2_700)
    with duckdb.connect(str(result.path), read_only=True) as con:
        columns = "policy_id, severity, service_principal_id, app_id, display_name, reason, evidence"
        return con.sql(f"SELECT {columns} FROM findings ORDER BY ALL").df().to_dict("records")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """Findings over all files."""
    desk = Desk(tmp_path_factory.mktemp("expected"))
    desk.take(REALDATA)
    return findings(desk)


def key(line: dict[str, str]) -> tuple[str, str]:
    """File and record of a line, without the title of the record."""
    return line["file"], line["record"].split(":")[0]


def names(finding: Finding, line: dict[str, str]) -> bool:
    """Whether a finding names the app of a line, by one of its ids or its name."""
    text = json.dumps([str(finding[part]) for part in ("service_principal_id", "app_id", "display_name", "evidence")])
    wanted = [line[part] for part in ("app_id", "service_principal_id", "object_id", "app_name") if line[part]]
    return any(word.lower() in text.lower() for word in wanted)


def timed(finding: Finding, line: dict[str, str]) -> bool:
    """Whether a finding holds the day of a line; where the record has no time the reason says so."""
    day = line["event_time_utc"][:10]
    if not day[:4].isdigit():
        return "at a time the log does not hold" in finding["reason"]
    return day in finding["reason"] or day in finding["evidence"]


def test_every_line_about_an_app_is_found_with_app_and_time(found: list[Finding]) -> None:
    missed = []
    for line in lines("yes"):
        file = Path(line["file"]).name
        if file in NOT_ABOUT_APPS or file in NOT_LOGS or line["file"] == AT_RISK:
            continue
        policy = FOUND_BY[key(line)]
        about_tenant = policy == "consent-guard-weakened"
        hits = [f for f in found if f["policy_id"] == policy and timed(f, line) and (about_tenant or names(f, line))]
        if len(hits) != 1:  # the same event in two shapes is told once
            missed.append((key(line), policy, [hit["reason"] for hit in hits]))
    assert missed == []


def test_nothing_else_is_found(found: list[Finding]) -> None:
    counts: dict[str, set[str]] = {}
    for (file, record), policy in FOUND_BY.items():
        twin = file.replace("unified_audit", "aad_diagnostic")
        counts.setdefault(policy, set()).add(f"{twin} {record}")
    counts["app-created"].add("the line that is to raise nothing above info")
    # for the record: an ordinary sign-in that Microsoft marks low, and the one variant that is kept of another
    counts["app-sign-in-at-low-risk"] = {"azure_failed_signins.json tests[1]", AT_RISK}
    assert {policy: sum(f["policy_id"] == policy for f in found) for policy in {f["policy_id"] for f in found}} == {
        policy: len(events) for policy, events in counts.items()
    }


def serious(found: list[Finding]) -> list[Finding]:
    """Findings above info."""
    return [finding for finding in found if finding["severity"] != "info"]


def test_no_innocent_line_raises_anything_above_info(found: list[Finding]) -> None:
    judged = [line for line in lines("no") if line["file"] != AT_RISK]
    assert len(judged) > 20
    assert [(key(line), f["reason"]) for line in judged for f in serious(found) if names(f, line)] == []


def test_files_of_innocent_lines_alone_raise_nothing_above_info(tmp_path: Path) -> None:
    # Many of these lines name no app: what must not be found is known by the file alone.
    files = {line["file"] for line in lines("no")} - {line["file"] for line in lines("yes")}
    assert len(files) > 6
    desk = Desk(tmp_path)
    desk.take(*[REALDATA / file for file in sorted(files)])
    assert [(f["policy_id"], f["reason"]) for f in serious(findings(desk))] == []


def test_sign_ins_of_apps_at_risk_are_told_by_their_risk(tmp_path: Path) -> None:
    text = (REALDATA / AT_RISK).read_text(encoding="utf-8")
    variants = [json.dumps(test["log"]) for test in json.loads(text)["tests"]]
    own = {}  # published ids with the number of the variant in front
    for line in [*lines("yes"), *lines("no")]:
        if line["file"] == AT_RISK:
            number = int(key(line)[1][len("tests[") : -1])
            for part in ("app_id", "service_principal_id", "event_id"):
                own[number, part] = f"0000000{number}{line[part][8:]}"
                variants[number] = variants[number].replace(line[part], own[number, part])
    desk = Desk(tmp_path)
    desk.take(desk.file("risk.ndjson", "\n".join(variants)))
    built = findings(desk)
    told = {
        number: {
            finding["policy_id"]: finding["severity"]
            for finding in built
            if finding["app_id"] == own[number, "app_id"] and "2023-07-26 22:58" in finding["reason"]
        }
        for number in range(5)
    }
    refused = {"credential-refused": "info"}
    # none, low, high, high but dismissed, and no word of a state
    assert told == {
        0: refused,
        1: refused | {"app-sign-in-at-low-risk": "info"},
        2: refused | {"app-sign-in-at-risk": "high"},
        3: refused,
        4: refused,
    }
    assert len(built) == sum(len(policies) for policies in told.values())


@pytest.mark.parametrize("way", ["consent", "sign-in"])
def test_a_consent_to_or_a_sign_in_of_an_abused_app_is_found(tmp_path: Path, way: str) -> None:
    listed = [line for line in lines("yes") if Path(line["file"]).name == "MaliciousOauthAppDetections.json"]
    assert len(listed) == 12
    if way == "consent":
        consent = json.loads((REALDATA / SPLUNK / "aad_diagnostic/consent_to_application.json").read_text("utf-8"))
        consent["properties"] |= {"result": "success", "resultReason": ""}
        text, old = json.dumps(consent), "96f6a3d6-d5aa-4af5-a77a-9319b5283712"
    else:
        tests = json.loads((REALDATA / PANTHER / "azure_graph_session_multiple_ips.json").read_text("utf-8"))["tests"]
        text, old = json.dumps(tests[1]["log"]), "app-noninteractive-test-999"  # one that raises nothing
    ids = "Directory_864210f1", "6228c72e"  # of the event and of the app
    records = []
    for number, line in enumerate(listed):
        record = text.replace(old, line["app_id"]).replace(ids[0], f"Directory_{number:08}")
        records.append(record.replace(ids[1], f"{number:08}"))
    desk = Desk(tmp_path)
    desk.take(desk.file("abused.ndjson", "\n".join(records)))
    hits = [finding for finding in findings(desk) if finding["policy_id"] == "known-abused-app"]
    assert sorted(hit["app_id"] for hit in hits) == sorted(line["app_id"] for line in listed)
    day = {"consent": "first on 2023-10-27 16:14 UTC", "sign-in": "the last on 2026-02-18"}[way]
    assert all(day in hit["reason"] and hit["severity"] == "high" for hit in hits)


GRAPH = {"id": "00000000-0000-4000-8000-000000000003", "appId": "00000003-0000-0000-c000-000000000000"}


def apps_of_export() -> dict[str, list[dict[str, Any]]]:
    """The apps of ScubaGear's export as the directory lists hold them: what it read of them, and nothing else."""
    text = (REALDATA / "scubagear/ProviderSettingsExport.json").read_text(encoding="utf-8-sig")
    export = json.loads(text)
    ours = [(app, True) for app in export["risky_applications"]]
    theirs = [(app, False) for app in export["risky_third_party_service_principals"]]
    roles: dict[str, str] = {}
    made: dict[str, list[dict[str, Any]]] = {
        "organization": [{"id": export["tenant_id"], "verifiedDomains": []}],
        "service_principals": [],
        "applications": [],
        "app_role_assignments": [],
        "delegated_grants": [],
    }
    for app, is_ours in ours + theirs:
        ids = app["ObjectId"] if is_ours else {"ServicePrincipal": app["ObjectId"]}
        common = {"appId": app["AppId"], "displayName": app["DisplayName"]}
        owner = export["tenant_id"] if is_ours else app["AppOwnerOrganizationId"]
        made["service_principals"].append(
            {"id": ids["ServicePrincipal"], "appOwnerOrganizationId": owner, "accountEnabled": True}
            | {"servicePrincipalType": "Application", **common}
        )
        wanted = [{"id": p["RoleId"], "type": "Role" if p["RoleType"] == "Application" else "Scope"}
                  for p in app["Permissions"]]  # fmt: skip
        if is_ours:
            asks = [{"resourceAppId": GRAPH["appId"], "resourceAccess": wanted}]
            made["applications"].append({"id": ids["Application"], "requiredResourceAccess": asks, **common})
        for permission in app["Permissions"]:
            if permission["RoleType"] == "Application":
                roles[permission["RoleId"]] = permission["RoleDisplayName"]
                if permission["IsAdminConsented"]:
                    made["app_role_assignments"].append(
                        {"id": f"{ids['ServicePrincipal']}{permission['RoleId']}", "resourceId": GRAPH["id"]}
                        | {"principalId": ids["ServicePrincipal"], "appRoleId": permission["RoleId"]}
                        | {"principalType": "ServicePrincipal", "createdDateTime": "2025-01-01T00:00:00Z"}
                    )
    app_roles = [{"id": role, "value": name} for role, name in sorted(roles.items())]
    microsoft = {"appOwnerOrganizationId": "f8cdef31-a31e-4b4a-93e4-5f571e91255a", "displayName": "Microsoft Graph"}
    made["service_principals"].append({**GRAPH, **microsoft, "appRoles": app_roles})
    return made


def test_apps_that_another_tool_calls_risky_are_found_for_their_permissions(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    take(desk.settings, datetime(2026, 6, 29, 6), apps_of_export())
    told = {finding["app_id"]: (finding["policy_id"], finding["reason"]) for finding in findings(desk)}
    asks, reads = "manifest-asks-for-more", "outside-app-reads-tenant"
    one, two, three = [line["app_id"] for line in lines("yes") if line["file"].startswith("scubagear/")]
    assert told == {
        one: (asks, "The app registration asks for 2 high permissions it was not given: Files.ReadWrite.All, "
                    "Group.ReadWrite.All."),
        two: (asks, "The app registration asks for 1 high permission it was not given: Application.ReadWrite.All."),
        three: (reads, "An app of another tenant, its publisher not verified, holds Policy.Read.All, "
                       "Policy.Read.ConditionalAccess without a user; with the first of them it reads security "
                       "policies: where the gaps are."),
    }  # fmt: skip


def test_every_line_is_accounted_for() -> None:
    files = {Path(line["file"]).name for line in lines("yes")}
    known = {Path(file).name for file, _ in FOUND_BY} | {*NOT_ABOUT_APPS, *NOT_LOGS, Path(AT_RISK).name}
    assert files == known
    found_and_not = {Path(file).name for file, _ in FOUND_BY} & {*NOT_ABOUT_APPS, *NOT_LOGS}
    assert found_and_not == set()
