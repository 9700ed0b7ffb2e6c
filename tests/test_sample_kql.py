"""The query language of advanced hunting: expressions and operators agree with plain Python."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any

import pytest
from sample_tenant import calls, error, hunt, page

WINDOW = "where Timestamp between (datetime(2026-11-11T00:00:00Z) .. datetime(2026-11-12T00:00:00Z))"
DAY = f"GraphApiAuditEvents | {WINDOW}"


def day_rows() -> list[dict[str, Any]]:
    """All calls of the window."""
    return [row for row in calls() if "2026-11-11" <= row["Timestamp"] < "2026-11-12"]


def value_of(expression: str) -> Any:
    """The value of an expression in the newest row of the window."""
    return hunt(f"{DAY} | take 1 | extend Value = {expression} | project Value")[0]["Value"]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("tolong('12') + 3 * 2", 18),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3),
        ("toreal('2.5') * 2", 5.0),
        ("tolong('x')", None),
        ("strcat('a', 'b', 1)", "ab1"),
        ("tostring(split('a/b/c', '/')[1])", "b"),
        ("substring('200', 0, 1)", "2"),
        ('toupper("it\'s")', "IT'S"),
        (r"replace_regex('/users/12/x', @'/\d+', '/{id}')", "/users/{id}/x"),
        (r"extract(@'v(\d)', 1, 'v1.0')", "1"),
        ("iff(1 < 2 and not(2 < 1), 'yes', 'no')", "yes"),
        ("case(1 > 2, 'a', 2 > 1, 'b', 'c')", "b"),
        ("coalesce('', 'x')", "x"),
        ("isnotempty('')", False),
        ("'Mail.Read' has 'mail'", True),
        ("'Mailbox' has 'mail'", False),
        ("'abc' contains 'B' and 'abc' !contains 'z'", True),
        ("'abc' in~ ('ABC')", True),
        ("'abc' !in ('ABC')", True),
        ("bin(17, 5)", 15),
        ("startofday(datetime(2026-11-11T10:11:12Z))", "2026-11-11T00:00:00Z"),
        ("bin(datetime(2026-11-11T10:11:12Z), 15m)", "2026-11-11T10:00:00Z"),
        ("datetime(2026-11-11) - 1d", "2026-11-10T00:00:00.0000000Z"),
    ],
)
def test_expressions(expression: str, wanted: Any) -> None:
    """Each has the value that the language gives it."""
    assert value_of(expression) == wanted


def test_sums_by_app_day_workload_method_and_status() -> None:
    """The sums that stand in for single calls: counts, bytes and users, batch envelopes left out."""
    found = hunt(
        f"{DAY} | where RequestUri !endswith '/$batch' | summarize Calls=count(), Bytes=sum(tolong(ResponseSize)), "
        "Users=dcount(AccountObjectId) by ApplicationId, Day=bin(Timestamp, 1d), TargetWorkload, RequestMethod, "
        "ResponseStatusCode"
    )
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    names = ("ApplicationId", "TargetWorkload", "RequestMethod", "ResponseStatusCode")
    for row in day_rows():
        if not row["RequestUri"].endswith("/$batch"):
            groups[tuple(row[name] for name in names)].append(row)
    assert {tuple(row[name] for name in names): (row["Calls"], row["Bytes"], row["Users"]) for row in found} == {
        key: (len(held), sum(row["ResponseSize"] or 0 for row in held), len({row["AccountObjectId"] for row in held}))
        for key, held in groups.items()
    }
    assert {row["Day"] for row in found} == {"2026-11-11T00:00:00Z"}


def test_endpoint_patterns_can_be_computed_before_summing() -> None:
    """extend, then groups of what it made, as plain Python does it."""
    found = hunt(
        f"{DAY} | extend Plain = tostring(split(RequestUri, '?')[0])"
        " | extend Path = replace_regex(Plain, @'^https?://[^/]+/(v1\\.0|beta)', '')"
        " | extend Endpoint = replace_regex(Path, @'[0-9a-f]{8}-[0-9a-f-]{27}', '{id}')"
        " | summarize Calls = count(), Unknown = countif(isnull(ResponseSize)), "
        "Known = sumif(tolong(ResponseSize), ResponseSize >= 0), "
        "Users = count_distinctif(AccountObjectId, isnotempty(AccountObjectId))"
        " by Endpoint, StatusClass = strcat(substring(tostring(ResponseStatusCode), 0, 1), 'xx')"
    )
    wanted: Counter[tuple[str, str]] = Counter()
    for row in day_rows():
        path = re.sub(r"^https?://[^/]+/(v1\.0|beta)", "", row["RequestUri"].split("?")[0])
        wanted[re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "{id}", path), row["ResponseStatusCode"][0] + "xx"] += 1
    assert {(row["Endpoint"], row["StatusClass"]): row["Calls"] for row in found} == wanted
    assert sum(row["Unknown"] for row in found) == sum(row["ResponseSize"] is None for row in day_rows())
    assert sum(row["Known"] for row in found) == sum(row["ResponseSize"] or 0 for row in day_rows())


def test_operators_can_follow_each_other() -> None:
    """Sorting, cutting, renaming, leaving out, and conditions on what was summed."""
    counted = Counter(row["ApplicationId"] for row in day_rows())
    top = hunt(
        f"{DAY} | summarize Calls = count(), max(Timestamp) by ApplicationId | where Calls > 20"
        " | order by Calls desc, ApplicationId asc | take 3 | project App = ApplicationId, Calls"
    )
    wanted = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:3]
    assert [(row["App"], row["Calls"]) for row in top] == wanted
    assert len(hunt(f"{DAY} | distinct ApplicationId")) == len(counted)
    assert hunt(f"{DAY} | take 5 | summarize count()") == [{"count_": 5}]
    shown = page("/v1.0/security/runHuntingQuery", body={"Query": f"{DAY} | project-away RequestUri, Scopes | take 1"})
    assert "RequestUri" not in shown["results"][0]
    assert {item["name"] for item in shown["schema"]} == shown["results"][0].keys()
    later = hunt(f"{DAY} | extend Hour = bin(Timestamp, 1h) | where Hour >= datetime(2026-11-11T22:00:00Z) | count")
    assert later == [{"Count": sum(row["Timestamp"] >= "2026-11-11T22" for row in day_rows())}]


def test_an_empty_window_has_no_rows_but_counts_to_zero() -> None:
    """No rows, no groups; a count without groups is a row all the same."""
    nothing = "GraphApiAuditEvents | where Timestamp between (datetime(2026-12-01) .. datetime(2026-12-02))"
    assert hunt(nothing) == []
    assert hunt(f"{nothing} | summarize count() by ApplicationId") == []
    assert hunt(f"{nothing} | count") == [{"Count": 0}]


@pytest.mark.parametrize(
    "tail",
    [
        "| where",
        "| where ResponseSize >",
        "| where Timestamp between (datetime(2026-11-11))",
        "| extend X = tolong()",
        "| extend X = replace_regex(RequestUri, @'(', '')",
        "| extend X = 'a' + 1",
        "| extend X = $",
        "| summarize sum() by ApplicationId",
        "| summarize make_bag(Scopes)",
        "| take many",
        "| project ApplicationId Timestamp",
        "| render timechart",
    ],
)
def test_mistakes_are_refused(tail: str) -> None:
    """What is not understood, or has values of the wrong type, is a 400."""
    assert error("/v1.0/security/runHuntingQuery", body={"Query": f"{DAY} {tail}"})[0] == 400
