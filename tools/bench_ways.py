"""The ways that `bench.py` compares, each run as its own process: read service principals, land them in DuckDB."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path

NOW = datetime(2026, 11, 16)


def appgov(endpoint: str, token: str, place: Path, count: int) -> None:
    """Ours: the extraction, then its staging table."""
    from appgov_lib.extract.credentials import ReadyToken
    from appgov_lib.extract.run import extract
    from appgov_lib.settings import Settings

    settings = Settings(home=place, endpoint=endpoint)
    snapshot = extract(settings, now=NOW, names=("service_principals",), credential=ReadyToken(token))
    load([str(path) for path in snapshot.files("service_principals")], place, count)


def httpx(endpoint: str, token: str, place: Path, count: int) -> None:
    """Bare httpx with the same page size, split, compression and load: what the client itself must cost."""
    import httpx
    import msgspec
    import zstandard

    from appgov_lib.extract.graph import Page

    async def read() -> list[str]:
        """Every page as a file of lines."""
        files: list[str] = []
        headers = {"Authorization": f"Bearer {token}", "ConsistencyLevel": "eventual"}
        async with httpx.AsyncClient(timeout=300, headers=headers) as client:
            address: str | None = f"{endpoint}/v1.0/servicePrincipals?$top=999&$count=true"
            while address:
                page = msgspec.json.decode((await client.get(address)).content, type=Page)
                path = place / f"{len(files):05d}.ndjson.zst"
                block = b"\n".join(bytes(record) for record in page.value) + b"\n"
                path.write_bytes(zstandard.ZstdCompressor(level=1, write_checksum=True).compress(block))
                files.append(str(path))
                address = page.next
        return files

    load(asyncio.run(read()), place, count)


def models(endpoint: str, token: str, place: Path, count: int) -> None:
    """The SDK as its documentation shows it: typed models, PageIterator, a list, a pandas table; `count` objects."""
    import pandas as pd
    from msgraph.generated.service_principals.service_principals_request_builder import (
        ServicePrincipalsRequestBuilder,
    )
    from msgraph.graph_request_adapter import GraphRequestAdapter
    from msgraph.graph_service_client import GraphServiceClient
    from msgraph_core.tasks.page_iterator import PageIterator

    from appgov_lib.extract.credentials import ReadyToken

    builder = ServicePrincipalsRequestBuilder

    async def read() -> list[object]:
        """The first `count` objects as models."""
        from kiota_abstractions.base_request_configuration import RequestConfiguration
        from kiota_authentication_azure.azure_identity_authentication_provider import (
            AzureIdentityAuthenticationProvider,
        )

        auth = AzureIdentityAuthenticationProvider(
            ReadyToken(token), scopes=["x/.default"], allowed_hosts=["127.0.0.1"]
        )
        adapter = GraphRequestAdapter(auth)
        adapter.base_url = f"{endpoint}/v1.0"
        client = GraphServiceClient(request_adapter=adapter)
        adapter.base_url = f"{endpoint}/v1.0"
        query = builder.ServicePrincipalsRequestBuilderGetQueryParameters(top=min(999, count))
        first = await client.service_principals.get(RequestConfiguration(query_parameters=query))
        found: list[object] = []

        def keep(item: object) -> bool:
            """Go on until there are enough."""
            found.append(item)
            return len(found) < count

        await PageIterator(first, adapter).iterate(keep)
        return found

    found = asyncio.run(read())
    columns = ("id", "app_id", "display_name", "account_enabled", "service_principal_type", "app_owner_organization_id")
    frame = pd.DataFrame([{name: getattr(item, name, None) for name in columns} for item in found])
    assert len(frame) == count, (len(frame), count)


def load(files: list[str], place: Path, count: int) -> None:
    """Land the files in a DuckDB table with the project's own staging SQL."""
    import duckdb

    from appgov_lib.store.models import load_models, prepare

    con = duckdb.connect(str(place / "landed.duckdb"))
    con.execute("SET TimeZone = 'UTC'")
    prepare(con)
    (model,) = [model for model in load_models() if model.name == "stg_service_principals"]
    con.execute(
        f"CREATE TABLE stg_service_principals AS {model.path.read_text(encoding='utf-8')}",
        {"service_principals": files},
    )
    found = con.execute("SELECT count(*) FROM stg_service_principals").fetchone()
    assert found == (count,), (found, count)


if __name__ == "__main__":
    way, address, secret, folder, number = sys.argv[1:]
    {"appgov": appgov, "httpx": httpx, "models": models}[way](address, secret, Path(folder), int(number))
