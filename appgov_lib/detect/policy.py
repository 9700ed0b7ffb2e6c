"""What a policy is, and how it is read: `policies.toml` gives its worth, `<id>.sql` the rule, `<id>.md` the page."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from appgov_lib.errors import ConfigError

SEVERITIES = ("critical", "high", "medium", "low", "info")
CONFIDENCES = ("high", "medium", "low")
STATUSES = ("active", "audit", "inactive")
HEADINGS = (
    "What it finds",
    "Why it matters",
    "Evidence",
    "Known gaps and false positives",
    "Remediation",
    "References",
)
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NO_THRESHOLDS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Policy:
    """One written rule with its severity, status and thresholds."""

    policy_id: str
    """Also the stem of its two files, e.g. "expiring-credential"."""
    title: str
    severity: str
    """One of `SEVERITIES`."""
    confidence: str
    """One of `CONFIDENCES`."""
    status: str
    """active, audit (findings are marked and cause no action) or inactive (not evaluated)."""
    sql: str
    """One SELECT with the columns of `run.POLICY_COLUMNS`."""
    page: str
    """Markdown with the headings of `HEADINGS`."""
    origin: str
    """Where the rule was read from, for messages."""
    built_in: bool = True
    """False for a rule the user wrote: a mistake in it skips the policy and does not stop the run."""
    requires: tuple[str, ...] = ()
    """Sources that must be there at least in part."""
    requires_complete: tuple[str, ...] = ()
    """Sources that must be complete, because the rule concludes from absence."""
    requires_any: tuple[str, ...] = ()
    """Sources of which one is enough."""
    requires_history: tuple[str, ...] = ()
    """Sources of which one must tell what changed since the time the rule compares with (`coverage.too_young`)."""
    thresholds: Mapping[str, float] = field(default_factory=lambda: _NO_THRESHOLDS)
    """Named parameters of the SQL."""
    mitre: tuple[str, ...] = ()
    """Technique ids of MITRE ATT&CK."""
    action: str = "review"
    """What the action plan starts from."""
    only: tuple[str, ...] = ()
    """Scope: ids of the only apps it is about; () for all."""
    except_apps: tuple[str, ...] = ()
    """Scope: ids of apps it leaves out."""
    problem: str = ""
    """Why the rule cannot be run at all; "" where it can."""

    def concerns(self, ids: Iterable[str]) -> bool:
        """Whether an app known by these `ids` is in the scope of the policy."""
        known = {text.lower() for text in ids}
        return (not self.only or not known.isdisjoint(self.only)) and known.isdisjoint(self.except_apps)

    def with_thresholds(self, values: Mapping[str, float]) -> Policy:
        """The same policy with some thresholds changed; raises `ConfigError` for one it has not.

        A whole number becomes an integer: the rules count days with it.
        """
        unknown = sorted(values.keys() - self.thresholds.keys())
        if unknown:
            known = f"it has {', '.join(self.thresholds)}" if self.thresholds else "it has none"
            raise ConfigError(f"The policy {self.policy_id} has no threshold {unknown[0]!r}; {known}.")
        whole = {name: int(value) if value == int(value) else value for name, value in values.items()}
        return replace(self, thresholds=MappingProxyType({**self.thresholds, **whole}))

    def section(self, heading: str) -> str:
        """Text of the page under `heading`, "" if the page has no such heading."""
        found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", self.page, re.MULTILINE | re.DOTALL)
        return found.group(1).strip() if found else ""


def load_policies(extra: Path | None = None) -> tuple[Policy, ...]:
    """Read the built-in policies, then those of the folder `extra`, which add to them or override them by id.

    An entry in `extra` that overrides a built-in id needs only the keys it changes; without files of its own it
    keeps the built-in rule and page. Raises `ConfigError` for a file that is missing or cannot be used.
    """
    built_in = resources.files("appgov_lib") / "policies"
    policies = {name: _policy(name, entry, built_in) for name, entry in _entries(built_in).items()}
    if extra is not None:
        if not extra.is_dir():
            raise ConfigError(f"The policy folder {extra} does not exist; create it or leave the option out.")
        from appgov_lib.detect.sigma_rules import load_sigma

        policies |= {policy.policy_id: policy for policy in load_sigma(extra / "sigma")}
        for name, entry in _entries(extra, optional=(extra / "sigma").is_dir()).items():
            policies[name] = _policy(name, entry, extra, own=True, base=policies.get(name))
    return tuple(policies.values())


def policy_named(policy_id: str, extra: Path | None = None) -> Policy:
    """The policy with this id, of the user's folder `extra` too; raises `ConfigError` where there is none."""
    policies = {policy.policy_id: policy for policy in load_policies(extra)}
    if policy_id not in policies:
        raise ConfigError(f"There is no policy {policy_id!r}; `appgov policies list` shows the ids.")
    return policies[policy_id]


def _entries(folder: Traversable, optional: bool = False) -> dict[str, dict[str, Any]]:
    """The `[[policy]]` entries of the folder's `policies.toml` by id; none where that file is `optional` and absent."""
    path = folder / "policies.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if optional:
            return {}
        raise ConfigError(f"There is no {path}; a policy folder needs this file with one [[policy]] each.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.") from error
    entries: dict[str, dict[str, Any]] = {}
    listed = content.get("policy", [])
    for entry in listed if isinstance(listed, list) else [listed]:
        name = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not _ID.fullmatch(name):
            raise ConfigError(f"{path} has a policy whose id is {name!r}; use small letters, digits and hyphens.")
        if name in entries:
            raise ConfigError(f"{path} has two policies with the id {name!r}; keep one.")
        entries[name] = {key: value for key, value in entry.items() if key != "id"}
    return entries


def _policy(
    name: str, entry: dict[str, Any], folder: Traversable, own: bool = False, base: Policy | None = None
) -> Policy:
    """Build one policy from its entry, its files and, where it overrides one, the policy it starts from."""
    place = f"policy {name!r} in {folder / 'policies.toml'}"
    known = {"title", "severity", "confidence", "status", "mitre", "action", "thresholds", "only", "except_apps"}
    sources = {"requires", "requires_complete", "requires_any", "requires_history"}
    unknown = sorted(entry.keys() - known - sources)
    if unknown:
        raise ConfigError(
            f"{place} has the unknown key {unknown[0]!r}; known are {', '.join(sorted(known | sources))}."
        )

    def text(key: str, default: str, allowed: tuple[str, ...] = ()) -> str:
        """A text of the entry, else of the policy it overrides, else `default`; must be one of `allowed`."""
        value = entry.get(key, getattr(base, key) if base else default)
        if not isinstance(value, str) or not value or (allowed and value not in allowed):
            raise ConfigError(f"{place}: {key} is {value!r}; use {' or '.join(allowed) if allowed else 'a text'}.")
        return value

    def texts(key: str) -> tuple[str, ...]:
        """A list of texts of the entry, else of the policy it overrides."""
        value = entry.get(key, getattr(base, key) if base else ())
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{place}: {key} must be a list of texts.")
        return tuple(value)

    thresholds = entry.get("thresholds", {})
    numbers = isinstance(thresholds, dict) and all(type(item) in (int, float) for item in thresholds.values())
    if not numbers:
        raise ConfigError(f"{place}: thresholds must be a table of numbers, e.g. {{ days_unused = 90 }}.")
    has_rule = (folder / f"{name}.sql").is_file()
    return Policy(
        policy_id=name,
        title=text("title", ""),
        severity=text("severity", "", SEVERITIES),
        confidence=text("confidence", "medium", CONFIDENCES),
        status=text("status", "active", STATUSES),
        sql=_file(folder, f"{name}.sql", base.sql if base else None),
        page=_file(folder, f"{name}.md", base.page if base else None),
        origin=base.origin if base and not has_rule else str(folder / f"{name}.sql"),
        built_in=base.built_in if base and not has_rule else not own,
        problem=base.problem if base and not has_rule else "",
        requires=texts("requires"),
        requires_complete=texts("requires_complete"),
        requires_any=texts("requires_any"),
        requires_history=texts("requires_history"),
        thresholds=MappingProxyType({**(base.thresholds if base else {}), **thresholds}),
        mitre=texts("mitre"),
        action=text("action", "review"),
        only=tuple(item.lower() for item in texts("only")),
        except_apps=tuple(item.lower() for item in texts("except_apps")),
    )


def _file(folder: Traversable, name: str, default: str | None) -> str:
    """Text of one policy file; the overridden policy's text where the folder has none."""
    path = folder / name
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not UTF-8 text: {error}.") from error
    if default is None:
        raise ConfigError(f"There is no {path}; every policy is a pair of files, .sql and .md.")
    return default


def policies_table(extra: Path | None = None) -> pd.DataFrame:
    """One row a policy, most severe first: id, title, severity, confidence, status, what it finds, what it needs."""
    rows = [
        {
            "policy_id": policy.policy_id,
            "title": policy.title,
            "severity": policy.severity,
            "confidence": policy.confidence,
            "status": policy.status,
            "finds": " ".join(policy.section("What it finds").split()),
            "requires": ", ".join([*policy.requires, *policy.requires_complete, *policy.requires_any]),
            "thresholds": ", ".join(f"{name} = {value}" for name, value in policy.thresholds.items()),
            "mitre": ", ".join(policy.mitre),
            "action": policy.action,
            "origin": "built in" if policy.built_in else "own",
        }
        for policy in sorted(load_policies(extra), key=lambda p: (SEVERITIES.index(p.severity), p.policy_id))
    ]
    return pd.DataFrame(rows)
