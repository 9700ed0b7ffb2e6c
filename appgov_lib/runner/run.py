"""Executing notebooks with papermill, several at once, each in its own kernel and within its time.

The executed copy is the record of a run, so it is kept also when a cell failed, and it holds nothing that differs
between two runs over the same data (no clock times, no random cell ids).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from appgov_lib import formats
from appgov_lib.errors import NotebookFailed
from appgov_lib.lean import without_slow_grammar
from appgov_lib.profiles import load_profiles
from appgov_lib.runner.suite import Notebook
from appgov_lib.settings import Settings, private_dir, private_write

ENGINE = "appgov"
START_SECONDS = 60
# Notebooks read a local file; no credential is any use to them.
_SECRETS = ("AZURE_", "APPGOV_ACCESS_TOKEN", "MSI_", "IDENTITY_")


@dataclass(frozen=True)
class NotebookResult:
    """How one notebook ended."""

    name: str
    path: Path
    """The executed copy."""
    error: str = ""
    """Kind and message of what stopped it, one line; empty when it ran to its end."""
    seconds: float = 0.0
    """Wall time, kernel start included."""

    @property
    def failed(self) -> bool:
        """Whether it stopped before its end."""
        return bool(self.error)


def kernel_environment(settings: Settings, home: Path | None = None) -> dict[str, str]:
    """Return the environment of a kernel: this installation, this tenant, no secrets.

    `home` is where the notebooks find the warehouse, if not in the home folder of `settings`.
    """
    named = load_profiles(settings.home).secret_names
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_SECRETS) and k not in named}
    package_root = str(Path(__file__).resolve().parents[2])
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    # Without byte code every kernel would compile plotly and pandas anew.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {
        "APPGOV_HOME": str(home or settings.home),
        "APPGOV_TENANT": settings.tenant,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",
    }


def execute(
    settings: Settings,
    notebooks: Sequence[Notebook],
    parameters: Mapping[str, Any],
    folder: Path,
    *,
    workers: int = 2,
    timeout_seconds: float = 300,
    progress: Callable[[str], None] | None = None,
    home: Path | None = None,
) -> list[NotebookResult]:
    """Execute `notebooks` with `parameters`, leaving executed copies in `folder`; results are in the given order.
    They read the warehouse in `home`, if not that of `settings`.

    A notebook that fails or takes longer than `timeout_seconds` does not keep the others from running. Raises
    `ConfigError` before any kernel starts when a parameter is unknown, missing or of the wrong type.
    """
    for notebook in notebooks:
        notebook.check(parameters)
    _papermill()
    private_dir(folder)
    say = progress or (lambda _: None)

    def one(notebook: Notebook) -> NotebookResult:
        """Execute one notebook and say how it ended."""
        result = _execute_one(notebook, dict(parameters), folder, kernel_environment(settings, home), timeout_seconds)
        say(f"{notebook.name}: {f'failed, {result.error}' if result.failed else f'done in {result.seconds:.1f} s'}")
        return result

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        return list(pool.map(one, notebooks))


def raise_if_failed(results: Sequence[NotebookResult]) -> None:
    """Raise `NotebookFailed`, naming every failed notebook, its error and its executed copy."""
    failed = [r for r in results if r.failed]
    if failed:
        said = "; ".join(f"{r.name} ({r.error}), see {r.path}" for r in failed)
        raise NotebookFailed(f"{len(failed)} of {len(results)} notebooks stopped with an error: {said}.")


def _execute_one(
    notebook: Notebook, parameters: dict[str, Any], folder: Path, environment: dict[str, str], timeout_seconds: float
) -> NotebookResult:
    """Execute one notebook; what goes wrong inside it becomes the result's error."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    papermill = _papermill()
    output = folder / f"{notebook.name}.ipynb"
    began, error = time.perf_counter(), ""
    try:
        papermill.execute_notebook(
            str(notebook.path),
            str(output),
            parameters=parameters,
            engine_name=ENGINE,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=START_SECONDS,
            # passed on to the engine below
            kernel_environment=environment,
            notebook_seconds=timeout_seconds,
        )
    except papermill.PapermillExecutionError as stopped:
        error = formats.plain(f"{stopped.ename}: {stopped.evalue}", 300)
    except CellTimeoutError:
        error = f"TimeoutError: it took longer than {timeout_seconds:g} seconds"
    except (DeadKernelError, RuntimeError) as stopped:
        error = formats.plain(f"its kernel ended: {stopped}", 300)
    _tidy(output, notebook)
    return NotebookResult(notebook.name, output, error, time.perf_counter() - began)


def _tidy(output: Path, notebook: Notebook) -> None:
    """Take times, paths and random ids out of an executed copy, and papermill's error banners out of its cells."""
    import nbformat

    book: Any = nbformat.read(output if output.exists() else notebook.path, as_version=4)  # type: ignore[no-untyped-call]
    book.cells = [c for c in book.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])]
    for number, cell in enumerate(book.cells):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = f"injected-parameters-{number}"
    kept = book.metadata.pop("papermill", {})
    book.metadata["appgov"] = {"parameters": kept.get("parameters", {}), "source": notebook.path.name}
    private_write(output, nbformat.writes(book).encode("utf-8"))  # type: ignore[no-untyped-call]


@cache
def _papermill() -> Any:
    """Import papermill once, with our engine registered."""
    with without_slow_grammar():
        import papermill
        from papermill.engines import papermill_engines

        from appgov_lib.runner.engine import KernelEngine

    papermill_engines.register(ENGINE, KernelEngine)
    return papermill
