"""The smallest set of permissions that would have served the calls seen, and what a registration asks for."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from conftest import Bench
from usage_bench import GRAPH, held, judge, propose, scopes

from appgov_lib.least_privilege import smallest_cover


def actions(rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The action for each permission."""
    return {name: row["action"] for name, row in rows.items()}


def test_a_large_right_is_replaced_by_the_small_one_that_was_enough(bench: Bench) -> None:
    calls = ["GET /users 200 app", "GET /users 200 app", "GET /users 403 app"]
    rows = propose(bench, *calls, roles=held("Directory.ReadWrite.All"))
    assert actions(rows) == {"Directory.ReadWrite.All": "remove", "User.Read.All": "add"}
    added, removed = rows["User.Read.All"], rows["Directory.ReadWrite.All"]
    assert added["replaces"] == ["Directory.ReadWrite.All"]
    assert (added["calls_served"], added["endpoints"]) == (2, ["GET /users (2)"])
    assert added["is_complete"]
    assert removed["is_complete"]
    assert removed["reason"] == "the calls seen are allowed by User.Read.All"


def test_what_is_needed_stays(bench: Bench) -> None:
    calls = ["GET /users 200 app", "PATCH /users/{id} 204 app", "GET /groups 200 app"]
    rows = propose(bench, *calls, roles=held("Directory.ReadWrite.All", "Mail.Read"))
    # User.ReadWrite.All and GroupMember.Read.All would be two rights, and one of them as high
    assert actions(rows)["Mail.Read"] == "remove"
    kept = [name for name, action in actions(rows).items() if action in ("keep", "add")]
    assert kept == ["Directory.ReadWrite.All"]


def test_of_two_held_the_smaller_stays(bench: Bench) -> None:
    rows = propose(bench, "GET /users/{id}/messages 200 app", roles=held("Mail.Read", "Mail.ReadWrite"))
    assert actions(rows) == {"Mail.Read": "keep", "Mail.ReadWrite": "remove"}
    assert rows["Mail.Read"]["replaces"] == ["Mail.ReadWrite"]


def test_limited_rights_replace_nothing_and_are_not_replaced(bench: Bench) -> None:
    # basic properties may not have been enough; chosen sites were
    call = "GET /users 200 app"
    rows = propose(bench, call, roles=held("User.ReadBasic.All", "User.Read.All"))
    assert actions(rows)["User.Read.All"] == "keep"
    rows = propose(bench, "GET /drives/{id}/items/{id} 200 app", roles=held("Sites.Selected"))
    assert actions(rows) == {"Sites.Selected": "keep"}


def test_rights_over_others_are_not_cut_to_the_users_own(bench: Bench) -> None:
    rows = propose(bench, "GET /drives/{id}/items/{id} 200 user", delegated=scopes("Files.Read.All"))
    assert actions(rows) == {"Files.Read.All": "keep"}


@pytest.mark.parametrize(
    ("calls", "covered"),
    [
        (["GET /users 200 app"], 29),  # a day is missing
        (["GET /users 200 app", "GET /planner/tasks 200 app"], 30),  # a call the map does not know
        (["GET /users 200 app", "GET /reports/getDetail({id}) 200 app"], 30),  # served by something else, a role maybe
    ],
)
def test_where_calls_may_be_missing_nothing_in_use_is_removed(bench: Bench, calls: list[str], covered: int) -> None:
    rows = propose(bench, *calls, roles=held("Directory.ReadWrite.All"), covered=covered)
    assert actions(rows) == {"Directory.ReadWrite.All": "unknown", "User.Read.All": "add"}
    assert {row["is_complete"] for row in rows.values()} == {False}
    assert rows["Directory.ReadWrite.All"]["reason"].endswith("but there may be others")


def test_unused_goes_and_unknown_stays_open(bench: Bench) -> None:
    calls = ["GET /users/{id}/messages 200 app", "POST /users/{id}/sendMail 403 app"]
    rows = propose(bench, *calls, roles=held("Mail.Read", "Mail.Send", "Files.Read.All"))
    assert actions(rows) == {"Mail.Read": "keep", "Mail.Send": "unknown", "Files.Read.All": "remove"}


def test_what_signing_in_uses_is_kept(bench: Bench) -> None:
    signed_in = {"stg_sign_ins": "a-old | r | 0 | 2026-11-10 | interactive"}
    rows = propose(bench, "GET /me 200 user", delegated=scopes("openid", "User.Read"), tables=signed_in)
    assert actions(rows) == {"openid": "keep", "User.Read": "keep"}


def option(name: str, weight: int, *sets: int, write: bool = False, is_held: bool = False) -> dict[str, Any]:
    """One candidate of a cover."""
    return {
        "permission": name, "weight": weight, "is_write": write, "is_held": is_held, "reach": 1, "sets": list(sets),
    }  # fmt: skip


def test_the_cover_weighs_level_then_number_then_writing_then_change() -> None:
    assert smallest_cover([]) == []
    assert smallest_cover([option("a", 1, 1), option("b", 1, 2), option("c", 3, 1, 2)]) == ["a", "b"]
    assert smallest_cover([option("a", 1, 1), option("b", 3, 2), option("c", 3, 1, 2)]) == ["c"]
    assert smallest_cover([option("a", 3, 1, write=True, is_held=True), option("b", 3, 1)]) == ["b"]
    assert smallest_cover([option("a", 3, 1), option("b", 3, 1, is_held=True)]) == ["b"]
    assert smallest_cover([option("a", 0, 1), option("b", 1, 2), option("c", 1, 1, 2)]) == ["a", "b"]


def test_greedy_choice_is_improved_on() -> None:
    # taking the widest first would need three; the two others serve all
    options = [option("wide", 1, 1, 2, 3, 4), option("left", 1, 1, 2, 5), option("right", 1, 3, 4, 6)]
    assert smallest_cover(options) == ["left", "right"]


def test_the_cover_is_the_best_of_all_subsets_in_any_order() -> None:
    rng = random.Random(7)
    for _ in range(60):
        kinds = range(rng.randint(1, 5))
        options = [
            option(f"p{n}", rng.choice([1, 3, 9]), *rng.sample(kinds, rng.randint(1, len(kinds)))) for n in range(6)
        ]
        wanted = {kind for entry in options for kind in entry["sets"]}
        best = min(
            (sum(entry["weight"] for entry in subset), len(subset))
            for size in range(1, 7)
            for subset in itertools.combinations(options, size)
            if {kind for entry in subset for kind in entry["sets"]} == wanted
        )
        found = smallest_cover(options)
        assert (sum(e["weight"] for e in options if e["permission"] in found), len(found)) == best
        assert smallest_cover(rng.sample(options, 6)) == found


def test_what_a_registration_asks_for_and_what_was_granted(bench: Bench) -> None:
    asked = f"""[{{"resourceAppId": "{GRAPH}", "resourceAccess": [{{"id": "R-MAIL", "type": "Role"}},
        {{"id": "s-user", "type": "Scope"}}, {{"id": "gone", "type": "Scope"}}, null]}},
        {{"resourceAppId": "api", "resourceAccess": [{{"id": "r-orders", "type": "Role"}}]}},
        {{"resourceAppId": "elsewhere", "resourceAccess": [{{"id": "r-x", "type": "Role"}}]}}, null]"""
    judge(
        bench,
        roles="a1 | old | ServicePrincipal | graph | r-mail | Mail.Read | 2026-03-01",
        delegated=scopes("Mail.Read"),
        tables={"stg_applications": f"o1 | a-old | {' '.join(asked.split())}"},
    )
    found = {row["permission"]: row["in_manifest"] for row in bench.rows("SELECT * FROM app_permissions")}
    kinds = bench.rows("SELECT permission_type, in_manifest FROM app_permissions ORDER BY ALL")
    assert [tuple(row.values()) for row in kinds] == [("application", True), ("delegated", False)], found
    read = "source | status\ndelegated_grants | {}\napp_role_assignments | complete"
    bench.table("coverage", read.format("complete"))
    rows = bench.run("manifest_permissions")
    assert {(r["resource_name"], r["permission"], r["permission_type"], r["granted"]) for r in rows} == {
        ("Microsoft Graph", "Mail.Read", "application", True),
        ("Microsoft Graph", "User.Read", "delegated", False),
        ("Microsoft Graph", "gone", "delegated", False),
        ("Orders API", "Orders.Read.All", "application", False),  # names come from the tenant's own APIs as well
        (None, "r-x", "application", False),
    }
    bench.table("coverage", read.format("not_permitted"))
    assert {r["permission"]: r["granted"] for r in bench.run("manifest_permissions")} == {
        "Mail.Read": True, "User.Read": None, "gone": None, "Orders.Read.All": False, "r-x": False,
    }  # fmt: skip
