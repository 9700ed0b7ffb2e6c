"""The one place that talks HTTP: GET pages and read-only POSTs through the Graph SDK's own request adapter.

A client reads and nothing else, whatever it is asked for, unless it was made with `may_change`.

The adapter brings sign-in, proxies and redirects; pages come back as bytes and are split, never turned into SDK model
objects (3.5 ms each, measured). Throttling and retries are ours, because the SDK does not retry 500, 502 and broken
connections and gives up at long Retry-After values.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from appgov_lib.errors import ConfigError, SignInError
from appgov_lib.extract.credentials import explain_sign_in
from appgov_lib.extract.limits import LIMITS, LOOPBACK_LIMITS, Budget, Limiter
from appgov_lib.extract.renewal import Renewing
from appgov_lib.settings import is_loopback

T = TypeVar("T")

RETRY_STATUS = frozenset({429, 500, 502, 503, 504})
MAX_ATTEMPTS = 9
MAX_VISITS = 5
"""Times the same next link is followed: an empty page may name itself again, a circle would never end."""
REFUSED_TWICE = "Graph refused the token (401): it is expired, or meant for another tenant or endpoint; sign in again."
READING_POSTS = (
    "/security/runHuntingQuery",
    "/security/microsoft.graph.security.runHuntingQuery",
    "/security/auditLog/queries",
)
"""What a POST may ask for without changing the tenant; a `$batch` may hold GETs alone."""
SKEW = timedelta(hours=1)
"""How far this machine's clock may be from the service's."""
LONGEST_WAIT = 600.0
"""Seconds; a Retry-After beyond this is taken as a failure of the source, not waited out."""


class Page(msgspec.Struct):
    """A page of a collection: records as raw JSON, and where the next one is."""

    value: list[msgspec.Raw] = []
    next: str | None = msgspec.field(name="@odata.nextLink", default=None)
    delta: str | None = msgspec.field(name="@odata.deltaLink", default=None)
    count: int | None = msgspec.field(name="@odata.count", default=None)


class _ErrorDetail(msgspec.Struct):
    """Code and message of Graph's error form."""

    code: str | None = None
    message: str | None = None


class _ErrorBody(msgspec.Struct):
    """Graph's error form."""

    error: _ErrorDetail


class GraphError(Exception):
    """A request that Graph refused for good, or never answered whole (`status` 0)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """HTTP status, Graph's error code, Graph's message."""
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message
        self.retry_after: float | None = None
        """Seconds the service asked to wait, where it did."""

    def __str__(self) -> str:
        """Status, code and the first 200 characters of the service's message, without control characters."""
        text = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", self.message)[:200]
        return f"HTTP {self.status} {self.code}: {text}".strip()

    @property
    def page_expired(self) -> bool:
        """Whether the paging or delta token ran out, so that the collection must be read from its start again."""
        return self.status == 410 or (self.status == 400 and "ExpiredPageToken" in self.code)

    @property
    def too_much(self) -> bool:
        """Whether a hunting query ran out of time, memory or processor quota, so that a smaller one may pass."""
        text = f"{self.code} {self.message}".lower()
        return self.status in (400, 408, 413, 504) and any(
            word in text for word in ("timeout", "timed out", "quota", "too large", "exceeded", "memory")
        )

    @property
    def coverage_status(self) -> str:
        """What this error means for a source: not_licensed, not_permitted or failed."""
        text = f"{self.code} {self.message}".lower()
        if "nonpremium" in text or "premium license" in text or "not licensed" in text or "no license" in text:
            return "not_licensed"
        return "not_permitted" if self.status == 403 else "failed"


class GraphClient:
    """Reads from one Graph endpoint. Use as an asynchronous context manager inside one event loop."""

    def __init__(
        self,
        endpoint: str,
        credential: Any,
        *,
        limits: Mapping[str, Budget] | None = None,
        sleep: Callable[[float], Any] = asyncio.sleep,
        seed: int = 0,
        may_change: bool = False,
        now: datetime | None = None,
    ) -> None:
        """`endpoint` without version or trailing slash; `limits` as `LIMITS`; `sleep` and `seed` serve tests.

        `now` (naive UTC) is what this machine's clock says; the first answer that tells the time has to agree with it.
        """
        self.may_change, self._now, self._began = may_change, now, 0.0
        self.endpoint = endpoint
        self.host = urlsplit(endpoint).netloc
        self.requests: Counter[str] = Counter()
        """HTTP requests made so far, by the name given to each call."""
        self.credential: Any = Renewing(credential)
        self.sleep = sleep
        self._random = random.Random(seed)  # noqa: S311 - spreads retries, guards nothing
        self._limits = {**(LOOPBACK_LIMITS if is_loopback(endpoint) else LIMITS), **(limits or {})}
        self._limiters: dict[str, Limiter] = {}
        self._adapter: Any = None
        self._http: Any = None
        self._transports: list[Any] = []

    async def __aenter__(self) -> GraphClient:
        """Open the connection pool."""
        import httpx
        from kiota_authentication_azure.azure_identity_authentication_provider import (
            AzureIdentityAuthenticationProvider,
        )
        from kiota_http.middleware.options import RetryHandlerOption
        from msgraph.graph_request_adapter import GraphRequestAdapter
        from msgraph_core import GraphClientFactory

        pool = httpx.AsyncClient(
            http2=False,
            timeout=httpx.Timeout(300, connect=30),
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=32),
        )
        # The SDK's wrapper never closes the transports it wraps, so they are remembered here.
        self._transports = [pool._transport, *(mount for mount in pool._mounts.values() if mount is not None)]
        options = {RetryHandlerOption.get_key(): RetryHandlerOption(max_retries=0, should_retry=False)}
        self._http = GraphClientFactory.create_with_default_middleware(client=pool, options=options)
        # allowed_hosts: without it the token would follow a nextLink to any host.
        auth = AzureIdentityAuthenticationProvider(
            self.credential,
            scopes=[f"{self.endpoint}/.default"],
            allowed_hosts=[urlsplit(self.endpoint).hostname or ""],
        )
        self._adapter = GraphRequestAdapter(auth, self._http)
        self._adapter.base_url = f"{self.endpoint}/v1.0"
        clock = asyncio.get_running_loop().time
        self._began = clock()
        self._limiters = {name: Limiter(budget, clock) for name, budget in self._limits.items()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool and the credential."""
        await self._http.aclose()
        for transport in self._transports:
            await transport.aclose()
        await self.credential.close()

    async def pages(
        self, url: str, *, name: str, workload: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[tuple[str, Page, bytes]]:
        """Every page of a collection from `url` on: its address, its records, its bytes.

        An empty page with a next link does not end it; a next link to another host, or one that keeps coming back,
        does, as a `GraphError`.
        """
        seen: Counter[str] = Counter()
        address: str | None = url
        while address:
            if urlsplit(address).netloc != self.host:
                raise GraphError(0, "ForeignNextLink", "the next page is on another host; it was not followed")
            if seen[address] >= MAX_VISITS:
                raise GraphError(0, "NextLinkLoop", "the service kept sending a next page that was already read")
            seen[address] += 1
            page, body = await self.send(Page, "GET", address, name=name, workload=workload, headers=headers)
            yield address, page, body
            address = page.next

    async def send(
        self,
        form: type[T],
        method: str,
        url: str,
        *,
        name: str,
        workload: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[T, bytes]:
        """One request, retried until it is answered or refused; returns the answer as `form` and as bytes.

        An answer that is not of that form was cut short and is asked for again. Raises `GraphError` when refused and
        `SignInError` when there is no valid token.
        """
        limiter = self._limiters[workload]
        failure = GraphError(0, "NoAnswer", "no answer")
        token_refused = False
        for attempt in range(1, MAX_ATTEMPTS + 1):
            self.requests[name] += 1
            try:
                async with limiter:
                    content = await self._once(method, url, headers, body)
                answer = msgspec.json.decode(content, type=form)
                limiter.answered()
                return answer, content
            except _Refused as refused:
                failure = refused.error
                if failure.status == 401:
                    if token_refused:
                        raise SignInError(REFUSED_TWICE) from None
                    token_refused = True  # it ran out in flight: the next attempt signs in anew
                    continue
                token_refused = False
                if failure.status not in RETRY_STATUS:
                    raise failure from None
                delay = self.backoff(attempt) if refused.retry_after is None else refused.retry_after
                if failure.status == 429:
                    limiter.throttled(delay)
            except _Broken as broken:
                failure, delay = GraphError(0, "Broken", str(broken)), self.backoff(attempt)
            except msgspec.MsgspecError:
                failure = GraphError(0, "CutBody", "the answer was cut short or is not JSON")
                delay = self.backoff(attempt)
            if delay > LONGEST_WAIT or attempt == MAX_ATTEMPTS:
                break
            await self.sleep(delay)
        raise failure

    async def once(self, method: str, url: str, *, name: str, workload: str, body: bytes | None = None) -> bytes:
        """One attempt and no more, for a request that would change something twice; returns the answer's body.

        Raises `GraphError` when it was refused, with the wait asked for, or with `status` 0 when no answer came and
        nobody knows whether it was carried out.
        """
        self.requests[name] += 1
        try:
            async with self._limiters[workload]:
                return await self._once(method, url, None, body)
        except _Refused as refused:
            refused.error.retry_after = refused.retry_after
            raise refused.error from None
        except _Broken as broken:
            raise GraphError(0, "Broken", str(broken)) from None

    async def send_mail(self, sender: str, body: bytes) -> None:
        """Send a mail from the mailbox `sender`: the one request here that is no reading, for delivery alone.

        Asked once, as a second try could send it twice; raises `GraphError` when refused or not answered.
        """
        try:
            await self._once("POST", f"{self.endpoint}/v1.0/users/{quote(sender)}/sendMail", None, body, is_mail=True)
        except _Refused as refused:
            raise refused.error from None
        except _Broken as broken:
            raise GraphError(0, "Broken", str(broken)) from None

    def backoff(self, attempt: int) -> float:
        """Exponential with full jitter: 0..0.5*2^(attempt-1) seconds, 60 at most."""
        return self._random.uniform(0, min(60.0, 0.5 * 2 ** (attempt - 1)))

    async def _once(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None, *, is_mail: bool = False
    ) -> bytes:
        """A single attempt; `_Refused` for an error answer, `_Broken` when there was none."""
        import httpx
        from azure.core.exceptions import ClientAuthenticationError
        from kiota_abstractions.method import Method
        from kiota_abstractions.request_information import RequestInformation

        if not self.may_change and not is_mail and not only_reads(method, url, body):
            raise RuntimeError("a client that only reads was asked to change something; nothing was sent")
        request = RequestInformation(Method[method])
        request.url = url
        for key, value in {"Accept": "application/json", **(headers or {})}.items():
            request.headers.try_add(key, value)
        if body is not None:
            request.set_stream_content(body, "application/json")
        span = self._adapter.start_tracing_span(request, "send")
        try:
            # The native response: the SDK's typed errors import its models, 1.6 s at the first one.
            response = await self._adapter.get_http_response_message(request, span)
        except ClientAuthenticationError as error:
            raise explain_sign_in(error) from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _Broken(f"{type(error).__name__} while reading") from None
        finally:
            span.end()
        if self._now is not None:
            self._compare_clocks(response.headers.get("Date", ""), self._now)
        if response.is_success:
            return bytes(response.content)
        if response.status_code == 401:
            self.credential.refused(response.request.headers.get("Authorization", ""))
        raise _Refused(error_of(response.status_code, response.content), retry_after(dict(response.headers)))

    def _compare_clocks(self, told: str, now: datetime) -> None:
        """Raise `ConfigError` when the service's clock is far from this machine's: the wrong weeks would be read."""
        try:
            theirs = parsedate_to_datetime(told).astimezone(UTC).replace(tzinfo=None)
        except ValueError:  # none, or one of another form
            return
        ours = now + timedelta(seconds=round(asyncio.get_running_loop().time() - self._began))
        if abs(theirs - ours) > SKEW:
            raise ConfigError(
                f"This machine's clock says {ours.isoformat()}Z and Microsoft Graph's {theirs.isoformat()}Z: set this "
                "one right and run again. Nothing was read."
            )
        self._now = None


def only_reads(method: str, url: str, body: bytes | None = None) -> bool:
    """Whether a request cannot change the tenant: a GET, a hunt, an audit search, a batch of GETs."""
    if method == "GET":
        return True
    path = urlsplit(url).path
    if method == "POST" and path.endswith("/$batch"):
        parts = msgspec.json.decode(body or b"{}").get("requests", ())
        return all(part.get("method") == "GET" for part in parts)
    return method == "POST" and path.endswith(READING_POSTS)


def post_outside(url: str, body: bytes) -> None:
    """Hand JSON to a web address that a delivery names; no token goes along and no redirect is followed.

    Raises `GraphError` without a word of the address, which is a secret, when it is refused or not answered.
    """
    import httpx

    try:
        with httpx.Client(timeout=30, follow_redirects=False) as client:
            response = client.request("POST", url, content=body, headers={"Content-Type": "application/json"})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise GraphError(0, type(error).__name__, "no answer") from None
    if not response.is_success:
        raise GraphError(response.status_code, "", "the address refused it")


class _Refused(Exception):
    """An error answer, with the wait it asked for."""

    def __init__(self, error: GraphError, wait: float | None) -> None:
        """Keep both."""
        super().__init__(str(error))
        self.error, self.retry_after = error, wait


class _Broken(Exception):
    """A connection that ended before a whole answer came."""


def error_of(status: int, body: bytes) -> GraphError:
    """The error in an answer's body; a body that is not Graph's error form (a gateway's HTML) leaves code empty."""
    try:
        error = msgspec.json.decode(body, type=_ErrorBody).error
    except msgspec.MsgspecError:
        return GraphError(status, "", "the answer is not in Graph's error form")
    return GraphError(status, error.code or "", error.message or "")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait from a Retry-After header in either form, None without a usable one; never negative.

    The date form is measured against the answer's own Date header, so no local clock is read.
    """
    lower = {key.lower(): value for key, value in headers.items()}
    text = str(lower.get("retry-after", "")).strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(str(lower["date"]))).total_seconds())
    except (ValueError, TypeError, KeyError):
        return None
