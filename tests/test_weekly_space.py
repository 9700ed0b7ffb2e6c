"""Room on the disk before a run, and which old reports go after it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from appgov_lib.errors import DiskFull
from appgov_lib.profiles import Profile
from appgov_lib.settings import Settings
from appgov_lib.weekly.space import check_space, remove_old_reports

NOW = datetime(2026, 11, 16, 5, 17)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty home."""
    return Settings(tmp_path, "contoso")


def test_room_is_asked_for_before(settings: Settings) -> None:
    free, need = check_space(settings)
    assert need == 500
    assert free > 0
    with pytest.raises(DiskFull, match="A run needs about"):
        check_space(replace(settings, profile=replace(Profile(), min_free_mb=10**9)))


def test_old_reports_go_and_the_newest_stays(settings: Settings) -> None:
    for day in ("2026-01-04", "2026-10-04", "2026-10-11"):
        (settings.reports_dir / day).mkdir(parents=True)
    assert remove_old_reports(settings, NOW) == []
    kept = replace(settings, profile=Profile(report_retention_days=40))
    assert remove_old_reports(kept, NOW) == ["2026-01-04", "2026-10-04"]
    assert remove_old_reports(replace(kept, profile=Profile(report_retention_days=14)), NOW) == []
    assert [path.name for path in settings.reports_dir.iterdir()] == ["2026-10-11"]
