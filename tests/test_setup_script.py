"""The script for the app registration: run with a stand-in for `az`, it grants exactly what the catalogue names."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from appgov_lib.__main__ import main
from appgov_lib.errors import ConfigError
from appgov_lib.extract.clouds import CLOUDS, GLOBAL
from appgov_lib.extract.permissions import GRAPH_APP_ID, permission_ids
from appgov_lib.extract.setup_script import permissions_for, quote_bash, quote_powershell, setup_script
from appgov_lib.extract.sources import choose_sources, load_sources

NAMED = {source.permission for source in load_sources().values()}
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
APP, PRINCIPAL, GRAPH = "11111111-aaaa", "22222222-bbbb", "33333333-cccc"
AZ = f"""
import json, os, pathlib, sys
args = sys.argv[1:]
with open(os.environ["AZ_LOG"], "a") as log:
    log.write(json.dumps(args) + "\\n")
two, three = " ".join(args[:2]), " ".join(args[:3])
if two == "cloud show":
    print(os.environ.get("AZ_GRAPH", "https://graph.microsoft.com/"))
elif three == "ad app list":
    print(os.environ.get("AZ_EXISTING", ""))
elif three == "ad app create":
    print({APP!r})
elif three == "ad sp create":
    print({PRINCIPAL!r})
elif three == "ad sp show":
    print({GRAPH!r})
elif two == "account show":
    print("tenant-1")
elif three == "ad app credential":
    path = pathlib.Path(args[args.index("--cert") + 1][1:])
    assert "PRIVATE" not in path.read_text()
"""
needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")


def script(shell: str = "bash", cloud: str = "global", **options: object) -> str:
    """The script for the whole catalogue."""
    return setup_script(shell, CLOUDS[cloud], permissions=permissions_for(), **options)  # type: ignore[arg-type]


def run(text: str, folder: Path, **env: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run a bash script with a stand-in for `az`; what it said, and each call of `az`."""
    tool, log = folder / "bin" / "az", folder / "log"
    tool.parent.mkdir(exist_ok=True)
    (tool.parent / "az.py").write_text(AZ)
    # A folder with a blank in its name cannot stand in a #! line.
    command = shlex.join([sys.executable, str(tool.parent / "az.py")])
    tool.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    tool.chmod(0o755)
    log.touch()
    (folder / "script.sh").write_text(text)
    environment = {"PATH": f"{tool.parent}:{os.environ['PATH']}", "HOME": str(folder), "AZ_LOG": str(log), **env}
    done = subprocess.run(
        ["bash", str(folder / "script.sh")], env=environment, capture_output=True, text=True, cwd=folder
    )
    return done, [json.loads(line) for line in log.read_text().splitlines()]


def value(call: list[str], option: str) -> str:
    """The value of an option in a call."""
    return call[call.index(option) + 1]


@needs_bash
def test_the_script_grants_exactly_the_permissions_of_the_catalogue(tmp_path: Path) -> None:
    done, calls = run(script(), tmp_path)
    assert done.returncode == 0, done.stderr
    wanted = {permission_ids()[name] for name in NAMED}
    (create,) = [call for call in calls if call[:3] == ["ad", "app", "create"]]
    (asked,) = json.loads(value(create, "--required-resource-accesses"))
    assert asked["resourceAppId"] == GRAPH_APP_ID
    assert {(item["id"], item["type"]) for item in asked["resourceAccess"]} == {(one, "Role") for one in wanted}
    assert value(create, "--sign-in-audience") == "AzureADMyOrg"
    grants = [json.loads(value(call, "--body")) for call in calls if call[0] == "rest"]
    assert {grant["appRoleId"] for grant in grants} == wanted
    assert len(grants) == len(wanted)
    assert {(grant["principalId"], grant["resourceId"]) for grant in grants} == {(PRINCIPAL, GRAPH)}
    urls = {value(call, "--url") for call in calls if call[0] == "rest"}
    assert urls == {f"https://graph.microsoft.com/v1.0/servicePrincipals/{PRINCIPAL}/appRoleAssignments"}
    assert not [call for call in calls if "credential" in call], "no credential unless asked for"
    assert f"export AZURE_CLIENT_ID={APP}" in done.stdout
    assert "CERTIFICATE" not in done.stdout


@pytest.mark.parametrize("shell", ["bash", "powershell"])
def test_both_scripts_name_the_ids_of_the_catalogue_and_no_other(shell: str) -> None:
    found = set(re.findall(ID, script(shell, certificate=True)))
    assert found == {permission_ids()[name] for name in NAMED} | {GRAPH_APP_ID}
    assert not re.search(r"__[a-z_]+__", script(shell, certificate=True)), "a placeholder was left"
    for name in NAMED:
        assert f"# {name}: " in script(shell)


def test_the_only_wider_rights_are_those_of_the_administrator_who_runs_it() -> None:
    asked = set(re.findall(r"[A-Z]\w+\.ReadWrite\.\w+", script("powershell")))
    assert asked == {"Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All"}
    (line,) = [line for line in script("powershell").splitlines() if "ReadWrite" in line]
    assert line.startswith("Connect-MgGraph ")
    assert "ReadWrite" not in script("bash")


@needs_bash
@needs_openssl
def test_a_certificate_is_made_privately_and_only_its_public_part_leaves(tmp_path: Path) -> None:
    done, calls = run(script(certificate=True), tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.pem*")
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_bytes()
    key = serialization.load_pem_private_key(content, None)
    made = x509.load_pem_x509_certificate(content)
    assert made.public_key() == key.public_key()
    (reset,) = [call for call in calls if "credential" in call]
    assert "--append" in reset
    assert value(reset, "--cert").startswith("@")
    assert f"export AZURE_CLIENT_CERTIFICATE_PATH={path}" in done.stdout


@needs_bash
@pytest.mark.parametrize("cloud", ["usgov-l4", "usgov-l5", "china"])
def test_a_national_cloud_is_checked_before_anything_is_made(tmp_path: Path, cloud: str) -> None:
    text = script(cloud=cloud)
    done, calls = run(text, tmp_path)
    assert done.returncode == 2
    assert CLOUDS[cloud].azure_cli in done.stderr
    assert [call[:2] for call in calls] == [["cloud", "show"]]
    (tmp_path / "log").unlink()
    done, calls = run(text, tmp_path, AZ_GRAPH=f"{CLOUDS[cloud].endpoint}/")
    assert done.returncode == 0, done.stderr
    assert {value(call, "--resource") for call in calls if call[0] == "rest"} == {CLOUDS[cloud].endpoint}
    assert f"export APPGOV_GRAPH_ENDPOINT={CLOUDS[cloud].endpoint}" in done.stdout
    assert f"-Environment '{CLOUDS[cloud].graph_powershell}'" in script("powershell", cloud)


@needs_bash
def test_an_app_of_the_same_name_is_left_alone(tmp_path: Path) -> None:
    done, calls = run(script(), tmp_path, AZ_EXISTING="99999999-eeee")
    assert (done.returncode, len(calls)) == (2, 2)
    assert "nothing was changed" in done.stderr


NASTY = "it's \"x\" $(touch owned) `touch owned` ; & | \\ ' __permissions__ %s #"


@needs_bash
def test_a_name_full_of_shell_arrives_as_it_is(tmp_path: Path) -> None:
    done, calls = run(script(name=NASTY), tmp_path)
    assert done.returncode == 0, done.stderr
    (create,) = [call for call in calls if call[:3] == ["ad", "app", "create"]]
    assert value(create, "--display-name") == NASTY
    (listed,) = [call for call in calls if call[:3] == ["ad", "app", "list"]]
    doubled = NASTY.replace("'", "''")
    assert value(listed, "--filter") == f"displayName eq '{doubled}'"
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["", " x", "a\nb", "a\x1b[2J", "@/etc/passwd", "-x", "y" * 121, "a\u202eb"])
def test_names_that_a_tool_would_read_otherwise_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="app name"):
        script(name=name)


def test_quotes_of_any_kind_stay_inside_the_string() -> None:
    assert quote_bash("a'b") == "'a'\\''b'"
    assert quote_powershell("a'b\u2019c $x `n") == "'a''b\u2019\u2019c $x `n'"


def test_powershell_strings_of_values_are_single_quoted() -> None:
    text = script("powershell", name="O'Neill $(x)")
    assert "$name = 'O''Neill $(x)'" in text
    # Doubled once for OData and once more for PowerShell.
    assert "-Filter 'displayName eq ''O''''Neill $(x)'''" in text


def test_one_source_alone_asks_for_its_permission_alone() -> None:
    found = permissions_for(tuple(choose_sources(["security_alerts"])))
    assert [(item.name, item.sources) for item in found] == [("SecurityAlert.Read.All", ("security_alerts",))]


def test_the_command_prints_and_runs_nothing(capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("APPGOV_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as stop:
        main(["setup-script", "--shell", "powershell", "--cloud", "usgov-l5", "--certificate"])
    out, _ = capsys.readouterr()
    assert not stop.value.code
    assert "-Environment 'USGovDoD'" in out
    assert "KeyCredentials" in out
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        main(["setup-script", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {item["name"] for item in found["permissions"]} == NAMED
    assert found["script"] == setup_script("bash", GLOBAL, permissions=permissions_for())
