"""Scripts and styles of others that a report carries along, each once: plotly.js and the tables of DataTables.

Both come inside Python packages, so nothing is fetched from a network, neither now nor by a reader's browser.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from appgov_lib.errors import UserError
from appgov_lib.runner.page import plotly_script
from appgov_lib.settings import private_dir, private_write

_EXPORTS = re.compile(r"\bexport\s*\{([^}]*)\};?")


def write_assets(folder: Path) -> None:
    """Write plotly.js and the tables' script and style into `assets/` of a report."""
    place = private_dir(folder / "assets")
    private_write(place / "plotly.min.js", plotly_script().read_bytes())
    private_write(place / "tables.js", table_script().encode())
    private_write(place / "tables.css", table_style().encode())


def table_script() -> str:
    """Return the DataTables bundle of itables as a plain script that leaves `DataTable` behind.

    It is a module there, and browsers refuse to load modules from disk. Raises `UserError` when the bundle has
    another form than the one known.
    """
    text = _bundled("dt_bundle.js")
    named = _EXPORTS.search(text)
    found = re.search(r"([\w$]+) as default\b", named[1]) if named else None
    if named is None or found is None:
        raise UserError("The tables' script of the installed itables has an unknown form; install the locked version.")
    body = text[: named.start()] + f"window.DataTable={found[1]};" + text[named.end() :]
    return "(function () {" + body + "\n})();\n"


def table_style() -> str:
    """Return the style sheet that goes with it."""
    return _bundled("dt_bundle.css")


def _bundled(name: str) -> str:
    """Return a file of the itables package."""
    return resources.files("itables").joinpath("html", name).read_text(encoding="utf-8")
