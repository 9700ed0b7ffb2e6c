"""Damaged snapshots: what cannot be read is set aside, what can stays, and the sources it belongs to count as not read.

Nothing is deleted: damaged files and the manifest that named them go to `raw/.damaged/<snapshot>/`. A manifest that is
lost is written anew from the journal, which stays beside it for as long as the snapshot lives.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from appgov_lib.errors import ConfigError
from appgov_lib.extract.snapshot import (
    RawFile,
    Snapshot,
    SnapshotWriter,
    SourceState,
    is_whole,
    read_journal,
    read_snapshot,
)
from appgov_lib.extract.sources import load_sources
from appgov_lib.settings import private_dir, private_write

DAMAGED = ".damaged"
SET_ASIDE = "set_aside"
"""In a manifest's details: the files it no longer names."""


@dataclass(frozen=True)
class Repaired:
    """What was done to one snapshot."""

    snapshot_id: str
    files: int
    """Files set aside."""
    sources: tuple[str, ...]
    """Sources that lost records."""
    since: str | None
    """Start of the time span asked for of those that have one: where reading again begins."""
    whole: bool = False
    """The snapshot as a whole was set aside."""
    first: str = ""
    """One of the files set aside."""
    imported: str = ""
    """For an import: the file it was made from, as far as that is known. It cannot be read again by itself."""

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        again = f"; import {self.imported} again" if self.imported else ""
        if self.whole:
            return f"the snapshot {self.snapshot_id} was damaged and set aside as a whole{again}"
        if not self.files:
            return f"the manifest of the snapshot {self.snapshot_id} was damaged and written anew from its journal"
        if self.files == 1:
            return f"the damaged raw file {self.snapshot_id}/{self.first} was set aside{again}"
        return f"{self.files} damaged raw files, {self.snapshot_id}/{self.first} among them, were set aside{again}"


def repair(raw_dir: Path, now: datetime, gone: Mapping[str, Collection[str]] | None = None) -> list[Repaired]:
    """Read every raw file against its hash and set aside what is damaged; returns what was done, oldest first.

    `gone` names, by snapshot, the files that were pruned on purpose. Manifests are written when every damaged file is
    out of the way: cut short before that, the next repair finds the same damage and tells of it.
    """
    found: list[Repaired] = []
    writes: list[Callable[[], None]] = []
    if raw_dir.is_dir():
        for folder in sorted(p for p in raw_dir.iterdir() if p.is_dir() and not p.name.startswith(".")):
            if (folder / "manifest.json").exists():
                done = _one(folder, now, (gone or {}).get(folder.name, ()), writes)
                if done is not None:
                    found.append(done)
    for write in writes:
        write()
    return found


def _one(folder: Path, now: datetime, gone: Collection[str], writes: list[Callable[[], None]]) -> Repaired | None:
    """Repair one snapshot but for its manifest, whose writing goes to `writes`; None when it is whole."""
    try:
        snapshot = read_snapshot(folder)
        lost_manifest = False
    except ConfigError:
        rebuilt = _from_journal(folder, now)
        if rebuilt is None:
            imported = "its file" if folder.name.startswith("import-") else ""
            return Repaired(folder.name, 0, (), None, whole=True, imported=imported)
        snapshot, lost_manifest = rebuilt, True
    listed = [file for files in snapshot.buckets.values() for file in files if file.path not in gone]
    bad = [file for file in listed if not is_whole(folder / file.path, file)]
    if not bad:
        return Repaired(folder.name, 0, (), None) if lost_manifest else None
    sources = tuple(sorted({name for file in bad for name in _sources_of(snapshot, file)}))
    starts = [state.from_at for name in sources if (state := snapshot.sources[name]).from_at]
    aside = private_dir(folder.parent / DAMAGED / folder.name)
    shutil.copy2(folder / "manifest.json", aside / "manifest.json")
    writes.append(lambda: _write_without(snapshot, bad, sources))
    for file in bad:
        if (folder / file.path).exists():
            private_dir((aside / file.path).parent)
            (folder / file.path).replace(aside / file.path)
    imported = str(snapshot.details.get("input") or "its file") if snapshot.kind == "import" else ""
    return Repaired(
        folder.name, len(bad), sources, min(starts, default=None), first=min(f.path for f in bad), imported=imported
    )


def _from_journal(folder: Path, now: datetime) -> Snapshot | None:
    """Write a lost manifest anew; without a journal the folder is set aside and None returned."""
    journal = read_journal(folder)
    aside = private_dir(folder.parent / DAMAGED)
    if not journal or journal[0].get("event") != "start":
        _set_aside(folder)
        return None
    began = datetime.fromisoformat(str(journal[0]["started_at"])).replace(tzinfo=None)
    private_dir(aside / folder.name)
    (folder / "manifest.json").replace(aside / folder.name / "manifest.json")
    with SnapshotWriter(folder.parent, folder.name, str(journal[0]["kind"]), began) as writer:
        return writer.finish(min(began, now), details={"manifest": "written anew from the journal"})


def sound(raw_dir: Path, snapshot_id: str | None, now: datetime) -> str | None:
    """The unfinished extraction if it can be continued; one with a damaged file is set aside, to be read anew."""
    if snapshot_id is None:
        return None
    folder = raw_dir / snapshot_id
    with SnapshotWriter(raw_dir, snapshot_id, "extract", now) as writer:
        whole = all(is_whole(folder / file.path, file) for file in writer.all_files())
    if whole:
        return snapshot_id
    _set_aside(folder)
    return None


def _set_aside(folder: Path) -> None:
    """Move a snapshot to the damaged ones, under a name that is free."""
    aside = private_dir(folder.parent / DAMAGED)
    target, number = aside / folder.name, 1
    while target.exists():
        number += 1
        target = aside / f"{folder.name}-{number}"
    folder.rename(target)


def _sources_of(snapshot: Snapshot, file: RawFile) -> list[str]:
    """The sources whose records a file holds: named by the file, else by its bucket, else all of the snapshot."""
    bucket, _, name = file.path.partition("/")
    named = [source for source in snapshot.sources if name.startswith(f"{source}-")]
    if named:
        return [max(named, key=len)]
    catalogue = load_sources()
    same = [s for s in snapshot.sources if s == bucket or (s in catalogue and catalogue[s].bucket == bucket)]
    return same or list(snapshot.sources)


def _write_without(snapshot: Snapshot, bad: list[RawFile], sources: tuple[str, ...]) -> None:
    """Write the manifest without the damaged files; their sources are no longer complete."""
    raw = json.loads((snapshot.folder / "manifest.json").read_bytes())
    paths = {file.path for file in bad}
    for bucket in raw["buckets"].values():
        bucket["files"] = [entry for entry in bucket["files"] if entry["path"] not in paths]
        bucket["rows"] = sum(entry["rows"] for entry in bucket["files"])
    for name in sources:
        lost = [file for file in bad if name in _sources_of(snapshot, file)]
        state: SourceState = snapshot.sources[name]
        rows = max(0, state.rows - sum(file.rows for file in lost))
        reason = f"{len(lost)} raw files were damaged and set aside"
        status = "partial" if rows else "failed"
        raw["sources"][name] = asdict(replace(state, status=status, reason=reason, rows=rows, delta_link=None))
    details = raw.setdefault("details", {})
    details[SET_ASIDE] = sorted({*details.get(SET_ASIDE, ()), *paths})
    private_write(snapshot.folder / "manifest.json", json.dumps(raw, indent=1, sort_keys=True).encode())
