"""Every request an extraction makes is one the official description of Graph allows: path, options, headers, bodies."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.run import extract
from appgov_lib.extract.sources import load_sources
from appgov_lib.sample import running
from appgov_lib.settings import Settings

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
NOT_IN_THE_SLICES = {
    "/identity/conditionalAccess/policies",
    "/directory/recommendations",
    "/security/incidents",
    "/security/secureScores",
    "/security/secureScoreControlProfiles",
}
"""Documented paths that the description at hand leaves out."""
SAME = {
    "/security/runHuntingQuery": "/security/microsoft.graph.security.runHuntingQuery",
    "/directory/deletedItems/microsoft.graph.application": "/directory/deletedItems/graph.application",
    "/directory/deletedItems/microsoft.graph.servicePrincipal": "/directory/deletedItems/graph.servicePrincipal",
}
"""Short and long spellings of one path."""

if not (SHARED / "graph" / "openapi-v1.0.json").exists():
    pytest.skip("the OpenAPI description of Graph is not beside this checkout", allow_module_level=True)


@pytest.fixture(scope="module")
def described() -> dict[str, dict[str, Any]]:
    """The description by version."""
    return {
        version: json.loads((SHARED / "graph" / f"openapi-{version}.json").read_bytes()) for version in ("v1.0", "beta")
    }


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every request of two extractions, the second of which reads changes."""
    home = tmp_path_factory.mktemp("asked")
    names = tuple(load_sources())
    with running(service_principals=140) as tenant:
        settings = Settings(home=home, endpoint=tenant.endpoint)
        for day in (15, 16):
            extract(settings, now=datetime(2026, 11, day), names=names, credential=ReadyToken(tenant.token))
        return [entry for entry in tenant.control("requests") if not entry["path"].startswith("/_control")]


def operation(description: dict[str, Any], path: str, method: str) -> dict[str, Any] | None:
    """The described operation that answers `path`, if any."""
    path = SAME.get(path, path)
    for template, item in description["paths"].items():
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
        if method.lower() in item and re.fullmatch(pattern, path):
            return item[method.lower()]
    return None


def test_every_path_and_method_is_described(described: dict[str, Any], asked: list[dict[str, Any]]) -> None:
    strange = set()
    for entry in asked:
        version, path = entry["path"].strip("/").split("/", 1)
        if f"/{path}" not in NOT_IN_THE_SLICES and operation(described[version], f"/{path}", entry["method"]) is None:
            strange.add((entry["method"], entry["path"]))
    assert strange == set()


def test_every_query_option_is_described(described: dict[str, Any], asked: list[dict[str, Any]]) -> None:
    strange = set()
    for entry in asked:
        version, path = entry["path"].strip("/").split("/", 1)
        found = operation(described[version], f"/{path}", entry["method"])
        allowed = {item["name"] for item in (found or {}).get("parameters", []) if item.get("in") == "query"}
        for name, _ in parse_qsl(entry["query"], keep_blank_values=True):
            # next and delta links are the service's own, taken as they came
            if found and name not in allowed | {"$skiptoken", "$deltatoken"}:
                strange.add((entry["path"], name))
    assert strange == set()


def test_counting_and_advanced_filters_carry_the_consistency_level(asked: list[dict[str, Any]]) -> None:
    counted = [entry for entry in asked if "$count" in entry["query"].replace("%24", "$")]
    assert counted
    missing = [entry["path"] for entry in counted if "consistencylevel" not in {k.lower() for k in entry["headers"]}]
    assert missing == []


def test_every_header_is_described_or_asks_for_newer_enumeration_members(
    described: dict[str, dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    """ConsistencyLevel is described with the paths; `Prefer` may only ask for members an enumeration gained later."""
    ours = {source.path: source.headers for source in load_sources().values() if source.method == "list"}
    preferred = set()
    for entry in asked:
        version, path = entry["path"].strip("/").split("/", 1)
        found = operation(described[version], f"/{path}", entry["method"])
        sent = {name.lower(): value for name, value in entry["headers"].items()}
        allowed = {item["name"].lower() for item in (found or {}).get("parameters", []) if item.get("in") == "header"}
        assert "consistencylevel" not in sent or found is None or "consistencylevel" in allowed, entry["path"]
        if "prefer" in sent:
            assert sent["prefer"] == "include-unknown-enum-members"
            preferred.add(f"/{path}")
        # every page of such a list, not only the first
        assert sent.get("prefer") == ours.get(f"/{path}", {}).get("Prefer"), entry["path"]
    assert preferred == {"/auditLogs/signIns", "/security/alerts_v2", "/security/incidents"}


def test_what_is_preferred_has_enumerations_that_grew(described: dict[str, dict[str, Any]]) -> None:
    """Members behind `unknownFutureValue` come by name only with the header."""
    for version in ("v1.0", "beta"):
        schemas = described[version]["components"]["schemas"]
        for name in ("security.serviceSource", "security.detectionSource", "riskDetail"):
            members = schemas[f"microsoft.graph.{name}"]["enum"]
            assert members[-1] != "unknownFutureValue", name
            assert "unknownFutureValue" in members, name


def test_page_sizes_stay_inside_the_limits(asked: list[dict[str, Any]]) -> None:
    for entry in asked:
        top = dict(parse_qsl(entry["query"])).get("$top")
        if top:
            most = 1000 if "/auditLogs/" in entry["path"] else 500 if "/identityProtection/" in entry["path"] else 999
            assert int(top) <= most, entry["path"]


def test_the_number_of_requests_is_close_to_the_least(tmp_path: Path) -> None:
    with running(service_principals=1500, activity=0.2) as tenant:
        settings = Settings(home=tmp_path, endpoint=tenant.endpoint)
        snapshot = extract(settings, now=datetime(2026, 11, 16), credential=ReadyToken(tenant.token))
    made = sum(state.requests for state in snapshot.sources.values())
    least = sum(state.least_requests or 0 for state in snapshot.sources.values())
    assert {state.status for state in snapshot.sources.values()} == {"complete"}
    assert least <= made <= 1.1 * least
