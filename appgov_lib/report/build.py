"""Writing a report folder: beside the old one first, then in its place, so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from appgov_lib import __version__, exports, privacy
from appgov_lib.action_files import write_action_files
from appgov_lib.lean import without_collector
from appgov_lib.report.asked import NOTHING, AppPages, Asked, pages_asked
from appgov_lib.report.assets import write_assets
from appgov_lib.report.facts import Facts, gather
from appgov_lib.report.pages import app_pages, apps_page, index_page, site_of
from appgov_lib.report.pdf import print_pdf
from appgov_lib.report.single import single_page
from appgov_lib.report.summary import severities
from appgov_lib.report.ticket import ticket
from appgov_lib.runner import Notebook, NotebookResult, Suite, execute, load_suite, render_page
from appgov_lib.settings import Settings, private_dir, private_write
from appgov_lib.workbook import write_workbook

VERSIONED = ("duckdb", "jinja2", "nbconvert", "pandas", "papermill", "plotly")


@dataclass(frozen=True)
class ReportResult:
    """Where a report is and what is in it."""

    path: Path
    """The report's folder."""
    pages: tuple[Path, ...]
    """Every HTML page, the summary first."""
    failed: tuple[str, ...]
    """Notebooks that stopped with an error; their pages end where they stopped."""


@without_collector()
def build_report(
    settings: Settings,
    as_of: dt.date,
    days: int = 7,
    only: str | None = None,
    now: dt.datetime | None = None,
    progress: Callable[[str], None] | None = None,
    suite: Suite | None = None,
    run: Mapping[str, Any] | None = None,
    single_file: bool = False,
    pdf: bool = False,
    asked: Asked = NOTHING,
) -> ReportResult:
    """Run the notebooks over the current warehouse and write `reports/<tenant>/<as_of>/`.

    `only` names one notebook to run; pages the others left earlier stay. `now` is written into run.json and
    nowhere else, as is `run`, what is known of the run that asks for it. `single_file` adds `report.html`, one file to
    mail; `pdf` adds `summary.pdf` where a browser is there; `asked` adds pages of apps without a finding. `suite`
    defaults to the notebooks of the tenant's profile, else those shipped. How people are shown is the profile's
    business too. Raises `WarehouseMissing` without a warehouse and `ConfigError` when it was built for another period,
    `only` names no notebook or `asked` no app.
    """
    from appgov_lib.store.warehouse import connect

    say = progress or (lambda _: None)
    began = time.perf_counter()
    suite = suite or load_suite(settings.profile.notebooks)
    chosen = suite.chosen(only)
    with contextlib.ExitStack() as opened:
        shown_as = opened.enter_context(privacy.reading(settings, say))
        con = connect(tenant=settings.tenant, home=shown_as.home)
        opened.callback(con.close)
        facts = gather(con, as_of, days)
        more = pages_asked(facts, asked)
        final = private_dir(settings.reports_dir) / facts.period.as_of.isoformat()
        folder = final.with_name(f".{final.name}.building")
        shutil.rmtree(folder, ignore_errors=True)
        parameters = {"tenant": settings.tenant, "as_of": facts.period.as_of.isoformat(), "days": days}
        # the files need the database and this process, the notebooks processes of their own: both at once
        with ThreadPoolExecutor(max_workers=1) as beside:
            files = beside.submit(_write_exports, con, folder)
            results = execute(
                settings,
                chosen,
                parameters,
                folder / "notebooks",
                workers=suite.workers,
                timeout_seconds=suite.timeout_seconds,
                progress=say,
                home=shown_as.home,
            )
            say("Writing pages and files ...")
            files.result()
        if only and privacy.told(final) == privacy.told_of(facts.run):
            _carry_over(final, folder, [n for n in suite.notebooks if n not in chosen])
        shown = [n for n in suite.notebooks if n in chosen or (folder / f"{n.name}.html").exists()]
        _write_pages(facts, folder, chosen, shown, results, single_file, more)
        for name, page in more.written(con, facts, site_of(facts, shown)):
            private_write(folder / "apps" / name, page.encode(), durable=False)
    if pdf and (gone_wrong := print_pdf(folder / "index.html", folder / "summary.pdf")):
        say(gone_wrong)
    manifest = _manifest(settings, facts, suite, parameters, results, now)
    manifest["run"] = dict(run or {})
    manifest["sha256"] = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if path.is_file()
    }
    manifest["seconds"] = round(time.perf_counter() - began, 1)
    private_write(folder / "run.json", json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n")
    _put_in_place(folder, final)
    _point_latest(settings.reports_dir)
    pages = [final / "index.html", *(p for p in sorted(final.rglob("*.html")) if p != final / "index.html")]
    return ReportResult(final, tuple(pages), tuple(r.name for r in results if r.failed))


def _write_exports(con: Any, folder: Path) -> None:
    """Write findings and actions as files."""
    found = exports.findings_of(con)
    exports.write_findings_csv(con, folder / "findings.csv", found)
    exports.write_findings_json(con, folder / "findings.json", found)
    exports.write_findings_ocsf(con, folder / "findings.ocsf.jsonl", found)
    del found
    plan = exports.actions_of(con)
    exports.write_actions_csv(con, folder / "actions.csv", plan)
    exports.write_actions_json(con, folder / "actions.json", plan)
    exports.write_actions_xlsx(con, folder / "actions.xlsx", plan)
    exports.write_apps_csv(con, folder / "apps.csv")
    write_workbook(con, folder / "report.xlsx")
    write_action_files(con, folder / "actions", plan)


def _write_pages(
    facts: Facts,
    folder: Path,
    chosen: Sequence[Notebook],
    shown: Sequence[Notebook],
    results: Sequence[NotebookResult],
    single_file: bool,
    more: AppPages,
) -> None:
    """Write the summary, the pages of the notebooks that ran, and the app pages."""
    site = site_of(facts, shown)
    write_assets(folder)
    for notebook, result in zip(chosen, results, strict=True):
        private_write(
            folder / f"{notebook.name}.html",
            render_page(result.path, notebook, asdict(site)).encode(),
        )
    private_write(folder / "index.html", index_page(facts, site, shown, results).encode())
    private_write(folder / "summary.md", ticket(facts).encode())
    if single_file:
        private_write(folder / "report.html", single_page(facts, site, shown, results).encode())
    private_write(folder / "apps.html", apps_page(facts, site, more.hrefs).encode())
    for name, page in app_pages(facts, site).items():
        private_write(folder / "apps" / name, page.encode(), durable=False)
    private_dir(folder / "apps")


def _carry_over(final: Path, folder: Path, others: Sequence[Notebook]) -> None:
    """Copy pages and executed copies of notebooks that did not run this time from the report there is."""
    for notebook in others:
        for name in (f"{notebook.name}.html", f"notebooks/{notebook.name}.ipynb"):
            if (final / name).is_file():
                shutil.copy2(final / name, folder / name)


def _put_in_place(folder: Path, final: Path) -> None:
    """Replace the report there is by the one just written."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    folder.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _point_latest(reports: Path) -> None:
    """Point `latest` at the newest as-of date; where links are not allowed, a text file names it."""
    newest = max(p.name for p in reports.iterdir() if p.is_dir() and not p.is_symlink() and p.name[0] != ".")
    link = reports / ".latest.part"
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(newest, target_is_directory=True)
        link.replace(reports / "latest")
    except OSError:
        private_write(reports / "latest.txt", f"{newest}\n".encode())


def _manifest(
    settings: Settings,
    facts: Facts,
    suite: Suite,
    parameters: Mapping[str, Any],
    results: Sequence[NotebookResult],
    now: dt.datetime | None,
) -> dict[str, Any]:
    """Return what run.json says: the one file of a report that may differ between two runs over the same data."""
    from importlib.metadata import version

    sources = hashlib.sha256()
    for notebook in suite.notebooks:
        sources.update(notebook.path.read_bytes())
    return {
        "tenant": settings.tenant,
        "as_of": facts.period.as_of.isoformat(),
        "days": facts.period.days,
        "written_at": f"{now.isoformat()}Z" if now else None,
        "versions": {
            "appgov": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in VERSIONED},
        },
        "parameters": dict(parameters),
        "suite_sha256": sources.hexdigest(),
        "warehouse": facts.run,
        "coverage": {c["source"]: c["status"] for c in facts.coverage},
        "counts": {
            "open_findings": severities(facts),
            "resolved_findings": len(facts.resolved),
            "skipped_checks": len(facts.skipped),
            "actions": len(facts.actions),
            "apps_with_findings": len({f["service_principal_id"] for f in facts.findings if not facts.is_tenant(f)}),
            "rejected_records": facts.rejected_rows,
        },
        "notebooks": [
            {
                "name": r.name,
                "error": r.error or None,
                "seconds": round(r.seconds, 1),
                "executed": f"notebooks/{r.name}.ipynb",
            }
            for r in results
        ],
    }
