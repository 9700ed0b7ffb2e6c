"""The files in deploy/: each parses with the tool that reads it, and each runs the same command in safe ways."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
import yaml
from checkout import ROOT, text

from appgov_lib.cli import cli
from appgov_lib.errors import ExitCode
from appgov_lib.profiles import BUDGET_MINUTES
from appgov_lib.weekly.outcome import GRAVEST_FIRST, STOPPED

DEPLOY = ROOT / "deploy"
COMMAND = ["weekly", "--all-tenants", "--quiet", "--json"]


def test_every_file_is_spoken_of_and_runs_the_same_command() -> None:
    page = text("docs/how-to/schedule.md")
    command = cli.commands["weekly"]
    options = {opt for p in command.params if isinstance(p, click.Option) for opt in p.opts}
    assert set(COMMAND[1:]) <= options
    for path in sorted(DEPLOY.iterdir()):
        assert f"deploy/{path.name}" in page or path.name == "appgov.toml", path.name
        content = path.read_text(encoding="utf-8")
        if path.suffix not in (".timer", ".toml"):
            assert re.search(r"weekly.{1,6}--all-tenants.{1,6}--quiet.{1,6}--json", content), path.name
        assert not re.search(r"/home/(?!appgov)\w|/root/|C:\\Users", content), path.name


def test_the_page_has_the_order_of_codes_and_the_code_of_a_stop() -> None:
    page = text("docs/how-to/schedule.md")
    assert f"{', '.join(str(int(code)) for code in GRAVEST_FIRST)} in that order" in page
    assert f"ends with {STOPPED}" in re.sub(r"\s+", " ", page)


def test_every_scheduler_waits_longer_than_the_stages_may_take() -> None:
    minutes = sum(BUDGET_MINUTES.values())
    task = (DEPLOY / "appgov-task.xml").read_text()
    waits = {
        "systemd": int(re.findall(r"TimeoutStartSec=(\d+)h", (DEPLOY / "appgov.service").read_text())[0]) * 60,
        "task": int(re.findall(r"<ExecutionTimeLimit>PT(\d+)H<", task)[0]) * 60,
        "workflow": yaml.safe_load((DEPLOY / "github-workflow.yml").read_text())["jobs"]["weekly"]["timeout-minutes"],
        "job": int(re.findall(r"replicaTimeout: (\d+)", (DEPLOY / "container-app-job.yml").read_text())[0]) // 60,
    }
    assert {name: wait for name, wait in waits.items() if wait < minutes} == {}


def test_cron() -> None:
    (line,) = [x for x in (DEPLOY / "appgov.cron").read_text().splitlines() if re.match(r"[\d*]", x)]
    minute, hour, day, month, weekday, user, command = line.split(maxsplit=6)
    assert (minute, hour, day, month, weekday, user) == ("17", "5,17", "*", "*", "1", "appgov")
    assert "%" not in command, "cron would end the command there"
    assert subprocess.run(["sh", "-n", "-c", command]).returncode == 0


def test_systemd(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    for name in ("appgov.service", "appgov.timer"):
        content = (DEPLOY / name).read_text().replace("/srv/appgov/.venv/bin/appgov", "/bin/true")
        (tmp_path / name).write_text(content)
    units = [str(tmp_path / name) for name in ("appgov.service", "appgov.timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "appgov" in line]
    assert [line for line in ours if "EnvironmentFile" not in line] == []
    when = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=2", "Mon 05:17 UTC"], capture_output=True, text=True
    )
    assert when.returncode == 0
    assert "OnCalendar=Mon 05:17 UTC\n" in (DEPLOY / "appgov.timer").read_text()
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=35", "--no-pager", units[0]],
        capture_output=True,
        text=True,
    )
    if "unrecognized option" not in rated.stderr:  # before systemd 250
        assert rated.returncode == 0, rated.stdout[-600:]


def test_the_service_closes_what_a_run_does_not_need() -> None:
    service = (DEPLOY / "appgov.service").read_text()
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(service)
    section = parsed["Service"]
    closed = {"NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables"}
    closed |= {"ProtectKernelModules", "ProtectControlGroups", "RestrictSUIDSGID", "LockPersonality"}
    assert {name: section[name] for name in closed} == dict.fromkeys(closed, "yes")
    assert (section["ProtectSystem"], section["CapabilityBoundingSet"]) == ("strict", "")
    assert (section["StateDirectory"], section["StateDirectoryMode"]) == ("appgov", "0700")
    home = dict(word.split("=") for word in section["Environment"].split())
    assert set(home.values()) == {"/var/lib/appgov"}, "the one folder that can be written"
    assert section["SuccessExitStatus"] == str(int(ExitCode.PARTIAL))
    assert "\nUser=appgov\n" in service
    assert "\nUMask=0077\n" in service


def test_windows_task() -> None:
    root = ElementTree.fromstring((DEPLOY / "appgov-task.xml").read_text())
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    assert root.tag == f"{{{space['t']}}}Task"

    def value(path: str) -> str | None:
        return root.findtext(path, namespaces=space)

    assert root.find("t:Triggers/t:CalendarTrigger/t:ScheduleByWeek/t:DaysOfWeek/t:Monday", space) is not None
    assert value("t:Settings/t:MultipleInstancesPolicy") == "IgnoreNew"
    assert value("t:Settings/t:StartWhenAvailable") == "true"
    assert value("t:Principals/t:Principal/t:RunLevel") == "LeastPrivilege"
    assert (value("t:Actions/t:Exec/t:Arguments") or "").split() == COMMAND
    order = [child.tag.split("}")[1] for child in root]
    assert order == ["RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"], "the schema has an order"


def test_github_workflow() -> None:
    content = (DEPLOY / "github-workflow.yml").read_text()
    flow = yaml.safe_load(content)
    assert flow[True]["schedule"] == [{"cron": "17 5 * * 1"}]  # YAML reads `on` as true
    assert flow["permissions"] == {}
    (job,) = flow["jobs"].values()
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert "upload-artifact" not in content, "reports are personal data"
    assert "self-hosted" in job["runs-on"]
    assert flow["concurrency"]["cancel-in-progress"] is False
    assert set(flow) == {"name", True, "permissions", "concurrency", "jobs"}
    assert set(job) <= {"runs-on", "timeout-minutes", "permissions", "env", "steps"}
    for step in job["steps"]:
        assert ("run" in step) != ("uses" in step)
        assert set(step) <= {"name", "uses", "with", "run", "env", "if"}
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "actions/checkout@v4"))
    for step in job["steps"]:
        if "run" in step:
            assert subprocess.run(["bash", "-n", "-c", step["run"]]).returncode == 0
            assert "${{" not in step["run"], "nothing is pasted into a shell"


def test_dockerfile() -> None:
    content = (DEPLOY / "Dockerfile").read_text()
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", content, flags=re.MULTILINE))
    steps = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    last = max(number for number, step in enumerate(steps) if step[0] == "FROM")
    final = steps[last:]
    assert [value for word, value in final if word == "USER"] == ["10001:10001"]
    assert [word for word, _ in final].index("USER") < [word for word, _ in final].index("ENTRYPOINT")
    assert ["ENTRYPOINT", '["appgov"]'] in final
    assert "--require-hashes -r requirements.txt" in joined
    assert not re.search(r"\b(ADD|curl|wget)\b|--no-check|:latest", joined)
    env = dict(re.findall(r"(\w+)=(\S+)", next(value for word, value in final if word == "ENV")))
    assert env["APPGOV_HOME"] == "/data"
    writes = {env[name] for name in ("HOME", "TMPDIR")}
    assert all(path.startswith("/tmp") for path in writes), "nothing is written outside /data and /tmp"
    for source in re.findall(r"^COPY (?!--)(.+) \S+$", joined, re.MULTILINE):
        assert [name for name in source.split() if not (ROOT / name).exists()] == []


def test_container_app_job() -> None:
    job = yaml.safe_load((DEPLOY / "container-app-job.yml").read_text())
    settings, template = job["properties"]["configuration"], job["properties"]["template"]
    assert settings["triggerType"] == "Schedule"
    assert settings["scheduleTriggerConfig"] == {"cronExpression": "17 5 * * 1", "parallelism": 1,
                                                 "replicaCompletionCount": 1}  # fmt: skip
    (container,) = template["containers"]
    assert container["args"] == COMMAND
    mounts = {mount["mountPath"]: mount["volumeName"] for mount in container["volumeMounts"]}
    assert set(mounts) == {"/data", "/tmp"}
    assert {volume["name"] for volume in template["volumes"]} == set(mounts.values())
    assert job["identity"]["type"] == "SystemAssigned"
    values = [entry for entry in container["env"] if "value" in entry and re.search("SECRET|URL|TOKEN", entry["name"])]
    assert values == [], "secrets come by reference"
