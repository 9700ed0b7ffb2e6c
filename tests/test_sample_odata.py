"""The sample tenant speaks Graph's OData: paging, filters, counts, delta, batches, and the errors of each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sample_tenant import EVENTUAL, ask, error, page, pages, rows, tenant

from appgov_lib.sample.odata import parse_filter

SIGN_INS = "/beta/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq 'servicePrincipal')"
LISTS = [
    ("/v1.0/servicePrincipals", 400),
    ("/v1.0/applications", None),
    ("/v1.0/users", 1200),
    ("/v1.0/oauth2PermissionGrants", None),
    ("/v1.0/auditLogs/signIns", None),
    ("/v1.0/auditLogs/directoryAudits", None),
    ("/beta/reports/servicePrincipalSignInActivities", None),
    ("/beta/reports/appCredentialSignInActivities", None),
    (SIGN_INS, None),
    (
        "/beta/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq 'interactiveUser' or t eq 'nonInteractiveUser')",
        None,
    ),
]


@pytest.mark.parametrize(("url", "expected"), LISTS)
def test_paging_is_complete_and_without_duplicates(url: str, expected: int | None) -> None:
    """Small and large pages hold the same rows, each once, in the same order."""
    joint = "&" if "?" in url else "?"
    large = [row["id"] for row in rows(url)]
    assert len(set(large)) == len(large)
    small = [row["id"] for row in rows(f"{url}{joint}$top=317")]
    assert small == large
    assert expected is None or len(large) == expected


@pytest.mark.parametrize("relation", ["appRoleAssignedTo", "owners", "appRoleAssignments", "oauth2PermissionGrants"])
def test_lists_below_a_service_principal_agree_with_the_whole(relation: str) -> None:
    """What hangs below one object is found from its id."""
    graph = page("/v1.0/servicePrincipals?$filter=appId eq '00000003-0000-0000-c000-000000000000'")["value"][0]
    for index in (0, 62, 80):
        sp = tenant().world.sp_ids[index]
        for row in rows(f"/v1.0/servicePrincipals/{sp}/{relation}?$top=50"):
            assert row["id"]
            if relation == "appRoleAssignments":
                assigned = rows(f"/v1.0/servicePrincipals/{row['resourceId']}/appRoleAssignedTo?$top=999")
                assert row in assigned
            if relation == "oauth2PermissionGrants":
                assert row["resourceId"] == graph["id"]
                assert row["clientId"] == sp


def test_pages_carry_context_count_and_an_opaque_link() -> None:
    """The context is on every page, the count on the first only, and the link says nothing about positions."""
    found = list(pages("/v1.0/servicePrincipals?$top=150&$count=true", headers=EVENTUAL))
    assert [len(each["value"]) for each in found] == [150, 150, 100]
    assert all(each["@odata.context"].endswith("$metadata#servicePrincipals") for each in found)
    assert [each.get("@odata.count") for each in found] == [400, None, None]
    assert "$skiptoken=" in found[0]["@odata.nextLink"]
    assert "=150." not in found[0]["@odata.nextLink"]
    assert error(found[0]["@odata.nextLink"]) == (400, "Request_UnsupportedQuery")  # ConsistencyLevel on every page


def test_a_page_token_belongs_to_its_query() -> None:
    """A token cannot be used with other options, and a made-up one is refused."""
    link = page("/v1.0/servicePrincipals?$top=150")["@odata.nextLink"]
    assert error(link.replace("$top=150", "$top=151"))[0] == 400
    assert error("/v1.0/servicePrincipals?$skiptoken=abc")[0] == 400


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/v1.0/servicePrincipals?$top=1000", 400),
        ("/v1.0/servicePrincipals?$top=0", 400),
        ("/v1.0/servicePrincipals?$top=many", 400),
        ("/v1.0/auditLogs/signIns?$top=1001", 400),
        ("/v1.0/auditLogs/signIns?$filter=createdDateTime lt 2026-11-11T00:00:00Z", 400),
        ("/v1.0/auditLogs/signIns?$filter=createdDateTime gt 2026-11-11T00:00:00Z", 400),
        ("/v1.0/auditLogs/signIns?$filter=createdDateTime ge yesterday", 400),
        ("/v1.0/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq 'servicePrincipal')", 400),
        ("/v1.0/auditLogs/signIns?$orderby=createdDateTime asc", 400),
        (
            "/beta/auditLogs/signIns?$filter=signInEventTypes/any(t:t eq 'managedIdentity' or t eq 'servicePrincipal')",
            400,
        ),
        ("/beta/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq 'robot')", 400),
        ("/v1.0/servicePrincipals?$filter=tolower(displayName) eq 'x'", 400),
        ("/v1.0/servicePrincipals?$expand=members", 400),
        ('/v1.0/servicePrincipals?$search="displayName:x"', 400),
        ("/v1.0/servicePrincipals?$count=true", 400),
        ("/v1.0/servicePrincipals/delta()?$top=5", 400),
        ("/v1.0/servicePrincipals/00000000-0000-4000-a000-000000000000", 404),
        ("/v1.0/reports/servicePrincipalSignInActivities", 404),
        ("/v1.0/no/such/thing", 404),
    ],
)
def test_mistakes_are_refused_with_graphs_error_body(url: str, status: int) -> None:
    """What the service does not support is a 4xx with code and message, never an empty page."""
    assert error(url)[0] == status


def test_count_is_text_and_wants_its_headers() -> None:
    """`/$count` is plain text, needs ConsistencyLevel and refuses a JSON answer."""
    answer = ask("/v1.0/servicePrincipals/$count", headers=EVENTUAL)
    assert (answer.status, answer.body, answer.content_type) == (200, b"400", "text/plain")
    assert error("/v1.0/servicePrincipals/$count")[0] == 400
    assert error("/v1.0/servicePrincipals/$count", headers={**EVENTUAL, "accept": "application/json"})[0] == 415
    managed = ask("/v1.0/servicePrincipals/$count?$filter=servicePrincipalType eq 'ManagedIdentity'", headers=EVENTUAL)
    everyone = rows("/v1.0/servicePrincipals?$top=999")
    assert int(managed.body) == sum(row.get("servicePrincipalType") == "ManagedIdentity" for row in everyone) > 10


def test_filters_agree_with_filtering_the_whole_list() -> None:
    """Each filter gives what a reader of the whole list would pick."""
    everyone = rows("/v1.0/servicePrincipals?$top=999")
    one = everyone[123]
    assert rows(f"/v1.0/servicePrincipals?$filter=appId eq '{one['appId']}'") == [one]
    assert rows(f"/v1.0/servicePrincipals?$filter=id eq '{one['id']}' and accountEnabled eq true") == [one]
    managed = rows("/v1.0/servicePrincipals?$top=7&$filter=servicePrincipalType eq 'ManagedIdentity'")
    assert managed == [row for row in everyone if row.get("servicePrincipalType") == "ManagedIdentity"]
    heads = rows("/v1.0/servicePrincipals?$filter=startswith(appId,'0') or startswith(appId, '1')")
    assert heads == [row for row in everyone if row["appId"][0] in "01"]
    quoted = rows("/v1.0/servicePrincipals?$filter=displayName eq 'Robert''); DROP TABLE findings;--'")
    assert len(quoted) == 1


@pytest.mark.parametrize(
    ("url", "field"),
    [("/v1.0/auditLogs/signIns", "createdDateTime"), ("/v1.0/auditLogs/directoryAudits", "activityDateTime")],
)
def test_time_windows_hold_both_ends_and_are_newest_first(url: str, field: str) -> None:
    """A window gives the rows whose time lies in it, its ends included; slices that touch lose nothing."""
    everything = rows(url)
    times = [row[field] for row in everything]
    assert times == sorted(times, reverse=True)
    low, high = times[-100], times[100]
    found = rows(f"{url}?$filter={field} ge {low} and {field} le {high}")
    assert found == [row for row in everything if low <= row[field] <= high]
    assert rows(f"{url}?$filter={field} ge 2026-12-01T00:00:00Z") == []
    assert rows(f"{url}?$filter={field} ge 2020-01-01T00:00:00Z and {field} le 2030-01-01") == everything


def test_select_and_expand_shape_the_rows() -> None:
    """`$select` cuts, `$expand=owners` adds what was asked for, and naming keyCredentials adds the key itself."""
    found = rows("/v1.0/applications?$top=999&$select=id,appId&$expand=owners($select=id,displayName)")
    whole = rows("/v1.0/applications?$top=999")
    assert [row["id"] for row in found] == [row["id"] for row in whole]
    assert all(row.keys() == {"id", "appId", "owners"} for row in found)
    owners = [owner for row in found for owner in row["owners"]]
    assert all(owner.keys() == {"@odata.type", "id", "displayName"} for owner in owners)
    assert len(owners) > 100
    assert all(key["key"] is None for row in whole for key in row["keyCredentials"])
    keyed = rows("/v1.0/applications?$top=999&$select=keyCredentials")
    blobs = [key["key"] for row in keyed for key in row["keyCredentials"]]
    assert blobs
    assert all(blobs)


def test_delta_lists_everything_then_nothing() -> None:
    """A first run gives all objects and a link; the link gives no change and a new link."""
    found = list(pages("/v1.0/servicePrincipals/delta()"))
    assert sum(len(each["value"]) for each in found) == 400
    assert all(("@odata.deltaLink" in each) != ("@odata.nextLink" in each) for each in found)
    later = page(found[-1]["@odata.deltaLink"])
    assert later["value"] == []
    assert later["@odata.deltaLink"]
    assert page("/v1.0/users/delta()?$deltatoken=latest")["value"] == []
    assert error("/v1.0/users/delta()?$deltatoken=old")[0] == 400


def test_batch_answers_each_part_in_another_order() -> None:
    """Twenty parts at most; replies are found by id and carry their own status."""
    parts: list[dict[str, Any]] = [
        {"id": str(number), "method": "GET", "url": f"/servicePrincipals?$filter=appId eq '{app_id}'"}
        for number, app_id in enumerate(tenant().world.app_ids[place] for place in range(19))
    ]
    parts.append({"id": "19", "method": "GET", "url": "/servicePrincipals?$top=5000"})
    found = page("/v1.0/$batch", body={"requests": parts})["responses"]
    assert [each["id"] for each in found] != [part["id"] for part in parts]
    status = {each["id"]: each["status"] for each in found}
    assert [status[part["id"]] for part in parts] == [200] * 19 + [400]
    bodies = {each["id"]: each["body"] for each in found}
    assert bodies["3"]["value"][0]["appId"] == tenant().world.app_ids[3]
    assert error("/v1.0/$batch", body={"requests": [*parts, parts[0]]})[0] == 400
    assert error("/v1.0/$batch", body=[])[0] == 400


def test_beta_names_differ() -> None:
    """Beta renames what beta renames."""
    graph = tenant().world.sp_ids[0]
    assert "publishedPermissionScopes" in page("/beta/servicePrincipals?$top=1")["value"][0]
    assert "creationTimestamp" in page(f"/beta/servicePrincipals/{graph}/appRoleAssignedTo")["value"][0]
    assert "permissionGrantPolicyIdsAssignedToDefaultUserRole" in page("/beta/policies/authorizationPolicy")["value"][0]
    assert "permissionGrantPoliciesAssigned" in page("/v1.0/policies/authorizationPolicy")["defaultUserRolePermissions"]


def test_objects_are_found_by_id_and_by_app_id() -> None:
    """`/servicePrincipals/{id}` and `(appId='...')` give the object of the list."""
    listed = rows("/v1.0/servicePrincipals?$top=999")[70]
    by_id = page(f"/v1.0/servicePrincipals/{listed['id']}")
    by_app = page(f"/v1.0/servicePrincipals(appId='{listed['appId']}')")
    assert {**listed, "@odata.context": by_id["@odata.context"]} == by_id == by_app
    assert page(f"/v1.0/servicePrincipals/{listed['id']}?$select=id").keys() == {"@odata.context", "id"}
    assert json.loads(ask(f"/v1.0//servicePrincipals/{listed['id']}").body)["id"] == listed["id"]


def test_filter_keeps_words_inside_quotes() -> None:
    """`and` inside a literal is text."""
    parsed = parse_filter("displayName eq 'this and that' and (id eq 'x')")
    assert len(parsed.predicates) == 2
    assert parsed.matches({"displayName": "this and that", "id": "x"})
    assert not parsed.matches({"displayName": "this", "id": "x"})


def test_and_binds_tighter_than_or() -> None:
    """`a and b or c` is `(a and b) or c`, with and without brackets."""
    for text in ("a eq 1 and b eq 2 or c eq 3", "(a eq 1 and b eq 2) or c eq 3", "((c eq 3 or (a eq 1 and b eq 2)))"):
        parsed = parse_filter(text, indexed=("a", "b", "c"))
        assert parsed.equal == {}
        assert parsed.matches({"a": 1, "b": 2, "c": 0})
        assert parsed.matches({"a": 0, "b": 0, "c": 3})
        assert not parsed.matches({"a": 1, "b": 0, "c": 0})
