"""Changes on request: lists show them, and delta links report exactly what changed and what is gone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from sample_tenant import EVENTUAL, ask, error, page, pages, rows

from appgov_lib.errors import ConfigError
from appgov_lib.sample import SampleTenant, running
from appgov_lib.sample.changes import KINDS, PATHS, Change
from appgov_lib.sample.tenant import Tenant
from appgov_lib.sample.world import Size


@pytest.fixture
def mine() -> Tenant:
    """A tenant that a test may change."""
    return Tenant(7, Size(160, 480))


def everything(of: Tenant, path: str) -> dict[str, dict[str, Any]]:
    """A list by id."""
    return {row["id"]: row for row in rows(f"/v1.0{path}?$top=999", of=of)}


def delta_link(of: Tenant, path: str, options: str = "") -> str:
    """Where the next changes of a list are, from now on."""
    link: str = page(f"/v1.0{path}/delta()?$deltatoken=latest{options}", of=of)["@odata.deltaLink"]
    return link


def merged(before: dict[str, dict[str, Any]], found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a reader of delta pages has afterwards."""
    after = dict(before)
    for row in found:
        if "@removed" in row:
            after.pop(row["id"], None)
        else:
            after[row["id"]] = row
    return after


def ids(changes: list[Change], path: str, gone: bool) -> set[str]:
    """Ids of a list's objects that are gone after all changes, or changed and still there."""
    last = {change.id: bool(change.removed) for change in changes if change.path == path}
    return {identifier for identifier, removed in last.items() if removed == gone}


@pytest.mark.parametrize("many", [1, 7, 40])
@pytest.mark.parametrize("path", PATHS)
def test_a_delta_link_reports_exactly_what_changed(mine: Tenant, path: str, many: int) -> None:
    """Changed objects as they are now, removed ones as such, nothing else; merged, they give the list of today."""
    before, link = everything(mine, path), delta_link(mine, path)
    changes = mine.change(many)
    found = rows(link, of=mine)
    assert {row["id"] for row in found if "@removed" in row} == ids(changes, path, gone=True)
    assert {row["id"] for row in found if "@removed" not in row} == ids(changes, path, gone=False)
    assert len({row["id"] for row in found}) == len(found)
    assert merged(before, found) == everything(mine, path)
    again = list(pages(link, of=mine))[-1]["@odata.deltaLink"]
    assert rows(again, of=mine) == []


def test_every_kind_of_change_does_what_it_says(mine: Tenant) -> None:
    """Names, secrets and grants differ afterwards; the deleted are gone with all that hung on them."""
    before = {path: everything(mine, path) for path in PATHS}
    made = {change.kind: change for change in mine.change(len(KINDS))}
    assert made.keys() == set(KINDS)
    after = {path: everything(mine, path) for path in PATHS}
    renamed = after[PATHS[0]][next(c.id for c in mine.catalogue.changes.log if c.path == PATHS[0])]
    assert renamed["displayName"].endswith("(renamed 1)")
    secret = made["add_password"].id
    assert (
        len(after[PATHS[1]][secret]["passwordCredentials"]) == len(before[PATHS[1]][secret]["passwordCredentials"]) + 1
    )
    assert made["add_grant"].id in after[PATHS[2]].keys() - before[PATHS[2]].keys()
    assert made["delete_grant"].id in before[PATHS[2]].keys() - after[PATHS[2]].keys()
    user = made["rename_user"].id
    assert after[PATHS[3]][user]["displayName"] != before[PATHS[3]][user]["displayName"]
    assert before[PATHS[3]].keys() - after[PATHS[3]].keys() == {made["delete_user"].id}


def test_a_deleted_app_is_gone_everywhere(mine: Tenant) -> None:
    """Not in the list, its count, its own path or its grants; among the deleted items with a time."""
    gone = [change.id for change in mine.change(3, "delete_service_principal") if change.path == PATHS[0]]
    assert len(set(gone)) == 3
    counted = ask("/v1.0/servicePrincipals/$count", headers=EVENTUAL, of=mine)
    assert counted.body == b"157"
    assert page("/v1.0/servicePrincipals?$count=true", headers=EVENTUAL, of=mine)["@odata.count"] == 157
    grants = {row["clientId"] for row in rows("/v1.0/oauth2PermissionGrants", of=mine)}
    deleted = {
        row["id"]: row["deletedDateTime"]
        for row in rows("/v1.0/directory/deletedItems/graph.servicePrincipal", of=mine)
    }
    graph = mine.world.sp_ids[0]
    assigned = {row["principalId"] for row in rows(f"/v1.0/servicePrincipals/{graph}/appRoleAssignedTo", of=mine)}
    for identifier in gone:
        assert error(f"/v1.0/servicePrincipals/{identifier}", of=mine)[0] == 404
        assert error(f"/v1.0/servicePrincipals/{identifier}/owners", of=mine)[0] == 404
        assert rows(f"/v1.0/servicePrincipals?$filter=id eq '{identifier}'", of=mine) == []
        assert identifier not in grants | assigned
        assert deleted[identifier] == "2026-11-16T00:00:00Z"
    kept = rows("/v1.0/servicePrincipals?$top=999", of=mine)
    assert all(page(f"/v1.0/servicePrincipals/{row['id']}?$select=id", of=mine)["id"] == row["id"] for row in kept)


def test_an_object_that_changes_again_is_reported_once_as_it_is_now(mine: Tenant) -> None:
    """Two renames give one row; a grant that came and went is only removed."""
    link = delta_link(mine, "/servicePrincipals")
    total = sum(mine.world.kind[mine.world.ordinary_start :] == 0)
    mine.change(int(total) + 1, "rename_app")
    found = rows(link, of=mine)
    assert len({row["id"] for row in found}) == len(found) == total
    assert sum(f"(renamed {total + 1})" in row["displayName"] for row in found) == 1


def test_select_limits_what_counts_as_a_change(mine: Tenant) -> None:
    """A new secret is no change for somebody who asked for names; ids come all the same."""
    names, keys = (
        page(f"/v1.0/applications/delta()?$select={text}&$deltatoken=latest", of=mine)["@odata.deltaLink"]
        for text in ("displayName", "passwordCredentials")
    )
    (secret,) = mine.change(1, "add_password")
    assert rows(names, of=mine) == []
    (row,) = rows(keys, of=mine)
    assert row.keys() == {"id", "passwordCredentials"}
    assert row["id"] == secret.id


def test_a_walk_misses_nothing_that_happens_meanwhile(mine: Tenant) -> None:
    """Objects removed while pages are read do not shift the rest, and the link at the end tells of them."""
    walk = pages("/v1.0/users/delta()", of=mine)
    first = next(walk)
    changes = [*mine.change(3, "delete_user"), *mine.change(2, "rename_user")]
    found = [*first["value"], *(row for each in walk for row in each["value"])]
    kept = everything(mine, "/users")
    assert kept.keys() <= {row["id"] for row in found}
    last = list(pages("/v1.0/users/delta()", of=mine))[-1]
    assert rows(last["@odata.deltaLink"], of=mine) == []
    assert len(changes) == 5


def test_lists_do_not_shift_under_a_reader(mine: Tenant) -> None:
    """A page token keeps its place although rows before it go."""
    link = page("/v1.0/users?$top=100", of=mine)["@odata.nextLink"]
    wanted = everything(mine, "/users")
    mine.change(4, "delete_user")
    rest = rows(link, of=mine)
    assert [row["id"] for row in rest] == [i for i in list(wanted)[100:] if i in everything(mine, "/users")]


def test_many_changes_come_in_pages(mine: Tenant) -> None:
    """More than a page of changes has next links and one delta link."""
    link = delta_link(mine, "/users")
    mine.change(230, "rename_user")
    found = list(pages(link, of=mine))
    assert [len(each["value"]) for each in found] == [200, 30]
    assert ["@odata.deltaLink" in each for each in found] == [False, True]


def test_the_same_changes_in_every_run() -> None:
    """A tenant made anew and changed alike gives the same bytes."""
    first, second = Tenant(7, Size(160, 480)), Tenant(7, Size(160, 480))
    assert first.change(21) == second.change(7) + second.change(14)
    for path in PATHS:
        assert ask(f"/v1.0{path}", of=first).body == ask(f"/v1.0{path}", of=second).body


def test_unknown_changes_and_foreign_tokens_are_refused(mine: Tenant) -> None:
    """A kind that does not exist, a token of another list, and a page token as delta token."""
    with pytest.raises(ConfigError, match="rename_app"):
        mine.change(1, "explode")
    token = delta_link(mine, "/users").split("deltatoken=")[1]
    assert error(f"/v1.0/applications/delta()?$deltatoken={token}", of=mine)[0] == 400
    token = page("/v1.0/users/delta()", of=mine)["@odata.nextLink"].split("skiptoken=")[1]
    assert error(f"/v1.0/users/delta()?$deltatoken={token}", of=mine)[0] == 400


# ---- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[SampleTenant]:
    """A server whose tenant may change."""
    with running(seed=11, service_principals=160) as started:
        yield started


def get(server: SampleTenant, url: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
    """(status, headers in lower case, JSON) of a request."""
    data = None if body is None else json.dumps(body).encode()
    url = url if url.startswith("http") else server.endpoint + url
    request = urllib.request.Request(url, data=data, headers={"Authorization": f"Bearer {server.token}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, json.loads(answer.read())
    except urllib.error.HTTPError as failed:
        with failed:
            return failed.code, {k.lower(): v for k, v in failed.headers.items()}, json.loads(failed.read())


def test_the_control_path_makes_changes(server: SampleTenant) -> None:
    """The answer names what was touched; a mistake is a 400."""
    link = get(server, "/v1.0/users/delta()?$deltatoken=latest")[2]["@odata.deltaLink"]
    made = server.control("change", {"n": 2, "kind": "rename_user"})["changes"]
    assert [row["id"] for row in get(server, link)[2]["value"]] == [change["id"] for change in made]
    assert made[0] | {"id": ""} == {"kind": "rename_user", "path": "/users", "id": "", "removed": ""}
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.control("change", {"n": 1, "kind": "explode"})
    refused.value.close()
    assert refused.value.status == 400


def test_delta_links_expire_in_two_ways(server: SampleTenant) -> None:
    """410 says where to start over, with the same options; 400 syncStateNotFound only says that it is over."""
    link = get(server, "/v1.0/users/delta()?$select=id&$deltatoken=latest")[2]["@odata.deltaLink"]
    server.control("faults", {"delta_reset": 1})
    status, headers, body = get(server, link)
    assert (status, body["error"]["code"]) == (410, "syncStateNotFound")
    assert "$select=id" in headers["location"]
    status, _, body = get(server, headers["location"])
    assert status == 200
    assert body["value"]
    server.control("faults", {"delta_expired": 1})
    status, headers, body = get(server, link)
    assert (status, body["error"]["code"]) == (400, "syncStateNotFound")
    assert "location" not in headers
    server.control("faults", {})


def test_parts_of_a_batch_are_refused_on_their_own(server: SampleTenant) -> None:
    """Without the permission for one path the others of a batch are answered; ids may be percent-encoded."""
    app = get(server, "/v1.0/applications?$top=1")[2]["value"][0]["id"]
    urls = [f"/applications/{app}/federatedIdentityCredentials", f"applications/{app}/owners", "/users?%24top=1"]
    parts = [{"id": str(number), "method": "GET", "url": url} for number, url in enumerate(urls)]
    server.control("faults", {"forbid": "/users"})
    responses = get(server, "/v1.0/$batch", {"requests": parts})[2]["responses"]
    assert {part["id"]: part["status"] for part in responses} == {"0": 200, "1": 200, "2": 403}
    server.control("faults", {"batch_throttle": 1})
    responses = get(server, "/v1.0/$batch", {"requests": parts})[2]["responses"]
    assert {part["headers"]["Retry-After"] for part in responses} == {"1"}
    server.control("faults", {})
