"""Before a run: is each source readable, why not, and what does the report lose without it. One small request each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from appgov_lib.extract.credentials import credential_for
from appgov_lib.extract.graph import GraphClient, GraphError, Page
from appgov_lib.extract.limits import Budget
from appgov_lib.extract.sources import Source, Window, choose_sources
from appgov_lib.settings import Settings


class _Named(msgspec.Struct):
    """Any directory object."""

    id: str


@dataclass(frozen=True)
class Probe:
    """What one small request to a source told."""

    source: str
    status: str
    """`readable`, `not_permitted`, `not_licensed` or `failed`."""
    reason: str
    """The service's answer, empty when readable."""
    permission: str
    licence: str
    what_is_lost: str

    @property
    def readable(self) -> bool:
        """Whether the source answered."""
        return self.status == "readable"


def probe(
    settings: Settings,
    *,
    now: datetime,
    names: tuple[str, ...] = (),
    credential: Any = None,
    limits: Mapping[str, Budget] | None = None,
) -> list[Probe]:
    """Ask every chosen source for one record; in catalogue order.

    Raises `ConfigError` for an unknown source and `SignInError` without a valid credential.
    """
    sources = choose_sources(names)
    return asyncio.run(_probe_all(settings, sources, credential or credential_for(settings), now, limits))


async def _probe_all(
    settings: Settings,
    sources: list[Source],
    credential: Any,
    now: datetime,
    limits: Mapping[str, Budget] | None,
) -> list[Probe]:
    """All sources at once, within the throttling budgets."""
    async with GraphClient(settings.endpoint, credential, limits=limits) as client:
        return list(await asyncio.gather(*(_probe_one(client, source, now) for source in sources)))


async def _probe_one(client: GraphClient, source: Source, now: datetime) -> Probe:
    """One request, its answer as a `Probe`."""
    window = Window(now - timedelta(hours=1), now) if source.kind == "log" else None
    status, reason = "readable", ""
    try:
        if source.method == "hunting":
            body = json.dumps({"Query": f"{source.table} | take 1"}).encode()
            await client.send(
                dict, "POST", source.url(client.endpoint), name=source.name, workload="hunting", body=body
            )
        else:
            ids = {}
            if source.parent:
                first = f"{client.endpoint}/v1.0/servicePrincipals?$top=1&$select=id"
                page, _ = await client.send(Page, "GET", first, name=source.name, workload=source.workload)
                found = page.value
                ids = {"id": msgspec.json.decode(found[0], type=_Named).id} if found else {}
            if ids or not source.parent:
                url = _one_record(source.url(client.endpoint, window, **ids))
                await client.send(dict, "GET", url, name=source.name, workload=source.workload, headers=source.headers)
    except GraphError as error:
        status, reason = error.coverage_status, str(error)
    return Probe(source.name, status, reason, source.permission, source.licence, source.what_is_lost)


def _one_record(url: str) -> str:
    """The same request for one record."""
    parts = urlsplit(url)
    query = "&".join("$top=1" if term.startswith("$top=") else term for term in parts.query.split("&"))
    return urlunsplit(parts._replace(query=query))
