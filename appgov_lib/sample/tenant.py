"""The tenant's answers to Graph requests, without any HTTP: a request is a value, and so is the answer."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import msgspec

from appgov_lib.sample import delta, hunting, ids, odata
from appgov_lib.sample.answers import Answer, Request
from appgov_lib.sample.audit_queries import AuditQueries
from appgov_lib.sample.catalogue import Catalogue
from appgov_lib.sample.changes import Change
from appgov_lib.sample.collections import SignIns
from appgov_lib.sample.hunting_tables import tables
from appgov_lib.sample.oauth_apps import OAuthApps
from appgov_lib.sample.odata import GraphError
from appgov_lib.sample.office import OfficeAudit
from appgov_lib.sample.paging import Pager, by_count, matching, wanted
from appgov_lib.sample.records import EVENT_TYPES, Records
from appgov_lib.sample.rhythm import Rhythm
from appgov_lib.sample.world import Size, World
from appgov_lib.sample.writes import Writes

__all__ = ["Answer", "Request", "Tenant"]

_encode = msgspec.json.Encoder().encode
_HUNTING = ("/security/runHuntingQuery", "/security/microsoft.graph.security.runHuntingQuery")
_AUDIT = "/security/auditLog/queries"


class Tenant:
    """Answers requests from a seed and a size. The same requests in the same order always get the same bytes."""

    def __init__(self, seed: int = 7, size: Size | None = None, writable: bool = False) -> None:
        """Lay out the tenant; rows are made when asked for. Only a `writable` one takes requests that change it."""
        self.world = World(seed, size)
        self.rhythm = Rhythm(self.world)
        self.records = Records(self.world, self.rhythm)
        self.catalogue = Catalogue(self.world, self.rhythm)
        self.writes = Writes(self.catalogue) if writable else None
        self.pager = Pager(seed)
        self._tables = tables(self.records, lambda: self._office, lambda: self._apps)
        self._sign_ins: dict[tuple[tuple[int, ...], bool], SignIns] = {}
        self._errors = 0

    @cached_property
    def _office(self) -> OfficeAudit:
        """Records of the unified audit log."""
        audits = self.catalogue.audits
        return OfficeAudit(self.records, audits.rows(0, len(audits)))

    @cached_property
    def _apps(self) -> OAuthApps:
        """Rows of OAuthAppInfo."""
        return OAuthApps(self.catalogue.directory, self.catalogue.grants)

    @cached_property
    def _searches(self) -> AuditQueries:
        """Audit searches."""
        return AuditQueries(self._office)

    def change(self, many: int, kind: str = "") -> list[Change]:
        """Change the directory `many` times. Raises ConfigError for an unknown kind of change."""
        return self.catalogue.changes.apply(many, kind)

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
        if self.writes and changes_something(request.method, path):
            return self.writes.answer(request, path)
        if request.method == "POST":
            return self._post(request, path)
        if request.method != "GET":
            raise GraphError(
                405, "Request_BadRequest", f"The sample tenant is read only: {request.method} is not supported."
            )
        if path.endswith("/$count"):
            return self._count(request, path.removesuffix("/$count"))
        if path == "/auditLogs/signIns":
            return self._sign_in_page(request, path)
        if delta.delta_of(path):
            changes = self.catalogue.changes
            return delta.answer(request, path, changes, self.pager, lambda of: self.catalogue.whole(of, request.beta))
        if path.startswith(_AUDIT):
            return self._audit_search(request, path)
        known = self.catalogue.collection(path, request.beta)
        if known is not None:
            return self.pager.page(request, path, known)
        found = self.catalogue.object_at(path, request.beta)
        if found is None:
            raise _missing(path)
        return self.pager.single(request, path, found)

    def _count(self, request: Request, path: str) -> Answer:
        """The number of objects as text."""
        collection = self.catalogue.collection(path, request.beta)
        if collection is None or path not in ("/servicePrincipals", "/applications", "/users"):
            raise GraphError(400, "Request_BadRequest", f"$count is not supported on '{path[:80]}'.")
        if not request.eventual:
            raise odata.unsupported("$count is only supported with the header ConsistencyLevel: eventual.")
        if request.headers.get("accept", "").startswith("application/json"):
            raise GraphError(415, "Request_UnsupportedMediaType", "A supported MIME type could not be found.")
        text = odata.parse_query(request.query).get("$filter", "")
        chosen, text = by_count(request, collection, text, counted=True)
        return Answer(200, str(matching(chosen, *wanted(chosen, text))).encode(), "text/plain")

    # ---- sign-ins -------------------------------------------------------------------------------------------------

    def _sign_in_page(self, request: Request, path: str) -> Answer:
        """Sign-ins: v1.0 knows interactive ones only and refuses event types; beta needs them for the rest."""
        query, beta = odata.parse_query(request.query), request.beta
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
        return self.pager.page(request, path, self._sign_ins[key], filter_text=rest)

    # ---- POST ------------------------------------------------------------------------------------------------------

    def _post(self, request: Request, path: str) -> Answer:
        """Hunting, audit searches and batches."""
        if path == "/$batch":
            return self._batch(request)
        if path == _AUDIT:
            return self._entity(request, path, self._searches.create(request.json()), 201)
        if path not in _HUNTING:
            raise GraphError(405, "Request_BadRequest", "The sample tenant is read only.")
        body = {key.lower(): value for key, value in request.json().items()}
        text, span = body.get("query"), body.get("timespan")
        if not isinstance(text, str) or not text.strip() or not isinstance(span, str | None):
            raise GraphError(400, "BadRequest", "The request has to hold a Query.")
        context = (
            f"https://graph.microsoft.com/{request.version}/$metadata#microsoft.graph.security.huntingQueryResults"
        )
        found = hunting.run(self._tables, text.strip(), span)
        return Answer(200, b'{"@odata.context":' + _encode(context) + b"," + found + b"}")

    def _audit_search(self, request: Request, path: str) -> Answer:
        """Audit searches: the list, one of them, or its records."""
        parts = path.removeprefix(_AUDIT).strip("/").split("/")
        if parts == [""]:
            rows = self._searches.listed()
            return Answer(200, b'{"value":[' + b",".join(rows) + b"]}")
        if len(parts) == 2 and parts[1] == "records":
            records = self._searches.records(parts[0])
            if records is not None:
                return self.pager.page(request, path, records)
        found = self._searches.look(parts[0]) if len(parts) == 1 else None
        if found is None:
            raise _missing(path)
        return self._entity(request, path, found, 200)

    def _entity(self, request: Request, path: str, row: bytes, status: int) -> Answer:
        """One audit search."""
        context = f"https://graph.microsoft.com/{request.version}/$metadata#security/auditLog/queries/$entity"
        return Answer(status, b'{"@odata.context":' + _encode(context) + b"," + row[1:])

    def _batch(self, request: Request) -> Answer:
        """Up to twenty requests in one; the answers come in another order."""
        parts = request.json().get("requests")
        if not isinstance(parts, list) or not 1 <= len(parts) <= 20:
            raise GraphError(400, "BadRequest", "Number of batch request steps has to be between 1 and 20.")
        answers = []
        for part in parts:
            if not isinstance(part, dict) or not {"id", "method", "url"} <= part.keys():
                raise GraphError(400, "BadRequest", "A batch step needs id, method and url.")
            path, _, query = str(part["url"]).partition("?")
            headers = {str(name).lower(): str(value) for name, value in dict(part.get("headers") or {}).items()}
            body = _encode(part["body"]) if "body" in part else b""
            path = "/" + unquote(path).removeprefix("/")
            inner = self.answer(
                Request(str(part["method"]).upper(), request.version, path, query, headers, body, request.base)
            )
            content: Any = msgspec.Raw(inner.body) if inner.body[:1] in b"{[" else inner.body.decode()
            shown = {"Content-Type": inner.content_type.split(";")[0], **inner.headers}
            answers.append({"id": str(part["id"]), "status": inner.status, "headers": shown, "body": content})
        answers.sort(key=lambda item: ids.digest(self.world.seed, "batch", item["id"]))
        return Answer(200, _encode({"responses": answers}))


def changes_something(method: str, path: str) -> bool:
    """Whether a request is one that would change the tenant: anything but a GET, a batch, a hunt, an audit search."""
    return method != "GET" and not (method == "POST" and path in ("/$batch", _AUDIT, *_HUNTING))


def _missing(path: str) -> GraphError:
    """The answer to a path that leads nowhere."""
    return GraphError(
        404 if "/" in path[1:] or "(appId=" in path else 400,
        "Request_ResourceNotFound",
        f"Resource '{path[:120]}' does not exist.",
    )
