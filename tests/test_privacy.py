"""Tokens, and finding people in text: the rules of privacy mode on hand-written people."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import replace

import duckdb
import pytest

from appgov_lib.errors import ConfigError
from appgov_lib.privacy import few
from appgov_lib.privacy.declared import declaration
from appgov_lib.privacy.people import People
from appgov_lib.privacy.text import Finder
from appgov_lib.privacy.tokens import Tokens, tokens_of
from appgov_lib.settings import Settings

pytestmark = pytest.mark.timeout(300)  # on a busy machine
ANNA, OTHER, APP = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 9))
TOKENS = Tokens(b"k" * 32, "sample")
A = TOKENS.of("user", ANNA)


def people() -> People:
    """Anna O'Hara twice (two people of one name), Sergei, a scanner, and an app."""
    found = People(TOKENS, app_ids={APP}, app_names={"power bi gateway", "scanner service"})
    found.add("anna.oh'ara@x.example", ANNA, strict=True)
    found.add("Anna O'Hara", ANNA, strict=True)
    found.add("Kim Lee", ANNA, strict=True)
    found.add("Kim Lee", OTHER, strict=True)
    found.add("Power BI", OTHER, strict=True)
    found.add("Zlatan", OTHER, strict=True)
    found.add("Scanner", OTHER, strict=True)
    found.add("Mail", OTHER, strict=True)
    found.add("<b>Bob</b> | Tables", OTHER, strict=True)
    found.addresses, found.app_addresses = {"203.0.113.7", "2001:db8::1"}, {"198.51.100.1"}
    return found


FINDER = Finder(people(), declaration().json_person, {"Power BI Gateway"})
SEVEN, SIX = TOKENS.of("address", "203.0.113.7"), TOKENS.of("address", "2001:db8::1")
Z, K = TOKENS.of("user", OTHER), TOKENS.of("name", "kim lee")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("added by Anna O'Hara.", f"added by {A}."),
        ("added by ANNA o''hara;", f"added by {A};"),
        ("anna.oh'ara@X.example did", f"{A} did"),
        ("'anna.oh'ara@x.example'", f"'{A}'"),
        ("/users/anna.oh%27ara%40x.example/messages", f"/users/{A}/messages"),
        (f"/users/{ANNA.upper()}/messages", f"/users/{A}/messages"),
        (f"/applications/{APP}/owners", f"/applications/{APP}/owners"),
        ("https://x-my.sharepoint.com/personal/anna_oh_ara_x_example/Documents", f"https://x-my.sharepoint.com/personal/{A}/Documents"),
        ("by stranger@y.example", f"by {TOKENS.of('user', 'stranger@y.example')}"),
        ("Kim Lee and Kim Leeds", f"{K} and Kim Leeds"),
        ("Zlatan asked", f"{Z} asked"),
        ("zlatan asked", "zlatan asked"),
        ("Mail.Read lets an app read Mail", "Mail.Read lets an app read Mail"),
        ("Scanner Service signed in", "Scanner Service signed in"),
        ("Power BI Gateway signed in", "Power BI Gateway signed in"),
        ("<b>Bob</b> | Tables did it", f"{Z} did it"),
        ("from 203.0.113.7, 2001:DB8:0::1.", f"from {SEVEN}, {SIX}."),
        ("from 198.51.100.1 and 203.0.113.0/24", "from 198.51.100.1 and 203.0.113.0/24"),
        ("from 203.0.113.99", f"from {TOKENS.of('address', '203.0.113.99')}"),
        ("Chrome/120.0.0.0 at 09:17:12 on 127.0.0.1", "Chrome/120.0.0.0 at 09:17:12 on 127.0.0.1"),
        ("", ""),
    ],
)  # fmt: skip
def test_people_are_found_in_text(text, hidden):
    assert FINDER.hide(text) == hidden


def test_json_stays_json_whatever_is_escaped_in_it():
    record = {"actor_name": "Somebody New", "app": "Power BI Gateway", "n": 3, "said": '["Anna O\\u0027Hara"]'}
    record |= {"targets": [{"type": "User", "displayName": "Nobody Known", "id": OTHER}], "actor_id": APP}
    hidden = json.loads(FINDER.hide(json.dumps(record)))
    assert hidden["actor_name"] == TOKENS.of("name", "somebody new")
    assert (hidden["app"], hidden["n"], hidden["actor_id"]) == ("Power BI Gateway", 3, APP)
    assert json.loads(hidden["said"]) == [A]
    assert hidden["targets"][0] == {"type": "User", "displayName": TOKENS.of("name", "nobody known"), "id": Z}
    untouched = '{ "a" : "nothing" }'
    assert FINDER.hide(untouched) is untouched


def test_one_person_has_one_token_whatever_they_are_called_and_an_app_none():
    known = people()
    called = (ANNA, "anna.oh'ara@x.example", "Anna O'Hara")
    assert {known.whole(value, strict=False) for value in called} == {A}
    assert known.whole("Kim Lee", ANNA, strict=False) == A
    assert known.whole("Kim Lee", strict=False) == K
    assert known.whole(APP, strict=False) is None
    assert known.whole("Some Name", APP, strict=False) is None
    assert known.whole("Power BI Gateway", strict=False) is None
    assert known.whole("Power BI Gateway", strict=True) == TOKENS.of("name", "power bi gateway")


def test_the_key_is_made_once_is_private_and_is_no_part_of_a_report(tmp_path):
    settings = Settings(tmp_path, "contoso")
    with pytest.raises(ConfigError, match="There is no key"):
        tokens_of(settings, make=False)
    first, second = tokens_of(settings), tokens_of(settings)
    assert first.of("user", ANNA) == second.of("user", ANNA)
    assert re.fullmatch(r"user-[0-9a-f]{12}", first.of("user", ANNA))
    key = settings.data_dir / "pseudonyms.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert settings.reports_dir not in key.parents
    other = replace(settings, tenant="fabrikam")
    assert tokens_of(other).of("user", ANNA) != first.of("user", ANNA)
    same_key_other_tenant = Tokens(bytes.fromhex(key.read_text()), "fabrikam")
    assert same_key_other_tenant.of("user", ANNA) != first.of("user", ANNA)
    key.write_text("damaged")
    with pytest.raises(ConfigError, match="cannot be used"):
        tokens_of(settings)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("3 users consented to it", "fewer than 5 users consented to it"),
        ("At least 1 user gave it", "Fewer than 5 users gave it"),
        ("11 users, 1,003 users and 5 users", "11 users, 1,003 users and 5 users"),
        ("0 users", "0 users"),
        ("2 other people on 2026-11-03", "fewer than 5 other people on 2026-11-03"),
        (
            "Users who consented went from 0 to 3 in 90 days",
            "Users who consented went from 0 to fewer than 5 in 90 days",
        ),
        ("version 1.2 users", "version 1.2 users"),
    ],
)
def test_small_numbers_of_users_are_not_told_in_text(text, hidden):
    assert few.hidden_text(text, 5, frozenset(), is_json=False) == hidden


def test_small_numbers_of_users_are_not_told_in_evidence():
    evidence = json.dumps({"users": 4, "permissions": 3, "inner": [{"users": 5}, {"users": 1, "why": "2 users"}]})
    hidden = json.loads(few.hidden_text(evidence, 5, frozenset({"users"}), is_json=True))
    said = "fewer than 5"
    assert hidden == {"users": said, "permissions": 3, "inner": [{"users": 5}, {"users": said, "why": f"{said} users"}]}


# What is declared


@pytest.fixture(scope="module")
def real(sample_home):
    """The sample's warehouse."""
    import appgov_lib

    con = appgov_lib.connect("sample", home=sample_home)
    yield con
    con.close()


SOUNDS_LIKE_PEOPLE = re.compile(
    r"(^|_)(users?|actors?|owners?|reviewers?|approver|assigned|mails?|upn|persons?|people|who|by|ip|ip_address)(_|$)|"
    r"^principal_id$|forwards_to"
)
OTHERWISE = re.compile(r"_(type|agent)$")


def texts_of(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    """Table, column and type of every text of a warehouse."""
    query = (
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal"
    )
    return [row for row in con.execute(query).fetchall() if "VARCHAR" in row[2] or "JSON" in row[2]]


def test_every_column_that_sounds_like_people_is_declared(real):
    declared = declaration()
    undeclared = []
    for table, column, _ in texts_of(real):
        one = declared.of(table)
        known = {*one.person, *one.either, *one.address}
        named = f"{table}.{column}" in declared.searched | declared.nobody
        if SOUNDS_LIKE_PEOPLE.search(column) and not OTHERWISE.search(column) and column not in known and not named:
            undeclared.append(f"{table}.{column}")
    assert undeclared == [], "say in privacy/people.toml what they hold"


def test_every_column_that_holds_people_in_the_sample_is_declared(real):
    users: set[str] = set()
    for row in real.execute("SELECT user_id, user_principal_name, display_name FROM stg_users").fetchall():
        users |= {value.lower() for value in row if value}
    declared, undeclared = declaration(), []
    for table, column, kind in texts_of(real):
        one = declared.of(table)
        if column in (*one.person, *one.either) or f"{table}.{column}" in declared.searched:
            continue
        value = f'unnest("{column}")' if kind.endswith("[]") else f'CAST("{column}" AS VARCHAR)'
        values = {
            row[0].lower() for row in real.execute(f'SELECT DISTINCT {value} FROM "{table}"').fetchall() if row[0]
        }
        if values & users:
            undeclared.append(f"{table}.{column}")
    assert undeclared == []


def test_what_is_declared_is_there(real):
    rows = real.execute("SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal").fetchall()
    there = {f"{table}.{column}" for table, column in rows}
    declared = declaration()
    named = {*declared.searched, *declared.nobody, *declared.app_ids, *declared.app_names, *declared.vendors}
    named |= set(declared.app_addresses)
    for table, one in declared.tables.items():
        named |= {f"{table}.{name}" for name in (*one.person, *one.either, *one.address, *one.by, *one.by.values())}
    named |= {f"{table}.{column}" for table, columns in declared.few.items() for column in columns}
    assert sorted(named - there) == []


def test_every_number_of_users_is_declared(real):
    rows = real.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND data_type LIKE '%INT' "
        "AND regexp_matches(column_name, '(^|_)users(_|$)')"
    ).fetchall()
    declared = {(table, column) for table, columns in declaration().few.items() for column in columns}
    assert sorted(set(rows) - declared) == []
