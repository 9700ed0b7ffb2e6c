"""What the page of one app needs beyond its findings: judgements, grants, data and Microsoft's own view, by app."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from appgov_lib.tables import Record

Grouped = dict[str, list[Record]]

OPEN = "(FROM findings WHERE state NOT IN ('resolved', 'excepted'))"


@dataclass(frozen=True)
class Details:
    """Rows about apps with an open finding; by service principal id unless said otherwise."""

    least_privilege: Grouped = field(default_factory=dict)
    moved: Grouped = field(default_factory=dict)
    """By app id: calls and bytes of 30 days and the 30 before, by service and resource type."""
    hygiene: Grouped = field(default_factory=dict)
    grants: Grouped = field(default_factory=dict)
    risk_parts: Grouped = field(default_factory=dict)
    microsoft: dict[str, Record] = field(default_factory=dict)
    """By app id: what app governance says of the app."""
    alerts: Grouped = field(default_factory=dict)
    """By app id, as all that follow."""
    first_seen: Grouped = field(default_factory=dict)
    """Values that are new or could not be judged."""
    top_users: Grouped = field(default_factory=dict)
    endpoints: Grouped = field(default_factory=dict)
    items: Grouped = field(default_factory=dict)
    contributors: Grouped = field(default_factory=dict)
    """Who and what made the anomalous days."""
    bands: Grouped = field(default_factory=dict)
    """Judged days of apps with an unusual day: metric, day, lower, upper."""
    chains: list[Record] = field(default_factory=list)
    """Findings that belong together, worst first."""
    chain_steps: Grouped = field(default_factory=dict)
    """By chain id, in their order."""


def gather_details(ask: Callable[[str], list[Record]], ask_file: Callable[[str], list[Record]]) -> Details:
    """Read the details; `ask` takes a query of one line, `ask_file` the name of one in `sql/`."""
    proposal = (
        f"FROM least_privilege SEMI JOIN {OPEN} USING (service_principal_id) ORDER BY service_principal_id, "
        "permission_type, list_position(['keep', 'add', 'remove', 'unknown'], action), permission"
    )
    parts = (
        f"FROM app_risk_parts SEMI JOIN {OPEN} USING (service_principal_id) "
        "ORDER BY service_principal_id, dimension, known DESC, points DESC, part_id"
    )

    def of_apps(rows: str, order: str) -> str:
        """Return the query for rows by app id about apps with an open finding."""
        return f"FROM (FROM {rows}) SEMI JOIN {OPEN} USING (app_id) ORDER BY app_id, {order}"

    return Details(
        least_privilege=grouped(ask(proposal), "service_principal_id"),
        moved=grouped(ask_file("app_moved"), "app_id"),
        hygiene=grouped(ask_file("app_hygiene"), "service_principal_id"),
        grants=grouped(ask_file("app_grants"), "service_principal_id"),
        risk_parts=grouped(ask(parts), "service_principal_id"),
        microsoft=by_key(ask(f"FROM stg_oauth_app_info SEMI JOIN {OPEN} USING (app_id) ORDER BY app_id"), "app_id"),
        alerts=grouped(ask_file("app_alerts"), "app_id"),
        first_seen=grouped(
            ask(of_apps("app_first_seen WHERE novelty <> 'known'", "family, dimension, value")), "app_id"
        ),
        top_users=grouped(
            ask(of_apps("app_top_users", "bytes_returned DESC NULLS LAST, calls DESC, user_id")), "app_id"
        ),
        endpoints=grouped(ask_file("app_endpoints"), "app_id"),
        items=grouped(ask_file("app_items"), "app_id"),
        contributors=grouped(ask_file("app_contributors"), "app_id"),
        bands=grouped(ask(of_apps("anomalies WHERE lower IS NOT NULL", "metric, day")), "app_id"),
        chains=ask("FROM chains"),
        chain_steps=grouped(ask("FROM chain_steps ORDER BY chain_id, place"), "chain_id"),
    )


def by_key(rows: Iterable[Record], key: str) -> dict[str, Record]:
    """Return rows by a unique column."""
    return {row[key]: row for row in rows}


def grouped(rows: Iterable[Record], key: str) -> Grouped:
    """Return rows by a column, keeping their order."""
    found: Grouped = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return dict(found)
