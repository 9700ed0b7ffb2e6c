"""What a kind of action is put into words with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """Texts with named places, e.g. {app}; `planner` fills them."""

    title: str
    steps: tuple[str, ...]
    verify: str
    effort: str
    """low: one request; medium: a question to the owner first; high: work by the app's team."""


RESOLVED = "the next build reports the finding as resolved."
