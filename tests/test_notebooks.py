"""The notebooks: thin, clean as committed, and right on the sample tenant (nbval compares the check cells)."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appgov_lib.runner import load_suite
from appgov_lib.runner.run import kernel_environment
from appgov_lib.settings import Settings

HERE = Path(__file__).parent
SANITIZE = HERE / "nbval_sanitize.cfg"
NOTEBOOKS = [notebook.path for notebook in (*load_suite().notebooks, *load_suite().analyst)]
CHECK_TAGS = {"keep_output", "nbval-check-output"}
FORBIDDEN = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.If,
    ast.IfExp,
    ast.While,
    ast.Try,
    ast.Match,
)

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[p.stem for p in NOTEBOOKS])


def cells(path: Path, kind: str = "code") -> list[dict[str, Any]]:
    """The cells of one kind, source joined."""
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        c | {"source": "".join(c["source"]), "tags": set(c["metadata"].get("tags", []))}
        for c in found
        if c["cell_type"] == kind
    ]


# Thin


@every_notebook
def test_few_short_cells(path):
    code = cells(path)
    assert len(code) <= 12
    assert {c["source"]: c["source"].count("\n") + 1 for c in code if c["source"].count("\n") >= 12} == {}
    assert max(len(line) for c in code for line in c["source"].splitlines()) <= 120


@every_notebook
def test_calls_and_prose_only(path):
    for cell in cells(path):
        assert [type(n).__name__ for n in ast.walk(ast.parse(cell["source"])) if isinstance(n, FORBIDDEN)] == []


@every_notebook
def test_queries_are_one_line(path):
    for cell in cells(path):
        for node in ast.walk(ast.parse(cell["source"])):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "\n" not in node.value
                assert "raw" not in node.value.lower().split()


@every_notebook
def test_parameters_come_first_then_the_set_up(path):
    first, second = cells(path)[:2]
    assert first["tags"] == {"parameters"}
    assert first["source"].count("# type:") == len(first["source"].splitlines())
    assert "con = appgov_lib.connect(tenant)" in second["source"]
    assert "of_warehouse(con, as_of, days)" in second["source"]


@every_notebook
def test_written_to_be_read(path):
    prose = cells(path, "markdown")
    assert prose[0]["source"].startswith("# ")
    assert len([c for c in prose if c["source"].startswith("# ")]) == 1
    assert prose[-1]["source"].startswith("**Next:**")
    headings = [c["source"].splitlines()[0] for c in prose if c["source"].startswith("## ")]
    assert [h for h in headings if not h.endswith("?")] == []
    text = " ".join(c["source"] for c in prose).lower()
    assert not re.search(r"\b(simply|just|obviously)\b|https?://", text)


# Clean as committed


@every_notebook
def test_two_to_four_check_cells_keep_their_output(path):
    checks = [c for c in cells(path) if c["tags"] & CHECK_TAGS]
    assert 2 <= len(checks) <= 4
    for cell in checks:
        assert cell["tags"] == CHECK_TAGS
        assert cell["execution_count"]
        (output,) = cell["outputs"]
        assert output["name"] == "stdout"
        lines = "".join(output["text"]).splitlines()
        assert lines == sorted(lines)


@every_notebook
def test_nothing_else_keeps_output(path):
    assert [c["source"] for c in cells(path) if c["outputs"] and not c["tags"] & CHECK_TAGS] == []
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    assert "version" not in content["metadata"]["language_info"]
    assert all("execution" not in c["metadata"] for c in content["cells"])


def test_sanitizing_never_touches_a_total():
    rules = configparser.RawConfigParser()
    rules.read(SANITIZE)
    stored = "".join("".join(o["text"]) for p in NOTEBOOKS for c in cells(p) for o in c["outputs"])
    assert len(stored) > 500
    for section in rules.sections():
        assert re.sub(rules[section]["regex"], rules[section]["replace"], stored) == stored


def test_counted_twice_is_counted_alike():
    """What a check cell says about a mart equals what it says about staging."""
    said = {}
    for path in NOTEBOOKS:
        for cell in cells(path):
            for line in "".join(t for o in cell["outputs"] for t in o["text"]).splitlines():
                name, _, value = line.rpartition("  ")
                said[name.strip()] = value.strip()
    pairs = {n: n.replace("in marts", "in staging").replace("in mart", "in staging") for n in said if " in mart" in n}
    pairs |= {"bytes observed": "bytes measured", "judged days": "measured days"}
    pairs |= {"application permissions": "application assignments", "delegated permissions": "delegated scopes"}
    pairs |= {"findings in plan": "findings to act on", "permissions counted by app": "permissions held"}
    pairs |= {"different changes": "changes in all"}
    assert len(pairs) >= 8
    assert {a: said[a] for a in pairs} == {a: said[b] for a, b in pairs.items()}


# Right on the sample tenant


def nbval(path: Path, home: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run nbval over one notebook the way `make test` does."""
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), "-p", "no:cacheprovider"]
    command += ["--nbval-lax", "--nbval-current-env", "--nbval-sanitize-with", str(SANITIZE), "-q", str(path)]
    environment = kernel_environment(Settings(home=home))
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=55, check=False)


@every_notebook
def test_nbval(path, sample_home, tmp_path):
    done = nbval(path, sample_home, tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_changed_number_fails(sample_home, tmp_path):
    content = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    check = next(c for c in content["cells"] if "keep_output" in c["metadata"].get("tags", []))
    text = "".join(check["outputs"][0]["text"])
    digit = re.search(r"\d(?=\n)", text)
    assert digit
    check["outputs"][0]["text"] = text[: digit.start()] + str((int(digit[0]) + 1) % 10) + text[digit.end() :]
    changed = tmp_path / NOTEBOOKS[0].name
    changed.write_text(json.dumps(content), encoding="utf-8")
    done = nbval(changed, sample_home, tmp_path)
    assert done.returncode == 1
    assert "Cell outputs differ" in done.stdout


def test_a_warehouse_of_another_day_is_refused_in_one_sentence(sample_home, tmp_path):
    source = NOTEBOOKS[0].read_text(encoding="utf-8").replace("2026-11-15", "2026-11-08")
    (tmp_path / NOTEBOOKS[0].name).write_text(source, encoding="utf-8")
    done = nbval(tmp_path / NOTEBOOKS[0].name, sample_home, tmp_path)
    assert done.returncode == 1
    assert "run `appgov build --as-of 2026-11-08 --days 7` first" in done.stdout
