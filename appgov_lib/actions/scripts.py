"""A request as text to paste into a shell. Everything in it may come from a stranger, so everything is quoted."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Sequence

from appgov_lib.actions.requests import Request

# PowerShell ends a single-quoted text at any of these, the typographic ones too; doubled they stand for themselves.
_POWERSHELL_QUOTES = re.compile("(['\u2018\u2019\u201a\u201b])")
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: str) -> str:
    """`text` on one line: control, format and line-separating characters become blanks."""
    # printable text has none of them; most text is, and a plan holds a hundred thousand texts
    if text.isprintable():
        return text
    return "".join(" " if unicodedata.category(character) in _DROPPED else character for character in text)


PSEUDONYMISED = "# Pseudonymised: "


def pseudonymised(action_id: str) -> str:
    """What stands in place of a script that names a person, in a report that shows none."""
    return (
        f"{PSEUDONYMISED}this action names a person, so it cannot be run from here.\n"
        f"# The plan itself holds the real ids. Where it is: appgov actions apply --ids {plain(action_id)}\n"
    )


Requests = Request | Sequence[Request]


def _each(requests: Requests) -> Sequence[Request]:
    """One request or several as several."""
    return [requests] if isinstance(requests, Request) else requests


def powershell(requests: Requests, title: str, permission: str) -> str:
    """The requests for the Microsoft Graph PowerShell SDK; the title stands in a comment."""
    scopes = ",".join(_quoted(name) for name in permission.split(", "))
    lines = [f"# {plain(title)}", f"Connect-MgGraph -Scopes {scopes}"]
    for request in _each(requests):
        parts = [f"Invoke-MgGraphRequest -Method {request.method} -Uri {_quoted(request.path)}"]
        if request.body is not None:
            parts.append(f"-ContentType 'application/json' -Body {_quoted(request.text)}")
        lines.append(" ".join(parts))
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A PowerShell single-quoted text: nothing in it is expanded."""
    return "'" + _POWERSHELL_QUOTES.sub(r"\1\1", plain(text)) + "'"


def curl(requests: Requests, title: str) -> str:
    """The requests for curl in a POSIX shell, with the token from the variable TOKEN."""
    lines = [f"# {plain(title)}"]
    for request in _each(requests):
        parts = ["curl --fail-with-body", f"--request {request.method}", '--header "Authorization: Bearer $TOKEN"']
        if request.body is not None:
            parts.append("--header 'Content-Type: application/json'")
            parts.append(f"--data {shlex.quote(request.text)}")
        parts.append(shlex.quote(f"https://graph.microsoft.com{plain(request.path)}"))
        lines.append(" ".join(parts))
    return "\n".join(lines) + "\n"


def az_rest(requests: Requests, title: str) -> str:
    """The requests for `az rest` in a POSIX shell, as the one who signed in to the Azure CLI."""
    lines = [f"# {plain(title)}"]
    for request in _each(requests):
        parts = [f"az rest --method {request.method.lower()}"]
        parts.append(f"--url {shlex.quote(f'https://graph.microsoft.com{plain(request.path)}')}")
        if request.body is not None:
            # az reads a body that starts with @ from a file; one that starts with { never does
            parts.append("--headers 'Content-Type=application/json'")
            parts.append(f"--body {shlex.quote(request.text)}")
        lines.append(" ".join(parts))
    return "\n".join(lines) + "\n"
