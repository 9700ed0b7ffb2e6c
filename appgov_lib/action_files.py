"""The action plan as files to work with: a script for each wave, tickets for apps and owners, campaigns.

File names are made from ids or hashes, never from a name. Texts that strangers chose stay on their line, and lose the
signs by which a ticket system would make links, pictures or code of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from appgov_lib import formats
from appgov_lib.actions.chosen import from_record
from appgov_lib.actions.requests import Request
from appgov_lib.actions.scripts import PSEUDONYMISED, az_rest, curl, plain, powershell, pseudonymised
from appgov_lib.errors import ConfigError
from appgov_lib.exports import ACTION_COLUMNS, Rows, actions_of, table_csv
from appgov_lib.settings import private_write

Row = Mapping[str, Any]
WAVES = {1: "safe", 2: "review"}
NOBODY = "(no owner known)"
MOST_TICKETS = 500
"""Of apps and of owners; nobody opens thousands of files. Those of the first actions of the plan are written."""
_ID = re.compile(r"[0-9a-fA-F-]{36}").fullmatch
_INERT = str.maketrans({"[": "(", "]": ")", "<": "(", ">": ")", "`": "'", "|": "/", "*": " ", "#": " ", "\\": "/"})
_MENTION = re.compile(r"(^|\s)@(?=\w)")
_HEADS = {
    "ps1": "$ErrorActionPreference = 'Stop'\nConnect-MgGraph -Scopes {scopes}\n",
    "curl.sh": 'set -eu\n: "${{TOKEN:?set it to an access token with {words}}}"\n',
    "az.sh": "set -eu\n",
}


def write_action_files(con: duckdb.DuckDBPyConnection, folder: Path, plan: Rows | None = None) -> None:
    """Write everything into `folder`; the same bytes for the same plan. `plan` is the one read before, if it was."""
    rows = actions_of(con) if plan is None else plan
    for name, content in action_files([dict(zip(ACTION_COLUMNS, row, strict=True)) for row in rows]).items():
        private_write(folder / name, content, durable=False)


def action_files(actions: Sequence[Row]) -> dict[str, bytes]:
    """Content by name."""
    files: dict[str, bytes] = {}
    for wave, word in WAVES.items():
        chosen = [action for action in actions if action["wave"] == wave]
        requests = [_requests_of(action) for action in chosen]
        for kind in _HEADS:
            files[f"wave-{wave}-{word}.{kind}"] = wave_script(chosen, kind, requests).encode()
    by_app = _grouped(actions, lambda action: [action["service_principal_id"] or "tenant"])
    for key, group in _most_urgent(by_app).items():
        files[f"tickets/app-{_file_name(key)}.txt"] = app_ticket(group).encode()
    of_apps = [action for action in actions if action["app_id"]]  # people and settings have no owner to ask
    by_owner = _grouped(of_apps, lambda action: action["owners"] or [NOBODY])
    for owner, group in _most_urgent(by_owner).items():
        files[f"tickets/owner-{_file_name(owner)}.txt"] = owner_ticket(owner, group).encode()
    if max(len(by_app), len(by_owner)) > MOST_TICKETS:
        files["tickets/README.txt"] = _left_out(len(by_app), len(by_owner)).encode()
    files["owner-attestation.csv"] = _attestation(by_owner)
    files["campaigns.csv"] = _campaigns(actions, by_owner)
    return files


# ---- scripts ---------------------------------------------------------------------------------------------------------


def wave_script(actions: Sequence[Row], kind: str, requests: Sequence[list[Request] | None] | None = None) -> str:
    """One script for a wave: `ps1`, `curl.sh` or `az.sh`. It runs from top to bottom and stops at the first error.

    `requests` are those of each action where they were read before.
    """
    requests = [_requests_of(action) for action in actions] if requests is None else requests
    scopes = sorted({plain(str(action["permission_needed"])) for action in actions if action["permission_needed"]})
    quoted = ",".join("'" + re.sub(r"[^A-Za-z0-9._]", "", scope) + "'" for scope in scopes) or "'User.Read'"
    words = re.sub(r"[^A-Za-z0-9._ ]", "", " ".join(scopes))
    parts = [
        "# Read it before you run it. It sends what the plan holds and does not look at the tenant first;",
        "# `appgov actions apply` compares, keeps a journal and can take back.",
        _HEADS[kind].format(scopes=quoted, words=words or "no permission"),
    ]
    parts += [_script_of(action, sent, kind) for action, sent in zip(actions, requests, strict=True)]
    return "\n".join(parts)


def _requests_of(action: Row) -> list[Request] | None:
    """The requests of one action; None where one is not of those appgov sends."""
    try:
        planned = from_record({**action, "body": None, "requests": json.loads(action["requests"] or "[]")})
    except (ConfigError, ValueError):
        return None
    return [part.request for part in planned.parts]


def _script_of(action: Row, requests: list[Request] | None, kind: str) -> str:
    """The requests of one action; one that appgov would not send is left out, and the script says so."""
    title = f"{action['priority']}. {plain(str(action['title']))} (action {plain(str(action['action_id']))})"
    if str(action["curl"] or "").startswith(PSEUDONYMISED):
        return f"# {title}\n{pseudonymised(str(action['action_id']))}"
    if requests is None:
        return f"# {title}\n# left out: it holds a request that appgov does not send\n"
    if not requests:
        return f"# {title}\n# left out: a person has to act\n"
    if kind == "ps1":
        # signed in once at the top
        lines = powershell(requests, title, "").splitlines()
        return "\n".join([lines[0], *lines[2:]]) + "\n"
    return curl(requests, title) if kind == "curl.sh" else az_rest(requests, title)


# ---- tickets ---------------------------------------------------------------------------------------------------------


def inert(text: Any) -> str:
    """A text on one line without the signs that a ticket system makes links, pictures, mentions or code of."""
    line = plain(str(text)).translate(_INERT).replace("://", ":// ")
    return _MENTION.sub(r"\1(at) ", line) if "@" in line else line


def app_ticket(actions: Sequence[Row]) -> str:
    """Everything to do about one app."""
    first = actions[0]
    owners = ", ".join(inert(owner) for owner in first["owners"] or []) or NOBODY
    lines = [
        f"App governance: {inert(first['display_name'])}",
        f"App id: {inert(first['app_id'] or 'none, it is about a person or the tenant')}",
        f"Publisher: {inert(first['publisher_name'] or 'unknown')}",
        f"Owners: {owners}",
        f"Calls in 30 days: {_known(first['calls_30d'])}",
        "",
    ]
    for action in actions:
        lines += _told(action)
    return "\n".join(lines) + "\n"


def owner_ticket(owner: str, actions: Sequence[Row]) -> str:
    """What one owner is asked, about all their apps."""
    lines = [f"App governance: questions to {inert(owner)}", ""]
    for apps in _grouped(actions, lambda action: [action["service_principal_id"] or "tenant"]).values():
        first = apps[0]
        lines += [
            f"{inert(first['display_name'])} (app id {inert(first['app_id'] or 'none')})",
            "  Do you answer for this app?  [ ] yes  [ ] no, ask: ____________",
            "  Is it still needed?          [ ] yes, until: __________  [ ] no, it may go",
        ]
        lines += [
            f"  {inert(action['title'])}: {inert(action['why'])}  [ ] go ahead  [ ] no, because: ____"
            for action in apps
        ]
        lines.append("")
    return "\n".join(lines) + "\n"


def _told(action: Row) -> list[str]:
    """One action in a ticket."""
    undo = "" if action["reversible"] is not False else " It cannot be undone."
    lines = [
        f"{action['priority']}. {inert(action['title'])}",
        f"   Severity {inert(action['severity'])}, {inert(action['disposition'])}, effort {inert(action['effort'])}; "
        f"users affected: {_known(action['affected_users'])}.{undo}",
        f"   Why: {inert(action['why'])}",
    ]
    lines += [f"   {number}) {inert(step)}" for number, step in enumerate(action["steps"] or [], start=1)]
    lines.append(f"   Check: {inert(action['verify'])}")
    if action["method"]:
        lines.append(f"   Dry run: appgov actions apply --ids {_file_name(str(action['action_id']))}")
    return [*lines, ""]


def _known(value: Any) -> str:
    """A number, or that nobody knows."""
    return formats.UNKNOWN if value is None else formats.fewer(-value) if value < 0 else str(value)


# ---- lists -----------------------------------------------------------------------------------------------------------


def _attestation(by_owner: Mapping[str, Sequence[Row]]) -> bytes:
    """Each owner and app on a line, with columns to answer in."""
    columns = ("owner", "app", "app_id", "actions", "what_would_change", "answers_for_it", "still_needed", "comment")
    rows = []
    for owner, actions in by_owner.items():
        for apps in _grouped(actions, lambda action: [action["service_principal_id"] or "tenant"]).values():
            first, titles = apps[0], "; ".join(plain(str(action["title"])) for action in apps)
            values = (owner, first["display_name"], first["app_id"], len(apps), titles, "", "", "")
            rows.append(dict(zip(columns, values, strict=True)))
    return table_csv(columns, rows)


def _campaigns(actions: Sequence[Row], by_owner: Mapping[str, Sequence[Row]]) -> bytes:
    """Groups worth doing together: all of one owner, all of one publisher; most risk removed first."""
    by_publisher = _grouped(actions, lambda action: [action["publisher_name"]] if action["publisher_name"] else [])
    columns = ("campaign_by", "name", "apps", "actions", "safe_actions", "risk_removed", "action_ids")
    rows = []
    for kind, groups in (("owner", by_owner), ("publisher", by_publisher)):
        for name, group in groups.items():
            values = (
                kind,
                name,
                len({action["service_principal_id"] for action in group}),
                len(group),
                sum(action["disposition"] == "safe" for action in group),
                round(sum(action["risk_removed"] or 0.0 for action in group), 1),
                [action["action_id"] for action in group],
            )
            rows.append(dict(zip(columns, values, strict=True)))
    return table_csv(columns, sorted(rows, key=lambda row: (-float(str(row["risk_removed"])), str(row["name"]))))


def _most_urgent(groups: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    """The groups that get a ticket: those whose first action comes first in the plan, in the order of their keys."""
    first = sorted(groups, key=lambda key: (int(groups[key][0]["priority"]), key))[:MOST_TICKETS]
    return {key: groups[key] for key in sorted(first)}


def _left_out(apps: int, owners: int) -> str:
    """What the folder of tickets says where not everyone got one."""
    return (
        f"Tickets are written for the first {MOST_TICKETS:,} of {apps:,} apps and of {owners:,} owners, in the order "
        "of the plan.\nEvery action is in actions.csv and actions.json of the report, every owner and app in "
        "owner-attestation.csv,\nand `appgov actions show ID` prints any action.\n"
    )


def _grouped(actions: Iterable[Row], keys: Any) -> dict[str, list[Row]]:
    """Actions by each of their keys, keys in order."""
    found: dict[str, list[Row]] = {}
    for action in actions:
        for key in keys(action):
            found.setdefault(str(key), []).append(action)
    return dict(sorted(found.items()))


def _file_name(key: str) -> str:
    """A part of a file name: an id as it is, anything else as a hash of it."""
    return key.lower() if _ID(key) or re.fullmatch("[0-9a-f]{16}|tenant", key) else _hash(key)


def _hash(key: str) -> str:
    """Sixteen hex digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
