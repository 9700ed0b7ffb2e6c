"""Cloud discovery: what firewalls and endpoints saw of cloud apps, with bytes up and down."""

from __future__ import annotations

from typing import Any

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import days_before_now
from appgov_lib.sample.directory import compact
from appgov_lib.sample.people import People
from appgov_lib.sample.world import UNVERIFIED, VERIFIED, World

PERIODS = {"P7D": 7, "P30D": 30, "P90D": 90}
_MOST_APPS = 60
_CATEGORIES = ("crm", "onlineMeetings", "contentManagement", "productivity", "collaboration", "customerSupport",
               "accountingAndFinance", "education", "businessManagement", "contentSharing", "dataAnalytics",
               "humanResourceManagement")  # fmt: skip
_SHADOW = (
    ("Promptwell Chat", "generativeAi", 4, "promptwell.example", 9.5),
    ("Modelyard", "aiModelProvider", 5, "modelyard.example", 6.0),
    ("FileDrop Free", "cloudStorage", 2, "filedrop-free.example", 14.0),
    ("PDF Now", "productivity", 3, "pdf-now.example", 3.0),
    ("=2+5 Notes", "productivity", 1, "notes25.example", 0.4),
)
"""Apps that nobody connected: name, category, risk score (10 is best), domain, size."""


def streams(world: World) -> list[bytes]:
    """Two sources: Defender for Endpoint, and the firewall of the head office."""
    rows = (
        ("Win10 Endpoint Users", "microsoftDefenderForEndpoint", None, 1, 0.1),
        ("Dublin firewall", "paloAlto", "syslogTls", 214, 0.6),
    )
    return [
        compact(
            {
                "id": _stream_id(world, number),
                "displayName": name,
                "createdDateTime": days_before_now(410 + number),
                "lastDataReceivedDateTime": days_before_now(age),
                "lastModifiedDateTime": days_before_now(30),
                "receiverProtocol": protocol,
                "supportedEntityTypes": ["userName", "ipAddress"],
                "supportedTrafficTypes": ["downloadedBytes", "uploadedBytes"],
                "anonymizeMachineData": False,
                "anonymizeUserData": False,
                "logDataProvider": provider,
                "description": None,
                "logFileCount": files,
                "isSnapshotReport": False,
            }
        ).encode()
        for number, (name, provider, protocol, files, age) in enumerate(rows)
    ]


def _stream_id(world: World, number: int) -> str:
    """Id of a stream."""
    return ids.guid(world.seed, "discovery stream", number)


def apps(world: World, stream: str, days: int) -> list[bytes] | None:
    """Apps seen by a stream in the last `days`; None when there is no such stream.

    The vendors' products that the tenant connected, and some that it did not.
    """
    number = next((n for n in range(2) if _stream_id(world, n) == stream), None)
    if number is None:
        return None
    people = People(world)
    seen: dict[str, bytes] = {}
    for index in range(world.ordinary_start, world.count):
        name = people.app_name(index)
        if len(seen) >= _MOST_APPS:
            break
        if world.kind[index] in (VERIFIED, UNVERIFIED) and name and name not in seen and (index + number) % 3:
            slug = people.vendor(index).lower().replace(" ", "")
            score = 8 if world.kind[index] == VERIFIED else 4
            category = _CATEGORIES[index % len(_CATEGORIES)]
            tags = ["Sanctioned"] if score > 5 else []
            seen[name] = _app(world, number, days, name, category, score, f"{slug}.example", 1.0, tags)
    for name, category, score, domain, size in _SHADOW:
        tags = ["Unsanctioned"] if score < 3 else []
        seen[name] = _app(world, number, days, name, category, score, domain, size, tags)
    return list(seen.values())


def _app(
    world: World,
    stream: int,
    days: int,
    name: str,
    category: str,
    score: int,
    domain: str,
    size: float,
    tags: list[str],
) -> bytes:
    """One discovered app; its traffic grows with the length of the period."""
    word = ids.digest(world.seed, "discovered", f"{stream}/{name}")
    daily = int(size * (2_000_000 + int.from_bytes(word[:3], "big")))
    users = 1 + word[3] % 60
    record: dict[str, Any] = {
        "@odata.type": "#microsoft.graph.security.discoveredCloudAppDetail",
        "id": str(20_000 + int.from_bytes(ids.digest(world.seed, "catalogue number", name)[:3], "big")),
        "displayName": name,
        "tags": tags,
        "riskScore": score,
        "uploadNetworkTrafficInBytes": daily * days * (20 + word[4] % 60) // 100,
        "downloadNetworkTrafficInBytes": daily * days,
        "transactionCount": (40 + word[5]) * days,
        "ipAddressCount": 1 + users // 2,
        "userCount": min(world.size.users, users),
        "firstSeenDateTime": days_before_now(days - 0.3),
        "lastSeenDateTime": days_before_now(0.2 + word[6] / 400),
        "domains": [domain],
        "category": category,
        "description": None,
    }
    return compact(record).encode()
