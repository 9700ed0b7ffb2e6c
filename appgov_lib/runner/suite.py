"""The suite file and the parameters of its notebooks, checked before any kernel starts.

papermill only warns about a parameter a notebook does not have and then runs with the default; a report for the
wrong tenant would be the result. So names and types are read from the `parameters` cell and compared here.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from appgov_lib.errors import ConfigError

PARAMETER_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
_TYPE_COMMENT = re.compile(r"^(\w+)\s*=.*#\s*type:\s*(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Notebook:
    """One notebook of the suite."""

    name: str
    """File name without ending, also the name of its page."""
    title: str
    """What navigation calls it."""
    question: str
    """What it answers, in one sentence."""
    path: Path
    """The source, which is only read."""
    menu: str = "Pages"
    """The part of a report's navigation it is in."""

    @property
    def parameters(self) -> dict[str, type]:
        """Names and types of the `parameters` cell; raises `ConfigError` as `defaults` does."""
        return {name: kind for name, (kind, _) in self.defaults.items()}

    @cached_property
    def defaults(self) -> dict[str, tuple[type, Any]]:
        """Names, types and values of the `parameters` cell; raises `ConfigError` where it is missing or no literals."""
        cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(c["source"]) for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
        if len(sources) != 1:
            raise ConfigError(f"Notebook {self.path} needs one cell tagged `parameters`; it has {len(sources)}.")
        named = dict(_TYPE_COMMENT.findall(sources[0]))
        found: dict[str, tuple[type, Any]] = {}
        for line in ast.parse(sources[0]).body:
            if not (isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.value, ast.Constant)):
                raise ConfigError(f"Notebook {self.path}: its `parameters` cell may hold literals only.")
            name = ast.unparse(line.targets[0])
            found[name] = PARAMETER_TYPES.get(named.get(name, ""), type(line.value.value)), line.value.value
        return found

    def check(self, given: Mapping[str, Any]) -> None:
        """Raise `ConfigError` unless `given` names each parameter of this notebook once, with a value of its type.

        A parameter that is an empty text by default may be left out.
        """
        for name in given:
            if name not in self.parameters:
                near = difflib.get_close_matches(name, self.parameters, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(self.parameters))}."
                raise ConfigError(f"Notebook {self.name} has no parameter {name!r}; {hint}")
        for name, kind in self.parameters.items():
            if name not in given and self.defaults[name][1] == "":
                continue
            if name not in given:
                raise ConfigError(f"Notebook {self.name} needs a value for its parameter {name!r}.")
            # bool is an int to Python, not to a reader
            if not isinstance(given[name], kind) or (isinstance(given[name], bool) and kind is not bool):
                raise ConfigError(
                    f"Parameter {name!r} of notebook {self.name} is {given[name]!r}; it must be {kind.__name__}."
                )


@dataclass(frozen=True)
class Suite:
    """All notebooks in reading order, and how they are run."""

    notebooks: tuple[Notebook, ...]
    workers: int = 2
    """Notebooks executed at the same time."""
    timeout_seconds: int = 300
    """For one notebook."""
    analyst: tuple[Notebook, ...] = ()
    """Notebooks that no report runs: analysts put their questions to them."""

    def chosen(self, only: str | None = None) -> tuple[Notebook, ...]:
        """Return all notebooks, or the one named `only`; raises `ConfigError` for a name that is none."""
        if only is None:
            return self.notebooks
        wanted = only.removesuffix(".ipynb")
        found = tuple(n for n in self.notebooks if n.name == wanted)
        if not found:
            names = ", ".join(n.name for n in self.notebooks)
            raise ConfigError(f"There is no notebook {only!r} in the suite; choose one of {names}.")
        return found


def notebooks_dir() -> Path:
    """Return the folder of the notebooks: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package.parent / "notebooks", package / "notebooks"):
        if (folder / "suite.toml").is_file():
            return folder
    raise ConfigError(f"The notebooks are missing beside {package}; install appgov again.")


def _notebook(folder: Path, entry: Mapping[str, str]) -> Notebook:
    """Return the notebook of one entry of the suite file."""
    path = folder / f"{entry['name']}.ipynb"
    return Notebook(entry["name"], entry["title"], entry["question"], path, entry.get("menu", Notebook.menu))


def load_suite(folder: Path | None = None) -> Suite:
    """Read `suite.toml` of `folder` (default: the notebooks shipped); raises `ConfigError` for what cannot be run."""
    folder = folder or notebooks_dir()
    file = folder / "suite.toml"
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        notebooks, analyst = (
            tuple(_notebook(folder, n) for n in listed) for listed in (content["notebook"], content.get("analyst", []))
        )
        workers, timeout = int(content.get("workers", 2)), int(content.get("timeout_seconds", 300))
        suite = Suite(notebooks, workers, timeout, analyst)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"The notebook suite {file} cannot be read ({error}); each entry needs name, title and question."
        ) from error
    for notebook in (*notebooks, *analyst):
        if not notebook.path.is_file():
            raise ConfigError(f"The notebook suite {file} names {notebook.name}, but {notebook.path} does not exist.")
    return suite
