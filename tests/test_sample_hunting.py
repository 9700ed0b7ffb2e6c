"""Advanced hunting on the sample tenant: windows, columns, the row cap, sums, and mistakes."""

from __future__ import annotations

from collections import Counter

import pytest
from sample_tenant import ask, calls, error, hunt, page

from appgov_lib.sample import hunting

DAY = "GraphApiAuditEvents | where Timestamp between (datetime(2026-11-11) .. datetime(2026-11-11T23:59:59.9999999Z))"


def day_rows() -> list[dict[str, object]]:
    """All rows of 2026-11-11, from the whole log."""
    return [row for row in calls() if row["Timestamp"].startswith("2026-11-11")]


def test_windows_of_every_spelling_give_the_same_rows() -> None:
    """between, comparisons, and the timespan beside the query."""
    wanted = day_rows()
    assert len(wanted) > 1_000
    assert hunt(DAY) == wanted
    assert (
        hunt("GraphApiAuditEvents\n| where Timestamp >= datetime(2026-11-11) and Timestamp < datetime(2026-11-12)")
        == wanted
    )
    assert hunt("GraphApiAuditEvents", "2026-11-11T00:00:00Z/P1D") == wanted
    assert hunt("GraphApiAuditEvents", "2026-11-11/2026-11-12") == wanted
    assert hunt("GraphApiAuditEvents | where Timestamp > ago(5d) | where Timestamp <= ago(4d)") == wanted
    assert len(hunt("GraphApiAuditEvents", "PT12H")) < len(hunt("GraphApiAuditEvents", "P1D"))


def test_both_paths_and_both_spellings_of_the_body_work() -> None:
    """The short path and the long one, with capitals or without."""
    for path, body in (
        ("/v1.0/security/runHuntingQuery", {"Query": DAY}),
        ("/v1.0/security/microsoft.graph.security.runHuntingQuery", {"query": DAY}),
        ("/beta/security/runHuntingQuery", {"query": DAY, "timespan": "P30D"}),
    ):
        assert len(page(path, body=body)["results"]) == len(day_rows())


def test_ids_are_unique_over_the_whole_log() -> None:
    """Slices that touch give every row once; inner calls of a batch share its operation."""
    assert len({row["RequestId"] for row in calls()}) == len(calls())
    operations = Counter(row["OperationId"] for row in calls())
    batches = {row["OperationId"] for row in calls() if row["RequestUri"].endswith("/$batch")}
    assert batches
    assert any(operations[operation] > 1 for operation in batches)


def test_more_than_a_hundred_thousand_rows_are_cut_without_a_word() -> None:
    """The cap gives exactly 100,000 rows and nothing says that there are more."""
    assert len(calls()) > 100_000
    answer = page("/v1.0/security/runHuntingQuery", body={"Query": "GraphApiAuditEvents | project RequestId"})
    assert len(answer["results"]) == 100_000
    assert answer.keys() == {"@odata.context", "schema", "results"}


def test_projection_and_limits() -> None:
    """Only the named columns, in their order, with their types."""
    answer = page("/v1.0/security/runHuntingQuery", body={"Query": DAY + " | project Timestamp, ResponseSize | take 7"})
    assert answer["schema"] == [{"name": "Timestamp", "type": "DateTime"}, {"name": "ResponseSize", "type": "Int64"}]
    assert [list(row) for row in answer["results"]] == [["Timestamp", "ResponseSize"]] * 7


def test_conditions_and_shards_agree_with_plain_python() -> None:
    """Equality, lists and shards by hash pick what they say, and shards lose nothing."""
    wanted = day_rows()
    app = wanted[5]["ApplicationId"]
    assert hunt(f"{DAY} | where ApplicationId == '{app}'") == [row for row in wanted if row["ApplicationId"] == app]
    assert hunt(f'{DAY} | where ApplicationId != "{app}"') == [row for row in wanted if row["ApplicationId"] != app]
    assert hunt(f"{DAY} | where ResponseStatusCode in ('429', '500')") == [
        row for row in wanted if row["ResponseStatusCode"] in ("429", "500")
    ]
    shards = [row["RequestId"] for k in range(3) for row in hunt(f"{DAY} | where hash(RequestId, 3) == {k}")]
    assert sorted(shards) == sorted(str(row["RequestId"]) for row in wanted)


def test_sums_agree_with_plain_python() -> None:
    """count, sum and dcount by app and day."""
    measures = "calls = count(), sum(ResponseSize), dcount(AccountObjectId)"
    found = hunt(f"{DAY} | summarize {measures} by ApplicationId, bin(Timestamp, 1d)")
    wanted = day_rows()
    assert {row["ApplicationId"]: row["calls"] for row in found} == Counter(row["ApplicationId"] for row in wanted)
    assert sum(row["sum_ResponseSize"] for row in found) == sum(int(str(row["ResponseSize"] or 0)) for row in wanted)
    assert {row["Timestamp"] for row in found} == {"2026-11-11T00:00:00Z"}
    assert hunt(f"{DAY} | count") == [{"Count": len(wanted)}]


APPS = "OAuthAppInfo | where Timestamp > datetime(2026-10-17)"
LATEST = "summarize arg_max(Timestamp, *) by OAuthAppId"


def test_the_latest_row_of_each_key_is_the_one_that_sorting_by_time_puts_first() -> None:
    """The short way and the long one, which another operator behind it forces, give the same rows."""
    found = hunt(f"{APPS} | {LATEST}")
    assert found == hunt(f"{APPS} | {LATEST} | where true")
    newest: dict[object, dict[str, object]] = {}
    for row in hunt(APPS):
        if row["OAuthAppId"] not in newest or row["Timestamp"] > newest[row["OAuthAppId"]]["Timestamp"]:
            newest[row["OAuthAppId"]] = row
    assert len(newest) < len(hunt(APPS))
    assert {row["OAuthAppId"]: row for row in found} == newest
    day = f"{DAY} | summarize arg_max(Timestamp, *) by ApplicationId"
    assert hunt(day) == hunt(f"{day} | where true"), "a table with many rows a key"


def test_shards_by_hash_are_the_whole() -> None:
    """A shard of n is four shards of 4n."""
    whole = hunt(f"{APPS} | {LATEST}")
    shards = [hunt(f"{APPS} | where hash(OAuthAppId, 5) == {k} | {LATEST}") for k in range(5)]
    assert sorted(str(row) for rows in shards for row in rows) == sorted(map(str, whole))
    quarters = [hunt(f"{APPS} | where hash(OAuthAppId, 20) == {k} | {LATEST}") for k in (2, 7, 12, 17)]
    assert sorted(str(row) for rows in quarters for row in rows) == sorted(map(str, shards[2]))


def test_an_answer_beyond_the_size_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the service's own words, whichever way the rows were found."""
    monkeypatch.setattr(hunting, "MOST_BYTES", 200_000)
    for query in (APPS, f"{APPS} | {LATEST}", f"{APPS} | extend x = 1"):
        answer = ask("/v1.0/security/runHuntingQuery", body={"Query": query})
        assert answer.status == 400
        assert b"exceeded the allowed result size" in answer.body
    assert hunt(f"{APPS} | where hash(OAuthAppId, 40) == 2 | {LATEST}")


@pytest.mark.parametrize(
    "query",
    [
        "DeviceProcessEvents",
        "GraphApiAuditEvents | project NoSuchColumn",
        "GraphApiAuditEvents | join OAuthAppInfo on ApplicationId",
        "GraphApiAuditEvents | where RequestUri has_any ('a')",
        "GraphApiAuditEvents | where Timestamp > datetime(yesterday)",
        "GraphApiAuditEvents | summarize percentile(ResponseSize, 95) by ApplicationId",
        "",
    ],
)
def test_mistakes_are_refused(query: str) -> None:
    """What is not understood is a 400, never an empty result."""
    assert error("/v1.0/security/runHuntingQuery", body={"Query": query})[0] == 400


def test_a_broken_timespan_or_body_is_refused() -> None:
    """So are a timespan and a body of the wrong kind."""
    assert error("/v1.0/security/runHuntingQuery", body={"Query": DAY, "Timespan": "a week"})[0] == 400
    assert error("/v1.0/security/runHuntingQuery", body={"Query": 5})[0] == 400
    assert error("/v1.0/security/runHuntingQuery", body=[DAY])[0] == 400
