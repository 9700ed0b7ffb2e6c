"""The suite: parameters refused before a kernel starts, failures told apart, pages that need nothing from outside."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from appgov_lib.errors import ConfigError, NotebookFailed
from appgov_lib.runner import Notebook, execute, load_suite, raise_if_failed, render_page
from appgov_lib.runner.run import kernel_environment
from appgov_lib.runner.suite import notebooks_dir
from appgov_lib.settings import Settings

PARAMETERS = 'tenant = "sample"  # type: str\nas_of = "2026-11-15"  # type: str\ndays = 7  # type: int'
GIVEN = {"tenant": "other", "as_of": "2026-11-08", "days": 28}
SITE = {"tenant": "Northwind", "period": "9 to 15 November 2026", "made": "", "links": []}

Make = Callable[..., Notebook]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a notebook of these code cells behind a parameters cell, as one of a suite."""

    def write(name: str, *cells: str, parameters: str | None = PARAMETERS) -> Notebook:
        book = new_notebook(cells=[new_markdown_cell(f"# {name}")])
        if parameters is not None:
            book.cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        book.cells += [new_code_cell(cell) for cell in cells]
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(book, path)
        return Notebook(name, name.title(), "What?", path)

    return write


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home of this test alone."""
    return Settings(home=tmp_path, tenant="other")


# Parameters


def test_names_and_types_are_read_from_the_cell(make):
    cell = 'tenant = "sample"\nshare = 0.5\nsince = ""  # type: str\nfull = False  # type: bool'
    assert make("a", parameters=cell).parameters == {"tenant": str, "share": float, "since": str, "full": bool}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**GIVEN, "as_off": "x"}, "no parameter 'as_off'; did you mean 'as_of'?"),
        ({**GIVEN, "zzz": 1}, "no parameter 'zzz'; it has as_of, days, tenant"),
        ({"tenant": "x", "days": 7}, "needs a value for its parameter 'as_of'"),
        ({**GIVEN, "days": "7"}, "'days' of notebook a is '7'; it must be int"),
        ({**GIVEN, "days": True}, "it must be int"),
        ({**GIVEN, "tenant": None}, "it must be str"),
    ],
)
def test_a_wrong_parameter_is_refused_before_any_kernel_starts(make, settings, given, said, monkeypatch):
    monkeypatch.setattr("appgov_lib.runner.run._execute_one", lambda *_: pytest.fail("a kernel was started"))
    with pytest.raises(ConfigError, match=re.escape(said)):
        execute(settings, [make("a")], given, settings.home / "out")
    assert not (settings.home / "out").exists()


@pytest.mark.parametrize("cell", ["days = 3 + 4", "import os", "a = b = 1", "days = [7]"])
def test_parameters_are_literals(make, cell):
    with pytest.raises(ConfigError, match="literals only"):
        _ = make("a", parameters=cell).parameters


def test_a_notebook_without_parameters_cell_is_refused(make):
    with pytest.raises(ConfigError, match="one cell tagged `parameters`; it has 0"):
        _ = make("a", parameters=None).parameters


def test_only_a_parameter_that_is_empty_by_default_may_be_left_out(make):
    notebook = make("a", parameters='tenant = "sample"  # type: str\nsince = ""  # type: str')
    notebook.check({"tenant": "x"})
    notebook.check({"tenant": "x", "since": "2026-11-01"})
    with pytest.raises(ConfigError, match="must be str"):
        notebook.check({"tenant": "x", "since": 3})
    with pytest.raises(ConfigError, match="needs a value for its parameter 'tenant'"):
        notebook.check({"since": ""})


# The suite file


def test_the_shipped_suite_is_whole():
    suite = load_suite()
    names = [notebook.name for notebook in suite.notebooks]
    assert names == sorted(names)
    assert len(names) == 10
    # the backtest builds a warehouse for each week: it is run by hand
    assert sorted(p.stem for p in notebooks_dir().glob("*.ipynb")) == sorted(
        [*names, "00_start", "09_backtest", "12_app_deep_dive", "13_hunt"]
    )
    common = {"tenant": str, "as_of": str, "days": int}
    own = {n.name: {k: v for k, v in n.parameters.items() if k not in common} for n in suite.notebooks}
    assert {name: more for name, more in own.items() if more} == {"08_changes": {"since": str}}
    assert all(common.items() <= n.parameters.items() for n in suite.notebooks)
    assert suite.chosen("02_usage") == suite.chosen("02_usage.ipynb") == (suite.notebooks[1],)


def test_a_notebook_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="no notebook '02_usge' in the suite; choose one of 01_inventory"):
        load_suite().chosen("02_usge")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("notebook = 3", "cannot be read"),
        ("[[notebook]]\nname = 'a'", "needs name, title and question"),
        ("[[notebook]]\nname = 'a'\ntitle = 'A'\nquestion = 'Q'", "does not exist"),
        ("not toml", "cannot be read"),
    ],
)
def test_a_broken_suite_is_a_user_error(tmp_path, content, said):
    if content is not None:
        (tmp_path / "suite.toml").write_text(content)
    with pytest.raises(ConfigError, match=said):
        load_suite(tmp_path)


def test_installed_notebooks_are_found_inside_the_package(tmp_path, monkeypatch):
    package = tmp_path / "appgov_lib"
    (package / "runner").mkdir(parents=True)
    (package / "notebooks").mkdir()
    (package / "notebooks" / "suite.toml").touch()
    monkeypatch.setattr("appgov_lib.runner.suite.__file__", str(package / "runner" / "suite.py"))
    assert notebooks_dir() == package / "notebooks"


# Execution


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Three notebooks run together: one good, one that fails, one that takes too long."""
    home = tmp_path_factory.mktemp("ran")
    cells = {
        "good": [
            "import os",
            "print(tenant, as_of, days, os.environ['APPGOV_TENANT'], 'AZURE_CLIENT_SECRET' in os.environ)",
        ],
        "bad": ["print('before')", "1 / 0", "print('never')"],
        "slow": ["print('before')", "import time\ntime.sleep(50)"],
    }
    notebooks = []
    for name, sources in cells.items():
        book = new_notebook(cells=[new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})])
        book.cells += [new_code_cell(source) for source in sources]
        nbformat.write(book, home / f"{name}.ipynb")
        notebooks.append(Notebook(name, name, "What?", home / f"{name}.ipynb"))
    os.environ["AZURE_CLIENT_SECRET"] = "not for notebooks"
    said: list[str] = []
    try:
        results = execute(
            Settings(home=home, tenant="other"),
            notebooks,
            GIVEN,
            home / "executed",
            workers=3,
            timeout_seconds=6,
            progress=said.append,
        )
    finally:
        del os.environ["AZURE_CLIENT_SECRET"]
    return {"home": home, "said": said, "notebooks": notebooks, "results": results}


def outputs(path: Path) -> str:
    """Everything an executed copy printed."""
    book = nbformat.read(path, as_version=4)
    return "".join(o.get("text", "") for c in book.cells for o in c.get("outputs", []))


def test_one_failing_notebook_does_not_hide_the_others(ran):
    good, bad, slow = ran["results"]
    assert [r.failed for r in ran["results"]] == [False, True, True]
    assert outputs(good.path) == "other 2026-11-08 28 other False\n"
    assert bad.error == "ZeroDivisionError: division by zero"
    assert slow.error == "TimeoutError: it took longer than 6 seconds"
    assert sorted(line.split(":")[0] for line in ran["said"]) == ["bad", "good", "slow"]
    assert slow.seconds < 15


def test_executed_copies_show_where_it_stopped(ran):
    _, bad, slow = ran["results"]
    assert outputs(bad.path) == "before\n"
    assert outputs(slow.path) == "before\n"
    errors = [
        o.ename for c in nbformat.read(bad.path, as_version=4).cells for o in c.get("outputs", []) if "ename" in o
    ]
    assert errors == ["ZeroDivisionError"]


def test_all_failures_are_named_at_the_end(ran):
    raise_if_failed(ran["results"][:1])
    with pytest.raises(NotebookFailed) as caught:
        raise_if_failed(ran["results"])
    text = str(caught.value)
    assert text.startswith("2 of 3 notebooks stopped with an error: bad (ZeroDivisionError: division by zero), see ")
    assert str(ran["results"][2].path) in text


def test_executed_copies_hold_no_times_and_are_private(ran):
    for result in ran["results"]:
        text = result.path.read_text()
        assert not re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text)
        assert "papermill" not in json.loads(text)["metadata"]
        assert "injected-parameters-1" in text
        assert result.path.stat().st_mode & 0o077 == 0
        assert str(ran["home"]) not in json.dumps(json.loads(text)["metadata"])


def test_sources_are_only_read(ran):
    for notebook in ran["notebooks"]:
        assert "other" not in notebook.path.read_text()


def test_kernels_get_home_and_tenant_and_no_secrets(settings, monkeypatch):
    for name in ("APPGOV_ACCESS_TOKEN", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, "x")
    environment = kernel_environment(settings)
    assert environment["APPGOV_HOME"] == str(settings.home)
    assert environment["APPGOV_TENANT"] == "other"
    assert not [
        n for n in environment if n.startswith("AZURE_") or n in ("APPGOV_ACCESS_TOKEN", "PYTHONDONTWRITEBYTECODE")
    ]


# Pages


def page_of(tmp_path: Path, *cells: Any) -> str:
    """The page of an executed copy with these cells."""
    path = tmp_path / "a.ipynb"
    nbformat.write(new_notebook(cells=list(cells)), path)
    return render_page(path, Notebook("a", "Title of A", "What?", path), SITE)


def ran_cell(*produced: Any, tags: tuple[str, ...] = ()) -> Any:
    """An executed code cell."""
    return new_code_cell("secret_code()", outputs=list(produced), execution_count=1, metadata={"tags": list(tags)})


def test_a_page_shows_prose_and_output_but_no_code(tmp_path):
    page = page_of(
        tmp_path,
        new_markdown_cell("# Usage\n\nSee [next](02_usage.ipynb)."),
        ran_cell(new_output("stream", text="7\n")),
    )
    assert "<h1>Usage</h1>" in page.replace(' id="Usage"', "")
    assert 'href="02_usage.html"' in page
    assert '<pre tabindex="0">7\n</pre>' in page
    assert "secret_code" not in page
    assert "<title>Title of A - Northwind</title>" in page


def test_a_page_asks_nobody_for_anything(tmp_path):
    figure = {"data": [{"type": "bar"}], "layout": {}}
    drawn = ran_cell(new_output("display_data", {"application/vnd.plotly.v1+json": figure}))
    for cell, more in ((new_markdown_cell("# Usage"), []), (drawn, ["assets/plotly.min.js"])):
        page = page_of(tmp_path, cell)
        outside = re.findall(r'(?:src|href)="([^"#]*)"', re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL))
        assert outside == ["data:,", "assets/tables.css", "assets/tables.js", *more, "index.html"]
    assert not re.search(r"https?://|requirejs|mathjax|mermaid", page, re.IGNORECASE)


def test_a_hostile_output_is_inert(tmp_path):
    hostile = "</pre></script><script>alert(1)</script>"
    figure = {"data": [{"type": "bar", "text": [hostile]}], "layout": {}}
    figure["layout"] = {"meta": {"appgov": {"id": "x", "caption": hostile, "columns": [hostile], "rows": [[hostile]]}}}
    page = page_of(
        tmp_path,
        ran_cell(new_output("stream", text=hostile)),
        ran_cell(new_output("display_data", {"application/vnd.plotly.v1+json": figure})),
        ran_cell(new_output("display_data", {"text/plain": hostile})),
        ran_cell(new_output("display_data", {"text/markdown": hostile, "application/javascript": "alert(2)"})),
        ran_cell(new_output("error", ename=hostile, evalue=hostile, traceback=[hostile])),
        ran_cell(new_output("stream", name="stderr", text="warning: /srv/somebody")),
    )
    assert "alert(2)" not in page
    assert "/srv/somebody" not in page
    assert page.count("<script>alert") == 0
    assert page.count("</script>") == page.count("<script")


def test_a_figure_has_caption_json_and_its_numbers(tmp_path):
    said = {
        "id": "fig",
        "caption": "7 more.",
        "columns": ["Day", "Calls"],
        "rows": [["2026-11-15", "1,234"], ["2026-11-16", "unknown"]],
    }
    figure = {"data": [{"type": "bar", "y": [1]}], "layout": {"meta": {"appgov": said}}}
    page = page_of(tmp_path, ran_cell(new_output("display_data", {"application/vnd.plotly.v1+json": figure})))
    assert '<figure id="fig">' in page
    assert "<figcaption>7 more.</figcaption>" in page
    assert (
        '<script type="application/json" class="figure">{"data":[{"type":"bar","y":[1]}],"layout":{}}</script>' in page
    )
    assert '<td class="num">1,234</td>' in page
    assert "<noscript>" in page


def test_a_failed_step_is_one_plain_sentence(tmp_path):
    page = page_of(tmp_path, ran_cell(new_output("error", ename="KeyError", evalue="'x'", traceback=["Traceback ..."])))
    assert "This step stopped." in page
    assert "KeyError" in page
    assert "Traceback" not in page
