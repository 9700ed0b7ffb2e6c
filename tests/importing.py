"""A small bench for imports: write a file, import it, look at what arrived."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from appgov_lib.extract.snapshot import Snapshot, read_lines, read_snapshots
from appgov_lib.imports import ImportedFile, ImportResult, import_paths
from appgov_lib.settings import Settings

FIXTURES = Path(__file__).resolve().parent / "fixtures" / "imports"
SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Public reference data beside the checkout; tests that need it skip where it is absent."""
NOW = datetime(2026, 11, 16)


class Desk:
    """A tenant home and an inbox folder."""

    def __init__(self, folder: Path) -> None:
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        self.settings = Settings(home=folder / "home", tenant="imports")

    def file(self, name: str, content: bytes | str) -> Path:
        """Write a file into the inbox."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def take(self, *paths: Path | str) -> ImportResult:
        """Import paths."""
        return import_paths(paths, self.settings, NOW)

    def one(self, name: str, content: bytes | str) -> ImportedFile:
        """Write one file, import it, and return what became of it."""
        (imported,) = self.take(self.file(name, content)).files
        return imported

    def snapshots(self) -> list[Snapshot]:
        """Every finished snapshot."""
        return read_snapshots(self.settings.raw_dir)

    def lines(self, bucket: str) -> list[bytes]:
        """Raw lines of a bucket over all snapshots."""
        return [line for snapshot in self.snapshots() for path in snapshot.files(bucket) for line in read_lines(path)]

    def records(self, bucket: str) -> list[dict[str, Any]]:
        """Records of a bucket over all snapshots."""
        return [json.loads(line) for line in self.lines(bucket)]


def call(number: int, **more: Any) -> dict[str, Any]:
    """One diagnostic record of the Graph activity log."""
    return {
        "time": "2026-11-02T10:00:00Z",
        "category": "MicrosoftGraphActivityLogs",
        "properties": {"requestId": f"call-{number}", "appId": "app", "responseSizeBytes": number},
    } | more


def ndjson(records: Iterable[Any], end: str = "\n") -> str:
    """Records as NDJSON."""
    return "".join(json.dumps(record) + end for record in records)


def request_ids(desk: Desk) -> list[str]:
    """Ids of the diagnostic Graph calls that arrived, in order."""
    return [record["properties"]["requestId"] for record in desk.records("api_activity_diagnostic")]
