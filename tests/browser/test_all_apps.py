"""The page of all apps: every app findable, as many as there may be, and nothing of a name runs."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from appgov_lib.report.apps import COLUMNS, all_apps
from appgov_lib.report.assets import write_assets
from appgov_lib.report.pages import Site
from appgov_lib.templating import render

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>\u202e</script><script>alert(2)</script>"


def page_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A page of these apps in a folder of its own."""
    write_assets(folder)
    site = Site("Tenant", "9 to 15 November 2026", "made by a test", ())
    text = render("apps.html.j2", here="apps.html", up="", site=site, **all_apps(rows, {"sp-7": "apps/seven.html"}))
    (folder / "apps.html").write_text(text, encoding="utf-8")
    return folder / "apps.html"


def app(number: int, **more: Any) -> dict[str, Any]:
    """One app; what is not said is unknown."""
    known = {"service_principal_id": f"sp-{number}", "app_id": f"app-{number}", "display_name": f"App {number:05}"}
    return dict.fromkeys(COLUMNS) | known | {"is_in_scope": True, "findings": 0, "worst": "none"} | more


def test_twenty_thousand_apps_open_and_are_searched(visit, tmp_path: Path) -> None:
    rows = [app(n, risk_score=n % 97, calls_30d=n, last_used_at=dt.datetime(2026, 11, 1)) for n in range(20_000)]
    path = page_of(tmp_path, rows)
    began = time.monotonic()
    opened = visit(path)
    table = opened.page.locator("#all-apps-table")
    assert table.locator("tbody tr").count() == 50
    assert time.monotonic() - began < 20  # a page that builds every row takes minutes
    opened.page.locator("#all-apps .dt-search input").fill("App 19999")
    assert [row.split("\t")[0] for row in table.locator("tbody tr").all_inner_texts()] == ["App 19999"]
    assert "1 to 1 of 1" in opened.page.locator("#all-apps .dt-info").inner_text()
    opened.quiet()


def test_apps_are_sorted_by_value_with_unknown_last(visit, tmp_path: Path) -> None:
    rows = [app(1, risk_score=9), app(2), app(3, risk_score=10), *[app(n, risk_score=n) for n in range(20, 30)]]
    opened = visit(page_of(tmp_path, rows))
    table = opened.page.locator("#all-apps-table")
    head = table.locator("thead th", has_text="Risk score")
    for way, ends in (("ascending", ("App 00001", "App 00002")), ("descending", ("App 00029", "App 00002"))):
        head.locator(".dt-column-title").click()
        expect(head).to_have_attribute("aria-sort", way)
        names = [row.split("\t")[0] for row in table.locator("tbody tr").all_inner_texts()]
        assert (names[0], names[-1]) == ends


def test_names_are_text_and_links_are_ours(visit, tmp_path: Path) -> None:
    opened = visit(page_of(tmp_path, [app(7, display_name=HOSTILE), *[app(n) for n in range(20, 40)]]))
    link = opened.page.locator("#all-apps-table a")
    assert link.count() == 1
    assert link.get_attribute("href") == "apps/seven.html"
    assert link.inner_text().startswith("<img src=x onerror=alert(1)>")
    opened.quiet()


def test_without_a_script_the_first_apps_are_a_table(visit, tmp_path: Path) -> None:
    opened = visit(page_of(tmp_path, [app(n) for n in range(300)]), script=False)
    assert opened.page.locator("#all-apps tbody tr").count() == 100
    assert "of 300" in opened.page.locator("#all-apps caption").inner_text()
