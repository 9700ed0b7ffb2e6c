"""The report's other forms: one file to mail, Markdown for a ticket, PDF, and the tables as one workbook."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import duckdb
import pytest

from appgov_lib.report.facts import gather
from appgov_lib.report.pages import app_contexts, site_of
from appgov_lib.report.pdf import print_pdf
from appgov_lib.report.single import MOST_APPS, single_page
from appgov_lib.report.ticket import ticket
from appgov_lib.runner import load_suite
from appgov_lib.sample import AS_OF
from appgov_lib.store.warehouse import connect
from appgov_lib.workbook import SHEETS, write_workbook

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture(scope="module")
def con(sample_home: Path) -> Any:
    """The sample's warehouse."""
    opened = connect("sample", sample_home)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def facts(con: duckdb.DuckDBPyConnection) -> Any:
    """What the report shows of the sample."""
    return gather(con, AS_OF, 7)


@pytest.fixture(scope="module")
def single(facts: Any) -> str:
    """The report in one file."""
    notebooks = load_suite().notebooks
    return single_page(facts, site_of(facts, notebooks), notebooks, [])


def test_one_file_holds_the_summary_and_the_worst_apps(single: str, facts: Any) -> None:
    names = [context["name"] for context in app_contexts(facts, site_of(facts, [])).values()][:MOST_APPS]
    assert len(names) > 10
    assert single.count('class="part"') == len(names) + 1
    assert len(single) < 3_000_000


def test_its_anchors_are_unique_and_every_link_inside_has_its_place(single: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', re.sub(r"<script>.*?</script>", "", single, flags=re.DOTALL))
    assert len(ids) == len(set(ids)) > 50
    links = set(re.findall(r'href="([^"]*)"', re.sub(r"<script>.*?</script>", "", single, flags=re.DOTALL)))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert [link for link in links if not link.startswith(("#", "https://", "data:"))] == []


def test_a_ticket_says_what_stands_and_what_to_do(facts: Any) -> None:
    text = ticket(facts)
    assert text.startswith("# App governance, Northwind Sample, 9 to 15 November 2026\n")
    for part in ("Coverage: ", "| critical | 1 |", "## Top risks", "## Now", "## Next", "## Later", "## Not checked"):
        assert part in text
    assert text.index("Legacy Invoice Archiver") < text.index("## Now")
    assert text.count("- [ ] ") >= 8


def test_no_name_makes_a_link_an_image_or_a_mention_in_a_ticket(facts: Any) -> None:
    name = "![x](http://evil.example) @team #1 <b>|`y` www.evil.example\n## heading"
    hostile = [{**facts.findings[0], "display_name": name}]
    some = SimpleNamespace(**{**vars(facts), "findings": hostile, "is_tenant": facts.is_tenant})
    (line,) = [line for line in ticket(some).splitlines() if line.startswith("1. ")]
    assert "\\!\\[x\\](http\\://evil.example) \\@team \\#1 \\<b\\>\\|\\`y\\` www\\.evil.example \\#\\# heading" in line


def texts(path: Path) -> dict[str, list[str]]:
    """Names of the sheets, and all texts of the first."""
    with zipfile.ZipFile(path) as archive:
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        first = archive.read("xl/worksheets/sheet1.xml").decode()
    names = [sheet.attrib["name"] for sheet in book.iter(f"{SHEET}sheet")]
    words = [text.text or "" for text in ElementTree.fromstring(first).iter(f"{SHEET}t")]
    return {"names": names, "words": words, "first": [first]}


def test_the_workbook_has_a_sheet_a_topic_with_frozen_heads_and_filters(con: Any, tmp_path: Path) -> None:
    for copy in ("a.xlsx", "b.xlsx"):
        write_workbook(con, tmp_path / copy)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    found = texts(tmp_path / "a.xlsx")
    assert found["names"] == list(SHEETS)
    assert "Legacy Invoice Archiver" in found["words"]
    assert 'state="frozen"' in found["first"][0]
    assert "<autoFilter" in found["first"][0]
    assert "<f>" not in found["first"][0]


def test_a_pdf_is_printed_where_a_browser_is(
    demo_report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("chromium"):
        assert print_pdf(demo_report / "index.html", tmp_path / "summary.pdf") == ""
        assert (tmp_path / "summary.pdf").read_bytes().startswith(b"%PDF-")
    monkeypatch.setenv("PATH", str(tmp_path))
    said = print_pdf(demo_report / "index.html", tmp_path / "other.pdf")
    assert said == "No PDF was written: there is no Chromium, Chrome or Edge on this machine."
    fake = tmp_path / "chromium"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    assert print_pdf(demo_report / "index.html", tmp_path / "other.pdf") == "No PDF was written: chromium ended with 3."
