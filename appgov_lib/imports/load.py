"""One input file into one import snapshot."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from appgov_lib.extract.repair import SET_ASIDE
from appgov_lib.extract.snapshot import Rejected, Snapshot, SnapshotWriter, read_snapshot
from appgov_lib.imports.content import measure
from appgov_lib.imports.forms import read
from appgov_lib.imports.intake import Intake
from appgov_lib.imports.paths import InputFile


@dataclass(frozen=True)
class ImportedFile:
    """What became of one input file."""

    name: str
    """Name relative to what the user gave."""
    snapshot_id: str
    already_imported: bool
    """Whether the same content was imported before, under this or another name; then nothing was changed."""
    shapes: Mapping[str, int]
    """Rows loaded by bucket."""
    rejected_rows: int
    reasons: Mapping[str, int]
    """Rejected rows by reason."""
    rejected: tuple[Rejected, ...]
    """Rejected records one by one, as far as they are listed."""

    @property
    def rows(self) -> int:
        """Rows loaded."""
        return sum(self.shapes.values())


def import_file(item: InputFile, raw_dir: Path, now: datetime) -> ImportedFile:
    """Read one file into its snapshot, or find that its content is already there.

    Raises `OSError` when the file cannot be read or the snapshot cannot be written.
    """
    known = measure(item.path)
    snapshot_id = f"import-{known.sha256[:16]}"
    folder = raw_dir / snapshot_id
    if (folder / "manifest.json").exists():
        there = read_snapshot(folder)
        if not there.details.get(SET_ASIDE):
            return _outcome(item.name, there, already=True)
    if folder.exists():
        shutil.rmtree(folder)  # an import that was killed, or lost a file to damage: read again from the start
    with SnapshotWriter(raw_dir, snapshot_id, "import", now) as writer:
        intake = Intake(writer, item.name)
        if known.refusal is not None:
            intake.refuse(1, known.refusal)
        elif known.size or known.damaged:
            read(intake, item.path, known)
        return _outcome(item.name, intake.finish(now, known), already=False)


def _outcome(name: str, snapshot: Snapshot, *, already: bool) -> ImportedFile:
    """Tell from the manifest what the snapshot holds."""
    return ImportedFile(
        name=name,
        snapshot_id=snapshot.snapshot_id,
        already_imported=already,
        shapes={bucket: sum(file.rows for file in files) for bucket, files in sorted(snapshot.buckets.items())},
        rejected_rows=snapshot.rejected_rows,
        reasons=dict(snapshot.details.get("reasons", {})),
        rejected=snapshot.rejected,
    )
