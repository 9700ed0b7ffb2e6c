"""Before a run: who signs in, is each source readable, why not, and what does the report lose without it.

Two looks: what the token says was granted, and one small request to each source. The request decides; the token tells
why, and what was granted beyond need.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from appgov_lib.extract.claims import Claims, read_claims
from appgov_lib.extract.clouds import cloud_of
from appgov_lib.extract.credentials import credential_for
from appgov_lib.extract.graph import GraphClient, GraphError, Page
from appgov_lib.extract.limits import Budget
from appgov_lib.extract.permissions import SIGN_IN_SCOPES, needed, only_reads, sufficient
from appgov_lib.extract.snapshot import iso
from appgov_lib.extract.sources import Source, Window, choose_sources, load_sources
from appgov_lib.settings import Settings


class _Named(msgspec.Struct):
    """Any directory object."""

    id: str


@dataclass(frozen=True)
class Probe:
    """What the token and one small request to a source told."""

    source: str
    status: str
    """`readable`, `not_permitted`, `not_licensed` or `failed`."""
    reason: str
    """The service's answer, empty when readable."""
    permission: str
    """The least permission that reads it."""
    licence: str
    what_is_lost: str
    granted: str = "unknown"
    """`granted`, `missing`, or `unknown` when the token cannot be read."""
    granted_by: str = ""
    """The permission in the token that reads it: the least one, or a wider one."""
    lacks: str = ""
    """What it does not give although it is readable, and how to get it."""

    @property
    def readable(self) -> bool:
        """Whether the source answered."""
        return self.status == "readable"


@dataclass(frozen=True)
class Identity:
    """Who the token speaks for; empty where it does not say."""

    way: str
    """The sign-in that was asked for: one of `settings.SIGN_INS`, or `ready-token`."""
    cloud: str
    endpoint: str
    kind: str = "unknown"
    """`application`, `delegated`, or `unknown` when the token cannot be read."""
    client_proof: str = ""
    tenant_id: str = ""
    app_id: str = ""
    app_name: str = ""
    expires_at: str = ""


@dataclass(frozen=True)
class Excess:
    """A permission in the token that no source needs as its least."""

    permission: str
    more_than_reads: bool
    stands_in_for: tuple[str, ...]
    """Missing permissions whose sources it makes readable."""


@dataclass(frozen=True)
class Diagnosis:
    """Everything `appgov doctor` knows."""

    identity: Identity
    sources: tuple[Probe, ...]
    missing: tuple[str, ...]
    """Least permissions of the chosen sources that the token lacks and nothing in it stands in for."""
    excess: tuple[Excess, ...]
    warnings: tuple[str, ...]


def probe(settings: Settings, **options: Any) -> list[Probe]:
    """The sources of `diagnose`, in catalogue order."""
    return list(diagnose(settings, **options).sources)


def diagnose(
    settings: Settings,
    *,
    now: datetime,
    names: tuple[str, ...] = (),
    credential: Any = None,
    limits: Mapping[str, Budget] | None = None,
) -> Diagnosis:
    """Sign in, read the token's claims, and ask every chosen source for one record.

    `now` is a naive UTC time. Raises `ConfigError` for an unknown source and `SignInError` without a valid credential.
    """
    sources = choose_sources(names)
    return asyncio.run(_diagnose(settings, sources, credential or credential_for(settings), now, limits))


async def _diagnose(
    settings: Settings, sources: list[Source], credential: Any, now: datetime, limits: Mapping[str, Budget] | None
) -> Diagnosis:
    """The token first, then all sources at once, within the throttling budgets."""
    async with GraphClient(settings.endpoint, credential, limits=limits, now=now) as client:
        # enable_cae as the requests ask for it, so that this is the token they use and not a second sign-in.
        token = await credential.get_token(f"{settings.endpoint}/.default", enable_cae=True)
        claims = read_claims(token.token)
        tasks = [asyncio.create_task(_probe_one(client, source, now, claims)) for source in sources]
        # what stops one (no sign-in, a wrong clock) stops all: wait for their ends, so that nothing is left open
        await asyncio.gather(*tasks, return_exceptions=True)
        probes = [task.result() for task in tasks]
    cloud = cloud_of(settings.endpoint)
    identity = Identity(getattr(credential, "way", "given"), cloud.name if cloud else "none", settings.endpoint)
    if claims is None:
        return Diagnosis(identity, tuple(probes), (), (), ())
    identity = Identity(
        identity.way,
        identity.cloud,
        identity.endpoint,
        claims.kind,
        claims.client_proof,
        claims.tenant_id,
        claims.app_id,
        claims.app_name,
        iso(claims.expires_at) if claims.expires_at else "",
    )
    missing = tuple(sorted({item.permission for item in probes if item.granted == "missing"}))
    excess = excess_of(claims, load_sources().values())
    return Diagnosis(identity, tuple(probes), missing, excess, _warnings(claims, excess, now))


def granted(source: Source, claims: Claims | None) -> tuple[str, str]:
    """(`granted`, the permission that does it), or `missing` or `unknown` with nothing."""
    if claims is None:
        return "unknown", ""
    found = next((name for name in sufficient(source) if name in claims.permissions), "")
    return ("granted", found) if found else ("missing", "")


def excess_of(claims: Claims, sources: Iterable[Source]) -> tuple[Excess, ...]:
    """Permissions in the token beyond the least ones of `sources`, those that do more than read first."""
    catalogue = tuple(sources)
    least = set(needed(catalogue))
    found = []
    for name in claims.permissions - least - SIGN_IN_SCOPES:
        stands_in = {s.permission for s in catalogue if granted(s, claims) == ("granted", name)}
        found.append(Excess(name, not only_reads(name), tuple(sorted(stands_in))))
    return tuple(sorted(found, key=lambda item: (not item.more_than_reads, item.permission)))


def _warnings(claims: Claims, excess: tuple[Excess, ...], now: datetime) -> tuple[str, ...]:
    """What is wrong with the sign-in itself, a sentence each."""
    found = [
        f"{item.permission} can do more than read; an app that only reads should not hold it. Remove it"
        + (f" and grant {', '.join(item.stands_in_for)} instead." if item.stands_in_for else ".")
        for item in excess
        if item.more_than_reads
    ]
    if claims.kind == "delegated":
        found.append(
            "The token is a person's: it reads what that person may read, so sources can be refused although the "
            "permission is granted."
        )
    if claims.expires_at and claims.expires_at <= now:
        found.append(f"The token ended at {iso(claims.expires_at)}; is this machine's clock right?")
    return tuple(found)


async def _probe_one(client: GraphClient, source: Source, now: datetime, claims: Claims | None) -> Probe:
    """One request, its answer as a `Probe`."""
    status, reason = "readable", ""
    try:
        await _ask(client, source, now)
    except GraphError as error:
        status, reason = error.coverage_status, str(error)
    lacks = ""
    if source.gives_without:
        lacks = f"without {source.gives_without} (`appgov extract --also {source.stands_in_for}`)"
    rights = granted(source, claims)
    return Probe(
        source.name, status, reason, source.permission, source.licence, source.what_is_lost, *rights, lacks=lacks
    )


async def _ask(client: GraphClient, source: Source, now: datetime) -> None:
    """Read one record of `source`, or nothing where there is none; raises `GraphError` when refused.

    An audit search is not created: listing the earlier ones needs the same permission.
    """
    window = Window(now - timedelta(hours=1), now) if source.kind == "log" else None
    send = partial(client.send, name=source.name, workload=source.workload)
    if source.method == "hunting":
        body = json.dumps({"Query": f"{source.table} | take 1"}).encode()
        await send(dict, "POST", source.url(client.endpoint), body=body)
        return
    ids = {}
    if source.parent or source.parent_path:
        if source.parent:
            parent = load_sources()[source.parent]
            listing, headers = parent.url(client.endpoint), parent.headers
        else:
            listing = source.parent_url(client.endpoint)
            headers = {"ConsistencyLevel": "eventual"} if "$count" in source.parent_path else {}
        _, answer = await send(dict, "GET", _one_record(listing), headers=headers)
        found = msgspec.json.decode(answer, type=Page).value
        if not found:
            return
        ids = {"id": msgspec.json.decode(found[0], type=_Named).id}
    url = source.url(client.endpoint, window if source.method != "audit_query" else None, **ids)
    await send(dict, "GET", _one_record(url), headers=source.headers)


def _one_record(url: str) -> str:
    """The same request for one record."""
    parts = urlsplit(url)
    query = "&".join("$top=1" if term.startswith("$top=") else term for term in parts.query.split("&"))
    return urlunsplit(parts._replace(query=query))
