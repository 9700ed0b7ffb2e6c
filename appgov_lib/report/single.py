"""The report as one file to mail: the summary and the pages of the worst apps, with scripts and styles inside.

Parts of pages are put together as they are; their anchors get a prefix, and links to files that are not in it become
text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from appgov_lib.report.assets import table_script, table_style
from appgov_lib.report.facts import Facts
from appgov_lib.report.pages import Site, app_contexts, index_context
from appgov_lib.runner import Notebook, NotebookResult
from appgov_lib.templating import asset, hash_of, render

MOST_APPS = 25
"""App pages inside; more would not go through many mail gateways."""
_ANCHOR = re.compile(r'\b(id|for|aria-labelledby|aria-describedby)="')
_INSIDE = re.compile(r'href="#')
_INNER = re.compile(r'href="#(app-[\w-]+)#([\w-]+)"')
_ELSEWHERE = re.compile(r'href="#findings#[\w-]+"')
_LINK = re.compile(r'<a (?:class="[^"]*" )?href="(?!#|https://)[^"]*"[^>]*>(.*?)</a>', re.DOTALL)


def single_page(facts: Facts, site: Site, notebooks: Sequence[Notebook], results: Sequence[NotebookResult]) -> str:
    """Return the whole file."""
    apps = dict(list(app_contexts(facts, site).items())[:MOST_APPS])
    frame = index_context(facts, site, notebooks, results)
    places = {context["service_principal_id"]: f"#{_prefix(name)}" for name, context in apps.items()}
    frame["app_href"] = {sp: places.get(sp, "#findings") for sp in frame["app_href"]}
    parts = {"summary": _ELSEWHERE.sub('href="#findings"', _main("summary.html.j2", frame))}
    for name, context in apps.items():
        prefix = _prefix(name)
        text = _INSIDE.sub(f'href="#{prefix}-', _ANCHOR.sub(rf'\1="{prefix}-', _main("app.html.j2", context)))
        parts[prefix] = text.replace('href="../index.html"', 'href="#main"')
    scripts = [asset("page.js"), table_script(), asset("tables.js")]
    styles = [table_style(), asset("report.css")]
    parts = {name: _INNER.sub(r'href="#\1-\2"', text) for name, text in parts.items()}
    return render(
        "single.html.j2",
        site=site,
        policy=_policy(scripts, styles),
        scripts=scripts,
        styles=styles,
        parts={name: _LINK.sub(r"\1", text) for name, text in parts.items()},
    )


def _prefix(name: str) -> str:
    """Return the anchor of an app page inside the file."""
    return "app-" + re.sub(r"[^A-Za-z0-9]+", "-", name.removesuffix(".html"))


def _main(template: str, context: Mapping[str, Any]) -> str:
    """Return what a page says, without its frame."""
    return render(template, **context, bare=True)


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return the content policy of a file that has everything inside."""
    allowed = " ".join(map(hash_of, scripts)), " ".join(map(hash_of, styles))
    return (
        f"default-src 'none'; script-src {allowed[0]}; style-src {allowed[1]}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
