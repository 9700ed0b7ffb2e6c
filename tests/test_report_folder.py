"""The report as a folder: complete, private, offline, the same twice, and honest about what failed."""

from __future__ import annotations

import datetime as dt
import filecmp
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from reading import Reader, pages_of

from appgov_lib import theme
from appgov_lib.errors import ConfigError, WarehouseMissing
from appgov_lib.report import build_report
from appgov_lib.report.build import _point_latest
from appgov_lib.settings import Settings

AS_OF = dt.date(2026, 11, 15)


TABLES = ("assets/tables.js", "assets/tables.css")


def test_pages_load_nothing_but_their_own_files(demo_report):
    for page in pages_of(demo_report):
        reader = Reader(page.read_text(encoding="utf-8"))
        assert set(reader.loads) <= {"data:,", "assets/plotly.min.js", *TABLES} | {f"../{name}" for name in TABLES}
        outside = [link for link in reader.links if re.match(r"[a-z]+:|//", link)]
        # an app's own page in the portal, its ids checked: nothing is asked there unless somebody follows it
        guid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        portal = (
            r"https://entra\.microsoft\.com/#view/(?:"
            rf"Microsoft_AAD_IAM/ManagedAppMenuBlade/~/Overview/objectId/{guid}/appId/{guid}"
            rf"|Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/Overview/appId/{guid})"
            r"|https://security\.microsoft\.com/(?:alerts/[A-Za-z0-9_-]+|incidents/\d+)"
        )
        assert [link for link in outside if not re.fullmatch(portal, link)] == []
        assert not outside or page.parent.name == "apps"


def test_links_lead_somewhere(demo_report):
    ids = {page: set(Reader(page.read_text(encoding="utf-8")).ids) for page in pages_of(demo_report)}
    for page in ids:
        for link in Reader(page.read_text(encoding="utf-8")).links:
            if link.startswith(("https://entra.microsoft.com/", "https://security.microsoft.com/")):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page.resolve()
            assert target.exists(), (page.name, link)
            assert not anchor or anchor in {i for p, known in ids.items() if p.resolve() == target for i in known}, link


def test_every_page_is_in_order_for_readers_of_all_kinds(demo_report):
    for page in pages_of(demo_report):
        text = page.read_text(encoding="utf-8")
        reader = Reader(text)
        assert '<html lang="en">' in text
        assert 'http-equiv="Content-Security-Policy"' in text
        levels = [int(tag[1]) for tag in reader.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), page.name
        assert reader.tags.count("table") == reader.tags.count("caption")
        assert len(set(reader.ids)) == len(reader.ids)
        assert 'class="skip" href="#main"' in text
        # "None that ..." and "None older ..." are recommendations for settings
        nothing = r"\b(nan|NaN|NaT|None(?! (that|older)\b))\b"
        assert not re.search(nothing, re.sub(r"<(script|style).*?</\1>", "", text, flags=re.S))


def test_the_folder_is_private_and_complete(demo_report):
    for path in [demo_report, *demo_report.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    run = json.loads((demo_report / "run.json").read_text())
    assert {n["name"]: n["error"] for n in run["notebooks"]} == {n["name"]: None for n in run["notebooks"]}
    assert len(run["notebooks"]) == 10
    assert run["parameters"] == {"tenant": "sample", "as_of": "2026-11-15", "days": 7}
    assert set(run["counts"]["open_findings"]) == set(theme.SEVERITIES)
    assert (demo_report / "index.html").stat().st_size < 1_500_000


@pytest.fixture
def home(tmp_path: Path, sample_home: Path) -> Settings:
    """A home of this test alone over the sample's data."""
    (tmp_path / "data").symlink_to(sample_home / "data", target_is_directory=True)
    return Settings(home=tmp_path)


def test_the_same_data_gives_the_same_bytes(home, demo_report):
    result = build_report(home, AS_OF, now=dt.datetime(2030, 1, 1))
    names = sorted(str(p.relative_to(result.path)) for p in result.path.rglob("*") if p.is_file())
    assert names == sorted(str(p.relative_to(demo_report)) for p in demo_report.rglob("*") if p.is_file())
    differing = [n for n in names if not filecmp.cmp(result.path / n, demo_report / n, shallow=False)]
    assert differing == ["run.json"]
    assert json.loads((result.path / "run.json").read_text())["written_at"] == "2030-01-01T00:00:00Z"


def test_only_one_notebook_leaves_the_other_pages(home):
    alone = build_report(home, AS_OF, only="02_usage")
    assert [p.name for p in alone.pages if p.parent == alone.path] == ["index.html", "02_usage.html", "apps.html"]
    (alone.path / "01_inventory.html").write_text("kept")
    again = build_report(home, AS_OF, only="02_usage.ipynb")
    assert (again.path / "01_inventory.html").read_text() == "kept"
    assert 'href="01_inventory.html"' in (again.path / "index.html").read_text()
    with pytest.raises(ConfigError, match="no notebook '09_none'"):
        build_report(home, AS_OF, only="09_none")


def test_a_failed_notebook_is_named_and_the_report_is_written(home, tmp_path):
    from appgov_lib.runner import Suite, load_suite

    good = load_suite().notebooks[0]
    broken = tmp_path / "02_usage.ipynb"
    book = json.loads(load_suite().notebooks[1].path.read_text())
    book["cells"][3]["source"] = ""
    code = [c for c in book["cells"] if c["cell_type"] == "code"]
    code[2]["source"] = "con.sql('FROM there_is_no_such_table')"
    broken.write_text(json.dumps(book))
    suite = Suite((replace(good), replace(load_suite().notebooks[1], path=broken)))
    result = build_report(home, AS_OF, suite=suite)
    assert result.failed == ("02_usage",)
    index = (result.path / "index.html").read_text()
    assert "stopped: CatalogException" in index
    page = (result.path / "02_usage.html").read_text()
    assert "This step stopped." in page
    assert "Traceback" not in page
    assert (result.path / "01_inventory.html").exists()
    assert json.loads((result.path / "run.json").read_text())["notebooks"][1]["error"].startswith("CatalogException")


def test_another_day_is_refused_before_anything_is_written(home):
    with pytest.raises(ConfigError, match="holds the 7 days to 2026-11-15"):
        build_report(home, dt.date(2026, 11, 8))
    assert not home.reports_dir.exists()


def test_without_a_warehouse_there_is_no_report(tmp_path):
    with pytest.raises(WarehouseMissing):
        build_report(Settings(home=tmp_path), AS_OF)


def test_latest_points_at_the_newest_day(tmp_path):
    for name in ("2026-11-08", "2026-11-15", ".2026-11-22.building"):
        (tmp_path / name).mkdir()
    _point_latest(tmp_path)
    _point_latest(tmp_path)
    assert (tmp_path / "latest").readlink() == Path("2026-11-15")


def test_where_links_are_not_allowed_a_file_names_the_newest(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    (tmp_path / "2026-11-15").mkdir()
    monkeypatch.setattr(Path, "symlink_to", refuse)
    _point_latest(tmp_path)
    assert (tmp_path / "latest.txt").read_text() == "2026-11-15\n"
