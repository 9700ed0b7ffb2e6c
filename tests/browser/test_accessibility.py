"""axe-core over every page of the sample's report: nothing serious, in light and dark, wide and at 320 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from appgov_lib.runner import load_suite

pytestmark = pytest.mark.browser


def violations(browser: Any, page: Path, dark: bool, width: int) -> list[str]:
    """What axe finds on a page; it is run past the page's content policy, which would not let it in."""
    scheme = "dark" if dark else "light"
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    opened = context.new_page()
    opened.goto(page.resolve().as_uri())
    opened.wait_for_function("[...document.querySelectorAll('.plot')].every(p => p.dataset.drawn)")
    found = Axe().run(opened).response["violations"]
    context.close()
    return [f"{page.name}: {one['impact']} {one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


PAGES = ["index", "apps", *[notebook.name for notebook in load_suite().notebooks], "an app"]
NARROW = ["index", "apps", "05_findings_and_actions", "10_first_seen", "an app"]


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(browser, demo_report: Path, name: str) -> None:
    assert violations(browser, named(demo_report, name), dark=False, width=1280) == []


@pytest.mark.parametrize("name", NARROW)
def test_axe_finds_nothing_in_the_dark_on_a_narrow_screen(browser, demo_report: Path, name: str) -> None:
    assert violations(browser, named(demo_report, name), dark=True, width=320) == []


def named(report: Path, name: str) -> Path:
    """A page of the report by its name."""
    return min((report / "apps").iterdir()) if name == "an app" else report / f"{name}.html"
