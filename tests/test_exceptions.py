"""Findings that somebody accepted for a time, the scope of a policy, and what a user's rule may not do."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent / "policies"))
from policy_tables import APP, AS_OF, SP, add, cover, empty_warehouse

from appgov_lib.detect import load_policies, run
from appgov_lib.detect.exceptions import load_exceptions
from appgov_lib.errors import ConfigError
from appgov_lib.settings import Settings

WEEK = dt.timedelta(days=7)
ENTRY = """
[[exception]]
policy = "{policy}"
app = "{app}"
reason = "Retired in March, see ticket 7"
approver = "ciso@x.test"
expires = {expires}
"""
OWN = '[[policy]]\nid = "own"\ntitle = "Own"\nseverity = "low"\n'
RULE = """
SELECT service_principal_id, app_id, display_name AS app_display_name, '' AS subject, 1.0 AS measure, 1.0 AS threshold,
    'Because.' AS reason, json_object('a', 1) AS evidence
FROM app_inventory
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


def accept(settings: Settings, expires: str, policy: str = "ownerless-app", app: str = APP, more: str = "") -> None:
    """Write the file of exceptions."""
    folder = settings.home / "policies"
    folder.mkdir(exist_ok=True)
    text = ENTRY.format(policy=policy, app=app, expires=expires) + more
    (folder / "exceptions.toml").write_text(text, encoding="utf-8")


def state(con: duckdb.DuckDBPyConnection, settings: Settings, as_of: dt.date = AS_OF) -> tuple[str, str]:
    """State and exception of the ownerless app after a run."""
    found = run(con, settings, as_of=as_of).findings
    (finding,) = [finding for finding in found if finding.policy_id == "ownerless-app"]
    return finding.state, finding.exception


WORDS = "Accepted until 2026-11-20 by ciso@x.test: Retired in March, see ticket 7"


@pytest.mark.parametrize(("policy", "app"), [("ownerless-app", APP), ("*", SP), ("ownerless-app", APP.upper())])
def test_an_accepted_finding_is_excepted_with_its_words(
    con: duckdb.DuckDBPyConnection, settings: Settings, policy: str, app: str
) -> None:
    accept(settings, "2026-11-20", policy, app)
    assert state(con, settings) == ("excepted", WORDS)
    assert con.execute("SELECT state, exception FROM findings WHERE policy_id = 'ownerless-app'").fetchall() == [
        ("excepted", WORDS)
    ]


def test_it_returns_on_the_day_after_the_exception_ends(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    accept(settings, "2026-11-20")
    assert state(con, settings)[0] == "excepted"
    assert state(con, settings, dt.date(2026, 11, 20))[0] == "excepted"
    assert state(con, settings, dt.date(2026, 11, 21)) == ("returned", "")
    assert state(con, settings, dt.date(2026, 11, 28)) == ("open", "")


def test_what_was_open_keeps_its_first_day(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    assert state(con, settings)[0] == "new"
    accept(settings, "2027-01-31")
    run(con, settings, as_of=AS_OF + WEEK)
    rows = con.execute("SELECT state, first_seen FROM findings WHERE policy_id = 'ownerless-app'").fetchall()
    assert rows == [("excepted", AS_OF)]


def test_an_accepted_finding_that_nobody_could_judge_stays_accepted(
    con: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    accept(settings, "2027-01-31")
    state(con, settings)
    for source in ("service_principal_owners", "application_owners", "service_principals"):
        cover(con, source, "failed", "out of order")
    assert state(con, settings, AS_OF + WEEK)[0] == "excepted"


@pytest.mark.parametrize("other", [{"policy": "unused-app"}, {"app": "00000000-0000-4000-8000-0000000000b0"}])
def test_an_exception_covers_nothing_else(
    con: duckdb.DuckDBPyConnection, settings: Settings, other: dict[str, str]
) -> None:
    accept(settings, "2027-01-31", **other)
    assert state(con, settings) == ("new", "")


def test_an_exception_may_be_about_one_subject(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    for key, ends in (("k1", "2026-11-20"), ("k2", "2026-11-21")):
        add(con, "app_credentials", key_id=key, ends_at=ends)
    accept(settings, "2027-01-31", "expiring-credential", more='subject = "k1"\n')
    found = {
        f.subject: f.state for f in run(con, settings, as_of=AS_OF).findings if f.policy_id == "expiring-credential"
    }
    assert found == {"k1": "excepted", "k2": "new"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[exception]]\npolicy = 'p'", "exception 1 has no app"),
        (ENTRY.format(policy="p", app="a", expires='"soon"'), "expires is 'soon'"),
        (ENTRY.format(policy="p", app="a", expires="2027-01-01") + "by = 'me'\n", "unknown key 'by'"),
        (ENTRY.format(policy="p", app="a", expires="2027-01-01").replace('"ciso@x.test"', "7"), "approver is 7"),
        (ENTRY.format(policy="p", app="a", expires="2027-01-01").replace("ciso@x.test", ""), "has no approver"),
        ("exception = 3", "[[exception]]"),
        ("exception = [3]", "[[exception]]"),
        ("[[", "TOML"),
    ],
)
def test_a_mistake_in_the_exceptions_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "exceptions.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_exceptions(tmp_path)
    assert words in str(error.value)
    assert "\n" not in str(error.value).strip() or words == "TOML"


# ---- scope ----


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", 1),
        (f'only = ["{APP}"]', 1),
        (f'only = ["{SP.upper()}"]', 1),
        ('only = ["00000000-0000-4000-8000-0000000000b0"]', 0),
        (f'except_apps = ["{APP}"]', 0),
    ],
)
def test_a_policy_keeps_to_its_scope(con: duckdb.DuckDBPyConnection, settings: Settings, line: str, found: int) -> None:
    folder = settings.home / "policies"
    folder.mkdir()
    (folder / "policies.toml").write_text(f'[[policy]]\nid = "ownerless-app"\n{line}\n', encoding="utf-8")
    assert sum(f.policy_id == "ownerless-app" for f in run(con, settings, as_of=AS_OF).findings) == found


# ---- what a rule may not do ----


@pytest.mark.parametrize(
    "rule",
    [
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM '{secret}'",
        "WITH x AS (INSERT INTO app_inventory BY NAME SELECT 'x' AS app_id RETURNING app_id) SELECT * FROM x",
        "WITH x AS (DELETE FROM app_inventory RETURNING app_id) SELECT * FROM x",
        "SELECT * FROM read_csv('https://127.0.0.1:9/x')",
        "ATTACH '{secret}' AS other",
        "COPY app_inventory TO '{secret}.out'",
        "DROP TABLE app_inventory",
        "SELECT 1; DROP TABLE app_inventory",
        "SET enable_external_access = true",
        "PRAGMA enable_profiling",
        "INSTALL httpfs",
        "CREATE TABLE t AS SELECT 1",
        "EXPORT DATABASE '{secret}.d'",
        "CALL pragma_version()",
    ],
)
def test_a_users_rule_may_only_read_tables(tmp_path: Path, rule: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nhidden\n", encoding="utf-8")
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as made:
        _copy(empty_warehouse(), made)
    settings = Settings(home=tmp_path / "home")
    folder = settings.home / "policies"
    folder.mkdir(parents=True)
    (folder / "policies.toml").write_text(OWN, encoding="utf-8")
    (folder / "own.sql").write_text(rule.format(secret=secret), encoding="utf-8")
    (folder / "own.md").write_text("# Own\n", encoding="utf-8")
    config = {"enable_external_access": "false", "autoload_known_extensions": "false"}
    with duckdb.connect(str(path), config=config) as con:
        con.execute("SET lock_configuration = true")
        before = con.execute("SELECT count(*) FROM app_inventory").fetchall()
        result = run(con, settings, as_of=AS_OF)
        assert [skip.policy_id for skip in result.skipped if skip.policy_id == "own"] == ["own"]
        assert "hidden" not in " ".join(skip.reason for skip in result.skipped)
        assert con.execute("SELECT count(*) FROM app_inventory").fetchall() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "secret.csv", "w.duckdb"]


def _copy(source: duckdb.DuckDBPyConnection, target: duckdb.DuckDBPyConnection) -> None:
    """All tables of one warehouse, one app included, in another."""
    add(source, "app_inventory")
    for (name,) in source.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall():
        frame: Any = source.sql(f"SELECT * FROM {name}").to_arrow_table()
        target.register("given", frame)
        target.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
        target.unregister("given")


def test_the_plain_rule_does_run(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """The rule the others are measured against: without its misdeeds it would have been judged."""
    folder = settings.home / "policies"
    folder.mkdir()
    (folder / "policies.toml").write_text(OWN, encoding="utf-8")
    (folder / "own.sql").write_text(RULE, encoding="utf-8")
    (folder / "own.md").write_text("# Own\n", encoding="utf-8")
    assert "own" in {policy.policy_id for policy in load_policies(folder)}
    assert [f.policy_id for f in run(con, settings, as_of=AS_OF).findings if f.policy_id == "own"] == ["own"]
