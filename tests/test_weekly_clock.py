"""A machine whose clock is wrong, back or ahead: told before anything is read, and nothing stays of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from weekly_home import NEXT_RUN, Home, copy_of, stages

from appgov_lib.errors import ConfigError, ExitCode
from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.run import extract
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings
from appgov_lib.weekly.record import Record, read_record

pytestmark = pytest.mark.timeout(400)  # on a busy machine; alone none takes a minute
AHEAD = "2026-11-23T05:17:00"
TRUE = "Mon, 16 Nov 2026 09:00:10 GMT"


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant; what its clock says is set and taken back by the tests."""
    with running(service_principals=140, activity=0.2) as started:
        yield started


@pytest.fixture
def home(prepared_week: Path, tmp_path: Path, tenant: SampleTenant) -> Iterator[Home]:
    """A home of this test alone in which last week went well."""
    yield copy_of(prepared_week, tmp_path / "home", tenant)
    tenant.control("faults", {})


def test_a_clock_that_was_set_back(home: Home) -> None:
    before = sorted(home.data.rglob("*"))
    code, line, said = home.run(now="2020-01-06T05:17:00")
    assert (code, line["stages"]) == (ExitCode.USAGE, [])
    assert re.search(r"This machine's clock says 2020-01-06T05:1\d:\d\dZ, which is before the last run", said)
    assert sorted(home.data.rglob("*")) == before
    code, _, _ = home.run(now=NEXT_RUN)
    assert code == 0


def test_a_clock_that_is_ahead_of_the_service(home: Home, tenant: SampleTenant) -> None:
    tenant.control("faults", {"date": TRUE})
    raw = sorted(home.data.glob("raw/**/*"))
    weeks = read_record(Settings(home.path, "contoso")).weeks["2026-11-15"]
    code, line, said = home.run(now=AHEAD)
    assert (code, stages(line)) == (ExitCode.USAGE, [("extract", "failed")])
    assert re.fullmatch(
        r"appgov: This machine's clock says 2026-11-23T05:1\d:\d\dZ and Microsoft Graph's 2026-11-16T09:00:10Z: "
        r"set this one right and run again\. Nothing was read\.\n",
        said,
    )
    assert sorted(home.data.glob("raw/**/*")) == raw, "no snapshot bears a day that has not come"
    assert read_record(Settings(home.path, "contoso")).weeks["2026-11-15"] == weeks
    doctor = home.start("doctor", "--source", "organization", now=AHEAD)
    assert "set this one right" in doctor.communicate(timeout=90)[1]
    assert doctor.returncode == ExitCode.USAGE
    code, line, _ = home.run("weekly", "--again", "--json", "--quiet", now=NEXT_RUN)
    assert (code, stages(line)) == (0, [("extract", "done"), ("build", "done"), ("report", "done")])


def test_a_clock_that_was_ahead_unnoticed(home: Home) -> None:
    """Nobody told the time, so a week was read that had not been; the clock is right again."""
    code, line, _ = home.run(now=AHEAD)
    assert (code, line["as_of"]) == (0, "2026-11-22")
    code, line, said = home.run(now="2026-11-16T10:00:00")
    assert (code, line["stages"]) == (ExitCode.USAGE, [])
    assert "which is before the last run (2026-11-23T" in said
    assert "move the snapshot out of" in said
    (wrong,) = home.data.glob("raw/extract-20261123*")
    shutil.move(wrong, home.path / "moved")
    code, line, said = home.run(now="2026-11-16T11:00:00")
    assert (code, said, line["as_of"]) == (0, "", "2026-11-15")
    assert stages(line) == [("extract", "nothing to do"), ("build", "done"), ("report", "done")]
    record = read_record(Settings(home.path, "contoso"))
    assert (record.last_good["as_of"], "2026-11-22" in record.weeks) == ("2026-11-15", False)


@pytest.mark.parametrize("hours", [-3, 3, -24 * 365])
def test_a_first_run_with_a_wrong_clock(tmp_path: Path, tenant: SampleTenant, hours: int) -> None:
    settings = Settings(tmp_path, "contoso", endpoint=tenant.endpoint)
    tenant.control("faults", {"date": TRUE})
    true = datetime(2026, 11, 16, 9, 0, 10)
    try:
        with pytest.raises(ConfigError, match="Microsoft Graph's 2026-11-16T09:00:10Z"):
            extract(settings, now=true + timedelta(hours=hours), names=("users",), credential=ReadyToken(tenant.token))
        assert list(settings.raw_dir.iterdir()) == []
        near = true + timedelta(minutes=20)
        found = extract(settings, now=near, names=("users",), credential=ReadyToken(tenant.token))
        assert found.sources["users"].status == "complete"
        tenant.control("faults", {"date": "some day"})
        later = true + timedelta(days=1)
        assert extract(settings, now=later, names=("users",), credential=ReadyToken(tenant.token)).sources
    finally:
        tenant.control("faults", {})


def test_what_a_wrong_clock_made_is_forgotten() -> None:
    record = Record(Path("x"), {"2026-11-08": {"report": {}}, "2026-11-29": {"report": {}}})
    record.last_good = {"as_of": "2026-11-29", "finished_at": "2026-11-30T05:20:00", "run_id": "r"}
    record.forget_after(datetime(2026, 12, 1))
    assert len(record.weeks) == 2
    record.forget_after(datetime(2026, 11, 16))
    assert (list(record.weeks), record.last_good["as_of"]) == (["2026-11-08"], "2026-11-08")
    record.last_good |= {"finished_at": "2027-01-01T00:00:00"}
    record.forget_after(datetime(2026, 11, 2))
    assert (record.weeks, record.last_good) == ({}, {})
