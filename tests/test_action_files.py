"""Scripts, tickets and lists of the plan: what they hold, and that no name gets out of its place."""

from __future__ import annotations

import csv
import io
import random
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_actions_kinds import APP, EMPTY, ROLE, ROW, SP, finding

from appgov_lib.action_files import WAVES, action_files, inert
from appgov_lib.actions.facts import Facts
from appgov_lib.actions.planner import actions_for

ALPHABET = "'\"`$(){}[]<>|&;\\/.~!#%^*=+-@, \t\r\n\x00\x1b\x85\u2018\u2019\u201b\u2028\u202e\uff1d\U000e0041aZ0é"
_draw = random.Random(7)
GENERATED = ["".join(_draw.choice(ALPHABET) for _ in range(40)) for _ in range(40)]
HOSTILE = [
    "'; Remove-Item -Recurse / #",
    "\u2019; Stop-Computer; \u2018",
    '$(reboot) `reboot` "$HOME" ${IFS}',
    "x\r\nInvoke-Evil\n#>\nInvoke-Evil",
    "../../../../etc/passwd",
    "..\\..\\windows\\system32",
    "CON",
    '=HYPERLINK("http://evil.example","x")',
    "@everyone [click](javascript:alert(1)) ![x](http://evil.example/x.png) <img src=x onerror=1>",
    "{app} %s {0.__class__}",
    "\u202egnp.exe\x1b[31m",
    *GENERATED,
]


def facts(name: str) -> Facts:
    """An app, its owner, its publisher, a grant and a person, all of this name."""
    grant = {"service_principal_id": SP, "resource_id": ROLE, "consent_type": "Principal", "principal_name": name}
    grant |= {"grant_id": "g1", "principal_id": "u1", "scopes": [name or "x", "Mail.Read"]}
    mail = {"permission": "Mail.Read", "permission_type": "delegated", "resource_id": ROLE, "usage": "used"}
    wanted = (
        replace(finding("remove_user_grants", permissions=[mail]), reason=name),
        finding("disable_unused_app", number=2),
        finding("review", number=3),
    )
    app = {**ROW, "display_name": name, "publisher_name": name}
    return replace(
        EMPTY, findings=wanted, apps={SP: app}, grants={SP: (grant,)}, owners={SP: (name, "ada@example.org")}
    )


def files(name: str = "Payroll Sync") -> dict[str, bytes]:
    """The files of its plan."""
    return action_files([{**vars(action), "owners": list(action.owners)} for action in actions_for(facts(name))])


def table(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_each_wave_has_its_scripts_and_each_app_and_owner_a_ticket():
    found = files()
    scripts = {f"wave-{wave}-{word}.{kind}" for wave, word in WAVES.items() for kind in ("ps1", "curl.sh", "az.sh")}
    assert scripts < set(found)
    assert f"tickets/app-{SP}.txt" in found
    assert sum(name.startswith("tickets/owner-") for name in found) == 2
    safe, review = found["wave-1-safe.ps1"].decode(), found["wave-2-review.ps1"].decode()
    assert ("accountEnabled" in safe, "oauth2PermissionGrants" in safe) == (True, False)
    assert ("accountEnabled" in review, "oauth2PermissionGrants" in review) == (False, True)
    assert safe.count("Connect-MgGraph") == 1


def test_an_app_ticket_says_what_why_whom_and_how_to_check():
    text = files()[f"tickets/app-{SP}.txt"].decode()
    for part in ("Payroll Sync", APP, "Publisher: Payroll Sync", "1200", "Why: ",
                 "1) Announce", "Check: GET", "Dry run: appgov actions apply --ids ", "Owners: "):  # fmt: skip
        assert part in text


def test_owners_are_asked_and_apps_without_one_are_not_lost():
    rows = table(files()["owner-attestation.csv"])
    assert [(row["owner"], row["actions"], row["still_needed"]) for row in rows] == [
        ("Payroll Sync", "3", ""),
        ("ada@example.org", "3", ""),
    ]
    lonely = replace(facts("x"), owners={})
    plan = [{**vars(action), "owners": list(action.owners)} for action in actions_for(lonely)]
    assert {row["owner"] for row in table(action_files(plan)["owner-attestation.csv"])} == {"(no owner known)"}


def test_campaigns_put_the_most_risk_first():
    rows = table(files()["campaigns.csv"])
    assert {(row["campaign_by"], row["name"]) for row in rows} == {
        ("owner", "Payroll Sync"),
        ("owner", "ada@example.org"),
        ("publisher", "Payroll Sync"),
    }
    risks = [float(row["risk_removed"]) for row in rows]
    assert risks == sorted(risks, reverse=True)
    assert all(len(row["action_ids"].split("; ")) == int(row["actions"]) for row in rows)


def test_the_same_plan_gives_the_same_bytes():
    assert files() == files()
    assert all(content for content in action_files([]).values())


# Names of strangers


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_out_of_paths_lines_links_and_formulas(name: str):
    found = files(name)
    plain = files()
    for path, content in found.items():
        assert re.fullmatch(r"(tickets/)?[a-z0-9.-]+", path), path
        assert ".." not in path
        text = content.decode("utf-8-sig")
        allowed = {"\n", "\r"} if path.endswith(".csv") else {"\n"}
        assert not [c for c in text if (ord(c) < 32 or c in "\x7f\x85\u2028\u2029\u202e") and c not in allowed], path
    for path in plain:
        if path.endswith((".ps1", ".sh")):
            # every line is what it is for an ordinary name, but for what stands in comments and quotes
            ours, theirs = plain[path].decode().splitlines(), found[path].decode().splitlines()
            assert [line[:12] for line in ours if line[:1] != "#"] == [line[:12] for line in theirs if line[:1] != "#"]
            assert len(ours) == len(theirs)
    ticket = found[f"tickets/app-{SP}.txt"].decode()
    assert not set("[]<>`|") & set(ticket.replace("[ ]", ""))
    assert not re.search(r"\w://\w|(^|\s)@\w", ticket)
    for path in ("owner-attestation.csv", "campaigns.csv"):
        for row in table(found[path]):
            assert not [
                v
                for v in row.values()
                if v.lstrip()[:1] in set("=+-@") and not v.lstrip("-").replace(".", "").isdigit()
            ]


@pytest.mark.parametrize("name", HOSTILE)
def test_powershell_quotes_close_where_they_open(name: str):
    for path in ("wave-1-safe.ps1", "wave-2-review.ps1"):
        for line in files(name)[path].decode().splitlines():
            if line.startswith("Invoke-"):
                for quote in "\u2018\u2019\u201a\u201b":
                    line = line.replace(quote, "'")
                # an even number of quotes, and outside of them nothing but our own words
                outside = re.sub(r"'(?:[^']|'')*'", "", line)
                assert re.fullmatch(r"Invoke-MgGraphRequest -Method [A-Z]+ -Uri (?: -ContentType  -Body )?", outside), (
                    outside
                )


@pytest.mark.skipif(not shutil.which("sh"), reason="needs a POSIX shell")
def test_a_shell_runs_exactly_the_requests(tmp_path: Path):
    for tool in ("curl", "az"):
        shim = tmp_path / tool
        shim.write_text(f'#!/bin/sh\nprintf "%s\\n" "$#" >> "{tmp_path}/calls"\n')
        shim.chmod(0o755)
    marker = tmp_path / "pwned"
    evil = [*HOSTILE, f"'; touch {marker}; '", f"$(touch {marker})", f"`touch {marker}`", f"\n touch {marker}\n"]
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TOKEN": "t"}
    wanted = []
    script = ""
    for name in evil:
        found = files(name)
        for path, arguments in (("wave-2-review.curl.sh", 10), ("wave-2-review.az.sh", 9)):
            script += f"(\n{found[path].decode()}\n)\n"
            wanted.append(arguments)
    done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    calls = [int(line) for line in (tmp_path / "calls").read_text().split()]
    assert len(calls) == len(wanted)
    assert len(set(calls[::2])) == len(set(calls[1::2])) == 1
    assert not marker.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["az", "calls", "curl"]


def test_a_request_that_is_not_ours_is_left_out_and_said():
    (action, *_) = [{**vars(action), "owners": []} for action in actions_for(facts("x"))]
    foreign: dict[str, Any] = {**action, "wave": 1, "requests": '[{"method":"DELETE","path":"/v1.0/users/x"}]'}
    text = action_files([foreign])["wave-1-safe.curl.sh"].decode()
    assert "left out: it holds a request that appgov does not send" in text
    assert "users/x" not in text


@pytest.mark.parametrize("text", ["[a](b)", "<b>", "`x`", "see https://evil.example", "@all", "a | b", "# head", "* x"])
def test_inert_texts_make_no_markup(text: str):
    assert not set("[]<>`|*#") & set(inert(text))
    assert "://e" not in inert(text)
    assert not inert(text).startswith("@")
