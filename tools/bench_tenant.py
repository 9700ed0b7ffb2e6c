"""The raw snapshot of a large tenant, made without a server: records of the sample tenant, copied under new ids.

Copy 0 is the sample itself. In copy `n` every id of the tenant's own is changed by `n`, the same way in every record,
so that a copied grant still leads from a copied app to a copied user. Ids of Microsoft's resources and of permissions
stay as they are.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count as numbers
from itertools import islice
from pathlib import Path
from typing import Any

from appgov_lib.extract.snapshot import Snapshot, SnapshotWriter, read_lines

NOW = datetime(2026, 11, 16)
MONTH = timedelta(days=30)
PAGE = 999
SHARD = 25_000
USERS = 20_000
LOGS = {"call_sums_hunting": 300_000, "sign_ins_graph": 300_000, "directory_audits_graph": 50_000,
        "cloud_app_events_hunting": 50_000}  # fmt: skip
"""Rows of a month for 110,000 service principals; a smaller tenant has as much less."""
LEFT_OUT = {"api_activity_hunting": "api_activity"}
"""Single calls: a large tenant keeps their sums only."""
LARGE = 110_000
GRANTS = 400_000
REGISTRATIONS = 49_000
ONE_TO_AN_APP = (
    "service_principals", "service_principal_owners", "service_principal_sign_in_activities", "delegated_grants",
    "app_role_assignments", "oauth_app_info", "applications", "application_owners", "federated_credentials",
    "credential_sign_in_activities", "application_sign_in_summary",
)  # fmt: skip
OF_A_REGISTRATION = frozenset({"applications", "application_owners", "federated_credentials"})
MIX = ("microsoft",) * 8 + ("managed",) * 4 + ("internal",) * 7 + ("other",)
"""Of twenty service principals, twelve are Microsoft's or managed identities."""
THINNED = 3
"""A copy has every third row of what its app did, so that three times as many apps did something."""

_GUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TEXT_ID = re.compile(rb'(?<="id":")[^"]+')
_STEP = 0x9E3779B1


@dataclass(frozen=True)
class Form:
    """A record cut at what changes from copy to copy: text, then a slot, then text and so on."""

    texts: tuple[bytes, ...]
    slots: tuple[tuple[str, bytes, int], ...]
    """What stands in each slot: its kind (id, user, name, login), its last part, and its first part as a number."""

    def copy(self, number: int, user_copies: int) -> bytes:
        """The record of copy `number`."""
        parts = [self.texts[0]]
        for (kind, rest, first), text in zip(self.slots, self.texts[1:], strict=True):
            if kind in ("name", "login"):
                parts.append(rest + (b" %d" if kind == "name" else b"%d") % number if number else rest)
            else:
                parts.append(changed(first, rest, number % user_copies if kind == "user" else number))
            parts.append(text)
        return b"".join(parts)


def changed(first: int, rest: bytes, number: int) -> bytes:
    """An id of copy `number`."""
    return b"%08x%b" % (first ^ (number * _STEP & 0xFFFFFFFF), rest)


@dataclass(frozen=True)
class App:
    """One service principal of the sample: what is copied of it."""

    kind: str
    ids: frozenset[bytes]
    """Its own id, its appId, and the id of its registration."""
    name: bytes


class LargeTenant:
    """Copies of a sample snapshot up to `size` service principals."""

    def __init__(self, sample: Snapshot, size: int) -> None:
        """Read the sample and lay out how often each of its apps is copied."""
        self.sample, self.size, self.share = sample, size, size / LARGE
        self.lines = {bucket: [line for path in sample.files(bucket) for line in read_lines(path)]
                      for bucket in sample.buckets if bucket not in LEFT_OUT}  # fmt: skip
        self.users = {json.loads(line)["id"].encode() for line in self.lines["users"]}
        self.user_copies = max(1, round(USERS * self.share / len(self.users)))
        self._read_apps()
        self.forms = {bucket: [(app, self._form(bucket, line, app)) for line, app in self._owned(bucket)]
                      for bucket in (*ONE_TO_AN_APP, *LOGS)}  # fmt: skip
        self.copies = self._copies()

    def _read_apps(self) -> None:
        """The sample's apps, and the ids that mean the same everywhere."""
        registrations = {json.loads(line)["appId"]: json.loads(line)["id"] for line in self.lines["applications"]}
        self.apps: list[App] = []
        self.fixed: set[bytes] = set()
        self.roles: list[str] = []
        for line in self.lines["service_principals"]:
            record = json.loads(line)
            self.fixed.add(str(record.get("appOwnerOrganizationId")).encode())
            if (
                record.get("servicePrincipalType") is None
                or len(record.get("appRoles") or ()) > 20
                or len(line) > 20_000
            ):
                self.fixed |= set(re.findall(_GUID, line))
                if record["appId"] == "00000003-0000-0000-c000-000000000000":
                    self.graph = record["id"]
                    self.roles = [role["id"] for role in record["appRoles"]]
                continue
            ids = {record["id"], record["appId"], registrations.get(record["appId"], record["id"])}
            name = json.dumps(record["displayName"], ensure_ascii=False).encode()
            self.apps.append(App(_kind(record), frozenset(i.encode() for i in ids), name))
        self.by_id = {one: number for number, app in enumerate(self.apps) for one in app.ids}

    def _owned(self, bucket: str) -> Iterator[tuple[bytes, int]]:
        """Records of a bucket, each with the app it is about: the first one it names; a log's of the last month."""
        since = (NOW - MONTH).isoformat().encode()
        moment = re.compile(rb'"(?:Timestamp|Day|createdDateTime|activityDateTime)":"([^"]+)"')
        for line in self.lines.get(bucket, ()):
            found = moment.search(line) if bucket in LOGS else None
            if bucket in LOGS and (found is None or found[1] < since):
                continue
            owner = next((self.by_id[one] for one in re.findall(_GUID, line) if one in self.by_id), None)
            if owner is not None:
                yield line, owner

    def _form(self, bucket: str, line: bytes, owner: int) -> Form:
        """A record, cut at ids and at the name of its app."""
        app = self.apps[owner]
        pattern = _GUID + rb"|(?<=\")" + re.escape(app.name[1:-1]) + rb"(?=\")"
        if bucket not in LOGS and (found := _TEXT_ID.search(line)) and not re.fullmatch(_GUID, found[0]):
            pattern += rb"|(?<=\"id\":\")" + re.escape(found[0])
        texts, slots, end = [], [], 0
        for match in re.finditer(pattern, line):
            word = match[0]
            is_id = re.fullmatch(_GUID, word) is not None
            if is_id and word not in app.ids and (word in self.fixed or word.startswith(b"00000000-")):
                continue
            texts.append(line[end : match.start()])
            kind = "name" if not is_id else "user" if word in self.users else "id"
            slots.append((kind, word[8:] if is_id else word, int(word[:8], 16) if is_id else 0))
            end = match.end()
        return Form((*texts, line[end:]), tuple(slots))

    def _copies(self) -> list[int]:
        """How many copies of each app there are besides the sample's own."""
        wanted = max(0, self.size - len(self.lines["service_principals"]))
        kinds = Counter(MIX[number % len(MIX)] for number in range(wanted))
        members = Counter(app.kind for app in self.apps)
        seen: Counter[str] = Counter()
        copies = []
        for app in self.apps:
            whole, more = divmod(kinds[app.kind], members[app.kind])
            copies.append(whole + (seen[app.kind] < more))
            seen[app.kind] += 1
        return copies

    def rows(self, bucket: str) -> Iterator[bytes]:
        """Every record of a bucket."""
        lines = self.lines.get(bucket, [])
        if bucket in LOGS:
            yield from islice(self._log(bucket), round(LOGS[bucket] * self.share))
        elif bucket == "users":
            for number in range(self.user_copies):
                for line in lines:
                    form = Form(*_cut_user(line))
                    yield form.copy(number, self.user_copies)
        else:
            yield from lines
            if bucket in ONE_TO_AN_APP:
                yield from self._copied(bucket)

    def _copied(self, bucket: str) -> Iterator[bytes]:
        """The copies of a bucket's records, and what only a large tenant has."""
        made = len(self.lines[bucket])
        for owner, form in self.forms[bucket]:
            for number in range(1, self.copies[owner] + 1):
                yield form.copy(number, self.user_copies)
            made += self.copies[owner]
        if bucket in OF_A_REGISTRATION:
            # registrations that nobody has an app of in this tenant
            spare = max(0, round(REGISTRATIONS * self.share) - self._registrations())
            alone = list(islice(((o, f, n) for n in numbers(1) for o, f in self.forms[bucket]), spare))
            for owner, form, number in alone:
                yield form.copy(self.copies[owner] + number, self.user_copies)
        if bucket in ("delegated_grants", "app_role_assignments"):
            share = 0.6 if bucket == "delegated_grants" else 0.4
            yield from self._grants(bucket, max(0, round(GRANTS * self.share * share) - made))

    def _registrations(self) -> int:
        """Registrations that have a service principal."""
        return len(self.lines["applications"]) + sum(self.copies[owner] for owner, _ in self.forms["applications"])

    def _grants(self, bucket: str, missing: int) -> Iterator[bytes]:
        """More grants: users who consented, many to few apps and few to many; more permissions to each app."""
        clients = [(json.loads(form.copy(number, 1))["id"], number)
                   for owner, form in self.forms["service_principals"] if self.apps[owner].kind != "microsoft"
                   for number in range(1, self.copies[owner] + 1)]  # fmt: skip
        people = [json.loads(line)["id"] for line in islice(self.rows("users"), round(USERS * self.share) or 1)]
        scopes = ("openid profile email User.Read", "User.Read Calendars.Read offline_access", "Mail.Read User.Read",
                  "Files.Read.All Sites.Read.All", "User.Read")  # fmt: skip
        place = made = 0
        while made < missing and clients:
            client, number = clients[place % len(clients)]
            if bucket == "delegated_grants":
                # the hundredth part of the apps has a hundred users each
                takers = 100 if place % 100 == 0 else 3
                for user in range(takers):
                    person = people[(number * 7919 + place * 31 + user) % len(people)]
                    yield json.dumps({"clientId": client, "consentType": "Principal", "id": f"user-{made:09d}",
                                      "principalId": person, "resourceId": self.graph,
                                      "scope": scopes[(place + user) % len(scopes)]}).encode()  # fmt: skip
                    made += 1
            else:
                turn = place // len(clients) * 3 + place
                yield json.dumps({"id": f"role-{made:09d}", "deletedDateTime": None,
                                  "appRoleId": self.roles[turn % len(self.roles)],
                                  "createdDateTime": "2026-03-02T10:00:00Z", "principalDisplayName": f"app {place}",
                                  "principalId": client, "principalType": "ServicePrincipal",
                                  "resourceDisplayName": "Microsoft Graph",
                                  "resourceId": self.graph}).encode()  # fmt: skip
                made += 1
            place += 1

    def _log(self, bucket: str) -> Iterator[bytes]:
        """A month of a log: the sample's own rows, then those of each copy, without end."""
        forms = self.forms[bucket]
        for _, form in forms:
            yield form.copy(0, self.user_copies)
        for number in numbers(1):
            for owner, form in forms[number % THINNED :: THINNED]:
                if number <= self.copies[owner] or number > max(self.copies):
                    yield form.copy(number, self.user_copies)

    def write(self, raw: Path) -> dict[str, int]:
        """Write the snapshot below `raw`; rows of each bucket."""
        made: dict[str, int] = {}
        origin = "made for a benchmark"
        with SnapshotWriter(raw, "extract-20261116T000000Z", "extract", NOW) as writer:
            for bucket in self.lines:
                size = SHARD if bucket.endswith("_hunting") or bucket == "oauth_app_info" else PAGE
                records = self.rows(bucket)
                made[bucket] = 0
                while page := list(islice(records, size)):
                    made[bucket] += writer.write(bucket, page, origin)
            for source, state in self.sample.sources.items():
                if source not in LEFT_OUT.values():
                    since = (NOW - MONTH).isoformat() + "Z" if state.from_at else None
                    writer.close_source(source, replace(state, from_at=since, declared_rows=None, delta_link=None))
            writer.finish(NOW)
        return made


def _kind(record: dict[str, Any]) -> str:
    """Which of four kinds a service principal is."""
    if record["servicePrincipalType"] == "ManagedIdentity":
        return "managed"
    if record.get("appOwnerOrganizationId") == "f8cdef31-a31e-4b4a-93e4-5f571e91255a":
        return "microsoft"
    return "internal" if record.get("publisherName") == "Northwind Sample" else "other"


def _cut_user(line: bytes) -> tuple[tuple[bytes, ...], tuple[tuple[str, bytes, int], ...]]:
    """A user, cut at its id and before the at of its name."""
    record = json.loads(line)
    one, name = record["id"].encode(), json.dumps(record["userPrincipalName"], ensure_ascii=False)[1:-1].encode()
    before, after = line.split(one, 1)
    middle, end = after.split(name, 1)
    slots = (("user", one[8:], int(one[:8], 16)), ("login", name.split(b"@")[0], 0))
    return (before, middle, b"@" + name.split(b"@", 1)[1] + end), slots
