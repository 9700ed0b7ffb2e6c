"""A token that ends during a long run: azure-identity itself gets a new one, and nothing of what is read is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import azure.identity._internal.utils
import azure.identity.aio
import pytest
from azure.core.credentials import AccessToken
from login import Detour, Login, login_service

from appgov_lib.errors import SignInError
from appgov_lib.extract.credentials import ReadyToken, SignIn
from appgov_lib.extract.renewal import Renewing
from appgov_lib.extract.run import extract
from appgov_lib.extract.snapshot import Snapshot, read_lines
from appgov_lib.sample import SampleTenant, running
from appgov_lib.settings import Settings

NOW, SINCE = datetime(2026, 11, 16), datetime(2026, 11, 2)


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A tenant with several pages of people."""
    with running(service_principals=140, users=5000) as started:
        yield started


@pytest.fixture
def login(tenant: SampleTenant) -> Iterator[Login]:
    """A sign-in service that gives out the token which is valid at the tenant."""
    with login_service() as service:
        service.issue = lambda: str(tenant.control("token")["token"])
        yield service
    tenant.control("faults", {"delay": 0})


def signed_in(login: Login) -> SignIn:
    """azure-identity's credential for a secret, as `--sign-in secret` makes it."""
    inner = azure.identity.aio.ClientSecretCredential("tenant", "client", "secret", transport=Detour(login))
    return SignIn("secret", inner)


def read(tenant: SampleTenant, home: Path, credential: Any, *names: str) -> Snapshot:
    """Extract the sources into `home`."""
    settings = Settings(home=home, endpoint=tenant.endpoint)
    return extract(settings, now=NOW, since=SINCE, names=names, credential=credential)


def tokens(login: Login) -> int:
    """How many tokens were asked for."""
    return sum(asked["path"].endswith("/token") for asked in login.asked)


def records(snapshot: Snapshot) -> dict[str, list[bytes]]:
    """Every record of every bucket."""
    return {
        bucket: sorted(line for path in snapshot.files(bucket) for line in read_lines(path))
        for bucket in snapshot.buckets
    }


def since(tenant: SampleTenant, seen: int) -> list[dict[str, Any]]:
    """The requests after the first `seen`."""
    found: list[dict[str, Any]] = tenant.control("requests")[seen:]
    return found


@pytest.mark.parametrize(
    ("names", "served", "where"),
    [
        (("users",), 4, "/v1.0/users"),
        (("service_principals", "applications", "users", "application_owners"), 6, ""),
        (("api_activity",), 1, "/v1.0/security/runHuntingQuery"),
        (("federated_credentials",), 1, "/v1.0/$batch"),
        (("federated_credentials",), 3, None),
    ],
    ids=["paging", "several sources at once", "hunting", "a batch", "the parts of a batch"],
)
def test_a_refused_token_is_renewed_past_the_cache_and_the_run_goes_on(
    tenant: SampleTenant, login: Login, tmp_path: Path, names: tuple[str, ...], served: int, where: str | None
) -> None:
    """The cache still holds the refused token for most of an hour."""
    calm = records(read(tenant, tmp_path / "calm", ReadyToken(tenant.control("token")["token"]), *names))
    old, seen = tenant.control("token")["token"], len(tenant.control("requests"))
    tenant.control("faults", {"expire_token_after": served})
    snapshot = read(tenant, tmp_path / "renewed", signed_in(login), *names)
    assert {state.status for state in snapshot.sources.values()} == {"complete"}
    assert records(snapshot) == calm
    assert all(calm.values())
    refused = [entry["path"] for entry in since(tenant, seen) if entry["status"] == 401]
    if where is None:
        assert refused == [], "the batch itself was taken, its parts were not"
    else:
        assert refused
        assert all(path.startswith(where) for path in refused)
    assert tokens(login) == 2, "one to begin with, one for all that were refused"
    assert tenant.control("token")["token"] != old
    with pytest.raises(SignInError):
        read(tenant, tmp_path / "old", ReadyToken(old), *names)


def test_a_token_near_its_end_is_renewed_before_the_next_request(
    tenant: SampleTenant, login: Login, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """azure-identity renews in the last five minutes; every renewal makes the tenant refuse the token before it."""
    monkeypatch.setattr(azure.identity._internal.utils, "DEFAULT_TOKEN_REFRESH_RETRY_DELAY", 0)
    calm = records(read(tenant, tmp_path / "calm", ReadyToken(tenant.control("token")["token"]), "users"))
    old, seen = tenant.control("token")["token"], len(tenant.control("requests"))
    login.issue, login.expires_in = lambda: str(tenant.control("token", {})["token"]), 301
    tenant.control("faults", {"delay": 0.4})
    snapshot = read(tenant, tmp_path / "renewed", signed_in(login), "users")
    assert records(snapshot) == calm
    assert Counter(entry["status"] for entry in since(tenant, seen)).keys() == {200}, "no request with an old token"
    assert tokens(login) >= 2
    with pytest.raises(SignInError):
        read(tenant, tmp_path / "old", ReadyToken(old), "users")


def test_a_token_that_stays_refused_ends_the_run_with_one_sentence(
    tenant: SampleTenant, login: Login, tmp_path: Path
) -> None:
    """Asked once more, not again and again."""
    login.issue = lambda: "never valid"
    seen = len(tenant.control("requests"))
    with pytest.raises(SignInError, match="refused the token"):
        read(tenant, tmp_path, signed_in(login), "users")
    assert [entry["status"] for entry in since(tenant, seen)] == [401, 401]
    assert tokens(login) == 2


def test_many_that_were_refused_together_ask_for_one_token() -> None:
    """While one asks, the others wait, and then take what it got."""

    class Cache:
        """Like azure-identity: the cached token, unless there are claims."""

        def __init__(self) -> None:
            self.number, self.asked = 1, 0

        async def get_token(self, *_: str, claims: str | None = None) -> Any:
            if claims:
                self.asked += 1
                await asyncio.sleep(0.01)
                self.number += 1
            return type("Token", (), {"token": f"token {self.number}"})

    async def go() -> None:
        cache = Cache()
        credential = Renewing(cache)
        assert (await credential.get_token("x")).token == "token 1"
        for _ in range(8):
            credential.refused("Bearer token 1")
        found = await asyncio.gather(*(credential.get_token("x") for _ in range(8)))
        assert {token.token for token in found} == {"token 2"}
        assert cache.asked == 1
        credential.refused("Bearer token 1")  # an answer that comes late says nothing about the new one
        assert (await credential.get_token("x")).token == "token 2"
        assert cache.asked == 1

    asyncio.run(go())


def test_a_sign_in_that_takes_no_claims_is_asked_without_them() -> None:
    """azure-identity's credential for `az` refuses claims; its token is all there is, and Graph has the last word."""

    class Cli(azure.identity.aio.AzureCliCredential):
        """The real one when there are claims; no `az` is run."""

        async def get_token(self, *scopes: str, **options: Any) -> Any:
            if options.get("claims"):
                return await super().get_token(*scopes, **options)
            return AccessToken("from az", 2**33)

    async def go() -> None:
        credential = Renewing(SignIn("default", Cli()))
        assert (await credential.get_token("https://graph.microsoft.com/.default")).token == "from az"
        credential.refused("Bearer from az")
        assert (await credential.get_token("https://graph.microsoft.com/.default")).token == "from az"
        await credential.close()

    asyncio.run(go())
