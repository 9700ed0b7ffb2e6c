"""A weekly run whose secret or certificate has ended: real processes, azure-identity itself, a sign-in on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from checkout import ROOT
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from login import Login, login_service
from mail_sink import web_sink
from weekly_home import Home, copy_of, stages

from appgov_lib.errors import ExitCode
from appgov_lib.extract.sign_in_errors import explain_sign_in
from appgov_lib.profiles import Credential, Profile
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings
from appgov_lib.weekly.endings import endings
from appgov_lib.weekly.record import health

APP = "11111111-2222-3333-4444-555555555555"
OLD, NEW = "0ld-Secret~value", "n3w-Secret~value"
NEXT_WEEK = "2026-11-23T05:17:00"
NOW = datetime(2026, 11, 16, 5, 17)
EXPIRED = (
    "AADSTS7000222: The provided client secret keys for app '11111111-2222-3333-4444-555555555555' are expired. Visit "
    "the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret. Trace ID: 0 Correlation ID: 0"
)
KEY_EXPIRED = (
    "AADSTS700027: Client assertion contains an invalid signature. [Reason - The key used is expired., Thumbprint of "
    "key used by client: 'AA']. Trace ID: 0"
)


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant."""
    with running(service_principals=140, activity=0.2) as started:
        yield started


@pytest.fixture
def login(tenant: SampleTenant) -> Iterator[Login]:
    """A sign-in service that gives out the tenant's token."""
    with login_service() as service:
        service.token = tenant.token
        yield service


def signed_in(home: Home, login: Login, lines: str) -> None:
    """Let the tenant of a home be signed in to as any other."""
    path = home.path / "appgov.toml"
    told = path.read_text().replace('access_token_env = "LOOPBACK"\n', f'tenant_id = "t"\nclient_id = "{APP}"\n{lines}')
    path.write_text(told)
    home.env = {"LOGIN_PORT": str(login.port), "PYTHONPATH": str(ROOT / "tests" / "detour")}


def kept(home: Home) -> dict[Path, bytes]:
    """Raw data, warehouse and report."""
    found = [*home.data.rglob("raw/**/*"), *home.data.rglob("*.duckdb"), *(home.path / "reports/contoso").rglob("*")]
    return {path: path.read_bytes() for path in found if path.is_file() and "latest" not in path.parts}


@pytest.mark.timeout(400)
def test_a_secret_that_has_expired_and_the_next_one(
    prepared_week: Path, tmp_path: Path, tenant: SampleTenant, login: Login
) -> None:
    with web_sink() as web:
        login.refused = {OLD: EXPIRED}
        hook = '[[tenant.contoso.deliver]]\nkind = "webhook"\nurl_env = "HOOK"\n'
        home = copy_of(prepared_week, tmp_path / "home", tenant, hook)
        signed_in(home, login, 'client_secret_env = "CONTOSO_SECRET"\n')
        home.env |= {"HOOK": web.url("/"), "CONTOSO_SECRET": OLD}
        before = kept(home)
        code, line, said = home.run(now=NEXT_WEEK)
        assert (code, stages(line)) == (ExitCode.SIGN_IN, [("extract", "failed")])
        sentence = "Sign-in failed: the client secret has expired; create a new one and update CONTOSO_SECRET."
        assert said == f"appgov: {sentence}\n"
        assert line["error"] == line["sentence"] == sentence
        assert {path: path.read_bytes() for path in before} == before, "nothing is lost"
        (told,) = web.got
        assert (told["json"]["failed"], told["json"]["sentence"]) == (True, sentence)
        said = home.start("doctor", "--source", "organization", now=NEXT_WEEK).communicate(timeout=90)[1]
        assert f"The last run ended with 3: {sentence}" in said

        home.env["CONTOSO_SECRET"] = NEW
        code, line, said = home.run(now=NEXT_WEEK)
        assert (code, said) == (0, "")
        assert stages(line) == [("extract", "done"), ("build", "done"), ("report", "done")]
        assert {path: path.read_bytes() for path in before if "raw" in path.parts}.items() <= before.items()
        assert line["delivered"] == {"webhook-1": "delivered"}
        asked = [item["client_secret"] for item in login.asked if item["path"].endswith("/token")]
        assert (set(asked), {item["host"] for item in login.asked}) == ({OLD, NEW}, {"login.microsoftonline.com"})
        written = "".join(p.read_text() for p in home.path.rglob("*") if p.suffix in (".json", ".jsonl", ".html"))
        assert [word for word in (OLD, NEW, tenant.token) if word in written] == []


def certificate(path: Path, ends: datetime, password: str = "") -> Path:
    """A certificate that ends then, with its key, as PEM or, with a password, as PKCS#12."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "appgov")])
    until = ends.replace(tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, until - timedelta(days=365), until)
    signed = made.sign(key, hashes.SHA256())
    if password:
        locked = serialization.BestAvailableEncryption(password.encode())
        path.write_bytes(serialization.pkcs12.serialize_key_and_certificates(b"a", key, signed, None, locked))
    else:
        clear = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(key.private_bytes(*clear) + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.timeout(400)
def test_a_certificate_that_has_expired(
    prepared_week: Path, tmp_path: Path, tenant: SampleTenant, login: Login
) -> None:
    home = copy_of(prepared_week, tmp_path / "home", tenant)
    path = certificate(home.path / "app.pem", datetime(2026, 11, 20))
    signed_in(home, login, 'certificate_path = "app.pem"\n')
    login.error = KEY_EXPIRED
    before = kept(home)
    code, line, said = home.run(now=NEXT_WEEK)
    assert (code, stages(line)) == (ExitCode.SIGN_IN, [("extract", "failed")])
    assert said == (
        "appgov: Sign-in failed: the certificate has expired; make a new one, upload it to the app and put it into "
        f"{path}.\n"
    )
    assert {path: path.read_bytes() for path in before} == before
    said = home.start("doctor", "--source", "organization", now=NEXT_WEEK).communicate(timeout=90)[1]
    assert "Warning: The certificate that appgov signs in with has ended on 2026-11-20" in said
    assert said.endswith(f"put it into {path}.\n")

    login.error = ""
    certificate(path, datetime(2026, 12, 3))
    code, line, said = home.run(now=NEXT_WEEK)
    assert (code, said) == (0, "")
    warning = f"The certificate that appgov signs in with ends on 2026-12-03; make a new one, add it to the app {APP}"
    assert [text.startswith(warning) for text in line["warnings"]] == [True]
    assert line["sentence"].startswith("Done: the report for the week to 2026-11-22 is written. The certificate")


# What is said before the end


def of_secret(home: Path, app: str) -> Settings:
    """A tenant that this app signs in to with a secret."""
    credential = Credential("t", app, client_secret_env="CONTOSO_SECRET")
    return Settings(home, "contoso", profile=Profile(credential=credential), sign_in="secret")


def test_a_secret_that_will_end_is_told_a_month_before(
    prepared_week: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONTOSO_SECRET", "x")
    (path,) = prepared_week.rglob("warehouse-*.duckdb")
    with duckdb.connect(str(path), read_only=True) as con:
        app, ends = con.execute(
            "SELECT app_id, max(ends_at) FROM app_credentials WHERE credential_type = 'secret' GROUP BY ALL "
            "HAVING count(*) > 1 ORDER BY app_id LIMIT 1"
        ).fetchall()[0]
    here = of_secret(prepared_week, app.upper())
    assert endings(here, ends - timedelta(days=31)) == ()
    soon, over = (
        f"The client secret that appgov signs in with {verb} on {ends:%Y-%m-%d}; make a new one, add it to the app "
        f"{app.upper()} and put it into CONTOSO_SECRET."
        for verb in ("ends", "has ended")
    )
    assert endings(here, ends - timedelta(days=29)) == (soon,)
    assert endings(here, ends) == (over,)
    assert health(here, ends).warnings[-1] == over
    assert endings(of_secret(prepared_week, APP), ends) == (), "an app that nobody listed"
    assert endings(of_secret(tmp_path, app), ends) == (), "no warehouse yet"
    monkeypatch.delenv("CONTOSO_SECRET")
    assert endings(here, ends) == ()


def test_a_certificate_says_its_own_end(tmp_path: Path) -> None:
    def of_file(path: Path) -> tuple[str, ...]:
        env = {"AZURE_CLIENT_CERTIFICATE_PATH": str(path), "AZURE_CLIENT_CERTIFICATE_PASSWORD": "w0rd"}
        return endings(Settings(tmp_path, "contoso"), NOW, env)

    soon = NOW + timedelta(days=3)
    for name, password in (("a.pem", ""), ("a.pfx", "w0rd")):
        (sentence,) = of_file(certificate(tmp_path / name, soon, password))
        assert sentence.startswith("The certificate that appgov signs in with ends on 2026-11-19; make a new one")
    assert of_file(certificate(tmp_path / "later.pem", NOW + timedelta(days=40))) == ()
    assert of_file(certificate(tmp_path / "locked.pfx", soon, "another")) == ()
    assert of_file(tmp_path / "none.pem") == ()
    (tmp_path / "odd.pem").write_text("-----BEGIN CERTIFICATE-----\nno\n")
    assert of_file(tmp_path / "odd.pem") == ()


def test_nothing_is_said_of_what_does_not_end(tmp_path: Path) -> None:
    for way in ("managed-identity", "federation", "device-code", "default"):
        assert endings(replace(of_secret(tmp_path, APP), sign_in=way, profile=Profile()), NOW, {}) == ()


def test_a_sentence_names_what_the_profile_names() -> None:
    names = Credential("t", APP, certificate_path="/c.pem").names
    told = str(explain_sign_in(Exception(KEY_EXPIRED), "certificate", names))
    assert told.endswith("put it into /c.pem.")
    told = str(explain_sign_in(Exception("AADSTS700016: Application not found"), "certificate", names))
    assert told == "Sign-in failed: the app in client_id of appgov.toml is not known in that tenant; check both ids."
    assert json.dumps(names)
