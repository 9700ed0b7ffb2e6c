"""Asking the sample tenant in tests, without HTTP, and reading its rows with plain Python."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from appgov_lib.sample.tenant import Answer, Request, Tenant
from appgov_lib.sample.world import Size, default_users

FIRST = date(2026, 8, 17)
STREAMS = ("nonInteractiveUser", "servicePrincipal", "managedIdentity")
EVENTUAL = {"consistencylevel": "eventual"}


@cache
def tenant(seed: int = 7, service_principals: int = 400) -> Tenant:
    """The tenant of a seed, laid out once per test process."""
    return Tenant(seed, Size(service_principals, default_users(service_principals)))


def ask(url: str, *, headers: dict[str, str] | None = None, body: Any = None, of: Tenant | None = None) -> Answer:
    """The answer to `/v1.0/...` or a full link; with a body it is a POST."""
    parts = urlsplit(url)
    _, version, path = parts.path.split("/", 2)
    data = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    return (of or tenant()).answer(Request(method, version, "/" + path, parts.query, headers or {}, data))


def page(url: str, **options: Any) -> dict[str, Any]:
    """A page that has to succeed."""
    answer = ask(url, **options)
    assert answer.status == 200, answer.body[:300]
    found: dict[str, Any] = json.loads(answer.body)
    return found


def pages(url: str, **options: Any) -> Iterator[dict[str, Any]]:
    """All pages of a list."""
    here: str | None = url
    while here:
        found = page(here, **options)
        yield found
        here = found.get("@odata.nextLink")


def rows(url: str, **options: Any) -> list[dict[str, Any]]:
    """All rows of a list."""
    return [row for found in pages(url, **options) for row in found["value"]]


def error(url: str, **options: Any) -> tuple[int, str]:
    """(status, code) of an answer that has to fail, with Graph's error body."""
    answer = ask(url, **options)
    found = json.loads(answer.body)["error"]
    assert found["message"]
    assert found["innerError"]["request-id"]
    return answer.status, found["code"]


def hunt(query: str, timespan: str | None = None) -> list[dict[str, Any]]:
    """The rows of a hunting query."""
    found: list[dict[str, Any]] = page("/v1.0/security/runHuntingQuery", body={"Query": query, "Timespan": timespan})[
        "results"
    ]
    return found


@cache
def calls() -> list[dict[str, Any]]:
    """All API calls of the default tenant, read week by week because of the row cap."""
    found = []
    for week in range(13):
        window = f"Timestamp >= datetime({_monday(week)}) and Timestamp < datetime({_monday(week + 1)})"
        found += hunt(f"GraphApiAuditEvents | where {window}")
    return found


def _monday(week: int) -> str:
    """ISO date of the Monday that many weeks after the first day."""
    return (FIRST + timedelta(weeks=week)).isoformat()


@cache
def service_principals() -> dict[str, dict[str, Any]]:
    """Service principals by app id."""
    return {row["appId"]: row for row in rows("/v1.0/servicePrincipals?$top=999")}


@cache
def applications() -> dict[str, dict[str, Any]]:
    """Registrations with their owners by app id."""
    return {row["appId"]: row for row in rows("/v1.0/applications?$top=999&$expand=owners")}


@cache
def sign_ins() -> dict[str, list[dict[str, Any]]]:
    """All sign-ins by app id."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    urls = [f"/beta/auditLogs/signIns?$filter=signInEventTypes/any(t: t eq '{stream}')" for stream in STREAMS]
    for url in ("/v1.0/auditLogs/signIns", *urls):
        for row in rows(url):
            found[row["appId"]].append(row)
    return found


@cache
def calls_by_app() -> dict[str, list[dict[str, Any]]]:
    """All API calls by app id."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in calls():
        found[row["ApplicationId"]].append(row)
    return found


@cache
def roles_of(app_id: str) -> set[str]:
    """Application permissions of Microsoft Graph that an app holds."""
    graph = service_principals()["00000003-0000-0000-c000-000000000000"]
    names = {role["id"]: role["value"] for role in graph["appRoles"]}
    held = rows(f"/v1.0/servicePrincipals/{service_principals()[app_id]['id']}/appRoleAssignments")
    return {names[row["appRoleId"]] for row in held if row["resourceId"] == graph["id"]}


@cache
def grants() -> list[dict[str, Any]]:
    """All delegated grants."""
    return rows("/v1.0/oauth2PermissionGrants?$top=999")


def day(text: str) -> int:
    """Days since the first day of the log."""
    return (date.fromisoformat(text[:10]) - FIRST).days


def daily(records: list[dict[str, Any]], time: str, size: str | None = None) -> list[float]:
    """Sum of `size`, or the number of records, for each of the 91 days."""
    found = [0.0] * 91
    for row in records:
        found[day(row[time])] += (row[size] or 0) if size else 1
    return found


def ratios(values: list[float]) -> list[float]:
    """The last seven days against the median of the same weekday in the twelve weeks before."""
    return [values[84 + k] / max(1.0, median(values[k:84:7])) for k in range(7)]


def moment(text: str) -> datetime:
    """A time of Graph."""
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
