"""One extraction: walks every chosen source, keeps each page as it comes, and says how each source ended.

Each answer is on disk, and its successor in the journal, before it counts as read; so a run that was killed goes on
where it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

import msgspec

from appgov_lib.errors import ConfigError
from appgov_lib.extract import delta
from appgov_lib.extract.credentials import credential_for
from appgov_lib.extract.graph import GraphClient, GraphError
from appgov_lib.extract.limits import Budget
from appgov_lib.extract.repair import sound
from appgov_lib.extract.snapshot import (
    Snapshot,
    SnapshotWriter,
    SourceState,
    iso,
    read_lines,
    read_snapshots,
    unfinished,
)
from appgov_lib.extract.sources import Source, Window, choose_sources
from appgov_lib.extract.walk import BATCH_SIZE, Walker, in_groups
from appgov_lib.settings import Settings

FIRST_LOOK_BACK = timedelta(days=30)
"""How far a first run reads logs back: what Entra ID P1 and advanced hunting keep."""
OVERLAP = timedelta(hours=24)
"""Log records arrive late, so each run reads the last day of the run before again; duplicates collapse by id."""

APPS_A_QUERY = 25_000
"""Service principals for each hunting query over all apps: about 30 MB, where the service refuses 124 MB."""

Progress = Callable[[str, int, int | None, str | None], None]
"""Called with a source's name, rows so far, rows announced, and its final status once it has one."""


class Resource(msgspec.Struct):
    """The part of a service principal that says whether it offers application permissions."""

    id: str
    app_roles: list[dict[str, Any]] = msgspec.field(name="appRoles", default_factory=list)


def extract(
    settings: Settings,
    *,
    now: datetime,
    names: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    since: datetime | None = None,
    full: bool = False,
    credential: Any = None,
    limits: Mapping[str, Budget] | None = None,
    progress: Progress | None = None,
    seconds: float | None = None,
) -> Snapshot:
    """Read the named sources (the default ones when none is named) into a new snapshot, or continue an interrupted one.

    `also` names sources to read beside those.
    `now` is a naive UTC time, the end of every log window. Logs start at `since`, else a day before the end of the
    last run, else 30 days back (sums at a midnight); lists of which Graph tells the changes are read as changes. `full`
    ignores earlier runs for both. `limits` replaces throttling budgets. After `seconds`, sources that have not ended
    are closed with what they have, so that one that hangs does not keep the others from the report. Raises
    `ConfigError` for an unknown source and `SignInError` without a valid credential; a source that fails for any other
    reason ends with its status in the snapshot, and the others go on.
    """
    sources = choose_sources(names, also)
    credential = credential or credential_for(settings)
    earlier = [] if full else read_snapshots(settings.raw_dir)
    resumed = sound(settings.raw_dir, unfinished(settings.raw_dir, "extract"), now)
    with SnapshotWriter(settings.raw_dir, resumed or _free_id(settings, now), "extract", now) as writer:
        plan = next((entry for entry in writer.journal if entry["event"] == "plan"), None)
        if plan is None:
            windows = _windows(earlier, sources, now, since)
            spans = {name: [iso(window.start), iso(window.end)] for name, window in windows.items()}
            writer.record({"event": "plan", "sources": [source.name for source in sources], "windows": spans})
        else:
            sources = choose_sources(tuple(plan["sources"]))
            windows = {name: Window(*map(_moment, span)) for name, span in plan["windows"].items()}
        bases = {source.name: delta.find_base(earlier, source, now) for source in sources if source.delta}
        run = _Run(writer, sources, windows, bases, progress)
        try:
            asyncio.run(run.go(GraphClient(settings.endpoint, credential, limits=limits, now=now), seconds))
        except ConfigError:  # the clock, at the first answer: a name with a wrong time would be taken for the newest
            if resumed is None and not writer.all_files():
                writer.discard()
            raise
        run.close_late(seconds)
        return writer.finish(now)


class _Run:
    """The state of one extraction."""

    def __init__(
        self,
        writer: SnapshotWriter,
        sources: list[Source],
        windows: Mapping[str, Window],
        bases: Mapping[str, delta.Base | None],
        progress: Progress | None,
    ) -> None:
        """Nothing is asked for yet."""
        self._writer, self._sources, self._windows, self._bases = writer, sources, windows, bases
        self._progress = progress or (lambda *_: None)
        self._ended = {source.name: asyncio.Event() for source in sources}
        self._status: dict[str, str] = {}
        self._links: dict[str, str | None] = {}
        self._searches: dict[str, str] = {}
        self._late: set[str] = set()
        self._walker: Walker

    async def go(self, client: GraphClient, seconds: float | None = None) -> None:
        """Walk all sources at once, for at most so many seconds; the limiters decide who may ask when."""
        async with client:
            self._walker = Walker(client, self._writer, report=self._report)
            self._take_up(self._writer.journal)
            tasks = [asyncio.create_task(self._source(source)) for source in self._sources]
            try:
                async with asyncio.timeout(seconds) as limit:
                    await asyncio.gather(*tasks)
            except TimeoutError:
                if not limit.expired():
                    raise
                self._late = {source.name for source in self._sources if not self._ended[source.name].is_set()}
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def close_late(self, seconds: float | None) -> None:
        """Record how the sources ended that time ran out for; files that were being written are whole by now."""
        for source in (source for source in self._sources if source.name in self._late):
            rows = sum(file.rows for file in self._files(source))
            reason = f"the time for reading, {round((seconds or 0) / 60)} minutes, ran out"
            window = self._windows.get(source.name)
            state = SourceState(
                "partial" if rows else "failed",
                reason,
                rows,
                from_at=iso(window.start) if window else None,
                to_at=iso(window.end) if window else None,
                requests=self._walker.client.requests[source.name],
                declared_rows=self._walker.declared.get(source.name),
            )
            self._writer.close_source(source.name, state)
            self._progress(source.name, rows, state.declared_rows, state.status)

    def _take_up(self, journal: Iterable[Mapping[str, Any]]) -> None:
        """Go on from what an earlier attempt left in the journal."""
        walker = self._walker
        for entry in journal:
            if "chain" in entry:
                walker.next[entry["chain"]] = entry["next"]
            if entry["event"] == "restart":
                walker.next.pop(entry["prefix"].rstrip("-"), None)
            elif entry["event"] == "query":
                self._searches[entry["search"]] = entry["query_id"]
            elif entry["event"] == "link":
                self._links[entry["source"]] = entry["link"]
            if entry.get("count") is not None:
                walker.declared[entry["source"]] = entry["count"]
        for source in self._sources:
            walker.kept[source.name] = sum(file.rows for file in self._files(source))

    def _files(self, source: Source) -> list[Any]:
        """The data files of one source."""
        return self._writer.files(source.bucket, f"{source.name}-")

    async def _source(self, source: Source) -> None:
        """Walk one source to its end and record how it ended."""
        errors: list[GraphError] = []
        notes: list[str] = []
        try:
            await self._walk(source, errors, notes)
        except GraphError as error:
            errors.append(error)
        except _ParentMissing as missing:
            notes.append(str(missing))
        rows, declared = sum(file.rows for file in self._files(source)), self._walker.declared.get(source.name)
        if declared is not None and rows < declared and not errors:
            notes.append(f"Graph announced {declared} records and sent {rows}")
        status = "complete"
        if errors:
            status = "partial" if rows else errors[0].coverage_status
        elif notes:
            status = "partial" if rows else "failed"
        window = self._windows.get(source.name)
        state = SourceState(
            status=status,
            reason="; ".join(dict.fromkeys([*map(str, errors), *notes])),
            rows=rows,
            from_at=iso(window.start) if window else None,
            to_at=iso(window.end) if window else None,
            requests=self._walker.client.requests[source.name],
            declared_rows=declared,
            least_requests=self._walker.least.get(source.name, 0),
            delta_link=self._links.get(source.name) if status == "complete" else None,
        )
        self._writer.close_source(source.name, state)
        self._status[source.name] = status
        self._ended[source.name].set()
        self._progress(source.name, rows, declared, status)

    async def _walk(self, source: Source, errors: list[GraphError], notes: list[str]) -> None:
        """Walk a source in its own way; a chain that fails ends up in `errors` while the others go on."""
        walker, endpoint = self._walker, self._walker.client.endpoint
        if source.method in ("batch", "children", "assigned_to"):
            parents = await self._parents(source)
            if source.method == "batch":
                groups = in_groups(parents, BATCH_SIZE)
                await _each(errors, [walker.batch(source, group) for group in groups])
            elif source.method == "children":
                await _each(errors, [walker.children(source, parent) for parent in parents])
            else:
                lists = [(f"{source.name}-{parent}", source.url(endpoint, id=parent)) for parent in parents]
                await _each(errors, [walker.pages(source, name, url) for name, url in lists])
        elif source.name in self._windows:
            slices = self._windows[source.name].slices(source.slice_days)
            if source.method == "hunting":
                many = await self._shards(source)
                await _each(errors, [walker.hunt_shards(source, window, notes, many) for window in slices])
            elif source.method == "audit_query":
                ids = [self._searches.get(f"{source.name}-{window.key}") for window in slices]
                await _each(errors, [walker.audit_search(source, w, i) for w, i in zip(slices, ids, strict=True)])
            else:
                lists = [(f"{source.name}-{window.key}", source.url(endpoint, window)) for window in slices]
                await _each(errors, [walker.pages(source, name, url) for name, url in lists])
        elif source.method == "object":
            await walker.one_object(source, f"{source.name}-all", source.url(endpoint))
        elif not (source.delta and await self._changes(source)):
            await walker.pages(source, f"{source.name}-all", source.url(endpoint))

    async def _changes(self, source: Source) -> bool:
        """Read a list as changes to an earlier one; False when it has to be read whole, with a link for next time."""
        client, base = self._walker.client, self._bases.get(source.name)
        if base is not None and f"{source.name}-all" not in self._walker.next:
            try:
                found, link = await delta.read_changes(client, source, base.link)
            except GraphError:
                base = None  # whatever is wrong with the link, a full list says all
            else:
                self._links[source.name] = link
                rows = await delta.write_merged(self._writer, source, base, found)
                self._walker.least[source.name] = client.requests[source.name]
                self._progress(source.name, rows, None, None)
                return True
        if source.name not in self._links:
            # Asked for before the list is read, so that no change falls between the two.
            self._links[source.name] = link = await delta.start_link(client, source)
            self._walker.least[source.name] = self._walker.least.get(source.name, 0) + 1
            self._writer.record({"event": "link", "source": source.name, "link": link})
        return False

    async def _parents(self, source: Source) -> list[str]:
        """Ids of the objects that are walked, sorted."""
        if not source.parent:
            return await self._walker.listed(source)
        await self._ended[source.parent].wait()
        if self._status[source.parent] not in ("complete", "partial"):
            raise _ParentMissing(f"{source.parent} could not be read, and this source walks its objects")
        parent = next(item for item in self._sources if item.name == source.parent)
        paths = [self._writer.folder / file.path for file in self._files(parent)]
        lines = (line for path in paths for line in read_lines(path))
        if source.method == "assigned_to":
            return sorted(set(_resources(lines)))
        return sorted({msgspec.json.decode(line, type=delta.Identified).id for line in lines})

    async def _shards(self, source: Source) -> int:
        """In how many queries a source with a row for each app is asked for, so that no answer is too large."""
        if not source.shard_by or "service_principals" not in self._ended:
            return 1
        await self._ended["service_principals"].wait()
        apps = next(item for item in self._sources if item.name == "service_principals")
        rows: int = sum(file.rows for file in self._files(apps))
        return max(1, -(-rows // APPS_A_QUERY))

    def _report(self, source: Source) -> None:
        """Tell the progress display how far the source is."""
        self._progress(source.name, self._walker.kept[source.name], self._walker.declared.get(source.name), None)


class _ParentMissing(Exception):
    """The objects a source walks could not be read."""


async def _each(errors: list[GraphError], chains: list[Any]) -> None:
    """Run the chains of a source side by side; what is refused for good goes to `errors`."""
    for result in await asyncio.gather(*chains, return_exceptions=True):
        if isinstance(result, GraphError):
            errors.append(result)
        elif isinstance(result, BaseException):
            raise result


def _resources(lines: Iterable[bytes]) -> Iterable[str]:
    """Ids of the service principals that offer application permissions."""
    for line in lines:
        if b'"Application"' in line:
            resource = msgspec.json.decode(line, type=Resource)
            if any("Application" in (role.get("allowedMemberTypes") or ()) for role in resource.app_roles):
                yield resource.id


def _windows(
    earlier: Iterable[Snapshot], sources: list[Source], now: datetime, since: datetime | None
) -> dict[str, Window]:
    """The time window of each source that has one: all of a state is asked for, of a log what is new."""
    last_end: dict[str, datetime] = {}
    for snapshot in earlier:
        for name, state in snapshot.sources.items():
            if snapshot.kind == "extract" and state.status == "complete" and state.to_at:
                last_end[name] = _moment(state.to_at)
    windows = {}
    for source in sources:
        if source.time_field:
            start = oldest = now - FIRST_LOOK_BACK
            if source.kind == "log" and since is not None:
                start = since
            elif source.kind == "log" and source.name in last_end:
                # after a long pause the days between are gone: a window over them would call them covered
                start = max(last_end[source.name] - OVERLAP, oldest)
            if source.is_summed and source.kind == "log":
                # Sums are of whole days, as half a day could not be told from a quiet one: what is read again is read
                # from midnight, and the day at whose middle the service's memory begins is left out.
                midnight = datetime.combine(start.date(), time())
                first = since is None and start == oldest and midnight < start
                start = midnight + timedelta(days=first)
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
