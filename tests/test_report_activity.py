"""What an app page tells of activity: unusual days, new things, users, calls, items; unknown stays unknown."""

from __future__ import annotations

import datetime as dt

import pytest
from test_report import AS_OF, PERIOD, facts_of
from test_report_app import lines, with_sources

from appgov_lib.report import app_activity, svg
from appgov_lib.report.app import histories
from appgov_lib.report.details import Details

DAY = dt.date(2026, 11, 11)


def test_an_unusual_day_comes_with_its_range_and_its_reason():
    row = {"app_id": "a", "day": DAY, "metric": "bytes_returned", "observed": 9e6, "expected": 1e6, "lower": 5e5}
    row |= {"upper": 2e6, "reason": "9,000,000 observed, above the 1,000,000 expected.", "is_anomaly": True}
    (said,) = lines(app_activity.unusual_table(facts_of(), [row]))
    assert list(said.values()) == [
        "2026-11-11", "bytes returned", "9.00 MB", "1.00 MB", "500 kB", "2.00 MB", row["reason"],
    ]  # fmt: skip


NOBODY = "No user was behind it in the period; calls read as sums name nobody."


@pytest.mark.parametrize(
    ("make", "sources", "said"),
    [
        (app_activity.unusual_table, ("api_activity",), "No day of the period stands out."),
        (app_activity.users_table, ("api_activity",), NOBODY),
        (app_activity.endpoints_table, ("api_activity_sums",), "No call to Microsoft Graph in the period."),
        (app_activity.items_table, ("cloud_app_events",), "No record of messages or files names this app."),
    ],
    ids=["unusual", "users", "endpoints", "items"],
)  # fmt: skip
def test_nothing_is_said_only_where_a_log_was_read(make, sources, said):
    assert make(with_sources(*sources), []).empty == said
    assert make(with_sources(*sources, status="not_permitted"), []).empty.startswith("Unknown: ")


def test_who_made_an_unusual_day_is_named_beside_the_usual_share():
    row = {
        "day": DAY,
        "metric": "api_calls",
        "dimension": "user",
        "value": "<ada@x>",
        "share": 0.5,
        "usual_share": None,
    }
    rows = [row | {"reason": ""}, row | {"dimension": "address", "value": None, "reason": "the logs do not tell"}]
    rows.append(row | {"value": None, "reason": "nothing happened on this day"})
    assert [list(said.values())[2:] for said in lines(app_activity.contributors_table(rows))] == [
        ["user", "<ada@x>", "50.0%", "unknown"],
        ["address", "unknown: the logs do not tell", "50.0%", "unknown"],
    ]


def test_what_could_not_be_judged_is_not_called_nothing_new():
    row = {"family": "sign_ins", "dimension": "country", "value": "<FR>", "first_seen": DAY, "events_now": 3}
    row |= {"values_before": 1, "novelty": "new", "reason": None}
    (said,) = lines(app_activity.new_table([row]))
    assert list(said.values()) == ["country", "<FR>", "2026-11-11", "3", "1"]
    young = row | {"novelty": "unknown", "reason": "the app itself is young"}
    assert app_activity.new_table([young]).empty == "Not judged: the app itself is young."
    assert app_activity.new_table([]).empty == "Nothing new in the period."


def test_users_calls_and_items_are_written_with_their_units():
    user = {"user_principal_name": None, "user_id": "u1", "sign_ins": 2, "calls": 5, "bytes_returned": 2_000_000}
    (said,) = lines(app_activity.users_table(facts_of(), [user | {"bytes_share": 0.256}]))
    assert list(said.values()) == ["u1", "2", "5", "2.00 MB", "25.6%"]
    call = {"method": "GET", "endpoint_family": "/users/{id}/messages", "calls": 9, "calls_previous": 1, "refused": 2}
    (said,) = lines(app_activity.endpoints_table(facts_of(), [call | {"throttled": 1, "bytes_returned": None}]))
    assert list(said.values()) == ["GET /users/{id}/messages", "9", "1", "2", "1", "unknown"]
    item = {"kind": "mail", "access": "read", "events": 4, "items": None, "items_unknown_events": 4, "bytes": None}
    (said,) = lines(app_activity.items_table(facts_of(), [item]))
    assert list(said.values()) == ["mail", "read", "4", "unknown", "4", "unknown"]


def test_the_expected_range_stands_behind_the_days_it_was_judged_for():
    days = {AS_OF - dt.timedelta(days=n): 10.0 for n in range(20)}
    chart = svg.history("Data", days, PERIOD, "bytes", [AS_OF], expected={AS_OF: (2.0, 1000.0)})
    band, bar = chart.bars[-2:]
    assert (band.kind, bar.kind) == ("expected", "bar flag")
    # the scale ends at one and a half times the largest day, so that a wide range does not press the bars flat
    assert (band.y, bar.y) == (svg.TOP, round(svg.BOTTOM - (svg.BOTTOM - svg.TOP) * 10 / 15, 1))
    assert band.title == f"{AS_OF}: expected 2 bytes to 1.00 kB"
    anomaly = {"app_id": "a", "day": AS_OF, "metric": "bytes_returned", "lower": 2.0, "upper": 12.0, "is_anomaly": True}
    facts = facts_of(
        anomalies={"a": [anomaly]},
        history={("a", "bytes_returned"): list(days.items()), ("a", "api_calls"): list(days.items())},
        details=Details(bands={"a": [anomaly, anomaly | {"metric": "api_calls"}]}),
    )
    drawn = {chart.caption.split(":")[0]: [bar.kind for bar in chart.bars] for chart in histories(facts, "a")}
    assert drawn["Data returned"].count("expected") == 1
    assert drawn["API calls"].count("expected") == 0  # nothing of it stands out
