"""How each kind of source is walked: pages of a list, one object, children by batch, hunting windows, audit searches.

A walker turns answers into records and hands them to the keeper, which puts them on disk and in the journal. What is
already in the journal is not asked for again.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from appgov_lib.errors import SignInError
from appgov_lib.extract.graph import (
    MAX_ATTEMPTS,
    REFUSED_TWICE,
    RETRY_STATUS,
    GraphClient,
    GraphError,
    Page,
    error_of,
    retry_after,
)
from appgov_lib.extract.snapshot import SnapshotWriter, iso
from appgov_lib.extract.sources import HUNTING_ROW_CAP, Shard, Source, Window
from appgov_lib.settings import is_loopback

EXPAND_CAP = 20
"""Objects `$expand` returns per record at most (Graph reference); as many may have been cut."""
BATCH_SIZE = 20
"""Requests one `$batch` may hold (Graph reference)."""
MOST_SHARDS = 1_024
"""A shard of so many is not cut any further."""
MAX_RESTARTS = 3
POLLS = 180
"""Times an audit search is asked whether it has ended; with `POLL_SECONDS`, half an hour."""
POLL_SECONDS = 10.0


class Expanded(msgspec.Struct):
    """A record with an expanded relation, each related object as raw JSON."""

    id: str
    app_id: str | None = msgspec.field(name="appId", default=None)
    owners: list[msgspec.Raw] = []


class HuntingAnswer(msgspec.Struct):
    """The answer to a hunting query: rows as raw JSON."""

    results: list[msgspec.Raw] = []


class BatchPart(msgspec.Struct):
    """The answer to one request inside a batch."""

    id: str
    status: int
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: msgspec.Raw = msgspec.Raw(b"null")


class BatchAnswer(msgspec.Struct):
    """The answers to a batch, in any order."""

    responses: list[BatchPart] = []


class Query(msgspec.Struct):
    """An audit search."""

    id: str
    status: str = ""


class Child(msgspec.Struct):
    """A record kept with the object it belongs to."""

    parent_id: str
    record: msgspec.Raw


@dataclass
class Walker:
    """Walks chains of one extraction. A chain is a sequence of answers read in order; its name is its files' stem."""

    client: GraphClient
    writer: SnapshotWriter
    next: dict[str, str | None] = field(default_factory=dict)
    """Where each chain goes on; None when it is at its end."""
    declared: dict[str, int] = field(default_factory=dict)
    """Records the service announced, by source."""
    kept: Counter[str] = field(default_factory=Counter)
    """Records on disk, by source."""
    least: dict[str, int] = field(default_factory=dict)
    """Requests that full pages would have needed, by source."""
    report: Callable[[Source], None] = lambda _: None
    """Told after each answer that is kept."""

    async def pages(self, source: Source, chain: str, url: str) -> None:
        """Read one list from where it stands; start it anew when its paging token has run out."""
        for restart in range(MAX_RESTARTS + 1):
            try:
                await self._follow(source, chain, url)
                return
            except GraphError as error:
                if not error.page_expired or restart == MAX_RESTARTS:
                    raise
                self.kept[source.name] -= sum(f.rows for f in self.writer.files(source.bucket, f"{chain}-"))
                self.writer.restart(source.bucket, f"{chain}-")
                self.next.pop(chain, None)

    async def _follow(self, source: Source, chain: str, url: str) -> None:
        """Keep page after page, from the one after the last that is on disk; the next is asked for meanwhile."""
        start = self.next.get(chain, url)
        if start is None:
            return
        number = len(self.writer.files(source.bucket, f"{chain}-"))
        writing: asyncio.Future[None] | None = None
        try:
            async for address, page, body in self.client.pages(
                start, name=source.name, workload=source.workload, headers=source.headers
            ):
                number += 1
                if page.count is not None:
                    self.declared[source.name] = page.count
                lines = [bytes(record) for record in page.value]
                if source.method == "expand":
                    lines = [await self._whole(source, line) for line in lines]
                if writing is not None:
                    await writing
                name = f"{chain}-{number:05d}"
                writing = asyncio.ensure_future(
                    self._keep(source, chain, lines, address, name, body, page.next, page.count)
                )
        finally:
            if writing is not None:
                await writing
        self._needed(source, sum(file.rows for file in self.writer.files(source.bucket, f"{chain}-")))

    async def _keep(
        self,
        source: Source,
        chain: str,
        lines: Iterable[bytes],
        origin: str,
        name: str,
        received: bytes | None,
        next_url: str | None,
        count: int | None = None,
    ) -> None:
        """Put one answer on disk, in a thread, and note where its chain goes on."""
        note = {"chain": chain, "source": source.name, "next": next_url, "count": count}
        rows = await asyncio.to_thread(
            self.writer.write, source.bucket, lines, origin, name=name, received=received, note=note
        )
        self.next[chain] = next_url
        self.kept[source.name] += rows
        self.report(source)

    async def _whole(self, source: Source, line: bytes) -> bytes:
        """The record with every related object, asking again where `$expand` may have cut the list."""
        record = msgspec.json.decode(line, type=Expanded)
        if len(record.owners) < EXPAND_CAP:
            return line
        url = f"{self.client.endpoint}/{source.version}{source.path}/{record.id}/{source.expand}?$top=999"
        owners: list[msgspec.Raw] = []
        async for _, page, _ in self.client.pages(url, name=source.name, workload=source.workload):
            owners += page.value
        self._needed(source, 1)
        return msgspec.json.encode({"id": record.id, "appId": record.app_id, source.expand: owners})

    async def one_object(self, source: Source, chain: str, url: str) -> None:
        """Read a resource that is one object, or a collection of one in other versions of the service."""
        if self.next.get(chain, url) is None:
            return
        _, body = await self.client.send(
            dict, "GET", url, name=source.name, workload=source.workload, headers=source.headers
        )
        page = msgspec.json.decode(body, type=Page)
        lines = [bytes(record) for record in page.value] or [body]
        await self._keep(source, chain, lines, url, f"{chain}-00001", body, None)
        self._needed(source, 1)

    async def batch(self, source: Source, parents: list[str]) -> None:
        """Read the children of up to `BATCH_SIZE` objects with one request; parts are retried on their own."""
        chain = f"{source.name}-{parents[0]}"
        if self.next.get(chain, "") is None:
            return
        waiting = {str(number): parent for number, parent in enumerate(parents, 1)}
        lines: list[bytes] = []
        url = f"{self.client.endpoint}/{source.version}/$batch"
        token_refused = False
        for attempt in range(1, MAX_ATTEMPTS + 1):
            body = {"requests": [_part(source, number, parent) for number, parent in waiting.items()]}
            answer, _ = await self.client.send(
                BatchAnswer,
                "POST",
                url,
                name=source.name,
                workload=source.workload,
                body=json.dumps(body).encode(),
            )
            failed: list[tuple[GraphError, float | None]] = []
            if any(part.status == 401 for part in answer.responses):
                if token_refused:
                    raise SignInError(REFUSED_TWICE)
                token_refused = True  # it ran out between the batch and its parts
                self.client.credential.refused()
            for part in answer.responses:
                if part.id not in waiting:
                    continue
                if part.status in RETRY_STATUS or part.status == 401:
                    failed.append((error_of(part.status, bytes(part.body)), retry_after(part.headers)))
                elif part.status == 404:  # the object went away since it was listed
                    waiting.pop(part.id)
                elif part.status >= 400:
                    raise error_of(part.status, bytes(part.body))
                else:
                    lines += [line async for line in self._children(source, waiting.pop(part.id), part.body)]
            if not waiting:
                break
            if attempt == MAX_ATTEMPTS:
                raise failed[0][0] if failed else GraphError(0, "BatchPartMissing", "a part was never answered")
            waits = [wait for _, wait in failed if wait is not None]
            await self.client.sleep(max(waits) if waits else self.client.backoff(attempt))
        await self._keep(source, chain, lines, f"{url}#{len(parents)}", f"{chain}-00001", None, None)
        self._needed(source, 1)

    async def _children(self, source: Source, parent: str, body: msgspec.Raw) -> AsyncIterator[bytes]:
        """The records of one part of a batch, further pages included."""
        page = msgspec.json.decode(body, type=Page)
        for record in page.value:
            yield msgspec.json.encode(Child(parent, record))
        if page.next:
            async for _, more, _ in self.client.pages(page.next, name=source.name, workload=source.workload):
                self._needed(source, 1)
                for record in more.value:
                    yield msgspec.json.encode(Child(parent, record))

    async def children(self, source: Source, parent: str) -> None:
        """Read the children of one object with requests of their own."""
        chain = f"{source.name}-{parent}"
        url = source.url(self.client.endpoint, id=parent)
        if self.next.get(chain, url) is None:
            return
        lines: list[bytes] = []
        async for _, page, _ in self.client.pages(
            url, name=source.name, workload=source.workload, headers=source.headers
        ):
            lines += [msgspec.json.encode(Child(parent, record)) for record in page.value]
        await self._keep(source, chain, lines, url, f"{chain}-00001", None, None)
        self._needed(source, len(lines))

    async def listed(self, source: Source) -> list[str]:
        """Ids of the objects that are walked, from the source's own listing."""
        found: list[str] = []
        url = source.parent_url(self.client.endpoint)
        advanced = {"ConsistencyLevel": "eventual"} if "$count" in source.parent_path else {}
        async for _, page, _ in self.client.pages(url, name=source.name, workload=source.workload, headers=advanced):
            self._needed(source, 1)
            found += [msgspec.json.decode(record, type=Query).id for record in page.value]
        return sorted(found)

    async def hunt_shards(self, source: Source, window: Window, notes: list[str], many: int) -> None:
        """Ask for one window in `many` shards, one after the other: each answer may be as large as memory allows."""
        errors = []
        for number in range(many):
            try:
                await self.hunt(source, window, notes, Shard(number, many))
            except GraphError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def hunt(self, source: Source, window: Window, notes: list[str], shard: Shard | None = None) -> None:
        """Ask for one window; an answer as long as the row cap may be cut, so the window is halved and asked again.

        A window whose query runs out of time or processor quota, or finds too much, is halved, too. Sources that are
        split by a key are cut into shards instead.
        """
        shard = shard or Shard()
        chain = f"{source.name}-{window.key}{shard.key}"
        if self.next.get(chain, "") is None:
            return
        url = source.url(self.client.endpoint)
        body = json.dumps({"Query": source.hunting_query(window, shard)}).encode()
        parts = [(half, shard) for half in window.halves()]
        if source.shard_by:
            parts = [(window, quarter) for quarter in shard.quarters()] if shard.of < MOST_SHARDS else []
        try:
            answer, received = await self.client.send(
                HuntingAnswer, "POST", url, name=source.name, workload=source.workload, body=body
            )
        except GraphError as error:
            if not (parts and error.too_much):
                raise
            answer, received = None, b""
        if answer is None or (len(answer.results) >= HUNTING_ROW_CAP and parts):
            answer = None
            for span, piece in parts:
                await self.hunt(source, span, notes, piece)
            return
        if len(answer.results) >= HUNTING_ROW_CAP:
            notes.append(f"more than {HUNTING_ROW_CAP} rows in the second {iso(window.start)}; the rest was not sent")
        lines = (bytes(row) for row in answer.results)
        await self._keep(source, chain, lines, f"{url}#{window.key}{shard.key}", chain, received, None)
        self._needed(source, 1)

    async def audit_search(self, source: Source, window: Window, query_id: str | None) -> None:
        """Create an audit search (or take up the one with `query_id`), wait for its end, read its records."""
        chain = f"{source.name}-{window.key}"
        if self.next.get(chain, "") is None:
            return
        url = source.url(self.client.endpoint)
        ask = partial(self.client.send, Query, name=source.name, workload=source.workload)
        if query_id is None:
            body = {**source.body, "filterStartDateTime": iso(window.start), "filterEndDateTime": iso(window.end)}
            query, _ = await ask("POST", url, body=json.dumps(body).encode())
            query_id = query.id
            self.writer.record({"event": "query", "search": chain, "query_id": query_id})
        for _ in range(POLLS):
            query, _ = await ask("GET", f"{url}/{query_id}")
            if query.status in ("succeeded", "failed", "cancelled"):
                break
            await self.client.sleep(0.1 if is_loopback(self.client.endpoint) else POLL_SECONDS)
        if query.status != "succeeded":
            raise GraphError(0, "AuditSearch", f"the search ended as {query.status or 'unknown'}, not as succeeded")
        await self.pages(source, chain, f"{url}/{query_id}/records?$top={source.page_size}")

    def _needed(self, source: Source, rows: int) -> None:
        """Add the requests that full pages of `rows` records would have needed."""
        size = source.page_size if rows > 1 else 1
        self.least[source.name] = self.least.get(source.name, 0) + max(1, -(-rows // size))


def _part(source: Source, number: str, parent: str) -> Mapping[str, Any]:
    """One request inside a batch; its address is relative to the version."""
    return {"id": number, "method": "GET", "url": source.url("", id=parent).removeprefix(f"/{source.version}")}


def in_groups(items: list[str], size: int) -> Iterable[list[str]]:
    """`items` in lists of at most `size`, in order."""
    return (items[start : start + size] for start in range(0, len(items), size))
