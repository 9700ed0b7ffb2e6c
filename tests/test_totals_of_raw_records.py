"""The totals that notebooks show, added up a second time from the raw records, without SQL."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

import appgov_lib
from appgov_lib.extract.snapshot import read_lines, read_snapshots

START, END = "2026-11-09", "2026-11-16"
Totals = Counter[tuple[str, ...]]


@pytest.fixture(scope="module")
def raw(sample_home: Path) -> Totals:
    """Sums over the records of the period, by what was counted."""
    (snapshot,) = read_snapshots(sample_home / "data" / "sample" / "raw")
    decode = msgspec.json.Decoder().decode
    found: Totals = Counter()
    for path in snapshot.files("api_activity_hunting"):
        for line in read_lines(path):
            record = decode(line)
            if START <= record["Timestamp"] < END and not urlsplit(record["RequestUri"]).path.endswith("/$batch"):
                is_read = record["RequestMethod"] in ("GET", "HEAD", "OPTIONS")
                size = int(record["ResponseSize"]) if record["ResponseSize"] not in (None, "") else -1
                found["calls"] += 1
                found["bytes"] += max(size, 0)
                found["unsized"] += size < 0
                found["reads"] += is_read
                found["throttled"] += int(record["ResponseStatusCode"]) == 429
    for path in snapshot.files("sign_ins_graph"):
        for line in read_lines(path):
            record = decode(line)
            moment = dt.datetime.fromisoformat(record["createdDateTime"])
            if START <= record["createdDateTime"] < END:
                found["sign_ins"] += 1
                found["failures"] += record["status"]["errorCode"] != 0
            if END > record["createdDateTime"] >= "2026-10-19":
                found["hours", str(moment.isoweekday()), str(moment.hour)] += 1
    return found


def test_marts_add_up_to_the_raw_records(sample_home: Path, raw: Totals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPGOV_HOME", str(sample_home))
    con = appgov_lib.connect("sample")
    try:
        inside = f"day >= '{START}' AND day < '{END}'"
        assert raw["calls"] > 5_000
        assert con.sql(
            "SELECT sum(calls)::BIGINT, sum(bytes_returned)::BIGINT, sum(bytes_unknown_calls)::BIGINT, "
            f"(sum(calls) FILTER (access = 'read' AND {inside}))::BIGINT FROM data_transfer_daily WHERE {inside}"
        ).fetchall() == [(raw["calls"], raw["bytes"], raw["unsized"], raw["reads"])]
        assert con.sql(
            "SELECT sum(calls)::BIGINT, sum(bytes_returned)::BIGINT, sum(throttled)::BIGINT, sum(sign_ins)::BIGINT, "
            "sum(failures)::BIGINT FROM app_usage_summary"
        ).fetchall() == [(raw["calls"], raw["bytes"], raw["throttled"], raw["sign_ins"], raw["failures"])]
        assert con.sql("SELECT sum(calls)::BIGINT FROM app_endpoint_usage").fetchall() == [(raw["calls"],)]
        hours = con.sql("SELECT weekday, hour, sum(sign_ins)::BIGINT FROM app_hour_profile GROUP BY ALL").fetchall()
        wanted = {key[1:]: n for key, n in raw.items() if key[0] == "hours"}
        assert {(str(day), str(hour)): n for day, hour, n in hours if n} == wanted
    finally:
        con.close()
