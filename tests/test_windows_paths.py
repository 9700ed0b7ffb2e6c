"""What can be said of Windows on a machine that runs something else: names, separators and line ends."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path, PureWindowsPath
from xml.etree import ElementTree

import pytest
from checkout import ROOT, files, text

from appgov_lib.errors import ConfigError
from appgov_lib.profiles import load_profiles
from appgov_lib.settings import Settings
from appgov_lib.weekly.record import Record, read_record

TASK = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
LONGEST = 200
"""Characters of a path below the home folder: Windows takes 260 in all unless told otherwise."""


def wrong(name: PureWindowsPath) -> bool:
    """Whether a relative path cannot exist on Windows."""
    odd = any(re.search(r'[<>:"|?*\x00-\x1f]|[. ]$', part) for part in name.parts)
    return odd or name.is_reserved() or len(str(name)) > LONGEST


@pytest.mark.parametrize("which", ["prepared_week", "sample_home"])
def test_every_file_a_run_writes_can_exist_on_windows(which: str, request: pytest.FixtureRequest) -> None:
    home: Path = request.getfixturevalue(which)
    found = [PureWindowsPath(*path.relative_to(home).parts) for path in home.rglob("*")]
    assert len(found) > 100
    assert [str(name) for name in found if wrong(name)] == []
    assert len({str(name).lower() for name in found}) == len(found), "names differ by more than capitals"


def test_every_file_of_the_checkout_can_exist_on_windows() -> None:
    tracked = [PureWindowsPath(name) for name in files(".*")]
    assert [str(name) for name in tracked if wrong(name)] == []
    assert len({str(name).lower() for name in tracked}) == len(tracked)
    assert "* text=auto eol=lf" in text(".gitattributes").splitlines()


def test_paths_in_manifests_reports_and_pointers_have_forward_slashes(prepared_week: Path) -> None:
    data = prepared_week / "data" / "contoso"
    (manifest,) = data.glob("raw/*/manifest.json")
    buckets = json.loads(manifest.read_text())["buckets"].values()
    paths = [file["path"] for bucket in buckets for file in bucket["files"]]
    assert len(paths) > 20
    for path in paths:
        assert "\\" not in path
        assert PureWindowsPath("C:/home") / path == PureWindowsPath("C:\\home", *path.split("/"))
    pointer = json.loads((data / "warehouse" / "current.json").read_text())["file"]
    assert PureWindowsPath(pointer).name == pointer, "a name without any folder, so the home can be moved"


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_line_ends_of_a_profile_do_not_matter(tmp_path: Path, ends: str) -> None:
    lines = ["[tenant.contoso]", 'client_id = "a"', "certificate_path = 'keys/app.pem'", "retention_days = 40"]
    path = tmp_path / "appgov.toml"
    path.write_bytes(ends.join(lines).encode())
    assert load_profiles(tmp_path, {}).of("contoso").retention_days == 40
    path.write_bytes(ends.join([*lines, "retention = 4"]).encode())
    with pytest.raises(ConfigError, match="line 5"):
        load_profiles(tmp_path, {})


def test_a_path_of_windows_in_the_record_is_taken_as_it_is(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "contoso")
    place = r"C:\appgov\reports\contoso\2026-11-15"
    Record(settings.data_dir / "weekly.json", {"2026-11-15": {"report": {"path": place}}}).save()
    assert read_record(settings).weeks["2026-11-15"]["report"]["path"] == place


def test_the_task_runs_the_program_of_its_folder() -> None:
    root = ElementTree.fromstring((ROOT / "deploy" / "appgov-task.xml").read_text())
    run = root.find("t:Actions/t:Exec", TASK)
    assert run is not None
    program, folder = (PureWindowsPath(run.findtext(f"t:{n}", "", TASK)) for n in ("Command", "WorkingDirectory"))
    assert (program.name, program.parent.name, program.is_absolute()) == ("appgov.exe", "Scripts", True)
    assert program.is_relative_to(folder)
    assert '"' not in str(program), "the XML takes a path with blanks as it is"
    start = root.findtext("t:Triggers/t:CalendarTrigger/t:StartBoundary", "", TASK)
    assert datetime.fromisoformat(start).weekday() == 0


def test_what_posix_alone_has_is_asked_for_first() -> None:
    """`os.killpg` and signals that Windows lacks stand behind a question."""
    for name in files(r"appgov_lib/.*\.py"):
        content = text(name)
        assert not re.search(r"^\s*(?:import|from) (?:fcntl|pwd|grp|resource|termios)\b", content, re.MULTILINE), name
        if "os.killpg(" in content:
            assert 'if hasattr(os, "killpg"):' in content, name
