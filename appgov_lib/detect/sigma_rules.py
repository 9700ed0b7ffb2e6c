"""Rules in Sigma's format as policies: pySigma writes the condition, our SQL gives it the events and names the apps.

A rule is a `.yml` file in the folder `sigma/` of the user's policies. It runs as it is; what it looks at is decided by
its log source (`_EVENTS`) and by `sigma/fields.csv`, which says where each field of a rule is found. A rule that asks
for what is not read keeps its place in the list, with the reason, and is never counted as a pass.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appgov_lib.detect.policy import Policy

if TYPE_CHECKING:
    from sigma.rule import SigmaRule

_EVENTS = {
    ("azure", "auditlogs"): ("auditlogs", ("directory_audits",)),
    ("azure", "signinlogs"): ("signinlogs", ("sign_ins_interactive",)),
    ("azure", "riskdetection"): ("riskdetection", ("service_principal_risk_detections",)),
    ("m365", "audit"): ("m365_audit", ()),
    ("m365", "exchange"): ("m365_alerts", ()),
    ("m365", "threat_management"): ("m365_alerts", ("security_alerts",)),
    ("m365", "threat_detection"): ("m365_alerts", ("security_alerts",)),
}
"""By product and service of a rule: which events it sees, and the sources they come from."""
_NOT_READ = {
    ("azure", "activitylogs"): "the activity log of Azure resources is not read: it is no part of Microsoft Graph",
    ("azure", "pim"): "alerts of Privileged Identity Management are not read",
}
_SEVERITY = {"informational": "info", "low": "low", "medium": "medium", "high": "high", "critical": "critical"}
_FULL_TEXT = {"auditlogs": "message"}
"""Where words without a field are looked for."""


def load_sigma(folder: Path) -> Iterator[Policy]:
    """Each rule in the `.yml` files of `folder` as a policy in audit status, by file name.

    A rule that cannot be run comes with `problem` set; nothing is raised for a bad file.
    """
    for path in sorted(folder.rglob("*.yml")):
        yield from _policies(path)


def _policies(path: Path) -> Iterator[Policy]:
    """The rules of one file."""
    from sigma.collection import SigmaCollection
    from sigma.exceptions import SigmaError
    from yaml import YAMLError

    name = "sigma-" + (re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "rule")
    try:
        rules = list(SigmaCollection.from_yaml(path.read_text(encoding="utf-8")))
        problem = "" if rules else "the file holds no rule"
    except (
        SigmaError,
        YAMLError,
        UnicodeDecodeError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        rules, problem = [], f"the file is not a Sigma rule ({type(error).__name__})"
    if problem:
        yield _policy(name, path.stem, path, page="", problem=problem)
    for number, rule in enumerate(rules, 1):
        yield _of_rule(rule, path, name if len(rules) == 1 else f"{name}-{number}")


def _of_rule(rule: Any, path: Path, name: str) -> Policy:
    """One rule as a policy; `problem` says why it cannot be run."""
    from sigma.rule import SigmaRule

    title, page = str(rule.title), _page(rule)
    if not isinstance(rule, SigmaRule):
        return _policy(name, title, path, page, problem="rules that correlate other rules are not run")
    source = (rule.logsource.product or "", rule.logsource.service or "")
    known = _EVENTS.get(source)
    problem = "" if known else _NOT_READ.get(source, f"events of {'/'.join(filter(None, source))} are not read")
    events, requires = known or ("", ())
    sql = ""
    if known:
        columns = _columns(events)
        missing = sorted({field for field in _fields(rule) if field.lower() not in columns})
        problem = f"the field {missing[0]} of {'/'.join(source)} is not read" if missing else ""
        if not problem:
            sql, problem = _sql(rule, events)
    return _policy(
        name,
        title,
        path,
        page,
        problem=problem,
        sql=sql,
        severity=_SEVERITY.get(rule.level.name.lower() if rule.level else "", "low"),
        requires=requires,
        mitre=tuple(tag.name.upper() for tag in rule.tags if re.fullmatch(r"t\d{4}(\.\d{3})?", tag.name)),
    )


def _policy(name: str, title: str, path: Path, page: str, **facts: Any) -> Policy:
    """A policy in audit status: whoever wrote a public rule did not know this tenant."""
    values = {"severity": "low", "sql": "", **facts}
    return Policy(
        policy_id=name,
        title=title,
        confidence="low",
        status="audit",
        page=page,
        origin=str(path),
        built_in=False,
        **values,
    )


def matched_sql(policy: Policy) -> str:
    """The query of the single events a rule picks, without the apps they concern; "" for a rule that is not run."""
    return policy.sql.split(_TAIL, 1)[0] + "\nSELECT * FROM matched" if policy.sql else ""


_TAIL = "\n-- the apps these events concern\n"


def _sql(rule: SigmaRule, events: str) -> tuple[str, str]:
    """The rule as one SELECT in the form of a policy, and why there is none."""
    from sigma.exceptions import SigmaError
    from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
    from sigma.processing.transformations import FieldMappingTransformation

    columns = _columns(events)
    mapping: dict[str | None, str | list[str]] = {field: columns[field.lower()] for field in _fields(rule)}
    pipeline = ProcessingPipeline(items=[ProcessingItem(transformation=FieldMappingTransformation(mapping))])
    options: dict[str, Any] = {"fulltext_field": _FULL_TEXT[events]} if events in _FULL_TEXT else {}
    try:
        queries = _backend()(pipeline, table="events", collate_nocase=True, **options).convert_rule(rule)
    except (SigmaError, NotImplementedError) as error:
        return "", f"pySigma cannot write it as SQL: {error}"
    condition = "\n    UNION\n    ".join(str(query) for query in queries)
    frame, tail = _text(f"{events}.sql"), _text("apps_of_events.sql")
    head = f"WITH events AS (\n{frame}),\n\nmatched AS (\n    {condition}\n)\n"
    return f"{head}{_TAIL}SELECT * FROM (\n{tail})\n", ""


@cache
def _backend() -> type[Any]:
    """pySigma's SQLite backend with the few words DuckDB spells differently."""
    from sigma.backends.sqlite.sqlite import sqliteBackend

    class DuckDBBackend(sqliteBackend):
        """LIKE of SQLite ignores case; DuckDB has ILIKE for that, real booleans, and a function for expressions."""

        wildcard_match_expression = "{field} ILIKE '{value}' ESCAPE '\\'"
        contains_expression = "{field} ILIKE '%{value}%' ESCAPE '\\'"
        re_expression = "regexp_matches({field}, '{regex}')"
        null_safe_expression = "COALESCE({expr}, false)"

    return DuckDBBackend


@cache
def _columns(events: str) -> dict[str, list[str]]:
    """By field of a rule in lower case: the columns of `events` that may hold it."""
    rows = csv.DictReader(_text("fields.csv").splitlines())
    return {row["sigma_field"].lower(): row["columns"].split() for row in rows if row["events"] == events}


@cache
def _text(name: str) -> str:
    """A file of the folder `sigma/` beside this module."""
    return (resources.files("appgov_lib.detect") / "sigma" / name).read_text(encoding="utf-8")


def _fields(rule: SigmaRule) -> set[str]:
    """The fields a rule looks at."""
    found: set[str] = set()
    ahead: list[Any] = list(rule.detection.detections.values())
    while ahead:
        item = ahead.pop()
        if hasattr(item, "detection_items"):
            ahead += item.detection_items
        elif item.field:
            found.add(str(item.field))
    return found


def _page(rule: Any) -> str:
    """The page of a rule under our headings, from what its author wrote."""
    notes = [f"- {note}" for note in getattr(rule, "falsepositives", None) or ["None named by the author."]]
    links = [f"- <{link}>" for link in getattr(rule, "references", None) or []]
    about = " ".join((rule.description or "The author gives no description.").split())
    author = " ".join(str(rule.author or "not named").split())
    return "\n".join(
        [
            f"# {rule.title}",
            f"## What it finds\n{about}",
            "## Why it matters\nA public rule in Sigma's format; its author's level is its severity here.",
            "## Evidence\n`events` lists up to ten matching events, newest first.",
            "## Known gaps and false positives\n" + "\n".join(notes),
            "## Remediation\nLook at the events; the rule itself names no step.",
            f"## References\n- Rule {rule.id or 'without id'} by {author}\n" + "\n".join(links),
            "",
        ]
    )
