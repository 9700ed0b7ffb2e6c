"""Who the people of a warehouse are: what each is called in it, and what is an app and no person."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from appgov_lib.privacy.declared import Declaration
from appgov_lib.privacy.tokens import Tokens
from appgov_lib.store.copying import REAL

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HOST = re.compile(r"//\[?([0-9A-Fa-f.:]+?)\]?(?::\d+)?(?:[/?#]|$)")
_SITE = re.compile(r"[^0-9A-Za-z]")
Columns = dict[str, list[tuple[str, str]]]


@dataclass
class People:
    """Everybody by all they are called, in lower case; made from the columns that are declared to hold people."""

    tokens: Tokens
    ids: set[str] = field(default_factory=set)
    mails: dict[str, str] = field(default_factory=dict)
    """User principal names and mail addresses, with the id of whose they are, where it is known."""
    names: dict[str, set[str]] = field(default_factory=dict)
    """Display names, with the ids of all who are called so; empty where none is known."""
    addresses: set[str] = field(default_factory=set)
    """Addresses that people used."""
    app_ids: set[str] = field(default_factory=set)
    app_names: set[str] = field(default_factory=set)
    app_addresses: set[str] = field(default_factory=set)
    other: dict[str, str] = field(default_factory=dict)
    """Ids that are made of a person's, with what stands in their place."""

    def add(self, value: str, by: str | None, strict: bool) -> None:
        """Take in one value of a declared column; `by` is the id it stands beside, `strict` says it is no app."""
        low, owner = value.lower(), (by or "").lower()
        if owner in self.app_ids or (not strict and low in self.app_ids):
            return
        owner = owner if GUID.fullmatch(owner) else ""
        if owner:
            self.ids.add(owner)
        if GUID.fullmatch(low):
            self.ids.add(low)
        elif "@" in low:
            self.mails[low] = self.mails.get(low) or owner
        elif strict or owner or low not in self.app_names:
            self.names.setdefault(low, set()).update({owner} - {""})

    def token(self, value: str, by: str | None = None) -> str:
        """The token of a person, by any of what they are called; the same for all of it, as far as it is known."""
        low, owner = value.lower(), (by or "").lower()
        if GUID.fullmatch(owner):
            return self.tokens.of("user", owner)
        if GUID.fullmatch(low):
            return self.tokens.of("user", low)
        if "@" in low:
            return self.tokens.of("user", self.mails.get(low) or low)
        owners = self.names.get(low, set())
        if len(owners) == 1:
            return self.tokens.of("user", next(iter(owners)))
        # several people with one name, or nobody whose id is known
        return self.tokens.of("name", low)

    def whole(self, value: str, by: str | None = None, *, strict: bool) -> str | None:
        """What stands in the place of a value that is a person; None for an app, which stays."""
        low, owner = value.lower(), (by or "").lower()
        if not value.strip():
            return value
        if low in self.other:
            return self.other[low]
        if not strict:
            if owner in self.app_ids or low in self.app_ids:
                return None
            if not owner and "@" not in low and low in self.app_names and low not in self.names:
                return None
        return self.token(value, by)

    def sites(self) -> dict[str, str]:
        """Names of personal sites, which are made of user principal names, with their tokens."""
        return {_SITE.sub("_", mail): self.token(mail) for mail in self.mails}


def gather(con: Any, declared: Declaration, columns: Columns, tokens: Tokens) -> People:
    """Collect the people of the real warehouse that is attached to `con`."""
    found = People(tokens)
    have = {table: dict(kinds) for table, kinds in columns.items()}

    def values(places: Iterable[str]) -> set[str]:
        """The distinct values of some columns, of lists each item."""
        result: set[str] = set()
        for place in places:
            table, column = place.split(".")
            if column in have.get(table, {}):
                result |= {value for value, *_ in _distinct(con, table, column, have[table][column])}
        return result

    found.app_ids = {value.lower() for value in values(declared.app_ids)}
    found.app_names = {value.lower() for value in values(declared.app_names)}
    for table in have:
        one = declared.of(table)
        for column in (*one.person, *one.either):
            if column in have[table]:
                rows = _distinct(con, table, column, have[table][column], one.by.get(column), one.condition(column))
                for value, by in rows:
                    found.add(value, by, column in one.person)
        for column in one.address:
            if column in have[table]:
                kind = have[table][column]
                used = _distinct(con, table, column, kind, None, one.used_by_people)
                found.addresses |= {value.lower() for value, _ in used}
                found.app_addresses |= {value.lower() for value, _ in _distinct(con, table, column, kind)}
    for text in values(declared.app_addresses):
        found.app_addresses |= {part.lower() for part in _HOST.findall(text)}
    found.app_addresses -= found.addresses
    found.names.pop("", None)
    if "evidence" in have.get("findings", {}):
        for (evidence,) in con.execute(f"SELECT DISTINCT CAST(evidence AS VARCHAR) FROM {REAL}.findings").fetchall():
            _add_evidence(json.loads(evidence or "null"), declared.json_person, found)
    _add_grants(con, have, found)
    _add_findings(con, have, found)
    return found


def _add_evidence(value: Any, keys: frozenset[str], found: People) -> None:
    """People whom only a finding of an earlier week names: its sentence names them too."""
    if isinstance(value, list):
        for item in value:
            _add_evidence(item, keys, found)
    if isinstance(value, dict):
        for key, item in value.items():
            if key.lower() not in keys:
                _add_evidence(item, keys, found)
                continue
            by = value.get(key.removesuffix("_name") + "_id") if key.endswith("_name") else None
            for text in item if isinstance(item, list) else [item]:
                if isinstance(text, str) and text:
                    found.add(text, by if isinstance(by, str) else None, strict=False)
                else:
                    _add_evidence(text, keys, found)


def _add_grants(con: Any, have: dict[str, dict[str, str]], found: People) -> None:
    """A grant's id holds the id of the user it is for, in other letters."""
    for table in ("stg_delegated_grants", "grant_history"):
        if "grant_id" in have.get(table, {}):
            rows = con.execute(f"SELECT DISTINCT grant_id FROM {REAL}.{table} WHERE principal_id IS NOT NULL")
            for (grant,) in rows.fetchall():
                if grant:
                    found.other[grant.lower()] = found.tokens.of("grant", grant)


def _add_findings(con: Any, have: dict[str, dict[str, str]], found: People) -> None:
    """A finding's id is a hash over its subject: where that is a person, everybody could try out who it is."""
    if "subject" in have.get("findings", {}):
        for finding, subject in con.execute(f"SELECT finding_id, subject FROM {REAL}.findings").fetchall():
            low = (subject or "").lower()
            if low in found.ids or low in found.mails or low in found.names:
                found.other[finding.lower()] = found.tokens.digits(f"finding|{finding}")[:16]


def _distinct(
    con: Any, table: str, column: str, kind: str, by: str | None = None, condition: str = "true"
) -> list[tuple[str, str | None]]:
    """The distinct values of a column on some rows, with the value of the column `by`."""
    value = f'unnest("{column}")' if kind.endswith("[]") else f'CAST("{column}" AS VARCHAR)'
    rows = con.execute(
        f"SELECT DISTINCT {value} AS value, {by or 'NULL'} AS owner FROM {REAL}.{table} "
        f"WHERE coalesce({condition}, false)"
    ).fetchall()
    return [(str(found), owner) for found, owner in rows if found]
