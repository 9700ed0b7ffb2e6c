"""Each way to sign in, against azure-identity itself with a sign-in service on loopback; secrets stay out of sight."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.identity
import azure.identity.aio
import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from login import BlockingDetour, Detour, Login, login_service

from appgov_lib.__main__ import main
from appgov_lib.errors import ConfigError, ExitCode, SignInError
from appgov_lib.extract.clouds import CLOUDS, authority_for, cloud_named, cloud_of
from appgov_lib.extract.credentials import NEEDS, SignIn, credential_for
from appgov_lib.extract.device_code import InThread
from appgov_lib.extract.sign_in_errors import CODES, explain_sign_in
from appgov_lib.settings import SIGN_INS, Settings

SECRET = "s3cret-Value~1"
PASSWORD = "pass-w0rd"
APP = {"AZURE_TENANT_ID": "contoso.example", "AZURE_CLIENT_ID": "11111111-2222-3333-4444-555555555555"}
ASYNCHRONOUS = (
    "DefaultAzureCredential",
    "ClientSecretCredential",
    "CertificateCredential",
    "ManagedIdentityCredential",
    "WorkloadIdentityCredential",
)


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> Iterator[Login]:
    """azure-identity's credentials as they are, with every request led to a loopback sign-in service."""
    with login_service() as service:
        for name in ASYNCHRONOUS:
            real = getattr(azure.identity.aio, name)
            monkeypatch.setattr(
                azure.identity.aio, name, lambda *a, real=real, **k: real(*a, transport=Detour(service), **k)
            )
        blocking = azure.identity.DeviceCodeCredential
        monkeypatch.setattr(
            azure.identity,
            "DeviceCodeCredential",
            lambda *a, **k: blocking(*a, transport=BlockingDetour(service), **k),
        )
        yield service


def token_of(settings: Settings, env: dict[str, str]) -> str:
    """The token that `settings` and `env` lead to."""

    async def ask() -> str:
        credential = credential_for(settings, env)
        try:
            return (await credential.get_token(f"{settings.endpoint}/.default", enable_cae=True)).token
        finally:
            await credential.close()

    return asyncio.run(ask())


def settings(way: str, cloud: str = "global") -> Settings:
    """Settings of a way and a cloud."""
    return Settings(Path(), endpoint=CLOUDS[cloud].endpoint, sign_in=way)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate with its key, encrypted."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "appgov")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    kind = serialization.BestAvailableEncryption(PASSWORD.encode())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kind)
    path = tmp_path_factory.mktemp("certificate") / "app.pem"
    path.write_bytes(private + made)
    return path


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS)
def test_a_secret_goes_to_the_authority_of_the_cloud_and_nowhere_else(login: Login, cloud, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    found = token_of(settings("secret", cloud.name), {**APP, "AZURE_CLIENT_SECRET": SECRET})
    assert found == login.token
    (asked,) = [item for item in login.asked if item["path"].endswith("/token")]
    assert asked["host"] == cloud.authority
    assert asked["path"] == "/contoso.example/oauth2/v2.0/token"
    assert (asked["client_id"], asked["client_secret"]) == (APP["AZURE_CLIENT_ID"], SECRET)
    assert asked["scope"] == f"{cloud.endpoint}/.default"
    assert SECRET not in caplog.text
    assert login.token not in caplog.text


def test_a_certificate_is_opened_with_its_password_and_signs_for_its_cloud(login: Login, certificate: Path) -> None:
    env = {
        **APP,
        "AZURE_CLIENT_CERTIFICATE_PATH": str(certificate),
        "AZURE_CLIENT_CERTIFICATE_PASSWORD": PASSWORD,
    }
    assert token_of(settings("certificate", "china"), env) == login.token
    asked = login.asked[-1]
    assert asked["host"] == "login.chinacloudapi.cn"
    assert asked["client_assertion_type"].endswith("jwt-bearer")
    assert asked["client_assertion"].count(".") == 2
    assert "client_secret" not in asked
    assert PASSWORD not in str(login.asked)


@pytest.mark.parametrize("password", ["", "wr0ng-w0rd"])
def test_a_certificate_that_does_not_open_is_one_sentence(certificate: Path, password: str) -> None:
    env = {**APP, "AZURE_CLIENT_CERTIFICATE_PATH": str(certificate), "AZURE_CLIENT_CERTIFICATE_PASSWORD": password}
    with pytest.raises(ConfigError, match="AZURE_CLIENT_CERTIFICATE_PASSWORD") as caught:
        credential_for(settings("certificate"), env)
    assert "wr0ng" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_file_that_is_no_certificate_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    path.write_text("-----BEGIN NOTHING-----\n")
    with pytest.raises(ConfigError, match="cannot be used"):
        credential_for(settings("certificate"), {**APP, "AZURE_CLIENT_CERTIFICATE_PATH": str(path)})
    with pytest.raises(ConfigError, match="not a file that can be read"):
        credential_for(settings("certificate"), {**APP, "AZURE_CLIENT_CERTIFICATE_PATH": str(tmp_path / "none")})


@pytest.mark.parametrize("client_id", ["", APP["AZURE_CLIENT_ID"]], ids=["system", "user-assigned"])
def test_a_managed_identity_is_asked_for_by_its_id_alone(login: Login, monkeypatch, client_id: str) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{login.endpoint}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header-s3cret")
    env = {"AZURE_CLIENT_ID": client_id} if client_id else {}
    assert token_of(settings("managed-identity"), env) == login.token
    asked = login.asked[-1]
    assert (asked["path"], asked["resource"]) == ("/msi/token", "https://graph.microsoft.com")
    assert asked.get("client_id", "") == client_id
    assert asked["identity_header"] == "header-s3cret"


def test_federation_shows_the_token_in_the_file(login: Login, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("issuer-t0ken")
    env = {**APP, "AZURE_FEDERATED_TOKEN_FILE": str(path)}
    assert token_of(settings("federation", "usgov-l5"), env) == login.token
    asked = login.asked[-1]
    assert (asked["host"], asked["client_assertion"]) == ("login.microsoftonline.us", "issuer-t0ken")
    path.unlink()
    with pytest.raises(ConfigError, match="AZURE_FEDERATED_TOKEN_FILE"):
        credential_for(settings("federation"), env)


def test_the_default_chain_signs_in_at_the_authority_of_the_cloud(login: Login, monkeypatch) -> None:
    for name, value in {**APP, "AZURE_CLIENT_SECRET": SECRET}.items():
        monkeypatch.setenv(name, value)
    assert token_of(settings("default", "usgov-l4"), {**APP, "AZURE_CLIENT_SECRET": SECRET}) == login.token
    assert login.asked[-1]["host"] == "login.microsoftonline.us"
    assert login.asked[-1]["client_secret"] == SECRET


def test_the_default_chain_would_ask_the_wrong_cloud_for_federation(login: Login, monkeypatch, tmp_path: Path) -> None:
    """The trap in azure-identity: its chain keeps the authority from the credential for workload federation."""
    path = tmp_path / "token"
    path.write_text("issuer-t0ken")
    env = {**APP, "AZURE_FEDERATED_TOKEN_FILE": str(path)}
    for name, value in {**env, "AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential"}.items():
        monkeypatch.setenv(name, value)

    async def chain() -> None:
        async with azure.identity.aio.DefaultAzureCredential(authority="login.chinacloudapi.cn") as credential:
            await credential.get_token("https://microsoftgraph.chinacloudapi.cn/.default")

    asyncio.run(chain())
    assert login.asked[-1]["host"] == "login.microsoftonline.com"
    token_of(settings("default", "china"), env)
    assert login.asked[-1]["host"] == "login.chinacloudapi.cn"


def test_a_device_code_is_shown_on_standard_error_once(login: Login, capfd, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    login.pending = 1
    asked: list[str] = []

    async def ask() -> None:
        credential = credential_for(settings("device-code", "usgov-l4"), dict(APP))
        scope = "https://graph.microsoft.us/.default"
        both = await asyncio.gather(credential.get_token(scope), credential.get_token(scope))
        asked.extend(item.token for item in both)
        await credential.close()

    asyncio.run(ask())
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("enter the code ABC-123") == 1
    assert "https://microsoft.com/devicelogin" in err
    assert asked == [login.token, login.token]
    codes = [item for item in login.asked if item["path"].endswith("/devicecode")]
    assert {item["host"] for item in login.asked} == {"login.microsoftonline.us"}
    assert codes[0]["client_id"] == APP["AZURE_CLIENT_ID"]
    assert "https://graph.microsoft.us/.default" in codes[0]["scope"]
    for secret in (login.token, "r3fresh"):
        assert secret not in caplog.text + err


def test_waiting_for_a_device_code_does_not_hold_an_interrupted_command() -> None:
    code = (
        "import asyncio, time\n"
        "from appgov_lib.extract.device_code import InThread\n"
        "class Slow:\n"
        "    def get_token(self, *_, **__): time.sleep(600)\n"
        "async def main():\n"
        "    await asyncio.wait_for(InThread(Slow()).get_token('x'), 0.05)\n"
        "try: asyncio.run(main())\n"
        "except TimeoutError: print('ended')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "ended", done.stderr


def test_a_blocking_credential_leaves_the_loop_free_and_is_asked_one_at_a_time() -> None:
    class Slow:
        running = most = 0
        threads = frozenset()

        def get_token(self, scope: str, **_: Any) -> str:
            Slow.running += 1
            Slow.most = max(Slow.most, Slow.running)
            Slow.threads |= {threading.current_thread().name}
            time.sleep(0.05)
            Slow.running -= 1
            if scope == "bad":
                raise ClientAuthenticationError("no")
            return scope

        def close(self) -> None:
            self.closed = True

    async def ask() -> tuple[list[Any], int]:
        credential, ticks = InThread(Slow()), 0
        asking = asyncio.gather(*(credential.get_token(s) for s in ("a", "bad", "b")), return_exceptions=True)
        while not asking.done():
            await asyncio.sleep(0.005)
            ticks += 1
        await credential.close()
        return await asking, ticks

    found, ticks = asyncio.run(ask())
    assert (found[0], found[2]) == ("a", "b")
    assert isinstance(found[1], ClientAuthenticationError)
    assert Slow.most == 1
    assert Slow.threads == {"sign-in"}
    assert ticks > 3


@pytest.mark.parametrize("way", [way for way in SIGN_INS if NEEDS[way]])
def test_a_missing_variable_is_named(way: str) -> None:
    for missing in NEEDS[way]:
        env = {name: "x" for name in NEEDS[way] if name != missing}
        with pytest.raises(ConfigError, match=f"needs {missing}, which is not set") as caught:
            credential_for(settings(way), env)
        assert len(str(caught.value).splitlines()) == 1


def test_a_tenant_that_is_no_name_is_refused_before_any_request() -> None:
    env = {**APP, "AZURE_TENANT_ID": "contoso/../x", "AZURE_CLIENT_SECRET": SECRET}
    with pytest.raises(ConfigError, match="AZURE_TENANT_ID"):
        credential_for(settings("secret"), env)


@pytest.mark.parametrize(("code", "says"), [("7000215", "AZURE_CLIENT_SECRET"), ("90002", "AZURE_TENANT_ID")])
def test_a_refusal_is_one_sentence_without_the_secret(login: Login, code: str, says: str, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    login.error = f"AADSTS{code}: '{SECRET}' is not valid.\r\nTrace ID: 1\r\nTimestamp: 2"
    with pytest.raises(SignInError, match=says) as caught:
        token_of(settings("secret"), {**APP, "AZURE_CLIENT_SECRET": SECRET})
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == ExitCode.SIGN_IN
    assert caught.value.__suppress_context__


def test_secrets_are_in_no_repr(certificate: Path) -> None:
    env = {
        **APP,
        "AZURE_CLIENT_SECRET": SECRET,
        "AZURE_CLIENT_CERTIFICATE_PATH": str(certificate),
        "AZURE_CLIENT_CERTIFICATE_PASSWORD": PASSWORD,
        "AZURE_FEDERATED_TOKEN_FILE": str(certificate),
    }
    for way in SIGN_INS:
        credential = credential_for(settings(way), env)
        shown = f"{credential!r} {credential} {credential._inner!r}"
        assert SECRET not in shown
        assert PASSWORD not in shown
        assert way in repr(credential)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ServiceRequestError("Cannot connect to host login.microsoftonline.com:443"), "did not answer"),
        (FileNotFoundError("/run/token"), "FileNotFoundError"),
        (ClientAuthenticationError("EnvironmentCredential: Cannot connect to host login.microsoftonline.us:443 ssl"),
         "login.microsoftonline.us"),
    ],
)  # fmt: skip
def test_what_is_not_a_refusal_is_a_sentence_too(error: Exception, says: str) -> None:
    class Failing:
        async def get_token(self, *_: str, **__: Any) -> None:
            raise error

    with pytest.raises(SignInError, match=says):
        asyncio.run(SignIn("federation", Failing()).get_token("x"))


def test_each_way_has_words_for_nothing_found() -> None:
    sentences = {str(explain_sign_in(ClientAuthenticationError("unavailable"), way)) for way in SIGN_INS}
    assert len(sentences) == len(SIGN_INS)
    assert "AADSTS7000161;" in str(explain_sign_in(Exception("AADSTS7000161: not the code that starts alike")))
    for code in CODES:
        assert "look the code up" not in str(explain_sign_in(Exception(f"AADSTS{code}: x")))


def test_the_endpoint_implies_the_authority() -> None:
    assert {name: authority_for(cloud.endpoint) for name, cloud in CLOUDS.items()} == {
        "global": "login.microsoftonline.com",
        "usgov-l4": "login.microsoftonline.us",
        "usgov-l5": "login.microsoftonline.us",
        "china": "login.chinacloudapi.cn",
    }
    assert cloud_of("https://graph.microsoft.us/") == CLOUDS["usgov-l4"]
    assert cloud_of("https://graph.microsoft.com.evil.example") is None
    assert cloud_of("http://127.0.0.1:8080") is None


def test_an_authority_of_another_cloud_is_refused_and_a_regional_one_taken() -> None:
    china = CLOUDS["china"].endpoint
    for named in ("login.microsoftonline.com", "https://login.microsoftonline.com/"):
        with pytest.raises(ConfigError, match=r"AZURE_AUTHORITY_HOST is login\.microsoftonline\.com"):
            authority_for(china, named)
    assert (
        authority_for(CLOUDS["global"].endpoint, "westeurope.login.microsoft.com") == "westeurope.login.microsoft.com"
    )
    assert (
        authority_for("https://graph.proxy.example", "https://login.microsoftonline.us/") == "login.microsoftonline.us"
    )
    assert authority_for("https://graph.proxy.example") == "login.microsoftonline.com"


def test_settings_take_endpoint_and_sign_in_from_options_before_the_environment(tmp_path: Path) -> None:
    env = {"APPGOV_GRAPH_ENDPOINT": "http://127.0.0.1:1", "APPGOV_SIGN_IN": "secret"}
    found = Settings.load(home=tmp_path, env=env, endpoint=CLOUDS["usgov-l5"].endpoint, sign_in="certificate")
    assert (found.endpoint, found.sign_in) == ("https://dod-graph.microsoft.us", "certificate")
    found = Settings.load(home=tmp_path, env=env)
    assert (found.endpoint, found.sign_in) == ("http://127.0.0.1:1", "secret")
    assert Settings.load(home=tmp_path, env={}).sign_in == "default"
    with pytest.raises(ConfigError, match="no cloud called 'germany'"):
        cloud_named("germany")
    with pytest.raises(ConfigError, match="device-code"):
        Settings.load(env={"APPGOV_SIGN_IN": "browser"})


def test_the_commands_cloud_wins_over_the_endpoint_in_the_environment(monkeypatch, capsys, tmp_path: Path) -> None:
    """The ready token of a loopback server must never reach a cloud, whatever is left in the environment."""
    monkeypatch.setenv("APPGOV_HOME", str(tmp_path))
    monkeypatch.setenv("APPGOV_GRAPH_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("APPGOV_ACCESS_TOKEN", "r3ady")
    with pytest.raises(SystemExit) as stop:
        main(["doctor", "--cloud", "china"])
    assert (stop.value.code, "not a loopback address" in capsys.readouterr().err) == (ExitCode.USAGE, True)
    monkeypatch.delenv("APPGOV_ACCESS_TOKEN")
    for verb in ("doctor", "extract", "weekly"):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--cloud", "usgov-l4", "--sign-in", "secret"])
        assert stop.value.code == ExitCode.USAGE
        assert "needs AZURE_TENANT_ID" in capsys.readouterr().err
