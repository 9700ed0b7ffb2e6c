"""A weekly run that shows no people: its report, a notebook of the user's own, and what it delivers."""

from __future__ import annotations

from pathlib import Path

import pytest
from person_scan import Scan, needles_of
from weekly_home import copy_of, stages

import appgov_lib
from appgov_lib.sample import running

NOTEBOOK = (
    "import appgov_lib\n"
    "con = appgov_lib.connect(tenant)\n"
    'print(con.sql("SELECT user_id, user_principal_name, display_name FROM stg_users").fetchall())'
)


@pytest.mark.timeout(400)
def test_a_weekly_run_delivers_no_people_when_asked_not_to(prepared_week: Path, tmp_path: Path) -> None:
    with running(service_principals=140, activity=0.2) as tenant:
        more = '[[tenant.contoso.deliver]]\nkind = "folder"\npath = "out"\nattach = true\n'
        home = copy_of(prepared_week, tmp_path / "home", tenant, more)
        home.write(NOTEBOOK)
        code, line, said = home.run("weekly", "--tenant", "contoso", "--pseudonymise", "--json", "--quiet")
        assert (code, said) == (0, "")
        assert stages(line)[-1] == ("report", "done")
        report = Path(line["report"]).parent
        con = appgov_lib.connect("contoso", home=home.path)
        scan = Scan(needles_of(con))
        con.close()
        assert (home.path / "out").is_dir()
        assert scan.files(home.path / "out") == {}
        assert scan.files(home.path / "reports", ("assets/", "contoso/2026-11-15/assets/")) == {}
        assert "user-" in (report / "01_one.html").read_text(encoding="utf-8")
        assert list(home.data.glob(".reading-*")) == []
        # the setting says the same, so nothing is to be done; without it the report is another
        home.more = more.replace("[[", "pseudonymise = true\n[[", 1)
        home.write(NOTEBOOK)
        _, line, _ = home.run("weekly", "--tenant", "contoso", "--json", "--quiet")
        assert stages(line)[-1] == ("report", "nothing to do")
        home.more = more
        home.write(NOTEBOOK)
        _, line, _ = home.run("weekly", "--tenant", "contoso", "--json", "--quiet")
        assert stages(line)[-1] == ("report", "done")
        assert "01_one.html" in scan.files(report, ("assets/",))
