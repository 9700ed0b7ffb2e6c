"""What was written to the tenant beside its four directory lists: owners, assignments, federation, roles, policies.

Nothing of it is stored: it lives as long as the process, over a tenant that itself never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from appgov_lib.sample.collections import Plain, Timed
from appgov_lib.sample.directory import compact

Record = dict[str, Any]
_decode = msgspec.json.Decoder().decode
_OVERLAID = ("/roleManagement/directory/roleAssignments", "/identity/conditionalAccess/policies")


@dataclass
class Part:
    """What was taken from and put into lists of one kind."""

    gone: set[tuple[str, str]] = field(default_factory=set)
    """(object it belongs to, id)."""
    added: list[tuple[str, Record]] = field(default_factory=list)

    def take(self, parent: str, key: str) -> None:
        """Remove a member that is there."""
        kept = [(owner, record) for owner, record in self.added if (owner, record["id"]) != (parent, key)]
        if len(kept) == len(self.added):
            self.gone.add((parent, key))
        self.added = kept

    def put(self, parent: str, record: Record) -> None:
        """Add a member; one that was taken before comes back in its old place when it is the same."""
        if (parent, record["id"]) in self.gone:
            self.gone.remove((parent, record["id"]))
        else:
            self.added.append((parent, record))

    def over(self, parent: str, records: Sequence[Record]) -> list[Record]:
        """The members of one object as they are now."""
        kept = [record for record in records if (parent, record["id"]) not in self.gone]
        return [*kept, *(record for owner, record in self.added if owner == parent)]


@dataclass
class Edits:
    """Everything written so far."""

    owners: Part = field(default_factory=Part)
    federated: Part = field(default_factory=Part)
    assignments: Part = field(default_factory=Part)
    """By the client that holds them."""
    roles: Part = field(default_factory=Part)
    mail_rules: Part = field(default_factory=Part)
    """By user."""
    consent_policies: Part = field(default_factory=Part)
    conditions: Part = field(default_factory=Part)
    """By consent policy and the part it belongs to."""
    app_policies: Part = field(default_factory=Part)
    limited: Part = field(default_factory=Part)
    """Registrations by the app management policy that holds for them."""
    access: Part = field(default_factory=Part)
    """Conditional Access policies."""
    risks: dict[str, Record] = field(default_factory=dict)
    """What was said about the risk of service principals, by their id."""
    purged: set[str] = field(default_factory=set)
    """Ids of deleted objects that were deleted for good."""
    objects: dict[str, Record] = field(default_factory=dict)
    """Values written to single objects, by path."""

    def single(self, path: str, record: Record) -> Record:
        """A single object as it is now."""
        return merged(record, self.objects[path]) if path in self.objects else record

    def listed(self, path: str, found: Plain | Timed) -> Plain | Timed:
        """A list of alerts, incidents, role assignments or Conditional Access policies as it is now."""
        written = {key: values for key, values in self.objects.items() if key.rpartition("/")[0] == path}
        if isinstance(found, Timed) and written:
            rows = []
            for row in found.held:
                record = _decode(row)
                values = written.get(f"{path}/{record['id']}")
                rows.append(compact(merged(record, values)).encode() if values else row)
            return replace(found, held=rows)
        parts = {"roleAssignments": self.roles, "policies": self.access}
        part = parts.get(path.rpartition("/")[2]) if path in _OVERLAID else None
        if isinstance(found, Plain) and part and (part.gone or part.added):
            records = part.over("", [_decode(row) for row in found.rows(0, len(found))])
            rows = [compact(record).encode() for record in records]
            return replace(found, count=len(rows), row=lambda number: rows[number], expanders={})
        return found

    def at_risk(self, rows: Sequence[bytes]) -> list[bytes]:
        """Risky service principals as they are now."""
        found = {_decode(row)["id"]: row for row in rows}
        return list((found | {key: compact(record).encode() for key, record in self.risks.items()}).values())

    def assigned(self, found: Plain, client: str = "", resource: str = "") -> Plain:
        """Assignments that a client holds, or that a resource has given, as they are now."""
        part = self.assignments
        if not part.gone and not part.added:
            return found
        gone = {key for _, key in part.gone}
        rows = [row for row in found.rows(0, len(found)) if _decode(row)["id"] not in gone]
        for holder, record in part.added:
            if holder == client or record["resourceId"] == resource:
                rows.append(compact(record).encode())
        return Plain(len(rows), lambda number: rows[number], max_top=found.max_top)


def merged(record: Record, values: Record) -> Record:
    """`record` with `values` laid over it; objects are merged, everything else is replaced."""
    result = dict(record)
    for name, value in values.items():
        before = result.get(name)
        result[name] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result
