"""Children by batch: parts retried on their own, order restored by id, nothing lost when parts are throttled."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.run import extract
from appgov_lib.extract.snapshot import Snapshot, read_lines
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings

NAMES = ("federated_credentials", "app_consent_requests", "user_consent_requests", "cloud_discovery_apps")


def read(tenant: SampleTenant, home: Path) -> Snapshot:
    """Read the sources that hang on other objects."""
    settings = Settings(home=home, endpoint=tenant.endpoint)
    return extract(settings, now=datetime(2026, 11, 16), names=NAMES, credential=ReadyToken(tenant.token))


def children(snapshot: Snapshot, bucket: str) -> list[str]:
    """The records of a bucket, sorted."""
    return sorted(line.decode() for path in snapshot.files(bucket) for line in read_lines(path))


def test_throttled_parts_are_asked_again(tmp_path: Path) -> None:
    with running(service_principals=140) as tenant:
        calm = read(tenant, tmp_path / "calm")
        tenant.control("faults", {"batch_throttle": 0.5})
        stormy = read(tenant, tmp_path / "stormy")
    for name in NAMES:
        assert calm.sources[name].status == stormy.sources[name].status == "complete", name
        assert children(calm, name) == children(stormy, name), name
        assert calm.sources[name].rows > 0, name
    assert stormy.sources["federated_credentials"].requests > calm.sources["federated_credentials"].requests


def test_every_child_names_its_parent(tmp_path: Path) -> None:
    with running(service_principals=140) as tenant:
        snapshot = read(tenant, tmp_path)
    requests = {json.loads(line)["id"] for line in children(snapshot, "app_consent_requests")}
    for line in children(snapshot, "user_consent_requests"):
        child = json.loads(line)
        assert child["parent_id"] in requests
        assert child["record"]["id"]
    assert snapshot.sources["federated_credentials"].requests == 2, "one listing, one batch"


def test_an_audit_search_is_created_awaited_and_paged(tmp_path: Path) -> None:
    with running(service_principals=140) as tenant:
        settings = Settings(home=tmp_path, endpoint=tenant.endpoint)
        snapshot = extract(
            settings,
            now=datetime(2026, 11, 16),
            since=datetime(2026, 11, 9),
            names=("audit_records",),
            credential=ReadyToken(tenant.token),
        )
    state = snapshot.sources["audit_records"]
    assert (state.status, state.reason) == ("complete", "")
    assert state.rows > 0
