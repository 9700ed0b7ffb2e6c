"""Extraction over HTTP from the sample tenant: complete, exact under faults, resumable, honest about what it missed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from appgov_lib.errors import SignInError
from appgov_lib.extract.credentials import ReadyToken
from appgov_lib.extract.doctor import probe
from appgov_lib.extract.run import extract
from appgov_lib.extract.snapshot import Snapshot, read_lines, read_snapshots
from appgov_lib.extract.sources import choose_sources, load_sources
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings

NOW = datetime(2026, 11, 16)
SINCE = datetime(2026, 11, 2)
SIZE = 140
"""A small tenant: two weeks of logs of 140 service principals."""
DEFAULT = {source.name for source in choose_sources(())}


@pytest.fixture(scope="module")
def tenant():
    """The small tenant, without faults unless a test asks for them."""
    with running(service_principals=SIZE) as started:
        yield started


@pytest.fixture(autouse=True)
def no_faults(tenant: SampleTenant) -> None:
    """Every test starts with a server that behaves."""
    tenant.control("faults", dict.fromkeys(("throttle", "error", "cut", "reset", "empty_pages", "delay"), 0))


def read(tenant: SampleTenant, home: Path, **options: Any) -> Snapshot:
    """Extract into `home`."""
    settings = Settings(home=home, endpoint=tenant.endpoint)
    options = {"now": NOW, "since": SINCE, "credential": ReadyToken(tenant.token), **options}
    return extract(settings, **options)


def records(snapshot: Snapshot) -> dict[str, list[str]]:
    """Every record of every bucket, sorted, duplicates collapsed (the service may send some twice)."""
    return {
        bucket: sorted({line.decode() for path in snapshot.files(bucket) for line in read_lines(path)})
        for bucket in snapshot.buckets
    }


@pytest.fixture(scope="module")
def undisturbed(tenant: SampleTenant, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What an extraction without any fault brings."""
    return records(read(tenant, tmp_path_factory.mktemp("undisturbed")))


def test_every_source_is_complete_and_counts_agree(tenant: SampleTenant, tmp_path: Path) -> None:
    snapshot = read(tenant, tmp_path)
    assert {name: state.status for name, state in snapshot.sources.items()} == dict.fromkeys(DEFAULT, "complete")
    assert snapshot.sources["service_principals"].rows == SIZE
    assert snapshot.sources["service_principals"].declared_rows == SIZE
    kept = sum(file.rows for files in snapshot.buckets.values() for file in files)
    assert kept == sum(state.rows for state in snapshot.sources.values())
    signed = [json.loads(line) for line in records(snapshot)["sign_ins_graph"]]
    assert {kind for row in signed for kind in row.get("signInEventTypes", ["interactiveUser"])} == {
        "interactiveUser",
        "nonInteractiveUser",
        "servicePrincipal",
        "managedIdentity",
    }
    assert min(row["createdDateTime"] for row in signed) >= "2026-11-02"


def test_faults_change_nothing(tenant: SampleTenant, tmp_path: Path, undisturbed: dict[str, list[str]]) -> None:
    tenant.control("faults", {"throttle": 0.1, "error": 0.05, "cut": 0.05, "reset": 0.02, "empty_pages": 0.1})
    snapshot = read(tenant, tmp_path)
    assert {state.status for state in snapshot.sources.values()} == {"complete"}
    assert records(snapshot) == undisturbed


def test_the_same_input_gives_the_same_bytes(tenant: SampleTenant, tmp_path: Path) -> None:
    first, second = read(tenant, tmp_path / "a"), read(tenant, tmp_path / "b")
    for bucket in first.buckets:
        assert [f.path for f in first.buckets[bucket]] == [f.path for f in second.buckets[bucket]]
        assert [f.sha256 for f in first.buckets[bucket]] == [f.sha256 for f in second.buckets[bucket]]


def test_a_forbidden_source_is_not_permitted_and_the_others_go_on(tmp_path: Path) -> None:
    with running(service_principals=SIZE, faults="forbid=/auditLogs/signIns") as tenant:
        snapshot = read(tenant, tmp_path)
    by_status = {name: state.status for name, state in snapshot.sources.items()}
    assert by_status.pop("sign_ins_interactive") == "not_permitted"
    for name in ("sign_ins_non_interactive", "sign_ins_service_principal", "sign_ins_managed_identity"):
        assert by_status.pop(name) == "not_permitted"
    assert set(by_status.values()) == {"complete"}
    assert "403" in snapshot.sources["sign_ins_interactive"].reason


def test_children_of_an_unreadable_parent_say_so(tmp_path: Path) -> None:
    with running(service_principals=SIZE, faults="forbid=/servicePrincipals") as tenant:
        snapshot = read(tenant, tmp_path, names=("app_role_assignments",))
    assert snapshot.sources["service_principals"].status == "not_permitted"
    state = snapshot.sources["app_role_assignments"]
    assert (state.status, state.rows) == ("failed", 0)
    assert "service_principals could not be read" in state.reason


def test_a_wrong_token_is_a_sign_in_error_and_the_run_can_be_continued(tenant: SampleTenant, tmp_path: Path) -> None:
    with pytest.raises(SignInError, match="refused the token"):
        read(tenant, tmp_path, credential=ReadyToken("wrong"))
    assert read_snapshots(tmp_path / "data" / "sample" / "raw") == []
    snapshot = read(tenant, tmp_path, names=("organization",))
    assert {state.status for state in snapshot.sources.values()} == {"complete"}
    assert set(snapshot.sources) == DEFAULT, "the interrupted run's plan is finished, not the new one's"


def test_a_second_run_reads_only_what_is_new(tenant: SampleTenant, tmp_path: Path) -> None:
    read(tenant, tmp_path, names=("directory_audits",), now=datetime(2026, 11, 9))
    second = read(tenant, tmp_path, names=("directory_audits",), since=None)
    state = second.sources["directory_audits"]
    assert (state.from_at, state.to_at) == ("2026-11-08T00:00:00Z", "2026-11-16T00:00:00Z"), "a day of overlap"
    assert len(read_snapshots(tmp_path / "data" / "sample" / "raw")) == 2


def test_after_a_long_pause_only_what_the_service_keeps_counts_as_read(tenant: SampleTenant, tmp_path: Path) -> None:
    """Between 1 September and 17 October nobody looked, and the service no longer knows."""
    read(tenant, tmp_path, names=("directory_audits",), now=datetime(2026, 9, 1))
    second = read(tenant, tmp_path, names=("directory_audits",), since=None, now=datetime(2026, 11, 16))
    state = second.sources["directory_audits"]
    assert (state.from_at, state.to_at) == ("2026-10-17T00:00:00Z", "2026-11-16T00:00:00Z")


def test_killed_at_any_moment_the_next_run_finishes_the_work(
    tenant: SampleTenant, tmp_path: Path, undisturbed: dict[str, list[str]]
) -> None:
    program = (
        "import sys; from datetime import datetime; from pathlib import Path\n"
        "from appgov_lib.extract.run import extract; from appgov_lib.extract.credentials import ReadyToken\n"
        "from appgov_lib.extract.limits import LIMITS, Budget; from appgov_lib.settings import Settings\n"
        f"extract(Settings(home=Path(sys.argv[1]), endpoint={tenant.endpoint!r}), now=datetime(2026, 11, 16),\n"
        f"        since=datetime(2026, 11, 2), credential=ReadyToken({tenant.token!r}),\n"
        "        limits=dict.fromkeys(LIMITS, Budget(1000, 1.0, 1)))\n"  # one after the other: more moments
    )
    tenant.control("faults", {"delay": 0.1})  # slow answers, so that there are moments to choose from
    kills, moments, homes = 0, random.Random(3), [tmp_path / "1"]
    while kills < 20:
        raw = homes[-1] / "data" / "sample" / "raw"
        if read_snapshots(raw):  # this one got to its end between two kills: go on with another
            homes.append(tmp_path / str(len(homes) + 1))
            continue
        wanted = len(list(raw.rglob("*.zst"))) + moments.randint(0, 1)
        process = subprocess.Popen([sys.executable, "-c", program, str(homes[-1])])
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline and len(list(raw.rglob("*.zst"))) < wanted:
            time.sleep(0.002)
        time.sleep(moments.random() * 0.1)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    tenant.control("faults", {"delay": 0})
    for home in homes:
        raw = home / "data" / "sample" / "raw"
        if not read_snapshots(raw):
            read(tenant, home)
        (snapshot,) = read_snapshots(raw)
        assert records(snapshot) == undisturbed
        lines = [line for bucket in snapshot.buckets for path in snapshot.files(bucket) for line in read_lines(path)]
        assert len(lines) == sum(state.rows for state in snapshot.sources.values())
    assert kills == 20


def test_an_expired_page_token_starts_that_collection_again(tmp_path: Path) -> None:
    with running(service_principals=SIZE, users=3000, faults="page_expired=0.5") as tenant:
        snapshot = read(tenant, tmp_path, names=("users",))
    state = snapshot.sources["users"]
    ids = [json.loads(line)["id"] for path in snapshot.files("users") for line in read_lines(path)]
    assert state.rows == len(ids)
    assert len(set(ids)) == len(ids)


def test_hunting_over_many_apps_is_asked_for_in_shards(
    tenant: SampleTenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(tenant, tmp_path / "whole", names=("oauth_app_info", "service_principals"))
    monkeypatch.setattr("appgov_lib.extract.run.APPS_A_QUERY", 40)
    split = read(tenant, tmp_path / "split", names=("oauth_app_info", "service_principals"))
    assert records(split)["oauth_app_info"] == records(whole)["oauth_app_info"]
    requests = [run.sources["oauth_app_info"].requests for run in (whole, split)]
    assert requests == [1, 4], "140 service principals, 40 a query"
    assert split.sources["oauth_app_info"].least_requests == 4
    assert split.sources["oauth_app_info"].rows == whole.sources["oauth_app_info"].rows > 50


def test_no_secret_is_written(tenant: SampleTenant, tmp_path: Path) -> None:
    read(tenant, tmp_path, names=("organization", "users"))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = b"\n".join(read_lines(path)) if path.suffix == ".zst" else path.read_bytes()
            assert tenant.token.encode() not in content, path


def test_only_reading_requests_leave_the_program(tenant: SampleTenant, tmp_path: Path) -> None:
    read(tenant, tmp_path)
    asked = tenant.control("requests")
    posts = {entry["path"] for entry in asked if entry["method"] != "GET" and not entry["path"].startswith("/_control")}
    assert posts <= {"/v1.0/security/runHuntingQuery", "/v1.0/$batch"}  # both only read
    assert {entry["method"] for entry in asked} <= {"GET", "POST"}


def test_doctor_says_what_is_readable_and_what_is_lost(tmp_path: Path) -> None:
    with running(service_principals=SIZE, faults="forbid=/security/alerts_v2") as tenant:
        settings = replace(Settings(home=tmp_path), endpoint=tenant.endpoint)
        probes = {item.source: item for item in probe(settings, now=NOW, credential=ReadyToken(tenant.token))}
    assert set(probes) == DEFAULT
    refused = [item for item in probes.values() if not item.readable]
    assert [item.source for item in refused] == ["security_alerts"]
    assert (refused[0].status, refused[0].permission) == ("not_permitted", "SecurityAlert.Read.All")
    assert refused[0].what_is_lost == load_sources()["security_alerts"].what_is_lost
