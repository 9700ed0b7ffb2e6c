"""The list of known abused apps can be added to from the home folder."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from appgov_lib.errors import ConfigError
from appgov_lib.settings import Settings
from appgov_lib.store.build import own_tables
from appgov_lib.store.models import REFERENCE_DIR, prepare

HEADER = "app_id,name,seen_used_for,confidence,as_of,source"
MINE = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty home with a folder for reference tables."""
    found = Settings(home=tmp_path)
    found.reference_dir.mkdir(parents=True)
    return found


def listed(own: Path | None) -> list[str]:
    """Ids of the list of abused apps."""
    with duckdb.connect() as con:
        prepare(con, own)
        return [app for (app,) in con.execute("SELECT app_id FROM ref_abused_apps ORDER BY 1").fetchall()]


def test_rows_of_the_user_are_added_to_the_shipped_ones(settings: Settings) -> None:
    shipped = listed(None)
    assert len(shipped) == len(set(shipped)) >= 12
    assert listed(settings.reference_dir) == shipped
    assert own_tables(settings) == {}
    own = settings.reference_dir / "abused_apps.csv"
    own.write_text(f'{HEADER}\n{MINE},"Mailer, old",mail sent,high,2026-11-01,our own case 17\n', encoding="utf-8")
    assert listed(settings.reference_dir) == sorted([*shipped, MINE])
    assert list(own_tables(settings)) == ["abused_apps"]  # so another build is made


def test_a_list_with_another_first_line_is_one_sentence(settings: Settings) -> None:
    (settings.reference_dir / "abused_apps.csv").write_text(f"id\n{MINE}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"must begin with the line {HEADER}; write it"):
        listed(settings.reference_dir)


def test_the_shipped_list_has_the_line_the_page_tells_of() -> None:
    assert (REFERENCE_DIR / "abused_apps.csv").read_text(encoding="utf-8").splitlines()[0] == HEADER
