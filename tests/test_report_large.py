"""What a report does where there is too much: pages, tickets and rows are bounded, and it says so."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from appgov_lib import action_files, exports, workbook
from appgov_lib.exports import ACTION_COLUMNS, actions_of
from appgov_lib.report import facts as facts_module
from appgov_lib.report.facts import gather
from appgov_lib.report.pages import app_contexts, apps_page, index_page, site_of
from appgov_lib.runner import load_suite
from appgov_lib.sample import AS_OF
from appgov_lib.store.warehouse import connect
from appgov_lib.templating import menus_of

MOST = 12


@pytest.fixture
def con(sample_home: Path) -> Any:
    """The sample's warehouse."""
    opened = connect("sample", sample_home)
    yield opened
    opened.close()


def test_only_the_worst_apps_have_a_page_and_the_report_says_how_to_get_others(
    con: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = gather(con, AS_OF, 7)
    site = site_of(every, load_suite().notebooks)
    names = list(app_contexts(every, site))
    monkeypatch.setattr(facts_module, "MOST_APP_PAGES", MOST)
    facts = gather(con, AS_OF, 7)
    contexts = app_contexts(facts, site)
    # one of the worst may be the tenant itself, which has no page
    assert list(contexts) == names[: len(contexts)]
    assert MOST - 1 <= len(contexts) <= MOST
    assert len(facts.unpaged) == len({f["service_principal_id"] for f in facts.findings}) - MOST
    assert set(facts.inventory) < set(every.inventory)
    index, apps = index_page(facts, site, [], []), apps_page(facts, site, {})
    assert f"The {MOST} worst have a page of their own" in index
    assert "have no page of their own" in apps
    assert "have no page of their own" not in apps_page(every, site, {})
    for name in names:
        assert (f"apps/{name}" in index) <= (name in contexts)
        assert (f"apps/{name}" in apps) == (name in contexts)


def test_tickets_are_bounded_and_the_folder_says_so(con: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = [dict(zip(ACTION_COLUMNS, row, strict=True)) for row in actions_of(con)]
    assert "tickets/README.txt" not in action_files.action_files(plan)
    monkeypatch.setattr(action_files, "MOST_TICKETS", 3)
    files = action_files.action_files(plan)
    assert len([name for name in files if name.startswith("tickets/app-")]) == 3
    assert f"tickets/app-{plan[0]['service_principal_id']}.txt" in files
    assert b"actions.csv" in files["tickets/README.txt"]


def test_a_sheet_that_is_cut_says_so(con: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MOST_ROWS", 5)
    monkeypatch.setattr(exports, "MOST_ROWS", 5)
    workbook.write_workbook(con, tmp_path / "report.xlsx")
    exports.write_actions_xlsx(con, tmp_path / "actions.xlsx")
    for name in ("report.xlsx", "actions.xlsx"):
        with zipfile.ZipFile(tmp_path / name) as book:
            sheet, shared = (book.read(f"xl/{part}.xml").decode() for part in ("worksheets/sheet1", "sharedStrings"))
        assert sheet.count("<row ") == 7
        assert "Only the first 5 " in shared


def test_the_navigation_has_a_few_menus() -> None:
    links = [{"href": n.name, "menu": n.menu} for n in load_suite().notebooks]
    assert list(menus_of(links)) == ["Apps", "Activity", "Findings"]
    assert list(menus_of([{"href": "own.html"}])) == ["Pages"]
