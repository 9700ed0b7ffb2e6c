"""One extraction: walks every chosen source, keeps each page as it comes, and says how each source ended.

A chain is a sequence of pages that must be read in order: a collection, one time window of a log, or one resource's
assignments. Each page is on disk, and its successor in the journal, before the next is asked for; so a run that was
killed goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from appgov_lib.extract.credentials import credential_for
from appgov_lib.extract.graph import GraphClient, GraphError, HuntingAnswer
from appgov_lib.extract.snapshot import (
    Snapshot,
    SnapshotWriter,
    SourceState,
    iso,
    read_lines,
    read_snapshots,
    unfinished,
)
from appgov_lib.extract.sources import HUNTING_ROW_CAP, Source, Window, choose_sources
from appgov_lib.settings import Settings

FIRST_LOOK_BACK = timedelta(days=30)
"""How far a first run reads logs back: what Entra ID P1 and advanced hunting keep."""
OVERLAP = timedelta(hours=24)
"""Log records arrive late, so each run reads the last day of the run before again; duplicates collapse by id."""
EXPAND_CAP = 20
"""Objects `$expand` returns per record at most (Graph reference); as many may have been cut."""
MAX_RESTARTS = 3

Progress = Callable[[str, int, int | None, str | None], None]
"""Called with a source's name, rows so far, rows announced, and its final status once it has one."""


class Resource(msgspec.Struct):
    """The part of a service principal that says whether it offers application permissions."""

    id: str
    app_roles: list[dict[str, Any]] = msgspec.field(name="appRoles", default_factory=list)


class Expanded(msgspec.Struct):
    """A record with an expanded relation, each related object as raw JSON."""

    id: str
    app_id: str | None = msgspec.field(name="appId", default=None)
    owners: list[msgspec.Raw] = []


@dataclass(frozen=True)
class Chain:
    """One sequence of pages: its name, which is also the stem of its files, and its first request."""

    name: str
    url: str
    window: Window | None = None


def extract(
    settings: Settings,
    *,
    now: datetime,
    names: tuple[str, ...] = (),
    since: datetime | None = None,
    full: bool = False,
    credential: Any = None,
    limits: Mapping[str, tuple[int, float, int]] | None = None,
    progress: Progress | None = None,
) -> Snapshot:
    """Read the named sources (all by default) into a new snapshot, or continue an interrupted one; return it.

    `now` is a naive UTC time, the end of every log window. Logs start at `since`, else a day before the end of the
    last run, else 30 days back; `full` ignores earlier runs. `limits` replaces throttling budgets
    (`graph.LIMITS`). Raises `ConfigError` for an unknown source and `SignInError` without a valid credential; a
    source that fails for any other reason ends with its status in the snapshot, and the others go on.
    """
    sources = choose_sources(names)
    credential = credential or credential_for(settings)
    resumed = unfinished(settings.raw_dir, "extract")
    if resumed is None:
        windows = _windows(settings, sources, now, since, full)
        writer = SnapshotWriter(settings.raw_dir, _free_id(settings, now), "extract", now)
        plan = {name: [iso(window.start), iso(window.end)] for name, window in windows.items()}
        writer.record({"event": "plan", "sources": [source.name for source in sources], "windows": plan})
    else:
        writer = SnapshotWriter(settings.raw_dir, resumed, "extract", now)
        entry = next((entry for entry in writer.journal if entry["event"] == "plan"), None)
        if entry is None:
            windows = _windows(settings, sources, now, since, full)
        else:
            sources = choose_sources(tuple(entry["sources"]))
            windows = {name: Window(*map(_moment, span)) for name, span in entry["windows"].items()}
    with writer:
        asyncio.run(_Run(writer, sources, windows, progress).go(settings.endpoint, credential, limits))
        return writer.finish(now)


class _Run:
    """The state of one extraction."""

    def __init__(
        self, writer: SnapshotWriter, sources: list[Source], windows: Mapping[str, Window], progress: Progress | None
    ) -> None:
        """Take over what an earlier attempt left in the journal."""
        self._writer, self._sources, self._windows = writer, sources, windows
        self._progress = progress or (lambda *_: None)
        self._next: dict[str, str | None] = {}
        self._declared: dict[str, int] = {}
        for entry in writer.journal:
            if "chain" in entry:
                self._next[entry["chain"]] = entry["next"]
            if entry["event"] == "restart":
                self._next.pop(entry["prefix"].rstrip("-"), None)
            if entry.get("count") is not None:
                self._declared[entry["source"]] = entry["count"]
        self._ended = {source.name: asyncio.Event() for source in sources}
        self._status: dict[str, str] = {}
        self._client: GraphClient

    async def go(self, endpoint: str, credential: Any, limits: Mapping[str, tuple[int, float, int]] | None) -> None:
        """Walk all sources at once; the limiters decide who may ask when."""
        async with GraphClient(endpoint, credential, limits=limits) as self._client:
            tasks = [asyncio.create_task(self._source(source)) for source in self._sources]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _source(self, source: Source) -> None:
        """Walk one source to its end and record how it ended."""
        errors: list[GraphError] = []
        notes: list[str] = []
        try:
            async for chain in self._chains(source):
                try:
                    await self._chain(source, chain, notes)
                except GraphError as error:
                    errors.append(error)
                    if error.coverage_status != "failed":
                        break
        except _ParentMissing as missing:
            notes.append(str(missing))
        files = self._writer.files(source.bucket, f"{source.name}-")
        rows, declared = sum(file.rows for file in files), self._declared.get(source.name)
        if declared is not None and rows < declared and not errors:
            notes.append(f"Graph announced {declared} records and sent {rows}")
        reason = "; ".join(dict.fromkeys([*map(str, errors), *notes]))
        status = "complete"
        if errors:
            status = "partial" if rows else errors[0].coverage_status
        elif notes:
            status = "partial" if rows else "failed"
        window = self._windows.get(source.name)
        self._writer.close_source(
            source.name,
            SourceState(
                status=status,
                reason=reason,
                rows=rows,
                from_at=iso(window.start) if window else None,
                to_at=iso(window.end) if window else None,
                requests=self._client.requests[source.name],
                declared_rows=declared,
            ),
        )
        self._status[source.name] = status
        self._ended[source.name].set()
        self._progress(source.name, rows, declared, status)

    async def _chains(self, source: Source) -> AsyncIterator[Chain]:
        """The chains of a source, oldest window first."""
        endpoint = self._client.endpoint
        if source.method == "assigned_to":
            await self._ended[source.parent].wait()
            if self._status[source.parent] not in ("complete", "partial"):
                raise _ParentMissing(f"{source.parent} could not be read, and this source walks its objects")
            for resource_id in self._resource_ids(source.parent):
                yield Chain(f"{source.name}-{resource_id}", source.url(endpoint, id=resource_id))
        elif source.kind == "log":
            for window in self._windows[source.name].slices(source.slice_days):
                yield Chain(f"{source.name}-{window.key}", source.url(endpoint, window), window)
        else:
            yield Chain(f"{source.name}-all", source.url(endpoint))

    def _resource_ids(self, parent: str) -> list[str]:
        """Ids of the service principals that offer application roles, from the pages already kept."""
        found = set()
        for file in self._writer.files(parent):
            for line in read_lines(self._writer.folder / file.path):
                if b'"Application"' in line:
                    resource = msgspec.json.decode(line, type=Resource)
                    if any("Application" in (role.get("allowedMemberTypes") or ()) for role in resource.app_roles):
                        found.add(resource.id)
        return sorted(found)

    async def _chain(self, source: Source, chain: Chain, notes: list[str]) -> None:
        """Read one chain from where it stands; start it anew when its paging token has run out."""
        if source.method == "hunting":
            assert chain.window is not None
            await self._hunt(source, chain.window, notes)
            return
        for restart in range(MAX_RESTARTS + 1):
            try:
                await self._follow(source, chain)
                return
            except GraphError as error:
                if not error.page_expired or restart == MAX_RESTARTS:
                    raise
                self._writer.restart(source.bucket, f"{chain.name}-")
                self._next.pop(chain.name, None)

    async def _follow(self, source: Source, chain: Chain) -> None:
        """Keep page after page, from the one after the last that is on disk."""
        start = self._next.get(chain.name, chain.url)
        if start is None:
            return
        number = len(self._writer.files(source.bucket, f"{chain.name}-"))
        async for address, page, body in self._client.pages(
            start, name=source.name, workload=source.workload, headers=source.headers
        ):
            number += 1
            if page.count is not None:
                self._declared[source.name] = page.count
            lines = [bytes(record) for record in page.value]
            if source.method == "expand":
                lines = [await self._whole(source, line) for line in lines]
            note = {"chain": chain.name, "source": source.name, "next": page.next, "count": page.count}
            name = f"{chain.name}-{number:05d}"
            self._writer.write(source.bucket, lines, address, name=name, received=body, note=note)
            self._next[chain.name] = page.next
            self._report(source)

    async def _whole(self, source: Source, line: bytes) -> bytes:
        """The record with every related object, asking again where `$expand` may have cut the list."""
        record = msgspec.json.decode(line, type=Expanded)
        if len(record.owners) < EXPAND_CAP:
            return line
        url = f"{self._client.endpoint}/{source.version}{source.path}/{record.id}/{source.expand}?$top=999"
        owners: list[msgspec.Raw] = []
        async for _, page, _ in self._client.pages(url, name=source.name, workload=source.workload):
            owners += page.value
        return msgspec.json.encode({"id": record.id, "appId": record.app_id, source.expand: owners})

    async def _hunt(self, source: Source, window: Window, notes: list[str]) -> None:
        """Ask for one window; an answer as long as the row cap may be cut, so the window is halved and asked again."""
        name = f"{source.name}-{window.key}"
        if self._next.get(name, "") is None:
            return
        body = json.dumps({"Query": source.hunting_query(window)}).encode()
        url = source.url(self._client.endpoint)
        answer = await self._client.send(
            "POST", url, name=source.name, workload=source.workload, body=body, parse=HuntingAnswer
        )
        rows = msgspec.json.decode(answer, type=HuntingAnswer).results
        halves = window.halves()
        if len(rows) >= HUNTING_ROW_CAP and halves:
            for half in halves:
                await self._hunt(source, half, notes)
            return
        if len(rows) >= HUNTING_ROW_CAP:
            notes.append(f"more than {HUNTING_ROW_CAP} rows in the second {iso(window.start)}; the rest was not sent")
        note = {"chain": name, "source": source.name, "next": None}
        origin = f"{url}#{window.key}"
        self._writer.write(source.bucket, map(bytes, rows), origin, name=name, received=answer, note=note)
        self._next[name] = None
        self._report(source)

    def _report(self, source: Source) -> None:
        """Tell the progress display how far the source is."""
        rows = sum(file.rows for file in self._writer.files(source.bucket, f"{source.name}-"))
        self._progress(source.name, rows, self._declared.get(source.name), None)


class _ParentMissing(Exception):
    """The objects a source walks could not be read."""


def _windows(
    settings: Settings, sources: list[Source], now: datetime, since: datetime | None, full: bool
) -> dict[str, Window]:
    """The time window of each log source."""
    last_end: dict[str, datetime] = {}
    for snapshot in [] if full else read_snapshots(settings.raw_dir):
        for name, state in snapshot.sources.items():
            if snapshot.kind == "extract" and state.status == "complete" and state.to_at:
                last_end[name] = _moment(state.to_at)
    windows = {}
    for source in sources:
        if source.kind == "log":
            start = since or (last_end[source.name] - OVERLAP if source.name in last_end else now - FIRST_LOOK_BACK)
            windows[source.name] = Window(min(start, now), now)
    return windows


def _free_id(settings: Settings, now: datetime) -> str:
    """A snapshot id made of the start time, with a number behind it when that second is taken."""
    stem = f"extract-{now:%Y%m%dT%H%M%SZ}"
    number, name = 1, stem
    while (settings.raw_dir / name).exists():
        number += 1
        name = f"{stem}-{number}"
    return name


def _moment(text: str) -> datetime:
    """Parse our own ISO form to a naive UTC time."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
