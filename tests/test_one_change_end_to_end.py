"""From the service to the warehouse: a searched change is no second change, incidents are read again as they change."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.run import extract
from appgov_lib.sample import running
from appgov_lib.settings import Settings
from appgov_lib.store.build import build
from appgov_lib.store.warehouse import connect

NAMES = ("directory_audits", "audit_records", "incidents", "security_alerts")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two runs a day apart, so that the second reads a day again."""
    with running(service_principals=140) as tenant:
        settings = Settings(home=tmp_path_factory.mktemp("one-change"), endpoint=tenant.endpoint)
        for day in (15, 16):
            extract(settings, now=datetime(2026, 11, day), names=NAMES, credential=ReadyToken(tenant.token))
    build(settings, date(2026, 11, 15))
    return settings


def answer(settings: Settings, sql: str) -> tuple[object, ...]:
    """The single row of a query on the warehouse."""
    with connect(home=settings.home) as con:
        (row,) = con.execute(sql).fetchall()
    return tuple(row)


def test_a_searched_change_is_the_one_of_the_directory_log(home: Settings) -> None:
    searched, alone, paired = answer(
        home,
        """SELECT
            (SELECT count(*) FROM stg_audit_records WHERE log = 'directory_audits'),
            (SELECT count(*) FROM stg_directory_audits WHERE shape <> 'graph'),
            (SELECT count(*) FROM stg_directory_audits WHERE copies > 1)
        """,
    )
    assert isinstance(searched, int)
    assert searched > 10
    assert alone == 0  # the same 30 days: the directory log holds each
    assert isinstance(paired, int)
    assert paired >= searched


def test_all_records_of_both_logs_are_counted(home: Settings) -> None:
    with connect(home=home.home) as con:
        found = dict(con.execute(
            "SELECT table_name, breaches FROM check_results WHERE check_name = 'all_records'"
            " AND table_name IN ('stg_directory_audits', 'stg_office_activity')"
        ).fetchall())  # fmt: skip
    assert found == {"stg_directory_audits": 0, "stg_office_activity": 0}
    raw, office = answer(
        home,
        """SELECT
            (SELECT sum(copies) FROM stg_audit_records WHERE log = 'office_activity'),
            (SELECT sum(copies) FROM stg_office_activity WHERE shape = 'audit_query')
        """,
    )
    assert raw == office
    assert raw


def test_an_incident_raised_before_the_window_and_changed_in_it_is_read(tmp_path: Path) -> None:
    with running(service_principals=140) as tenant:
        settings = Settings(home=tmp_path, endpoint=tenant.endpoint)
        extract(
            settings,
            now=datetime(2026, 11, 16),
            names=("incidents",),
            since=datetime(2026, 11, 12),
            credential=ReadyToken(tenant.token),
        )
    build(settings, date(2026, 11, 15))
    found = answer(settings, "SELECT created_at < '2026-11-12', last_updated_at > '2026-11-12' FROM stg_incidents")
    assert found == (True, True)


def test_alerts_join_their_incident_and_their_app(home: Settings) -> None:
    apps, alerts = answer(
        home,
        """SELECT count(DISTINCT app_id), count(DISTINCT alert_id)
        FROM (SELECT *, unnest(evidence_app_ids) AS app FROM stg_security_alerts)
        JOIN stg_incidents USING (incident_id)
        WHERE app = app_id
        """,
    )
    assert (apps, alerts) == (2, 2)
