"""The card for Teams: of the shape that Adaptive Cards 1.4 asks for, within 28 KB, whatever apps are called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hostile import PAYLOAD, SHORT

from appgov_lib.delivery import forms
from appgov_lib.delivery.message import LISTED, Line, Message

TEAMS_TAKES = 28 * 1_000
"""Bytes: how large a message to Teams may be, with the card in it (Microsoft Learn, limits of webhooks)."""
MARKDOWN = (
    "[click](https://evil.example)",
    "![p](https://evil.example/p.png)",
    "**bold** _it_ ~~no~~ `code`",
    "# head",
    "- item\n- item",
    "<at>everyone</at>",
    "{{DATE(2020-01-01T00:00:00Z,SHORT)}}",
    "{{{TIME(x)}}}",
    "${$root.secret}",
    "https://evil.example/login",
)


def element(kind: str, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """A type of the schema, with nothing beside its properties."""
    return {
        "type": "object",
        "properties": {"type": {"const": kind}, **properties},
        "required": ["type", *required],
        "additionalProperties": False,
    }


TEXT = {"type": "string", "minLength": 1}
RUN = element(
    "TextRun",
    ("text",),
    text=TEXT,
    color={"enum": ["default", "dark", "light", "accent", "good", "warning", "attention"]},
    size={"enum": ["default", "small", "medium", "large", "extraLarge"]},
    weight={"enum": ["default", "lighter", "bolder"]},
)
FACT = {
    "type": "object",
    "properties": {"title": TEXT, "value": {"type": "string", "pattern": "^[0-9]+$"}},  # Markdown is read in facts
    "required": ["title", "value"],
    "additionalProperties": False,
}
CARD = element(
    "AdaptiveCard",
    ("version", "body"),
    **{"$schema": {"const": "http://adaptivecards.io/schemas/adaptive-card.json"}},
    version={"const": "1.4"},
    body={
        "type": "array",
        "minItems": 2,
        "items": {
            "oneOf": [
                element("RichTextBlock", ("inlines",), inlines={"type": "array", "minItems": 1, "items": RUN}),
                element("FactSet", ("facts",), facts={"type": "array", "minItems": 1, "items": FACT}),
            ]
        },
    },
    actions={
        "type": "array",
        "maxItems": 1,
        "items": element(
            "Action.OpenUrl", ("url",), title=TEXT, url={"type": "string", "pattern": "^https://r.example/"}
        ),
    },
)
"""What of the schema of Adaptive Cards 1.4 is used (adaptivecards.io), closed: nothing else may stand in a card."""
MESSAGE = element(
    "message",
    ("attachments",),
    attachments={
        "type": "array",
        "minItems": 1,
        "maxItems": 1,
        "items": {
            "type": "object",
            "properties": {
                "contentType": {"const": "application/vnd.microsoft.card.adaptive"},
                "contentUrl": {"type": "null"},
                "content": CARD,
            },
            "required": ["contentType", "content"],
            "additionalProperties": False,
        },
    },
)


def message(name: str, *, failed: bool = False, lines: int = LISTED, gaps: int = 40) -> Message:
    """A message in which every word that can be a stranger's is `name`."""
    return Message(
        "contoso",
        "2026-11-15",
        4,
        name * 3 or "Done.",
        failed=failed,
        open=None if failed else {"critical": 1, "high": 2, "medium": 3, "low": 4, "info": 5},
        states={"new": 9},
        lines=tuple(Line(("critical", "high", "info")[n % 3], "new", name, name) for n in range(lines)),
        more=3,
        gaps=tuple(f"{name} {n}" for n in range(gaps)),
        folder=Path("r"),
    )


def strings(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a card, with the type and key it stands under."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, f"{value.get('type', '')}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, place)
    elif isinstance(value, str):
        yield place, value


@pytest.mark.parametrize("name", [*MARKDOWN, PAYLOAD, SHORT, "", "x" * 5_000, "\U0001f600" * 500, '\\"\x00\u202e' * 90])
def test_every_card_is_a_card_and_fits(name: str) -> None:
    for told in (message(name), message(name, lines=0, gaps=0), message(name, failed=True)):
        card = forms.as_card(told, "https://r.example/c")
        jsonschema.validate(card, MESSAGE)
        assert len(json.dumps(card).encode()) < TEAMS_TAKES
        for place, text in strings(card):
            if place == "TextRun.text":  # neither Markdown nor links are read in runs, functions of the card are
                assert "{{" not in text
            else:
                assert "evil" not in text, place
                assert place == "Action.OpenUrl.url" or "](" not in text


def test_what_does_not_fit_is_counted() -> None:
    card = json.dumps(forms.as_card(message("\U0001f600" * 500)), ensure_ascii=False)
    shown = card.count("critical ") + card.count("high ") + card.count("info ")
    assert 0 < shown < LISTED
    assert f"and {3 + LISTED - shown} more" in card
    small = forms.as_card(message("An app"))
    assert "and 3 more" in json.dumps(small)


@pytest.mark.parametrize("base", ["http://r.example", "javascript:alert(1)//", ""])
def test_a_button_leads_to_https_alone(base: str) -> None:
    card = forms.as_card(replace(message("An app"), failed=False), base)
    assert "actions" not in card["attachments"][0]["content"]
