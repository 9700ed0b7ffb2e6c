"""Pages of collections: filter, window, `$select`, `$expand`, counts and next links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from appgov_lib.sample import ids, odata
from appgov_lib.sample.answers import Answer, Request
from appgov_lib.sample.collections import Collection, Plain
from appgov_lib.sample.odata import Filter

_encode = msgspec.json.Encoder().encode
_SCAN = 2_000
_EXPAND = re.compile(r"^(\w+)(?:\((.*)\))?$", re.S)
_BY_COUNT = re.compile(r"^(\w+)/\$count\s+(ne|gt|eq)\s+0$")
_MOST_EXPANDED = 20
_CAPPED = ("owners", "federatedIdentityCredentials")
"""Relations of the directory, of which `$expand` gives twenty at most."""


class Pager:
    """Writes pages; `seed` makes the key blobs that naming keyCredentials brings."""

    def __init__(self, seed: int) -> None:
        """Remember the seed."""
        self.seed = seed

    def page(self, request: Request, path: str, collection: Collection, *, filter_text: str | None = None) -> Answer:
        """One page of a collection. `filter_text` stands in for the query's filter."""
        query = odata.parse_query(request.query)
        text = query.get("$filter", "") if filter_text is None else filter_text
        counted = query.get("$count", "").lower() == "true"
        collection, text = by_count(request, collection, text, counted)
        if not text:
            collection = collection.briefly(names_in(query))
        if counted and collection.max_top == 999 and path.count("/") == 1 and not request.eventual:
            raise odata.unsupported("$count is only supported with the header ConsistencyLevel: eventual.")
        newest_first = [f"{name} desc" for name in collection.times]
        if "$search" in query or query.get("$orderby", "").strip() not in ("", *newest_first):
            raise odata.unsupported("$search and $orderby are not supported here.")
        top = odata.top_of(query, collection.default_top, collection.max_top)
        span, rest = wanted(collection, text)
        first = "$skiptoken" not in query
        start = span.start
        if not first:
            start = collection.place(int(odata.read_token(query["$skiptoken"], query, path)))
        rows, numbers, after = _scan(collection, span, start, top, rest)
        head = [b'{"@odata.context":' + _encode(context(request, path, query))]
        if counted and first:
            head.append(b'"@odata.count":' + str(matching(collection, span, rest)).encode())
        if after < span.stop:
            token = odata.make_token(str(collection.anchor(after)), query, path)
            head.append(b'"@odata.nextLink":' + _encode(odata.link(request.root, path, query, skiptoken=token)))
        shaped = self.shaped(rows, numbers, query, collection)
        return Answer(200, b",".join([*head, b'"value":[' + b",".join(shaped) + b"]}"]))

    def shaped(
        self, rows: list[bytes], numbers: list[int], query: Mapping[str, str], collection: Collection
    ) -> list[bytes]:
        """Rows with `$select` and `$expand` applied."""
        names = names_in(query)
        relations = _relations(query.get("$expand", ""), collection)
        if not names and not relations:
            return rows
        shaped = []
        for row, number in zip(rows, numbers, strict=True):
            record = odata.selected(row, names) if names else msgspec.json.decode(row)
            if "keyCredentials" in names:
                for place, key in enumerate(record.get("keyCredentials", [])):
                    key["key"] = ids.opaque(self.seed, "blob", f"{collection.anchor(number)}/{place}") + "="
            for relation, fields in relations:
                related = collection.expanders[relation](number)
                if isinstance(related, list):
                    most = _MOST_EXPANDED if relation in _CAPPED else len(related)
                    related = [_cut(item, fields) for item in related[:most]]
                record[relation] = related
            shaped.append(_encode(record))
        return shaped

    def single(self, request: Request, path: str, row: bytes) -> Answer:
        """One object."""
        names = names_in(odata.parse_query(request.query))
        record = odata.selected(row, names) if names else msgspec.json.decode(row)
        if "keyCredentials" in names:
            for key in record.get("keyCredentials", []):
                key["key"] = ids.opaque(self.seed, "blob", key["keyId"]) + "="
        word = path.strip("/").split("/")[0].split("(")[0]
        where = f"https://graph.microsoft.com/{request.version}/$metadata#{word}/$entity"
        return Answer(200, _encode({"@odata.context": where, **record}))


def names_in(query: Mapping[str, str]) -> list[str]:
    """The names in `$select`."""
    return [name.strip() for name in query.get("$select", "").split(",") if name.strip()]


def _relations(text: str, collection: Collection) -> list[tuple[str, list[str]]]:
    """(relation, properties) of each part of `$expand`. Raises GraphError 400 for an unknown relation."""
    found = []
    for part in re.split(r",(?![^(]*\))", text) if text else []:
        parsed = _EXPAND.match(part.strip())
        if not parsed or parsed[1] not in collection.expanders:
            raise odata.unsupported(f"Could not find a property named '{part[:60]}'.")
        found.append((parsed[1], names_in(odata.parse_query((parsed[2] or "").replace(";", "&")))))
    return found


def by_count(request: Request, collection: Collection, text: str, counted: bool) -> tuple[Collection, str]:
    """(collection, filter) with a clause such as `owners/$count ne 0` already applied, which is an advanced query."""
    clauses = odata.conjuncts(text) if "/$count" in text else []
    for clause in clauses:
        found = _BY_COUNT.match(clause)
        if not found or not isinstance(collection, Plain) or found[1] not in collection.related:
            continue
        if not request.eventual or not counted:
            message = "This filter needs the header ConsistencyLevel: eventual and $count=true."
            raise odata.unsupported(message)
        numbers = list(collection.related[found[1]]())
        if found[2] == "eq":
            numbers = sorted(set(range(len(collection))) - set(numbers))
        rest = " and ".join(f"({other})" for other in clauses if other is not clause)
        return collection.chosen(numbers), rest
    return collection, text


def wanted(collection: Collection, text: str) -> tuple[range, Filter | None]:
    """(positions that may match, what still has to be tested) for a filter."""
    span = range(len(collection))
    if not text:
        return span, None
    parsed = odata.parse_filter(text, collection.indexed, collection.times, collection.strict_times)
    if parsed.event_types:
        raise odata.unsupported("signInEventTypes is not supported for this collection.")
    parts = [collection.positions(name, value) for name, value in parsed.equal.items()]
    parts += [collection.window(parsed.at_least.get(name), parsed.at_most.get(name)) for name in collection.times]
    for part in parts:
        span = range(max(span.start, part.start), max(span.start, part.start, min(span.stop, part.stop)))
    return span, parsed if parsed.predicates else None


def matching(collection: Collection, span: range, rest: Filter | None) -> int:
    """How many rows a filter finds."""
    return len(span) if rest is None else len(_scan(collection, span, span.start, len(span) + 1, rest)[0])


def _scan(
    collection: Collection, span: range, start: int, many: int, rest: Filter | None
) -> tuple[list[bytes], list[int], int]:
    """(rows, their positions, where to go on): up to `many` matching rows of `span` from `start`."""
    if rest is None:
        stop = min(start + many, span.stop)
        return collection.rows(start, stop), list(range(start, stop)), stop
    rows: list[bytes] = []
    numbers: list[int] = []
    place = start
    while place < span.stop:
        for row in collection.rows(place, min(place + _SCAN, span.stop)):
            if rest.matches(msgspec.json.decode(row)):
                rows.append(row)
                numbers.append(place)
            place += 1
            if len(rows) == many:
                return rows, numbers, place
    return rows, numbers, place


def context(request: Request, path: str, query: Mapping[str, str]) -> str:
    """The `@odata.context` of a list."""
    segments = path.strip("/").split("/")
    name = "/".join(segments)
    if len(segments) == 3 and len(segments[1]) == 36:
        name = f"{segments[0]}('{segments[1]}')/{segments[2]}"
    chosen = f"({query['$select']})" if query.get("$select") else ""
    return f"https://graph.microsoft.com/{request.version}/$metadata#{name}{chosen}"


def _cut(record: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A related record with the named properties only, or whole."""
    return {key: value for key, value in record.items() if not names or key in names or key.startswith("@odata")}
