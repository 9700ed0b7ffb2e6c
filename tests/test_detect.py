"""Reading policies, running them, and the life of a finding over runs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent / "policies"))
from policy_tables import AS_OF, SP, add, cover, empty_warehouse

from appgov_lib.detect import SkipReason, load_policies, policies_table, run, test_policy
from appgov_lib.detect.policy import HEADINGS, SEVERITIES
from appgov_lib.detect.run import FINDING_TYPES, POLICY_COLUMNS, evaluate
from appgov_lib.errors import ConfigError, UserError
from appgov_lib.settings import Settings

WEEK = dt.timedelta(days=7)
PAGE = "# Own\n\n## What it finds\n\nApps of\nours.\n"
RULE = """
SELECT service_principal_id, app_id, display_name AS app_display_name, '' AS subject, 1.0 AS measure,
    CAST($limit AS DOUBLE) AS threshold, 'Because.' AS reason, json_object('a', 1) AS evidence
FROM app_inventory;
"""


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """A warehouse in which one app has no owner."""
    con = empty_warehouse()
    add(con, "app_inventory", owner_count=0, privilege_level="high")
    return con


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home of its own."""
    return Settings(home=tmp_path)


def own_folder(path: Path, toml: str, **files: str) -> Path:
    """A folder of user policies; `own_sql="..."` becomes own.sql."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "policies.toml").write_text(toml)
    for name, content in files.items():
        (path / ".".join(name.rsplit("_", 1))).write_text(content)
    return path


ENTRY = '[[policy]]\nid = "own"\ntitle = "Own"\nseverity = "low"\nthresholds = { limit = 3 }\n'


@pytest.mark.parametrize("built_in", [True, False], ids=["shipped", "a user's own"])
def test_a_rule_that_needs_more_memory_than_there_is(con: duckdb.DuckDBPyConnection, built_in: bool) -> None:
    greedy = RULE.replace("1.0 AS measure", "(SELECT len(list(i)) FROM range(100000000) AS t (i)) AS measure")
    shipped = next(policy for policy in load_policies() if policy.thresholds)
    policy = dataclasses.replace(shipped, sql=greedy.replace("$limit", "3"), built_in=built_in)
    con.execute("SET memory_limit = '60MB'")
    con.execute("SET temp_directory = ''")
    # a build begins anew with more for a shipped rule; one of a user's is skipped, and says why
    wanted = duckdb.OutOfMemoryException if built_in else UserError
    with pytest.raises(wanted, match="Out of Memory"):
        evaluate(con, policy, AS_OF, 7)


def table(con: duckdb.DuckDBPyConnection, name: str = "findings") -> list[dict[str, Any]]:
    """Rows of a table in their stored order."""
    result = con.execute(f"SELECT * FROM {name}")
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


# The built-in policies


@pytest.mark.parametrize("policy", load_policies(), ids=lambda policy: policy.policy_id)
def test_every_policy_is_complete(policy):
    assert policy.severity in SEVERITIES
    assert policy.built_in
    assert [heading for heading in HEADINGS if not policy.section(heading)] == []
    assert policy.page.startswith(f"# {policy.title}\n")
    assert policy.requires or policy.requires_complete or policy.requires_any
    parameters = duckdb.connect().extract_statements(policy.sql)[0].named_parameters
    assert set(policy.thresholds) <= parameters <= set(policy.thresholds) | {"as_of", "days"}


@pytest.mark.parametrize("policy", load_policies(), ids=lambda policy: policy.policy_id)
def test_every_policy_returns_the_same_columns_on_empty_tables(policy):
    rows = evaluate(empty_warehouse(), policy, AS_OF, 7)
    assert tuple(rows.columns) == POLICY_COLUMNS
    assert rows.empty


def test_the_policies_are_listed_most_severe_first():
    listed = policies_table()
    assert len(listed) == len(load_policies()) >= 70
    assert list(listed["severity"]) == sorted(listed["severity"], key=SEVERITIES.index)
    row = listed.set_index("policy_id").loc["ownerless-app"]
    assert row["finds"].startswith("Enabled apps registered in this tenant")
    assert row["thresholds"] == "min_owners = 1"
    assert row["origin"] == "built in"


# Running


def test_findings_have_the_agreed_columns_and_a_stable_id(con, settings):
    result = run(con, settings, as_of=AS_OF)
    described = dict(con.execute("SELECT column_name, column_type FROM (DESCRIBE findings)").fetchall())
    assert described == FINDING_TYPES
    (row,) = table(con)
    assert row["finding_id"] == hashlib.sha256(f"ownerless-app|{SP}|".encode()).hexdigest()[:16]
    assert row["title"] == "Privileged app without an owner: Payroll Sync"
    assert (row["state"], row["status"], row["severity"]) == ("new", "active", "medium")
    assert (row["measure"], row["threshold"], row["judged"]) == (0, 1, True)
    assert row["first_seen"] == row["last_seen"] == AS_OF
    assert json.loads(row["evidence"])["privilege_level"] == "high"
    assert [finding.finding_id for finding in result.findings] == [row["finding_id"]]
    assert result.skipped == ()
    assert table(con, "skipped_checks") == []


def test_findings_are_ordered_by_severity(con, settings):
    add(con, "app_credentials", ends_at="2026-11-20")
    con.execute("UPDATE app_inventory SET app_origin = 'internal', publisher_verified = FALSE")
    add(con, "app_inventory", service_principal_id="sp2", app_id="a2", app_origin="external", publisher_verified=False)
    add(con, "app_permissions", service_principal_id="sp2", permission_type="application", privilege_level="high")
    run(con, settings, as_of=AS_OF)
    assert [row["policy_id"] for row in table(con)] == [
        "highly-privileged-unverified-app",
        "expiring-credential",
        "ownerless-app",
    ]


def test_a_missing_source_is_a_skipped_check_not_a_pass(con, settings):
    cover(con, "application_owners", "not_permitted", "403 Forbidden.")
    result = run(con, settings, as_of=AS_OF)
    assert table(con) == []
    (row,) = [row for row in table(con, "skipped_checks") if row["policy_id"] == "ownerless-app"]
    assert (row["code"], row["source"]) == ("not_permitted", "application_owners")
    assert row["reason"] == (
        "Source application_owners is not permitted (403 Forbidden); grant the app that collects the data the "
        "permission that `appgov doctor` names."
    )
    assert result.skipped[0].code is SkipReason.NOT_PERMITTED


def test_a_source_that_coverage_does_not_know_was_not_collected(con, settings):
    con.execute("DELETE FROM coverage WHERE source = 'applications'")
    run(con, settings, as_of=AS_OF)
    skipped = {row["policy_id"] for row in table(con, "skipped_checks")}
    assert skipped == {p.policy_id for p in load_policies() if "applications" in (*p.requires, *p.requires_complete)}
    assert {"ownerless-app", "grant-not-in-manifest", "approved-set-changed"} <= skipped


def test_every_skip_reason_has_help():
    assert all(reason.help for reason in SkipReason)


def test_running_twice_gives_the_same_bytes(con, settings):
    run(con, settings, as_of=AS_OF)
    ledger = settings.data_dir / "findings" / "2026-11-15.json"
    first, rows = ledger.read_bytes(), table(con)
    run(con, settings, as_of=AS_OF)
    assert ledger.read_bytes() == first
    assert table(con) == rows
    assert ledger.stat().st_mode & 0o777 == 0o600


def test_keep_false_leaves_no_trace(con, settings):
    run(con, settings, as_of=AS_OF, keep=False)
    assert not settings.data_dir.exists()


# Life cycle


def states(con: duckdb.DuckDBPyConnection, settings: Settings, as_of: dt.date) -> list[tuple[str, str, str]]:
    """State, first and last seen of the ownerless finding after a run; [] if it is not shown."""
    run(con, settings, as_of=as_of)
    return [
        (row["state"], f"{row['first_seen']:%m-%d}", f"{row['last_seen']:%m-%d}")
        for row in table(con)
        if row["policy_id"] == "ownerless-app"
    ]


def owners(con: duckdb.DuckDBPyConnection, count: int) -> None:
    """Set the number of owners."""
    con.execute("UPDATE app_inventory SET owner_count = $count, live_owner_count = $count", {"count": count})


def test_a_finding_is_new_open_resolved_gone_and_returned(con, settings):
    assert states(con, settings, AS_OF) == [("new", "11-15", "11-15")]
    assert states(con, settings, AS_OF + WEEK) == [("open", "11-15", "11-22")]
    owners(con, 1)
    assert states(con, settings, AS_OF + 2 * WEEK) == [("resolved", "11-15", "11-22")]
    assert states(con, settings, AS_OF + 3 * WEEK) == []
    owners(con, 0)
    assert states(con, settings, AS_OF + 4 * WEEK) == [("returned", "11-15", "12-13")]
    assert states(con, settings, AS_OF + 5 * WEEK) == [("open", "11-15", "12-20")]


def test_only_earlier_dates_count(con, settings):
    assert states(con, settings, AS_OF + WEEK) == [("new", "11-22", "11-22")]
    assert states(con, settings, AS_OF) == [("new", "11-15", "11-15")]
    assert states(con, settings, AS_OF + WEEK) == [("open", "11-15", "11-22")]


def test_what_nobody_looked_at_is_not_resolved(con, settings):
    run(con, settings, as_of=AS_OF)
    cover(con, "application_owners", "failed")
    for week in (1, 2):  # the note does not pile up
        run(con, settings, as_of=AS_OF + week * WEEK)
        (row,) = table(con)
        assert (row["state"], row["judged"], f"{row['last_seen']:%m-%d}") == ("open", False, "11-15")
        assert row["reason"].startswith("Not judged in this run; as of 2026-11-15: Neither the app registration")
    owners(con, 1)
    cover(con, "application_owners", "complete")
    assert states(con, settings, AS_OF + 3 * WEEK) == [("resolved", "11-15", "11-15")]


def test_a_policy_switched_off_keeps_its_findings_out_of_sight(con, settings):
    run(con, settings, as_of=AS_OF)
    off = '[[policy]]\nid = "ownerless-app"\nstatus = "inactive"\n'
    run(con, settings, as_of=AS_OF + WEEK, extra=own_folder(settings.home / "off", off))
    assert table(con) == []
    assert states(con, settings, AS_OF + 2 * WEEK) == [("open", "11-15", "11-29")]


def test_a_damaged_ledger_is_one_sentence(con, settings):
    run(con, settings, as_of=AS_OF)
    (settings.data_dir / "findings" / "2026-11-15.json").write_text('{"findings": [{"finding_id": "x"}]}')
    with pytest.raises(UserError, match=r"record of findings .*2026-11-15\.json is damaged"):
        run(con, settings, as_of=AS_OF + WEEK)


# Policies of the user


def test_own_policy_runs_with_its_threshold(con, settings):
    folder = own_folder(settings.home / "policies", ENTRY, own_sql=RULE, own_md=PAGE)
    run(con, settings, as_of=AS_OF)  # policies/ in the home folder is found by itself
    row = next(row for row in table(con) if row["policy_id"] == "own")
    assert (row["threshold"], row["severity"], row["confidence"]) == (3, "low", "medium")
    assert policies_table(folder).set_index("policy_id").loc["own", "finds"] == "Apps of ours."
    assert policies_table(folder).set_index("policy_id").loc["own", "origin"] == "own"


def test_override_changes_only_what_it_names(settings):
    toml = '[[policy]]\nid = "unused-app"\nseverity = "critical"\nthresholds = { days_unused = 30 }\n'
    policies = {p.policy_id: p for p in load_policies(own_folder(settings.home / "own", toml))}
    built_in = {p.policy_id: p for p in load_policies()}
    changed, original = policies["unused-app"], built_in["unused-app"]
    assert (changed.severity, dict(changed.thresholds)) == ("critical", {"days_unused": 30})
    assert (changed.sql, changed.title, changed.requires_complete) == (
        original.sql,
        original.title,
        original.requires_complete,
    )
    assert changed.built_in
    assert policies.keys() == built_in.keys()


def test_audit_findings_are_marked(con, settings):
    extra = own_folder(settings.home / "own", '[[policy]]\nid = "ownerless-app"\nstatus = "audit"\n')
    run(con, settings, as_of=AS_OF, extra=extra)
    assert [row["status"] for row in table(con)] == ["audit"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("SELECT 1 AS one FROM nowhere", "own.sql cannot be run: Catalog Error"),
        ("SELEC 1", "own.sql cannot be run: Parser Error"),
        ("SELECT 1 AS one", "own.sql must return exactly service_principal_id"),
        (RULE + "SELECT 2", "own.sql must hold exactly one SELECT"),
        ("DROP TABLE app_inventory", "own.sql must hold exactly one SELECT"),
        (RULE.replace("$limit", "$limt"), r"own.sql uses \$limt, which is neither"),
        (RULE.replace("service_principal_id,", "NULL AS service_principal_id,"), "without service_principal_id"),
        (RULE.replace("json_object('a', 1)", "'much'"), "evidence that is not JSON"),
        (RULE.replace("json_object('a', 1)", "'[1]'"), "evidence that is not a JSON object"),
    ],
)
def test_a_mistake_in_an_own_rule_skips_it_and_the_rest_goes_on(con, settings, rule: str, words: str):
    extra = own_folder(settings.home / "own", ENTRY, own_sql=rule, own_md=PAGE)
    result = run(con, settings, as_of=AS_OF, extra=extra)
    assert [finding.policy_id for finding in result.findings] == ["ownerless-app"]
    (skip,) = result.skipped
    assert (skip.policy_id, skip.code) == ("own", SkipReason.RULE_FAILED)
    with pytest.raises(UserError, match=words):
        raise UserError(skip.reason)
    assert con.execute("SELECT count(*) FROM app_inventory").fetchone() == (1,)


def test_a_mistake_in_a_built_in_rule_stops_the_run(con, settings):
    con.execute("DROP TABLE app_permissions")
    with pytest.raises(UserError, match=r"highly-privileged-unverified-app\.sql cannot be run: Catalog Error"):
        run(con, settings, as_of=AS_OF)


def test_two_rows_about_the_same_subject_are_one_finding(con, settings):
    twice = RULE.replace("1.0 AS measure", "unnest([1.0, 7.0, 2.0]) AS measure")
    run(con, settings, as_of=AS_OF, extra=own_folder(settings.home / "own", ENTRY, own_sql=twice, own_md=PAGE))
    assert [row["measure"] for row in table(con) if row["policy_id"] == "own"] == [7]


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('[[policy]]\nid = "Own App"\n', "id is 'Own App'; use small letters"),
        ("[[policy]]\n", "id is None"),
        (ENTRY + ENTRY, "two policies with the id 'own'"),
        (ENTRY.replace('"low"', '"urgent"'), "severity is 'urgent'; use critical or high"),
        (ENTRY.replace("severity", "sevrity"), "unknown key 'sevrity'"),
        (ENTRY.replace("{ limit = 3 }", '{ limit = "3" }'), "thresholds must be a table of numbers"),
        (ENTRY + 'requires = "users"\n', "requires must be a list of texts"),
        ("[[policy]\n", "cannot be read as TOML"),
    ],
)
def test_a_mistake_in_the_table_of_policies_is_one_sentence(tmp_path: Path, toml: str, words: str):
    with pytest.raises(ConfigError, match=words):
        load_policies(own_folder(tmp_path / "own", toml, own_sql=RULE, own_md=PAGE))


def test_missing_files_are_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"There is no .*own\.sql"):
        load_policies(own_folder(tmp_path / "own", ENTRY))
    with pytest.raises(ConfigError, match="does not exist"):
        load_policies(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"There is no .*policies\.toml"):
        load_policies(tmp_path / "empty")


def test_policy_on_todays_data_stores_nothing(con):
    rows = test_policy(con, "ownerless-app", AS_OF)
    assert list(rows["app_display_name"]) == ["Payroll Sync"]
    assert "findings" not in [name for (name,) in con.execute("SHOW TABLES").fetchall()]
    with pytest.raises(ConfigError, match="no policy 'ownerles'"):
        test_policy(con, "ownerles", AS_OF)
