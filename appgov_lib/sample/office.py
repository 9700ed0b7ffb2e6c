"""Records of the unified audit log that follow from the tenant's own activity: mail, files, changes to apps.

A successful API call that touches mail or files leaves one record; so does every change to an application.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import FIRST_DAY, day_index
from appgov_lib.sample.people import People
from appgov_lib.sample.records import Records
from appgov_lib.sample.rhythm import CALL_NAMES, CALL_STREAM

RECORD_TYPES = {
    2: "ExchangeItem",
    6: "SharePointFileOperation",
    8: "AzureActiveDirectory",
    50: "ExchangeItemAggregated",
}
_GRAPH = "00000003-0000-0000-c000-000000000000"
_MAIL, _SENT, _FILES = (
    ("mail", "my_mail", "my_inbox", "my_message"),
    ("send", "my_send"),
    {"content": "FileDownloaded", "my_file": "FileDownloaded", "upload": "FileUploaded"},
)
_SEEN = np.array([name in _MAIL or name in _SENT or name in _FILES for name in CALL_NAMES])
_decode = msgspec.json.Decoder().decode
_CHUNK = 5_000


class OfficeAudit:
    """Writes unified audit records day by day."""

    def __init__(self, records: Records, audits: list[bytes]) -> None:
        """`audits` are the directory audit log's records, newest first."""
        self.records, self.world, self.people = records, records.world, People(records.world)
        self._audits = audits

    def day(self, day: int) -> Iterator[list[dict[str, Any]]]:
        """Records of a day in pieces, newest first within each piece; changes to applications come first."""
        changes = [self._change(record) for record in self._changes.get(day, [])]
        if changes:
            yield changes
        events = self.records.rhythm.events(CALL_STREAM, day)
        places = np.flatnonzero(_SEEN[events.call])
        for start in range(0, len(places), _CHUNK):
            chosen = places[start : start + _CHUNK]
            rows = self.records.calls_at(day, chosen)
            names = [CALL_NAMES[number] for number in events.call[chosen].tolist()]
            columns = [rows[name] for name in _READ]
            made = (self._call(name, *map(_plain, values)) for name, *values in zip(names, *columns, strict=True))
            yield [record for record in made if record]

    # ---- mail and files --------------------------------------------------------------------------------------------

    @cached_property
    def _user_numbers(self) -> dict[str, int]:
        """User number by id."""
        return {self.world.user_ids[number]: number for number in range(self.world.size.users)}

    def _call(
        self,
        name: str,
        moment: str,
        request: str,
        app: str,
        account: str,
        uri: str,
        status: str,
        size: str,
        address: str,
    ) -> dict[str, Any] | None:
        """What an API call leaves behind, or None when it failed."""
        if not status.startswith("2"):
            return None
        parts = uri.split("/v1.0/")[1].split("?")[0].split("/")
        user_id = account or (parts[1] if parts[0] == "users" else "")
        number = self._user_numbers.get(user_id)
        owner = "" if number is None else self.people.principal_name(number)
        record: dict[str, Any] = {
            "CreationTime": moment[:19],
            "Id": ids.guid(self.world.seed, "unified audit", request),
            "OrganizationId": self.world.tenant_id,
            "ResultStatus": "Succeeded",
            "UserKey": user_id or app,
            "UserType": 0 if account or owner else 5,
            "Version": 1,
            "ClientIP": address,
            "UserId": owner or "app@sharepoint",
            "AppAccessContext": {"ClientAppId": app, "UniqueTokenId": request[:22]},
        }
        amount = None if size == "null" else int(size)
        if name in _FILES:
            drive, file = (parts[1], parts[3]) if parts[0] == "drives" else ("me", parts[3])
            home = "OneDrive" if name == "my_file" else "SharePoint"
            return record | {
                "Operation": _FILES[name],
                "RecordType": 6,
                "Workload": home,
                "ObjectId": f"https://northwind-sample.example/{drive}/{file}.docx",
                "ItemType": "File",
                "SourceFileExtension": "docx",
                "SourceFileName": f"{file}.docx",
                "ApplicationId": app,
                **({"FileSizeBytes": amount} if amount is not None else {}),
            }
        record |= {
            "Workload": "Exchange",
            "AppId": _GRAPH,
            "ClientAppId": app,
            "ClientInfoString": "Client=REST;;",
            "ExternalAccess": False,
            "LogonType": 0 if account else 4,
            "MailboxGuid": ids.guid(self.world.seed, "mailbox", user_id),
            "MailboxOwnerUPN": owner,
        }
        item: dict[str, Any] = {"InternetMessageId": f"<{request}@northwind-sample.example>"}
        item |= {} if amount is None else {"SizeInBytes": amount}
        if name in _SENT:
            return record | {"Operation": "Send", "RecordType": 2, "Item": {**item, "Subject": "Notice"}}
        return record | {
            "Operation": "MailItemsAccessed",
            "RecordType": 50,
            "OperationCount": 1,
            "OperationProperties": [
                {"Name": "MailAccessType", "Value": "Bind"},
                {"Name": "IsThrottled", "Value": "False"},
            ],
            "Folders": [{"FolderItems": [item], "Id": "LgAAAAB", "Path": "\\Inbox"}],
        }

    # ---- changes to applications -----------------------------------------------------------------------------------

    @cached_property
    def _changes(self) -> dict[int, list[dict[str, Any]]]:
        """Directory audit records about applications by day, newest first."""
        found: dict[int, list[dict[str, Any]]] = {}
        for row in self._audits:
            if b'"category":"ApplicationManagement"' in row:
                record = _decode(row)
                day = day_index(FIRST_DAY.fromisoformat(record["activityDateTime"][:10]))
                found.setdefault(day, []).append(record)
        return found

    def _change(self, record: dict[str, Any]) -> dict[str, Any]:
        """A directory audit record in the words of the unified audit log."""
        user, app = record["initiatedBy"]["user"], record["initiatedBy"]["app"]
        activity = record["activityDisplayName"]
        actor_id = user["id"] if user else app["servicePrincipalId"]
        actor_kind = "User" if user else "ServicePrincipal"
        targets: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        for target in record["targetResources"]:
            kind = target["type"]
            targets += [{"ID": f"{kind}_{target['id']}", "Type": 2}, {"ID": target["id"], "Type": 2}]
            targets += [{"ID": kind, "Type": 2}, {"ID": target["displayName"] or "", "Type": 1}]
            changed += [
                {"Name": item["displayName"], "NewValue": item["newValue"] or "", "OldValue": item["oldValue"] or ""}
                for item in target["modifiedProperties"]
            ]
        details = {item["key"]: item["value"] for item in record["additionalDetails"]}
        name = user["userPrincipalName"] if user else f"ServicePrincipal_{actor_id}"
        return {
            "CreationTime": record["activityDateTime"][:19],
            "Id": ids.guid(self.world.seed, "unified audit", record["id"]),
            "Operation": activity if activity.endswith(" ") else f"{activity}.",
            "OrganizationId": self.world.tenant_id,
            "RecordType": 8,
            "ResultStatus": record["result"].capitalize(),
            "UserKey": actor_id,
            "UserType": 0 if user else 6,
            "Version": 1,
            "Workload": "AzureActiveDirectory",
            "ClientIP": user["ipAddress"] if user else "",
            "ObjectId": details.get("AppId", record["targetResources"][0]["id"]),
            "UserId": name,
            "AzureActiveDirectoryEventType": 1,
            "InterSystemsId": record["correlationId"],
            "Actor": [
                {"ID": name, "Type": 5},
                {"ID": f"{actor_kind}_{actor_id}", "Type": 2},
                {"ID": actor_kind, "Type": 2},
            ],
            "Target": targets,
            "ModifiedProperties": changed,
            "ExtendedProperties": [
                {"Name": "additionalDetails", "Value": msgspec.json.encode(details).decode()},
                {"Name": "extendedAuditEventCategory", "Value": record["targetResources"][-1]["type"]},
            ],
        }


_READ = ("Timestamp", "RequestId", "ApplicationId", "AccountObjectId", "RequestUri", "ResponseStatusCode",
         "ResponseSize", "IPAddress")  # fmt: skip


def _plain(fragment: str) -> str:
    """The text of a JSON fragment that holds no escapes."""
    return fragment.strip('"')
