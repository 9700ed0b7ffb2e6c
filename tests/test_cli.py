"""The command line: one sentence and the right exit code for everything that goes wrong, and JSON that parses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from appgov_lib.__main__ import main
from appgov_lib.errors import ExitCode


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run one command with APPGOV_HOME in a temporary folder; returns exit code, standard output, standard error."""

    def go(*arguments: str, home: Path | None = None, **env: str) -> tuple[int, str, str]:
        monkeypatch.setenv("APPGOV_HOME", str(home or tmp_path))
        for key, value in env.items():
            monkeypatch.setenv(key, value)
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return go


@pytest.mark.parametrize(
    ("arguments", "env", "code", "says"),
    [
        (["build"], {}, ExitCode.USAGE, "no data for this tenant"),
        (["report"], {}, ExitCode.USAGE, "appgov build"),
        (["path"], {}, ExitCode.USAGE, "appgov build"),
        (["path", "report"], {}, ExitCode.USAGE, "no report"),
        (["actions", "list"], {}, ExitCode.USAGE, "appgov build"),
        (["policies", "test", "unused-app"], {}, ExitCode.USAGE, "appgov build"),
        (["build", "--as-of", "tomorrow"], {}, ExitCode.USAGE, "--as-of is 'tomorrow'"),
        (["extract", "--since", "13.11.2026"], {}, ExitCode.USAGE, "--since"),
        (["extract", "--source", "sign_in"], {}, ExitCode.USAGE, "no source called"),
        (["extract"], {}, ExitCode.SIGN_IN, "no credential was found"),
        (["doctor"], {}, ExitCode.SIGN_IN, "no credential was found"),
        (["extract"], {"APPGOV_ACCESS_TOKEN": "t"}, ExitCode.USAGE, "loopback"),
        (["extract"], {"APPGOV_GRAPH_ENDPOINT": "http://example.org"}, ExitCode.USAGE, "plain http"),
        (["import", "nowhere.json"], {}, ExitCode.USAGE, "nowhere.json"),
        (["import"], {}, ExitCode.USAGE, "PATH"),
        (["build", "--tenant", "../x"], {}, ExitCode.USAGE, "folder name"),
        (["nonsense"], {}, ExitCode.USAGE, "nonsense"),
    ],
)
def test_each_mistake_gets_one_sentence_and_its_exit_code(run, arguments, env, code, says) -> None:
    found, out, err = run(*arguments, **env)
    assert found == code
    message = err.strip().splitlines()[-1]
    assert message.startswith("appgov: ")
    assert says in message
    assert "Traceback" not in err
    assert out == ""


def test_a_mistake_is_json_too_when_json_is_asked_for(run) -> None:
    code, out, _ = run("build", "--json")
    assert json.loads(out) == {"error": json.loads(out)["error"], "exit_code": code}


def test_a_dead_server_is_a_coverage_status_not_a_crash(run, monkeypatch) -> None:
    monkeypatch.setattr("appgov_lib.extract.graph.MAX_ATTEMPTS", 1)
    env = {"APPGOV_GRAPH_ENDPOINT": "http://127.0.0.1:9", "APPGOV_ACCESS_TOKEN": "t"}
    code, out, _ = run("extract", "--json", "--source", "organization", **env)
    assert code == ExitCode.PARTIAL
    state = json.loads(out)["sources"]["organization"]
    assert (state["status"], state["rows"]) == ("failed", 0)
    assert "ConnectError" in state["reason"]


def test_a_second_run_on_the_same_tenant_is_refused(run, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "sample"
    folder.mkdir(parents=True)
    with FileLock(folder / ".run.lock"):
        code, _, err = run("build")
    assert code == ExitCode.BUSY
    assert "Another appgov run holds tenant sample" in err


def test_a_defect_of_ours_is_one_sentence_too(run, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("boom\x1b[2J")

    monkeypatch.setattr("appgov_lib.as_of.default_as_of", fail)
    code, _, err = run("build")
    assert code == ExitCode.INTERNAL
    assert "Internal error (RuntimeError: boom" in err
    assert "\x1b" not in err
    assert "Traceback" not in err


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys; from appgov_lib.cli import cli\n"
        "heavy = set('duckdb pandas plotly numpy msgraph httpx papermill azure.identity aiohttp'.split())\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_module_runs_like_the_command(tmp_path: Path) -> None:
    started = time.perf_counter()
    env = {**os.environ, "APPGOV_HOME": str(tmp_path)}
    found = subprocess.run([sys.executable, "-m", "appgov_lib", "--help"], capture_output=True, text=True, env=env)
    assert found.returncode == 0
    assert "extract" in found.stdout
    assert time.perf_counter() - started < 20, "a hang, not a measurement"


def test_reading_verbs_on_a_built_warehouse(run, sample_home: Path) -> None:
    code, out, _ = run("policies", "list", "--json", home=sample_home)
    assert code == 0
    assert {"unused-app", "app-went-silent"} <= {row["policy_id"] for row in json.loads(out)}
    code, out, _ = run("policies", "test", "unused-app", "--json", home=sample_home)
    assert code == 0
    assert len(json.loads(out)) >= 1
    code, out, _ = run("actions", "list", "--json", home=sample_home)
    assert code == 0
    plan = json.loads(out)
    assert [row["priority"] for row in plan] == sorted(row["priority"] for row in plan)
    code, out, _ = run("actions", "show", plan[0]["action_id"], "--json", home=sample_home)
    assert code == 0
    assert json.loads(out)["method"] in {"DELETE", "PATCH", "POST", "GET"}
    code, _, err = run("actions", "show", "nope", home=sample_home)
    assert (code, "no action 'nope'" in err) == (ExitCode.USAGE, True)
    code, out, _ = run("path", "warehouse", home=sample_home)
    assert code == 0
    assert Path(out.strip()).suffix == ".duckdb"


def test_text_output_holds_no_control_characters(run, sample_home: Path) -> None:
    """The sample has apps whose names carry escape sequences and line ends."""
    for verb in (["policies", "test", "unused-app"], ["actions", "list"], ["policies", "list"]):
        _, out, _ = run(*verb, home=sample_home)
        assert not [char for char in out if ord(char) < 32 and char != "\n"]
