"""The one Jinja environment: everything escaped, style and script inlined under a strict content policy.

Pages open from disk and may be mailed one by one, so each carries its own style. The policy names that style and
the page script by hash and allows nothing else: no network, no other script, no form, no frame.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from appgov_lib import formats

TEMPLATES = Path(__file__).parent / "templates"
# Written as escapes: a page's JSON can then neither end its own script element nor start a comment.
_JSON_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


@cache
def asset(name: str) -> str:
    """Return the text of a style sheet or script that lies beside the templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    """Return the content-policy source expression for an inline `text`."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def policy_of(charts: bool = False) -> str:
    """Return the content policy of a page: its own script, those in `assets/`; with `charts`, plotly may style.

    `file:` stands beside 'self' because browsers differ on whether a page on disk is its own origin.
    """
    script = f"'self' file: {hash_of(asset('page.js'))} {hash_of(asset('tables.js'))}"
    style = f"'self' file: {hash_of(asset('report.css'))}"
    if charts:
        script += f" {hash_of(asset('charts.js'))}"
        style = "'self' file: 'unsafe-inline'"
    return (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def json_script(value: object) -> Markup:
    """Return `value` as JSON that is inert inside a script element of type application/json."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_JSON_ESCAPES))  # noqa: S704 - every character that could end the element is escaped


def menus_of(links: Sequence[Mapping[str, str]]) -> dict[str, list[Mapping[str, str]]]:
    """Return the links of the navigation by the menu they are in, menus in the order of their first link."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for link in links:
        found.setdefault(link.get("menu", "Pages"), []).append(link)
    return found


def shown(value: object) -> object:
    """Return what a template writes for a value: texts with every invisible character made visible."""
    return formats.visible(value) if type(value) is str else value


@cache
def environment() -> jinja2.Environment:
    """Return the environment of all pages: autoescape for every file ending, undefined names are errors."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        number=formats.number,
        users=formats.users,
        size=formats.size,
        exact_size=formats.exact_size,
        day=formats.day,
        long_day=formats.long_day,
        moment=formats.moment,
        joined=formats.joined,
        plain=formats.plain,
        json_script=json_script,
        # only for text that was escaped already, or that came with the package
        ours=Markup,
    )
    made.globals.update(
        count=formats.count, change=formats.change, arrow=formats.arrow, measure=formats.measure, policy_of=policy_of
    )
    made.globals["menus_of"] = menus_of
    # Style and script are ours, and escaping would change the bytes the policy's hashes speak of.
    made.globals["asset"] = lambda name: Markup(asset(name))  # noqa: S704
    return made


def render(template: str, **context: Any) -> str:
    """Render a template by name; a missing value is an error, not an empty place."""
    return environment().get_template(template).render(**context)
