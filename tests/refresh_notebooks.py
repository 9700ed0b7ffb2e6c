"""Run the notebooks on the sample tenant and store what their check cells print; every other output is removed.

    APPGOV_HOME=<folder with the built sample tenant> python tests/refresh_notebooks.py

Needed when the sample, a model or a policy changes a total on purpose. Read the difference before keeping it.
"""

from __future__ import annotations

from typing import Any

import nbformat
from nbclient import NotebookClient

from appgov_lib.runner import load_suite
from appgov_lib.runner.engine import OwnKernelManager
from appgov_lib.runner.run import kernel_environment
from appgov_lib.settings import Settings


def stripped(book: Any) -> Any:
    """The executed notebook with the outputs of check cells only, and nothing that differs between two runs."""
    for number, cell in enumerate(book.cells):
        cell.metadata.pop("execution", None)
        cell.id = f"cell-{number:02d}"
        if cell.cell_type == "code" and "keep_output" not in cell.metadata.get("tags", []):
            cell.outputs = []
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return book


def main() -> None:
    """Refresh every notebook of the suite in place."""
    environment = kernel_environment(Settings.load(tenant="sample"))
    suite = load_suite()
    for notebook in (*suite.notebooks, *suite.analyst):
        book = nbformat.read(notebook.path, as_version=4)
        NotebookClient(book, kernel_manager_class=OwnKernelManager, timeout=120).execute(env=environment)
        text = nbformat.writes(stripped(book), indent=1, ensure_ascii=False)
        notebook.path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
        print(f"{notebook.name}: refreshed")


if __name__ == "__main__":
    main()
