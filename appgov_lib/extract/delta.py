"""What changed since the last run, merged into a full list: a few requests instead of one for every 999 objects.

Graph sends a changed object with at least its changed properties, so each is laid over the object as it was. The new
snapshot is whole again; only its origin says that most of it was read earlier.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from appgov_lib.extract.graph import GraphClient, GraphError, Page
from appgov_lib.extract.snapshot import RawFile, Snapshot, SnapshotWriter, is_whole, read_lines
from appgov_lib.extract.sources import Source

LINK_LIFE = timedelta(days=6)
"""Delta links live for 7 days (Graph reference); an older one is not tried, and so a full list comes every week."""
MERGED_LINES = 5_000
"""Records in one file of a merged list."""

Changes = dict[str, dict[str, Any] | None]
"""The last word on each changed object by id; None for one that is gone."""


class Identified(msgspec.Struct):
    """Any directory object."""

    id: str


class Base:
    """The list of an earlier run that changes are laid over."""

    def __init__(self, link: str, files: tuple[RawFile, ...], snapshot: Snapshot) -> None:
        """`link` asks for the changes since `snapshot`, whose `files` hold the list."""
        self.link, self.snapshot, self.files = link, snapshot, files

    def lines(self) -> Iterator[bytes]:
        """The records of the list."""
        for file in self.files:
            yield from read_lines(self.snapshot.folder / file.path)


def find_base(snapshots: Iterable[Snapshot], source: Source, now: datetime) -> Base | None:
    """The newest complete list of `source` with a delta link that is young enough, if any."""
    for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.started_at, reverse=True):
        state = snapshot.sources.get(source.name)
        if snapshot.kind != "extract" or state is None or state.status != "complete":
            continue
        started = datetime.fromisoformat(snapshot.started_at).replace(tzinfo=None)
        if state.delta_link and timedelta(0) <= now - started <= LINK_LIFE:
            files = snapshot.buckets.get(source.bucket, ())
            if not all(is_whole(snapshot.folder / file.path, file) for file in files):
                return None  # changes laid over what is left of a list would pass for the whole list
            return Base(state.delta_link, files, snapshot)
        return None  # an older list with a younger link cannot be
    return None


async def start_link(client: GraphClient, source: Source) -> str | None:
    """A link from which the next run can ask for changes; None where the service does not give one."""
    try:
        page, _ = await client.send(
            Page, "GET", source.delta_url(client.endpoint), name=source.name, workload=source.workload
        )
    except GraphError:
        return None
    return page.delta


async def read_changes(client: GraphClient, source: Source, link: str) -> tuple[Changes, str | None]:
    """Every change since `link`, and the link for the next run; objects may come more than once, the last one counts.

    Raises `GraphError`, with `page_expired` when the link is no longer known and a full list is needed.
    """
    changes: Changes = {}
    next_link: str | None = None
    async for _, page, _ in client.pages(link, name=source.name, workload=source.workload):
        for raw in page.value:
            record = msgspec.json.decode(raw)
            if "@removed" in record:
                changes[record["id"]] = None
            else:
                changes[record["id"]] = {**(changes.get(record["id"]) or {}), **record}
        next_link = page.delta or next_link
    return changes, next_link


def merged(lines: Iterable[bytes], changes: Changes) -> Iterator[bytes]:
    """The list with the changes laid over it: unchanged records byte for byte, new ones at the end by id."""
    left = dict(changes)
    for line in lines:
        key = msgspec.json.decode(line, type=Identified).id
        if key not in left:
            yield line
            continue
        change = left.pop(key)
        if change is not None:
            yield msgspec.json.encode({**msgspec.json.decode(line), **change})
    for key in sorted(key for key, change in left.items() if change is not None):
        yield msgspec.json.encode(left[key])


async def write_merged(writer: SnapshotWriter, source: Source, base: Base, changes: Changes) -> int:
    """Write the merged list of `source` into the snapshot; returns its records."""
    stem = f"{source.name}-all"
    writer.restart(source.bucket, f"{stem}-")
    rows, block = 0, []

    async def keep(lines: list[bytes]) -> None:
        """Write one file of the merged list."""
        number = len(writer.files(source.bucket, f"{stem}-")) + 1
        origin = f"delta over {base.snapshot.snapshot_id}"
        await asyncio.to_thread(writer.write, source.bucket, lines, origin, name=f"{stem}-{number:05d}")

    for line in merged(base.lines(), changes):
        block.append(line)
        rows += 1
        if len(block) == MERGED_LINES:
            await keep(block)
            block = []
    if block:
        await keep(block)
    return rows
