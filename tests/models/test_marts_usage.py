"""Which permission was used: proved by a served call; and which was not: only where nothing could be missed."""

from __future__ import annotations

import pytest
from conftest import Bench
from usage_bench import held, judge, scopes

ONE = "1 | a-old | {} | GET | /users/u/messages | messages | Exchange | read | {} | true | false"


def verdicts(rows: dict[str, dict[str, object]]) -> dict[str, object]:
    """The verdict of each permission."""
    return {name: row["usage"] for name, row in rows.items()}


@pytest.mark.parametrize(
    ("call", "permission", "expected"),
    [
        ("GET /users/{id}/messages 200 app", "Mail.Read", "used"),
        ("GET /users/{id}/messages/{id}/$value 206 app", "Mail.Read", "used"),
        ("HEAD /users/{id}/messages 200 app", "Mail.Read", "used"),  # asks for what GET asks for
        ("POST /users/{id}/messages 201 app", "Mail.ReadWrite", "used"),
        ("POST /users/{id}/sendMail 202 app", "Mail.Send", "used"),
        ("PATCH /users/{id}/messages/{id} 200 app", "Mail.ReadWrite", "used"),
        ("DELETE /users/{id}/messages/{id} 204 app", "Mail.ReadWrite", "used"),
        ("GET /drives/{id}/items/{id}/content 302 app", "Files.Read.All", "used"),  # a download is a redirect
        ("POST /communications/getPresences 200 app", "Presence.Read.All", "used"),  # a question asked by POST
        ("GET /reports/getDetail({id}) 200 app", "Reports.Read.All", "used"),
        ("GET /Users 200 app", "User.Read.All", "used"),
        ("GET /users/{id}/messages 403 app", "Mail.Read", "unknown"),  # tried, refused
        ("GET /users/{id}/messages 500 app", "Mail.Read", "unknown"),
        ("GET /users/{id}/messages - app", "Mail.Read", "unknown"),
        ("GET /users/{id}/messages 200 app", "Mail.Send", "unused"),
        ("GET /users/{id}/messages 200 user", "Mail.Read", "unused"),  # with a user: not by this right
        ("GET /users/{id}/messages 200 -", "Mail.Read", "used"),  # the log does not tell: it may have
        ("GET /planner/tasks 200 app", "Mail.Read", "unknown"),  # the map does not know the call
        ("GET /planner/tasks 404 app", "Mail.Read", "unknown"),
        ("GET /planner/tasks 200 user", "Mail.Read", "unused"),  # not a call of this kind
        ("POST /$batch 200 app", "Mail.Read", "unknown"),  # its parts are missing from the log
    ],
)
def test_one_call_and_an_application_permission(bench: Bench, call: str, permission: str, expected: str) -> None:
    row = judge(bench, call, roles=held(permission))[permission]
    assert row["usage"] == expected, row["usage_reason"]
    assert (row["last_used_at"] is not None) == (expected == "used")
    assert (row["verdict_basis"] is None) == (expected == "unknown")


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-11-15 23:59:59", "used"), ("2026-10-17", "used"), ("2026-10-16 23:59:59", "unused"),
     ("2026-11-16", "unused")],
)  # fmt: skip
def test_only_the_thirty_days_to_the_as_of_date_count(bench: Bench, day: str, expected: str) -> None:
    row = judge(bench, rows=ONE.format(day, 200), roles=held("Mail.Read"))["Mail.Read"]
    assert row["usage"] == expected
    assert [str(row["window_from"]), str(row["window_to"])] == ["2026-10-17", "2026-11-15"]


def test_the_beta_endpoint_proves_as_well(bench: Bench) -> None:
    # 'beta' has gone from the path before endpoints are made: the staging model must fold both versions into one
    (path,) = bench.rows("SELECT api_path('https://graph.microsoft.com/beta/users/u@x/messages?$top=1') AS path")
    assert path["path"] == "/users/u@x/messages"


def test_the_reason_names_the_proof(bench: Bench) -> None:
    calls = [*["GET /users/{id}/messages 200 app"] * 3, "GET /users/{id}/messages/{id} 200 app",
             "GET /users/{id}/messages/{id} 404 app"]  # fmt: skip
    row = judge(bench, *calls, roles=held("Mail.Read"))["Mail.Read"]
    assert row["proving_endpoints"] == ["GET /users/{id}/messages (3)", "GET /users/{id}/messages/{id} (1)"]
    assert (row["calls"], row["verdict_basis"], row["window_coverage"]) == (4, "endpoint map", "complete")
    found = bench.rows("SELECT endpoint, calls, refused_calls FROM permission_calls ORDER BY endpoint")
    assert [tuple(entry.values()) for entry in found] == [
        ("/users/{id}/messages", 3, 0), ("/users/{id}/messages/{id}", 1, 1),
    ]  # fmt: skip


def test_a_right_is_proved_by_its_own_kind_of_call(bench: Bench) -> None:
    # with a user only: the delegated permission is proved, the application permission of the same name is not
    call = "GET /me/messages 200 user"
    rows = judge(bench, call, roles=held("Mail.Read"), delegated=scopes("Mail.Read"))
    assert len(rows) == 1  # keyed by name: both kinds share it
    found = bench.rows("SELECT permission_type, usage FROM app_permissions ORDER BY ALL")
    assert [tuple(row.values()) for row in found] == [("application", "unused"), ("delegated", "used")]


def test_a_call_of_unknown_kind_says_so(bench: Bench) -> None:
    row = judge(bench, "GET /users/{id}/messages 200 -", roles=held("Mail.Read"))["Mail.Read"]
    assert "does not tell whether a user was behind them" in row["usage_reason"]


def test_without_any_call_a_complete_log_is_enough(bench: Bench) -> None:
    row = judge(bench, roles=held("Mail.Read"))["Mail.Read"]
    assert (row["usage"], row["calls"], row["proving_endpoints"]) == ("unused", 0, [])
    assert row["usage_reason"] == "no call that needs this permission in the 30 days to 2026-11-15"


@pytest.mark.parametrize(
    ("covered", "coverage"), [(29, "partial"), (0, "none")]
)  # fmt: skip
def test_gaps_in_the_log_leave_it_open(bench: Bench, covered: int, coverage: str) -> None:
    row = judge(bench, covered=covered, roles=held("Mail.Read"))["Mail.Read"]
    assert (row["usage"], row["window_coverage"], row["calls"]) == ("unknown", coverage, None)
    assert "not fully covered" in row["usage_reason"]


def test_what_is_young_is_not_judged(bench: Bench) -> None:
    judge(
        bench,
        roles="""
        a1 | young | ServicePrincipal | graph | r1 | Mail.Read | 2026-01-01
        a2 | undated | ServicePrincipal | graph | r1 | Mail.Read | 2026-01-01
        a3 | old | ServicePrincipal | graph | r1 | Mail.Read | 2026-11-09
        a4 | old | ServicePrincipal | graph | r2 | Mail.Send | -
        """,
    )
    found = bench.rows("SELECT app_id, permission, usage, usage_reason FROM app_permissions ORDER BY ALL")
    assert [tuple(row.values()) for row in found] == [
        ("a-old", "Mail.Read", "unknown", "the permission was granted less than 30 days ago"),
        ("a-old", "Mail.Send", "unknown", "the date of the grant is not known"),
        ("a-undated", "Mail.Read", "unknown", "the age of the app is not known"),
        ("a-young", "Mail.Read", "unknown", "the app is younger than 30 days"),
    ]


SEEN = {
    "grants_seen_history": "delegated_grants | old | graph | Mail.Read | [{}]",
    "source_readings": "delegated_grants | 1 | 2026-10-01 | -\ndelegated_grants | 2 | 2026-11-08 | 2026-10-01\n"
    "delegated_grants | 3 | 2026-11-15 | 2026-11-08",
}
CONSENT = {"stg_directory_audits": "Consent to application | success | 2026-11-09 | [u1, old]"}


@pytest.mark.parametrize(
    ("tables", "usage", "word"),
    [
        ({}, "unused", "the date of the grant is not known, the app is older than that"),
        (SEEN | {"grants_seen_history": SEEN["grants_seen_history"].format("1, 2, 3")}, "unused", "no call"),
        (SEEN | {"grants_seen_history": SEEN["grants_seen_history"].format("2, 3")}, "unknown", "granted less than 30"),
        (CONSENT, "unknown", "a consent was given to the app"),
        # seen before the window: the consent of last week was for something else
        (SEEN | CONSENT | {"grants_seen_history": SEEN["grants_seen_history"].format("1, 2, 3")}, "unused", "no call"),
    ],
)
def test_delegated_permissions_have_no_date(bench: Bench, tables: dict[str, str], usage: str, word: str) -> None:
    row = judge(bench, delegated=scopes("Mail.Read"), tables=tables)["Mail.Read"]
    assert row["usage"] == usage, row["usage_reason"]
    assert word in row["usage_reason"]


def test_a_permission_that_the_map_does_not_name_cannot_be_unused(bench: Bench) -> None:
    row = judge(bench, roles=held("Printer.Read.All"))["Printer.Read.All"]
    assert (row["usage"], row["usage_reason"]) == (
        "unknown", "the endpoint map names no call that needs this permission",
    )  # fmt: skip


def test_calls_that_the_map_does_not_know_prove_by_family(bench: Bench) -> None:
    call = "1 | a-old | 2026-11-10 | GET | /outlook/exotic | messages | Exchange | read | 200 | true | false"
    rows = judge(bench, rows=call, roles=held("Mail.Read", "Mail.Send", "Files.Read.All"))
    assert verdicts(rows) == {"Mail.Read": "used", "Mail.Send": "unknown", "Files.Read.All": "unknown"}
    assert rows["Mail.Read"]["verdict_basis"] == "family"
    assert (rows["Mail.Send"]["unmatched_calls"], rows["Mail.Send"]["calls"]) == (1, None)
    assert rows["Mail.Send"]["usage_reason"].endswith("does not know: 1, such as GET /outlook/exotic")


def test_parts_of_a_batch_are_enough(bench: Bench) -> None:
    calls = ["POST /$batch 200 app", "GET /users/{id}/messages 200 app", "GET /groups/{id} 200 app"]
    rows = judge(bench, *calls, roles=held("Mail.Read", "Group.Read.All", "Files.Read.All"))
    assert verdicts(rows) == {"Mail.Read": "used", "Group.Read.All": "used", "Files.Read.All": "unused"}


def test_signing_in_uses_what_is_asked_for_at_sign_in(bench: Bench) -> None:
    names = ("openid", "profile", "email", "offline_access", "User.Read")
    rows = judge(bench, delegated=scopes(*names))
    assert set(verdicts(rows).values()) == {"unknown"}
    signed_in = {"stg_sign_ins": "a-old | r | 0 | 2026-11-10 | interactive\na-old | r | 0 | 2026-11-16 | interactive"}
    rows = judge(bench, delegated=scopes(*names, "Mail.Read"), tables=signed_in)
    assert verdicts(rows) == dict.fromkeys(names, "used") | {"Mail.Read": "unused"}
    assert {rows[name]["verdict_basis"] for name in names} == {"sign-in"}
    assert rows["openid"]["usage_reason"] == "users signed in to the app, last on 2026-11-10"
    for other in ("a-old | r | 50126 | 2026-11-10 | interactive", "a-old | r | 0 | 2026-11-10 | service_principal"):
        rows = judge(bench, delegated=scopes("openid"), tables={"stg_sign_ins": other})
        assert rows["openid"]["usage"] == "unknown", other


def info(in_use: str) -> dict[str, str]:
    """What Microsoft says about Mail.Read of the old app."""
    entry = f'[{{"permission": "Mail.Read", "permission_type": "Application", "in_use": {in_use}}}]'
    return {"stg_oauth_app_info": f"a-old | {entry}"}


@pytest.mark.parametrize(
    ("in_use", "calls", "covered", "expected"),
    [
        ("true", [], 30, ("used", "microsoft", True, True)),  # overrules our unused, and the difference shows
        ("false", [], 30, ("unused", "endpoint map", False, False)),
        ("false", [], 29, ("unknown", None, False, False)),  # never turns unknown into unused
        ("true", [], 29, ("used", "microsoft", True, False)),
        ("false", ["GET /users/{id}/messages 200 app"], 30, ("used", "endpoint map", False, True)),
        ("null", [], 30, ("unused", "endpoint map", None, False)),
    ],
)
def test_what_microsoft_says(
    bench: Bench, in_use: str, calls: list[str], covered: int, expected: tuple[object, ...]
) -> None:
    row = judge(bench, *calls, roles=held("Mail.Read"), covered=covered, tables=info(in_use))["Mail.Read"]
    assert (
        row["usage"], row["verdict_basis"], row["microsoft_in_use"], row["microsoft_verdict_differs"]
    ) == expected  # fmt: skip


def test_other_resources_are_unknown_whatever_graph_says(bench: Bench) -> None:
    role = "a1 | old | ServicePrincipal | other | r9 | Mail.Read | 2026-01-01"
    row = judge(bench, "GET /users/{id}/messages 200 app", roles=role)["Mail.Read"]
    assert (row["usage"], row["window_coverage"]) == ("unknown", "none")
    assert row["usage_reason"] == "calls to this resource are not in the Graph activity log"
    token = {"stg_sign_ins": "a-old | api | 0 | 2026-11-10 | service_principal"}
    row = judge(bench, roles=role, tables=token)["Mail.Read"]
    assert row["usage"] == "unknown"
    assert row["usage_reason"].endswith("the app got a token for it on 2026-11-10")


def test_a_larger_permission_beside_a_smaller_one_is_redundant(bench: Bench) -> None:
    calls = ["GET /users 200 app", "GET /groups 200 app"]
    names = ("User.Read.All", "Directory.Read.All", "Directory.ReadWrite.All")
    rows = judge(bench, *calls, roles=held(*names))
    assert set(verdicts(rows).values()) == {"used"}
    # User.Read.All serves no groups, so only the writing one is too much; by /groups/** the other is not sure to serve
    assert {name for name, row in rows.items() if row["is_redundant"]} == set()
    rows = judge(bench, calls[0], roles=held(*names))
    assert {name for name, row in rows.items() if row["is_redundant"]} == {
        "Directory.Read.All", "Directory.ReadWrite.All",
    }  # fmt: skip
    assert rows["Directory.ReadWrite.All"]["redundant_reason"] == (
        "the smaller permission User.Read.All, also held, allows every call seen"
    )


def test_a_limited_permission_makes_nothing_redundant(bench: Bench) -> None:
    rows = judge(bench, "GET /users 200 app", roles=held("User.ReadBasic.All", "User.Read.All"))
    assert not any(row["is_redundant"] for row in rows.values())


def test_the_longest_rule_wins_and_a_whole_path_beats_a_branch(bench: Bench) -> None:
    calls = ["GET /users 200 app", "GET /users/{id}/photo 200 app", "GET /me/messages/{id} 200 user",
             "GET /users/{id}/drive/root/children 200 app"]  # fmt: skip
    judge(bench, *calls, roles=held("User.Read.All"))
    found = {row["endpoint"]: row for row in bench.rows("SELECT * FROM called_endpoints")}
    assert {name: row["rule"] for name, row in found.items()} == {
        "/users": "/users",
        "/users/{id}/photo": "/users/**",
        "/me/messages/{id}": "/users/{id}/messages/**",
        "/users/{id}/drive/root/children": "/users/**",
    }
    assert found["/users"]["permissions"][:2] == ["User.ReadBasic.All", "User.Read.All"]  # in the order of the map
    assert {name for name, row in found.items() if row["is_exact"]} == {"/users"}


@pytest.mark.parametrize(
    ("endpoint", "key"),
    [
        ("/me", "/users/{id}"),
        ("/me/mailFolders/inbox/messages", "/users/{id}/mailfolders/{id}/messages"),
        ("/drives/{id}/root/children", "/drives/{id}/items/{id}/children"),
        ("/drives/{id}/root:/{id}:/content", "/drives/{id}/items/{id}/content"),
        ("/drives/{id}/items/{id}:/{id}:/content", "/drives/{id}/items/{id}/content"),
        ("/sites/{id}:/{id}:/lists", "/sites/{id}/lists"),
        ("/sites/root/lists", "/sites/{id}/lists"),
        ("/applications({id})/owners", "/applications/{id}/owners"),
        ("/users/delta()", "/users/delta"),
        ("/groups/{id}/members/microsoft.graph.user", "/groups/{id}/members/user"),
        ("/meetings", "/meetings"),
    ],
)
def test_one_spelling_of_an_endpoint(bench: Bench, endpoint: str, key: str) -> None:
    assert bench.con.execute("SELECT endpoint_key(?)", [endpoint]).fetchall() == [(key,)]
