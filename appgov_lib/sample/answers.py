"""A Graph request and its answer as values, without any HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from appgov_lib.sample.odata import GraphError


@dataclass(frozen=True)
class Request:
    """One Graph request: `path` after the version, `query` as sent, header names in lower case."""

    method: str
    version: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = "http://127.0.0.1"

    @property
    def beta(self) -> bool:
        """Whether this asks the beta version."""
        return self.version == "beta"

    @property
    def root(self) -> str:
        """Where paths of this version start."""
        return f"{self.base}/{self.version}"

    @property
    def eventual(self) -> bool:
        """Whether the request accepts the index that lags behind."""
        return self.headers.get("consistencylevel", "").lower() == "eventual"

    def json(self) -> dict[str, Any]:
        """The body, a JSON object. Raises GraphError 400."""
        try:
            found = msgspec.json.decode(self.body, type=dict[str, Any])
        except msgspec.DecodeError:
            raise GraphError(400, "BadRequest", "Unable to read JSON request payload.") from None
        return found


@dataclass(frozen=True)
class Answer:
    """One answer; JSON unless `content_type` says otherwise."""

    status: int
    body: bytes
    content_type: str = (
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
    )
    headers: Mapping[str, str] = field(default_factory=dict)
