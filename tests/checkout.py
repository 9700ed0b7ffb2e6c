"""The files of this checkout, for tests that read the code instead of running it."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@cache
def tracked() -> tuple[str, ...]:
    """Every file that is or would be committed, relative to the top; nothing that .gitignore keeps out."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout, so what is committed cannot be told")
    return tuple(sorted(name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()))


def files(pattern: str) -> list[str]:
    """Tracked files whose path matches the regular expression."""
    return [name for name in tracked() if re.fullmatch(pattern, name)]


def text(name: str) -> str:
    """The content of a tracked file."""
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def tree(name: str) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(text(name), name)
