"""What a weekly run writes down and says beside the report holds no record of the tenant and no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from mail_sink import web_sink
from weekly_home import NEXT_RUN, Home, copy_of, current

from appgov_lib.sample import SampleTenant, running

COLUMN = "(display_name|principal_name|_id|^id|mail|ip_address|publisher|url|reason|evidence|name)$"
WORDS = f"""
SELECT DISTINCT value FROM (
    UNPIVOT (SELECT COLUMNS('{COLUMN}')::VARCHAR FROM {{table}})
    ON COLUMNS(*) INTO NAME col VALUE value
)
"""
TABLES = ("stg_service_principals", "stg_applications", "stg_users", "stg_sign_ins", "stg_directory_audits",
          "stg_delegated_grants", "app_credentials", "app_inventory", "findings")  # fmt: skip
OURS = {"contoso", "microsoft", "service principal", "application", "graph", "no owner", "second"}
"""Words of ours that some record has too."""


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant."""
    with running(service_principals=140, activity=0.2) as started:
        yield started


def values(path: Path) -> set[str]:
    """Every name, address, id and sentence of a warehouse's records."""
    found: set[str] = set()
    with duckdb.connect(str(path), read_only=True) as con:
        for table in TABLES:
            rows = con.execute(WORDS.format(table=table)).fetchall()
            assert len(rows) > 20, table
            found |= {value for (value,) in rows if value and len(value) > 5}
    return found - OURS


def written(home: Home) -> str:
    """Everything that is kept of runs beside the data and the report."""
    paths = [*home.data.glob("logs/*"), home.data / "weekly.json", home.path / "reports" / "overview.json"]
    return "\n".join(path.read_text() for path in paths if path.exists())


@pytest.mark.timeout(400)
def test_no_row_and_no_secret_in_log_record_or_summary(
    prepared_week: Path, tmp_path: Path, tenant: SampleTenant
) -> None:
    """A source refused, a delivery that fails, a damaged file: what goes wrong is told in our words."""
    with web_sink() as web:
        hook = '[[tenant.contoso.deliver]]\nkind = "webhook"\nurl_env = "HOOK"\n'
        home = copy_of(prepared_week, tmp_path / "home", tenant, hook)
        home.env["HOOK"] = web.url("/hook?sig=s3cret-part")
        web.answers = [(400, {})]
        (snapshot,) = home.data.glob("raw/extract-*")
        sorted(snapshot.glob("users/*.zst"))[0].write_bytes(b"")
        tenant.control("faults", {"forbid": "/auditLogs/directoryAudits"})
        try:
            first = home.start("weekly", "--again", "--json", now=NEXT_RUN)
            out, said = first.communicate(timeout=200)
        finally:
            tenant.control("faults", {})
        _, line, more = home.run(now="2026-11-16T10:00:00")
    assert first.returncode == 4
    assert json.loads(out)["unread"] == {"directory_audits": "not_permitted"}
    told = written(home) + out + said + json.dumps(line) + more
    assert len(home.log()) > 20
    known = values(current(home))
    assert len(known) > 2_000
    assert sorted(value for value in known if value in told) == []
    assert [word for word in (tenant.token, "s3cret-part", "/hook") if word in told] == []
    entries = home.log()
    assert {entry["event"] for entry in entries} >= {
        "begin",
        "stage begins",
        "stage ends",
        "read",
        "repaired",
        "summary",
    }
    assert all(e["tenant"] == "contoso" and e["run_id"] and e["at"].endswith("Z") for e in entries)
    assert entries[-1]["event"] == "summary"
