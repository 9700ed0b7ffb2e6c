"""Raw snapshots: what was received, kept as it was, with a manifest that says where it came from.

A snapshot is a folder. Its data files hold one JSON object a line, the bytes of each record as received; nothing is
renamed or dropped before staging. `journal.jsonl` grows with every file, so a killed run can be continued;
`manifest.json` is written last, and from then on the snapshot never changes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import zstandard

from appgov_lib import __version__
from appgov_lib.errors import ConfigError
from appgov_lib.settings import private_dir, private_write

STATUSES = ("complete", "partial", "not_permitted", "not_licensed", "failed", "not_collected")
"""How a source can end; `coverage.status` in the warehouse has the same words."""

MAX_REJECTED_LISTED = 10_000
"""Rejected records listed one by one in a manifest; beyond that only the count grows."""

BATCH_LINES = 1_000
"""Lines hashed and compressed at once."""
CHUNK = 1 << 20
"""Bytes read at once to check a hash."""

_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,120}", re.IGNORECASE)


@dataclass(frozen=True)
class RawFile:
    """One data file of a snapshot."""

    path: str
    """Path inside the snapshot folder, with forward slashes."""
    rows: int
    """Lines in the file."""
    sha256: str
    """Hash of the uncompressed lines."""
    origin: str
    """Request URL without secrets, or the name of the imported file."""
    received_sha256: str = ""
    """Hash of the page as received, before it was split into lines; empty where there was no page."""


@dataclass(frozen=True)
class SourceState:
    """How one source ended in one snapshot: the raw material of the coverage table."""

    status: str
    """One of `STATUSES`."""
    reason: str = ""
    """Why the status is not `complete`, in one sentence."""
    rows: int = 0
    """Records kept."""
    from_at: str | None = None
    """Start of the time span asked for (ISO, UTC), None for a source without time."""
    to_at: str | None = None
    """End of the time span asked for (ISO, UTC)."""
    requests: int = 0
    """HTTP requests made, retries included."""
    declared_rows: int | None = None
    """Number of rows the service itself announced, where it does."""
    least_requests: int | None = None
    """HTTP requests that full pages would have needed; None in snapshots of earlier versions."""
    delta_link: str | None = None
    """Where the next run can ask what has changed since, for sources that offer it."""


@dataclass(frozen=True)
class Rejected:
    """A record that could not be read, and why; never its content."""

    file: str
    """Name of the input file."""
    line: int
    """Line, or number of the record where the input has no lines; counted from 1."""
    reason: str
    """A sentence from a fixed set, with detail that holds no row data."""


@dataclass(frozen=True)
class Snapshot:
    """A finished snapshot, as its manifest tells it."""

    snapshot_id: str
    kind: str
    """`extract` or `import`."""
    started_at: str
    finished_at: str
    folder: Path
    buckets: Mapping[str, tuple[RawFile, ...]]
    sources: Mapping[str, SourceState]
    rejected: tuple[Rejected, ...] = ()
    rejected_rows: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the writer recorded, e.g. the input file of an import."""

    def files(self, bucket: str) -> list[Path]:
        """Absolute paths of the bucket's data files, in the order they were written."""
        return [self.folder / file.path for file in self.buckets.get(bucket, ())]


def iso(moment: datetime) -> str:
    """Write a UTC `datetime` the way Graph does: `2026-11-16T00:00:00Z`."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


class SnapshotWriter:
    """Writes one snapshot; opening an unfinished one again continues it.

    `journal` holds the entries of earlier attempts (empty for a new snapshot).
    """

    def __init__(self, raw_dir: Path, snapshot_id: str, kind: str, started_at: datetime) -> None:
        """Open or create `raw_dir/snapshot_id`; raise `ConfigError` if it is already finished."""
        if not _SAFE_NAME.fullmatch(snapshot_id):
            raise ConfigError(f"The snapshot id {snapshot_id!r} cannot be used as a folder name.")
        self.folder = private_dir(raw_dir / snapshot_id)
        if (self.folder / "manifest.json").exists():
            raise ConfigError(f"The snapshot {snapshot_id} in {raw_dir} is finished and cannot be written again.")
        self.snapshot_id = snapshot_id
        self.kind = kind
        self.started_at = iso(started_at)
        self.journal = read_journal(self.folder)
        if self.journal and self.journal[0].get("event") == "start":
            self.started_at = str(self.journal[0]["started_at"])
        self._lock = threading.Lock()  # files are written in threads; the journal and the lists are one
        self._buckets: dict[str, list[RawFile]] = {}
        self._sources: dict[str, SourceState] = {}
        for entry in self.journal:
            if entry["event"] == "file":
                self._buckets.setdefault(entry["bucket"], []).append(RawFile(**entry["file"]))
            elif entry["event"] == "restart":
                self._forget(entry["bucket"], entry["prefix"])
            elif entry["event"] == "source":
                self._sources[entry["source"]] = SourceState(**entry["state"])
        self._log = os.fdopen(
            os.open(self.folder / "journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab"
        )
        if not self.journal:
            self.record({"event": "start", "kind": kind, "started_at": self.started_at})

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append one entry to the journal and make sure it is on disk before going on."""
        with self._lock:
            self._log.write(json.dumps(entry, sort_keys=True).encode() + b"\n")
            self._log.flush()
            os.fsync(self._log.fileno())

    def write(
        self,
        bucket: str,
        lines: Iterable[bytes],
        origin: str,
        name: str | None = None,
        received: bytes | None = None,
        note: Mapping[str, Any] | None = None,
    ) -> int:
        """Write one data file and return its number of lines; an empty one is journalled but not kept.

        `lines` are JSON objects without line ends; a record that carries raw line breaks is put on one line.
        `received` is the page the lines came from; its hash goes to the manifest. `note` is kept in the journal
        beside the file, in the same write, e.g. where the next page is.
        """
        stem = name or f"{len(self._buckets.get(bucket, ())) + 1:05d}"
        if not _SAFE_NAME.fullmatch(stem) or not _SAFE_NAME.fullmatch(bucket):
            raise ConfigError(f"The raw file name {bucket}/{stem} is not a safe name.")
        path = private_dir(self.folder / bucket) / f"{stem}.ndjson.zst"
        temporary = path.with_name(f".{path.name}.part")
        digest, rows = hashlib.sha256(), 0
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
        with os.fdopen(descriptor, "wb") as handle:
            with compressor.stream_writer(handle, closefd=False) as stream:
                batches = iter(lines)
                while batch := list(islice(batches, BATCH_LINES)):
                    block = _as_lines(batch)
                    digest.update(block)
                    stream.write(block)
                    rows += len(batch)
            handle.flush()
            os.fsync(handle.fileno())
        entry: dict[str, Any] = {"event": "page", "bucket": bucket, **(note or {})}
        if rows:
            temporary.replace(path)
            file = RawFile(
                path=f"{bucket}/{path.name}",
                rows=rows,
                sha256=digest.hexdigest(),
                origin=origin,
                received_sha256=hashlib.sha256(received).hexdigest() if received is not None else "",
            )
            with self._lock:
                self._buckets.setdefault(bucket, []).append(file)
            entry |= {"event": "file", "file": asdict(file)}
        else:
            temporary.unlink()
        self.record(entry)
        return rows

    def restart(self, bucket: str, prefix: str) -> None:
        """Forget the files of `bucket` whose name starts with `prefix`: their collection is read anew."""
        self._forget(bucket, prefix)
        self.record({"event": "restart", "bucket": bucket, "prefix": prefix})

    def _forget(self, bucket: str, prefix: str) -> None:
        """Drop files from the manifest to be; the files themselves are overwritten by name or left unlisted."""
        kept = [file for file in self._buckets.get(bucket, []) if not file.path.startswith(f"{bucket}/{prefix}")]
        self._buckets[bucket] = kept

    def files(self, bucket: str, prefix: str = "") -> list[RawFile]:
        """The data files of `bucket` kept so far whose name starts with `prefix`."""
        return [file for file in self._buckets.get(bucket, []) if file.path.startswith(f"{bucket}/{prefix}")]

    def all_files(self) -> list[RawFile]:
        """The data files of every bucket kept so far."""
        return [file for files in self._buckets.values() for file in files]

    def discard(self) -> None:
        """Remove the snapshot, in which nothing was kept."""
        self._log.close()
        shutil.rmtree(self.folder)

    def close_source(self, source: str, state: SourceState) -> None:
        """Record how `source` ended; the last word counts."""
        if state.status not in STATUSES:
            raise ConfigError(f"{state.status!r} is not a coverage status; use one of {', '.join(STATUSES)}.")
        self._sources[source] = state
        self.record({"event": "source", "source": source, "state": asdict(state)})

    def finish(
        self,
        finished_at: datetime,
        rejected: Iterable[Rejected] = (),
        rejected_rows: int = 0,
        details: Mapping[str, Any] | None = None,
    ) -> Snapshot:
        """Write the manifest, after which the snapshot never changes, and return it."""
        listed = list(rejected)[:MAX_REJECTED_LISTED]
        manifest = {
            "snapshot_id": self.snapshot_id,
            "kind": self.kind,
            "started_at": self.started_at,
            "finished_at": iso(finished_at),
            "appgov_version": __version__,
            "buckets": {
                bucket: {
                    "rows": sum(file.rows for file in files),
                    "files": [asdict(file) for file in sorted(files, key=lambda file: file.path)],
                }
                for bucket, files in sorted(self._buckets.items())
            },
            "sources": {name: asdict(state) for name, state in sorted(self._sources.items())},
            "rejected": [asdict(item) for item in listed],
            "rejected_rows": max(rejected_rows, len(listed)),
            "details": dict(details or {}),
        }
        self._log.close()
        private_write(self.folder / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True).encode())
        return read_snapshot(self.folder)

    def __enter__(self) -> SnapshotWriter:
        """Return itself; leaving the block without `finish` keeps the snapshot open to be continued later."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the journal."""
        self._log.close()


def _as_lines(records: list[bytes]) -> bytes:
    """One line for each record; raw line breaks inside a record are white space in JSON and become blanks."""
    block = b"\n".join(records) + b"\n"
    if block.count(b"\n") != len(records) or b"\r" in block:
        block = b"\n".join(r.replace(b"\r", b" ").replace(b"\n", b" ") for r in records) + b"\n"
    return block


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """Entries of an unfinished snapshot's journal, without a last line that was cut by a crash."""
    path = folder / "journal.jsonl"
    if not path.exists():
        return []
    entries: list[dict[str, Any]] = []
    good = 0
    with path.open("rb") as handle:
        for line in handle:
            try:
                entries.append(json.loads(line))
            except ValueError:
                break
            good += len(line)
    if good < path.stat().st_size:
        with path.open("rb+") as handle:
            handle.truncate(good)
    return entries


def read_lines(path: Path) -> Iterator[bytes]:
    """The records of one data file, one JSON object each, without line ends."""
    with (
        path.open("rb") as handle,
        zstandard.ZstdDecompressor().stream_reader(handle, read_across_frames=True) as stream,
    ):
        yield from (line.rstrip(b"\n") for line in io.BufferedReader(stream))


def is_whole(path: Path, file: RawFile) -> bool:
    """Whether a data file is there and holds the very lines it was written with."""
    digest, rows = hashlib.sha256(), 0
    try:
        with path.open("rb") as handle:
            reader = zstandard.ZstdDecompressor().stream_reader(handle, read_across_frames=True)
            while block := reader.read(CHUNK):
                digest.update(block)
                rows += block.count(b"\n")
    except (OSError, zstandard.ZstdError):
        return False
    return digest.hexdigest() == file.sha256 and rows == file.rows


def read_snapshot(folder: Path) -> Snapshot:
    """Read one finished snapshot; raise `ConfigError` when its manifest cannot be read."""
    path = folder / "manifest.json"
    try:
        raw = json.loads(path.read_bytes())
        return Snapshot(
            snapshot_id=raw["snapshot_id"],
            kind=raw["kind"],
            started_at=raw["started_at"],
            finished_at=raw["finished_at"],
            folder=folder,
            buckets={name: tuple(RawFile(**f) for f in entry["files"]) for name, entry in raw["buckets"].items()},
            sources={name: SourceState(**state) for name, state in raw["sources"].items()},
            rejected=tuple(Rejected(**item) for item in raw["rejected"]),
            rejected_rows=raw["rejected_rows"],
            details=raw.get("details", {}),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"The manifest {path} cannot be read ({type(error).__name__}); "
            "move that snapshot folder away and run the extraction or import again."
        ) from error


def read_snapshots(raw_dir: Path) -> list[Snapshot]:
    """All finished snapshots of a tenant, oldest first (by start, then id); none when the folder is absent."""
    found = [read_snapshot(folder) for folder in _folders(raw_dir) if (folder / "manifest.json").exists()]
    return sorted(found, key=lambda snapshot: (snapshot.started_at, snapshot.snapshot_id))


def unfinished(raw_dir: Path, kind: str) -> str | None:
    """Id of the newest snapshot of `kind` that was started and never finished, if any."""
    names = []
    for folder in _folders(raw_dir):
        if not (folder / "manifest.json").exists():
            journal = read_journal(folder)
            if journal and journal[0].get("kind") == kind:
                names.append(folder.name)
    return max(names, default=None)


def _folders(raw_dir: Path) -> Iterator[Path]:
    """Snapshot folders by name."""
    if raw_dir.is_dir():
        yield from sorted(path for path in raw_dir.iterdir() if path.is_dir() and not path.name.startswith("."))
