"""What became of earlier plans: every outcome, from plans of three weeks and the journals between them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from changing import NOON

from appgov_lib.actions.journal import Journal
from appgov_lib.actions.outcomes import OUTCOME_TYPES, Carried, Outcome, advance, carried, write_outcomes
from appgov_lib.errors import UserError
from appgov_lib.settings import Settings

WEEKS = [dt.date(2026, 11, 1) + dt.timedelta(weeks=week) for week in range(4)]


def action(key: str, risk: float = 20.0) -> dict[str, Any]:
    """An action of a plan."""
    names = ("action_type", "app_id", "service_principal_id", "display_name", "title", "severity", "disposition")
    return {"action_id": key, **dict.fromkeys(names, "x"), "risk_removed": risk}


def told(found: list[Outcome]) -> dict[str, str]:
    """Outcome by action."""
    return {outcome.action_id: outcome.outcome for outcome in found}


def test_every_outcome():
    first = advance([], [action(key) for key in "abcdef"], {}, WEEKS[0])
    assert set(told(first).values()) == {"open"}
    runs = {
        "a": Carried("applied", "r1", "by run r1"),
        "b": Carried("failed", "r1", "by run r1: refused"),
        "c": Carried("undone", "r1", "taken back by run r1"),
        "d": Carried("applied", "r1", "by run r1"),
    }
    # a is gone after a run, f without one; d is needed again although it was carried out
    second = advance(first, [action(key) for key in "bcdeg"], runs, WEEKS[1])
    assert told(second) == {
        "a": "done", "b": "failed", "c": "undone", "d": "found again", "e": "open", "f": "done", "g": "open"
    }  # fmt: skip
    by_id = {outcome.action_id: outcome for outcome in second}
    assert (by_id["a"].run, by_id["a"].ended_on, by_id["a"].first_planned) == ("r1", "2026-11-08", "2026-11-01")
    assert (by_id["f"].run, by_id["f"].detail.split(";")[0]) == ("", "no longer planned")
    # what was gone comes back; what is done keeps the day on which it was gone
    third = advance(second, [action(key) for key in "fe"], {"a": runs["a"]}, WEEKS[2])
    by_id = {outcome.action_id: outcome for outcome in third}
    assert (by_id["f"].outcome, by_id["f"].ended_on) == ("found again", None)
    assert (by_id["a"].outcome, by_id["a"].ended_on) == ("done", "2026-11-08")
    fourth = advance(third, [action("f")], {}, WEEKS[3])
    assert {outcome.action_id: outcome for outcome in fourth}["f"].outcome == "found again"


def journal(settings: Settings, run: str, at: dt.datetime, *events: tuple[str, dict[str, Any]]) -> None:
    """A run of three actions, the second of two requests."""
    actions = [{"action_id": key, "requests": [0] * many} for key, many in (("a", 1), ("b", 2), ("c", 1))]
    book = Journal.create(settings, run, {"actions": actions}, lambda: at)
    for event, values in events:
        book.write(event, **values)
    book.close()


def send(step: int, key: str) -> tuple[str, dict[str, Any]]:
    """A request that was sent."""
    request = {"method": "DELETE", "path": "/x", "body": None}
    values = {"step": step, "action_id": key, "title": "t", "request": request, "undo": request}
    return "send", {**values, "before": {}, "after": None}


def test_journals_say_what_was_carried_out(tmp_path: Path):
    settings = Settings(home=tmp_path)
    journal(settings, "r1", NOON, send(1, "a"), ("verified", {"step": 1}), send(2, "b"), ("verified", {"step": 2}),
            send(3, "b"), ("refused", {"step": 3}), ("stop", {"reason": "it was refused"}))  # fmt: skip
    assert {key: found.state for key, found in carried(settings, "").items()} == {"a": "applied", "b": "failed"}
    assert "it was refused" in carried(settings, "")["b"].detail
    later = NOON + dt.timedelta(days=1)
    done = ("already_done", {"step": 1, "action_id": "a"}), send(2, "b"), ("verified", {"step": 2})
    journal(settings, "r2", later, *done, send(3, "b"), ("verified", {"step": 3}), ("undo_verified", {"step": 3}))
    assert {key: (found.state, found.run) for key, found in carried(settings, "").items()} == {
        "a": ("applied", "r2"),
        "b": ("undone", "r2"),
    }
    # data that was read before the second run says nothing about it
    assert carried(settings, "2026-11-16T18:00:00Z")["b"].run == "r1"
    (tmp_path / "data" / "sample" / "actions" / "r1" / "journal.jsonl").write_text("{}\n")
    assert set(carried(settings, "")) == {"a", "b"}


def build(settings: Settings, as_of: dt.date, *keys: str) -> list[tuple[Any, ...]]:
    """Write the table for one plan; its rows."""
    con = duckdb.connect()
    names = list(action(""))
    con.execute("CREATE TABLE run_info AS SELECT 'data_read_at' AS key, '2026-11-30T00:00:00Z' AS value")
    texts = ", ".join(f"{name} VARCHAR" for name in names[:-1])
    con.execute(f"CREATE TABLE remediation_actions ({texts}, risk_removed DOUBLE, priority INTEGER)")
    for number, key in enumerate(keys):
        con.execute("INSERT INTO remediation_actions VALUES (" + "?, " * 9 + "?)", [*action(key).values(), number])
    write_outcomes(con, settings, as_of)
    described = dict(con.execute("SELECT column_name, column_type FROM (DESCRIBE action_outcomes)").fetchall())
    assert described == OUTCOME_TYPES
    return con.execute("SELECT action_id, outcome FROM action_outcomes ORDER BY action_id").fetchall()


def test_the_table_and_its_record_over_two_weeks(tmp_path: Path):
    settings = Settings(home=tmp_path)
    assert build(settings, WEEKS[0], "a", "b") == [("a", "open"), ("b", "open")]
    path = settings.data_dir / "plans" / "2026-11-08.json"
    assert build(settings, WEEKS[1], "b") == [("a", "done"), ("b", "open")]
    once = path.read_bytes()
    assert build(settings, WEEKS[1], "b") == [("a", "done"), ("b", "open")]
    assert path.read_bytes() == once
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(json.dumps({"actions": [{}]}))
    with pytest.raises(UserError, match="damaged"):
        build(settings, WEEKS[2], "b")
