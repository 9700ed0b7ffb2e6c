"""What an app is granted and what it calls: an ordinary app follows a profile, whose calls cover its permissions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

Consent = Literal["admin", "user", ""]


@dataclass(frozen=True)
class Call:
    """One kind of Graph request: `{u}` in the path becomes a user id, `{g}` and `{h}` ids of other objects."""

    method: str
    path: str
    size: int
    """Median bytes of the answer."""
    workload: str
    status: int = 200


@dataclass(frozen=True)
class Profile:
    """Permissions (values of Microsoft Graph), how they were consented to, and the calls made with them."""

    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    consent: Consent = ""
    calls: tuple[str, ...] = ()
    resource_app: str = "00000003-0000-0000-c000-000000000000"
    """Where the app signs in to."""


_DIRECTORY, _EXCHANGE, _FILES = "Microsoft.DirectoryServices", "Microsoft.Exchange", "Microsoft.FileServices"
_SHAREPOINT, _TEAMS, _REPORTS = "Microsoft.SharePoint", "Microsoft.Teams", "Microsoft.Reporting"
_WINDOW = "startDateTime=2026-11-09T00:00:00Z&endDateTime=2026-11-16T00:00:00Z"

CALLS = {
    "users": Call("GET", "/users?$select=id,displayName,mail,department&$top=999", 64_000, _DIRECTORY),
    "user": Call("GET", "/users/{u}", 1_500, _DIRECTORY),
    "user_edit": Call("PATCH", "/users/{u}", 0, _DIRECTORY, 204),
    "me": Call("GET", "/me", 1_400, _DIRECTORY),
    "groups": Call("GET", "/groups?$top=100", 30_000, _DIRECTORY),
    "members": Call("GET", "/groups/{g}/members", 22_000, _DIRECTORY),
    "member_add": Call("POST", "/groups/{g}/members/$ref", 0, _DIRECTORY, 204),
    "member_remove": Call("DELETE", "/groups/{g}/members/{u}/$ref", 0, _DIRECTORY, 204),
    "organization": Call("GET", "/organization", 4_000, _DIRECTORY),
    "mail": Call("GET", "/users/{u}/messages?$top=50", 95_000, _EXCHANGE),
    "my_mail": Call("GET", "/me/messages?$top=25", 52_000, _EXCHANGE),
    "my_inbox": Call("GET", "/me/mailFolders/inbox/messages?$expand=attachments", 120_000, _EXCHANGE),
    "my_message": Call("GET", "/me/messages/{g}", 18_000, _EXCHANGE),
    "send": Call("POST", "/users/{u}/sendMail", 0, _EXCHANGE, 202),
    "my_send": Call("POST", "/me/sendMail", 0, _EXCHANGE, 202),
    "calendar": Call("GET", "/users/{u}/calendar/events", 28_000, _EXCHANGE),
    "my_calendar": Call("GET", "/me/calendarView?" + _WINDOW, 30_000, _EXCHANGE),
    "my_event": Call("POST", "/me/events", 3_000, _EXCHANGE, 201),
    "my_contacts": Call("GET", "/me/contacts", 18_000, _EXCHANGE),
    "drive": Call("GET", "/drives/{g}/root/children", 40_000, _FILES),
    "content": Call("GET", "/drives/{g}/items/{h}/content", 240_000, _FILES),
    "upload": Call("PUT", "/drives/{g}/items/{h}/content", 1_200, _FILES, 201),
    "my_file": Call("GET", "/me/drive/items/{g}/content", 60_000, _FILES),
    "my_drive": Call("GET", "/me/drive/root/children", 22_000, _FILES),
    "sites": Call("GET", "/sites?search=*", 35_000, _SHAREPOINT),
    "lists": Call("GET", "/sites/{g}/lists", 12_000, _SHAREPOINT),
    "items": Call("GET", "/sites/{g}/lists/{h}/items?$expand=fields", 80_000, _SHAREPOINT),
    "item_new": Call("POST", "/sites/{g}/lists/{h}/items", 1_100, _SHAREPOINT, 201),
    "channels": Call("GET", "/teams/{g}/channels", 6_000, _TEAMS),
    "channel_post": Call("POST", "/teams/{g}/channels/{h}/messages", 1_500, _TEAMS, 201),
    "my_chats": Call("GET", "/me/chats", 15_000, _TEAMS),
    "reports": Call("GET", "/reports/getOffice365ActiveUserDetail(period='D7')", 45_000, _REPORTS),
    "sign_ins": Call("GET", "/auditLogs/signIns?$top=100", 120_000, _REPORTS),
    "batch": Call("POST", "/$batch", 9_000, "Microsoft.Graph"),
}

_SIGN_IN = ("openid", "profile", "email")

PROFILES = {
    # no Graph permission at all
    "nothing": Profile(),
    "saml": Profile(resource_app="00000002-0000-0000-c000-000000000000"),
    "azure": Profile(resource_app="797f4846-ba00-4fd7-ba43-dac1f8f63013"),
    # application permissions
    "people-sync": Profile(roles=("User.Read.All", "Group.Read.All"), calls=("users", "groups", "members", "user")),
    "user-lookup": Profile(roles=("User.Read.All",), calls=("users", "user")),
    "mailer": Profile(roles=("Mail.Send", "User.Read.All"), calls=("send", "user", "send")),
    "room-calendar": Profile(roles=("Calendars.Read", "User.Read.All"), calls=("calendar", "user")),
    "site-reader": Profile(roles=("Sites.Read.All",), calls=("sites", "lists", "items")),
    "document-sync": Profile(roles=("Files.Read.All", "Sites.Read.All"), calls=("drive", "content", "lists", "items")),
    "group-writer": Profile(
        roles=("Group.ReadWrite.All", "User.Read.All"), calls=("groups", "member_add", "user", "member_remove")
    ),
    "provisioning": Profile(
        roles=("User.ReadWrite.All", "Group.ReadWrite.All"), calls=("users", "user_edit", "member_add", "groups")
    ),
    "list-writer": Profile(roles=("Sites.ReadWrite.All",), calls=("items", "item_new", "lists")),
    "team-reader": Profile(roles=("Team.ReadBasic.All", "Channel.ReadBasic.All"), calls=("channels",)),
    "usage-reports": Profile(roles=("Reports.Read.All", "AuditLog.Read.All"), calls=("reports", "sign_ins")),
    "batcher": Profile(roles=("User.Read.All", "Group.Read.All"), calls=("batch", "user", "members", "user", "groups")),
    # delegated permissions, consented by an administrator
    "portal": Profile(scopes=(*_SIGN_IN, "User.Read"), consent="admin", calls=("me",)),
    "planner": Profile(
        scopes=(*_SIGN_IN, "offline_access", "User.Read", "Calendars.ReadWrite"),
        consent="admin",
        calls=("me", "my_calendar", "my_event"),
    ),
    "crm": Profile(
        scopes=(*_SIGN_IN, "offline_access", "User.Read", "Contacts.Read", "Calendars.Read", "Mail.Send"),
        consent="admin",
        calls=("my_contacts", "my_calendar", "my_send", "me"),
    ),
    "mail-reader": Profile(
        scopes=(*_SIGN_IN, "offline_access", "User.Read", "Mail.Read"),
        consent="admin",
        calls=("my_mail", "my_message", "me"),
    ),
    "file-picker": Profile(
        scopes=(*_SIGN_IN, "User.Read", "Files.Read.All"), consent="admin", calls=("my_drive", "my_file", "me")
    ),
    "chat-helper": Profile(scopes=(*_SIGN_IN, "User.Read", "Chat.Read"), consent="admin", calls=("my_chats", "me")),
    "directory-reader": Profile(
        roles=("Directory.Read.All",),
        scopes=("openid", "User.Read"),
        consent="admin",
        calls=("users", "groups", "organization", "me"),
    ),
    # delegated permissions, consented by users
    "user-login": Profile(scopes=("openid", "profile", "User.Read"), consent="user", calls=("me",)),
    "user-calendar": Profile(
        scopes=("openid", "User.Read", "Calendars.Read"), consent="user", calls=("my_calendar", "me")
    ),
    # Microsoft's own
    "microsoft": Profile(calls=("me", "my_mail", "my_drive", "my_calendar", "my_chats", "users")),
    "microsoft-quiet": Profile(),
    # stories
    "overprivileged": Profile(
        roles=("Directory.ReadWrite.All", "Mail.ReadWrite", "Files.ReadWrite.All"), calls=("users",)
    ),
    "phishing": Profile(
        scopes=("openid", "profile", "offline_access", "User.Read", "Mail.Read"),
        consent="user",
        calls=("my_inbox", "my_mail", "me"),
    ),
    "directory-admin": Profile(
        roles=("Directory.ReadWrite.All",), calls=("users", "user_edit", "groups", "member_add")
    ),
    "mail-robot": Profile(roles=("Mail.Read", "User.Read.All"), calls=("mail", "user")),
    "backup": Profile(roles=("Files.Read.All", "Sites.Read.All"), calls=("content", "drive", "items", "content")),
    "site-writer": Profile(roles=("Sites.ReadWrite.All", "Group.Read.All"), calls=("items", "item_new", "groups")),
}
PROFILE_NAMES = tuple(PROFILES)


@dataclass(frozen=True)
class GraphPermission:
    """A Microsoft Graph permission and its ids ('' where the kind does not exist)."""

    value: str
    application_id: str
    delegated_id: str
    needs_admin: bool


@cache
def graph_permissions() -> dict[str, GraphPermission]:
    """The permissions that the sample's Microsoft Graph service principal publishes, by value."""
    table = {}
    for row in _table("graph_permissions.csv"):
        table[row[0]] = GraphPermission(row[0], row[1], row[2], row[3] == "true")
    return table


@cache
def microsoft_apps() -> tuple[tuple[str, str], ...]:
    """(app id, name) of the Microsoft apps in the sample; the first is Microsoft Graph."""
    return tuple((row[0], row[1]) for row in _table("microsoft_apps.csv"))


def _table(name: str) -> list[list[str]]:
    """Rows of one of the package's tables, without the header (no cell holds a comma)."""
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return [line.split(",") for line in text.splitlines()[1:] if line]


OTHER_ROLES = {
    "00000002-0000-0ff1-ce00-000000000000": {
        "full_access_as_app": "dc890d15-9560-4a4c-9b7f-a736ec74ec40",
        "Exchange.ManageAsApp": "dc50a0fb-09a3-484d-be87-e023b12c6440",
    },
    "00000003-0000-0ff1-ce00-000000000000": {
        "Sites.FullControl.All": "678536fe-1083-478a-9c59-b99265e6b0d3",
        "Sites.Read.All": "d13f72ca-a275-4b96-b789-48ebcc4da984",
    },
}
"""Application permissions of the older APIs, by app id."""
