"""The policies about new apps and daily use: each fires, stays silent, and says when it cannot judge."""

from __future__ import annotations

import datetime as dt
from typing import Any

import duckdb
import pytest
from policy_tables import APP, AS_OF, SP, cover, found, one
from state_tables import put, state_warehouse

from appgov_lib.errors import UserError

OUT_OF_SCOPE = {"is_in_scope": False}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse."""
    return state_warehouse()


NEEDS = [
    ("new-app-high-data", "api_activity"),
    ("new-highly-privileged-app", "service_principals"),
    ("new-app-other-apis", "service_principals"),
    ("new-high-risk-app", "service_principals"),
    ("new-uncertified-app", "service_principals"),
    ("graph-call-spike", "api_activity"),
    ("mail-rules-by-app", "api_activity"),
    ("mail-search-by-app", "api_activity"),
    ("mail-sending-by-app", "api_activity"),
    ("unusual-activity-after-credential", "directory_audits"),
    ("administrators-app-unusual", "directory_role_assignments"),
    ("new-app-often-refused", "directory_audits"),
    ("labelled-content-by-outside-app", "cloud_app_events"),
]


@pytest.mark.parametrize(("policy", "source"), NEEDS)
def test_without_its_source_a_policy_is_not_judged(con, policy: str, source: str):
    assert found(con, policy).empty
    cover(con, source, "not_permitted")
    with pytest.raises(UserError, match=f"Source {source} is not permitted"):
        found(con, policy)


# Apps of the last seven days: 9 to 15 November

NEW: dict[str, tuple[dict[str, Any], str]] = {
    "new-highly-privileged-app": ({"high_privilege_count": 1}, "holds 1 permission of high privilege."),
    "new-app-other-apis": (
        {"other_api_access": True, "api_names": ["Ledger", "Microsoft Graph"]},
        "may use APIs whose calls the Graph log does not show: Ledger.",
    ),
    "new-high-risk-app": ({"risk_score": 71}, "has a risk score of 71 (threshold 70)."),
    "new-uncertified-app": (
        {"app_origin": "external", "publisher_verified": False},
        "nobody vouches for it: its publisher is not verified, and no certification of it is known.",
    ),
}


@pytest.mark.parametrize("policy", sorted(NEW))
def test_a_new_app_is_found(con, policy: str):
    app, words = NEW[policy]
    put(con, "app_inventory", added_on="2026-11-09 00:00", **app)
    assert one(con, policy)["reason"] == f"Came into the tenant on 2026-11-09 and {words}"


@pytest.mark.parametrize("policy", sorted(NEW))
@pytest.mark.parametrize("app", [{"added_on": "2026-11-08 23:59"}, OUT_OF_SCOPE, {"added_on": None}])
def test_an_older_app_is_not(con, policy: str, app: dict[str, Any]):
    put(con, "app_inventory", **{"added_on": "2026-11-12", **NEW[policy][0], **app})
    assert found(con, policy).empty


@pytest.mark.parametrize(
    ("policy", "app"),
    [
        ("new-highly-privileged-app", {"high_privilege_count": 0}),
        ("new-highly-privileged-app", {"status": "disabled_by_user"}),
        ("new-app-other-apis", {"other_api_access": False}),
        ("new-high-risk-app", {"risk_score": 70}),
        ("new-uncertified-app", {"publisher_verified": True}),
        ("new-uncertified-app", {"publisher_verified": None}),
        ("new-uncertified-app", {"certification": "attested"}),
        ("new-uncertified-app", {"app_origin": "internal"}),
    ],
)
def test_a_new_app_is_silent(con, policy: str, app: dict[str, Any]):
    put(con, "app_inventory", **{"added_on": "2026-11-12", **NEW[policy][0], **app})
    assert found(con, policy).empty


def test_a_new_app_with_a_role_alone_is_highly_privileged(con):
    put(con, "app_inventory", added_on="2026-11-12", directory_roles=["User Administrator"])
    assert one(con, "new-highly-privileged-app")["reason"].endswith(" and User Administrator.")


@pytest.mark.parametrize(
    ("app", "amounts", "measure"),
    [
        ({}, [700_000_000, 300_000_001], 1_000_000_001),  # one day, two endpoints
        ({}, [1_000_000_000], None),
        ({"added_on": "2026-11-08"}, [5_000_000_000], None),
        (OUT_OF_SCOPE, [5_000_000_000], None),
        ({}, [None], None),
    ],
)
def test_much_data_for_a_new_app(con, app: dict[str, Any], amounts: list[int | None], measure: float | None):
    put(con, "app_inventory", **{"added_on": "2026-11-10", **app})
    for number, amount in enumerate(amounts):
        put(con, "api_calls_daily", day="2026-11-12", endpoint=f"/e{number}", calls=1, bytes_returned=amount)
    put(con, "api_calls_daily", day="2026-11-13", endpoint="/e", calls=1, bytes_returned=900_000_000)
    rows = found(con, "new-app-high-data")
    assert list(rows["measure"]) == ([measure] if measure else [])


# More than ever before: the period is 9 to 15 November, the past the 56 days before it

CALLS: dict[str, dict[str, Any]] = {
    "graph-call-spike": {"service": "OneDrive", "endpoint": "/drives/{id}/items/{id}"},
    "mail-rules-by-app": {"endpoint": "/users/{id}/mailFolders/{id}/messageRules", "method": "POST", "status": 201},
    "mail-sending-by-app": {"endpoint": "/users/{id}/sendMail", "method": "POST", "status": 202},
    "mail-search-by-app": {},
}
LEAST = {"graph-call-spike": 1000, "mail-rules-by-app": 5, "mail-sending-by-app": 200, "mail-search-by-app": 100}


def called(con: duckdb.DuckDBPyConnection, policy: str, day: str, calls: int, **other: Any) -> None:
    """That many calls of the kind a policy counts."""
    if policy != "mail-search-by-app":
        put(con, "api_calls_daily", **{"app_id": APP, "day": day, "calls": calls, **CALLS[policy], **other})
        return
    put(con, "api_calls_daily", app_id=APP, day=day, calls=calls, endpoint="/users/{id}/messages")
    uri = {"uri": "https://graph.microsoft.com/v1.0/users/1/messages?$top=5&$search=%22pay%22"} | other
    for _ in range(calls):
        put(con, "stg_api_activity", called_at=f"{day} 10:00", endpoint="/users/{id}/messages", **uri)


def known_since(con: duckdb.DuckDBPyConnection, day: dt.date) -> None:
    """A call of another kind that shows the app was there."""
    put(con, "api_calls_daily", app_id=APP, day=day, calls=1, service="Directory", endpoint="/users")


LONG_AGO = AS_OF - dt.timedelta(days=40)


@pytest.mark.parametrize("policy", sorted(CALLS))
def test_more_than_three_times_the_busiest_day_is_found(con, policy: str):
    least = LEAST[policy]
    put(con, "app_inventory")
    known_since(con, LONG_AGO)
    called(con, policy, "2026-10-20", least // 3)
    called(con, policy, "2026-11-11", least)
    called(con, policy, "2026-11-12", 1)
    row = one(con, policy)
    assert (row["measure"], row["threshold"]) == (least, max(least, 3 * (least // 3)))
    assert row["reason"].startswith(f"On 2026-11-11 the app made {least} ")
    assert row["reason"].endswith(
        f"; on its busiest day before it made {least // 3} (known since {LONG_AGO:%Y-%m-%d})."
    )


@pytest.mark.parametrize("policy", sorted(CALLS))
def test_the_first_time_is_told_as_such(con, policy: str):
    put(con, "app_inventory")
    known_since(con, LONG_AGO)
    called(con, policy, "2026-11-09", LEAST[policy])
    assert "on no day before had it made one" in one(con, policy)["reason"]


@pytest.mark.parametrize("policy", sorted(CALLS))
@pytest.mark.parametrize("why", ["too few", "usual", "no past", "before the period", "out of scope"])
def test_calls_are_silent(con, policy: str, why: str):
    least = LEAST[policy]
    put(con, "app_inventory", **(OUT_OF_SCOPE if why == "out of scope" else {}))
    known_since(con, dt.date(2026, 10, 26) if why == "no past" else LONG_AGO)
    if why == "usual":
        called(con, policy, "2026-10-18", least // 3 + 1)  # as on one day of a batch that runs now and then
    called(con, policy, "2026-11-08" if why == "before the period" else "2026-11-11", least - (why == "too few"))
    assert found(con, policy).empty


@pytest.mark.parametrize(
    ("policy", "other"),
    [
        ("graph-call-spike", {"service": "Directory"}),
        ("mail-rules-by-app", {"method": "GET"}),
        ("mail-rules-by-app", {"status": 403}),
        ("mail-rules-by-app", {"endpoint": "/users/{id}/messages"}),
        ("mail-sending-by-app", {"status": 429}),
        ("mail-sending-by-app", {"endpoint": "/users/{id}/messages"}),
        ("mail-sending-by-app", {"service": "Teams"}),
        ("mail-search-by-app", {"uri": "https://graph.microsoft.com/v1.0/users/1/messages?$filter=isRead"}),
        ("mail-search-by-app", {"resource_type": "directory"}),
        ("mail-search-by-app", {"is_batch_envelope": True}),
    ],
)
def test_calls_of_another_kind_do_not_count(con, policy: str, other: dict[str, Any]):
    put(con, "app_inventory")
    known_since(con, LONG_AGO)
    called(con, policy, "2026-11-11", 5 * LEAST[policy] if policy != "mail-search-by-app" else 100, **other)
    assert found(con, policy).empty


def test_services_are_compared_with_their_own_past(con):
    put(con, "app_inventory")
    for service, day, calls in [
        ("Exchange", "2026-10-01", 50_000),
        ("Exchange", "2026-11-10", 60_000),
        ("SharePoint", "2026-11-10", 5_000),
    ]:
        put(con, "api_calls_daily", day=day, service=service, endpoint="/e", calls=calls)
    assert one(con, "graph-call-spike")["subject"] == "SharePoint"


# Anomalies beside something else

UNUSUAL = {"metric": "bytes_returned", "day": "2026-11-12", "observed": 9e9, "expected": 1e6}


def credential(con: duckdb.DuckDBPyConnection, **values: Any) -> None:
    """A credential that was added."""
    row = {"kind": "credential", "change": "added", "changed_at": "2026-11-10 08:00", "subject": "secret, key k1"}
    put(con, "changes", **{**row, **values})


def test_unusual_days_after_a_credential_are_found(con):
    put(con, "app_inventory", services=["Exchange", "OneDrive"])
    credential(con, actor_name="Ada")
    for metric in ("bytes_returned", "api_calls"):
        put(con, "anomalies", **{**UNUSUAL, "metric": metric})
    put(con, "anomalies", **{**UNUSUAL, "day": "2026-11-13"})
    row = one(con, "unusual-activity-after-credential")
    assert row["measure"] == 2
    assert row["reason"].startswith("A credential was added on 2026-11-10 by Ada; since then")
    assert "on 2 days. Services reached in 30 days: Exchange, OneDrive." in row["reason"]


@pytest.mark.parametrize(
    ("app", "change", "day"),
    [
        ({}, {"changed_at": "2026-11-13"}, {}),  # the credential came later
        ({}, {"changed_at": "2026-10-28"}, {}),  # 15 days before
        ({}, {"change": "removed"}, {}),
        ({}, {"kind": "owner"}, {}),
        ({}, {}, {"is_anomaly": False}),
        ({}, {}, {"observed": 0}),
        ({}, {}, {"metric": "sign_ins"}),
        ({}, {}, {"day": "2026-11-08"}),
        (OUT_OF_SCOPE, {}, {}),
    ],
)
def test_unusual_after_a_credential_is_silent(con, app: dict[str, Any], change: dict[str, Any], day: dict[str, Any]):
    put(con, "app_inventory", **app)
    credential(con, **change)
    put(con, "anomalies", **{**UNUSUAL, **day})
    assert found(con, "unusual-activity-after-credential").empty


def administrator(con: duckdb.DuckDBPyConnection, privileged: bool = True, consent: str = "Principal") -> None:
    """A user with a role, who consented to the app."""
    put(con, "stg_directory_role_assignments", principal_id="u1", role_definition_id="x", is_privileged=privileged)
    put(con, "stg_delegated_grants", grant_id="g", service_principal_id=SP, consent_type=consent, principal_id="u1")


def test_unusual_activity_of_an_administrators_app_is_found(con):
    put(con, "app_inventory")
    administrator(con)
    put(con, "anomalies", **UNUSUAL)
    row = one(con, "administrators-app-unusual")
    assert row["reason"].startswith("1 holder of a privileged role consented to the app for themselves, and on 1 day ")
    assert row["evidence"]["administrator_ids"] == ["u1"]


@pytest.mark.parametrize(
    ("privileged", "consent", "app", "day"),
    [
        (False, "Principal", {}, {}),
        (True, "AllPrincipals", {}, {}),
        (True, "Principal", OUT_OF_SCOPE, {}),
        (True, "Principal", {}, {"is_anomaly": False}),
        (True, "Principal", {}, {"day": "2026-11-08"}),
    ],
)
def test_administrators_app_is_silent(con, privileged: bool, consent: str, app: dict[str, Any], day: dict[str, Any]):
    put(con, "app_inventory", **app)
    administrator(con, privileged, consent)
    put(con, "anomalies", **{**UNUSUAL, **day})
    assert found(con, "administrators-app-unusual").empty


def asked(con: duckdb.DuckDBPyConnection, refused: int, agreed: int, day: str = "2026-11-01") -> None:
    """So many people were asked to consent; one of those who refused was asked twice."""
    outcomes = ["failure"] * refused + ["success"] * agreed
    for number, result in [*enumerate(outcomes), *([(0, "failure")] if refused else [])]:
        put(
            con, "stg_directory_audits", audit_id=f"e{number}", activity="Consent to application", activity_at=day,
            result=result, actor_id=f"u{number}", target_ids=[SP],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("refused", "agreed", "added", "reported"),
    [
        (3, 3, "2026-10-17", True),  # 30 days to 15 November
        (3, 3, "2026-10-16", False),
        (2, 0, "2026-11-01", False),
        (3, 4, "2026-11-01", False),
    ],
)
def test_a_new_app_that_people_refuse(con, refused: int, agreed: int, added: str, reported: bool):
    put(con, "app_inventory", added_on=added)
    asked(con, refused, agreed)
    rows = found(con, "new-app-often-refused")
    assert list(rows["measure"]) == ([refused] if reported else [])
    if reported:
        assert rows.iloc[0]["reason"].startswith("Of 6 people who were asked to consent to this new app, 3 did not")


@pytest.mark.parametrize(
    ("app", "measure"),
    [
        ({"sensitivity_label_ids": ["a", "b"]}, 2),
        ({"sensitivity_label_ids": []}, None),
        ({"sensitivity_label_ids": None}, None),
        ({"sensitivity_label_ids": ["a"], "app_origin": "internal"}, None),
        ({"sensitivity_label_ids": ["a"], **OUT_OF_SCOPE}, None),
    ],
)
def test_labelled_content(con, app: dict[str, Any], measure: int | None):
    put(con, "app_inventory", **{"app_origin": "external", **app})
    assert list(found(con, "labelled-content-by-outside-app")["measure"]) == ([measure] if measure else [])
