"""Is there room for a run? Asked before hours of reading, not after."""

from __future__ import annotations

import shutil
from pathlib import Path

from appgov_lib.errors import DiskFull
from appgov_lib.settings import Settings, private_dir

MEGABYTE = 1_000_000


def check_space(settings: Settings) -> tuple[int, int]:
    """Megabytes free and needed; raises `DiskFull` when it is too little.

    A run is taken to need what the last one left (snapshot, warehouse, report), the warehouse once more for what a
    build spills, and the reserve of the profile.
    """
    free = shutil.disk_usage(private_dir(settings.data_dir)).free
    warehouse = max((p.stat().st_size for p in settings.warehouse_dir.glob("warehouse-*.duckdb")), default=0)
    last = 2 * warehouse + _newest(settings.raw_dir, "extract-") + _newest(settings.reports_dir, "2")
    need = last + settings.profile.min_free_mb * MEGABYTE
    if free < need:
        raise DiskFull(
            f"A run needs about {need // MEGABYTE} MB of free space in {settings.home}, and there are "
            f"{free // MEGABYTE} MB (min_free_mb sets the reserve)"
        )
    return free // MEGABYTE, need // MEGABYTE


def _newest(folder: Path, prefix: str) -> int:
    """Bytes in the folder with the last name that begins so."""
    found = sorted(p for p in folder.glob(f"{prefix}*") if p.is_dir()) if folder.is_dir() else []
    return sum(path.stat().st_size for path in found[-1].rglob("*") if path.is_file()) if found else 0
