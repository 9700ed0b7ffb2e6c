"""The catalogue of sources, read from `sources.toml`: what is asked of Graph, under which right, and what for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from appgov_lib.errors import ConfigError
from appgov_lib.extract.snapshot import iso

METHODS = ("list", "object", "expand", "assigned_to", "batch", "children", "hunting", "audit_query")
QUERY_SAFE = "(),$=;:/&"
"""Characters of OData that stay as they are in a query."""
HUNTING_ROW_CAP = 100_000
"""Rows a hunting query returns at most through the API (Defender XDR limits, 2025); a full answer may be cut."""


@dataclass(frozen=True)
class Source:
    """One entry of the catalogue."""

    name: str
    bucket: str
    kind: str
    """`state` or `log`."""
    method: str
    """One of `METHODS`: how the extractor walks it."""
    version: str
    """`v1.0` or `beta`."""
    path: str
    workload: str
    """Throttling budget the requests count against."""
    permission: str
    """Least application permission."""
    what_is_lost: str
    """What the report cannot say without it, one sentence."""
    licence: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every request; `load_sources` adds the one that `prefer` stands for."""
    prefer: str = ""
    """What the `Prefer` header asks for."""
    filter: str = ""
    """A fixed `$filter` term, joined with the time window by `and`."""
    time_field: str = ""
    slice_days: int = 0
    """Logs: length of one independently read window."""
    parent: str = ""
    """`assigned_to`, `batch`, `children`: the source whose kept records are walked, by their `id`."""
    parent_path: str = ""
    """`batch`, `children`: instead of `parent`, the listing whose records are walked."""
    default: bool = True
    """Whether a run reads it without being told; the others are read when named."""
    delta: bool = False
    """Whether Graph reports what changed since the last run, so that a full list is needed only now and then."""
    expand: str = ""
    """`expand`: the relation that is expanded; Graph cuts it at 20 objects."""
    table: str = ""
    """`hunting`: the table."""
    columns: str = ""
    """`hunting`: the columns asked for."""
    kql: str = ""
    """`hunting`: instead of `columns`, what follows the time window, e.g. `| summarize ...`."""
    shard_by: str = ""
    """`hunting`: the column by whose hash a query is split that would answer with too much; else it is by time."""
    stands_in_for: str = ""
    """The source whose facts this one gives in another form; either is enough."""
    gives_without: str = ""
    """With `stands_in_for`: what the other form lacks."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """`audit_query`: the search, without its time span."""

    def url(self, endpoint: str, window: Window | None = None, **ids: str) -> str:
        """The first request of a chain, percent-encoded, with the window's filter where the source has one."""
        path = self.path
        for key, value in ids.items():
            path = path.replace("{" + key + "}", quote(value, safe=""))
        terms = [self.filter] if self.filter else []
        if window and self.time_field and self.method != "hunting":
            # `lt` is refused on sign-in times, so windows touch and duplicates collapse by id later.
            terms += [f"{self.time_field} ge {iso(window.start)}", f"{self.time_field} le {iso(window.end)}"]
        query = {**self.query, **({"$filter": " and ".join(terms)} if terms else {})}
        text = "&".join(f"{key}={quote(value, safe=QUERY_SAFE)}" for key, value in query.items())
        return f"{endpoint}/{self.version}{path}" + (f"?{text}" if text else "")

    def hunting_query(self, window: Window, shard: Shard | None = None) -> str:
        """The KQL for one window, and for one of the shards it is split into.

        Single rows take both ends of a window, and collapse by id; sums leave the end to the next window.
        """
        start, end = f"datetime({iso(window.start)})", f"datetime({iso(window.end)})"
        if self.is_summed:
            return f"{self.table} | where {self.time_field} >= {start} and {self.time_field} < {end} {self.kql}"
        tail = self.kql or f"| project {self.columns}"
        if shard is not None and shard.of > 1:
            tail = f"| where hash({self.shard_by}, {shard.of}) == {shard.number} {tail}"
        return f"{self.table} | where {self.time_field} between ({start} .. {end}) {tail}"

    @property
    def is_summed(self) -> bool:
        """Whether the service counts rows together before it sends them; the latest row of each is no sum."""
        return "= count()" in self.kql

    @property
    def page_size(self) -> int:
        """Records a full page holds: what `$top` asks for, else Graph's default of 100."""
        return int(self.query.get("$top", 100))

    def delta_url(self, endpoint: str) -> str:
        """The request that answers with a delta link to start from, and no records."""
        select = self.query.get("$select")
        chosen = f"$select={select}&" if select else ""
        return f"{endpoint}/{self.version}{self.path}/delta()?{chosen}$deltatoken=latest"

    def parent_url(self, endpoint: str) -> str:
        """The listing of the objects that are walked."""
        path, _, query = self.parent_path.partition("?")
        return f"{endpoint}/{self.version}{path}" + (f"?{quote(query, safe=QUERY_SAFE)}" if query else "")


@dataclass(frozen=True)
class Shard:
    """The rows whose key has a hash that leaves `number` when divided by `of`."""

    number: int = 0
    of: int = 1

    def quarters(self) -> list[Shard]:
        """Four shards that are this one together: their hashes leave the same rest when divided by `of`."""
        return [Shard(self.number + place * self.of, 4 * self.of) for place in range(4)]

    @property
    def key(self) -> str:
        """What it adds to the name of its window; nothing for the whole."""
        return "" if self.of == 1 else f"-{self.number}of{self.of}"


@dataclass(frozen=True)
class Window:
    """A span of time; whether its end belongs to it is the query's business."""

    start: datetime
    end: datetime

    def slices(self, days: int) -> list[Window]:
        """Cut into touching windows of at most `days` days, oldest first; 0 or less leaves it whole."""
        if days <= 0:
            return [self]
        cuts, start = [], self.start
        while start < self.end:
            end = min(start + timedelta(days=days), self.end)
            cuts.append(Window(start, end))
            start = end
        return cuts or [self]

    def halves(self) -> list[Window]:
        """Two touching halves, to the second; an empty list when there is nothing left to cut."""
        middle = self.start + timedelta(seconds=int((self.end - self.start).total_seconds() // 2))
        return [] if middle <= self.start else [Window(self.start, middle), Window(middle, self.end)]

    @property
    def key(self) -> str:
        """A short name used in the journal."""
        return f"{self.start:%Y%m%dT%H%M%S}-{self.end:%Y%m%dT%H%M%S}"


@cache
def load_sources() -> dict[str, Source]:
    """The catalogue in file order, by name; raises `ConfigError` for an entry that cannot be used."""
    text = (Path(__file__).parent / "sources.toml").read_text(encoding="utf-8")
    found: dict[str, Source] = {}
    for entry in tomllib.loads(text)["source"]:
        if "prefer" in entry:
            entry["headers"] = {**entry.get("headers", {}), "Prefer": entry["prefer"]}
        source = Source(**entry)
        if source.method not in METHODS or source.kind not in ("state", "log") or source.name in found:
            raise ConfigError(f"sources.toml: the entry {source.name!r} has an unknown method or kind, or comes twice.")
        found[source.name] = source
    return found


def choose_sources(names: tuple[str, ...] | list[str], also: tuple[str, ...] | list[str] = ()) -> list[Source]:
    """The named sources and the parents they need, in catalogue order; every default one when none is named.

    `also` adds to either. Raises `ConfigError` for a name that is not in the catalogue.
    """
    catalogue = load_sources()
    unknown = [name for name in (*names, *also) if name not in catalogue]
    if unknown:
        raise ConfigError(f"There is no source called {unknown[0]!r}; the names are: {', '.join(catalogue)}.")
    wanted = set(names or (name for name, source in catalogue.items() if source.default)) | set(also)
    wanted |= {catalogue[name].parent for name in wanted if catalogue[name].parent}
    return [source for source in catalogue.values() if source.name in wanted]
