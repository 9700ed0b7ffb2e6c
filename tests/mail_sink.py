"""Servers on loopback that take what is delivered: a mail server, with or without TLS, and a web server."""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class MailSink:
    """What a mail server was told."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    sign_ins: list[str] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)
    """For each mail, whether the connection was encrypted."""
    refuse: list[str] = field(default_factory=list)
    """Answers to the next MAIL commands, instead of 250."""


@contextmanager
def mail_sink(context: ssl.SSLContext | None = None) -> Iterator[MailSink]:
    """A mail server that speaks as much SMTP as a mail needs; with a context it offers STARTTLS and AUTH PLAIN."""

    class Handler(socketserver.StreamRequestHandler):
        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")
            self.wfile.flush()

        def finish(self) -> None:
            for stream in (self.rfile, self.wfile, self.request):
                with suppress(OSError):
                    stream.close()

        def handle(self) -> None:
            secure = False
            self.say("220 sink")
            while line := self.rfile.readline():
                word = line.split()[0].upper().decode()
                if word == "EHLO":
                    self.say("250-sink")
                    self.say("250 AUTH PLAIN" if secure or context is None else "250 STARTTLS")
                elif word == "STARTTLS" and context is not None:
                    self.say("220 go on")
                    plain = self.request
                    try:
                        self.request = context.wrap_socket(plain, server_side=True)
                    except OSError:  # the client does not trust us
                        plain.close()
                        return
                    self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb")
                    secure = True
                elif word == "AUTH":
                    sink.sign_ins.append(line.split()[-1].decode())
                    self.say("235 welcome")
                elif word == "MAIL" and sink.refuse:
                    self.say(sink.refuse.pop(0))
                elif word == "RCPT":
                    sink.recipients.append(line.decode().partition("<")[2].partition(">")[0])
                    self.say("250 fine")
                elif word == "DATA":
                    self.say("354 go on")
                    body = b""
                    while not body.endswith(b"\r\n.\r\n"):
                        body += self.rfile.readline()
                    parsed = message_from_bytes(body[:-5].replace(b"\r\n..", b"\r\n."), policy=policy.default)
                    assert isinstance(parsed, EmailMessage)
                    sink.mails.append(parsed)
                    sink.secured.append(secure)
                    self.say("250 taken")
                elif word == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 fine")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        sink = MailSink(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield sink
        finally:
            server.shutdown()
            thread.join()


@dataclass
class WebSink:
    """What a web server was told."""

    port: int
    got: list[dict[str, Any]] = field(default_factory=list)
    """Path, headers and JSON of each request."""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Status and headers of the next answers; 202 when there is none."""

    def url(self, path: str) -> str:
        """An address on it."""
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def web_sink() -> Iterator[WebSink]:
    """A web server that takes JSON; what is sent to `/v1.0/...` is answered like Graph, without a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.got.append(
                {
                    "path": self.path,
                    "headers": {k.lower(): v for k, v in self.headers.items()},
                    "json": json.loads(body),
                }
            )
            status, headers = sink.answers.pop(0) if sink.answers else (202, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            sink.got.append({"path": self.path, "headers": {}, "json": None})
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sink = WebSink(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
