"""What a verb prints when it is done, for people and for machines, and the exit code it ends with."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appgov_lib.errors import ExitCode
from appgov_lib.terminal import clean, print_table

if TYPE_CHECKING:
    from appgov_lib.extract.doctor import Diagnosis
    from appgov_lib.extract.snapshot import Snapshot
    from appgov_lib.imports import ImportResult
    from appgov_lib.store.retention import Pruned
    from appgov_lib.weekly.outcome import Outcome
    from appgov_lib.weekly.record import Health

LISTED = 20
"""Rejected records shown per file; the manifest and the table `rejected_records` have all of them."""


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True, default=str))


def print_frame(frame: Any, as_json: bool) -> int:
    """A table on standard output, as text or JSON."""
    if as_json:
        click.echo(frame.to_json(orient="records", date_format="iso", indent=2))
    else:
        print_table(list(frame.columns), frame.itertuples(index=False, name=None))
    return ExitCode.DONE


def coverage_code(snapshot: Snapshot) -> int:
    """0 when every source was read whole, 4 when some were not, 3 when none was permitted."""
    statuses = [state.status for state in snapshot.sources.values()]
    if statuses and all(status == "not_permitted" for status in statuses):
        return ExitCode.SIGN_IN
    return ExitCode.DONE if all(status == "complete" for status in statuses) else ExitCode.PARTIAL


def health_said(state: Health) -> None:
    """Say on standard error how the weekly runs stand; nothing where there was none yet."""
    if state.last_good_week:
        click.echo(
            f"Last good weekly run: for the week to {state.last_good_week}, ended {state.last_good_at}Z", err=True
        )
    if state.last_run_exit_code:
        click.echo(f"The last run ended with {state.last_run_exit_code}: {clean(state.last_run_said)}", err=True)
    for sentence in state.warnings:
        click.echo(f"Warning: {clean(sentence)}", err=True)


def weekly_done(outcomes: list[Outcome], as_json: bool, many: bool = False) -> int:
    """Print how the weekly run ended, as one line of JSON or one sentence a tenant; returns the exit code."""
    from appgov_lib.weekly.outcome import gravest

    code = gravest([one.exit_code for one in outcomes]) if many else outcomes[0].exit_code
    lines = [one.line() for one in outcomes]
    if as_json:
        click.echo(json.dumps({"exit_code": code, "tenants": lines} if many else lines[0], default=str))
    for one in outcomes:
        who = f"{one.tenant}: " if many else ""
        if one.error:
            click.echo(f"appgov: {who}{clean(one.sentence)}", err=True)
        elif not as_json:
            click.echo(f"{who}{clean(one.sentence)}")
            click.echo(f"Report: {one.report}/index.html")
    return code


def doctor_done(found: Diagnosis, as_json: bool, state: Health | None = None) -> int:
    """Print who signs in and what is readable; 0 when every source is, 4 when some are not, 3 when none is."""
    if as_json:
        print_json(asdict(found) | ({"weekly": asdict(state)} if state else {}))
    else:
        for words, value in _who(found):
            click.echo(f"{words + ':':<12} {clean(value, 200)}")
        click.echo()
        columns = ("source", "status", "in the token", "permission", "reason", "lost without it")
        rows = [
            (
                p.source,
                p.status,
                p.granted if p.granted_by in ("", p.permission) else f"by {p.granted_by}",
                p.permission,
                p.reason,
                p.lacks if p.readable else p.what_is_lost,
            )
            for p in found.sources
        ]
        print_table(columns, rows, widest=90)
        for sentence in found.warnings:
            click.echo(f"\nWarning: {clean(sentence)}")
        spare = [item.permission for item in found.excess if not item.more_than_reads]
        if spare:
            click.echo(f"\nGranted and not needed as such: {clean(', '.join(spare))}")
        if found.missing:
            click.echo(f"\nTo grant: {', '.join(found.missing)} (docs/how-to/connect-your-tenant.md)")
    refused = [item for item in found.sources if not item.readable]
    if refused and len(refused) == len(found.sources):
        return ExitCode.SIGN_IN
    return ExitCode.PARTIAL if refused else ExitCode.DONE


def _who(found: Diagnosis) -> list[tuple[str, str]]:
    """Lines about the sign-in; what a token does not say is `unknown`."""
    who = found.identity
    proof = f", by {who.client_proof}" if who.client_proof else ""
    return [
        ("cloud", f"{who.cloud} ({who.endpoint})"),
        ("sign-in", f"{who.way}: {who.kind} permissions{proof}"),
        ("tenant id", who.tenant_id or "unknown"),
        ("app id", f"{who.app_id or 'unknown'}{f' ({who.app_name})' if who.app_name else ''}"),
        ("token until", who.expires_at or "unknown"),
    ]


def extract_done(snapshot: Snapshot, as_json: bool) -> int:
    """Print what an extraction brought, and its exit code."""
    if as_json:
        sources = {name: asdict(state) for name, state in snapshot.sources.items()}
        print_json({"snapshot_id": snapshot.snapshot_id, "folder": str(snapshot.folder), "sources": sources})
    else:
        states = snapshot.sources
        rows = [(name, s.status, s.rows, s.requests, s.least_requests, s.reason) for name, s in states.items()]
        print_table(("source", "status", "rows", "requests", "least", "reason"), rows, widest=90)
        made, least = (sum(count or 0 for count in column) for column in zip(*(row[3:5] for row in rows), strict=True))
        click.echo(f"\n{made} requests were made; full pages without retries would have needed {least}.")
    return coverage_code(snapshot)


def prune_done(result: Pruned | None, dry_run: bool, as_json: bool) -> int:
    """Print what a prune removed, or would; None where no retention is set."""
    if as_json:
        print_json(asdict(result) if result else None)
    elif result is None:
        click.echo("No retention is set, so everything stays; give --keep-days or set APPGOV_RETENTION_DAYS.")
    else:
        verb = "would be removed" if dry_run else "removed"
        click.echo(f"{result.files} raw files ({result.bytes} bytes) {verb}, from {len(result.snapshots)} snapshots.")
        for family, day in sorted(result.raw_from.items()):
            click.echo(f"{family}: raw rows from {day} on, daily sums before it.")
    return ExitCode.DONE


def print_import(result: ImportResult) -> None:
    """Print what an import brought: one line a file, then the first reasons why records were left out."""
    states = {True: "already imported", False: "imported"}
    rows = [(file.name, states[file.already_imported], file.rows, file.rejected_rows) for file in result.files]
    print_table(("file", "state", "records", "rejected"), rows, widest=80)
    rejected = [(item.file, item.line, item.reason) for file in result.files for item in file.rejected[:LISTED]]
    if rejected:
        click.echo()
        print_table(("file", "record", "why it was left out"), rejected, widest=100)
    for item in result.skipped:
        click.echo(f"Not opened: {clean(item.name)}: {clean(item.reason)}", err=True)


def report_done(result: Any, as_json: bool) -> int:
    """Print where the report is, and the exit code: 4 when a page could not be made."""
    index = Path(result.path) / "index.html" if Path(result.path).is_dir() else Path(result.path)
    if as_json:
        print_json({"report": str(index), "pages": [str(page) for page in result.pages], "failed": list(result.failed)})
    else:
        click.echo(f"Report: {index}")
    return ExitCode.PARTIAL if result.failed else ExitCode.DONE
