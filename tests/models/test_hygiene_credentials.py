"""The hygiene checks of secrets, certificates and federated credentials."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Bench
from tidy import ON_PRINCIPAL, SECRET, TRUST, each, hygiene, verdict


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One bench for all: every table a check reads is made anew by each test."""
    made = Bench(tmp_path_factory.mktemp("credentials"), own=True)
    yield made
    made.close()


def test_single_credentials(bench: Bench) -> None:
    cases: list[tuple[Any, ...]] = [
        ("unused_credential", {"last_used_at": "2026-10-16"}, "yes"),
        ("unused_credential", {"last_used_at": "2026-10-17"}, "no"),
        ("unused_credential", {"last_used_at": None}, "yes"),  # never used since 1 October
        ("unused_credential", {"last_used_at": None, "starts_at": "2026-11-01"}, "no"),
        ("unused_credential", {"last_used_at": None, "last_used_known": False}, "unknown"),
        ("unused_credential", {"last_used_at": None, "days_to_expiry": -1}, "no"),  # it opens nothing any more
        ("unused_credential", {"last_used_at": None, "credential_type": "federated", "last_used_known": False}, "no"),
        ("expiring_credential", {"days_to_expiry": 30}, "yes"),
        ("expiring_credential", {"days_to_expiry": 31}, "no"),
        ("expiring_credential", {"days_to_expiry": -1}, "no"),
        ("expired_credential", {"days_to_expiry": -1}, "yes"),
        ("expired_credential", {"days_to_expiry": 0}, "no"),
        ("long_lived_secret", {"lifetime_days": 181}, "yes"),
        ("long_lived_secret", {"lifetime_days": 180}, "no"),
        ("long_lived_secret", {"lifetime_days": None}, "unknown"),
        ("long_lived_secret", {"lifetime_days": 900, "credential_type": "certificate"}, "no"),
        ("long_lived_secret", {"lifetime_days": 900, "days_to_expiry": -1}, "no"),
        ("very_long_lived_secret", {"lifetime_days": 366}, "yes"),
        ("very_long_lived_secret", {"lifetime_days": 365}, "no"),
        ("secret_on_service_principal", ON_PRINCIPAL, "yes"),
        ("secret_on_service_principal", ON_PRINCIPAL | {"credential_type": "certificate"}, "no"),
        ("secret_on_service_principal", ON_PRINCIPAL | {"days_to_expiry": -1}, "no"),
        ("secret_on_service_principal", {}, "no"),
    ]
    found = each(bench, [{"app_credentials": [SECRET | changes]} for _, changes, _ in cases])
    for case, verdicts in zip(cases, found, strict=True):
        check, _, word = case
        assert verdicts[check] == word, case


def test_a_credential_is_not_called_unused_without_the_report(bench: Bench) -> None:
    unread = {"credential_sign_in_activities": "failed"}
    found = hygiene(bench, unread=unread, app_credentials=[SECRET | {"last_used_at": "2026-01-01"}])
    assert verdict(found, "unused_credential") == "unknown"


def test_credentials_together(bench: Bench) -> None:
    cases: list[tuple[Any, ...]] = [
        ("several_live_secrets", {"key_id": "k2"}, "yes"),
        ("several_live_secrets", {"key_id": "k2", "days_to_expiry": -1}, "no"),
        ("several_live_secrets", {"key_id": "k2", "credential_type": "certificate"}, "no"),
        ("credentials_on_both_objects", ON_PRINCIPAL, "yes"),
        ("credentials_on_both_objects", ON_PRINCIPAL | {"credential_type": "certificate"}, "yes"),
        ("credentials_on_both_objects", {"key_id": "k2"}, "no"),
        ("mixed_credential_kinds", {"key_id": "k2", "credential_type": "certificate"}, "yes"),
        ("mixed_credential_kinds", {"key_id": "k2", "credential_type": "federated", "days_to_expiry": None}, "yes"),
        ("mixed_credential_kinds", {"key_id": "k2"}, "no"),
    ]
    found = each(bench, [{"app_credentials": [SECRET, SECRET | second]} for _, second, _ in cases])
    for case, verdicts in zip(cases, found, strict=True):
        check, _, word = case
        assert verdicts[check] == word, case


def test_the_worst_credential_stands_for_the_others(bench: Bench) -> None:
    found = hygiene(bench, app_credentials=[
        SECRET | {"key_id": "far", "days_to_expiry": 20}, SECRET | {"key_id": "near", "days_to_expiry": 2},
    ])["s1", "expiring_credential"]  # fmt: skip
    assert (found["subject"], found["measure"], found["hits"]) == ("near", 2, 2)


def test_a_saml_signing_pair_is_no_secret_left_on_the_service_principal(bench: Bench) -> None:
    saml = [{"service_principal_id": "s1", "app_id": "a1", "single_sign_on_mode": "saml"}]
    pair = [SECRET | ON_PRINCIPAL, SECRET | ON_PRINCIPAL | {"key_id": "k3", "credential_type": "certificate"}]
    check = "secret_on_service_principal"
    assert verdict(hygiene(bench, stg_service_principals=saml, app_credentials=pair), check) == "no"
    added = SECRET | ON_PRINCIPAL | {"key_id": "k4", "ends_at": "2028-01-01"}
    found = hygiene(bench, stg_service_principals=saml, app_credentials=[*pair, added])
    assert (verdict(found, check), found["s1", check]["subject"]) == ("yes", "k4")
    assert verdict(hygiene(bench, app_credentials=pair), check) == "yes"


def test_federated_credentials(bench: Bench) -> None:
    cases: list[tuple[Any, ...]] = [
        ({"subject": "repo:org/app:ref:refs/heads/main"}, "no", "no"),
        ({"subject": "repo:org/app:environment:prod"}, "no", "no"),
        ({"subject": "repo:org/app:pull_request"}, "yes", "no"),
        ({"subject": "repo:org"}, "yes", "no"),
        ({"subject": "repo:org/*:ref:refs/heads/main"}, "yes", "no"),
        ({"claims_expression": "claims['sub'] matches 'repo:org/*'"}, "yes", "no"),
        ({"claims_expression": "claims['sub'] eq 'repo:org/app:ref:refs/heads/main'"}, "no", "no"),
        ({"subject": None}, "yes", "no"),
        ({"issuer": "https://gitlab.com", "subject": "project_path:g/p:ref_type:branch:ref:main"}, "no", "no"),
        ({"issuer": "https://gitlab.com", "subject": "project_path:g/p"}, "yes", "no"),
        ({"issuer": "https://gitlab.com.evil.example", "subject": "x"}, "no", "yes"),
        ({"issuer": "https://evil.example/token.actions.githubusercontent.com", "subject": "x"}, "no", "yes"),
        ({"issuer": "http://gitlab.com", "subject": "x"}, "no", "yes"),
        ({"issuer": "https://login.microsoftonline.com/home/v2.0", "subject": "x"}, "no", "no"),
        ({"issuer": "https://login.microsoftonline.com/away/v2.0", "subject": "x"}, "no", "yes"),
        ({"issuer": "https://westeurope.oic.prod-aks.azure.com/home/1/", "subject": "x"}, "no", "no"),
        ({"issuer": None, "subject": "x"}, "no", "yes"),
    ]
    found = each(bench, [{"stg_federated_credentials": [TRUST | trust]} for trust, *_ in cases])
    for case, verdicts in zip(cases, found, strict=True):
        _, wide, foreign = case
        assert (verdicts["wide_federated_subject"], verdicts["foreign_federated_issuer"]) == (wide, foreign), case


def test_another_tenant_cannot_be_told_without_our_own_id(bench: Bench) -> None:
    trust = TRUST | {"issuer": "https://login.microsoftonline.com/away/v2.0", "subject": "x"}
    found = hygiene(bench, stg_federated_credentials=[trust], stg_organization=[])
    assert found["s1", "foreign_federated_issuer"]["reason"] == "the id of this tenant was not read"
    assert verdict(found, "foreign_federated_issuer") == "unknown"
