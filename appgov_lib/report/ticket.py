"""The summary as Markdown, for a ticket or a chat: what stands, the worst apps, what to do, what was not checked."""

from __future__ import annotations

import re

from appgov_lib import formats
from appgov_lib.report.facts import Facts
from appgov_lib.report.summary import action_groups, apps_with_findings, coverage_line, headline, lanes, severities

RISKS, STEPS, CHECKS = 10, 5, 10
_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~@!&]|:(?=//)|(?<=www)\.)")


def ticket(facts: Facts) -> str:
    """Return the Markdown; every text of the tenant is escaped, so that no name makes a link, an image or a mention."""
    counted = severities(facts)
    name = facts.tenant.get("display_name") or "unknown tenant"
    lines = [
        f"# App governance, {_plain(name)}, {_plain(facts.period.text)}",
        "",
        _plain(headline(facts)),
        "",
        f"Coverage: {_plain(coverage_line(facts)[0])}",
        "",
        "| severity | open findings |",
        "|---|---:|",
        *(f"| {name} | {number} |" for name, number in counted.items()),
        "",
        "## Top risks",
        "",
    ]
    for number, risk in enumerate(apps_with_findings(facts)[:RISKS], start=1):
        f = risk.app
        more = f" ({formats.count(risk.others, 'more finding')})" if risk.others else ""
        lines.append(
            f"{number}. **{_plain(f['display_name'] or f['app_id'])}** ({f['severity']}): {_plain(f['reason'])}{more}"
        )
        if risk.action:
            lines.append(f"   Do: {_plain(risk.action)}")
    if not facts.findings:
        lines.append("No app has an open finding.")
    for lane, groups in lanes(action_groups(facts.actions)).items():
        lines += ["", f"## {lane}", ""]
        lines += [f"- [ ] {_plain(group.title)} `{group.first['action_id']}`" for group in groups[:STEPS]]
        if len(groups) > STEPS:
            lines.append(f"- {formats.count(len(groups) - STEPS, 'more step')} in actions.csv")
        if not groups:
            lines.append("Nothing.")
    lines += ["", "## Not checked", ""]
    lines += [f"- {_plain(check['policy_title'])}: {_plain(check['reason'])}" for check in facts.skipped[:CHECKS]]
    if len(facts.skipped) > CHECKS:
        lines.append(f"- {formats.count(len(facts.skipped) - CHECKS, 'more check')} in the report")
    if not facts.skipped:
        lines.append("Every check was evaluated.")
    return "\n".join(lines) + "\n"


def _plain(value: object) -> str:
    """One visible line with every sign of Markdown taken literally."""
    return _SIGNS.sub(r"\\\1", formats.plain(value, 400))
