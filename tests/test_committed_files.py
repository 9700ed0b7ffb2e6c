"""What is committed: thin notebooks without outputs, no data of a tenant, no secret, nothing of one machine."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

import pytest
from checkout import ROOT, files, text, tracked

# Notebooks


def notebooks() -> list[str]:
    """The notebooks of the suite."""
    return files(r"notebooks/.*\.ipynb")


def code_cells(name: str) -> list[dict]:
    """The code cells of a notebook."""
    return [cell for cell in json.loads(text(name))["cells"] if cell["cell_type"] == "code"]


def tags(cell: dict) -> list[str]:
    """The tags of a cell."""
    return cell["metadata"].get("tags", [])


def test_notebooks_exist_and_lie_in_one_folder():
    assert len(notebooks()) >= 5
    assert [name for name in files(r".*\.ipynb") if not re.fullmatch(r"notebooks/\d\d_[a-z_]+\.ipynb", name)] == []


def test_notebooks_are_thin():
    bad = []
    for name in notebooks():
        cells = code_cells(name)
        sources = ["".join(cell["source"]) for cell in cells]
        if len(cells) > 12 or any(len(source.splitlines()) > 12 for source in sources):
            bad.append(f"{name}: size")
        nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
        if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda) for node in nodes):
            bad.append(f"{name}: holds a function")
        if any(isinstance(node, ast.If | ast.For | ast.While | ast.Try) for node in nodes):
            bad.append(f"{name}: branches or loops")
    assert bad == []


def test_notebook_parameters_are_literals():
    for name in notebooks():
        cells = [cell for cell in code_cells(name) if "parameters" in tags(cell)]
        if not code_cells(name):
            continue  # the start page only links the others
        assert len(cells) == 1, name
        for statement in ast.parse("".join(cells[0]["source"])).body:
            assert isinstance(statement, ast.Assign | ast.AnnAssign), f"{name}: {ast.unparse(statement)}"
            assert statement.value is not None, f"{name}: {ast.unparse(statement)}"
            assert ast.literal_eval(statement.value) is not None, f"{name}: {ast.unparse(statement)}"


def test_notebooks_are_committed_without_outputs():
    bad = [
        name
        for name in notebooks()
        for cell in code_cells(name)
        if cell["outputs"] and not {"keep_output", "nbval-check-output"} <= set(tags(cell))
    ]
    assert bad == []


def test_notebooks_run_with_any_kernel_named_python3():
    kernels = {name: json.loads(text(name))["metadata"]["kernelspec"]["name"] for name in notebooks()}
    assert set(kernels.values()) == {"python3"}, kernels


# What must not be in a commit

SECRETS = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "signed token": r"\beyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "Entra client secret": r"[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}",
    "storage key": r"AccountKey=[A-Za-z0-9+/=]{40,}",
    "cloud key": r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[bap]-[A-Za-z0-9-]{20,})",
}
MACHINE = {
    "path of one machine": r"""(?:^|[\s"'`=(,])/(?:work|tmp|root|home|Users)/\w""",
    "package index": r"(?:pypi\.org/simple|files\.pythonhosted|registry\.npmjs|deb\.debian|/opt/(?:pypi|wheels))",
}


def tracked_text() -> Iterator[tuple[str, str]]:
    """Tracked files that are text, with their content."""
    for name in tracked():
        content = (ROOT / name).read_bytes()
        if b"\0" not in content[:4096]:
            yield name, content.decode("utf-8")


@pytest.mark.parametrize("kind", [*SECRETS, *MACHINE])
def test_tracked_files_hold_no(kind):
    pattern = re.compile((SECRETS | MACHINE)[kind], re.MULTILINE)
    found = [
        f"{name}: {match[0][:30]!r}"
        for name, content in tracked_text()
        if (match := pattern.search(content)) is not None
    ]
    assert found == []


def test_tracked_files_are_not_tenant_data():
    pattern = r"(data|reports)/(?!README\.md$).*|.*\.(duckdb|duckdb\.wal|pem|pfx|key)|(?!tests/).*\.ndjson\.zst"
    assert files(pattern) == []


def test_tracked_files_are_small_and_end_in_a_line():
    big = [name for name in tracked() if (ROOT / name).stat().st_size > 1_000_000]
    assert big == []
    code = [name for name in files(r".*\.(py|sql|toml|md|yml|sh|css|j2)") if text(name).strip()]
    assert [name for name in code if not text(name).endswith("\n") or "\r" in text(name)] == []
