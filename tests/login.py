"""A sign-in service on loopback for tests, and tokens like Entra ID's; none is signed, nothing leaves the machine."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from azure.core.pipeline.transport import AioHttpTransport, RequestsTransport

ORIGINAL = "X-Original-Host"


def jwt(**claims: Any) -> str:
    """A token with these claims."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'typ': 'JWT', 'alg': 'none'})}.{part(claims)}.c2ln"


@dataclass
class Login:
    """What the service was asked, and what it answers."""

    port: int
    token: str = field(default_factory=lambda: jwt(tid="t", appid="a", roles=[]))
    issue: Callable[[], str] | None = None
    """Where tokens come from instead."""
    expires_in: int = 3600
    """Seconds that a token lives."""
    error: str = ""
    """When set, tokens are refused with this description."""
    refused: dict[str, str] = field(default_factory=dict)
    """By client secret: the description it is refused with."""
    pending: int = 0
    """Times a device code is answered with 'not yet'."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """Form of each request, with `host` and `path` as the client wrote them."""

    @property
    def endpoint(self) -> str:
        """Address without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, asked: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        host, path = asked["host"], asked["path"]
        if "discovery/instance" in path:
            return 200, {"tenant_discovery_endpoint": f"https://{host}/tenant/v2.0/.well-known/openid-configuration"}
        if "openid-configuration" in path:
            base = f"https://{host}/{path.split('/')[1]}"
            return 200, {
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "issuer": f"{base}/v2.0",
            }
        if path.endswith("/devicecode"):
            return 200, {
                "device_code": "d3vice-s3cret",
                "user_code": "ABC-123",
                "verification_uri": "https://microsoft.com/devicelogin",
                "expires_in": 60,
                "interval": 0,
            }
        error = self.error or self.refused.get(asked.get("client_secret", ""))
        if error:
            return 401 if asked.get("client_secret") else 400, {"error": "invalid_client", "error_description": error}
        if self.pending:
            self.pending -= 1
            return 400, {"error": "authorization_pending", "error_description": "not yet"}
        token = self.issue() if self.issue else self.token
        body: dict[str, Any] = {"token_type": "Bearer", "expires_in": self.expires_in, "access_token": token}
        if asked.get("grant_type", "").endswith("device_code"):
            issuer = f"https://{host}/{path.split('/')[1]}/v2.0"
            body["id_token"] = jwt(
                iss=issuer, aud=asked["client_id"], sub="s", tid="t", exp=4102444800, preferred_username="u@t"
            )
            body["client_info"] = base64.urlsafe_b64encode(b'{"uid":"u","utid":"t"}').decode()
            body["refresh_token"] = "r3fresh"
        return 200, {**body, "expires_on": "4102444800", "resource": asked.get("resource", "")}


@contextmanager
def login_service() -> Iterator[Login]:
    """Run the service on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            parts = urlsplit(self.path)
            host = self.headers.get(ORIGINAL, self.headers["Host"])
            secret = self.headers.get("X-IDENTITY-HEADER", "")
            fields = dict(parse_qsl(sent)) | dict(parse_qsl(parts.query))
            service.asked.append({**fields, "host": host, "path": parts.path, "identity_header": secret})
            status, body = service.answer(service.asked[-1])
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service = Login(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _rerouted(request: Any, service: Login) -> Any:
    """The same request to the service, with the host it was meant for in a header."""
    parts = urlsplit(request.url)
    request.headers[ORIGINAL] = parts.netloc
    request.url = f"{service.endpoint}{parts.path}" + (f"?{parts.query}" if parts.query else "")
    return request


class Detour(AioHttpTransport):
    """azure-core's asynchronous transport, led to the service whatever host is named."""

    def __init__(self, service: Login) -> None:
        super().__init__()
        self.service = service

    async def send(self, request: Any, **options: Any) -> Any:
        return await super().send(_rerouted(request, self.service), **options)


class BlockingDetour(RequestsTransport):
    """The same for blocking credentials."""

    def __init__(self, service: Login) -> None:
        super().__init__()
        self.service = service

    def send(self, request: Any, **options: Any) -> Any:
        return super().send(_rerouted(request, self.service), **options)
