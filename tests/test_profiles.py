"""Tenant profiles: what `appgov.toml` may say, on which line a mistake is, and which of several values wins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checkout import ROOT

from appgov_lib.errors import ConfigError
from appgov_lib.extract.credentials import credential_for
from appgov_lib.profiles import Profile, load_profiles
from appgov_lib.profiles.places import lines_of
from appgov_lib.profiles.schema import CHANNEL, KINDS, NEEDED, OF_ALL, TAKES, TENANT
from appgov_lib.settings import ENDPOINTS, SIGN_INS, Settings
from appgov_lib.store.retention import configured_days


def read(tmp_path: Path, text: str, name: str = "contoso") -> Profile:
    """The profile of a tenant in a file with this text."""
    (tmp_path / "appgov.toml").write_text(text)
    return load_profiles(tmp_path, {}).of(name)


MAIL = '[[tenant.contoso.deliver]]\nkind = "smtp"\nhost = "127.0.0.1"\nto = ["a@x.org"]\nfrom = "b@x.org"\n'


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("x = 1\n", 1, "no key 'x' here; known are defaults, tenant"),
        ("[tenant.contoso]\nretention_day = 90\n", 2, "did you mean retention_days?"),
        ("\n[tenant.contoso]\n\nretention_days = '90'\n", 4, "write a whole number without quotes"),
        ("[tenant.contoso]\nretention_days = 5\n", 2, "the least is 35"),
        ("[tenant.contoso]\ncloud = 'mars'\n", 2, "it takes global, usgov-l4, usgov-l5 or china"),
        ("[tenant.contoso]\nclient_secret = 'abc'\n", 2, "secrets do not belong into this file"),
        ("[tenant.contoso]\nclient_secret_env = 'abc~def-1234'\n", 2, "not the name of an environment variable"),
        ("[tenant.contoso]\nendpoint = 'http://graph.example'\n", 2, "not an https address"),
        ("[tenant.contoso]\ncloud = 'china'\nendpoint = 'https://x'\n", 3, "give cloud or endpoint, not both"),
        ("[tenant.a]\n[tenant.'../b']\n", 2, "cannot be used as a folder name"),
        ("[defaults]\ntenant_id = 'x'\n", 2, "no key 'tenant_id' here"),
        ("[tenant.contoso.budget_minutes]\nextract = 0\n", 2, "write minutes, at least 1"),
        ("[tenant.contoso.thresholds.p]\ndays = 'x'\n", 2, "days is 'x'; write a number"),
        ("[tenant.contoso]\nfail_on = 3\n", 2, "write a text in quotes"),
        ("[tenant.contoso]\ndeliver = 'mail'\n", 2, "double brackets"),
        ("[[tenant.contoso.deliver]]\n", 1, "a delivery needs a kind"),
        ("[[tenant.contoso.deliver]]\nkind = 'pigeon'\n", 2, "smtp, graph, teams, webhook or folder"),
        ("[[tenant.contoso.deliver]]\nkind = 'teams'\n", 1, "a delivery of the kind teams needs url_env"),
        (
            "[[tenant.contoso.deliver]]\nkind='teams'\nurl='https://x'\n",
            3,
            "name the variable that holds it as url_env",
        ),
        ("[[tenant.contoso.deliver]]\nkind='teams'\nurl_env='A'\nhost='x'\n", 4, "host means nothing to a delivery"),
        (MAIL + "\n" + MAIL.replace("to =", "\nto =").replace("a@x", "a@x@"), 11, "is not a mail address"),
        (MAIL + 'security = "none"\n' + MAIL.replace("127.0.0.1", "mail.x") + 'security = "none"\n', 12, "unsecured"),
        (MAIL + 'user = "u"\n', 1, "user and password_env together"),
        (MAIL + 'name = "a"\n' + MAIL + 'name = "a"\n', 7, "the name 'a' comes twice"),
        ("[tenant.contoso]\npolicies = [\n  'a',\n]\nfail_on = 'x'\n", 2, "policies is ['a']"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as failed:
        read(tmp_path, text)
    assert f"appgov.toml, line {line}: " in str(failed.value)
    assert says in str(failed.value)


def test_no_secret_is_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as failed:
        read(tmp_path, "[tenant.contoso]\nclient_secret_env = 'Abc8Q~abcdefghijklmnop'\n")
    assert "Q~abcdefghij" not in str(failed.value)


def test_text_that_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"appgov\.toml cannot be read as TOML: .*line 2"):
        read(tmp_path, "[tenant.a]\nx = \n")
    with pytest.raises(ConfigError, match=r"APPGOV_CONFIG is '/nowhere\.toml'"):
        load_profiles(tmp_path, {"APPGOV_CONFIG": "/nowhere.toml"})


def test_lines_are_those_of_the_file() -> None:
    text = '# one\n[a."b.c"]\nx = """\n[no.table]\ny = 1\n"""\n"k 1" = [\n 1,\n]\nd.e = 2\n'
    text += "[[l]]\n[l.m]\nn=1\n[[l]]\np = 3\n"
    found = lines_of(text)
    assert found == {
        ("a",): 2, ("l",): 11, ("a", "b.c"): 2, ("a", "b.c", "x"): 3, ("a", "b.c", "k 1"): 7,
        ("a", "b.c", "d", "e"): 10,
        ("l", 0): 11, ("l", 0, "m"): 12, ("l", 0, "m", "n"): 13, ("l", 1): 14, ("l", 1, "p"): 15,
    }  # fmt: skip


def test_what_is_said_of_one_tenant_wins_over_what_is_said_of_all(tmp_path: Path) -> None:
    (tmp_path / "appgov.toml").write_text(
        "[defaults]\ncloud = 'china'\nretention_days = 100\nsign_in = 'managed-identity'\n"
        "[tenant.own]\ncloud = 'usgov-l4'\nretention_days = 200\nclient_secret_env = 'S'\n[tenant.other]\n"
    )
    env = {"APPGOV_GRAPH_ENDPOINT": "https://graph.example", "APPGOV_SIGN_IN": "device-code",
           "APPGOV_RETENTION_DAYS": "150"}  # fmt: skip

    def found(tenant: str, env: dict[str, str], **given: str) -> tuple[str, str, int | None]:
        one = Settings.load(tenant, tmp_path, env, **given)
        return one.endpoint, one.sign_in, configured_days(env, one.profile)

    assert found("own", env) == (ENDPOINTS["usgov-l4"], "secret", 200)
    assert found("other", env) == ("https://graph.example", "device-code", 150)
    assert found("other", {}) == (ENDPOINTS["china"], "managed-identity", 100)
    option = {"endpoint": ENDPOINTS["global"], "sign_in": "certificate"}
    assert found("own", env, **option)[:2] == (ENDPOINTS["global"], "certificate")
    (tmp_path / "appgov.toml").unlink()
    assert found("other", {}) == (ENDPOINTS["global"], "default", None)


def test_the_only_tenant_is_the_default_and_a_slip_is_told(tmp_path: Path) -> None:
    (tmp_path / "appgov.toml").write_text("[tenant.contoso]\n")
    assert Settings.load(home=tmp_path, env={}).tenant == "contoso"
    with pytest.raises(ConfigError, match=r"no tenant 'contosso' in .*; it has contoso"):
        Settings.load("contosso", tmp_path, {})
    assert Settings.load("sample", tmp_path, {}).tenant == "sample"
    (tmp_path / "data" / "earlier").mkdir(parents=True)
    assert Settings.load("earlier", tmp_path, {}).tenant == "earlier"
    (tmp_path / "appgov.toml").write_text("[tenant.a]\n[tenant.b]\n")
    assert Settings.load(home=tmp_path, env={}).tenant == "sample"
    assert Settings.load(home=tmp_path, env={"APPGOV_TENANT": "b"}).tenant == "b"


def test_each_tenant_signs_in_as_itself(tmp_path: Path) -> None:
    """What the environment holds for another tenant is not used, and what is missing is named."""
    text = "[tenant.contoso]\ntenant_id = 't'\nclient_id = 'c'\nclient_secret_env = 'CONTOSO'\n"
    credential = read(tmp_path, text).credential
    env = {"CONTOSO": "s1", "AZURE_CLIENT_CERTIFICATE_PATH": "/other.pem", "AZURE_TENANT_ID": "other", "PATH": "p",
           "APPGOV_ACCESS_TOKEN": "t"}  # fmt: skip
    assert credential.environment(env) == {
        "CONTOSO": "s1", "PATH": "p", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s1",
    }  # fmt: skip
    settings = Settings.load("contoso", tmp_path, {})
    assert settings.sign_in == "secret"
    with pytest.raises(ConfigError, match=r"The variable CONTOSO, which appgov\.toml names, is not set"):
        credential_for(settings, {})


def test_one_app_may_read_several_tenants(tmp_path: Path) -> None:
    """Ids in the file go with the proof of the environment, and never with the environment's own ids."""
    general = "[defaults]\nclient_id = 'c'\n[tenant.a]\ntenant_id = 'a.example'\n[tenant.b]\ntenant_id = 'b.example'\n"
    read(tmp_path, general)
    env = {"AZURE_TENANT_ID": "other", "AZURE_CLIENT_ID": "other", "AZURE_CLIENT_SECRET": "s"}
    one = Settings.load("b", tmp_path, env)
    told = one.profile.credential.environment(env)
    assert [told[name] for name in env] == ["b.example", "c", "s"]
    assert credential_for(one, env).way == "secret"
    with pytest.raises(ConfigError, match=r"appgov\.toml, line 5: ids are given and nothing that proves them"):
        credential_for(one, {})
    assert credential_for(Settings.load("b", tmp_path, {}, sign_in="managed-identity"), {}).way == "managed-identity"
    assert Settings.load("b", tmp_path, {"APPGOV_SIGN_IN": "federation"}).sign_in == "federation"


def test_kernels_get_no_secret_of_any_tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from appgov_lib.runner.run import kernel_environment

    hook = "[[tenant.other.deliver]]\nkind = 'teams'\nurl_env = 'HOOK'\n"
    read(tmp_path, MAIL + 'user = "u"\npassword_env = "MAIL"\n[tenant.other]\nclient_secret_env = "OTHER"\n' + hook)
    for name in ("MAIL", "OTHER", "HOOK", "AZURE_CLIENT_SECRET", "KEPT"):
        monkeypatch.setenv(name, "value")
    found = kernel_environment(Settings.load("contoso", tmp_path))
    assert {"MAIL", "OTHER", "HOOK", "AZURE_CLIENT_SECRET", "KEPT"} & found.keys() == {"KEPT"}


def test_folders_are_seen_from_the_file(tmp_path: Path) -> None:
    text = "[tenant.contoso]\npolicies = 'p/contoso'\n[tenant.other]\nexceptions = '/x/e.toml'\n"
    read(tmp_path, text)
    one, other = (Settings.load(name, tmp_path, {}) for name in ("contoso", "other"))
    assert (one.policies_dir, one.exceptions_file) == (tmp_path / "p/contoso", tmp_path / "p/contoso/exceptions.toml")
    assert (other.policies_dir, other.exceptions_file) == (tmp_path / "policies", Path("/x/e.toml"))


def test_thresholds_of_a_tenant_change_its_policies_alone(tmp_path: Path) -> None:
    from appgov_lib.detect.run import tenant_policies

    read(
        tmp_path, "[tenant.a.thresholds.unused-app]\ndays_unused = 60\n[tenant.b]\n[tenant.c.thresholds.nope]\nx = 1\n"
    )
    days = {
        name: {p.policy_id: p for p in tenant_policies(Settings.load(name, tmp_path, {}), None)}[
            "unused-app"
        ].thresholds
        for name in ("a", "b")
    }
    assert (days["a"]["days_unused"], days["b"]["days_unused"]) == (60, 90)
    with pytest.raises(ConfigError, match=r"appgov\.toml, line 4: thresholds names the policy 'nope'"):
        tenant_policies(Settings.load("c", tmp_path, {}), None)


def test_the_example_can_be_read() -> None:
    env = {"APPGOV_CONFIG": str(ROOT / "deploy" / "appgov.toml")}
    found = load_profiles(Path("/"), env).tenants
    assert list(found) == ["contoso", "fabrikam"]
    assert [channel.kind for channel in found["contoso"].channels] == ["smtp", "teams"]
    assert found["fabrikam"].retention_days == 180


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('pseudonymise = "yes"', "write true or false"),
        ("min_users_shown = -1", "the least is 0"),
        ("min_users_shown = 2.5", "write a whole number"),
        ("pseudonymize = true", "did you mean pseudonymise?"),
    ],
)
def test_how_people_are_shown_is_checked(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "appgov.toml").write_text(f"[tenant.a]\n{line}\n")
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_profiles(tmp_path, {})


def test_how_people_are_shown_is_read_for_one_tenant_or_all(tmp_path: Path) -> None:
    (tmp_path / "appgov.toml").write_text(
        "[defaults]\npseudonymise = true\nmin_users_shown = 5\n[tenant.a]\n[tenant.b]\npseudonymise = false\n"
    )
    found = load_profiles(tmp_path, {}).tenants
    shown = {name: (profile.pseudonymise, profile.min_users_shown) for name, profile in found.items()}
    assert shown == {"a": (True, 5), "b": (False, 5)}


def test_the_schema_agrees_with_itself_and_with_the_code() -> None:
    names = {key.name for key in CHANNEL}
    assert set(KINDS) == set(NEEDED) == set(TAKES)
    assert {name for kind in KINDS for name in (*NEEDED[kind], *TAKES[kind], *OF_ALL)} == names
    allowed = {key.name: key.allowed for key in TENANT}
    assert allowed["cloud"] == tuple(ENDPOINTS)
    assert allowed["sign_in"] == SIGN_INS
    assert all(key.note.endswith(".") for key in (*TENANT, *CHANNEL))
