"""Reading a report's pages the way a program does: what they load, where they lead, how they are built."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


class Reader(HTMLParser):
    """Collects what a page loads, its headings and its ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {k: v or "" for k, v in attrs}
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        if tag in {"script", "img", "iframe", "link", "source", "object", "embed"}:
            self.loads += [found[k] for k in ("src", "href", "data") if k in found]
        elif "href" in found:
            self.links.append(found["href"])
        assert not [k for k in found if k.startswith("on")], f"{tag} has an event handler"


def pages_of(report: Path) -> list[Path]:
    """Every page of a report."""
    found = sorted(report.rglob("*.html"))
    assert len(found) >= 12
    return found
