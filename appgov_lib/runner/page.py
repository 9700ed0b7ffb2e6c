"""One executed notebook to one HTML page, through nbconvert with our own template.

The page loads plotly from the report's `assets/` and nothing from anywhere else. Everything is escaped but what
our own code made into HTML: prose cells, and tables that were escaped when they were rendered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from appgov_lib import theme
from appgov_lib.lean import without_slow_grammar
from appgov_lib.runner.suite import Notebook
from appgov_lib.tables import Cell, Column, Table
from appgov_lib.templating import TEMPLATES, environment

_NOTEBOOK_LINK = re.compile(r"\]\((\w+)\.ipynb(#[^)]*)?\)")
PLOTLY_MIME = "application/vnd.plotly.v1+json"


def plotly_script() -> Path:
    """Return the one copy of plotly.js that comes with plotly."""
    import plotly

    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def figure_parts(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Split a figure's output into what the page shows: id, caption, the numbers as a table, the JSON to draw."""
    figure = bundle[PLOTLY_MIME]
    said = figure["layout"].get("meta", {}).get("appgov", {})
    columns = said.get("columns", [])
    rows = said.get("rows", [])
    numeric = [
        bool(rows) and all(row[n][:1].isdigit() or row[n] == "unknown" for row in rows) for n, _ in enumerate(columns)
    ]
    layout = {key: value for key, value in figure["layout"].items() if key != "meta"}
    return {
        "id": said.get("id", "figure"),
        "caption": said.get("caption", "Figure"),
        "table": Table(
            caption="The numbers behind this picture",
            columns=[Column(name, "number" if n and numeric[n] else "text") for n, name in enumerate(columns)],
            rows=[[Cell(text, muted=text == "unknown") for text in row] for row in rows],
        ),
        "json": {"data": figure["data"], "layout": layout},
    }


def has_figures(book: Any) -> bool:
    """Whether a notebook shows a figure: only then does its page need plotly, which is far larger than the page."""
    outputs = (output for cell in book.cells for output in cell.get("outputs", []))
    return any(PLOTLY_MIME in output.get("data", {}) for output in outputs)


@cache
def _exporter() -> Any:
    """Return the nbconvert exporter with our template, escaping everything by default."""
    with without_slow_grammar():
        from nbconvert.exporters.html import HTMLExporter
    import jinja2

    class PageExporter(HTMLExporter):
        """HTML through templates/nbconvert/appgov, in the environment of all our pages."""

        def _create_environment(self) -> jinja2.Environment:
            """Make nbconvert's environment escape, and give it what our other templates use."""
            made: jinja2.Environment = super()._create_environment()  # type: ignore[no-untyped-call]
            ours = environment()
            made.autoescape, made.undefined = True, jinja2.StrictUndefined
            made.trim_blocks = made.lstrip_blocks = True
            made.finalize = ours.finalize
            made.filters.update({k: v for k, v in ours.filters.items() if k not in made.filters})
            made.globals.update(ours.globals)
            made.globals.update(figure_parts=figure_parts, has_figures=has_figures)
            made.globals.update(plotly_mime=PLOTLY_MIME, colours=theme.exchange())
            return made

        def from_notebook_node(self, nb: Any, resources: Any = None, **more: Any) -> Any:
            """Render without HTMLExporter's last step, which parses the page and writes it anew in its own words."""
            return super(HTMLExporter, self).from_notebook_node(nb, resources, **more)

    return PageExporter(  # type: ignore[no-untyped-call]
        template_name="appgov",
        extra_template_basedirs=[str(TEMPLATES / "nbconvert")],
        extra_loaders=[jinja2.FileSystemLoader(TEMPLATES)],
        exclude_anchor_links=True,
    )


def render_page(executed: Path, notebook: Notebook, site: Mapping[str, Any]) -> str:
    """Return the page of an executed copy. `site` is the navigation and footer all pages of a report share."""
    import nbformat

    book: Any = nbformat.read(executed, as_version=4)  # type: ignore[no-untyped-call]
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = _NOTEBOOK_LINK.sub(r"](\1.html\2)", cell.source)
        for output in cell.get("outputs", []):
            # nbconvert would turn a traceback's colours into HTML; one line says enough on a page
            if output.output_type == "error":
                output.traceback = []
    resources = {"appgov": {"site": site, "notebook": notebook, "here": f"{notebook.name}.html"}}
    body, _ = _exporter().from_notebook_node(book, resources=resources)
    return str(body)
