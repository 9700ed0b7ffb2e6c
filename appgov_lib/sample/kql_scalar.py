"""Scalar expressions of the Kusto query language, as far as an extractor needs them: parsed once, evaluated per row.

A row is a dict of Python values; times are texts with seven decimals, as rows carry them, so that they compare as text.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from appgov_lib.sample.collections import read_time
from appgov_lib.sample.kql_functions import (
    BOOL,
    COMPARE,
    FUNCTIONS,
    LONG,
    OBJECT,
    REAL,
    SPAN,
    STRING,
    TIME,
    TIMES,
    WORDS,
    among,
    element,
    minus,
    plus,
    seven,
    wrong,
)

Row = Mapping[str, Any]
Evaluate = Callable[[Row], Any]

_TOKENS = re.compile(
    r"""\s*(?://[^\n]*|(?P<time>datetime\(\s*[^)]*?\s*\))|(?P<span>\d+(?:ms|[dhms])\b)|(?P<number>\d+\.\d+|\d+)
    |(?P<text>@"[^"]*"|@'[^']*'|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>!?[A-Za-z_]\w*(?:~)?)
    |(?P<sign>==|=~|!=|!~|>=|<=|\.\.|[-+*/%()<>,.|=\[\]]))""",
    re.X,
)
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def tokens(text: str) -> list[tuple[str, str]]:
    """(kind, text) of the tokens of a query. Raises GraphError 400 for a character that belongs to none."""
    found, place = [], 0
    text = text.strip()
    while place < len(text):
        match = _TOKENS.match(text, place)
        if not match or match.end() == place:
            raise wrong(f"Query could not be parsed at '{text[place : place + 20]}'")
        if match.lastgroup:
            found.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return found


@dataclass(frozen=True)
class Node:
    """A parsed expression."""

    evaluate: Evaluate
    kind: str
    columns: frozenset[str] = frozenset()
    operator: str = ""
    """`column`, `literal`, `and`, `between`, a comparison, or the name of a function."""
    parts: tuple[Node, ...] = ()
    value: Any = None
    """The value of a literal or the name of a column."""


@dataclass
class Parser:
    """Reads expressions from a list of tokens; `schema` is the columns that exist and their types."""

    items: list[tuple[str, str]]
    schema: Mapping[str, str] = field(default_factory=dict)
    place: int = 0

    def peek(self) -> str:
        """The next token's text, or nothing."""
        return self.items[self.place][1] if self.place < len(self.items) else ""

    def take(self, text: str = "") -> str:
        """The next token's text, which has to be `text` if that is given. Raises GraphError 400."""
        found = self.peek()
        if not found or (text and found != text):
            raise wrong(f"Expected '{text or 'an expression'}' instead of '{found[:40]}'")
        self.place += 1
        return found

    def accept(self, *texts: str) -> str:
        """The next token's text if it is one of `texts`, else nothing."""
        if self.peek() and self.peek() in texts:
            self.place += 1
            return self.items[self.place - 1][1]
        return ""

    def expression(self) -> Node:
        """An expression joined by `or`, then `and`, then comparisons."""
        found = [self._conjunction()]
        while self.accept("or"):
            found.append(self._conjunction())
        return found[0] if len(found) == 1 else _node("or", found, lambda *values: any(values), BOOL)

    def _conjunction(self) -> Node:
        """Comparisons joined by `and`."""
        found = [self._comparison()]
        while self.accept("and"):
            found.append(self._comparison())
        return found[0] if len(found) == 1 else _node("and", found, lambda *values: all(values), BOOL)

    def _comparison(self) -> Node:
        """A sum, perhaps compared with something."""
        left = self._sum()
        word = self.peek()
        if word in COMPARE:
            self.take()
            return _node(word, [left, self._sum()], COMPARE[word], BOOL)
        if word in ("between", "!between"):
            self.take()
            self.take("(")
            low = self._sum()
            self.take("..")
            high = self._sum()
            self.take(")")
            inside = word == "between"
            return _node(word, [left, low, high], lambda v, a, b: (v is not None and a <= v <= b) == inside, BOOL)
        if word.lstrip("!") in ("in", "in~"):
            self.take()
            wanted, fold = word.startswith("!"), word.endswith("~")
            items = self._arguments()
            return _node(word, [left, *items], lambda v, *all_of: among(v, all_of, fold) != wanted, BOOL)
        if self.items[self.place : self.place + 1] and self.items[self.place][0] == "word" and word not in WORDS:
            raise wrong(f"The operator '{word[:40]}' is not supported here")
        return left

    def _sum(self) -> Node:
        """Products added and subtracted."""
        left = self._product()
        while sign := self.accept("+", "-"):
            right = self._product()
            how = plus if sign == "+" else minus
            left = _node(sign, [left, right], how, TIME if TIME in (left.kind, right.kind) else left.kind)
        return left

    def _product(self) -> Node:
        """Factors multiplied and divided."""
        left = self._postfix()
        while sign := self.accept("*", "/", "%"):
            right = self._postfix()
            left = _node(sign, [left, right], TIMES[sign], REAL if REAL in (left.kind, right.kind) else LONG)
        return left

    def _postfix(self) -> Node:
        """A primary with members and elements taken from it."""
        found = self._primary()
        while sign := self.accept(".", "["):
            if sign == ".":
                key = _literal(self.take(), STRING)
            else:
                key = self.expression()
                self.take("]")
            found = _node("[]", [found, key], element, OBJECT)
        return found

    def _primary(self) -> Node:
        """A literal, a column, a function, or an expression in brackets."""
        if self.accept("("):
            found = self.expression()
            self.take(")")
            return found
        if self.accept("-"):
            return _node("negative", [self._primary()], lambda v: None if v is None else -v, LONG)
        if self.place >= len(self.items):
            raise wrong("The query ends in the middle of an expression")
        kind, text = self.items[self.place]
        self.place += 1
        if kind == "time":
            return _literal(seven(read_time(text[9:-1].strip().strip("\"'"))), TIME)
        if kind == "span":
            amount = re.match(r"(\d+)(\w+)", text)
            assert amount is not None
            return _literal(timedelta(milliseconds=int(amount[1]) * _UNITS[amount[2]]), SPAN)
        if kind == "number":
            return _literal(float(text) if "." in text else int(text), REAL if "." in text else LONG)
        if kind == "text":
            raw = text.startswith("@")
            body = text[2:-1] if raw else re.sub(r"\\(.)", r"\1", text[1:-1])
            return _literal(body, STRING)
        if text in ("true", "false"):
            return _literal(text == "true", BOOL)
        if kind == "word" and self.peek() == "(":
            return self._function(text)
        if kind == "word" and text in self.schema:
            return Node(lambda row: row[text], self.schema[text], frozenset((text,)), "column", (), text)
        raise wrong(f"Failed to resolve scalar expression named '{text[:60]}'")

    def _arguments(self) -> list[Node]:
        """Expressions in brackets, separated by commas."""
        self.take("(")
        found: list[Node] = []
        while not self.accept(")"):
            if found:
                self.take(",")
            found.append(self.expression())
        return found

    def _function(self, name: str) -> Node:
        """A call of a function."""
        arguments = self._arguments()
        if name not in FUNCTIONS:
            raise wrong(f"Unknown function: '{name[:40]}'")
        how, kind = FUNCTIONS[name]
        try:
            inspect.signature(how).bind(*arguments)
        except TypeError:
            raise wrong(f"{name}(): wrong number of arguments") from None
        like = arguments[0] if name == "bin" else arguments[-1] if arguments else None
        return _node(name, arguments, how, kind or (like.kind if like else STRING))


def _literal(value: Any, kind: str) -> Node:
    """A constant."""
    return Node(lambda _: value, kind, frozenset(), "literal", (), value)


def _node(operator: str, parts: list[Node], how: Callable[..., Any], kind: str) -> Node:
    """An operation on parts."""
    columns = frozenset().union(*(part.columns for part in parts)) if parts else frozenset()
    inner = tuple(part.evaluate for part in parts)
    if len(inner) == 1:
        (one,) = inner
        evaluate: Evaluate = lambda row: how(one(row))  # noqa: E731
    elif len(inner) == 2 and operator not in ("and", "or"):
        first, second = inner
        evaluate = lambda row: how(first(row), second(row))  # noqa: E731
    else:
        evaluate = lambda row: how(*(part(row) for part in inner))  # noqa: E731
    return Node(evaluate, kind, columns, operator, tuple(parts))
