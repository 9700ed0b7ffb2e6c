"""A tenant in which every text is an attack: its report shows the words and does nothing."""

from __future__ import annotations

import re

import pytest
from hostile import MARK
from reading import Reader, pages_of


def test_hostile_texts_stay_texts(hostile_report):
    for page in pages_of(hostile_report):
        text = page.read_text(encoding="utf-8")
        reader = Reader(text)
        assert not {"img", "iframe", "object", "base", "form"} & set(reader.tags)
        bare = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.S)
        assert f"<script>{MARK}" not in text
        assert f"onerror={MARK}>" not in bare
        assert "\u202e" not in text
        assert "\x07" not in text
        assert "49" not in re.findall(r"javascript[^<]{0,40}", bare)
        assert not [link for link in reader.links if "javascript" in link]
        scripts = re.findall(r"<script\b[^>]*>", text)
        assert all(
            "application/json" in s or s == "<script>" or "assets/plotly" in s or "assets/tables" in s for s in scripts
        )
        assert scripts.count("<script>") <= 3


def test_unknown_values_of_the_hostile_tenant_are_words(hostile_report):
    text = (hostile_report / "index.html").read_text(encoding="utf-8")
    assert "Risk score: unknown of 100" in text
    assert "unknown whether verified" in text
    assert "api activity (not licensed)" in text


@pytest.mark.browser
def test_hostile_texts_do_nothing(hostile_report, visit):
    paths = [
        hostile_report / "index.html",
        hostile_report / "03_data_transfer.html",
        hostile_report / "04_anomalies.html",
    ]
    for path in [*paths, min((hostile_report / "apps").iterdir())]:
        opened = visit(path)
        opened.page.locator("details").evaluate_all("all => all.forEach(d => d.open = true)")
        opened.quiet()
        assert opened.page.evaluate("window.pwned === undefined")
        assert opened.page.locator("main img, main iframe, main a[href^='javascript'], .plot a").count() == 0
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1280
