"""Answers of a sample tenant over HTTP."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from appgov_lib.sample import SampleTenant


def get(tenant: SampleTenant, path: str) -> Any:
    """One answer."""
    request = urllib.request.Request(f"{tenant.endpoint}{path}", headers={"Authorization": f"Bearer {tenant.token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def rows(tenant: SampleTenant, path: str) -> list[dict[str, Any]]:
    """All rows of a list."""
    found: list[dict[str, Any]] = []
    page = get(tenant, path)
    while True:
        found += page["value"]
        if "@odata.nextLink" not in page:
            return found
        page = get(tenant, page["@odata.nextLink"].removeprefix(tenant.endpoint))
