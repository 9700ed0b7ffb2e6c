"""The summary names values that no rule knows, the commonest first, and says nothing where there are none."""

from __future__ import annotations

import datetime as dt
from typing import Any

from test_report import facts_of, index_of

from appgov_lib.report.lists import VALUES_SHOWN


def value(number: int, **more: Any) -> dict[str, Any]:
    """A value as the query returns it."""
    row = {"source": "stg_sign_ins", "column_name": "error_code", "value": f"9{number:04d}", "records": 100 - number}
    return row | {"first_at": None, "last_at": dt.datetime(2026, 11, 12, 8)} | more


def test_values_are_told_below_what_was_not_checked() -> None:
    facts = facts_of(unrecognised=[value(n) for n in range(VALUES_SHOWN + 2)])
    page = index_of(facts)
    assert page.index("What was not checked") < page.index("Values no rule knows: 12") < page.index("Method and gloss")
    assert "sign ins, error code" in page
    assert "90000" in page


def test_without_a_time_it_says_so_and_nothing_is_executed() -> None:
    page = index_of(facts_of(unrecognised=[value(1, value="<script>x</script>", last_at=None)]))
    assert "no time is known" in page
    assert "<script>x" not in page


def test_nothing_is_said_where_all_values_are_known() -> None:
    assert "Values no rule knows" not in index_of(facts_of())


def test_values_with_and_without_a_time_stand_in_one_table() -> None:
    page = index_of(facts_of(unrecognised=[value(1), value(2, last_at=None)]))
    assert page.index("2026-11-12") < page.index("no time is known")
