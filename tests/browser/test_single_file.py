"""The report in one file, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from appgov_lib.report.facts import gather
from appgov_lib.report.pages import site_of
from appgov_lib.report.single import single_page
from appgov_lib.runner import load_suite
from appgov_lib.sample import AS_OF
from appgov_lib.store.warehouse import connect

pytestmark = pytest.mark.browser


def test_it_opens_from_disk_without_asking_anybody(sample_home: Path, tmp_path: Path, visit) -> None:
    with connect("sample", sample_home) as con:
        facts = gather(con, AS_OF, 7)
    notebooks = load_suite().notebooks
    page = tmp_path / "report.html"
    page.write_text(single_page(facts, site_of(facts, notebooks), notebooks, []), encoding="utf-8")
    opened = visit(page)
    assert opened.page.locator(".dt-container").count() > 3
    opened.page.locator("#risks ~ ol a").first.click()
    assert opened.page.evaluate("location.hash").startswith("#app-")
    assert opened.page.locator(f"[id='{opened.page.evaluate('location.hash')[1:]}'] h1").inner_text() != ""
    opened.quiet()
