"""How a name reads: letters that look like Latin ones, of whichever alphabet, are taken for those.

Which letters look alike is Unicode's list (Technical Standard 39), as the package confusable-homoglyphs ships it;
`reference/confusable_letters.csv` adds what that list does not hold and people mix up all the same, such as small
capitals, or digits for letters. The models ask these functions by name while they are built.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from functools import cache
from importlib import resources

from confusable_homoglyphs import categories, confusables

FUNCTIONS = ("name_skeleton", "disguised_word", "readable_domain")
"""What SQL may call: each takes a text and returns a text, NULL only for NULL."""
_DRAWN_TOGETHER = (("rn", "m"), ("vv", "w"))


@cache
def unicode_letters() -> dict[str, str]:
    """Each letter that Unicode's list holds to look like Latin letters or digits, and those."""
    found = {}
    for letter, alike in confusables.confusables_data.items():
        plain = sorted(entry["c"] for entry in alike if entry["c"].isascii() and entry["c"].isalnum())
        if plain and len(letter) == 1 and not letter.isascii():
            found[letter] = plain[0]
    return found


@cache
def own_letters() -> dict[str, str]:
    """The letters of our own table."""
    with (resources.files("appgov_lib") / "reference" / "confusable_letters.csv").open(encoding="utf-8") as handle:
        return {row["letter"]: row["looks_like"] for row in csv.DictReader(handle)}


@cache
def _as_read(letter: str) -> str:
    """The small Latin letters that a letter is read as, or the letter itself in small, without accents."""
    # the letter as it is comes first: compatibility forms of some are read differently (a lunate sigma is a c)
    for form in (letter, letter.casefold()):
        for letters in (unicode_letters(), own_letters()):
            if form in letters:
                plain = letters[form].casefold()
                return "".join(own_letters().get(sign, sign) for sign in plain)
    parts = [part for part in unicodedata.normalize("NFKD", letter) if unicodedata.category(part)[0] != "M"]
    return letter.casefold() if parts == [letter] else "".join(map(_as_read, parts))


def name_skeleton(name: str) -> str:
    """What is left of a name for comparing: two names that read alike have one skeleton.

    Accents, blanks, signs and invisible letters do not count, nor do capitals. `m` and `rn` are one, and so are `l`,
    `i` and `1`.
    """
    read = "".join(map(_as_read, unicodedata.normalize("NFC", name)))
    for two, one in _DRAWN_TOGETHER:
        read = read.replace(two, one)
    return "".join(letter for letter in read if letter.isalnum())


def disguised_word(name: str) -> str:
    """The first word of a name that mixes plain Latin letters with look-alikes of them; empty where there is none.

    A word wholly in another alphabet is a word of another language.
    """
    for word in re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", name)):
        if any(map(str.isascii, word)) and any(map(_is_stranger, word)):
            return str(word)
    return ""


def _is_stranger(letter: str) -> bool:
    """Whether a letter looks like a plain one and is not: of another alphabet, for formulas or of another width."""
    if letter.isascii() or unicodedata.category(letter) not in ("Ll", "Lu", "Nl"):
        return False
    if categories.alias(letter) in ("LATIN", "COMMON"):
        plain = unicodedata.normalize("NFKC", letter)
        return plain.isascii() and len(plain) == 1
    return letter in unicode_letters()


def readable_domain(domain: str) -> str:
    """A domain as browsers show it: labels in punycode (`xn--`) decoded, those that cannot be left as they are."""
    return ".".join(_readable_label(label) for label in domain.lower().split("."))


def _readable_label(label: str) -> str:
    """One label of a domain, decoded."""
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode").lower()
    except (UnicodeError, ValueError, OverflowError):
        return label
