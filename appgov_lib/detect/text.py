"""Texts as TOML writes them."""

from __future__ import annotations

import json
import re


def quoted(text: str) -> str:
    """A text as a TOML string; these are JSON's but for DEL and lone surrogates."""
    sound = text.encode("utf-8", "replace").decode("utf-8")
    return re.sub("\x7f", r"\\u007f", json.dumps(sound, ensure_ascii=False))
