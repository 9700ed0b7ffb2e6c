"""The HTTP client against a real server on loopback that answers from a script: every trap of Graph we know of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from appgov_lib.errors import SignInError
from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.graph import GraphClient, GraphError, retry_after

Script = list[Callable[[web.Request], Awaitable[web.StreamResponse]]]


def answer(body: Any = None, status: int = 200, **headers: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A JSON answer; `body` is formatted with the server's own address where it holds {root}."""

    async def send(request: web.Request) -> web.Response:
        text = str(body).replace("{root}", f"http://{request.host}")
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        return web.Response(text=text, status=status, content_type="application/json", headers=names)

    return send


async def cut(request: web.Request) -> web.StreamResponse:
    """An answer that ends in the middle of its body."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "500"})
    await response.prepare(request)
    await response.write(b'{"value":[{"id":"a"},{"i')
    assert request.transport is not None
    request.transport.close()
    return response


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """Answers the n-th request with the n-th entry of `script`; yields its address and the requests it saw."""
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        seen.append(request)
        return await script[len(seen) - 1](request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}", seen
    finally:
        await runner.cleanup()


def read(script: Script, headers: dict[str, str] | None = None) -> tuple[list[bytes], list[web.Request], list[float]]:
    """Read a whole collection; returns its records, the requests the server saw and the waits in seconds."""

    async def go() -> tuple[list[bytes], list[web.Request], list[float]]:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        async with server(script) as (root, seen):
            async with GraphClient(root, ReadyToken("secret-token"), sleep=sleep) as client:
                found: list[bytes] = []
                url = f"{root}/v1.0/things?$top=2"
                async for _, page, _ in client.pages(url, name="things", workload="directory", headers=headers):
                    found += [bytes(record) for record in page.value]
            return found, seen, waits

    return asyncio.run(go())


ONE = '{"value":[{"id":"a"}],"@odata.nextLink":"{root}/v1.0/things?$skiptoken=2"}'
LAST = '{"value":[{"id":"b"}]}'


def test_an_empty_page_in_the_middle_does_not_end_the_collection() -> None:
    empty = '{"value":[],"@odata.nextLink":"{root}/v1.0/things?$skiptoken=3"}'
    found, seen, _ = read([answer(ONE), answer(empty), answer(LAST)])
    assert found == [b'{"id":"a"}', b'{"id":"b"}']
    assert [request.query_string for request in seen] == ["$top=2", "$skiptoken=2", "$skiptoken=3"]


def test_headers_and_token_go_with_every_page() -> None:
    _, seen, _ = read([answer(ONE), answer(LAST)], headers={"ConsistencyLevel": "eventual"})
    assert [request.headers["ConsistencyLevel"] for request in seen] == ["eventual", "eventual"]
    assert {request.headers["Authorization"] for request in seen} == {"Bearer secret-token"}


def test_retry_after_is_waited_out_exactly_and_a_long_one_is_not_given_up() -> None:
    busy = '{"error":{"code":"TooManyRequests","message":"slow down"}}'
    found, _, waits = read([answer(busy, 429, Retry_After="0.5"), answer(busy, 503, Retry_After="200"), answer(LAST)])
    assert found == [b'{"id":"b"}']
    assert waits == [0.5, 200.0]


def test_server_errors_and_cut_bodies_are_asked_again() -> None:
    broken = '{"error":{"code":"UnknownError","message":"x"}}'
    script: Script = [answer(broken, 500), answer(broken, 502), cut, answer('{"value":[{"id"'), answer(LAST)]
    found, seen, waits = read(script)
    assert found == [b'{"id":"b"}']
    assert len(seen) == 5
    assert all(0 <= wait <= 0.5 * 2**n for n, wait in enumerate(waits)), "back-off grows with every attempt"


def test_a_next_link_to_another_host_is_not_followed() -> None:
    with pytest.raises(GraphError, match="another host"):
        read([answer('{"value":[{"id":"a"}],"@odata.nextLink":"http://127.0.0.2:9/v1.0/steal"}')])


def test_a_next_link_that_goes_in_a_circle_ends_with_an_error() -> None:
    with pytest.raises(GraphError, match="already read"):
        read([answer('{"value":[],"@odata.nextLink":"{root}/v1.0/things?$top=2"}')] * 6)


def test_a_token_refused_once_is_asked_anew_and_refused_twice_is_a_sign_in_error() -> None:
    refused = answer('{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}', 401)
    found, seen, _ = read([refused, answer(LAST)])
    assert (found, len(seen)) == ([b'{"id":"b"}'], 2)
    with pytest.raises(SignInError, match="refused the token"):
        read([refused, refused])


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.", "not_permitted"),
        (403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", "Neither tenant is B2C", "not_licensed"),
        (403, "Forbidden", "The tenant does not have a premium license.", "not_licensed"),
        (400, "BadRequest", "Invalid filter clause", "failed"),
        (404, "ResourceNotFound", "", "failed"),
    ],
)
def test_refusals_say_what_they_mean_for_coverage(status: int, code: str, message: str, expected: str) -> None:
    with pytest.raises(GraphError) as caught:
        read([answer(f'{{"error":{{"code":"{code}","message":"{message}"}}}}', status)])
    assert caught.value.coverage_status == expected
    assert (caught.value.status, caught.value.code) == (status, code)


def test_an_html_error_page_is_a_refusal_too() -> None:
    async def gateway(_: web.Request) -> web.Response:
        return web.Response(text="<html><h1>403</h1></html>", status=403, content_type="text/html")

    with pytest.raises(GraphError) as caught:
        read([gateway])
    assert caught.value.coverage_status == "not_permitted"


def test_messages_of_the_service_lose_their_control_characters() -> None:
    assert str(GraphError(400, "Bad", "a\x1b[31mred\r\nline")) == "HTTP 400 Bad: a [31mred line"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "12"}, 12.0),
        ({"retry-after": "0"}, 0.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "Mon, 16 Nov 2026 00:00:09 GMT", "Date": "Mon, 16 Nov 2026 00:00:04 GMT"}, 5.0),
        ({"Retry-After": "Mon, 16 Nov 2026 00:00:09 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
