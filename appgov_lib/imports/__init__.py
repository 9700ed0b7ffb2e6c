"""Log exports of every shape into raw snapshots: `import_paths` is what `appgov import` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from appgov_lib.errors import ConfigError
from appgov_lib.imports.load import ImportedFile, import_file
from appgov_lib.imports.paths import Skipped, collect
from appgov_lib.settings import Settings

__all__ = ["ImportResult", "ImportedFile", "Progress", "Skipped", "import_paths"]

Progress = Callable[[str], None]
"""Called before each file with one line that says what starts."""


@dataclass(frozen=True)
class ImportResult:
    """What became of every file of one import."""

    files: tuple[ImportedFile, ...]
    skipped: tuple[Skipped, ...]
    """Files inside a given folder that were not opened."""

    @property
    def rows(self) -> int:
        """Rows that this import added; content that was there before does not count."""
        return sum(file.rows for file in self.files if not file.already_imported)

    @property
    def rejected_rows(self) -> int:
        """Rows that could not be used in the files that were new."""
        return sum(file.rejected_rows for file in self.files if not file.already_imported)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for machine-readable output."""
        return {
            "rows": self.rows,
            "rejected_rows": self.rejected_rows,
            "files": [asdict(file) | {"rows": file.rows} for file in self.files],
            "skipped": [asdict(item) for item in self.skipped],
        }


def import_paths(
    paths: Iterable[Path | str], settings: Settings, now: datetime, progress: Progress | None = None
) -> ImportResult:
    """Load log exports into the tenant's raw snapshots, one snapshot for each input file.

    `paths` are files, folders (searched with their subfolders) and patterns. All of them are checked before the
    first is loaded; `ConfigError` names the first that does not exist or may not be read. What is wrong inside a
    file is no error: the record is rejected with a reason and the rest is loaded. A file whose content was
    imported before changes nothing. `now` (UTC) is written into the manifests.
    """
    inputs = collect(paths)
    files = []
    for number, item in enumerate(inputs.files, 1):
        if progress is not None:
            progress(f"Importing {item.name} ({number} of {len(inputs.files)})")
        try:
            files.append(import_file(item, settings.raw_dir, now))
        except OSError as error:
            raise ConfigError(
                f"The import stopped at {item.name}: {error.strerror or type(error).__name__}; files before it are "
                "loaded, so mend this and run the same import again."
            ) from error
    return ImportResult(tuple(files), inputs.skipped)
