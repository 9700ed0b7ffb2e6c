"""The tenant on a loopback port: HTTP around the answers, the bearer token, faults, and control paths for tests.

`POST /_control/faults` sets the faults, `GET /_control/requests` lists what was asked, `GET /_control/token` gives the
token that is valid now, `POST /_control/token` a new one, from when on the old one is refused; `POST /_control/change`
changes the directory: {"n": 3} or {"n": 3, "kind": "rename_app"}.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from appgov_lib.errors import ConfigError
from appgov_lib.sample import ids
from appgov_lib.sample.faults import Fate, Faults, forbidden, from_values
from appgov_lib.sample.odata import error_body
from appgov_lib.sample.tenant import Answer, Request, Tenant, changes_something

_PATH = re.compile(r"^/+(v1\.0|beta)(/.*)$")
_LONG_AGO = "Wed, 01 Jan 2020 00:00:00 GMT"
"""An HTTP date that has passed by any clock, so that obeying it means not to wait."""
_LOGGED = ("authorization", "consistencylevel", "prefer", "user-agent", "retry-attempt", "accept", "client-request-id")
_DIRECTORY = re.compile(r"^/(servicePrincipals|applications|users|oauth2PermissionGrants)")
_DELTA_LINK = re.compile(r"deltatoken=[^&]")
_CLAIMS = "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxNzk0Nzg3MjAwIn19fQ=="
_HTML = b"<html><head><title>403 Forbidden</title></head><body><h1>Forbidden</h1></body></html>"


class _Wanted(msgspec.Struct):
    """What a change request asks for."""

    n: int = 1
    kind: str = ""


class SampleServer:
    """Serves one tenant."""

    def __init__(self, tenant: Tenant, faults: Faults) -> None:
        """Make the token from the seed."""
        self.tenant, self.faults = tenant, faults
        self.fate = Fate(tenant.world.seed)
        self._renewals = 0
        self.log: deque[dict[str, Any]] = deque(maxlen=100_000)
        self._base = ""
        self._served = 0

    @property
    def token(self) -> str:
        """The bearer token that is valid now."""
        return ids.opaque(self.tenant.world.seed, "bearer", self._renewals + self._expired())

    @property
    def write_token(self) -> str:
        """The bearer token that may change the tenant, when it was started as writable."""
        return ids.opaque(self.tenant.world.seed, "write bearer", 0)

    def _expired(self) -> bool:
        """Whether the first token has run out."""
        return 0 < self.faults.expire_token_after < self._served

    # ---- running ---------------------------------------------------------------------------------------------------

    async def start(self, port: int) -> web.AppRunner:
        """Listen on 127.0.0.1; port 0 takes a free one. The caller cleans the runner up."""
        application = web.Application(client_max_size=4 * 1024 * 1024)
        application.router.add_route("*", "/{tail:.*}", self._handle)
        application.on_response_prepare.append(self._date)
        runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self._base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _date(self, http: web.Request, response: web.StreamResponse) -> None:
        """Say the time that the faults ask for, and not that of this machine."""
        response.headers.popall("Date", None)
        if self.faults.date:
            response.headers["Date"] = self.faults.date

    @property
    def url(self) -> str:
        """Where the server listens."""
        return self._base

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        """Answer one HTTP request and log it."""
        path = http.path
        if path.startswith("/_control/"):
            return await self._control(http, path)
        number = self.fate.next()
        answer = await self._decide(http, number)
        headers = {name: http.headers[name] for name in _LOGGED if name in http.headers}
        if "authorization" in headers:
            headers["authorization"] = "Bearer ***"
        entry = {"number": number, "method": http.method, "path": path, "query": http.query_string, "headers": headers}
        self.log.append({**entry, "status": answer.status if answer else 0})
        if answer is None:
            if http.transport is not None:
                http.transport.abort()
            return web.Response(status=500)
        if self.faults.cut and self.fate.hits("cut", self.faults.cut, number) and answer.status == 200:
            return await _cut_short(http, answer)
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers={**_headers(number), **answer.headers, "Content-Type": answer.content_type},
        )

    async def _decide(self, http: web.Request, number: int) -> Answer | None:
        """The answer, or None to close the connection."""
        faults, found = self.faults, _PATH.match(http.path)
        self._served += 1
        if faults.delay:
            await asyncio.sleep(faults.delay)
        refused = self._refused(http.headers.get("Authorization", ""), number) or self._unwritable(http, number)
        if refused:
            return refused
        if not found:
            return _failed(404, "ResourceNotFound", f"Invalid version: {http.path.split('/')[1][:40]}", number)
        version, path = found[1], found[2]
        if self.fate.hits("reset", faults.reset, number):
            return None
        broken = self._broken(version, path, http.query_string, number)
        if broken:
            return broken
        body = await http.read()
        headers = {name.lower(): value for name, value in http.headers.items()}
        raw_query = http.rel_url.raw_query_string
        request = Request(http.method, version, path, raw_query, headers, body, self._base)
        if self.tenant.writes is not None and changes_something(request.method, path):
            if self.fate.hits("ignored", faults.ignored, number):
                return Answer(204, b"")
            answer = self.tenant.answer(request)
            return None if self.fate.hits("lost_answer", faults.lost_answer, number) else answer
        return self._spoiled(self.tenant.answer(request), request, number)

    def _refused(self, authorization: str, number: int) -> Answer | None:
        """401 without the token of the moment, or with a claims challenge."""
        challenge = 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
        writer = self.tenant.writes is not None and authorization == f"Bearer {self.write_token}"
        if authorization != f"Bearer {self.token}" and not writer:
            message = (
                "Access token is empty." if not authorization else "Access token validation failure. Invalid audience."
            )
            if self._expired() or self._renewals:
                message = "Lifetime validation failed, the token is expired."
            return _failed(401, "InvalidAuthenticationToken", message, number, {"WWW-Authenticate": challenge})
        if self.fate.hits("claims", self.faults.claims, number):
            header = f'{challenge}, error="insufficient_claims", claims="{_CLAIMS}"'
            message = "Continuous access evaluation resulted in challenge."
            return _failed(401, "InvalidAuthenticationToken", message, number, {"WWW-Authenticate": header})
        return None

    def _unwritable(self, http: web.Request, number: int) -> Answer | None:
        """403 for a change with the token of the reader."""
        found = _PATH.match(http.path)
        if self.tenant.writes is None or not found or not changes_something(http.method, found[2]):
            return None
        if http.headers.get("Authorization", "") == f"Bearer {self.write_token}":
            return None
        return _failed(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.", number)

    def _broken(self, version: str, path: str, query: str, number: int) -> Answer | None:
        """A failure in place of the answer."""
        faults, fate = self.faults, self.fate
        denied = self._denied(path, number)
        if denied:
            return denied
        if fate.hits("throttle", faults.throttle, number):
            return _throttled(fate.turn("throttle", 4), number)
        if fate.hits("error", faults.error, number):
            status = (503, 502, 500)[fate.turn("error", 3)]
            return _failed(
                status,
                {503: "ServiceUnavailable", 502: "BadGateway", 500: "InternalServerError"}[status],
                "Try again.",
                number,
            )
        if fate.hits("html", faults.html, number):
            return Answer(403, _HTML, "text/html")
        if "skiptoken=" in query and _DIRECTORY.match(path) and fate.hits("page_expired", faults.page_expired, number):
            message = "The specified page token value has expired and can no longer be included in your request."
            return _failed(400, "Directory_ExpiredPageToken", message, number)
        if _DELTA_LINK.search(query):
            if fate.hits("delta_reset", faults.delta_reset, number):
                kept = "".join(f"{part}&" for part in query.split("&") if not _DELTA_LINK.search(part))
                headers = {"Location": f"{self._base}/{version}{path}?{kept}$deltatoken="}
                return _failed(410, "syncStateNotFound", "Resync required.", number, headers)
            if fate.hits("delta_expired", faults.delta_expired, number):
                message = "The sync state generation is not found; it may have expired."
                return _failed(400, "syncStateNotFound", message, number)
        return None

    def _denied(self, path: str, number: int) -> Answer | None:
        """403 for a path without permission or licence; inside a batch each part has its own."""
        if forbidden(path, self.faults.forbid):
            message = "Insufficient privileges to complete the operation."
            return _failed(403, "Authorization_RequestDenied", message, number)
        if forbidden(path, self.faults.unlicensed):
            message = "Neither tenant is B2C or tenant doesn't have premium license"
            return _failed(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", message, number)
        return None

    def _spoiled(self, answer: Answer, request: Request, number: int) -> Answer:
        """The answer with a row twice, without its rows, or with throttled parts of a batch."""
        faults, fate = self.faults, self.fate
        if answer.status != 200:
            return answer
        if request.path == "/$batch":
            touched = faults.batch_throttle or faults.forbid or faults.unlicensed or faults.expire_token_after
            return self._batch_parts(answer, request, number) if touched else answer
        if not (faults.empty_pages or faults.duplicate):
            return answer
        start = answer.body.find(b'"value":[')
        if request.method != "GET" or start < 0 or "/delta" in request.path:
            return answer
        if fate.hits("empty_pages", faults.empty_pages, number):
            here = f"{self._base}/{request.version}{request.path}" + (f"?{request.query}" if request.query else "")
            head = answer.body[:start].split(b',"@odata.nextLink"')[0].rstrip(b",")
            return Answer(200, head + b',"@odata.nextLink":' + msgspec.json.encode(here) + b',"value":[]}')
        if fate.hits("duplicate", faults.duplicate, number):
            page = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
            rows = msgspec.json.decode(page["value"], type=list[msgspec.Raw])
            page["value"] = msgspec.Raw(msgspec.json.encode([*rows[:1], *rows]))
            return Answer(200, msgspec.json.encode(page))
        return answer

    def _batch_parts(self, answer: Answer, request: Request, number: int) -> Answer:
        """A batch answer with some of its parts throttled, and those refused that are refused on their own.

        Each part counts as a request, so that a token may run out in the middle.
        """
        good_at_first = not self._expired()
        page = msgspec.json.decode(answer.body)
        paths = {str(part["id"]): "/" + str(part["url"]).lstrip("/") for part in request.json()["requests"]}
        for part in page["responses"]:
            denied = self._denied(paths[part["id"]], number)
            self._served += 1
            if good_at_first and self._expired():
                message = "Lifetime validation failed, the token is expired."
                body = msgspec.json.decode(error_body("InvalidAuthenticationToken", message, number))
                part |= {"status": 401, "headers": {}, "body": body}
            elif denied:
                part |= {"status": 403, "headers": {}, "body": msgspec.json.decode(denied.body)}
            elif self.fate.hits("batch_throttle", self.faults.batch_throttle, f"{number}/{part['id']}"):
                body = msgspec.json.decode(error_body("TooManyRequests", "Please retry again later.", number))
                part |= {"status": 429, "headers": {"Retry-After": "1"}, "body": body}
        return Answer(200, msgspec.json.encode(page))

    async def _control(self, http: web.Request, path: str) -> web.Response:
        """Faults, changes, the request log and the token of the moment."""
        if path == "/_control/faults" and http.method == "POST":
            try:
                values = msgspec.json.decode(await http.read(), type=dict[str, Any])
                self.faults = from_values(values, Faults())
            except (msgspec.DecodeError, ConfigError) as error:
                return web.json_response({"error": str(error)}, status=400)
            self._served = 0
            return web.json_response({"faults": values})
        if path == "/_control/change" and http.method == "POST":
            try:
                wanted = msgspec.json.decode(await http.read(), type=_Wanted)
                made = self.tenant.change(wanted.n, wanted.kind)
            except (msgspec.DecodeError, ConfigError) as error:
                return web.json_response({"error": str(error)}, status=400)
            shown = [
                {"kind": change.kind, "path": change.path, "id": change.id, "removed": change.removed}
                for change in made
            ]
            return web.json_response({"changes": shown})
        if path == "/_control/requests":
            return web.json_response(list(self.log), dumps=lambda value: msgspec.json.encode(value).decode())
        if path == "/_control/token":
            self._renewals += http.method == "POST"
            return web.json_response({"token": self.token})
        return web.json_response({"error": "unknown control path"}, status=404)


def _headers(number: int) -> dict[str, str]:
    """Headers that Graph sends with every answer."""
    request_id = f"{number:08x}-0000-4000-a000-{number:012x}"
    return {
        "request-id": request_id,
        "client-request-id": request_id,
        "x-ms-resource-unit": "1",
        "OData-Version": "4.0",
    }


def _failed(status: int, code: str, message: str, number: int, headers: dict[str, str] | None = None) -> Answer:
    """An error answer."""
    return Answer(status, error_body(code, message, number), "application/json", headers or {})


def _throttled(turn: int, number: int) -> Answer:
    """429 with one of the four ways in which the wait is told, or not."""
    waits: tuple[dict[str, str], ...] = (
        {"Retry-After": "1"},
        {"Retry-After": _LONG_AGO},
        {"Retry-After": "0"},
        {},
    )
    return _failed(429, "TooManyRequests", "Please retry again later.", number, waits[turn])


async def _cut_short(http: web.Request, answer: Answer) -> web.StreamResponse:
    """Promise the whole body, send half of it, hang up."""
    response = web.StreamResponse(
        headers={"Content-Type": answer.content_type, "Content-Length": str(len(answer.body))}
    )
    await response.prepare(http)
    await response.write(answer.body[: len(answer.body) // 2])
    if http.transport is not None:
        http.transport.close()
    return response


async def serve(server: SampleServer, port: int, ready: Callable[[str], None], until_stdin_closes: bool) -> None:
    """Serve until cancelled, or until standard input ends, which happens when the parent process is gone."""
    runner = await server.start(port)
    try:
        ready(server.url)
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        if until_stdin_closes:
            threading.Thread(target=_wait_for_end, args=(loop, done), daemon=True).start()
        await done.wait()
    finally:
        await runner.cleanup()


def _wait_for_end(loop: asyncio.AbstractEventLoop, done: asyncio.Event) -> None:
    """Read standard input to its end, then ask the loop to stop."""
    # Not through sys.stdin: its lock would be held when the interpreter ends.
    while os.read(0, 4_096):
        pass
    if not loop.is_closed():
        loop.call_soon_threadsafe(done.set)
