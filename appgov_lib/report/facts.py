"""What the report reads: one look at the warehouse, everything in plain values, so that pages ask no database."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from appgov_lib.period import Period, of_warehouse
from appgov_lib.report.details import OPEN, Details, Grouped, by_key, gather_details, grouped
from appgov_lib.report.overview import Overview, gather_overview
from appgov_lib.tables import Record, records

Ask = Callable[[str], list[Record]]
SQL = Path(__file__).parent / "sql"
MOST_APP_PAGES = 250
"""Apps with a page unless more are asked for: what a reader gets through, and a large tenant has thousands."""


@dataclass(frozen=True)
class Facts:
    """One tenant's warehouse as the report shows it."""

    period: Period
    tenant: Record
    """display_name, default_domain, tenant_id; values may be None."""
    run: dict[str, str]
    """Keys and values of `run_info`."""
    coverage: list[Record]
    covered_days: dict[str, int]
    """Days of the period a log source covers, by source."""
    rejected_rows: int
    """Records of imported files that could not be read."""
    findings: list[Record]
    """Open ones, most severe first."""
    resolved: list[Record]
    excepted: list[Record]
    """Findings that somebody accepted for a time."""
    skipped: list[Record]
    policies: int
    """Policies evaluated or skipped in this run."""
    actions: list[Record]
    """The action plan in its order."""
    inventory: dict[str, Record]
    """Apps with an open finding, by service principal id."""
    app_counts: Record
    """apps, high, high_external: apps that are neither Microsoft's own nor managed identities."""
    usage: dict[str, Record]
    """By app id, apps with an open finding."""
    moved: Record
    """bytes_returned and bytes_previous of all apps."""
    daily: list[Record]
    """day, sign_ins, calls, bytes_returned of the whole tenant over two periods."""
    permissions: Grouped
    credentials: Grouped
    owners: Grouped
    consents: Grouped
    changes: Grouped
    anomalies: Grouped
    """Flagged days by app id."""
    history: dict[tuple[str, str], list[tuple[dt.date, float]]]
    """Day and value by app id and metric, apps with an open finding."""
    unrecognised: list[Record] = field(default_factory=list)
    """Values that no rule and no published list names, most records first."""
    apps: list[Record] = field(default_factory=list)
    """Every service principal with what the page of all apps shows, worst first."""
    details: Details = field(default_factory=Details)
    overview: Overview = field(default_factory=Overview)
    unpaged: frozenset[str] = frozenset()
    """Apps with an open finding that have no page of their own, because there are too many: service principal ids."""

    @cached_property
    def findings_of(self) -> Grouped:
        """Open findings by service principal id."""
        return grouped(self.findings, "service_principal_id")

    @cached_property
    def actions_of(self) -> Grouped:
        """Actions by service principal id, in the plan's order."""
        return grouped(self.actions, "service_principal_id")

    @cached_property
    def actions_of_no_app(self) -> list[Record]:
        """Actions about people and settings."""
        return [action for action in self.actions if not action["app_id"]]

    def is_tenant(self, finding: Record) -> bool:
        """Whether a finding is about the tenant's settings: it names the tenant where others name an app."""
        return finding["app_id"] is None and finding["service_principal_id"] == self.tenant.get("tenant_id")

    def source(self, name: str) -> Record:
        """Return how a source was read; a source nobody asked for was not collected."""
        found = (c for c in self.coverage if c["source"] == name)
        return next(found, {"source": name, "status": "not_collected", "reason": ""})


def gather(con: Any, as_of: dt.date, days: int) -> Facts:
    """Read everything the report shows; raises `ConfigError` when the warehouse was built for another period."""
    period = of_warehouse(con, as_of, days)
    ask, ask_file = _asking(con, period)
    covered = con.execute(
        "SELECT source, count(DISTINCT day) FROM covered_days WHERE day BETWEEN ? AND ? GROUP BY ALL ORDER BY ALL",
        [period.start, period.as_of],
    ).fetchall()
    findings = ask_file("open_findings")
    worst = list(dict.fromkeys(f["service_principal_id"] for f in findings))
    unpaged = frozenset(worst[MOST_APP_PAGES:])
    chosen = _rows_of(worst[:MOST_APP_PAGES]) if unpaged else OPEN
    return Facts(
        period=period,
        tenant=_first(ask("SELECT display_name, default_domain, tenant_id FROM stg_organization ORDER BY tenant_id")),
        run={r["key"]: str(r["value"]) for r in ask("FROM run_info ORDER BY key")},
        coverage=ask("FROM coverage ORDER BY source"),
        covered_days=dict(covered),
        rejected_rows=con.sql("SELECT count(*) FROM rejected_records").fetchall()[0][0],
        unrecognised=ask("FROM unrecognised_values ORDER BY records DESC, source, column_name, value"),
        findings=findings,
        resolved=ask("FROM findings WHERE state = 'resolved' ORDER BY policy_id, display_name, finding_id"),
        excepted=ask("FROM findings WHERE state = 'excepted' ORDER BY policy_id, display_name, finding_id"),
        skipped=ask("FROM skipped_checks ORDER BY policy_id"),
        policies=_policy_count(con),
        actions=ask("FROM remediation_actions ORDER BY priority, action_id"),
        app_counts=_first(
            ask(
                "SELECT count(*) AS apps, count(*) FILTER (privilege_level = 'high') AS high, "
                "count(*) FILTER (privilege_level = 'high' AND app_origin = 'external') AS high_external, "
                "count(*) FILTER (privilege_level IS NULL) AS not_known FROM app_inventory WHERE is_in_scope"
            )
        ),
        moved=_first(
            ask(
                "SELECT CAST(sum(bytes_returned) AS BIGINT) AS bytes_returned, "
                "CAST(sum(bytes_previous) AS BIGINT) AS bytes_previous FROM app_usage_summary"
            )
        ),
        daily=ask_file("daily_totals"),
        anomalies=grouped(ask("FROM anomalies WHERE is_anomaly ORDER BY app_id, day, metric"), "app_id"),
        apps=ask_file("all_apps"),
        overview=gather_overview(ask, ask_file),
        unpaged=unpaged,
        **_of_each_app(*_asking(con, period, chosen)),
    )


def for_apps(con: Any, facts: Facts, service_principal_ids: Sequence[str]) -> Facts:
    """Return the facts with those about single apps read anew: for these apps, whether they have a finding or not."""
    return replace(facts, **_of_each_app(*_asking(con, facts.period, _rows_of(service_principal_ids))))


def _rows_of(service_principal_ids: Sequence[str]) -> str:
    """Return the query for the apps with these ids."""
    listed = ", ".join("'" + name.replace("'", "''") + "'" for name in service_principal_ids)
    return f"(FROM app_inventory WHERE service_principal_id IN ({listed}))"


def _asking(con: Any, period: Period, chosen: str = OPEN) -> tuple[Ask, Ask]:
    """Return what asks a query of one line, and what asks one of `sql/`; both are about the `chosen` apps."""
    wanted = {"as_of": period.as_of, "days": period.days}

    def ask(query: str) -> list[Record]:
        """Return the rows of a query of one line."""
        return records(con.sql(query.replace(OPEN, chosen)))

    def ask_file(name: str) -> list[Record]:
        """Return the rows of a query of `sql/`, given the parameters it names."""
        text = (SQL / f"{name}.sql").read_text(encoding="utf-8").replace(OPEN, chosen)
        return records(con.sql(text, params={k: v for k, v in wanted.items() if f"${k}" in text}))

    return ask, ask_file


def _of_each_app(ask: Ask, ask_file: Ask) -> dict[str, Any]:
    """Return the facts about single apps, by field."""
    history: dict[tuple[str, str], list[tuple[dt.date, float]]] = defaultdict(list)
    for row in ask(f"FROM daily_metrics SEMI JOIN {OPEN} USING (app_id) ORDER BY app_id, metric, day"):
        history[row["app_id"], row["metric"]].append((row["day"], row["value"]))
    return {
        "inventory": by_key(
            ask(f"FROM app_inventory SEMI JOIN {OPEN} USING (service_principal_id) ORDER BY service_principal_id"),
            "service_principal_id",
        ),
        "usage": by_key(ask(f"FROM app_usage_summary SEMI JOIN {OPEN} USING (app_id) ORDER BY app_id"), "app_id"),
        "permissions": grouped(ask_file("app_permissions"), "service_principal_id"),
        "credentials": grouped(ask(_of_apps("app_credentials", "ends_at, key_id")), "service_principal_id"),
        "owners": grouped(ask(_of_apps("app_owners", "owner_name, owner_id, owned_object")), "service_principal_id"),
        "consents": grouped(ask_file("app_consents"), "service_principal_id"),
        "changes": grouped(ask_file("app_changes"), "service_principal_id"),
        "history": dict(history),
        "details": gather_details(ask, ask_file),
    }


def _of_apps(table: str, order: str) -> str:
    """Return the query for the rows of a mart about apps with an open finding."""
    return f"FROM {table} SEMI JOIN {OPEN} USING (service_principal_id) ORDER BY service_principal_id, {order}"


def _policy_count(con: Any) -> int:
    """Return the number of policies this run was to evaluate."""
    from appgov_lib.detect.policy import load_policies

    skipped = {row[0] for row in con.sql("SELECT policy_id FROM skipped_checks").fetchall()}
    return len(skipped | {policy.policy_id for policy in load_policies() if policy.status != "inactive"})


def _first(rows: list[Record]) -> Record:
    """Return the only row, or an empty one."""
    return rows[0] if rows else {}
