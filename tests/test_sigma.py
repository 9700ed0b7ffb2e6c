"""Rules in Sigma's format: they run as they are, and say why where they cannot."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest
from importing import SHARED, Desk
from tables import load_table

from appgov_lib.detect import load_policies
from appgov_lib.detect.coverage import SkipReason, why_not
from appgov_lib.detect.policy import HEADINGS, Policy
from appgov_lib.detect.run import evaluate
from appgov_lib.detect.sigma_rules import load_sigma, matched_sql
from appgov_lib.store.build import build

RULES = SHARED / "realdata" / "sigma"
AS_OF = dt.date(2026, 11, 15)
AUDITS = (
    "audit_id | activity_at TIMESTAMP | activity | result | result_reason | target_ids VARCHAR[] | target_type "
    "| targets JSON | logged_by_service | category | actor_id | actor_name | actor_app_id | target_name | details JSON"
)
REST = "Core Directory | ApplicationManagement | u1 | ada@x.test | - | Payroll | []"
CHANGE = '[{"modifiedProperties":[{"displayName":"Owner","oldValue":"u9","newValue":null}]}]'
RULE = """
title: {title}
id: 6f1c9a1e-0000-4000-8000-000000000001
description: A rule made for this test.
author: The tests
references: ['https://example.test/rule']
tags: [attack.t1098.001, attack.persistence]
logsource: {{product: {product}, service: {service}}}
detection:
{detection}
falsepositives: [Planned work]
level: {level}
"""


def rule(folder: Path, detection: str, **facts: str) -> Policy:
    """Write one rule file and read it."""
    values = {"title": "Owner removed", "product": "azure", "service": "auditlogs", "level": "high", **facts}
    folder.mkdir(exist_ok=True)
    (folder / "Owner Removed.yml").write_text(RULE.format(detection=detection, **values), encoding="utf-8")
    (policy,) = load_sigma(folder)
    return policy


@pytest.fixture
def con() -> Any:
    """Two apps and three audit events."""
    con = duckdb.connect()
    load_table(con, "app_inventory", """
        service_principal_id | application_id | app_id | display_name | is_first_party BOOLEAN | service_principal_type
        s1 | o1 | a1 | Payroll | false | Application
        s2 | - | a2 | Microsoft Thing | true | Application
        """)  # fmt: skip
    load_table(con, "stg_directory_audits", f"""{AUDITS}
        e1 | 2026-11-12 08:00 | Remove owner from application | success | - | [o1] | Application | {CHANGE} | {REST}
        e2 | 2026-11-13 09:30 | remove OWNER from application | success | - | [o1] | Application | [] | {REST}
        e3 | 2026-11-13 10:00 | Remove owner from service principal | failure | no right | [s2] | Other | [] | {REST}
        e4 | 2026-11-01 10:00 | Remove owner from application | success | - | [o1] | Application | [] | {REST}
        """)  # fmt: skip
    yield con
    con.close()


def events(con: duckdb.DuckDBPyConnection, policy: Policy, days: int = 7, as_of: dt.date = AS_OF) -> list[str]:
    """Ids of the events a rule picks."""
    statement = con.extract_statements(matched_sql(policy))[0]
    values = {"as_of": as_of, "days": days}
    used = {name: values[name] for name in statement.named_parameters}
    return sorted({str(row["event_id"]) for row in con.execute(statement, used).df().to_dict("records")})


SELECTION = "  selection:\n    {}\n  condition: selection"


@pytest.mark.parametrize(
    ("detection", "found"),
    [
        (SELECTION.format("operationName: 'Remove owner from application'"), ["e1", "e2"]),  # letters' case is nothing
        (SELECTION.format("properties.message|startswith: 'Remove owner'"), ["e1", "e2", "e3"]),
        (SELECTION.format("OperationName: 'Remove owner from *application'"), ["e1", "e2"]),
        (SELECTION.format("Status: Failure"), ["e3"]),
        (SELECTION.format("TargetResources.ModifiedProperties.DisplayName: owner"), ["e1"]),
        (SELECTION.format("operationName|re: 'service\\s+principal$'"), ["e3"]),
        ("  selection:\n    Category: ApplicationManagement\n  filter:\n    ResultReason: 'no right'\n"
         "  condition: selection and not filter", ["e1", "e2"]),
        ("  words:\n    - 'no right'\n  condition: words", ["e3"]),
        (SELECTION.format("operationName: \"'; DROP TABLE app_inventory; --\""), []),
    ],
)  # fmt: skip
def test_a_rule_picks_its_events_of_the_period(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, detection: str, found: list[str]
) -> None:
    policy = rule(tmp_path, detection)
    assert policy.problem == ""
    assert events(con, policy) == found
    assert con.execute("SELECT count(*) FROM app_inventory").fetchone() == (2,)


def test_events_become_a_finding_of_the_app_they_concern(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    policy = rule(tmp_path, SELECTION.format("operationName|contains: 'owner'"))
    assert (policy.policy_id, policy.severity, policy.status) == ("sigma-owner-removed", "high", "audit")
    assert policy.mitre == ("T1098.001",)
    (finding,) = evaluate(con, policy, AS_OF, 7).to_dict("records")  # Microsoft's own app is left out
    assert (finding["service_principal_id"], finding["app_id"], finding["measure"]) == ("s1", "a1", 2.0)
    assert finding["reason"] == (
        "Events that the rule describes: 2, the last at 2026-11-13 09:30 UTC: remove OWNER from application by "
        "ada@x.test."
    )
    assert '"event_id":"e1"' in finding["evidence"]


def test_a_rule_has_a_page_with_its_author(tmp_path: Path) -> None:
    policy = rule(tmp_path, SELECTION.format("operationName: x"))
    assert all(policy.section(heading) for heading in HEADINGS)
    assert "The tests" in policy.section("References")
    assert "Planned work" in policy.section("Known gaps and false positives")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"service": "activitylogs"}, "the activity log of Azure resources is not read"),
        ({"product": "windows", "service": "security"}, "events of windows/security are not read"),
        ({"detection": SELECTION.format("Colour: red")}, "the field Colour of azure/auditlogs is not read"),
    ],
)
def test_what_is_not_read_is_a_skipped_check_with_its_reason(
    tmp_path: Path, facts: dict[str, str], reason: str
) -> None:
    facts = {"detection": SELECTION.format("operationName: x"), **facts}
    policy = rule(tmp_path, **facts)
    skip = why_not(policy, {"directory_audits": ("complete", "")})
    assert skip is not None
    assert (skip.code, reason in skip.reason) == (SkipReason.NOT_RUNNABLE, True)


@pytest.mark.parametrize("text", ["", "not: [a rule", "- 1\n- 2", "title: x", "\x00"])
def test_a_file_that_is_no_rule_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yml").write_text(text, encoding="utf-8")
    (policy,) = load_sigma(tmp_path)
    assert policy.policy_id == "sigma-bad"
    assert policy.problem


def test_missing_log_skips_the_rule(tmp_path: Path) -> None:
    policy = rule(tmp_path, SELECTION.format("operationName: x"))
    skip = why_not(policy, {"directory_audits": ("not_permitted", "no right")})
    assert skip is not None
    assert skip.source == "directory_audits"


def test_rules_of_the_policy_folder_are_policies_and_can_be_overridden(tmp_path: Path) -> None:
    rule(tmp_path / "sigma", SELECTION.format("operationName: x"))
    text = '[[policy]]\nid = "sigma-owner-removed"\nstatus = "active"\nseverity = "critical"\n'
    (tmp_path / "policies.toml").write_text(text, encoding="utf-8")
    policy = {policy.policy_id: policy for policy in load_policies(tmp_path)}["sigma-owner-removed"]
    assert (policy.status, policy.severity, policy.title) == ("active", "critical", "Owner removed")
    assert "Remove" not in policy.sql
    assert "'x'" in policy.sql


needs_rules = pytest.mark.skipif(not RULES.is_dir(), reason=f"the public rules are not there: {RULES}")


@pytest.fixture(scope="module")
def public_rules() -> list[Policy]:
    """Every public rule beside the checkout."""
    return list(load_sigma(RULES))


@needs_rules
def test_public_rules_convert_or_say_why(public_rules: list[Policy]) -> None:
    assert len(public_rules) == len(list(RULES.rglob("*.yml"))) == 74
    reasons = Counter(policy.problem.split(":")[0] for policy in public_rules)
    assert reasons == {
        "": 51,
        "the activity log of Azure resources is not read": 18,
        "alerts of Privileged Identity Management are not read": 4,
        "the field Payload of m365/threat_management is not read": 1,
    }


@needs_rules
def test_public_rules_run_over_public_records(public_rules: list[Policy], tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.take(SHARED / "realdata")
    runnable = [policy for policy in public_rules if not policy.problem]
    with duckdb.connect(str(build(desk.settings, AS_OF).path), read_only=True) as con:
        found = {policy.policy_id: events(con, policy, days=9000) for policy in runnable}
        for policy in runnable:
            evaluate(con, policy, AS_OF, 9000)  # raises unless the columns are those of a policy
    assert {name: len(ids) for name, ids in found.items() if ids} == {
        "sigma-azure-aad-secops-ca-policy-removedby-bad-actor": 1,
        "sigma-azure-ad-sign-ins-from-unknown-devices": 85,
        "sigma-azure-change-to-authentication-method": 1,
    }
    assert found["sigma-azure-aad-secops-ca-policy-removedby-bad-actor"] == ["IPCGraph_af23466234"]
