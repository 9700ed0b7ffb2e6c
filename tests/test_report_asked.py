"""Pages of apps that somebody asked for: of every app, a few hundred at a time, or of one."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from pathlib import Path

import pytest
from reading import Reader

import appgov_lib
from appgov_lib.errors import ConfigError
from appgov_lib.report import Asked, asked, build_report
from appgov_lib.report.facts import Facts, gather
from appgov_lib.report.pages import app_contexts, app_page_name, app_pages, site_of
from appgov_lib.settings import Settings

AS_OF = dt.date(2026, 11, 15)
MOST_SECONDS = 0.25
"""Of the processor, for one page."""

pytestmark = pytest.mark.timeout(300)  # on a busy machine


@pytest.fixture(scope="module")
def con(sample_home):
    """The sample's warehouse."""
    found = appgov_lib.connect("sample", home=sample_home)
    yield found
    found.close()


@pytest.fixture(scope="module")
def facts(con) -> Facts:
    """What the report of the sample shows."""
    return gather(con, AS_OF, 7)


def test_every_app_of_some_hundred_gets_a_page_in_little_time(con, facts, monkeypatch):
    monkeypatch.setattr(asked, "TOGETHER", 150)  # so that there are several parts
    site = site_of(facts, [])
    wanted = asked.pages_asked(facts, Asked(every=True))
    began = time.process_time()
    pages = dict(wanted.written(con, facts, site))
    seconds = time.process_time() - began
    with_finding = app_contexts(facts, site)
    assert len(pages) > 300
    assert set(pages).isdisjoint(with_finding)
    named = {app_page_name(app["app_id"], app["service_principal_id"]) for app in facts.apps}
    assert named <= set(pages) | set(with_finding)
    assert seconds / len(pages) < MOST_SECONDS, f"{seconds / len(pages):.3f} s a page"
    names = {app["service_principal_id"]: app["display_name"] for app in facts.apps}
    for service_principal, name in list(wanted.names.items())[:40]:
        reader = Reader(pages[name])
        assert service_principal in pages[name]
        assert "No finding is open." in pages[name]
        assert {"findings", "granted", "used", "consented", "owned", "score"} <= set(reader.ids)
        assert not reader.loads or all(load.startswith(("../assets/", "data:,")) for load in reader.loads)
        assert (names[service_principal] or "")[:5].replace("<", "&lt;") in pages[name]


def test_a_page_is_the_same_in_whatever_part_it_is_read(con, facts, monkeypatch):
    site = site_of(facts, [])
    chosen = tuple(app["app_id"] for app in facts.apps if app["app_id"])[60:66]
    found = []
    for together in (1, 400):
        monkeypatch.setattr(asked, "TOGETHER", together)
        found.append(dict(asked.pages_asked(facts, Asked(chosen)).written(con, facts, site)))
    assert found[0] == found[1]


def test_an_app_with_a_finding_keeps_its_page(con, facts):
    risky = facts.findings[0]["app_id"]
    pages = asked.pages_asked(facts, Asked((risky,)))
    assert pages.names == {}
    assert app_pages(facts, site_of(facts, []))


def test_an_id_that_no_app_has_is_told(facts):
    with pytest.raises(ConfigError, match="There is no app 'x'"):
        asked.pages_asked(facts, Asked(("x",)))


def test_the_page_asked_for_is_in_the_report_and_linked(tmp_path, sample_home, facts):
    shutil.copytree(sample_home / "data" / "sample" / "warehouse", tmp_path / "data" / "sample" / "warehouse")
    with_finding = {finding["service_principal_id"] for finding in facts.findings}
    calm = next(app for app in facts.apps if app["service_principal_id"] not in with_finding and app["is_in_scope"])
    built = build_report(
        Settings.load("sample", tmp_path, env={}),
        AS_OF,
        only="08_changes",
        asked=Asked((calm["service_principal_id"].upper(),)),
    )
    page = built.path / "apps" / f"{calm['app_id']}.html"
    assert page in built.pages
    assert f"apps/{calm['app_id']}.html" in (built.path / "apps.html").read_text(encoding="utf-8")
    assert len(list((built.path / "apps").iterdir())) == len(app_contexts(facts, site_of(facts, []))) + 1
    assert isinstance(page, Path)
