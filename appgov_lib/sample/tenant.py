"""The tenant's answers to Graph requests, without any HTTP: a request is a value, and so is the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from appgov_lib.sample import fixed, hunting, ids, odata
from appgov_lib.sample.catalogue import Catalogue
from appgov_lib.sample.collections import Collection, SignIns
from appgov_lib.sample.odata import Filter, GraphError
from appgov_lib.sample.records import EVENT_TYPES, Records
from appgov_lib.sample.rhythm import Rhythm
from appgov_lib.sample.world import Size, World

_encode = msgspec.json.Encoder().encode
_SCAN = 2_000
_EXPAND = re.compile(r"^(\w+)(?:\((.*)\))?$", re.S)
_MOST_EXPANDED = 20
_DELTA_PAGE = 200
_DELTA = ("/servicePrincipals", "/applications", "/oauth2PermissionGrants", "/users")


@dataclass(frozen=True)
class Request:
    """One Graph request: `path` after the version, `query` as sent, header names in lower case."""

    method: str
    version: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = "http://127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """One answer; JSON unless `content_type` says otherwise."""

    status: int
    body: bytes
    content_type: str = (
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
    )
    headers: Mapping[str, str] = field(default_factory=dict)


class Tenant:
    """Answers requests from a seed and a size. The same request always gets the same bytes."""

    def __init__(self, seed: int = 7, size: Size | None = None) -> None:
        """Lay out the tenant; rows are made when asked for."""
        self.world = World(seed, size)
        self.rhythm = Rhythm(self.world)
        self.records = Records(self.world, self.rhythm)
        self.catalogue = Catalogue(self.world, self.rhythm)
        self._sign_ins: dict[tuple[tuple[int, ...], bool], SignIns] = {}
        self._errors = 0

    def answer(self, request: Request) -> Answer:
        """Answer a request; mistakes become Graph's error bodies."""
        try:
            return self._answer(request)
        except GraphError as error:
            self._errors += 1
            return Answer(
                error.status, odata.error_body(error.code, error.message, self._errors), headers=error.headers
            )

    def _answer(self, request: Request) -> Answer:
        """Find what a path means."""
        path = re.sub(r"/{2,}", "/", request.path).rstrip("/")
        if request.method == "POST":
            return self._post(request, path)
        if request.method != "GET":
            raise GraphError(
                405, "Request_BadRequest", f"The sample tenant is read only: {request.method} is not supported."
            )
        if path.endswith("/$count"):
            return self._count(request, path.removesuffix("/$count"))
        beta = request.version == "beta"
        single = fixed.policies(beta).get(path)
        if single is not None:
            return self._single(request, path, _encode(single))
        if path == "/auditLogs/signIns":
            return self._sign_in_page(request, path)
        if path.endswith(("/delta()", "/delta")) and path.rpartition("/")[0] in _DELTA:
            return self._delta(request, path)
        known = self.catalogue.collection(path, beta)
        if known is not None:
            return self._page(request, path, known)
        found = self.catalogue.object_at(path, beta)
        if found is None:
            raise GraphError(
                404 if "/" in path[1:] else 400, "Request_ResourceNotFound", f"Resource '{path[:120]}' does not exist."
            )
        return self._single(request, path, found)

    # ---- lists -----------------------------------------------------------------------------------------------------

    def _page(
        self,
        request: Request,
        path: str,
        collection: Collection,
        *,
        filter_text: str | None = None,
        delta: bool = False,
    ) -> Answer:
        """One page of a collection. `filter_text` stands in for the query's filter; delta ends with a delta link."""
        query = odata.parse_query(request.query)
        if "$filter" not in query:
            collection = collection.briefly(_names(query))
        counted = query.get("$count", "").lower() == "true"
        if counted and collection.max_top == 999 and not _eventual(request):
            raise odata.unsupported("$count is only supported with the header ConsistencyLevel: eventual.")
        newest_first = [f"{name} desc" for name in collection.times]
        if "$search" in query or query.get("$orderby", "").strip() not in ("", *newest_first):
            raise odata.unsupported("$search and $orderby are not supported here.")
        top = _DELTA_PAGE if delta else odata.top_of(query, collection.default_top, collection.max_top)
        span, rest = _wanted(collection, query.get("$filter", "") if filter_text is None else filter_text)
        first = "$skiptoken" not in query
        position = span.start if first else odata.read_token(query["$skiptoken"], query, path)
        rows, numbers, after = _scan(collection, span, position, top, rest)
        head = [b'{"@odata.context":' + _encode(_context(request, path, query))]
        if counted and first:
            head.append(b'"@odata.count":' + str(_matching(collection, span, rest)).encode())
        base = f"{request.base}/{request.version}"
        if after < span.stop:
            link = odata.link(base, path, query, skiptoken=odata.make_token(after, query, path))
            head.append(b'"@odata.nextLink":' + _encode(link))
        elif delta:
            link = odata.link(base, path, query, deltatoken=odata.make_token(after, query, path))
            head.append(b'"@odata.deltaLink":' + _encode(link))
        shaped = self._shaped(rows, numbers, query, collection)
        return Answer(200, b",".join([*head, b'"value":[' + b",".join(shaped) + b"]}"]))

    def _shaped(
        self, rows: list[bytes], numbers: list[int], query: Mapping[str, str], collection: Collection
    ) -> list[bytes]:
        """Rows with `$select` and `$expand` applied."""
        names = _names(query)
        expand = query.get("$expand", "")
        if not names and not expand:
            return rows
        relation, fields = "", []
        if expand:
            parsed = _EXPAND.match(expand)
            if not parsed or parsed[1] not in collection.expanders:
                raise odata.unsupported(f"Could not find a property named '{expand[:60]}'.")
            relation = parsed[1]
            fields = _names(odata.parse_query((parsed[2] or "").replace(";", "&")))
        shaped = []
        for row, number in zip(rows, numbers, strict=True):
            record = odata.selected(row, names) if names else msgspec.json.decode(row)
            if "keyCredentials" in names:
                for place, key in enumerate(record.get("keyCredentials", [])):
                    key["key"] = ids.opaque(self.world.seed, "blob", f"{number}/{place}") + "="
            if relation:
                related = collection.expanders[relation](number)
                if isinstance(related, list):
                    related = [_cut(item, fields) for item in related[:_MOST_EXPANDED]]
                record[relation] = related
            shaped.append(_encode(record))
        return shaped

    def _single(self, request: Request, path: str, row: bytes) -> Answer:
        """One object."""
        names = _names(odata.parse_query(request.query))
        record = odata.selected(row, names) if names else msgspec.json.decode(row)
        context = f"https://graph.microsoft.com/{request.version}/$metadata#{_word(path)}/$entity"
        return Answer(200, _encode({"@odata.context": context, **record}))

    def _count(self, request: Request, path: str) -> Answer:
        """The number of objects as text."""
        collection = self.catalogue.collection(path, request.version == "beta")
        if collection is None or path not in ("/servicePrincipals", "/applications", "/users"):
            raise GraphError(400, "Request_BadRequest", f"$count is not supported on '{path[:80]}'.")
        if not _eventual(request):
            raise odata.unsupported("$count is only supported with the header ConsistencyLevel: eventual.")
        if request.headers.get("accept", "").startswith("application/json"):
            raise GraphError(415, "Request_UnsupportedMediaType", "A supported MIME type could not be found.")
        span, rest = _wanted(collection, odata.parse_query(request.query).get("$filter", ""))
        return Answer(200, str(_matching(collection, span, rest)).encode(), "text/plain")

    # ---- sign-ins, delta -------------------------------------------------------------------------------------------

    def _sign_in_page(self, request: Request, path: str) -> Answer:
        """Sign-ins: v1.0 knows interactive ones only and refuses event types; beta needs them for the rest."""
        query, beta = odata.parse_query(request.query), request.version == "beta"
        types: tuple[str, ...] = ()
        rest = query.get("$filter", "")
        if "signInEventTypes" in rest:
            if not beta:
                raise GraphError(
                    400,
                    "BadRequest",
                    "Could not find a property named 'signInEventTypes' on type 'microsoft.graph.signIn'.",
                )
            clauses = odata.conjuncts(rest)
            types = odata.parse_filter(" and ".join(c for c in clauses if "signInEventTypes" in c)).event_types
            rest = " and ".join(clause for clause in clauses if "signInEventTypes" not in clause)
        streams = tuple(EVENT_TYPES.get(name, -1) for name in types) or (0,)
        if -1 in streams or (len(streams) > 1 and max(streams) > 1):
            raise GraphError(400, "BadRequest", "Invalid combination of signInEventTypes.")
        key = (tuple(sorted(set(streams))), beta)
        if key not in self._sign_ins:
            self._sign_ins[key] = SignIns(self.rhythm, self.records, key[0], beta)
        return self._page(request, path, self._sign_ins[key], filter_text=rest)

    def _delta(self, request: Request, path: str) -> Answer:
        """A delta query: all objects, then a link that knows of no change since."""
        query = odata.parse_query(request.query)
        for name in ("$top", "$orderby", "$expand", "$filter"):
            if name in query:
                raise odata.unsupported(f"{name} is not supported in a delta query.")
        collection = self.catalogue.collection(path.rpartition("/")[0], request.version == "beta")
        assert collection is not None
        since = query.get("$deltatoken")
        if since is None:
            return self._page(request, path, collection, delta=True)
        if since != "latest":
            odata.read_token(since, query, path)
        link = odata.link(
            f"{request.base}/{request.version}", path, query, deltatoken=odata.make_token(len(collection), query, path)
        )
        head = b'{"@odata.context":' + _encode(_context(request, path, query)) + b',"@odata.deltaLink":' + _encode(link)
        return Answer(200, head + b',"value":[]}')

    # ---- POST ------------------------------------------------------------------------------------------------------

    def _post(self, request: Request, path: str) -> Answer:
        """Hunting and batches."""
        if path == "/$batch":
            return self._batch(request)
        if path not in ("/security/runHuntingQuery", "/security/microsoft.graph.security.runHuntingQuery"):
            raise GraphError(405, "Request_BadRequest", "The sample tenant is read only.")
        body = {key.lower(): value for key, value in _json_object(request.body).items()}
        text, span = body.get("query"), body.get("timespan")
        if not isinstance(text, str) or not text.strip() or not isinstance(span, str | None):
            raise GraphError(400, "BadRequest", "The request has to hold a Query.")
        context = (
            f"https://graph.microsoft.com/{request.version}/$metadata#microsoft.graph.security.huntingQueryResults"
        )
        return Answer(
            200, b'{"@odata.context":' + _encode(context) + b"," + hunting.run(self.records, text.strip(), span) + b"}"
        )

    def _batch(self, request: Request) -> Answer:
        """Up to twenty requests in one; the answers come in another order."""
        parts = _json_object(request.body).get("requests")
        if not isinstance(parts, list) or not 1 <= len(parts) <= 20:
            raise GraphError(400, "BadRequest", "Number of batch request steps has to be between 1 and 20.")
        answers = []
        for part in parts:
            if not isinstance(part, dict) or not {"id", "method", "url"} <= part.keys():
                raise GraphError(400, "BadRequest", "A batch step needs id, method and url.")
            path, _, query = str(part["url"]).partition("?")
            headers = {str(name).lower(): str(value) for name, value in dict(part.get("headers") or {}).items()}
            body = _encode(part["body"]) if "body" in part else b""
            path = path if path.startswith("/") else "/" + path
            inner = self.answer(
                Request(str(part["method"]).upper(), request.version, path, query, headers, body, request.base)
            )
            content: Any = msgspec.Raw(inner.body) if inner.body[:1] in b"{[" else inner.body.decode()
            shown = {"Content-Type": inner.content_type.split(";")[0], **inner.headers}
            answers.append({"id": str(part["id"]), "status": inner.status, "headers": shown, "body": content})
        answers.sort(key=lambda item: ids.digest(self.world.seed, "batch", item["id"]))
        return Answer(200, _encode({"responses": answers}))


def _word(path: str) -> str:
    """The first word of a path: the name of the collection."""
    return path.strip("/").split("/")[0].split("(")[0]


def _names(query: Mapping[str, str]) -> list[str]:
    """The names in `$select`."""
    return [name.strip() for name in query.get("$select", "").split(",") if name.strip()]


def _eventual(request: Request) -> bool:
    """Whether the request accepts the index that lags behind."""
    return request.headers.get("consistencylevel", "").lower() == "eventual"


def _wanted(collection: Collection, text: str) -> tuple[range, Filter | None]:
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


def _matching(collection: Collection, span: range, rest: Filter | None) -> int:
    """How many rows a filter finds."""
    return len(span) if rest is None else len(_scan(collection, span, span.start, len(span) + 1, rest)[0])


def _context(request: Request, path: str, query: Mapping[str, str]) -> str:
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


def _json_object(body: bytes) -> dict[str, Any]:
    """A JSON body that is an object. Raises GraphError 400."""
    try:
        found = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise GraphError(400, "BadRequest", "Unable to read JSON request payload.") from None
    return found
