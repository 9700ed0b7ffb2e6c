"""`appgov permissions refresh`: a file of Microsoft's published form becomes the table the next build uses."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from appgov_lib.cli import cli
from appgov_lib.errors import ConfigError
from appgov_lib.permissions_file import SHIPPED, SOURCE, normal_path, refresh
from appgov_lib.settings import Settings
from appgov_lib.store.build import make_build_id, own_tables
from appgov_lib.store.models import prepare

BOTH = ["DelegatedWork", "Application"]


def permission(*sets: tuple[list[str], list[str], dict[str, str]], level: int = 3) -> dict[str, Any]:
    """A permission of the published form, from (scheme keys, methods, paths)."""
    return {
        "schemes": {key: {"privilegeLevel": level} for key in BOTH},
        "pathSets": [{"schemeKeys": s, "methods": m, "paths": p} for s, m, p in sets],
    }


PUBLISHED = {
    "permissions": {
        "Gadget.ReadWrite.All": permission((BOTH, ["POST"], {"/gadgets": "least=DelegatedWork,Application"}), level=4),
        "Gadget.Read.All": permission((BOTH, ["GET", "FUNCTION"], {"/gadgets/{gadget-id}": "least=DelegatedWork"})),
        "Gadget.ReadBasic.All": permission((["Application"], ["GET"], {"/gadgets/{id}": "least=Application"}), level=1),
        "Directory.Read.All": permission((BOTH, ["GET"], {"/v1.0/Gadgets/{id}?$top=1": "", "not a path": ""})),
        "Files.Read.All": permission((BOTH, ["GET"], {"/drives/{id}/items/{item-id}/gadgets": ""})),
        "Mail.Read": permission((["DelegatedWork", "DelegatedPersonal"], ["GET"], {"/me/messages": ""})),
    }
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty home."""
    return Settings(home=tmp_path / "home")


def written(tmp_path: Path, value: object) -> Path:
    """A file with a JSON value, or with a text as it is."""
    path = tmp_path / "permissions.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def table(settings: Settings) -> dict[tuple[str, str, str], dict[str, str]]:
    """The table of a home by call."""
    with (settings.reference_dir / "endpoint_permissions.csv").open(encoding="utf-8", newline="") as handle:
        return {(r["method"], r["endpoint"], r["permission_type"]): r for r in csv.DictReader(handle)}


def test_the_published_form_becomes_our_table(settings: Settings, tmp_path: Path) -> None:
    result = refresh(settings, written(tmp_path, PUBLISHED))
    found = table(settings)
    assert (result.permissions, result.calls, result.left_out) == (6, 7, 1)
    assert len(found) == result.calls + result.kept
    # the least one first; Gadget.ReadWrite.All is not listed there by the file, and includes the others by its name
    names = "Gadget.ReadBasic.All Directory.Read.All Gadget.Read.All Gadget.ReadWrite.All"
    assert found["GET", "/gadgets/{id}", "application"]["permissions"] == names
    names = "Gadget.Read.All Directory.Read.All Gadget.ReadWrite.All Directory.AccessAsUser.All"
    assert found["GET", "/gadgets/{id}", "delegated"]["permissions"] == names
    assert found["POST", "/gadgets", "delegated"]["permissions"] == "Gadget.ReadWrite.All"
    assert found["POST", "/gadgets", "delegated"]["source"] == SOURCE


def test_a_refresh_forgets_nothing_that_was_known(settings: Settings, tmp_path: Path) -> None:
    refresh(settings, written(tmp_path, PUBLISHED))
    found = table(settings)
    with SHIPPED.open(encoding="utf-8", newline="") as handle:
        shipped = [(r["method"], r["endpoint"], r["permission_type"]) for r in csv.DictReader(handle)]
    assert set(shipped) <= set(found)
    # permissions for chosen objects, which the published file leaves out, still count
    names = found["GET", "/drives/{id}/items/{id}/gadgets", "application"]["permissions"].split()
    assert names[0] == "Files.Read.All"
    assert "Sites.Selected" in names
    assert "Group.Read.All" not in names


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/me", "/users/{id}"),
        ("/me/Messages/{message-id}/$value", "/users/{id}/messages/{id}/$value"),
        ("/beta/users/{id}", "/users/{id}"),
        ("/serviceprincipals(appid={value})/owners", "/serviceprincipals({id})/owners"),
        ("/rp/ingest('{itemId}')", "/rp/ingest/{id}"),
        ("/teams/(team-id)/channels/{id}", "/teams/{id}/channels/{id}"),
        ("/drives/{id}/root:/{item-path}:/content", "/drives/{id}/root:/{id}:/content"),
        ("/reports/getX(period={value},top={n})", "/reports/getx({id})"),
        ("/education/classes/72a7baec-c3e9-4213-a850-f62de0adad5f/assignments", "/education/classes/{id}/assignments"),
        ("/x/policies?$filter=isof('microsoft.graph.y')", "/x/policies"),
        ("=cmd()|' /C calc'!A0", None),
        ("/a b", None),
        ("", None),
    ],
)
def test_published_paths_come_into_our_form(path: str, expected: str | None) -> None:
    assert normal_path(path) == expected


@pytest.mark.parametrize(
    "value",
    [
        "not json",
        "[" * 100_000,
        {},
        [],
        {"permissions": []},
        {"permissions": {}},
        {"permissions": {"A.Read": {"schemes": {}, "pathSets": None}}},
        {"permissions": {"=A1+\n": permission((BOTH, ["GET"], {"/a": ""}))}},
        {"permissions": {**PUBLISHED["permissions"], "A.Read": permission((BOTH, [7], {"/a": ""}))}},  # type: ignore[list-item]
        {"permissions": {**PUBLISHED["permissions"], "A.Read": permission((BOTH, ["GET"], {"/a": 1}))}},  # type: ignore[dict-item]
    ],
    ids=lambda value: str(value)[:30],
)
def test_another_file_is_one_sentence_and_changes_nothing(settings: Settings, tmp_path: Path, value: object) -> None:
    path = written(tmp_path, value)
    with pytest.raises(ConfigError, match=r"permissions\.json"):
        refresh(settings, path)
    assert not settings.home.exists()


def test_a_file_that_is_not_there_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        refresh(settings, tmp_path / "none.json")


def test_the_build_takes_the_users_table_and_says_so(settings: Settings, tmp_path: Path) -> None:
    def rows(own: Path | None) -> int:
        with duckdb.connect() as con:
            prepare(con, own)
            query = "SELECT count(*) FROM ref_endpoint_permissions WHERE endpoint LIKE '/gadgets%'"
            return int(con.execute(query).fetchall()[0][0])

    assert own_tables(settings) == {}
    refresh(settings, written(tmp_path, PUBLISHED))
    assert (rows(None), rows(settings.reference_dir)) == (0, 4)
    own = own_tables(settings)
    assert list(own) == ["endpoint_permissions"]
    day = date(2026, 11, 15)
    assert make_build_id(day, 7, [], None, own) != make_build_id(day, 7, [])


def test_a_damaged_table_stops_the_build_with_one_sentence(settings: Settings) -> None:
    settings.reference_dir.mkdir(parents=True)
    (settings.reference_dir / "endpoint_permissions.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="remove the file"):
        own_tables(settings)


def test_the_command_says_in_one_line_what_came_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPGOV_HOME", str(tmp_path / "home"))
    path = written(tmp_path, PUBLISHED)
    shown = CliRunner().invoke(cli, ["permissions", "refresh", str(path)], standalone_mode=False)
    assert shown.return_value == 0
    assert len(shown.output.splitlines()) == 1
    assert "7 calls and 6 permissions came in" in shown.output
    as_json = CliRunner().invoke(cli, ["permissions", "refresh", str(path), "--json"], standalone_mode=False)
    assert json.loads(as_json.output)["calls"] == 7
