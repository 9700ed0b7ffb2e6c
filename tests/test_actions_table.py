"""The table of actions against the code: nothing is listed that is not there, and all that is there is listed."""

from __future__ import annotations

import re
from runpy import run_path

import pytest
from changing import KINDS
from changing_apps import APP_KINDS
from changing_people import KINDS as KINDS_OF_PEOPLE
from checkout import ROOT

from appgov_lib.actions.asks import _HANDLERS
from appgov_lib.actions.builders import CHANGES
from appgov_lib.actions.forms import form_of
from appgov_lib.actions.on_request import ON_REQUEST
from appgov_lib.actions.planner import _WORDS, ACTION_TYPES
from appgov_lib.actions.requests import Request
from appgov_lib.errors import ConfigError

PAGE = run_path(str(ROOT / "tools" / "actions_page.py"))
LINES = PAGE["lines"]()
BY_HAND = {"renew_credential", "reset_password", "review_app", "review_settings"}
"""Kinds without a request."""
ROUND_TRIPS = {*KINDS, *APP_KINDS, *KINDS_OF_PEOPLE}
ID = "11111111-1111-1111-1111-111111111111"


def kinds(how: str) -> set[str]:
    """The kinds of the lines that come in one way."""
    return {kind for line in LINES if line["how"] == how for kind in line["kinds"].split()}


def test_every_action_stands_in_it_once():
    assert [line["id"] for line in LINES] == [f"ACT-{number}" for number in range(1, 37)]
    assert {line["how"] for line in LINES} <= PAGE["HOW"].keys()


def test_it_lists_what_the_plan_and_people_may_ask_for():
    assert kinds("planned") == set(ACTION_TYPES) - BY_HAND
    assert kinds("on request") == set(ON_REQUEST) - set(ACTION_TYPES)
    assert kinds("no") | kinds("undo") | kinds("plan file") == set()
    assert set(CHANGES) == set(_WORDS) == set(ACTION_TYPES)


def test_the_words_of_policies_are_those_that_the_plan_knows():
    listed = {name for line in LINES for name in line["asked_by"].split()}
    assert listed == _HANDLERS.keys() - {"renew_credential", "review_settings"}


@pytest.mark.parametrize("line", [line for line in LINES if line["how"] != "no"], ids=lambda line: line["id"])
def test_the_test_that_is_named_is_there(line: dict[str, str]):
    file, name, *rest = line["test"].split(" ", 2)
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.M)
    if rest:
        assert rest[0] in ROUND_TRIPS
        assert not line["kinds"] or rest[0].split(",")[0] in line["kinds"].split() or line["how"] != "planned"


@pytest.mark.parametrize("line", [line for line in LINES if line["how"] == "no"], ids=lambda line: line["id"])
def test_what_is_not_sent_says_why_and_is_refused(line: dict[str, str]):
    assert line["note"]
    method, path = line["request"].split(" ")[:2]
    if path.startswith(("/users", "/policies/permissionGrantPolicies", "/identityGovernance")):
        body = None if method == "DELETE" else {"passwordProfile": {"password": "x"}}
        with pytest.raises(ConfigError, match="none that appgov sends"):
            form_of(Request(method, "/v1.0" + path.replace("{id}", ID), body))


def test_what_is_never_taken_back_has_no_undo():
    from test_actions_apps import FOR_GOOD

    never = {kind for line in LINES if line["back"] == "never" for kind in line["kinds"].split()}
    assert never == {*FOR_GOOD, "remove_credential", "remove_expired_credentials", "revoke_sessions"}
