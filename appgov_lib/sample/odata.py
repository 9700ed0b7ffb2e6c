"""The part of OData that Graph speaks: `$filter`, `$select`, `$top`, paging by opaque tokens, and error bodies."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import msgspec

Predicate = Callable[[dict[str, Any]], bool]
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class GraphError(Exception):
    """An error answer: status, Graph's code and message, further headers."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep the parts of the answer."""
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})


def error_body(code: str, message: str, number: int) -> bytes:
    """Graph's error object; `number` makes the request id."""
    request_id = f"{number:08x}-0000-4000-a000-{number:012x}"
    inner = {"date": "2026-11-16T00:00:00", "request-id": request_id, "client-request-id": request_id}
    return _encode({"error": {"code": code, "message": message, "innerError": inner}})


def unsupported(message: str) -> GraphError:
    """The answer to a query that Graph does not support."""
    return GraphError(400, "Request_UnsupportedQuery", message)


def parse_query(text: str) -> dict[str, str]:
    """The query string as a dict; names of system options in lower case, `+` is a blank."""
    found = {}
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            found[unquote(name.replace("+", " ")).lower()] = unquote(value.replace("+", " "))
    return found


# ---- $filter ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filter:
    """A parsed `$filter`: what an index answers, and the rest as predicates."""

    equal: dict[str, str] = field(default_factory=dict)
    at_least: dict[str, str] = field(default_factory=dict)
    at_most: dict[str, str] = field(default_factory=dict)
    event_types: tuple[str, ...] = ()
    predicates: tuple[Predicate, ...] = ()

    def matches(self, record: dict[str, Any]) -> bool:
        """Whether a record passes everything that no index answered."""
        return all(predicate(record) for predicate in self.predicates)


_COMPARE = re.compile(r"^([\w/]+)\s+(eq|ne|ge|le|gt|lt)\s+(.+)$", re.S)
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
_STARTS = re.compile(r"^startswith\(\s*([\w/]+)\s*,\s*'(.*)'\s*\)$", re.I | re.S)
_IN = re.compile(r"^([\w/]+)\s+in\s+\((.*)\)$", re.S)
_ANY = re.compile(r"^signInEventTypes/any\(\s*(\w+)\s*:\s*(.+)\)$", re.S)


def parse_filter(
    text: str, indexed: tuple[str, ...] = (), times: tuple[str, ...] = (), strict_times: bool = False
) -> Filter:
    """Parse a conjunction of clauses.

    `indexed` fields compared with `eq`, and `times` with `ge` and `le`, are taken out for the collection's index.
    `strict_times` refuses `lt` and `gt` on the times, as the sign-in log does. Raises GraphError 400 for anything else
    than eq, ne, ge, le, gt, lt, in, startswith and signInEventTypes/any.
    """
    equal: dict[str, str] = {}
    at_least: dict[str, str] = {}
    at_most: dict[str, str] = {}
    types: tuple[str, ...] = ()
    predicates: list[Predicate] = []
    if len(_split(text, " or ")) > 1:
        # Only what every row has to meet can go to an index; here that is nothing.
        return Filter(predicates=(_predicate(text),))
    for clause in conjuncts(text):
        compare, any_of = _COMPARE.match(clause), _ANY.match(clause)
        if any_of:
            wanted = _split(any_of[2].strip(), " or ")
            pattern = re.compile(rf"^{any_of[1]}\s+eq\s+'(\w+)'$")
            found = [pattern.match(item) for item in wanted]
            if not all(found):
                raise unsupported(f"Invalid filter clause: {clause}")
            types = tuple(match[1] for match in found if match)
        elif compare and compare[1] in times and compare[2] in ("ge", "le"):
            (at_least if compare[2] == "ge" else at_most)[compare[1]] = compare[3].strip().strip("'")
        elif compare and compare[1] in times and strict_times:
            raise unsupported(f"Operator '{compare[2]}' is not supported for property '{compare[1]}'.")
        elif compare and compare[1] in indexed and compare[2] == "eq":
            equal[compare[1]] = str(_literal(compare[3]))
        else:
            predicates.append(_predicate(clause))
    return Filter(equal, at_least, at_most, types, tuple(predicates))


def conjuncts(text: str) -> list[str]:
    """The clauses of a filter that are joined by `and`."""
    return _split(text, " and ")


def _split(text: str, word: str) -> list[str]:
    """Cut at `word` outside quotes and brackets; a pair of brackets around the whole goes."""
    text = text.strip()
    while text.startswith("(") and _closing(text) == len(text) - 1:
        text = text[1:-1].strip()
    parts, depth, quoted, start, place = [], 0, False, 0, 0
    while place < len(text):
        char = text[place]
        if char == "'":
            quoted = not quoted
        elif not quoted:
            depth += (char == "(") - (char == ")")
            if depth == 0 and text[place : place + len(word)].lower() == word:
                parts.append(text[start:place].strip())
                start = place = place + len(word)
                continue
        place += 1
    return [*parts, text[start:].strip()]


def _closing(text: str) -> int:
    """Where the bracket that opens at 0 closes, or -1."""
    depth, quoted = 0, False
    for place, char in enumerate(text):
        if char == "'":
            quoted = not quoted
        elif not quoted:
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return place
    return -1


def _literal(text: str) -> Any:
    """A literal: quoted text, number, boolean, null; anything else (times, GUIDs) stays text."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if text in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[text]
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def _predicate(clause: str) -> Predicate:
    """A condition as a test of a record: clauses joined by `and`, which binds tighter, and `or`."""
    for word, joined in ((" or ", any), (" and ", all)):
        parts = _split(clause, word)
        if len(parts) > 1:
            tests = [_predicate(part) for part in parts]
            return lambda record, joined=joined: joined(test(record) for test in tests)  # type: ignore[misc]
        clause = parts[0]
    starts, inside, compare = _STARTS.match(clause), _IN.match(clause), _COMPARE.match(clause)
    if starts:
        name, head = starts[1], starts[2].lower()
        return lambda record: str(_at(record, name) or "").lower().startswith(head)
    if inside:
        name, wanted = inside[1], {_literal(item) for item in inside[2].split(",")}
        return lambda record: _at(record, name) in wanted
    if compare:
        name, operator, value = compare[1], compare[2], _literal(compare[3])
        return lambda record: _compared(_at(record, name), operator, value)
    raise unsupported(f"Invalid filter clause: {clause}")


def _at(record: dict[str, Any], path: str) -> Any:
    """The value at a path such as `status/errorCode`."""
    value: Any = record
    for part in path.split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _moment(text: str) -> datetime:
    """A time as the moment it means, whatever its fraction and offset. Raises GraphError 400."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise GraphError(400, "Request_BadRequest", f"Invalid datetime value '{text}'.") from None


def _compared(value: Any, operator: str, wanted: Any) -> bool:
    """Compare as OData does: null is only equal to null."""
    if operator in ("eq", "ne"):
        return bool(value == wanted) == (operator == "eq")
    if value is None or type(value) is not type(wanted):
        return False
    if isinstance(value, str) and _TIME.match(value) and _TIME.match(wanted):
        value, wanted = _moment(value), _moment(wanted)
    answers: dict[str, bool] = {
        "ge": value >= wanted,
        "le": value <= wanted,
        "gt": value > wanted,
        "lt": value < wanted,
    }
    return answers[operator]


# ---- $select and paging ----------------------------------------------------------------------------------------------


def selected(row: bytes, names: list[str]) -> dict[str, Any]:
    """A record cut to the named properties; type annotations stay."""
    record = _decode(row)
    return {key: value for key, value in record.items() if key in names or key.startswith("@")}


def top_of(query: Mapping[str, str], default: int, most: int) -> int:
    """The page size asked for. Raises GraphError 400 above `most`, below 1, or for something that is no number."""
    text = query.get("$top", "")
    if not text:
        return default
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise GraphError(
            400, "Request_BadRequest", f"Invalid page size specified: '{text}'. Must be between 1 and {most} inclusive."
        )
    return int(text)


def make_token(state: str, query: Mapping[str, str], path: str) -> str:
    """An opaque token that carries `state` for this very query."""
    return base64.urlsafe_b64encode(f"{state}.{_signature(query, path)}".encode()).decode().rstrip("=")


def read_token(token: str, query: Mapping[str, str], path: str) -> str:
    """The state in a token. Raises GraphError 400 when it is not one of ours or belongs to another query."""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        state, _, signature = text.rpartition(".")
        if signature == _signature(query, path):
            return state
    except ValueError:
        pass
    raise GraphError(400, "Request_BadRequest", "Skip token is null or invalid.")


def _signature(query: Mapping[str, str], path: str) -> str:
    """What ties a token to its query: all options but the tokens."""
    kept = sorted((name, value) for name, value in query.items() if name not in ("$skiptoken", "$deltatoken"))
    return hashlib.blake2b(repr((path, kept)).encode(), digest_size=9).hexdigest()


def link(base: str, path: str, query: Mapping[str, str], **tokens: str) -> str:
    """An absolute link to `path` with the options of `query`, its tokens replaced by `tokens`."""
    kept = {name: value for name, value in query.items() if name not in ("$skiptoken", "$deltatoken")}
    kept |= {f"${name}": value for name, value in tokens.items()}
    text = "&".join(f"{name}={quote(value, safe='$,:/')}" for name, value in kept.items())
    return f"{base}{path}?{text}"
