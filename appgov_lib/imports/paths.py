"""Which files an import reads: files, folders and patterns as the user gave them, checked before anything is loaded."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appgov_lib.errors import ConfigError

SUFFIXES = (".json", ".ndjson", ".jsonl", ".csv")
"""Endings that are picked up inside a folder, also with `.gz`; a file given by name may end in anything."""


@dataclass(frozen=True)
class InputFile:
    """One file to read."""

    path: Path
    name: str
    """Name relative to what the user gave, with forward slashes and without control characters."""


@dataclass(frozen=True)
class Skipped:
    """A file inside a given folder that was not opened."""

    name: str
    reason: str


@dataclass(frozen=True)
class Inputs:
    """What was found under the paths of one import."""

    files: tuple[InputFile, ...]
    skipped: tuple[Skipped, ...]


def collect(paths: Iterable[Path | str]) -> Inputs:
    """Find every file to read, in the order given and by name inside a folder; each file once.

    Raises `ConfigError` when a path does not exist, a pattern matches nothing, a file cannot be read, or nothing
    is left to import. Symbolic links are followed only where the user named them.
    """
    files: dict[Path, InputFile] = {}
    skipped: list[Skipped] = []
    for given in paths:
        for root, base in _expand(str(given)):
            if root.is_dir():
                found, left = _folder(root, base)
                skipped += left
            elif root.is_file():
                found = [InputFile(root, _name(root.relative_to(base)))]
            else:
                raise ConfigError(f"{_name(root)} is not a regular file; save the export to a file and import that.")
            for item in found:
                files.setdefault(item.path.resolve(), item)
    for item in files.values():
        if not os.access(item.path, os.R_OK):
            raise ConfigError(f"{_name(item.path)} may not be read; give this user the right to read it.")
    if not files:
        what = f"; the {len(skipped)} files there end in something else" if skipped else ""
        raise ConfigError(
            f"There is no log export to import{what}: a folder is searched for {', '.join(SUFFIXES)}, also with .gz."
        )
    return Inputs(tuple(files.values()), tuple(skipped))


def _expand(given: str) -> Iterator[tuple[Path, Path]]:
    """Yield `(path, folder its name is relative to)` for a path or pattern."""
    path = Path(given).expanduser()
    if os.path.lexists(path):
        if not path.exists():
            raise ConfigError(f"{_name(path)} is a symbolic link to something that does not exist.")
        yield path, path if path.is_dir() else path.parent
        return
    if not glob.has_magic(given):
        raise ConfigError(f"{_name(path)} does not exist; check the path and run the import again.")
    found = glob.iglob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    matches = sorted(Path(match) for match in found)
    if not matches:
        raise ConfigError(f"No file matches {_name(path)}; check the pattern and run the import again.")
    fixed = list(path.parts)
    while glob.has_magic(str(Path(*fixed))):
        fixed.pop()
    base = Path(*fixed) if fixed else Path()
    chosen = set(matches)
    for match in matches:
        # `**` also matches the folders themselves; their files come by the folder that was matched first.
        if not chosen.intersection(match.parents):
            yield match, base


def _folder(root: Path, base: Path) -> tuple[list[InputFile], list[Skipped]]:
    """List the files of a folder and its subfolders, by name; links and other endings are skipped and said so."""
    files: list[InputFile] = []
    skipped: list[Skipped] = []

    def refuse(error: OSError) -> None:
        """Turn a folder that cannot be listed into one sentence."""
        raise ConfigError(f"The folder {_name(Path(str(error.filename)))} cannot be read: {error.strerror}.")

    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=False):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = sorted(set(folders).difference(links))
        for name in sorted([*names, *links]):
            path = Path(folder) / name
            shown = _name(path.relative_to(base))
            if path.is_symlink():
                skipped.append(Skipped(shown, "symbolic link inside a folder"))
            elif not path.is_file():
                skipped.append(Skipped(shown, "not a regular file"))
            elif not name.lower().removesuffix(".gz").endswith(SUFFIXES):
                skipped.append(Skipped(shown, "its name does not end like a log export"))
            else:
                files.append(InputFile(path, shown))
    return files, skipped


def _name(path: Path) -> str:
    """Write a path for people: forward slashes, no control characters, valid Unicode."""
    text = os.fsencode(path.as_posix()).decode("utf-8", "replace")
    return "".join(sign if sign.isprintable() else "?" for sign in text)
