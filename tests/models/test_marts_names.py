"""Names and domains as they read."""

from __future__ import annotations

import json

from conftest import Bench

APPS = """service_principal_id | display_name | publisher_name | publisher_domain | is_in_scope BOOLEAN
          s1                   | Payroll      | Fabrikam       | -                | true
          s2                   | %41%42       | -              | fabrikam.example | true
          s3                   | Own          | -              | micros0ft.com    | false"""
ADDRESSES = {
    "s1": ["https://login.micros0ft.com/a", "https://login.micros0ft.com/b", "https://x.contoso.co.uk"],
    "s2": ["http://localhost", "urn:ietf:wg:oauth:2.0:oob", "https://rnicrosoft.azurewebsites.net"],
    "s3": ["https://micros0ft.com"],
}


def made(bench: Bench) -> None:
    """The inputs, and the first two tables."""
    bench.table("app_inventory", APPS)
    bench.con.execute("ALTER TABLE app_inventory ADD COLUMN reply_urls VARCHAR[]")
    for principal, addresses in ADDRESSES.items():
        bench.con.execute(
            "UPDATE app_inventory SET reply_urls = ? WHERE service_principal_id = ?", [addresses, principal]
        )
    bench.table("stg_service_principals", "service_principal_id | homepage\ns1 | https://fabrikam.example/home\ns3 | -")
    bench.con.execute("CREATE OR REPLACE TABLE stg_organization AS SELECT ['contoso.co.uk', 'contoso.onmicrosoft.com'] "
                      "AS verified_domains")  # fmt: skip
    bench.run("name_skeletons")
    bench.run("app_domains")


def test_names_and_what_is_left_of_them(bench: Bench) -> None:
    made(bench)
    rows = {row["name"]: row for row in bench.rows("FROM name_skeletons")}
    assert rows["Payroll"]["skeleton"] == "payroll"
    assert rows["Microsoft"]["skeleton"] == "mlcrosoft"  # i is read as l
    assert rows["%41%42"]["oddity"] == "is written in code"
    assert rows["Fabrikam"]["oddity"] is None
    assert len(rows) > 700  # Microsoft's own apps
    assert json.dumps(sorted(rows)) == json.dumps(
        [row["name"] for row in bench.rows("FROM name_skeletons ORDER BY name")]
    )


def test_domains_of_apps(bench: Bench) -> None:
    made(bench)
    rows = [
        (r["service_principal_id"], r["place"], r["domain"], r["top_level_domain"], r["is_shared_host"], r["addresses"])
        for r in bench.rows("FROM app_domains ORDER BY ALL")
    ]
    assert sorted(rows) == [
        ("s1", "home page", "fabrikam.example", "example", False, 1),
        ("s1", "reply address", "contoso.co.uk", "uk", False, 1),  # co.uk is a suffix
        ("s1", "reply address", "micros0ft.com", "com", False, 2),
        ("s2", "publisher domain", "fabrikam.example", "example", False, 1),
        ("s2", "reply address", "rnicrosoft.azurewebsites.net", "net", True, 1),
    ]  # Microsoft's own apps (s3) are left out


def test_close_domains(bench: Bench) -> None:
    made(bench)
    rows = bench.run("domain_lookalikes")
    assert [(r["domain"], r["imitated"], r["owner"], r["reads_alike"], r["distance"], r["letters"]) for r in rows] == [
        ("micros0ft.com", "microsoft.com", "Microsoft", True, 1, 9),
        ("micros0ft.com", "onmicrosoft.com", "Microsoft", False, 3, 11),
        ("rnicrosoft.azurewebsites.net", "microsoft.com", "Microsoft", True, 2, 9),
    ]
