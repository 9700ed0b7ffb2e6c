"""Starting a policy: a pair of files and an entry in the user's folder, from a policy there is or from a template.

A template is one condition on `app_conditions`; that table's columns are the vocabulary of rules of one's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from appgov_lib.detect.policy import HEADINGS, Policy, load_policies
from appgov_lib.detect.text import quoted
from appgov_lib.errors import ConfigError
from appgov_lib.settings import Settings, private_dir

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST = 80
"""Letters of an id at most."""


@dataclass(frozen=True)
class Template:
    """One kind of question."""

    title: str
    severity: str
    measure: str
    """Column of `app_conditions` that is judged."""
    words: str
    """What the number is, for the reason; the number comes before it."""
    thresholds: str
    """As TOML; the first is the one the measure is judged against."""
    conditions: tuple[str, ...]
    """All of them must hold."""
    requires: str
    """Keys and sources as TOML."""


_NEW = "days_since_registration <= $days_new"
_DIRECTORY = 'requires = ["service_principals"]'
_GRANTS = 'requires = ["service_principals", "delegated_grants", "app_role_assignments"]'
TEMPLATES = {
    "T1": Template(
        "Unused app",
        "medium",
        "days_unused",
        "days without use",
        "days_unused = 90",
        ("days_unused > $days_unused",),
        _DIRECTORY + '\nrequires_complete = ["service_principal_sign_in_activities"]',
    ),
    "T2": Template(
        "New app with high data usage",
        "high",
        "max_bytes_per_day_30d",
        "bytes in one day",
        "bytes_per_day = 1000000000, days_new = 7",
        ("max_bytes_per_day_30d > $bytes_per_day", _NEW),
        'requires = ["service_principals", "api_activity"]',
    ),
    "T3": Template(
        "Increase in users",
        "medium",
        "consenting_users_increase_90d",
        "percent more consenting users than 90 days ago",
        "percent_more = 50",
        ("consenting_users_increase_90d >= $percent_more",),
        'requires = ["service_principals"]\nrequires_complete = ["delegated_grants"]',
    ),
    "T4": Template(
        "Overprivileged app",
        "low",
        "days_since_registration",
        "days old, with permissions it has not used",
        "days_old = 30",
        ("is_overprivileged", "days_since_registration >= $days_old"),
        _GRANTS + '\nrequires_complete = ["api_activity"]',
    ),
    "T5": Template(
        "New highly privileged app",
        "high",
        "days_since_registration",
        "days old and highly privileged",
        "days_new = 7",
        ("is_highly_privileged", _NEW),
        _GRANTS,
    ),
    "T6": Template(
        "New app with permissions outside Microsoft Graph",
        "medium",
        "days_since_registration",
        "days old, with permissions of other APIs",
        "days_new = 7",
        ("non_graph_permissions", _NEW),
        _GRANTS,
    ),
    "T7": Template(
        "New high risk app",
        "high",
        "risk_score",
        "points of risk",
        "points = 70, days_new = 7",
        ("risk_score > $points", _NEW),
        _GRANTS,
    ),
    "T8": Template(
        "New uncertified app",
        "medium",
        "days_since_registration",
        "days old and not certified",
        "days_new = 7",
        ("certification = 'none'", _NEW),
        'requires = ["service_principals", "applications"]',
    ),
    "T9": Template(
        "Unused credentials",
        "medium",
        "credential_unused_days",
        "days since its credential idle for longest was used",
        "days_unused = 30",
        ("credential_unused_days > $days_unused",),
        'requires = ["service_principals", "credential_sign_in_activities"]',
    ),
    "T10": Template(
        "A policy of our own",
        "low",
        "risk_score",
        "points of risk",
        "points = 90",
        (
            "risk_score > $points",
            "-- conditions are joined with AND, OR and NOT; here is one of each",
            "(publisher_verified IS NOT TRUE OR is_highly_privileged)",
            "NOT list_contains(services_accessed, 'Teams')",
        ),
        _GRANTS,
    ),
}


def start_policy(settings: Settings, policy_id: str, template: str) -> tuple[Path, Path, Path]:
    """Write rule, page and entry of a new policy into `<home>/policies/`; return the three files.

    Raises `ConfigError`, with nothing written, for an id that cannot be used or is taken, and for a template that is
    neither a policy nor one of `TEMPLATES`.
    """
    if not _NAME.fullmatch(policy_id) or len(policy_id) > LONGEST:
        raise ConfigError(f"The id {policy_id!r} cannot be used; use up to {LONGEST} small letters, digits, hyphens.")
    folder = settings.policies_dir
    catalogue = folder / "policies.toml"
    listed = catalogue.is_file()
    policies = load_policies(folder if listed or (folder / "sigma").is_dir() else None)
    known = {policy.policy_id: policy for policy in policies}
    rule, page = folder / f"{policy_id}.sql", folder / f"{policy_id}.md"
    if policy_id in known:
        raise ConfigError(f"There is a policy {policy_id!r} already; choose another id.")
    for path in (rule, page):
        if path.exists():
            raise ConfigError(f"The file {path} is there already and stays as it is; choose another id or remove it.")
    if template in known:
        sql, text, entry = _copy(known[template], policy_id)
    elif template.upper() in TEMPLATES:
        sql, text, entry = _fresh(TEMPLATES[template.upper()], policy_id)
    else:
        raise ConfigError(f"--from is {template!r}; give the id of a policy or one of {', '.join(TEMPLATES)}.")
    private_dir(folder)
    for path, content in ((rule, sql), (page, text)):
        with path.open("x", encoding="utf-8", newline="\n") as handle:
            handle.write(content)
    with catalogue.open("a", encoding="utf-8", newline="\n") as handle:
        handle.write(("\n" if listed else "# Policies of our own: one entry each, the rule is <id>.sql.\n\n") + entry)
    return rule, page, catalogue


def _copy(policy: Policy, policy_id: str) -> tuple[str, str, str]:
    """Rule, page and entry that do what `policy` does."""
    if policy.problem:
        raise ConfigError(f"The rule {policy.policy_id} cannot be run and is no start: {policy.problem}.")
    lines = [
        "[[policy]]",
        f"id = {quoted(policy_id)}",
        f"title = {quoted(f'{policy.title} (own)')}",
        f"severity = {quoted(policy.severity)}",
        f"confidence = {quoted(policy.confidence)}",
        'status = "audit"  # findings are marked and cause no action; "active" when it has proved itself',
    ]
    for key in ("requires", "requires_complete", "requires_any", "mitre"):
        values = getattr(policy, key)
        if values:
            lines.append(f"{key} = [{', '.join(map(quoted, values))}]")
    lines.append(f"action = {quoted(policy.action)}")
    if policy.thresholds:
        values = ", ".join(f"{name} = {value!r}" for name, value in policy.thresholds.items())
        lines.append(f"thresholds = {{ {values} }}")
    return policy.sql, policy.page, "\n".join(lines) + "\n"


def _fresh(template: Template, policy_id: str) -> tuple[str, str, str]:
    """Rule, page and entry of a template."""
    threshold = template.thresholds.split(" ", 1)[0]
    wheres = "\n".join(
        f"    {condition}" if condition.startswith("--") else f"    AND {condition}"
        for condition in template.conditions
    )
    sql = f"""-- grain: app
-- source: app_conditions (docs/reference/conditions.md says what each column answers)
SELECT
    service_principal_id,
    app_id,
    display_name AS app_display_name,
    '' AS subject,
    CAST({template.measure} AS DOUBLE) AS measure,
    CAST(${threshold} AS DOUBLE) AS threshold,
    concat({template.measure}, ' {template.words} (threshold ', ${threshold}, ').') AS reason,
    json_object('{template.measure}', {template.measure}) AS evidence
FROM app_conditions
WHERE
    is_in_scope
    -- what is NULL is not known and finds nothing
{wheres}
ORDER BY service_principal_id
"""
    hints = {
        "What it finds": f"Apps for which all of this holds: {'; '.join(_said(template))}.",
        "Why it matters": "Write what it would cost if the finding is true.",
        "Evidence": f"`{template.measure}`.",
        "Known gaps and false positives": "Write when it stays silent though it should not, and when it is wrong. What "
        "could not be read finds nothing.",
        "Remediation": "Write what to do about a finding.",
        "References": "- Write where the idea comes from.",
    }
    page = f"# {template.title}\n" + "".join(f"\n## {heading}\n\n{hints[heading]}\n" for heading in HEADINGS)
    entry = f"""[[policy]]
id = {quoted(policy_id)}
title = {quoted(template.title)}
severity = {quoted(template.severity)}
confidence = "medium"
status = "audit"  # findings are marked and cause no action; "active" when it has proved itself
{template.requires}
thresholds = {{ {template.thresholds} }}
"""
    return sql, page, entry


def _said(template: Template) -> list[str]:
    """The conditions for the page."""
    return [f"`{condition}`" for condition in template.conditions if not condition.startswith("--")]
