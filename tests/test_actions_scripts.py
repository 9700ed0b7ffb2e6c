"""The scripts of a plan, parsed: PowerShell by a grammar of it, shell by bash; a tenant's texts are arguments alone."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tree_sitter_powershell
from hypothesis import given, settings
from hypothesis import strategies as st
from test_actions import HOSTILE
from test_actions_kinds import PERSON, finding, made
from test_actions_people_plan import people, user
from tree_sitter import Language, Node, Parser

from appgov_lib.action_files import wave_script, write_action_files
from appgov_lib.actions.requests import Request
from appgov_lib.actions.scripts import az_rest, curl, plain, powershell
from appgov_lib.settings import Settings
from appgov_lib.store.warehouse import connect

POWERSHELL = Parser(Language(tree_sitter_powershell.language()))
CURLY = str.maketrans(dict.fromkeys("\u2018\u2019\u201a\u201b", "'"))
"""PowerShell reads each of these as an apostrophe; the grammar does not know it, so it is told."""
LOUD = {"variable", "sub_expression", "expandable_string_literal", "script_block", "script_block_expression",
        "expandable_here_string_literal", "verbatim_here_string_characters", "assignment_expression", "foreach_command",
        "redirection", "invokation_expression", "comparison_operator", "ERROR"}  # fmt: skip
HEAD = "$ErrorActionPreference = 'Stop'\n"


def nodes(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def commands(script: str) -> list[tuple[str, list[str]]]:
    """(command, its arguments in quotes) of a script; nothing but commands with such arguments may be in it."""
    data = script.replace(HEAD, "").translate(CURLY).encode()
    root = POWERSHELL.parse(data).root_node
    assert not root.has_error
    assert LOUD.isdisjoint(node.type for node in nodes(root))
    found = []
    for node in nodes(root):
        if node.type == "command":
            inside = list(nodes(node))
            quoted = [each.text.decode() for each in inside if each.type == "verbatim_string_characters" and each.text]
            free = {each.text for each in inside if each.type in ("generic_token", "command_parameter")}
            assert free <= {b"-Scopes", b"-Method", b"-Uri", b"-ContentType", b"-Body", *METHODS}
            name = node.child_by_field_name("command_name")
            assert name is not None
            assert name.text is not None
            found.append((name.text.decode(), [text[1:-1].replace("''", "'") for text in quoted]))
    assert {name for name, _ in found} <= {"Connect-MgGraph", "Invoke-MgGraphRequest"}
    return found


METHODS = {b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"}


def sent(request: dict[str, Any] | Request) -> list[str]:
    """The quoted arguments that a request has to become."""
    path, body = (request.path, request.body) if isinstance(request, Request) else (request["path"], request["body"])
    words = [plain(path).translate(CURLY)]
    if body is not None:
        words += ["application/json", json.dumps(body, separators=(",", ":"))]
    return words


def test_the_grammar_sees_what_breaks_out():
    for bad in ("Get-X -Uri 'a' + $b", 'Get-X "$(reboot)"', "Get-X 'a'; reboot", "Get-X 'it's'"):
        with pytest.raises(AssertionError):
            commands(bad)


def test_every_script_of_the_sample_says_what_the_plan_holds(sample_home: Path, tmp_path: Path):
    con = connect(tenant="sample", home=Settings(home=sample_home).home)
    write_action_files(con, tmp_path)
    plan = con.execute("SELECT wave, requests FROM remediation_actions WHERE wave < 3 ORDER BY priority, action_id")
    wanted: dict[int, list[list[str]]] = {}
    for wave, requests in plan.fetchall():
        wanted.setdefault(wave, []).extend(sent(request) for request in json.loads(requests))
    con.close()
    scripts = sorted(tmp_path.glob("wave-*.ps1"))
    assert len(scripts) == len(wanted) == 2
    for script in scripts:
        first, *rest = commands(script.read_text(encoding="utf-8"))
        assert first[0] == "Connect-MgGraph"
        assert [arguments for _, arguments in rest] == wanted[int(script.name[5])]


@pytest.mark.parametrize("name", HOSTILE)
def test_people_with_hostile_names(name: str):
    urgent = replace(finding("secure_user", user_id=PERSON), severity="high")
    rules = replace(finding("remove_mail_rules", number=2), severity="high")
    facts = people(user(user_principal_name=name, display_name=name), mail_rules={"x": ()})
    facts = replace(facts, mail_rules={rules.service_principal_id: ((PERSON, ("AQAAAb=",)),)})
    actions = [action for action in made(facts, urgent, rules) if action.method]
    assert {action.action_type for action in actions} == {"revoke_sessions", "block_user", "remove_mail_rules"}
    for action in actions:
        calls = commands(action.powershell or "")
        assert [arguments for _, arguments in calls[1:]] == [sent(r) for r in json.loads(action.requests or "")]
    whole = wave_script([vars(action) for action in actions], "ps1")
    assert len(commands(whole)) == 1 + len(actions)


NASTY = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("'\"`$();|&<>#\u2018\u2019\u201a\u201b\u201c\r\n\0@{}"))
)


@given(path=NASTY, scope=NASTY, title=NASTY)
@settings(max_examples=300, deadline=None)
def test_powershell_takes_any_text_as_an_argument(path: str, scope: str, title: str):
    request = Request("PATCH", f"/v1.0/{path}", {"scope": scope})
    (connect_, call) = commands(powershell([request], title, "User.Read"))
    assert connect_ == ("Connect-MgGraph", ["User.Read"])
    assert call == ("Invoke-MgGraphRequest", sent(request))


@given(path=NASTY, scope=NASTY, title=NASTY)
@settings(max_examples=200, deadline=None)
def test_a_shell_takes_any_text_as_an_argument(path: str, scope: str, title: str):
    request = Request("PATCH", f"/v1.0/{path}", {"scope": scope})
    url = f"https://graph.microsoft.com{plain(request.path)}"
    for text, option in ((curl(request, title), "--data"), (az_rest(request, title), "--body")):
        comment, line, end = text.split("\n")
        assert (comment[:2], end) == ("# ", "")
        words = shlex.split(line)
        assert json.loads(words[words.index(option) + 1]) == {"scope": scope}
        assert url in words


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_reads_every_script(sample_home: Path, tmp_path: Path):
    con = connect(tenant="sample", home=Settings(home=sample_home).home)
    write_action_files(con, tmp_path)
    con.close()
    urgent = replace(finding("secure_user", user_id=PERSON), severity="high")
    for number, name in enumerate(HOSTILE):
        actions = [vars(a) for a in made(people(user(user_principal_name=name)), urgent) if a.method]
        for kind in ("curl.sh", "az.sh"):
            (tmp_path / f"hostile-{number}.{kind}").write_text(wave_script(actions, kind), encoding="utf-8")
    scripts = sorted(tmp_path.glob("*.sh"))
    assert len(scripts) == 4 + 2 * len(HOSTILE)
    checks = [["bash", "-n"]]
    if shutil.which("shellcheck"):
        checks.append(["shellcheck", "--shell=sh", "--severity=warning"])
    for check in checks:
        for script in scripts:
            done = subprocess.run([*check, str(script)], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), (script.name, done.stdout)
    assert not any(re.search(r"\$\(|`", line) for line in scripts[-1].read_text().splitlines() if line[:1] != "#")
