"""The actions somebody chose: from the plan in the warehouse by their ids, or from an approved plan file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from appgov_lib.actions.forms import form_of
from appgov_lib.actions.requests import Request
from appgov_lib.actions.scripts import plain
from appgov_lib.errors import ConfigError

_TEXTS = ("action_id", "action_type", "title", "app_id", "service_principal_id", "disposition")
_COLUMNS = (
    *_TEXTS,
    "finding_ids",
    "method",
    "path",
    "body",
    "requests",
)


@dataclass(frozen=True)
class Part:
    """One request of an action, and the state the plan was made from."""

    request: Request
    expected: Mapping[str, Any] | None
    """An empty mapping where the plan does not know it."""


@dataclass(frozen=True)
class Planned:
    """One action of a plan."""

    action_id: str
    action_type: str
    title: str
    app_id: str
    service_principal_id: str
    disposition: str
    finding_ids: tuple[str, ...]
    parts: tuple[Part, ...]

    def as_record(self) -> dict[str, Any]:
        """The action as it stands in a plan file and in a journal."""
        return {
            **{name: getattr(self, name) for name in _TEXTS},
            "finding_ids": list(self.finding_ids),
            "requests": [
                {
                    "method": part.request.method,
                    "path": part.request.path,
                    "body": part.request.body,
                    "state": part.expected,
                }
                for part in self.parts
            ],
        }


def from_record(record: Mapping[str, Any]) -> Planned:
    """An action of a plan file or journal. Raises `ConfigError` for one that is not whole or none of ours."""
    try:
        requests = record.get("requests") or ([record] if record.get("method") else [])
        parts = tuple(
            Part(Request(str(each["method"]), str(each["path"]), each.get("body")), each.get("state", {}))
            for each in requests
        )
        planned = Planned(
            **{name: plain(str(record.get(name) or "")) for name in _TEXTS},
            finding_ids=tuple(str(item) for item in record.get("finding_ids") or ()),
            parts=parts,
        )
    except (KeyError, TypeError, AttributeError):
        raise ConfigError("The plan holds an action that is not whole; nothing was read or changed.") from None
    for part in parts:
        form_of(part.request)
    return planned


def by_ids(con: duckdb.DuckDBPyConnection, ids: Iterable[str]) -> list[Planned]:
    """The actions of the warehouse with these ids, in the plan's order. Raises `ConfigError` for an unknown id."""
    wanted = list(dict.fromkeys(ids))
    found = _rows(con, "WHERE list_contains(?, action_id)", [wanted])
    unknown = [key for key in wanted if key not in {planned.action_id for planned in found}]
    if unknown:
        raise ConfigError(f"There is no action {unknown[0]!r} in the plan; `appgov actions list` shows the ids.")
    return found


def safe_ones(con: duckdb.DuckDBPyConnection) -> list[Planned]:
    """All actions of the warehouse that are safe and have a request."""
    return _rows(con, "WHERE disposition = 'safe' AND method IS NOT NULL", [])


def _rows(con: duckdb.DuckDBPyConnection, where: str, values: Sequence[Any]) -> list[Planned]:
    """Actions of the table, in the plan's order."""
    try:
        result = con.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM remediation_actions {where} ORDER BY priority", values
        ).fetchall()
    except duckdb.BinderException:
        raise ConfigError("The warehouse was built by an earlier version; run `appgov build` first.") from None
    records = [dict(zip(_COLUMNS, row, strict=True)) for row in result]
    return [
        from_record({**record, "body": _parsed(record["body"]), "requests": _parsed(record["requests"])})
        for record in records
    ]


def _parsed(text: str | None) -> Any:
    """A JSON cell."""
    return json.loads(text) if text else None


def plan_bytes(planned: Sequence[Planned]) -> bytes:
    """A plan file: what `from_file` reads, one action after the other, the same bytes for the same actions."""
    records = [action.as_record() for action in planned]
    return json.dumps({"appgov_plan": 1, "actions": records}, indent=2, ensure_ascii=True).encode() + b"\n"


def from_file(path: Path, sha256: str) -> list[Planned]:
    """The actions of an approved plan file. Raises `ConfigError` when its SHA-256 is not the approved one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The plan {path} cannot be read ({type(error).__name__}).") from None
    digest = hashlib.sha256(content).hexdigest()
    if not sha256 or digest != sha256.strip().lower():
        raise ConfigError(f"The plan {path} has the SHA-256 {digest}, which is not the approved one; nothing was read.")
    try:
        found = json.loads(content)
        records = found["actions"] if isinstance(found, dict) else found
        return [from_record(record) for record in records if record.get("requests") or record.get("method")]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"The plan {path} is not a plan of appgov.") from None
