"""A message in the forms that carry it: plain text, mail HTML, an adaptive card, JSON.

Names of apps are a stranger's words. In text they are one line without control characters, in HTML they are escaped,
in a card they stand in runs, which know no Markdown and make no links.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from appgov_lib import __version__
from appgov_lib.delivery.message import Line, Message
from appgov_lib.templating import render
from appgov_lib.terminal import clean

COLOURS = {"critical": "attention", "high": "attention", "medium": "warning", "low": "default", "info": "default"}
CARD_GAPS = 8
CARD_WORDS = 500
"""Characters of the sentence on a card."""
LARGEST_CARD = 27_000
"""Bytes of a card with what carries it: Teams takes 28 KB."""


def link_to(message: Message, base: str) -> str:
    """Where a reader opens the report; empty where no base is set or there is no report."""
    return f"{base.rstrip('/')}/{message.as_of}/index.html" if base and message.folder else ""


def as_text(message: Message, base: str = "") -> str:
    """Plain text."""
    parts = [message.title, "", message.sentence, ""]
    parts += [f"{name + ':':<22} {value}" for name, value in message.numbers]
    if message.lines:
        parts += ["", "New or back this week:"]
        parts += [f"- {line.severity}: {line.title}: {line.app}" for line in message.lines]
    if message.more:
        parts.append(f"and {message.more} more")
    if message.gaps:
        parts += ["", "Not read whole, so nothing said of it is an all-clear:", *(f"- {gap}" for gap in message.gaps)]
    where = link_to(message, base)
    if where:
        parts += ["", f"Report: {where}"]
    return "\n".join(parts) + "\n"


def as_html(message: Message, base: str = "", note: str = "") -> str:
    """The HTML of a mail: no script, no picture, nothing from the network; `note` is said at its end."""
    return render("mail.html.j2", message=message, link=link_to(message, base), note=note)


def as_json(message: Message, base: str = "") -> dict[str, Any]:
    """What the generic webhook is given; the names of its fields are part of the interface."""
    return {
        "schema": "appgov.run/1",
        "version": __version__,
        "tenant": message.tenant,
        "as_of": message.as_of,
        "exit_code": message.exit_code,
        "failed": message.failed,
        "title": message.title,
        "sentence": message.sentence,
        "open_findings": dict(message.open) if message.open is not None else None,
        "states": dict(message.states) if message.states is not None else None,
        "changed": [vars(line) for line in message.lines],
        "changed_not_listed": message.more,
        "not_read_whole": list(message.gaps),
        "actions": message.actions,
        "link": link_to(message, base) or None,
    }


def as_card(message: Message, base: str = "") -> dict[str, Any]:
    """The body a Teams workflow takes: a message with one adaptive card, with as many findings as fit in."""
    message = replace(
        message,
        sentence=clean(message.sentence, CARD_WORDS),
        gaps=(*(clean(gap, 80) for gap in message.gaps),),
    )
    while len(json.dumps(card := _card(message, base))) > LARGEST_CARD and message.lines:
        message = replace(message, lines=message.lines[:-1], more=message.more + 1)
    return card


def _card(message: Message, base: str) -> dict[str, Any]:
    """The message with one adaptive card."""
    body: list[dict[str, Any]] = [
        _runs([_run(message.title, size="large", weight="bolder")]),
        _runs([_run(message.sentence, color="attention" if message.failed else "default")]),
    ]
    if message.numbers:
        body.append({"type": "FactSet", "facts": [{"title": n, "value": v} for n, v in message.numbers]})
    body += [_line(line) for line in message.lines]
    if message.more:
        body.append(_runs([_run(f"and {message.more} more")]))
    if message.gaps:
        shown = ", ".join(message.gaps[:CARD_GAPS])
        rest = f" and {len(message.gaps) - CARD_GAPS} more" if len(message.gaps) > CARD_GAPS else ""
        body.append(_runs([_run(f"Not read whole: {shown}{rest}", color="warning")]))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    where = link_to(message, base)
    if where.startswith("https://"):
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the report", "url": where}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _line(line: Line) -> dict[str, Any]:
    """One finding on a card."""
    severity = _run(f"{line.severity} ", weight="bolder", color=COLOURS[line.severity])
    return _runs([severity, _run(f"{line.title}: {line.app}")])


def _runs(inlines: list[dict[str, Any]]) -> dict[str, Any]:
    """A paragraph."""
    return {"type": "RichTextBlock", "inlines": inlines}


def _run(text: str, **style: str) -> dict[str, Any]:
    """Text as it is; two braces would be taken for a function of the card."""
    return {"type": "TextRun", "text": re.sub(r"\{(?=\{)", "{ ", text), **style}
