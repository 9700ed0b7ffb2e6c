"""Files for other programs: harmless in a spreadsheet, the same bytes each time, OCSF by its book."""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from pathlib import Path

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent / "policies"))
from policy_tables import AS_OF, SP, add, empty_warehouse

from appgov_lib import actions, exports
from appgov_lib.cells import neutral
from appgov_lib.detect import run
from appgov_lib.settings import Settings

WRITERS = {
    "findings.csv": exports.write_findings_csv,
    "findings.json": exports.write_findings_json,
    "findings.ocsf.jsonl": exports.write_findings_ocsf,
    "actions.csv": exports.write_actions_csv,
    "actions.json": exports.write_actions_json,
    "actions.xlsx": exports.write_actions_xlsx,
}
NAME = '=HYPERLINK("http://evil.example","Payroll")\r\n@SUM(1)\u2028'


@pytest.fixture
def con(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    """A warehouse with one finding about an app with a hostile name, and its action."""
    con = empty_warehouse()
    add(con, "app_inventory", last_used_at="2026-01-01", display_name=NAME)
    run(con, Settings(home=tmp_path / "home"), as_of=AS_OF)
    con.execute("DELETE FROM findings WHERE policy_id <> 'unused-app'")  # its name is odd too
    actions.plan(con)
    return con


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_warehouse_gives_the_same_private_file(con, tmp_path: Path, name: str):
    for copy in ("a", "b"):
        WRITERS[name](con, tmp_path / copy / name)
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / name).stat().st_mode & 0o777 == 0o600


def test_ocsf_is_valid_by_the_published_schema(sample_home: Path) -> None:
    from py_ocsf_models.events.findings.detection_finding import DetectionFinding

    lines = (sample_home / "reports/sample/latest/findings.ocsf.jsonl").read_text().splitlines()
    assert len(lines) > 40
    for line in lines:
        record = DetectionFinding.model_validate_json(line)
        assert record.class_uid == 2004
        assert record.type_uid == 200400 + record.activity_id.value


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_plan_is_a_readable_file(tmp_path: Path, name: str):
    con = empty_warehouse()
    run(con, Settings(home=tmp_path), as_of=AS_OF)
    actions.plan(con)
    WRITERS[name](con, tmp_path / name)
    assert (tmp_path / name).exists()
    if name.endswith(".csv"):
        assert rows(tmp_path / name) == []
    if name.endswith(".json"):
        assert json.loads((tmp_path / name).read_text()) == []


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("plain", "plain"),
        ("", ""),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "' =1"),
        ("\u00a0 =1", "'\u00a0 =1"),
        ("\u200b=1", "'\u200b=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a\r\nb\x00c", "a  b c"),
        ("a=1", "a=1"),
    ],
)
def test_neutral(text: str, cell: str):
    assert neutral(text) == cell


def test_csv_cells_are_harmless_and_numbers_stay_numbers(con, tmp_path: Path):
    exports.write_findings_csv(con, tmp_path / "f.csv")
    con.execute("UPDATE findings SET measure = -3.5")
    exports.write_findings_csv(con, tmp_path / "g.csv")
    (row,) = rows(tmp_path / "f.csv")
    assert tuple(row) == exports.FINDING_COLUMNS
    assert row["display_name"].startswith("'=HYPERLINK(")
    assert row["measure"] == "318"
    assert row["first_seen"] == "2026-11-15"
    assert not any(c in cell for cell in row.values() for c in "\r\n\u2028")
    assert rows(tmp_path / "g.csv")[0]["measure"] == "-3.5"
    assert (tmp_path / "f.csv").read_bytes().startswith(b"\xef\xbb\xbffinding_id,")


def test_json_keeps_the_text_and_the_structure(con, tmp_path: Path):
    exports.write_findings_json(con, tmp_path / "f.json")
    exports.write_actions_json(con, tmp_path / "a.json")
    (finding,) = json.loads((tmp_path / "f.json").read_text())
    (action,) = json.loads((tmp_path / "a.json").read_text())
    assert finding["display_name"] == NAME
    assert finding["evidence"]["permission_count"] == 2
    assert action["body"] == {"accountEnabled": False}
    assert action["undo"]["body"] == {"accountEnabled": True}
    assert action["finding_ids"] == [finding["finding_id"]]
    assert isinstance(action["steps"], list)


def test_excel_holds_texts_not_formulas(con, tmp_path: Path):
    exports.write_actions_xlsx(con, tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert "<hyperlink" not in sheet.lower()
    assert '<t xml:space="preserve">\'=HYPERLINK(' in sheet


def test_a_long_text_is_cut_with_a_mark(con, tmp_path: Path):
    con.execute("UPDATE remediation_actions SET why = repeat('x', 40000)")
    exports.write_actions_xlsx(con, tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        assert "x [cut: the whole text is in the JSON files]</t>" in book.read("xl/worksheets/sheet1.xml").decode()


@pytest.mark.parametrize(
    ("state", "activity", "status"), [("new", 1, 1), ("open", 2, 1), ("returned", 1, 1), ("resolved", 3, 4)]
)
def test_ocsf_detection_finding(con, tmp_path: Path, state: str, activity: int, status: int):
    con.execute("UPDATE findings SET state = ?", [state])
    exports.write_findings_ocsf(con, tmp_path / "f.jsonl")
    (line,) = (tmp_path / "f.jsonl").read_text().splitlines()
    event = json.loads(line)
    # Required by the class: activity_id, category_uid, class_uid, finding_info, metadata, severity_id, time, type_uid.
    assert (event["class_uid"], event["category_uid"], event["activity_id"]) == (2004, 2, activity)
    assert event["type_uid"] == 2004 * 100 + activity
    assert (event["status_id"], event["severity_id"], event["confidence_id"]) == (status, 3, 3)
    assert event["time"] == 1_794_700_800_000  # 2026-11-15T00:00:00Z
    assert event["finding_info"]["uid"] == event["metadata"]["uid"]
    cloud_accounts = {"uid": "T1078.004", "name": "Cloud Accounts"}
    assert event["finding_info"]["attacks"] == [{"technique": cloud_accounts, "version": "16"}]
    assert event["resources"][0]["uid"] == SP
    assert event["evidences"][0]["data"]["credential_count"] == 1
    assert event["resources"][0]["name"] == NAME
