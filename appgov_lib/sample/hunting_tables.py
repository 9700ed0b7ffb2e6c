"""The hunting tables of the sample tenant: API calls, sign-ins of apps, cloud app events, and the OAuth apps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import FIRST_DAY
from appgov_lib.sample.collections import read_time
from appgov_lib.sample.directory import compact
from appgov_lib.sample.hunting import Fragments, Table
from appgov_lib.sample.kql_functions import seven
from appgov_lib.sample.oauth_apps import OAUTH_APP_COLUMNS, OAuthApps
from appgov_lib.sample.office import OfficeAudit
from appgov_lib.sample.people import PLACES
from appgov_lib.sample.records import HUNTING_COLUMNS, Records
from appgov_lib.sample.rhythm import CALL_STREAM

_CHUNK = 5_000
_TEXT = "String"
SIGN_IN_COLUMNS = {
    "Timestamp": "DateTime", "Application": _TEXT, "ApplicationId": _TEXT, "IsManagedIdentity": "SByte",
    "ErrorCode": "Int32", "CorrelationId": _TEXT, "ServicePrincipalName": _TEXT, "ServicePrincipalId": _TEXT,
    "ResourceDisplayName": _TEXT, "ResourceId": _TEXT, "ResourceTenantId": _TEXT, "IPAddress": _TEXT,
    "Country": _TEXT, "State": _TEXT, "City": _TEXT, "Latitude": _TEXT, "Longitude": _TEXT, "RequestId": _TEXT,
    "ReportId": _TEXT,
}  # fmt: skip
"""Columns of EntraIdSpnSignInEvents; booleans travel as numbers, as in the service."""
CLOUD_APP_COLUMNS = {
    "Timestamp": "DateTime", "ActionType": _TEXT, "Application": _TEXT, "ApplicationId": "Int32",
    "AppInstanceId": "Int32", "AccountObjectId": _TEXT, "AccountId": _TEXT, "AccountDisplayName": _TEXT,
    "IsAdminOperation": "SByte", "DeviceType": _TEXT, "OSPlatform": _TEXT, "IPAddress": _TEXT,
    "IsAnonymousProxy": "SByte", "CountryCode": _TEXT, "City": _TEXT, "Isp": _TEXT, "UserAgent": _TEXT,
    "ActivityType": _TEXT, "ActivityObjects": "Object", "ObjectName": _TEXT, "ObjectType": _TEXT, "ObjectId": _TEXT,
    "ReportId": _TEXT, "AccountType": _TEXT, "IsExternalUser": "SByte", "IsImpersonated": "SByte",
    "IPTags": "Object", "IPCategory": _TEXT, "UserAgentTags": "Object", "RawEventData": "Object",
    "AdditionalFields": "Object", "LastSeenForUser": "Object", "UncommonForUser": "Object", "AuditSource": _TEXT,
    "SessionData": "Object", "OAuthAppId": _TEXT,
}  # fmt: skip
"""Columns of CloudAppEvents."""
_WORKLOADS = {
    "Exchange": ("Microsoft Exchange Online", 20893),
    "SharePoint": ("Microsoft SharePoint Online", 20892),
    "OneDrive": ("Microsoft OneDrive for Business", 15600),
    "AzureActiveDirectory": ("Microsoft 365", 11161),
}
_ACTIVITIES = {"MailItemsAccessed": "View", "Send": "Send", "FileDownloaded": "Download", "FileUploaded": "Upload"}
_CONSENT = "Consent to application."
_decode = msgspec.json.Decoder().decode


def tables(records: Records, office: Callable[[], OfficeAudit], apps: Callable[[], OAuthApps]) -> dict[str, Table]:
    """All tables by name; what only some of them need is made on first use."""
    calls = Table(HUNTING_COLUMNS, lambda day: _calls(records, day))
    return {
        "GraphApiAuditEvents": calls,
        "GraphAPIAuditEvents": calls,
        "EntraIdSpnSignInEvents": Table(SIGN_IN_COLUMNS, lambda day: _sign_ins(records, day)),
        "CloudAppEvents": Table(CLOUD_APP_COLUMNS, lambda day: _cloud_apps(records, office(), day)),
        "OAuthAppInfo": Table(OAUTH_APP_COLUMNS, lambda day: _oauth_apps(apps(), day), _LISTS),
    }


_LISTS = {"Permissions": "#Collection(String)", "AssignedRoles": "#Collection(String)"}


def _fragments(columns: dict[str, str], rows: list[dict[str, Any]]) -> Fragments:
    """Rows by column as JSON texts."""
    return {name: [compact(row[name]) for row in rows] for name in columns}


def _calls(records: Records, day: int) -> Iterator[Fragments]:
    """GraphApiAuditEvents of a day."""
    total = len(records.rhythm.events(CALL_STREAM, day))
    for start in range(0, total, _CHUNK):
        yield records.calls(day, start, min(start + _CHUNK, total))


def _oauth_apps(apps: OAuthApps, day: int) -> Iterator[Fragments]:
    """OAuthAppInfo of a day: every app on the first and the fifteenth, else those that changed."""
    yield from apps.rows(FIRST_DAY + timedelta(days=day))


# ---- sign-ins --------------------------------------------------------------------------------------------------------


def _sign_ins(records: Records, day: int) -> Iterator[Fragments]:
    """EntraIdSpnSignInEvents of a day: the sign-ins of service principals and of managed identities."""
    moments: list[tuple[int, dict[str, Any]]] = []
    for stream in (2, 3):
        events = records.rhythm.events(stream, day)
        rows = records.sign_ins(stream, day, events, 0, len(events), beta=True)
        moments += [(-second, _decode(row)) for second, row in zip(events.second.tolist(), rows, strict=True)]
    moments.sort(key=lambda pair: (pair[0], pair[1]["id"]))
    for start in range(0, len(moments), _CHUNK):
        yield _fragments(SIGN_IN_COLUMNS, [_sign_in(row) for _, row in moments[start : start + _CHUNK]])


def _sign_in(row: dict[str, Any]) -> dict[str, Any]:
    """A sign-in record as a row of the table."""
    place = row["location"]
    return {
        "Timestamp": seven(read_time(row["createdDateTime"])),
        "Application": row["appDisplayName"] or "",
        "ApplicationId": row["appId"],
        "IsManagedIdentity": int(row["clientCredentialType"] == "managedIdentity"),
        "ErrorCode": row["status"]["errorCode"],
        "CorrelationId": row["correlationId"],
        "ServicePrincipalName": row["servicePrincipalName"] or "",
        "ServicePrincipalId": row["servicePrincipalId"],
        "ResourceDisplayName": row["resourceDisplayName"],
        "ResourceId": row["resourceId"],
        "ResourceTenantId": row["resourceTenantId"],
        "IPAddress": row["ipAddress"],
        "Country": place["countryOrRegion"],
        "State": place["state"],
        "City": place["city"],
        "Latitude": str(place["geoCoordinates"]["latitude"]),
        "Longitude": str(place["geoCoordinates"]["longitude"]),
        "RequestId": row["id"],
        "ReportId": row["correlationId"][:18],
    }


# ---- cloud app events ------------------------------------------------------------------------------------------------


def _cloud_apps(records: Records, office: OfficeAudit, day: int) -> Iterator[Fragments]:
    """CloudAppEvents of a day, newest first."""
    found = [row for rows in office.day(day) for row in rows]
    found.sort(key=lambda row: (row["CreationTime"], row["Id"]), reverse=True)
    for start in range(0, len(found), _CHUNK):
        rows = [_event(records, row) for row in found[start : start + _CHUNK]]
        yield _fragments(CLOUD_APP_COLUMNS, rows)


def _event(records: Records, row: dict[str, Any]) -> dict[str, Any]:
    """A unified audit record as Defender for Cloud Apps shows it."""
    operation, workload = row["Operation"], row["Workload"]
    application, number = _WORKLOADS[workload]
    app = row.get("ClientAppId") or row.get("ApplicationId") or (row["ObjectId"] if operation == _CONSENT else "")
    people = records.people
    index = records.world.index_of_app.get(app) if workload != "AzureActiveDirectory" else None
    place = people.app_place(index, row["ClientIP"]) if index is not None else PLACES[0]
    person = row["UserId"] if "@" in row["UserId"] else ""
    return {
        "Timestamp": f"{row['CreationTime']}.0000000Z",
        "ActionType": operation,
        "Application": application,
        "ApplicationId": number,
        "AppInstanceId": 0,
        "AccountObjectId": row["UserKey"] if row["UserType"] == 0 else "",
        "AccountId": row["UserId"],
        "AccountDisplayName": person.split("@")[0],
        "IsAdminOperation": int(workload == "AzureActiveDirectory"),
        "DeviceType": "",
        "OSPlatform": "",
        "IPAddress": row["ClientIP"],
        "IsAnonymousProxy": 0,
        "CountryCode": place.country,
        "City": place.city,
        "Isp": "",
        "UserAgent": row.get("ClientInfoString", ""),
        "ActivityType": _ACTIVITIES.get(operation, "Basic"),
        "ActivityObjects": [{"Type": "Structured object", "Role": "Target object", "Id": row.get("ObjectId", "")}],
        "ObjectName": row.get("SourceFileName", ""),
        "ObjectType": "File" if "SourceFileName" in row else "Structured object",
        "ObjectId": row.get("ObjectId", ""),
        "ReportId": ids.guid(records.world.seed, "cloud app report", row["Id"]),
        "AccountType": "Regular" if row["UserType"] == 0 else "Application",
        "IsExternalUser": 0,
        "IsImpersonated": 0,
        "IPTags": {},
        "IPCategory": "",
        "UserAgentTags": {},
        "RawEventData": row,
        "AdditionalFields": {},
        "LastSeenForUser": {},
        "UncommonForUser": {},
        "AuditSource": "Defender for Cloud Apps app connector",
        "SessionData": {},
        "OAuthAppId": app,
    }
