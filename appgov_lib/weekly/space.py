"""Room on the disk: is there enough for a run, asked before hours of reading; and old reports make place."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
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


def remove_old_reports(settings: Settings, now: datetime) -> list[str]:
    """Remove reports older than `report_retention_days`, never the newest; returns their as-of dates."""
    days = settings.profile.report_retention_days
    if days is None:
        return []
    oldest = (now - timedelta(days=days)).date().isoformat()
    folders = sorted(path for path in settings.reports_dir.glob("????-??-??") if path.is_dir())
    old = [folder for folder in folders[:-1] if folder.name < oldest]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return [folder.name for folder in old]
