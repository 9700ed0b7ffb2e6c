"""Public log records with a published verdict: those about an app that are to be found are found, no innocent one is.

All files are imported and built as one tenant, and the findings compared with `expected.csv`, line by line. Nothing but
logs is in these files, so that every finding here rests on an event alone.
"""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from importing import SHARED, Desk

from appgov_lib.store.build import build
from appgov_lib.store.models import REFERENCE_DIR

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
"""Five variants of one sign-in under one id: the fullest stands for all, so the two that are to be found run alone."""

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
    "MaliciousOauthAppDetections.json": "a list of app ids, tested with the policy known-abused-app",
    "ProviderSettingsExport.json": "permissions of apps, judged by the table of permission levels",
}
SAME_RECORD = {"azure_legacyauth.json": "tests[0]", "azure_risklevel_passthrough.json": "tests["}
"""Lines that say one rule is silent, on variants of the record that another line says is to be found. They are not
judged: the policy credential-refused reports each of them, built alone, as low."""

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
    assert {policy: sum(f["policy_id"] == policy for f in found) for policy in {f["policy_id"] for f in found}} == {
        policy: len(events) for policy, events in counts.items()
    }


def test_no_innocent_line_raises_anything_above_info(found: list[Finding]) -> None:
    serious = [finding for finding in found if finding["severity"] != "info"]
    judged = [
        line for line in lines("no") if not line["record"].startswith(SAME_RECORD.get(Path(line["file"]).name, "-"))
    ]
    assert len(judged) > 15
    assert [(key(line), f["reason"]) for line in judged for f in serious if names(f, line)] == []


# A low risk by itself is how Microsoft marks ordinary sign-ins of managed identities: lines that are to raise nothing.
@pytest.mark.parametrize(("number", "policy"), [(1, "credential-refused"), (2, "app-sign-in-at-risk")])
def test_a_sign_in_of_an_app_at_risk_is_found(tmp_path: Path, number: int, policy: str) -> None:
    (line,) = [line for line in lines("yes") if key(line) == (AT_RISK, f"tests[{number}]")]
    records = json.loads((REALDATA / AT_RISK).read_text(encoding="utf-8"))
    records = records if isinstance(records, list) else records["tests"]
    desk = Desk(tmp_path)
    desk.take(desk.file("risk.json", json.dumps(records[number]["log"])))
    hits = [finding for finding in findings(desk) if finding["policy_id"] == policy]
    assert [names(hit, line) and timed(hit, line) for hit in hits] == [True]


def test_permissions_that_others_call_risky_are_none_of_low_privilege() -> None:
    text = (REFERENCE_DIR / "permission_levels.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    graph = "00000003-0000-0000-c000-000000000000"
    levels = {row["permission"]: row["level"] for row in rows
              if row["resource_app_id"] == graph and row["permission_type"] == "application"}  # fmt: skip
    risky = [name for line in lines("yes") if line["file"].startswith("scubagear/")
             for name in line["finding"].split("consented: ")[1].split(", ")]  # fmt: skip
    assert len(risky) == 5
    assert {name: levels.get(name) for name in risky if levels.get(name) not in ("medium", "high")} == {}


def test_every_line_is_accounted_for() -> None:
    files = {Path(line["file"]).name for line in lines("yes")}
    known = {Path(file).name for file, _ in FOUND_BY} | {*NOT_ABOUT_APPS, *NOT_LOGS, Path(AT_RISK).name}
    assert files == known
    found_and_not = {Path(file).name for file, _ in FOUND_BY} & {*NOT_ABOUT_APPS, *NOT_LOGS}
    assert found_and_not == set()
