"""Purview audit search as Graph offers it: a query is created, works for a while, then has records to page through."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import DAYS, FIRST_DAY, NOW
from appgov_lib.sample.collections import Plain, read_time
from appgov_lib.sample.directory import compact
from appgov_lib.sample.odata import GraphError
from appgov_lib.sample.office import RECORD_TYPES, OfficeAudit

_STATES = ("notStarted", "running", "succeeded")
"""What the creation says, the first look, and every later one."""
_LISTS = (
    "recordTypeFilters", "serviceFilters", "operationFilters", "userPrincipalNameFilters", "ipAddressFilters",
    "objectIdFilters", "administrativeUnitIdFilters",
)  # fmt: skip
_KEPT = 4
_PAGE = 150
_USER_TYPES = {0: "Regular", 5: "Application", 6: "ServicePrincipal"}


@dataclass
class _Search:
    """One query: what was asked, and how often somebody looked."""

    identifier: str
    asked: dict[str, Any]
    low: datetime
    high: datetime
    looks: int = 0
    limit: int = 10**9
    found: int | None = field(default=None)


class AuditQueries:
    """The audit searches of a tenant."""

    def __init__(self, office: OfficeAudit) -> None:
        """Start without any."""
        self.office, self.world = office, office.world
        self._searches: dict[str, _Search] = {}
        self._results: OrderedDict[str, list[bytes]] = OrderedDict()

    def create(self, body: dict[str, Any]) -> bytes:
        """Take a query; it has not started. Raises GraphError 400 for a filter of the wrong kind."""
        low, high = body.get("filterStartDateTime"), body.get("filterEndDateTime")
        if not isinstance(low, str) or not isinstance(high, str):
            raise GraphError(400, "BadRequest", "filterStartDateTime and filterEndDateTime are required.")
        for name in _LISTS:
            value = body.get(name) or []
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise GraphError(400, "BadRequest", f"{name} has to be a list of texts.")
        limit = body.get("recordCountLimit")
        search = _Search(
            ids.guid(self.world.seed, "audit query", len(self._searches)), body, read_time(low), read_time(high)
        )
        if search.high < search.low:
            raise GraphError(400, "BadRequest", "filterEndDateTime lies before filterStartDateTime.")
        if isinstance(limit, int) and limit > 0:
            search.limit = limit
        self._searches[search.identifier] = search
        return self._written(search)

    def listed(self) -> list[bytes]:
        """All queries, without looking at them."""
        return [self._written(search) for search in self._searches.values()]

    def look(self, identifier: str) -> bytes | None:
        """A query as it is now; looking is what makes time pass. None when there is no such query."""
        search = self._searches.get(identifier)
        if search is None:
            return None
        search.looks += 1
        if self._state(search) == "succeeded" and search.found is None:
            search.found = len(self._matching(search))
        return self._written(search)

    def records(self, identifier: str) -> Plain | None:
        """The records of a query. None when there is no such query; raises GraphError 400 while it still works."""
        search = self._searches.get(identifier)
        if search is None:
            return None
        if self._state(search) != "succeeded":
            raise GraphError(400, "BadRequest", "The query has not succeeded yet.")
        rows = self._matching(search)[: search.limit]
        return Plain(len(rows), lambda number: rows[number], default_top=_PAGE)

    def _state(self, search: _Search) -> str:
        """How far a query is."""
        return _STATES[min(search.looks, len(_STATES) - 1)]

    def _written(self, search: _Search) -> bytes:
        """A query as Graph writes it."""
        asked = search.asked
        many = search.found
        return compact(
            {
                "@odata.type": "#microsoft.graph.security.auditLogQuery",
                "id": search.identifier,
                "displayName": asked.get("displayName"),
                "filterStartDateTime": asked["filterStartDateTime"],
                "filterEndDateTime": asked["filterEndDateTime"],
                "keywordFilter": asked.get("keywordFilter"),
                **{name: asked.get(name) or [] for name in _LISTS},
                "status": self._state(search),
                "recordCountLimit": asked.get("recordCountLimit"),
                "approximateReturnedRecordCount": None if many is None else min(many, search.limit),
                "isRecordCountLimitExceeded": many is not None and many > search.limit,
            }
        ).encode()

    def _matching(self, search: _Search) -> list[bytes]:
        """Records in the window that pass the filters, newest first; the last few results are kept."""
        if search.identifier in self._results:
            self._results.move_to_end(search.identifier)
            return self._results[search.identifier]
        wanted = {name: {item.lower() for item in search.asked.get(name) or []} for name in _LISTS}
        word = str(search.asked.get("keywordFilter") or "").lower()
        first = max(0, (search.low.date() - FIRST_DAY).days)
        end = min(search.high, NOW) - timedelta(microseconds=1)
        last = min(DAYS - 1, (end.date() - FIRST_DAY).days)
        low, high = (moment.strftime("%Y-%m-%dT%H:%M:%S") for moment in (search.low, search.high))
        found: list[bytes] = []
        for day in range(last, first - 1, -1):
            rows = [
                row
                for rows in self.office.day(day)
                for row in rows
                if low <= row["CreationTime"] <= high and _passes(row, wanted)
            ]
            rows.sort(key=lambda row: (row["CreationTime"], row["Id"]), reverse=True)
            written = (compact(_record(self.world.tenant_id, row)) for row in rows)
            found += [text.encode() for text in written if not word or word in text.lower()]
        self._results[search.identifier] = found
        if len(self._results) > _KEPT:
            self._results.popitem(last=False)
        return found


def _passes(row: dict[str, Any], wanted: dict[str, set[str]]) -> bool:
    """Whether a unified audit record passes the filters; an empty one lets everything through."""
    facts = {
        "recordTypeFilters": RECORD_TYPES[row["RecordType"]],
        "serviceFilters": row["Workload"],
        "operationFilters": row["Operation"].strip().rstrip("."),
        "userPrincipalNameFilters": row["UserId"],
        "ipAddressFilters": row["ClientIP"],
        "objectIdFilters": row.get("ObjectId", ""),
    }
    for name, fact in facts.items():
        allowed = {item.strip().rstrip(".") for item in wanted[name]} if name == "operationFilters" else wanted[name]
        if allowed and fact.lower() not in allowed:
            return False
    return True


def _record(tenant: str, row: dict[str, Any]) -> dict[str, Any]:
    """A unified audit record in Graph's envelope; the data comes without its typed subtype, as often in the service."""
    return {
        "@odata.type": "#microsoft.graph.security.auditLogRecord",
        "id": row["Id"],
        "createdDateTime": f"{row['CreationTime']}Z",
        "auditLogRecordType": RECORD_TYPES[row["RecordType"]],
        "operation": row["Operation"],
        "organizationId": tenant,
        "userType": _USER_TYPES[row["UserType"]],
        "userId": row["UserKey"],
        "service": row["Workload"],
        "objectId": row.get("ObjectId"),
        "userPrincipalName": row["UserId"],
        "clientIp": row["ClientIP"],
        "administrativeUnits": [],
        "auditData": {"@odata.type": "#microsoft.graph.security.defaultAuditData", **row},
    }
