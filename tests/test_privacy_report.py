"""A report that shows no people: the sample's, written with all it can have, looked through to the last byte."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from person_scan import Scan, needles_of

import appgov_lib
from appgov_lib import privacy
from appgov_lib.delivery import forms
from appgov_lib.delivery.message import message_of
from appgov_lib.errors import ConfigError
from appgov_lib.privacy.lookup import meaning_of
from appgov_lib.privacy.tokens import tokens_of
from appgov_lib.report import build_report
from appgov_lib.settings import Settings

AS_OF = dt.date(2026, 11, 15)
LEAST = 5
NOT_OURS = ("assets/",)
"""The libraries of the pages: the same files in every report."""


def with_warehouse(home: Path, sample_home: Path) -> None:
    """Put the sample's warehouse, and nothing else, into a home."""
    shutil.copytree(sample_home / "data" / "sample" / "warehouse", home / "data" / "sample" / "warehouse")


pytestmark = pytest.mark.timeout(300)  # on a busy machine


@pytest.fixture(scope="module")
def home(once, sample_home) -> Path:
    """A home with a report of the sample that shows no people and no small numbers of users."""

    def fill(home: Path) -> None:
        with_warehouse(home, sample_home)
        (home / "appgov.toml").write_text(f"[tenant.sample]\nmin_users_shown = {LEAST}\n")
        command = [
            sys.executable,
            "-m",
            "appgov_lib",
            "report",
            "--pseudonymise",
            "--single-file",
            "--pdf",
            "--all-apps",
        ]
        done = subprocess.run(
            [*command, "--quiet"], env={**os.environ, "APPGOV_HOME": str(home)}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    return once("private-home", fill)


@pytest.fixture(scope="module")
def report(home) -> Path:
    """The folder of that report."""
    return home / "reports" / "sample" / AS_OF.isoformat()


@pytest.fixture(scope="module")
def scan(sample_home) -> Scan:
    """Finds every user of the sample."""
    con = appgov_lib.connect("sample", home=sample_home)
    try:
        return Scan(needles_of(con))
    finally:
        con.close()


def settings_of(home: Path, **shown: object) -> Settings:
    """The sample in a home, with people shown as asked."""
    found = Settings.load("sample", home, env={})
    return replace(found, profile=replace(found.profile, **shown))


def test_the_scan_finds_people_where_they_are_shown(demo_report, scan):
    found = scan.files(demo_report, NOT_OURS)
    wanted = {"index.html", "findings.json", "findings.ocsf.jsonl", "actions.csv", "actions.xlsx", "report.xlsx"}
    wanted |= {"notebooks/11_items_and_users.ipynb", "11_items_and_users.html"}
    assert sorted(wanted - set(found)) == []


def test_no_file_of_the_report_names_a_user(report, scan):
    names = {path.name for path in report.iterdir()}
    assert {"report.html", "report.xlsx", "findings.ocsf.jsonl", "summary.md", "run.json", "apps.html"} <= names
    assert len(list((report / "apps").iterdir())) > 390
    assert scan.files(report, NOT_OURS) == {}


def test_messages_about_the_report_name_no_user(report, scan):
    message = message_of("sample", AS_OF.isoformat(), 0, "Done.", report)
    assert message.lines
    said = [forms.as_text(message), forms.as_html(message), json.dumps(forms.as_json(message))]
    said.append(json.dumps(forms.as_card(message)))
    assert [scan.found(text) for text in said] == [set()] * 4


def test_apps_and_publishers_stay_readable(report, demo_report):
    def apps(folder: Path) -> list[tuple[str, ...]]:
        """What the file says that apps are called."""
        with (folder / "apps.csv").open(encoding="utf-8-sig", newline="") as handle:
            return [(r["app_id"], r["display_name"], r["publisher_name"]) for r in csv.DictReader(handle)]

    assert apps(report) == apps(demo_report)


def test_the_report_says_that_it_shows_no_people(report, home):
    run = json.loads((report / "run.json").read_bytes())["warehouse"]
    assert (run["pseudonymised"], run["min_users_shown"]) == ("yes", str(LEAST))
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "People are shown as tokens." in page
    key = home / "data" / "sample" / "pseudonyms.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().strip() not in page
    assert [path.name for path in report.rglob("*.key")] == []
    assert list((home / "data" / "sample").glob(".reading-*")) == []


def test_scripts_that_name_a_person_say_where_they_can_be_run(report, demo_report):
    real = {a["action_id"]: a for a in json.loads((demo_report / "actions.json").read_bytes())}
    shown = {a["action_id"]: a for a in json.loads((report / "actions.json").read_bytes())}
    assert real.keys() == shown.keys()
    changed = {key for key in real if real[key]["requests"] != shown[key]["requests"]}
    assert changed
    for key, action in shown.items():
        for kind in ("powershell", "curl", "az_rest"):
            if key in changed and action[kind]:
                assert action[kind].startswith("# Pseudonymised: ")
                assert f"appgov actions apply --ids {key}" in action[kind]
                assert all(line.startswith("#") for line in action[kind].splitlines())
            elif real[key][kind]:
                # everything that is run is what it was; titles in comments may name people
                run, was = (text.splitlines()[1:] for text in (action[kind], real[key][kind]))
                assert run == was
    waves = "".join(path.read_text(encoding="utf-8") for path in (report / "actions").glob("wave-*"))
    assert all(f"# The plan itself holds the real ids. Where it is: appgov actions apply --ids {key}" in waves
               for key in changed if real[key]["wave"] in (1, 2) and real[key]["curl"])  # fmt: skip


def test_tokens_are_the_same_in_the_next_report(home, sample_home):
    """The report of `home` was made by another process: what is the same is the key, and it alone decides."""
    settings = settings_of(home, pseudonymise=True, min_users_shown=0)
    with privacy.reading(settings) as shown:
        con = appgov_lib.connect("sample", home=shown.home)
        found = con.sql("SELECT user_id, user_principal_name, display_name FROM stg_users").fetchall()
        con.close()
    assert all(len(set(row)) == 1 for row in found), "a user is one token, whatever is told of them"
    con = appgov_lib.connect("sample", home=sample_home)
    users = [row[0] for row in con.sql("SELECT user_id FROM stg_users").fetchall()]
    con.close()
    tokens = tokens_of(settings, make=False)
    assert sorted(row[0] for row in found) == sorted(tokens.of("user", user) for user in users)


def test_a_token_leads_back_to_the_person_on_the_machine_that_has_the_key(report, home, sample_home):
    con = appgov_lib.connect("sample", home=sample_home)
    actor = "noor.o'brien2@northwind-sample.example"
    (user,) = con.execute("SELECT user_id FROM stg_users WHERE user_principal_name = ?", [actor]).fetchall()[0]
    con.close()
    token = tokens_of(settings_of(home), make=False).of("user", user)
    assert token in (report / "findings.json").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "appgov_lib", "pseudonym", token, "--json"],
        env={**os.environ, "APPGOV_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["kind"], told["values"][:2]) == ("user", [user, actor])
    with pytest.raises(ConfigError, match="is no token"):
        meaning_of(settings_of(home), "Noor")


def test_a_table_keeps_its_rows_and_their_order(home, sample_home):
    real = appgov_lib.connect("sample", home=sample_home)
    with privacy.reading(settings_of(home, pseudonymise=True)) as shown:
        con = appgov_lib.connect("sample", home=shown.home)
        tables = real.sql("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        assert con.sql("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall() == tables
        for (table,) in tables:
            if table not in ("run_info", "app_top_users", "anomaly_contributors"):
                count = f"SELECT count(*) FROM {table}"
                assert con.sql(count).fetchall() == real.sql(count).fetchall(), table
        for query in ("SELECT begins_at, severity FROM chains", "SELECT created_at FROM stg_sign_ins LIMIT 5000"):
            assert con.sql(query).fetchall() == real.sql(query).fetchall()
        kinds = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
        assert con.sql(kinds).fetchall() == real.sql(kinds).fetchall()
        con.close()
    real.close()


def test_a_page_that_shows_people_is_not_taken_over_into_a_report_that_shows_none(tmp_path, sample_home, scan):
    with_warehouse(tmp_path, sample_home)
    plain = settings_of(tmp_path)
    build_report(plain, AS_OF, only="11_items_and_users")
    built = build_report(plain.showing_tokens(), AS_OF, only="08_changes")
    assert not (built.path / "11_items_and_users.html").exists()
    assert scan.files(built.path, NOT_OURS) == {}


# The small counts rule


def few_columns(names: list[str]) -> list[int]:
    """Places of the columns that count users."""
    return [
        place
        for place, name in enumerate(names)
        if name.replace(" ", "_").endswith(("_users", "users_30d")) or name == "users"
    ]


def test_no_file_tells_a_small_number_of_users(report, demo_report):
    told: dict[str, set[str]] = {}
    for name in ("apps.csv", "actions.csv"):
        for folder in (report, demo_report):
            with (folder / name).open(encoding="utf-8-sig", newline="") as handle:
                head, *rows = list(csv.reader(handle))
            told[f"{folder == report} {name}"] = {row[place] for row in rows for place in few_columns(head)}
    small = {str(number) for number in range(1, LEAST)}
    assert told["False apps.csv"] & small, "the sample has small groups"
    for name in ("apps.csv", "actions.csv"):
        assert told[f"True {name}"] & small == set()
        assert not any(value.startswith("-") for value in told[f"True {name}"])
    assert f"fewer than {LEAST}" in told["True apps.csv"]
    assert "0" in told["True apps.csv"], "nobody is not a small group"


def test_no_sheet_tells_a_small_number_of_users(report):
    numbers: dict[str, set[str]] = {}
    heading: dict[str, str] = {}
    with zipfile.ZipFile(report / "report.xlsx") as book:
        shared = re.findall(r"<si><t[^>]*>(.*?)</t></si>", book.read("xl/sharedStrings.xml").decode(), re.DOTALL)
        cells = r'<c r="([A-Z]+)(\d+)"[^>]*?>(?:<v>(.*?)</v>|<is><t[^>]*>(.*?)</t></is>)</c>'
        for name in sorted(book.namelist()):
            for cell in re.finditer(cells, book.read(name).decode(), re.DOTALL):
                column, line, value, text = cell.groups()
                value = shared[int(value)] if 't="s"' in cell[0] else text if value is None else value
                if line == "1":
                    heading[column] = value
                elif re.search(r"(^| )users( |$)", heading[column]):
                    numbers.setdefault(heading[column], set()).add(value)
    assert {"consented users", "affected users"} <= set(numbers)
    for values in numbers.values():
        assert not {value for value in values if re.fullmatch(rf"-.*|[1-{LEAST - 1}]", value)}
    assert f"fewer than {LEAST}" in numbers["consented users"]


def test_no_sentence_tells_a_small_number_of_users(report):
    said = re.compile(rf"(?<![\w.,:-])[1-{LEAST - 1}] (users?|people|persons?)\b")
    pages = [
        *report.glob("*.html"),
        *report.glob("apps/*.html"),
        *report.glob("*.json*"),
        *report.glob("*.csv"),
        *report.glob("*.md"),
    ]
    assert [(p.name, m[0]) for p in pages if (m := said.search(p.read_text(encoding="utf-8")))] == []


def test_tables_by_user_show_no_small_group(home, sample_home):
    with privacy.reading(settings_of(home, min_users_shown=LEAST)) as shown:
        con = appgov_lib.connect("sample", home=shown.home)
        rows = con.sql(
            "SELECT app_id, count(*), min(user_principal_name), sum(calls) FROM app_top_users GROUP BY app_id"
        ).fetchall()
        con.close()
    real = appgov_lib.connect("sample", home=sample_home)
    was = {
        r[0]: r[1:]
        for r in real.sql("SELECT app_id, count(*), sum(calls) FROM app_top_users GROUP BY app_id").fetchall()
    }
    real.close()
    merged = {app for app, count, name, _ in rows if (count, name) == (1, f"fewer than {LEAST} users")}
    assert merged == {app for app, (count, _) in was.items() if count < LEAST}
    assert merged
    assert all(calls == was[app][1] for app, _, _, calls in rows), "nothing that was moved is lost"
    assert all(count == was[app][0] for app, count, *_ in rows if app not in merged)


def test_without_the_settings_the_warehouse_itself_is_read(home):
    settings = settings_of(home, min_users_shown=1)
    with privacy.reading(settings) as shown:
        assert shown is settings
