"""Short lists that are held whole, and the organization itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from appgov_lib.sample.collections import Expander, Plain, Timed
from appgov_lib.sample.directory import compact
from appgov_lib.sample.world import DOMAIN, ONMICROSOFT, ORGANIZATION, World

_PLANS = (
    ("41781fb2-bc02-4b7c-bd55-b576c07bb09d", "AADPremiumService", "Enabled"),
    ("eec0eb4f-6444-4f95-aba0-50c24d67f998", "AADPremiumService", "Enabled"),
    ("efb87545-963c-4e0d-99df-69c6916d9eb0", "exchange", "Enabled"),
    ("5dbe027f-2339-4123-9542-606e4d348a72", "SharePoint", "Enabled"),
    ("57ff2da0-773e-42df-b2af-ffb7a2317929", "TeamspaceAPI", "Enabled"),
    ("2e2ddb96-6af9-4b1d-a3f0-d6ecfd22edb2", "Adallom", "Enabled"),
    ("871d91ec-ec1a-452b-a83f-bd76c7d770ef", "WindowsDefenderATP", "Suspended"),
)

decoded = msgspec.json.decode


def encoded(records: Sequence[Any]) -> list[bytes]:
    """Records as JSON."""
    return [compact(record).encode() for record in records]


def fixed_list(rows: Sequence[bytes], expanders: Mapping[str, Expander] | None = None, max_top: int = 999) -> Plain:
    """A short list that is held whole."""
    return Plain(len(rows), lambda number: rows[number], expanders or {}, max_top=max_top)


def timed_list(
    pairs: Sequence[tuple[str, bytes]],
    time: str,
    expanders: Mapping[str, Expander] | None = None,
    max_top: int = 1_000,
) -> Timed:
    """A log that is held whole: (time, record) pairs, newest first, under the name of its time."""
    moments, rows = [moment for moment, _ in pairs], [row for _, row in pairs]
    return Timed(moments, rows, (time,), default_top=max_top, max_top=max_top, expanders=expanders or {})


def organization(world: World) -> bytes:
    """The tenant itself."""
    record = {
        "id": world.tenant_id,
        "deletedDateTime": None,
        "displayName": ORGANIZATION,
        "createdDateTime": "2016-03-02T09:12:11Z",
        "countryLetterCode": "IE",
        "tenantType": "AAD",
        "verifiedDomains": [
            {
                "capabilities": "Email, OfficeCommunicationsOnline",
                "isDefault": True,
                "isInitial": False,
                "name": DOMAIN,
                "type": "Managed",
            },
            {"capabilities": "Email", "isDefault": False, "isInitial": True, "name": ONMICROSOFT, "type": "Managed"},
        ],
        "assignedPlans": [
            {
                "assignedDateTime": "2024-05-01T00:00:00Z",
                "capabilityStatus": state,
                "service": service,
                "servicePlanId": plan,
            }
            for plan, service, state in _PLANS
        ],
        "provisionedPlans": [],
        "businessPhones": [],
        "technicalNotificationMails": [f"it@{DOMAIN}"],
    }
    return compact(record).encode()
