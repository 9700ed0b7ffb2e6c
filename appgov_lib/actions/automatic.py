"""Actions that the weekly run carries out by itself: off unless a file names what is allowed.

`actions/automatic.toml` in the home folder has a table for each tenant profile:

    [tenant.contoso]
    mode = "audit"                                  # off, audit (say what would be done) or apply
    max_actions = 3                                 # in one run
    allow = { unused-app = "disable_sign_in" }      # policy = kind of action

Only safe actions with a way back are taken, only those all of whose findings come from allowed policies, and none that
somebody took back or that failed before. `apply` acts only after a run in audit mode with the same allow-list.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from appgov_lib.actions.apply import Result, apply, dry_run
from appgov_lib.actions.check import READY
from appgov_lib.actions.chosen import Planned, by_ids
from appgov_lib.actions.journal import Clock, runs_dir
from appgov_lib.actions.planner import ACTION_TYPES
from appgov_lib.errors import ConfigError, UserError
from appgov_lib.settings import Settings, private_write
from appgov_lib.store.warehouse import connect

FILE = "automatic.toml"
MODES = ("off", "audit", "apply")
MOST = 25
"""Actions one run may take, whatever the file says."""
AUDITED = "automatic-audit.json"


@dataclass(frozen=True)
class Automatic:
    """What one tenant allows."""

    mode: str = "off"
    max_actions: int = 0
    allow: Mapping[str, str] = field(default_factory=dict)
    """Kind of action by policy."""

    @property
    def digest(self) -> str:
        """What an audit vouches for: the allow-list."""
        return hashlib.sha256(json.dumps(sorted(self.allow.items())).encode()).hexdigest()


def load_settings(settings: Settings) -> Automatic:
    """What the file allows for this tenant; off without one. Raises `ConfigError` for anything that is not clear."""
    path = settings.home / "actions" / FILE
    if not path.exists():
        return Automatic()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML ({error}).") from None
    tenants = found.pop("tenant", {})
    if found or not isinstance(tenants, dict):
        raise ConfigError(f"{path} may hold [tenant.NAME] tables alone.")
    entry = tenants.get(settings.tenant, {})
    unknown = sorted(set(entry) - {"mode", "max_actions", "allow"}) if isinstance(entry, dict) else ["?"]
    if unknown:
        raise ConfigError(f"{path}: {unknown[0]!r} is not a setting of [tenant.{settings.tenant}].")
    made = Automatic(entry.get("mode", "off"), entry.get("max_actions", 0), entry.get("allow", {}))
    if made.mode not in MODES:
        raise ConfigError(f"{path}: mode is one of {', '.join(MODES)}.")
    if not isinstance(made.max_actions, int) or isinstance(made.max_actions, bool) or not 0 <= made.max_actions <= MOST:
        raise ConfigError(f"{path}: max_actions is a number from 0 to {MOST}.")
    if not isinstance(made.allow, dict) or not set(made.allow.values()) <= set(ACTION_TYPES):
        raise ConfigError(f"{path}: allow names a kind of action for each policy, one of {', '.join(ACTION_TYPES)}.")
    return made


def choose(con: duckdb.DuckDBPyConnection, allowed: Automatic) -> list[Planned]:
    """The actions of the plan that may be taken, most risk per disruption first, at most as many as allowed."""
    rows = con.execute(
        "SELECT action.action_id, action.action_type, list(DISTINCT finding.policy_id) AS policies "
        "FROM (SELECT *, unnest(finding_ids) AS finding_id FROM remediation_actions) AS action "
        "LEFT JOIN findings AS finding USING (finding_id) "
        "LEFT JOIN action_outcomes AS earlier ON earlier.action_id = action.action_id "
        "WHERE action.disposition = 'safe' AND action.reversible AND action.method IS NOT NULL "
        "AND earlier.outcome IS NOT DISTINCT FROM 'open' "
        "GROUP BY ALL ORDER BY min(action.priority)"
    ).fetchall()
    chosen = [
        action_id
        for action_id, kind, policies in rows
        if policies and all(allowed.allow.get(policy) == kind for policy in policies)
    ]
    return by_ids(con, chosen[: allowed.max_actions]) if chosen[: allowed.max_actions] else []


def automatic(settings: Settings, *, clock: Clock, tell: Callable[[str], None]) -> Result:
    """What the weekly run does by itself; nothing unless the file says so. Never raises for what the tenant answers."""
    allowed = load_settings(settings)
    if allowed.mode == "off" or not allowed.max_actions:
        return Result("", ())
    con = connect(tenant=settings.tenant, home=settings.home)
    try:
        chosen = choose(con, allowed)
    finally:
        con.close()
    audited = _audited(settings, allowed)
    if allowed.mode == "apply" and not audited:
        tell("Automatic actions: this allow-list was not audited yet, so this run only says what it would do.")
    try:
        checked = dry_run(settings, chosen).checked if chosen else ()
        for item in checked:
            tell(f"Automatic actions: {item.verdict}: {item.title}{': ' + item.reason if item.reason else ''}")
        if allowed.mode == "audit" or not audited:
            _note(settings, allowed, [item.action_id for item in checked], clock)
            return Result("", tuple(checked))
        # one that does not fit the tenant any more does not keep the others back
        ready = {item.action_id for item in checked if item.verdict == READY}
        wanted = [action for action in chosen if action.action_id in ready]
        return apply(settings, wanted, clock=clock, tell=tell) if wanted else Result("", ())
    except UserError as error:
        tell(f"Automatic actions: {error}")
        return Result("", (), stopped=str(error))


def _audited(settings: Settings, allowed: Automatic) -> bool:
    """Whether a run in audit mode saw this allow-list."""
    path = runs_dir(settings) / AUDITED
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return found.get("allow_sha256") == allowed.digest


def _note(settings: Settings, allowed: Automatic, ids: list[str], clock: Clock) -> None:
    """Keep what an audit found."""
    told = {"at": f"{clock():%Y-%m-%dT%H:%M:%SZ}", "allow_sha256": allowed.digest, "would_apply": ids}
    private_write(runs_dir(settings) / AUDITED, json.dumps(told, indent=2).encode() + b"\n")
