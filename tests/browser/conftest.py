"""One headless Chromium per test run, and pages that report every complaint and every request."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hostile import hostile_home

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class Opened:
    """A page that was opened, and what happened while it was."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def drawn(self) -> None:
        """Wait until every chart of the page has its marks."""
        self.page.wait_for_function(
            "[...document.querySelectorAll('.plot')].every(p => p.dataset.drawn && p.querySelector('svg.main-svg'))",
            timeout=15_000,
        )

    def quiet(self) -> None:
        """Assert that nothing was complained about and nobody outside was asked."""
        assert self.complaints == []
        assert [r for r in self.requests if not r.startswith(("file:", "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium; skips where there is none.

    Not for the whole session: Playwright keeps an event loop running, in which no other test could start its own.
    """
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed; .ci/run installs it.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def open_page(
    browser: Any, path: Path, width: int = 1280, dark: bool = False, paper: bool = False, script: bool = True
) -> Opened:
    """Open a file in a context of its own and wait until its charts are drawn."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
    )
    opened = Opened(context.new_page())
    opened.page.on("console", lambda m: opened.complaints.append(f"{m.type}: {m.text}"))
    opened.page.on("pageerror", lambda e: opened.complaints.append(f"error: {e}"))
    opened.page.on("dialog", lambda d: (opened.complaints.append(f"dialog: {d.message}"), d.dismiss()))
    opened.page.on("request", lambda r: opened.requests.append(r.url))
    if paper:
        opened.page.emulate_media(media="print")
    opened.page.goto(path.resolve().as_uri())
    if script:
        opened.drawn()
    return opened


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Open a page for one test: `visit(path, width=, dark=, paper=, script=)`."""
    found: list[Opened] = []

    def go(path: Path, **form: Any) -> Opened:
        found.append(open_page(browser, path, **form))
        return found[-1]

    yield go
    for opened in found:
        opened.page.context.close()


@pytest.fixture(scope="module")
def tour(browser: Any, demo_report: Path) -> Iterator[dict[str, Opened]]:
    """The summary, every notebook page and one app page, opened once; tests look and leave them as they were."""
    paths = [*sorted(demo_report.glob("*.html")), min((demo_report / "apps").iterdir())]
    found = {path.stem: open_page(browser, path) for path in paths}
    yield found
    for opened in found.values():
        opened.page.context.close()


@pytest.fixture(scope="session")
def hostile_report(once: Callable[[str, Callable[[Path], None]], Path], sample_home: Path) -> Path:
    """The report of a tenant in which every text is an attack."""

    def fill(home: Path) -> None:
        from appgov_lib.report import build_report
        from appgov_lib.sample import AS_OF

        build_report(hostile_home(home, sample_home), AS_OF)

    return once("hostile-report", fill) / "reports" / "sample" / "2026-11-15"
