"""The shipped table of which Graph permissions allow which call: its form, its names, and the facts it must hold."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import pytest

from appgov_lib.store.models import REFERENCE_DIR

PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "graph" / "graph-permissions.csv"
METHODS = {"GET", "POST", "PATCH", "PUT", "DELETE"}
TYPES = {"delegated", "application"}


@cache
def rows() -> list[dict[str, str]]:
    """The table."""
    with (REFERENCE_DIR / "endpoint_permissions.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@cache
def by_call() -> dict[tuple[str, str, str], list[str]]:
    """(method, endpoint, type) -> permissions."""
    return {(r["method"], r["endpoint"].lower(), r["permission_type"]): r["permissions"].split(" ") for r in rows()}


def allowed(method: str, path: str, kind: str) -> list[str] | None:
    """Permissions for a call: the exact row, else the longest `/**` above it; None where the table says nothing."""
    path = re.sub(r"^/me(?=/|$)", "/users/{id}", path).lower()
    found = by_call().get((method, path, kind))
    while found is None and path:
        found = by_call().get((method, f"{path}/**", kind))
        path = path.rpartition("/")[0]
    return found


def test_every_row_is_of_the_one_form() -> None:
    assert list(rows()[0]) == ["method", "endpoint", "permission_type", "permissions", "source"]
    for row in rows():
        assert row["method"] in METHODS, row
        assert row["permission_type"] in TYPES, row
        assert row["source"], row
        endpoint = row["endpoint"]
        assert re.fullmatch(r"(/[^/*\s]+)+(/\*\*)?", endpoint), endpoint
        assert not re.match(r"(?i)/(v1\.0|beta|me)(/|$)", endpoint), endpoint
        assert re.search(r"\('|=", endpoint) is None, f"{endpoint}: keys are /{{id}}, arguments ({{id}})"
        names = row["permissions"].split(" ")
        assert names == list(dict.fromkeys(names)), endpoint
        assert all(re.fullmatch(r"[A-Za-z][\w-]*(\.[\w-]+)+", name) for name in names), endpoint
    assert len(by_call()) == len(rows()), "a call has two rows"
    assert len({row["endpoint"] for row in rows()}) >= 250


def test_every_name_is_a_published_permission_of_that_type() -> None:
    if not PUBLISHED.exists():
        pytest.skip("the public list of Graph permissions is not beside the checkout")
    with PUBLISHED.open(encoding="utf-8", newline="") as handle:
        known = {(row["type"].lower(), row["value"]) for row in csv.DictReader(handle)}
    used = {(row["permission_type"], name) for row in rows() for name in row["permissions"].split(" ")}
    assert used <= known, sorted(used - known)


def test_a_wider_permission_is_in_every_list_of_its_narrower_one() -> None:
    # "Not in the list" proves that a permission was not used, so a list that forgets the wider ones would lie.
    known = {kind: {n for key, names in by_call().items() if key[2] == kind for n in names} for kind in TYPES}
    written_by_hand = "are asked for beside the first"
    for row in rows():
        names = set(row["permissions"].split(" "))
        if written_by_hand in row["source"]:
            continue
        for name in names:
            for wider in {name.replace(".Read.", ".ReadWrite."), name.replace(".ReadBasic.", ".Read."), f"{name}.All"}:
                if wider in known[row["permission_type"]] and ".Group" not in name:
                    assert wider in names, f"{row['method']} {row['endpoint']} {row['permission_type']}: {wider}"
        if row["permission_type"] == "delegated" and "Directory.Read.All" in names:
            assert "Directory.AccessAsUser.All" in names, row["endpoint"]


FACTS = """
    GET /me delegated | User.Read User.ReadWrite User.Read.All Directory.Read.All | Mail.Read openid
    GET /users delegated | User.ReadBasic.All User.Read.All Directory.AccessAsUser.All | User.Read
    GET /users/{id} application | User.Read.All Directory.Read.All | User.Read Group.Read.All
    DELETE /users/{id} application | User.ReadWrite.All | Directory.ReadWrite.All
    GET /me/messages delegated | Mail.ReadBasic Mail.Read Mail.Read.Shared Mail.ReadWrite | Mail.Send
    GET /users/{id}/messages/{id}/attachments application | Mail.Read | Mail.ReadBasic Mail.ReadBasic.All
    GET /users/{id}/messages/{id}/$value delegated | Mail.Read | Mail.ReadBasic
    POST /me/sendMail delegated | Mail.Send Mail.Send.Shared | Mail.ReadWrite
    POST /users/{id}/messages/{id}/reply application | Mail.Send | Mail.Read
    PATCH /users/{id}/messages/{id} application | Mail.ReadWrite | Mail.Read Mail.Send
    POST /me/mailFolders/{id}/messageRules delegated | MailboxSettings.ReadWrite | Mail.ReadWrite
    GET /me/calendarView delegated | Calendars.ReadBasic Calendars.Read.Shared | Mail.Read
    GET /users/{id}/calendar/events application | Calendars.ReadBasic.All Calendars.Read | Contacts.Read
    GET /drives/{id}/root:/{id}:/content application | Files.Read.All Sites.Read.All Sites.Selected |
    GET /me/drive/items/{id}/content delegated | Files.Read Files.Read.All Sites.Read.All | User.Read
    GET /me/drive delegated | User.Read Files.Read | Mail.Read
    PUT /drives/{id}/items/{id}/content application | Files.ReadWrite.All Sites.ReadWrite.All | Files.Read.All
    GET /sites/{id}/lists/{id}/items application | Sites.Read.All Sites.Selected | Files.Read.All
    GET /sites/root/drive/root/children delegated | Sites.Read.All Files.Read.All | Mail.Read
    GET /sites/{id}/permissions application | Sites.FullControl.All | Sites.ReadWrite.All
    GET /groups/{id}/members application | GroupMember.Read.All Directory.Read.All | Application.Read.All
    POST /groups/{id}/members/$ref application | GroupMember.ReadWrite.All | GroupMember.Read.All
    GET /groups/{id}/conversations application | Group.Read.All | GroupMember.Read.All Mail.Read
    GET /teams/{id}/channels/{id}/messages application | ChannelMessage.Read.All Group.Read.All | Chat.Read.All
    GET /chats/{id}/messages application | Chat.Read.All | Chat.ReadBasic.All ChannelMessage.Read.All
    GET /me/chats delegated | Chat.ReadBasic Chat.Read Chat.ReadWrite | ChatMessage.Send
    GET /applications application | Application.Read.All Directory.Read.All | User.Read.All
    POST /applications/{id}/addPassword application | Application.ReadWrite.OwnedBy | Application.Read.All
    POST /servicePrincipals/{id}/appRoleAssignedTo application | AppRoleAssignment.ReadWrite.All |
    POST /roleManagement/directory/roleAssignments application | RoleManagement.ReadWrite.Directory | User.Read.All
    POST /oauth2PermissionGrants application | DelegatedPermissionGrant.ReadWrite.All | AppRoleAssignment.ReadWrite.All
    GET /auditLogs/signIns application | AuditLog.Read.All | Reports.Read.All
    GET /reports/getMailboxUsageDetail({id}) application | Reports.Read.All | AuditLog.Read.All
    POST /security/runHuntingQuery application | ThreatHunting.Read.All | SecurityEvents.Read.All
    PATCH /identity/conditionalAccess/policies/{id} application | Policy.ReadWrite.ConditionalAccess |
    POST /deviceManagement/managedDevices/{id}/wipe application | DeviceManagementManagedDevices.ReadWrite.All |
    PATCH /users/{id}/mailboxSettings application | MailboxSettings.ReadWrite | Mail.ReadWrite
    POST /users/{id}/authentication/fido2Methods application | UserAuthMethod-Passkey.ReadWrite.All | Mail.Read
"""
"""One call a line: method, path, type | permissions that allow it | permissions that do not."""


@pytest.mark.parametrize("fact", FACTS.strip().splitlines(), ids=lambda line: line.split(" |")[0].strip())
def test_the_table_holds_what_the_graph_reference_says(fact: str) -> None:
    call, yes, no = fact.split("|")
    method, path, kind = call.split()
    found = allowed(method, path, kind)
    assert found is not None
    assert set(yes.split()) <= set(found)
    assert not set(no.split()) & set(found)


def test_what_has_no_permission_of_its_own_or_is_not_known_is_left_out() -> None:
    assert allowed("POST", "/$batch", "application") is None
    assert allowed("GET", "/users/{id}/inventedThing", "delegated") is None
    assert allowed("GET", "/inventedThing", "application") is None


def test_the_least_permission_comes_first_and_those_limited_to_chosen_objects_last() -> None:
    assert allowed("GET", "/me", "delegated")[0] == "User.Read"  # type: ignore[index]
    assert allowed("GET", "/users/{id}/messages", "application")[0].startswith("Mail.ReadBasic")  # type: ignore[index]
    assert allowed("GET", "/auditLogs/signIns", "application")[0] == "AuditLog.Read.All"  # type: ignore[index]
    files = allowed("GET", "/drives/{id}/items/{id}", "application") or []
    assert files[0] == "Files.Read.All"
    assert files.index("Sites.Selected") > files.index("Sites.FullControl.All")
