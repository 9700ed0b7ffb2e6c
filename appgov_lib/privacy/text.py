"""Finding people in text: sentences, addresses, evidence, records kept as JSON.

Ids, user principal names and mail addresses are unmistakable and go wherever they stand. Names of several words go
wherever they stand as words. A name of one word is hidden in the middle of a sentence only where neither our own texts
nor an app use that word: nobody could read a report in which every `Mail` had become a user.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from appgov_lib.privacy.people import People

_WORD = re.compile(r"\w+")
_MAIL = r"(?P<mail>\w[\w.!#$&'*+^~-]{0,150}@[\w-]+(?:\.[\w-]+)+)|"
_REST = (
    r"(?P<guid>(?<![0-9A-Za-z])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z]))|"
    r"(?P<long>(?<![\w-])[\w-]{40,}(?![\w-]))|"
    r"(?P<six>(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|\d{1,3}(?:\.\d{1,3}){3})?(?![\w:]))|"
    r"(?P<four>(?<![\w.-])(?<![^/]/)\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d))|"
    r"(?P<word>\w+)"
)
_WITHOUT_MAIL, _WITH_MAIL = re.compile(_REST), re.compile(_MAIL + _REST)
_BLOCK = re.compile(r"/(\d{1,3})")
_SITE_LIKE = re.compile(r"\w+_\w+")
_SHORT, _MOST = 200, 200_000
"""Length and number of the texts whose answers are kept."""
_PACKAGE = Path(__file__).resolve().parent.parent
_OURS = ("policies/*.md", "policies/*.sql", "actions/*.py", "detect/*.py", "models/marts/*.sql", "templates/*.j2")


class Finder:
    """Replaces the people in a text."""

    def __init__(self, people: People, json_keys: frozenset[str], vendors: Iterable[str]) -> None:
        """Make ready for the people of a warehouse; what `vendors` holds is no person's name."""
        self.people = people
        self._keys = json_keys
        self._sites = people.sites()
        self._first: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
        self._single: dict[str, str] = {}
        self._cache: dict[str, str] = {}
        self._learn(vendors)

    def _learn(self, vendors: Iterable[str]) -> None:
        """Make the tables of names, longest first."""
        several = {name for name in self.people.names if len(_WORD.findall(name)) > 1}
        single = {name for name in self.people.names if _WORD.fullmatch(name)}
        self._names(several)
        taken: set[str] = set()
        for text in vendors:
            taken |= self._named(text.lower())
        self._first.clear()
        self._names(several - taken)
        if single:
            apps = {word for name in self.people.app_names for word in _WORD.findall(name)}
            self._single = {
                name: self.people.token(name) for name in single - apps - our_words() if not name.isdecimal()
            }

    def _names(self, names: Iterable[str]) -> None:
        """Put names where their first word finds them."""
        for name in names:
            token = self.people.token(name)
            for form in {name, name.replace("'", "''"), name.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")}:
                first = _WORD.search(form)
                if first:
                    self._first[first[0]].append((form, first.start(), token))
        for forms in self._first.values():
            forms.sort(key=lambda form: (-len(form[0]), form[0]))

    def _named(self, low: str) -> set[str]:
        """The names in a text in lower case."""
        found = set()
        for match in _WORD.finditer(low):
            for form, before, _ in self._first.get(match[0], ()):
                if low.startswith(form, match.start() - before):
                    found.add(form)
        return found

    def hide(self, text: str) -> str:
        """The text with tokens in place of people; JSON stays JSON."""
        known = self._cache.get(text)
        if known is None:
            known = self._hide(text)
            if len(text) < _SHORT and len(self._cache) < _MOST:
                self._cache[text] = known
        return known

    def _hide(self, text: str) -> str:
        """As `hide`, without memory."""
        if text[:1] in ("{", "[", '"'):
            try:
                values = json.loads(text)
            except ValueError:
                pass
            else:
                hidden = self.values(values)
                return text if hidden == values else json.dumps(hidden, ensure_ascii=False)
        result = self._plain(text)
        if "%" in result:
            plain = unquote(result)
            hidden = self._plain(plain)
            if hidden != plain:
                return hidden
        return result

    def values(self, value: Any, person: bool = False) -> Any:
        """A JSON value with tokens in place of people; `person` where its name says that it is one."""
        if isinstance(value, str):
            whole = self.people.whole(value, strict=False) if person and value else None
            # a sentence or a name of no person under such a name is searched like any text
            return whole if whole is not None else self.hide(value)
        if isinstance(value, list):
            return [self.values(item, person) for item in value]
        if isinstance(value, Mapping):
            user = str(value.get("type", "")).lower() == "user" or bool(value.get("userPrincipalName"))
            return {
                self.hide(key): self.values(
                    item, key.lower() in self._keys or (user and key in ("id", "displayName", "name"))
                )
                for key, item in value.items()
            }
        return value

    def _plain(self, text: str) -> str:
        """A text that is no JSON."""
        low = text.lower()
        if len(low) != len(text):
            low = text
        pattern = _WITH_MAIL if "@" in text else _WITHOUT_MAIL
        parts, done, at = [], 0, 0
        while match := pattern.search(text, at):
            start, end, token = self._found(text, low, match)
            if token:
                parts += [text[done : max(start, done)], token]
                done = end
            at = max(end, match.start() + 1)
        return "".join([*parts, text[done:]]) if parts else text

    def _found(self, text: str, low: str, match: re.Match[str]) -> tuple[int, int, str]:
        """Where the person begins and ends that a match shows, and the token; no token where it shows none."""
        kind, start, end = match.lastgroup, match.start(), match.end()
        if kind == "mail":
            while "'" in low[start:end] and low[start:end] not in self.people.mails:
                start += low[start:end].index("'") + 1
            if low[start:end] not in self.people.mails:
                start = match.start()
            return start, end, self.people.token(low[start:end])
        if kind == "guid":
            person = low[start:end] in self.people.ids or (
                low.endswith("users/", 0, start) and self._no_app(low[start:end])
            )
            return start, end, self.people.token(low[start:end]) if person else ""
        if kind == "long":
            return start, end, self.people.other.get(low[start:end], "") or self._sites.get(low[start:end], "")
        if kind in ("six", "four"):
            address = usual(text[start:end])
            if address:
                return start, end, self._address_token(text, end, address, low[start:end])
            word = _WORD.match(text, start)
            if word is None:
                return start, start + 1, ""
            end = word.end()
        return self._word(text, low, start, end)

    def _no_app(self, value: str) -> bool:
        """Whether an id is not known to be an app's."""
        return value not in self.people.app_ids

    def _address_token(self, text: str, end: int, address: str, written: str) -> str:
        """The token of an address that a person used or nothing is known of; none for an app's, and for blocks."""
        block = _BLOCK.match(text, end)
        if block and block[1] not in ("32", "128"):
            return ""
        people = self.people
        if not {address, written} & people.addresses and {address, written} & people.app_addresses:
            return ""
        return people.tokens.of("address", address)

    def _word(self, text: str, low: str, start: int, end: int) -> tuple[int, int, str]:
        """A name that begins with this word, or a word that stands for a person."""
        for form, before, token in self._first.get(low[start:end], ()):
            begin = start - before
            last = begin + len(form)
            if begin >= 0 and low.startswith(form, begin) and not _WORD.match(low, last):
                return begin, last, token
        word = low[start:end]
        if word in self.people.other:
            return start, end, self.people.other[word]
        if word in self._sites:
            return start, end, self._sites[word]
        # as it is written: `will` is a word, `Will` a name
        token = self._single.get(word, "")
        return start, end, token if (token and text[start] != low[start]) or (token and not word.isascii()) else ""


def usual(text: str) -> str:
    """An address in its usual form; empty for what is none, and for this machine itself."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = getattr(found, "ipv4_mapped", None) or found
    return "" if mapped.is_loopback or mapped.is_unspecified else str(mapped)


@cache
def our_words() -> frozenset[str]:
    """The words of our own texts, in lower case."""
    found: set[str] = set()
    for pattern in _OURS:
        for path in _PACKAGE.glob(pattern):
            found.update(_WORD.findall(path.read_text(encoding="utf-8").lower()))
    return frozenset(found)
