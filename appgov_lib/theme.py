"""Colours and the shape shared by all charts.

Each token has three values: one for light pages, one for dark pages, and one legible on both. A figure carries
the third, so that it can be read wherever a notebook is opened; report pages exchange it for the exact one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SEVERITIES = ("critical", "high", "medium", "low", "info")
SEVERITY_LETTERS = {"critical": "C", "high": "H", "medium": "M", "low": "L", "info": "i"}
LEVELS = ("high", "medium", "low", "none")


@dataclass(frozen=True)
class Token:
    """One colour in its three values (hexadecimal)."""

    light: str
    """On `#ffffff`."""
    dark: str
    """On `#12171d`."""
    both: str
    """At least 3:1 on either; what figures hold."""


TOKENS: dict[str, Token] = {
    "text": Token("#1b1f24", "#e6e9ee", "#757d87"),
    "muted": Token("#57606a", "#9aa4b2", "#78818c"),
    "grid": Token("#e3e7ec", "#2b333d", "#8a929c40"),
    "series-1": Token("#1b66b0", "#6fb3ff", "#3d85c8"),
    "series-2": Token("#a8500b", "#ffab5e", "#c8721f"),
    "series-3": Token("#0e7569", "#4fd1bf", "#1f958a"),
    "series-4": Token("#74489e", "#c8a4ff", "#9470c6"),
    "previous": Token("#7b8592", "#8d97a5", "#7f8894"),
    "band": Token("#d3e3f3", "#22384f", "#3d85c833"),
    "surface": Token("#ffffff", "#12171d", "#ffffff00"),
    "on-fill": Token("#ffffff", "#12171d", "#fefefe"),
    "flag": Token("#c02a1d", "#ff8a5c", "#de5747"),
    "critical": Token("#5b0f2d", "#ff5c8a", "#c23c6a"),
    "high": Token("#c02a1d", "#ff8a5c", "#dd5644"),
    "medium": Token("#b87300", "#ffd166", "#b47a17"),
    "low": Token("#2f6f9f", "#5aa9e6", "#4583b4"),
    "info": Token("#7d8794", "#a9b4c2", "#7e8795"),
}
SERIES = ("series-1", "series-2", "series-3", "series-4")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def colour(token: str) -> str:
    """Return the value of `token` that figures hold."""
    return TOKENS[token].both


def exchange() -> dict[str, dict[str, str]]:
    """Return, for each page theme, the colours a figure holds and those to draw instead."""
    return {
        "light": {t.both: t.light for t in TOKENS.values()},
        "dark": {t.both: t.dark for t in TOKENS.values()},
    }


def relative_luminance(colour_text: str) -> float:
    """Return WCAG 2 relative luminance (0-1) of `#rrggbb`."""
    parts = [int(colour_text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the WCAG 2 contrast ratio (1-21) of two colours."""
    brighter, darker = sorted((relative_luminance(one), relative_luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def layout(height: int, margin: Sequence[int] = (8, 16, 40, 56)) -> dict[str, Any]:
    """Return the layout every chart starts from; `margin` is top, right, bottom, left in pixels."""
    axis = {
        "gridcolor": colour("grid"),
        "linecolor": colour("previous"),
        "tickfont": {"color": colour("muted"), "size": 14},
        "title": {"font": {"color": colour("muted"), "size": 14}, "standoff": 8},
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
    }
    top, right, bottom, left = margin
    return {
        "template": {"layout": {"xaxis": axis, "yaxis": axis}},
        "height": height,
        "margin": {"t": top, "r": right, "b": bottom, "l": left},
        "font": {"family": FONT, "size": 14, "color": colour("text")},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "hovermode": "closest",
        "bargap": 0.32,
        "dragmode": False,
    }
