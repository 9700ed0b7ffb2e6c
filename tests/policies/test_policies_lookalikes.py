"""The policies about names and domains that read like somebody else's fire, and not on the nearest honest one."""

from __future__ import annotations

from typing import Any

import duckdb
import pandas as pd
import pytest
from policy_tables import AS_OF, SP, cover, found, one
from state_tables import put, read_names, state_warehouse

from appgov_lib.detect import test_policy as try_policy
from appgov_lib.errors import UserError

OUTSIDE: dict[str, Any] = {"app_origin": "external", "publisher_verified": False}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    """An empty warehouse."""
    return state_warehouse()


# Names and publishers


@pytest.mark.parametrize(
    ("publisher", "verified", "subjects"),
    [
        ("Micr\u043es\u043eft Corporation", False, ["publisher"]),
        ("Micr\u043es\u043eft Corporation", True, ["publisher"]),
        ("\u039cicrosoft", False, ["publisher"]),  # Greek capital Mu
        ("Microsoft Corporation", False, ["publisher"]),
        ("Microsoft Corporation", True, []),
        ("Microsoft Corporation", None, []),
        ("Fabrikam for Microsoft 365", False, []),
        ("Fabrikam", False, []),
        (None, False, []),
    ],
)
def test_publishers_that_read_like_microsoft(con, publisher: str | None, verified: bool | None, subjects: list[str]):
    put(con, "app_inventory", app_origin="external", publisher_name=publisher, publisher_verified=verified)
    put(con, "stg_service_principals")
    read_names(con)
    assert list(found(con, "imitates-microsoft")["subject"]) == subjects


def test_a_name_keeps_its_finding_id_and_a_publisher_gets_its_own(con):
    put(con, "app_inventory", display_name="Microsoft Teams", publisher_name="Microsoft", **OUTSIDE)
    put(con, "stg_service_principals")
    read_names(con)
    rows = found(con, "imitates-microsoft")
    assert list(rows["subject"]) == ["", "publisher"]
    assert rows["reason"][1] == (
        'The publisher\'s name, Microsoft, reads like "Microsoft Corporation", but the app belongs to another tenant, '
        "not to Microsoft."
    )


@pytest.mark.parametrize(
    ("app", "subjects"),
    [
        ({"display_name": "Z\u043e\u043em Meetings"}, ["name"]),
        ({"display_name": "Zoom", "publisher_name": "Z\u043eom Inc"}, ["publisher"]),
        ({"display_name": "\U0001d40fayPal"}, ["name"]),  # a letter made for formulas
        ({"display_name": "Z\u043e\u043em Meetings", "app_origin": "internal"}, []),
        ({"display_name": "Z\u043e\u043em Meetings", "is_in_scope": False}, []),
        ({"display_name": "Micr\u043es\u043eft Teams"}, []),  # told by imitates-microsoft
        ({"display_name": "\u0421\u0432\u044f\u0437\u044c CRM"}, []),  # a Russian word beside a Latin one
        ({"display_name": "M\u00fcller Caf\u00e9 \u00d8resund"}, []),
        ({"display_name": "\u00b5Torrent \u2122 km\u00b2"}, []),
        ({"display_name": "\u5e94\u7528 App"}, []),
    ],
)
def test_look_alike_letters_inside_a_word(con, app: dict[str, Any], subjects: list[str]):
    put(con, "app_inventory", **{**OUTSIDE, **app})
    read_names(con)
    assert list(found(con, "misleading-name")["subject"]) == subjects


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("%4D%61%69%6C", True),
        ("Mail &#x41;&#x42;", True),
        ("\\u004dail", True),
        ("=?utf-8?B?TWFpbA==?=", True),
        ("xn--mller-kva", True),
        ("VGhpcyBpcyBhIG5hbWU=", True),
        ("Sales & Marketing; 100% sure", False),
        ("Invoice 50%20", False),
        ("ContosoPayrollSynchronisation", False),
        ("mi-9f2c1d5e7a8b4c3d", False),
    ],
)
def test_names_in_code(con, name: str, reported: bool):
    put(con, "app_inventory", display_name=name)
    read_names(con)
    assert len(found(con, "odd-app-name")) == int(reported)


def test_a_mixed_word_in_an_own_app_is_odd_only(con):
    put(con, "app_inventory", display_name="\u0421lient Portal")
    read_names(con)
    assert found(con, "misleading-name").empty
    assert 'mixes letters of several alphabets in "\u0421lient"' in one(con, "odd-app-name")["reason"]


# Domains


@pytest.mark.parametrize(
    ("url", "imitated"),
    [
        ("https://login.micros0ft.com/cb", "microsoft.com"),
        ("https://rnicrosoftonline.com", "microsoftonline.com"),
        ("https://www.microsft.com", "microsoft.com"),
        ("https://microsfotonline.com", "microsoftonline.com"),  # two letters swapped
        ("https://xn--mcrosoft-tkb.com/x", "microsoft.com"),
        ("https://sharepiont.co.uk/", "sharepoint.com"),
        ("https://user@0ffice.com:444/", "office.com"),  # too short for letters, but it reads alike
        ("https://w1ndows.net/", "windows.net"),  # a word, and it reads alike
        ("https://c0ntosocorp.example/", "contosocorp.example"),
        ("https://contosocrop.example/", "contosocorp.example"),
        ("https://rnicrosoft.azurewebsites.net/", "microsoft.com"),
    ],
)
def test_misspelt_domains(con, url: str, imitated: str):
    put(con, "app_inventory", reply_urls=[url, "https://fabrikam.example/cb"])
    put(con, "stg_service_principals")
    put(con, "stg_organization", verified_domains=["contosocorp.example", "contosocorp.onmicrosoft.com"])
    read_names(con)
    row = one(con, "typosquatted-domain")
    assert row["evidence"]["imitated"] == imitated


@pytest.mark.parametrize(
    "url",
    [
        "https://login.microsoftonline.com/common",
        "https://contosocorp.example/cb",
        "https://apps.contosocorp.example/cb",
        "https://microsoft.example/cb",  # the right name under another suffix
        "https://officer.com/cb",  # a letter away from a short name
        "https://dynamic.com/cb",  # and from a word
        "https://contosocorp1.azurewebsites.net/cb",  # one of many names under a suffix of everybody's
        "https://contosocorp.sharepoint.com/cb",
        "https://fabrikam.example/microsft.com",
        "http://localhost:8080",
        "https://192.0.2.7/cb",
        "https://xn--mller-kva.example/cb",
        "urn:ietf:wg:oauth:2.0:oob",
        "msal1234://auth",
        "not an address",
    ],
)
def test_honest_domains_are_not_misspelt(con, url: str):
    put(con, "app_inventory", reply_urls=[url])
    put(con, "stg_service_principals")
    put(con, "stg_organization", verified_domains=["contosocorp.example", "contosocorp.onmicrosoft.com"])
    read_names(con)
    assert found(con, "typosquatted-domain").empty


def test_home_page_and_publisher_domain_count_too(con):
    put(con, "app_inventory", publisher_domain="micros0ft.com")
    put(con, "stg_service_principals", homepage="https://micros0ft.com/about")
    read_names(con)
    row = one(con, "typosquatted-domain")
    assert row["evidence"]["places"] == ["home page", "publisher domain"]
    assert row["reason"] == (
        "The home page https://micros0ft.com/about lies under micros0ft.com, which reads like microsoft.com of "
        "Microsoft and is another domain."
    )


def test_a_domain_of_mixed_letters_needs_no_model(con):
    put(con, "app_inventory", reply_urls=["https://xn--pypal-4ve.com/"])  # Cyrillic a
    put(con, "stg_service_principals")
    read_names(con)
    row = one(con, "typosquatted-domain")
    assert row["subject"] == "p\u0430ypal.com"
    assert pd.isna(row["measure"])
    assert "mixes letters of several alphabets" in row["reason"]


def test_microsofts_own_apps_have_no_domains_to_judge(con):
    put(con, "app_inventory", reply_urls=["https://micros0ft.com"], is_in_scope=False)
    put(con, "stg_service_principals")
    read_names(con)
    assert found(con, "typosquatted-domain").empty


def test_how_far_a_domain_may_be_off_is_set(con):
    put(con, "app_inventory", reply_urls=["https://microsftonlne.com"])
    put(con, "stg_service_principals")
    read_names(con)
    assert one(con, "typosquatted-domain")["measure"] == 2
    assert try_policy(con, "typosquatted-domain", AS_OF, thresholds={"max_changes": 1}).empty


TOP = {"reply_urls": ["https://a.signin-desk.top/cb"]}


@pytest.mark.parametrize(
    ("app", "reported"),
    [
        ({"display_name": "Inv\u200boice"}, True),
        ({"display_name": "%49%6E%76"}, True),
        ({"display_name": "Z\u043eom"}, True),
        ({"display_name": "Zoom", "privilege_level": "high", "high_privilege_count": 1}, True),
        ({"display_name": "Zoom"}, False),
        ({"display_name": "Zoom", "privilege_level": "high", "publisher_verified": True}, False),
        ({"display_name": "Zoom", "privilege_level": "high", "app_origin": "internal"}, False),
        ({"display_name": "Z\u043eom", "reply_urls": ["https://signin-desk.com/top"]}, False),
        ({"display_name": "Z\u043eom", "permission_count": 0}, False),
        ({"display_name": "Z\u043eom", "is_in_scope": False}, False),
    ],
)
def test_unusual_top_level_domains(con, app: dict[str, Any], reported: bool):
    put(con, "app_inventory", **{**OUTSIDE, **TOP, **app})
    put(con, "stg_service_principals")
    read_names(con)
    rows = found(con, "unusual-reply-domain")
    assert list(rows["subject"]) == (["top"] if reported else [])


@pytest.mark.parametrize(
    ("app", "permission", "reported"),
    [
        ({"display_name": "Inv\u200boice"}, "Mail.Read", True),
        ({"display_name": "%49%6E%76", "app_origin": "internal"}, "Exchange.ManageAsApp", True),
        ({"display_name": "Z\u043eom"}, "full_access_as_app", True),
        ({"display_name": "Inv\u200boice"}, "User.Read", False),
        ({"display_name": "Invoice"}, "Mail.Read", False),
        ({"display_name": "Inv\u200boice", "is_in_scope": False}, "Mail.Read", False),
    ],
)
def test_odd_names_with_mail(con, app: dict[str, Any], permission: str, reported: bool):
    put(con, "app_inventory", **app)
    put(con, "app_permissions", permission=permission)
    read_names(con)
    assert len(found(con, "odd-name-with-mail-access")) == int(reported)


def test_the_reason_names_the_first_five_permissions(con):
    put(con, "app_inventory", display_name="a\u200bb")
    for verb in ("Read", "ReadBasic", "ReadWrite", "Send", "Read.Shared", "ReadWrite.Shared"):
        put(con, "app_permissions", permission=f"Mail.{verb}", permission_type="application")
    read_names(con)
    row = one(con, "odd-name-with-mail-access")
    assert (row["service_principal_id"], row["measure"]) == (SP, 6)
    assert row["reason"] == (
        "The name of the app holds signs that cannot be seen, and it may reach every mailbox by Mail.Read, "
        "Mail.Read.Shared, Mail.ReadBasic, Mail.ReadWrite, Mail.ReadWrite.Shared and 1 more."
    )


@pytest.mark.parametrize(
    ("policy", "source"),
    [
        ("misleading-name", "service_principals"),
        ("typosquatted-domain", "organization"),
        ("unusual-reply-domain", "app_role_assignments"),
        ("odd-name-with-mail-access", "delegated_grants"),
    ],
)
def test_without_its_source_a_policy_is_not_judged(con, policy: str, source: str):
    read_names(con)
    assert found(con, policy).empty
    cover(con, source, "not_permitted")
    with pytest.raises(UserError, match=f"Source {source} is not permitted"):
        found(con, policy)
