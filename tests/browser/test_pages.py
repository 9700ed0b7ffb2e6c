"""The report in a real browser: nothing asked of the network, charts drawn, readable on any screen and on paper."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
WIDTH = "document.documentElement.scrollWidth"
TICK = ".plot .xtick text"
FILL = "e => getComputedStyle(e).fill"


def app_page(report: Path) -> Path:
    """The page of some app."""
    return min((report / "apps").iterdir())


def test_every_page_is_quiet_and_asks_nobody(tour):
    assert len(tour) == 13
    for opened in tour.values():
        opened.quiet()


def test_every_chart_is_drawn(tour):
    tables_only = {"07_consent_posture", "08_changes"}
    for name in [n for n in tour if n[0] == "0" and "_" in n and n not in tables_only]:
        plots = tour[name].page.locator("figure .plot")
        assert plots.count() >= 1
        for n in range(plots.count()):
            assert plots.nth(n).locator(".point path, path.point, path.js-line, .annotation").count() >= 1, name


def test_charts_wear_the_pages_theme(demo_report, tour, visit):
    assert tour["02_usage"].page.locator(TICK).first.evaluate(FILL) == "rgb(87, 96, 106)"
    dark = visit(demo_report / "02_usage.html", dark=True)
    dark.quiet()
    assert dark.page.locator(TICK).first.evaluate(FILL) == "rgb(154, 164, 178)"
    dark.page.locator("#theme").click()
    dark.page.wait_for_function(f"({FILL})(document.querySelector('{TICK}')) === 'rgb(87, 96, 106)'")


def test_without_script_everything_but_charts_is_there(demo_report, visit):
    opened = visit(demo_report / "index.html", script=False)
    assert opened.page.locator("h1").inner_text() == "App governance report"
    assert opened.page.locator("svg.chart").count() == 3
    assert opened.page.locator("#theme").is_hidden()
    usage = visit(demo_report / "02_usage.html", script=False)
    assert usage.page.locator("noscript").count() >= 1
    assert "its numbers are below" in usage.page.locator("figure").first.inner_text()


def test_the_content_policy_stops_a_script_that_got_in(demo_report, visit):
    opened = visit(demo_report / "index.html")
    opened.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = 'window.pwned = 1';
            document.body.append(script);
        }"""
    )
    assert opened.page.evaluate("window.pwned === undefined")
    assert any("Content Security Policy" in c for c in opened.complaints)


def test_dark_and_light_follow_the_system_and_the_button(demo_report, visit):
    opened = visit(demo_report / "index.html", dark=True)
    assert opened.page.evaluate(BACKGROUND) == "rgb(18, 23, 29)"
    opened.page.locator("#theme").click()
    assert opened.page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
    assert opened.page.evaluate("document.documentElement.dataset.theme") == "light"
    opened.page.reload()
    assert opened.page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"


def test_pages_fit_narrow_screens(tour):
    for name, opened in tour.items():
        for width in (768, 360, 320):
            opened.page.set_viewport_size({"width": width, "height": 900})
            assert opened.page.evaluate(WIDTH) <= width, name
        opened.page.set_viewport_size({"width": 1280, "height": 900})


def test_paper_is_light_open_and_without_controls(demo_report, visit, tmp_path):
    for path in (demo_report / "index.html", demo_report / "02_usage.html", app_page(demo_report)):
        opened = visit(path, width=688, dark=True, paper=True)
        assert opened.page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
        assert opened.page.locator(".top").is_hidden()
        assert opened.page.evaluate(WIDTH) <= 690, path.name
        paper = opened.page.pdf(path=str(tmp_path / "page.pdf"), format="A4")
        assert len(paper) > 10_000
        opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert opened.page.locator("details:not([open])").count() == 0
        opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert opened.page.locator("details[open]").count() == 0


def test_tables_sort_by_value_and_unknown_stays_last(demo_report, visit):
    opened = visit(demo_report / "03_data_transfer.html")
    table = opened.page.locator("table.sortable").first
    head = table.locator("thead th", has_text="Data returned")
    column = head.evaluate("h => h.cellIndex")
    values = f"t => [...t.tBodies[0].rows].map(r => r.cells[{column}].dataset.sort)"
    head.locator(".dt-column-title").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    rising = [float(v) for v in table.evaluate(values) if v]
    assert rising == sorted(rising)
    head.locator(".dt-column-order").press("Enter")
    expect(head).to_have_attribute("aria-sort", "descending")
    assert [float(v) for v in table.evaluate(values) if v] == rising[::-1]
    opened.quiet()


UNKNOWN_LAST = """() => {
  var t = document.querySelector("table.sortable"), last = t.tBodies[0].rows.length - 1;
  var c = [...t.tHead.rows[0].cells].findIndex(h => h.textContent.includes("Data returned"));
  var api = new DataTable.Api(t);
  api.row(3).node().cells[c].dataset.sort = "";
  api.rows().invalidate("dom");
  return ["asc", "desc"].map(way => {
    api.order([c, way]).draw();
    return t.tBodies[0].rows[last].cells[c].dataset.sort;
  });
}"""


def test_unknown_stays_last_in_either_direction(demo_report, visit):
    assert visit(demo_report / "03_data_transfer.html").page.evaluate(UNKNOWN_LAST) == ["", ""]


def long_table(opened):
    """The first table of a page that is long enough to be searched."""
    return opened.page.locator(".dt-container").filter(has=opened.page.locator(".dt-search")).first


def test_a_view_of_a_table_is_in_the_address_and_opens_again(demo_report, visit):
    opened = visit(demo_report / "06_permissions.html")
    box = long_table(opened)
    whole = box.locator("tbody tr").count()
    box.locator(".dt-search input").fill("Mail.Send")
    box.get_by_role("button", name="Columns").click()
    opened.page.locator(".dt-button-collection .dt-button", has_text="Privilege").first.click()
    opened.page.keyboard.press("Escape")
    found = box.locator("tbody tr").count()
    assert 0 < found < whole
    address = opened.page.evaluate("location.hash")
    assert address.startswith("#view=")
    other = visit(demo_report / "06_permissions.html")
    other.page.goto((demo_report / "06_permissions.html").resolve().as_uri() + address)
    other.page.reload()
    again = long_table(other)
    assert again.locator("tbody tr").count() == found
    assert again.locator("thead th", has_text="Privilege").count() == 0
    assert again.locator(".dt-search input").input_value() == "Mail.Send"
    opened.quiet()


def test_a_table_leaves_as_csv_that_no_spreadsheet_runs(demo_report, visit):
    opened = visit(demo_report / "06_permissions.html")
    box = long_table(opened)
    box.locator("tbody tr").first.locator("th, td").first.evaluate("cell => { cell.textContent = '=1+2'; }")
    with opened.page.expect_download() as saved:
        box.get_by_role("button", name="CSV").click()
    with Path(saved.value.path()).open(encoding="utf-8-sig", newline="") as handle:
        lines = [row for row in csv.reader(handle) if row]
    assert saved.value.suggested_filename.endswith(".csv")
    assert lines[0][0] == "App"
    assert len(lines) == 1 + box.locator("tbody tr").count()
    assert lines[1][0] == "'=1+2"


def test_every_row_is_on_paper_and_without_script(demo_report, visit):
    page = demo_report / "05_findings_and_actions.html"
    plain = visit(page, script=False)
    rows = plain.page.locator("table.sortable tbody tr").count()
    opened = visit(page)
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.page.locator("table.sortable tbody tr").count() == rows > 50


def test_the_keyboard_reaches_the_content_first(demo_report, visit):
    opened = visit(demo_report / "index.html")
    opened.page.keyboard.press("Tab")
    focused = opened.page.evaluate("document.activeElement.textContent")
    assert focused == "Skip to the content"
    assert opened.page.locator(".skip").bounding_box()["x"] >= 0
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate("document.activeElement.id") == "main"


def test_text_is_never_smaller_than_14_pixels(tour):
    smallest = """() => [...document.querySelectorAll('main *, .top *, .foot *')]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length)
        .filter(e => parseFloat(getComputedStyle(e).fontSize) < 14 && !e.closest('code, pre, .sev'))
        .map(e => e.tagName + '.' + e.className + ' ' + getComputedStyle(e).fontSize)"""
    for name, opened in tour.items():
        assert opened.page.evaluate(smallest) == [], name


def test_text_can_be_told_from_its_ground(demo_report, visit):
    from appgov_lib.theme import contrast

    colours = """() => {
        const said = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        const clear = e => getComputedStyle(e).backgroundColor === 'rgba(0, 0, 0, 0)';
        return [...document.querySelectorAll('main *')]
            .filter(e => e.getClientRects().length && !e.closest('svg') && said(e))
            .map(e => {
                let ground = e;
                while (clear(ground)) { ground = ground.parentElement; }
                return [getComputedStyle(e).color, getComputedStyle(ground).backgroundColor, e.className || e.tagName];
            });
    }"""

    def hexadecimal(rgb: str) -> str:
        return "#" + "".join(f"{int(n):02x}" for n in re.findall(r"\d+", rgb)[:3])

    for dark in (False, True):
        for path in (demo_report / "index.html", app_page(demo_report)):
            pairs = {tuple(p) for p in visit(path, dark=dark).page.evaluate(colours)}
            weak = [p for p in pairs if contrast(hexadecimal(p[0]), hexadecimal(p[1])) < 4.5]
            assert weak == [], (path.name, dark)


def test_what_a_reader_sees(demo_report, visit, tmp_path):
    """The whole page in all forms, none of them blank; the pictures stay in the test's folder."""
    forms = {"light": {}, "dark": {"dark": True}, "paper": {"paper": True, "width": 688}, "narrow": {"width": 360}}
    for name, form in forms.items():
        opened = visit(demo_report / "04_anomalies.html", **form)
        picture = opened.page.screenshot(path=str(tmp_path / f"{name}.png"), full_page=True)
        assert len(picture) > 30_000
