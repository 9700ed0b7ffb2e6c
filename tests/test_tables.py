"""Numbers, sizes, dates and tables as readers see them."""

from __future__ import annotations

import datetime as dt

import duckdb
import pandas as pd
import pytest

from appgov_lib import formats, tables
from appgov_lib.errors import ConfigError
from appgov_lib.period import Period, of_warehouse
from appgov_lib.templating import json_script, policy_of


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "unknown"), (float("nan"), "unknown"), (0, "0"), (1234567, "1,234,567"), (1.25, "1.2"), (-3, "\u22123")],
)
def test_numbers(value, text):
    assert formats.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (12_345_678, "12.3 MB"),
        (4.2e9, "4.20 GB"),
        (-5_000, "\u22125.00 kB"),
    ],
)
def test_sizes_are_decimal_with_three_digits(value, text):
    assert formats.size(value) == text


@pytest.mark.parametrize(
    ("now", "before", "unit", "text"),
    [
        (10, 5, "", "5 more (100%)"),
        (5, 10, "", "5 fewer (50%)"),
        (1000, 4000, "bytes", "3.00 kB less (75%)"),
        (3449, 3456, "", "7 fewer (under 1%)"),
        (7, 0, "", "7 more, none before"),
        (7, 7, "", "no change"),
        (7, None, "", "no earlier period to compare"),
        (None, 7, "", "no earlier period to compare"),
    ],
)
def test_changes_are_signed_words(now, before, unit, text):
    assert formats.change(now, before, unit) == text


def test_dates():
    assert formats.day(dt.datetime(2026, 11, 15, 23, 59)) == "2026-11-15"
    assert formats.day(pd.NaT) == "unknown"
    assert formats.long_day("2026-11-05") == "5 November 2026"
    assert formats.moment(dt.datetime(2026, 11, 15, 7, 5)) == "2026-11-15 07:05 UTC"


@pytest.mark.parametrize(
    ("as_of", "days", "text"),
    [
        ("2026-11-15", 7, "9 to 15 November 2026"),
        ("2026-11-03", 7, "28 October to 3 November 2026"),
        ("2027-01-02", 7, "27 December 2026 to 2 January 2027"),
        ("2026-11-15", 1, "15 November 2026"),
    ],
)
def test_periods_in_words(as_of, days, text):
    assert Period.ending(as_of, days).text == text


@pytest.mark.parametrize(
    ("as_of", "days"), [("15.11.2026", 7), ("", 7), ("2026-02-30", 7), ("2026-11-15", 0), ("2026-11-15", 999)]
)
def test_a_period_that_is_none_is_a_user_error(as_of, days):
    with pytest.raises(ConfigError):
        Period.ending(as_of, days)


def test_a_warehouse_of_another_period_is_refused():
    con = duckdb.connect(":memory:")
    con.execute(
        "CREATE TABLE run_info AS SELECT * FROM (VALUES ('as_of', '2026-11-15'), ('days', '7')) AS t(key, value)"
    )
    assert of_warehouse(con, "2026-11-15", 7).start == dt.date(2026, 11, 9)
    with pytest.raises(ConfigError, match="holds the 7 days to 2026-11-15, not the 7 days to 2026-11-08"):
        of_warehouse(con, "2026-11-08", 7)
    with pytest.raises(ConfigError, match="--days 28"):
        of_warehouse(con, "2026-11-15", 28)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\u202egpj.exe", "a<U+202E>gpj.exe"),
        ("zero\u200bwidth", "zero<U+200B>width"),
        ("bell\x07", "bell<U+0007>"),
        ("two\nlines\tand tab", "two lines and tab"),
        ("x" * 200, "x" * 119 + "\u2026"),
        ("Ωmega 株式会社", "Ωmega 株式会社"),
    ],
)
def test_names_show_what_they_hold_on_one_line(name, shown):
    assert formats.plain(name) == shown


def test_rows_come_from_relations_frames_and_lists():
    con = duckdb.connect(":memory:")
    relation = con.sql("SELECT 1 AS apps, CAST('nan' AS DOUBLE) AS score")
    frame = pd.DataFrame({"apps": [1], "score": [float("nan")]})
    assert tables.records(relation) == tables.records(frame) == tables.records([{"apps": 1, "score": None}])


def test_cells_follow_the_columns_kind():
    row = {"display_name": "A", "bytes_returned": 1500, "calls": None, "services": ["Exchange", "Teams"]}
    row |= {"publisher_verified": False, "last_used_at": dt.datetime(2026, 11, 1), "directory_roles": []}
    (cells,) = tables.table_of([row], "x").rows
    assert [c.text for c in cells] == ["A", "1.50 kB", "unknown", "Exchange, Teams", "no", "2026-11-01", "none"]
    assert cells[1].title == "1,500 bytes"
    assert cells[2].muted


def test_a_measure_is_written_in_the_unit_of_its_metric():
    rows = [{"metric": "bytes_returned", "observed": 2000.0}, {"metric": "api_calls", "observed": 2000.0}]
    assert [r[1].text for r in tables.table_of(rows, "x").rows] == ["2.00 kB", "2,000"]


def test_a_table_is_html_with_caption_scopes_and_aligned_numbers():
    html = tables.table_of([{"display_name": "A", "calls": 5}] * 3, "Calls")._repr_html_()
    assert "<caption>Calls</caption>" in html
    assert html.count('scope="col"') == 2
    assert html.count('scope="row"') == 3
    assert '<td class="num" data-sort="5">5</td>' in html


def test_hostile_cells_are_inert():
    name = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    html = tables.table_of([{"display_name": name, "calls": 1}], name)._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_an_empty_table_says_so_in_words():
    html = tables.show([], "New apps", "display_name", empty="No app was added.")._repr_html_()
    assert "<table" not in html
    assert "New apps" in html
    assert "No app was added." in html


def test_rows_left_out_are_counted():
    table = tables.show([{"display_name": str(n), "x": 1} for n in range(20)], "Apps", "display_name", limit=5)
    assert len(table.rows) == 5
    assert len(table.columns) == 1
    assert table.note == "The first 5 of 20 rows."


def test_totals_are_sorted_plain_lines(capsys):
    con = duckdb.connect(":memory:")
    tables.totals(in_staging=con.sql("SELECT 12345"), apps=3, share="12%")
    assert capsys.readouterr().out == "apps        3\nin staging  12,345\nshare       12%\n"


def test_json_inside_a_page_cannot_end_its_element():
    text = json_script({"a": "</script><!-- \u2028 & >"})
    assert "<" not in text
    assert "&" not in text
    assert ">" not in text


def test_the_content_policy_allows_nothing_from_outside():
    for policy in (policy_of(), policy_of(charts=True)):
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert "unsafe-eval" not in policy
        assert "'unsafe-inline'" not in policy.split("style-src")[0]
    assert "unsafe-inline" not in policy_of()


def test_totals_by_prints_rows_aligned_and_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    tables.totals_by(duckdb.sql("VALUES ('a', 1), ('bbb', 12345)"))
    assert capsys.readouterr().out == "a    1\nbbb  12,345\n"
    tables.totals_by(duckdb.sql("SELECT 1 WHERE false"))
    assert capsys.readouterr().out == ""
