"""The project's own files: lock files, environment.yml, Makefile, workflow, licence."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from functools import partial
from pathlib import Path

import pytest
import yaml
from checkout import files
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"python-duckdb": "duckdb"}
TARGETS = {"report", "test", "check", "lab", "bench", "help", "venv", "lock", "docs", "clean"}


def pyproject() -> dict:
    """The parsed pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked(name: str, python: str = "3.11") -> dict[str, str]:
    """Package -> version in a lock file, for Linux and the given Python."""
    here = {"python_version": python, "python_full_version": f"{python}.7", "sys_platform": "linux", "os_name": "posix"}
    found = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==(\S+)(?: ; (.*?))?(?: \\)?$", line)
        if match and (match[3] is None or Marker(match[3]).evaluate({**here, "implementation_name": "cpython"})):
            found[match[1]] = match[2]
    return found


def conda() -> tuple[dict[str, str], dict[str, str], str]:
    """environment.yml: conda pins and pip pins by package name, and the Python version."""
    document = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    texts = [item for item in document["dependencies"] if isinstance(item, str)]
    pip = next(item["pip"] for item in document["dependencies"] if isinstance(item, dict))
    pins = dict(item.split("=", 1) for item in texts if "=" in item)
    python = pins.pop("python")
    pins = {CONDA_NAMES.get(name, name): version for name, version in pins.items()}
    return pins, dict(item.split("==", 1) for item in pip if "==" in item), python


def direct(extra: str | None = None) -> list[Requirement]:
    """The requirements pyproject.toml names."""
    project = pyproject()["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [Requirement(line) for line in lines]


def test_environment_yml_has_every_direct_dependency_at_the_locked_version():
    pins, pip_pins, python = conda()
    lock = locked("requirements.txt", python)
    assert not set(pins) & set(pip_pins)
    assert {name: lock.get(name) for name in pins | pip_pins} == pins | pip_pins
    assert {r.name for r in direct()} - set(pins | pip_pins) == set()


def test_environment_yml_uses_a_python_we_support_and_no_address():
    assert Version(conda()[2]) in Requirement("p" + pyproject()["project"]["requires-python"]).specifier
    assert "://" not in (ROOT / "environment.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_lock_has_a_hash_for_every_package_and_no_address(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE))
    assert len(entries) > 50
    assert [e.splitlines()[0] for e in entries if "--hash=sha256:" not in e or "==" not in e.splitlines()[0]] == []
    assert re.findall(r"^ *(?:--(?!hash)|-[a-z] ).*$", text, flags=re.MULTILINE) == []
    assert "://" not in text


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_locks_agree_with_each_other_and_with_pyproject(python):
    runtime, dev = locked("requirements.txt", python), locked("requirements-dev.txt", python)
    assert runtime.items() <= dev.items()
    wanted = direct() + [Requirement(line) for line in pyproject()["dependency-groups"]["build"]]
    assert [str(r) for r in wanted if runtime.get(r.name, "0") not in r.specifier] == []
    assert [str(r) for r in direct("dev") if dev.get(r.name, "0") not in r.specifier] == []


def test_build_backend_is_locked():
    assert "hatchling" in pyproject()["build-system"]["requires"]
    assert {"hatchling", "editables"} <= set(locked("requirements.txt"))


def test_wheel_carries_everything_the_package_reads(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        inside = set(wheel.namelist())
    notebooks = {f"appgov_lib/{name}" for name in files(r"notebooks/.*")}
    assert set(files(r"appgov_lib/.*")) | notebooks <= inside


def test_make_lists_its_targets():
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # not a make in a make
    run = partial(subprocess.run, cwd=ROOT, env=outside, capture_output=True, text=True, check=True)
    done = run(["make", "help"])
    assert {line.split()[1] for line in done.stdout.splitlines()} == TARGETS
    assert run(["make"]).stdout == done.stdout


@pytest.mark.parametrize("script", ["tools/venv.sh", "tools/check.sh", ".ci/run"])
def test_shell_scripts_parse(script):
    shell = "bash" if script.startswith(".ci") else "sh"
    assert subprocess.run([shell, "-n", script], cwd=ROOT, capture_output=True).returncode == 0


def test_ci_runs_the_one_definition_of_clean():
    run = ROOT / ".ci" / "run"
    assert os.access(run, os.X_OK)
    assert "make check" in run.read_text(encoding="utf-8")
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    assert all(job["permissions"] == {"contents": "read"} for job in workflow["jobs"].values())
    assert any(step.get("run") == "bash .ci/run" for job in workflow["jobs"].values() for step in job["steps"])


def test_licence_and_changelog():
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")
    assert pyproject()["project"]["license"] == "MIT"
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


STUB = """#!/bin/sh
# Stands in for python3: says a version, makes a .venv that holds itself, and writes down what it was asked.
echo "$*" >> "$LOG"
case "$*" in
    *version_info*) exit "$OLD" ;;
    -V) echo "Python 3.9.2" ;;
    "-m uv "*) exit 1 ;;
    "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
"""


@pytest.fixture
def fresh(tmp_path):
    """A checkout in a folder with a space in its name, with a stand-in for python3, and no uv on the path."""
    home = tmp_path / "a fresh clone"
    (home / "tools").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.txt", "requirements-dev.txt", "tools/venv.sh"):
        shutil.copy(ROOT / name, home / name)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "python3").write_text(STUB, encoding="utf-8")
    (tools / "python3").chmod(0o755)
    for name in ("make", "sh", "env", "grep", "touch", "mkdir", "cp", "rm", "cat"):
        (tools / name).symlink_to(shutil.which(name))
    return home


def run_make(home: Path, *arguments: str, old: int = 0) -> tuple[int, str, list[str]]:
    """Run make in `home`; return its exit code, what it said, and what the stand-in was asked."""
    log = home.parent / "log"
    log.write_text("", encoding="utf-8")
    env = {"PATH": str(home.parent / "bin"), "LOG": str(log), "OLD": str(old)}
    done = subprocess.run(["make", *arguments], cwd=home, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr, log.read_text(encoding="utf-8").splitlines()


def test_report_in_a_fresh_clone_installs_the_lock_once(fresh):
    code, said, asked = run_make(fresh, "report")
    assert code == 0, said
    assert any("--require-hashes" in line and line.endswith("-r requirements.txt") for line in asked)
    assert any(line.endswith("--no-build-isolation --no-index -e .") for line in asked)
    assert asked[-1] == "-m appgov_lib demo"
    assert run_make(fresh, "report")[2] == ["-m appgov_lib demo"]


def test_a_changed_lock_is_installed_again(fresh):
    run_make(fresh, "venv")
    later = (fresh / ".venv/.dev-installed").stat().st_mtime + 10
    os.utime(fresh / "requirements-dev.txt", (later, later))
    assert any(line.endswith("-r requirements-dev.txt") for line in run_make(fresh, "test")[2])


def test_the_larger_lock_serves_the_report_too(fresh):
    run_make(fresh, "venv")
    assert run_make(fresh, "report")[2] == ["-m appgov_lib demo"]


def test_an_old_python_is_told_in_one_sentence(fresh):
    code, said, _ = run_make(fresh, "report", old=1)
    assert code != 0
    assert "appgov needs Python 3.11 or newer, but 'python3' is Python 3.9.2" in said
    assert not (fresh / ".venv").exists()


def test_a_missing_python_is_told_in_one_sentence(fresh):
    code, said, _ = run_make(fresh, "report", "PYTHON=python3.99")
    assert code != 0
    assert "finds no 'python3.99'" in said


def test_this_python_is_one_the_project_supports():
    assert Version(".".join(map(str, sys.version_info[:3]))) in Requirement("p>=3.11").specifier
