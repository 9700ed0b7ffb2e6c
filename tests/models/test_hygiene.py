"""The hygiene checks: each fires on its case, is silent beside it, and is unknown where nobody could look."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Bench
from tidy import APP, ON_PRINCIPAL, OWNER, REGISTRATION, SECRET, SOURCES, each, hygiene, verdict

from appgov_lib.store.models import REFERENCE_DIR


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One bench for all: every table a check reads is made anew by each test."""
    made = Bench(tmp_path_factory.mktemp("hygiene"), own=True)
    yield made
    made.close()


def checks() -> list[dict[str, str]]:
    """The list of checks."""
    with (REFERENCE_DIR / "hygiene_checks.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_a_tidy_app_passes_every_check_that_applies(bench: Bench) -> None:
    found = hygiene(bench, app_credentials=[SECRET], stg_federated_credentials=[])
    applying = {row["check_id"] for row in checks() if row["applies_to"] != "microsoft"}
    assert {check for _, check in found} == applying
    assert {row["verdict"] for row in found.values()} == {"no"}
    assert all(row["reason"] is None and row["hits"] is None for row in found.values())


def test_nothing_passes_when_nothing_was_read(bench: Bench) -> None:
    found = hygiene(bench, unread=dict.fromkeys(SOURCES, "not_permitted"))
    # the app was seen at work yesterday and has an owner who can sign in: that much is proven
    proven = {"unused_app", "dormant_with_permissions", "ownerless", "only_disabled_owners", "only_guest_owners"}
    assert {check for (_, check), row in found.items() if row["verdict"] == "no"} == proven
    for (_, check), row in found.items():
        if check not in proven:
            assert row["verdict"] == "unknown", check
            assert row["reason"].startswith("not fully read: "), check
            assert "(not_permitted)" in row["reason"], check


def test_a_source_that_is_not_in_the_ledger_counts_as_unread(bench: Bench) -> None:
    found = hygiene(bench, coverage=[])
    assert found["s1", "implicit_grant"]["reason"] == "not fully read: applications (not_collected)"


def test_what_was_found_stays_found_beside_an_unread_source(bench: Bench) -> None:
    found = hygiene(bench, unread={"applications": "partial"}, app={"reply_urls": ["http://a.example/cb"]})
    assert verdict(found, "reply_url_http") == "yes"
    assert found["s1", "reply_url_http"]["reason"] is None
    assert verdict(found, "reply_url_ip") == "unknown"


def test_checks_go_to_the_apps_they_are_for(bench: Bench) -> None:
    apps = [
        APP,
        APP | {"service_principal_id": "ext", "app_id": "a2", "application_id": None, "app_origin": "external"},
        APP | {"service_principal_id": "ms", "app_id": "a3", "application_id": None, "app_origin": "microsoft",
               "is_first_party": True, "is_in_scope": False},
        APP | {"service_principal_id": "mi", "app_id": "a4", "application_id": None, "is_in_scope": False,
               "service_principal_type": "ManagedIdentity"},
        APP | {"service_principal_id": "lost", "app_id": "a5", "application_id": None},
    ]  # fmt: skip
    key = SECRET | ON_PRINCIPAL | {"service_principal_id": "ms", "object_id": "ms", "application_id": None}
    found = hygiene(
        bench,
        unread={"applications": "not_permitted"},
        app_inventory=apps,
        stg_service_principals=[
            {"service_principal_id": one["service_principal_id"], "app_id": one["app_id"]} for one in apps
        ],
        stg_applications=[REGISTRATION, {"application_id": "alone", "app_id": "a9"}],
        app_credentials=[key],
    )  # fmt: skip
    per_app: dict[str, set[str]] = {}
    for of, check in found:
        per_app.setdefault(of, set()).add(check)
    assert per_app["ms"] == {"credential_on_microsoft_app"}
    assert verdict(found, "credential_on_microsoft_app", "ms") == "yes"
    assert per_app["mi"] == {"unused_app", "dormant_with_permissions", "disabled_with_grants", "deactivated"}
    assert not per_app["ext"] & {"ownerless", "implicit_grant", "unused_credential", "property_lock_missing"}
    # what another tenant registers needs no registration of ours to be judged
    assert verdict(found, "reply_url_http", "ext") == "no"
    # an own app whose registration was not read is still asked about
    assert verdict(found, "implicit_grant", "lost") == "unknown"
    assert {"ownerless", "implicit_grant", "expired_credential"} <= per_app["alone"]
    assert "unused_app" not in per_app["alone"]
    assert found["alone", "ownerless"]["service_principal_id"] is None


def test_unused_apps(bench: Bench) -> None:
    cases: list[tuple[Any, ...]] = [
        ({"last_used_at": "2026-08-17"}, "yes"),  # 90 days before 15 November
        ({"last_used_at": "2026-08-18"}, "no"),
        ({"last_used_at": None}, "yes"),
        ({"last_used_at": None, "created_at": "2026-11-01"}, "no"),  # too young to tell
        ({"last_used_at": None, "created_at": None}, "unknown"),
        ({"last_used_at": "2026-01-01", "status": "disabled_by_user"}, "no"),
    ]
    found = each(bench, [{"app": app} for app, _ in cases])
    for case, verdicts in zip(cases, found, strict=True):
        _, word = case
        assert verdicts["unused_app"] == word, case


def test_an_app_is_not_called_unused_without_the_sign_in_report(bench: Bench) -> None:
    unread = {"service_principal_sign_in_activities": "not_licensed"}
    found = hygiene(bench, unread=unread, app={"last_used_at": "2026-01-01", "permission_count": 1})
    for check in ("unused_app", "dormant_with_permissions"):
        assert verdict(found, check) == "unknown"
        assert found["s1", check]["reason"] == ("not fully read: service_principal_sign_in_activities (not_licensed)")


def test_dormant_apps_that_hold_something(bench: Bench) -> None:
    cases: list[tuple[Any, ...]] = [
        ({"permission_count": 2}, "yes"),
        ({"directory_roles": ["Reader"]}, "yes"),
        ({}, "no"),
        ({"permission_count": None, "directory_roles": None}, "unknown"),
    ]
    found = each(bench, [{"app": app | {"last_used_at": "2026-01-01"}} for app, _ in cases])
    for case, verdicts in zip(cases, found, strict=True):
        _, word = case
        assert verdicts["dormant_with_permissions"] == word, case


def test_switched_off_apps(bench: Bench) -> None:
    cases: list[tuple[Any, ...]] = [
        ("disabled_by_user", 1, "yes", "no"),
        ("disabled_by_policy", 1, "yes", "no"),
        ("disabled_by_user", 0, "no", "no"),
        ("deactivated", 1, "yes", "yes"),
        ("enabled", 1, "no", "no"),
        (None, 1, "unknown", "unknown"),
    ]
    found = each(bench, [{"app": {"status": status, "permission_count": count}} for status, count, *_ in cases])
    for case, verdicts in zip(cases, found, strict=True):
        _, _, grants, deactivated = case
        assert (verdicts["disabled_with_grants"], verdicts["deactivated"]) == (grants, deactivated), case


OWNER_CHECKS = ("ownerless", "only_disabled_owners", "only_guest_owners")


def test_owners(bench: Bench) -> None:
    cases: list[tuple[Any, ...]] = [
        ([{}], "no", "no", "no"),
        ([], "yes", "no", "no"),
        ([{"owner_enabled": False}], "yes", "yes", "no"),
        ([{"owner_enabled": False}, {"owner_id": "u2"}], "no", "no", "no"),
        ([{"owner_enabled": None}], "unknown", "unknown", "no"),
        ([{"owner_is_guest": True}], "no", "no", "yes"),
        ([{"owner_is_guest": True}, {"owner_id": "u2"}], "no", "no", "no"),
        ([{"owner_is_guest": True}, {"owner_id": "u2", "owner_enabled": False}], "no", "no", "yes"),
        ([{"owner_is_guest": None}], "no", "no", "unknown"),
        ([{"owner_type": "service_principal", "owner_enabled": None, "owner_is_guest": None}], "no", "no", "no"),
    ]
    found = each(bench, [{"app_owners": [OWNER | owner for owner in owners]} for owners, *_ in cases])
    for case, verdicts in zip(cases, found, strict=True):
        _, *words = case
        assert [verdicts[check] for check in OWNER_CHECKS] == words, case


def test_no_owner_is_said_only_when_both_lists_were_read(bench: Bench) -> None:
    found = hygiene(bench, unread={"application_owners": "partial"}, app_owners=[])
    assert verdict(found, "ownerless") == "unknown"


def test_a_registration_without_a_service_principal_has_owners_too(bench: Bench) -> None:
    owner = {"object_kind": "application", "object_id": "o1", "owner_id": "u1", "owner_type": "user"}
    users = [{"user_id": "u1", "display_name": "Ada", "account_enabled": False, "user_type": "Member"}]
    found = hygiene(
        bench, app_inventory=[], stg_service_principals=[], app_owners=[], stg_owners=[owner], stg_users=users
    )
    assert verdict(found, "only_disabled_owners", "o1") == "yes"
    assert (found["o1", "ownerless"]["application_id"], found["o1", "ownerless"]["app_id"]) == ("o1", "a1")


URL_CHECKS = {
    "reply_url_http", "reply_url_wildcard", "reply_url_localhost", "reply_url_ip", "reply_url_custom_scheme",
    "reply_url_reclaimable_host",
}  # fmt: skip


def test_reply_addresses(bench: Bench) -> None:
    cases: list[tuple[Any, ...]] = [
        ("https://app.example/cb", ""),
        ("HTTP://App.example/cb", "http"),
        ("http://localhost:3000/cb", "localhost"),
        ("https://127.0.0.1/cb", "localhost"),
        ("http://[::1]:80/", "localhost"),
        ("https://localhost.evil.example/", ""),
        ("https://localhost@evil.example/", ""),
        ("https://10.0.0.7/cb", "ip"),
        ("https://[2001:db8::1]/cb", "ip"),
        ("https://10.0.0.7.example/cb", ""),
        ("https://*.app.example/cb", "wildcard"),
        ("myapp://auth", "custom_scheme"),
        ("urn:ietf:wg:oauth:2.0:oob", ""),
        ("no scheme at all", "custom_scheme"),
        ("https://shop.azurewebsites.net/cb", "reclaimable_host"),
        ("https://SHOP.AzureWebsites.net.:443/cb", "reclaimable_host"),
        ("https://azurewebsites.net.evil.example/", ""),
        ("https://notazurewebsites.net/", ""),
        ("http://old.cloudapp.net\\@app.example/", "http reclaimable_host"),
        ("'); DROP TABLE app_inventory; --", "custom_scheme"),
    ]
    found = each(bench, [{"app": {"reply_urls": [url]}} for url, _ in cases])
    for case, verdicts in zip(cases, found, strict=True):
        _, hits = case
        assert {check.removeprefix("reply_url_") for check in URL_CHECKS if verdicts[check] == "yes"} == set(
            hits.split()
        ), case


def test_addresses_of_the_registration_count_too(bench: Bench) -> None:
    found = hygiene(bench, stg_applications=[REGISTRATION | {"reply_urls": ["http://a.example", "http://b.example"]}])
    row = found["s1", "reply_url_http"]
    assert (row["verdict"], row["subject"], row["hits"]) == ("yes", "http://a.example", 2)


def granted(**counts: int) -> list[dict[str, Any]]:
    """app_grant_summary of s1."""
    zero = {"application_count": 0, "delegated_count": 0, "high_privilege_count": 0, "high_application_count": 0}
    return [{"service_principal_id": "s1"} | zero | counts]


def test_assignment(bench: Bench) -> None:
    cases: list[tuple[Any, ...]] = [
        (False, {"application_count": 1, "high_privilege_count": 1, "high_application_count": 1}, "no"),
        (False, {"delegated_count": 1, "high_privilege_count": 1}, "yes"),
        (False, {"delegated_count": 1}, "no"),
        (True, {"delegated_count": 1, "high_privilege_count": 1}, "no"),
        (None, {"delegated_count": 1, "high_privilege_count": 1}, "unknown"),
    ]
    found = each(
        bench,
        [
            {"app": {"assignment_required": required}, "app_grant_summary": granted(**counts)}
            for required, counts, _ in cases
        ],
    )
    for case, verdicts in zip(cases, found, strict=True):
        _, _, word = case
        assert verdicts["assignment_not_required"] == word, case


def test_mixed_permission_kinds(bench: Bench) -> None:
    both = hygiene(bench, app_grant_summary=granted(application_count=1, delegated_count=1))
    assert verdict(both, "mixed_permission_kinds") == "yes"
    one = hygiene(bench, app_grant_summary=granted(application_count=2))
    assert verdict(one, "mixed_permission_kinds") == "no"


def test_settings_of_the_registration(bench: Bench) -> None:
    cases: list[tuple[Any, ...]] = [
        ("property_lock_missing", {"sign_in_audience": "AzureADMultipleOrgs"}, "yes"),
        ("property_lock_missing", {"sign_in_audience": "AzureADMultipleOrgs",
                                   "property_lock": '{"isEnabled": true, "allProperties": true}'}, "no"),
        ("property_lock_missing", {"sign_in_audience": "AzureADandPersonalMicrosoftAccount",
                                   "property_lock": '{"isEnabled": true, "credentialsWithUsageSign": true}'}, "yes"),
        ("property_lock_missing", {"sign_in_audience": "AzureADMultipleOrgs",
                                   "property_lock": '{"isEnabled": false, "allProperties": true}'}, "yes"),
        ("property_lock_missing", {}, "no"),
        ("property_lock_missing", {"sign_in_audience": None}, "unknown"),
        ("implicit_grant", {"implicit_access_tokens": True}, "yes"),
        ("implicit_grant", {"implicit_id_tokens": True}, "yes"),
        ("implicit_grant", {"implicit_access_tokens": False}, "no"),
        ("public_client_allowed", {"allows_public_client": True}, "yes"),
        ("public_client_allowed", {"allows_public_client": None}, "no"),
    ]  # fmt: skip
    found = each(bench, [{"registration": changes} for _, changes, _ in cases])
    for case, verdicts in zip(cases, found, strict=True):
        check, _, word = case
        assert verdicts[check] == word, case


def test_every_check_is_described_and_has_sources(bench: Bench) -> None:
    from appgov_lib.extract.sources import load_sources

    for row in checks():
        assert row["title"], row
        assert row["why"].endswith("."), row
        assert row["threshold"].isdigit(), row
        assert row["rests_on_absence"] in ("true", "false"), row
        assert row["applies_to"] in ("directory", "apps", "own", "holders", "microsoft"), row
        assert set((row["needs"] + " " + row["needs_own"]).split()) <= set(load_sources()), row
