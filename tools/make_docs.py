"""Write docs/reference/ from the code: commands, settings, tables, policies, sources, permissions, capabilities.

`make docs` writes the pages; `--check` compares them and says which are stale, so that nobody edits them by hand.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from runpy import run_path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "appgov_lib"
REFERENCE = ROOT / "docs" / "reference"
WRITTEN = "<!-- Written by `make docs`; edit the code it names instead. -->"


def cell(value: object) -> str:
    """Text for a cell of a Markdown table: one line, no bar that would end the cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *([cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def code(names: Iterable[str]) -> str:
    """Names in code spans, separated by commas; a dash when there are none."""
    return ", ".join(f"`{name}`" for name in names) or "-"


def page(title: str, *parts: str) -> str:
    """A page: title, the warning not to edit, and its parts with a blank line between."""
    return "\n\n".join([f"# {title}", WRITTEN, *(part.strip() for part in parts if part.strip())]) + "\n"


def load(name: str) -> dict[str, Any]:
    """A TOML file of the package."""
    return tomllib.loads((PACKAGE / name).read_text(encoding="utf-8"))


def commands() -> str:
    """Every command with the text of its `--help`."""
    from appgov_lib.cli import cli

    def walk(command: click.Command, names: list[str], parent: click.Context | None) -> Iterable[str]:
        """This command's help, then that of its commands, in the order they are listed."""
        settings = {**command.context_settings, "terminal_width": 100, "max_content_width": 100}
        context = click.Context(command, info_name=names[-1], parent=parent, **settings)
        # click wraps and marks nothing here, so the text is what a terminal of 100 columns shows.
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        yield f"## {' '.join(names)}\n\n```text\n{text}\n```"
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                if found is not None and not found.hidden:
                    yield from walk(found, [*names, name], context)

    intro = "`appgov` is the same as `python -m appgov_lib`. Exit codes are in the README."
    return page("Commands", intro, *walk(cli, ["appgov"], None))


def models() -> str:
    """Every table with its grain, key and columns."""
    entries = [model for model in load("models/models.toml")["model"] if not model.get("temp")]
    parts = [
        "The tables of the warehouse, in the order they are built. `NULL` means unknown. Times are UTC.",
        table(
            ("table", "what it holds"),
            ((f"[`{m['name']}`](#{m['name']})", m["description"]) for m in entries),
        ),
    ]
    for model in entries:
        folder = {"staging": "staging", "mart": "marts"}[model["layer"]]
        sql = f"[{model['name']}.sql](../../appgov_lib/models/{folder}/{model['name']}.sql)"
        parts += [
            f"## {model['name']}",
            f"{model['description']}",
            f"One row for each: {model['grain']}. Key: {code(model['key'])}. Made by {sql}.",
            table(("column", "meaning"), ((f"`{name}`", note) for name, note in model.get("columns", {}).items())),
        ]
    return page("Tables", *parts, "## Written by the build itself", written_by_the_build())


def written_by_the_build() -> str:
    """The tables that Python writes after the SQL models, with their columns."""
    from appgov_lib.actions.outcomes import OUTCOME_TYPES
    from appgov_lib.actions.planner import TYPES as ACTION_TYPES
    from appgov_lib.anomalies import OUTPUT_TYPES
    from appgov_lib.detect.baselines import BASELINE_TYPES
    from appgov_lib.detect.chains import CHAIN_TABLES
    from appgov_lib.detect.run import EXCEPTION_TYPES, FINDING_TYPES, SKIPPED_TYPES
    from appgov_lib.store.inputs import Coverage

    rows = (
        ("snapshots", "finished snapshot", ["snapshot_id", "kind", "started_at", "finished_at"]),
        ("snapshot_sources", "source in a snapshot", ["snapshot_id", "source", "status"]),
        ("coverage", "source, and import that holds data", [field.name for field in fields(Coverage)]),
        ("rejected_records", "record of an import that could not be read", ["file", "line", "reason", "snapshot_id"]),
        ("covered_days", "source and day it has records of", ["source", "day", "is_complete"]),
        ("anomalies", "app, metric and judged day", [*OUTPUT_TYPES, "display_name"]),
        (
            "anomaly_contributors",
            "app, metric, anomalous day, dimension and value; one row without value where the logs do not tell",
            ["app_id", "metric", "day", "dimension", "place", "value", "amount", "share", "usual_share", "reason"],
        ),
        ("findings", "finding", FINDING_TYPES),
        *((name, *told) for name, told in CHAIN_TABLES.items()),
        ("skipped_checks", "policy that was not evaluated", SKIPPED_TYPES),
        ("approved_baselines", "thing an approved app had; without value: it had none of the kind", BASELINE_TYPES),
        ("policy_exceptions", "exception in exceptions.toml", EXCEPTION_TYPES),
        ("remediation_actions", "recommended change", ACTION_TYPES),
        ("action_outcomes", "action that is or was planned", OUTCOME_TYPES),
        ("run_info", "fact about the build", ["key", "value"]),
    )
    return table(("table", "one row for each", "columns"), ((f"`{n}`", grain, code(c)) for n, grain, c in rows))


def section(text: str, heading: str) -> str:
    """The text under a `## heading` of a policy page."""
    return text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0].strip()


def policies() -> str:
    """Every policy with severity, sources, thresholds and the first section of its page."""
    entries = load("policies/policies.toml")["policy"]
    parts = [
        "The policies, as they are set in `appgov_lib/policies/policies.toml`. Severity is what it would cost if the "
        "finding is what it looks like, confidence how likely that is.",
        table(
            ("policy", "severity", "confidence", "status"),
            ((f"[{p['title']}](#{p['id']})", p["severity"], p["confidence"], p["status"]) for p in entries),
        ),
    ]
    for policy in entries:
        stem = f"../../appgov_lib/policies/{policy['id']}"
        needs = {
            "Needs": policy.get("requires", []),
            "Needs complete": policy.get("requires_complete", []),
            "Needs one of": policy.get("requires_any", []),
        }
        facts = [f"- {words}: {code(names)}" for words, names in needs.items() if names]
        facts += [f"- `{name}` = {value}" for name, value in policy.get("thresholds", {}).items()]
        if policy.get("mitre"):
            facts.append(f"- MITRE ATT&CK: {', '.join(policy['mitre'])}")
        about = section((PACKAGE / "policies" / f"{policy['id']}.md").read_text(encoding="utf-8"), "What it finds")
        parts += [
            f"## {policy['id']}",
            f"**{policy['title']}** ({policy['severity']}, {policy['status']}). {about}",
            "\n".join(facts),
            f"[The whole page]({stem}.md), [the rule]({stem}.sql).",
        ]
    return page("Policies", *parts)


def conditions() -> str:
    """What a policy of one's own may ask, by number of the condition in the catalogue of questions."""
    import csv

    with (PACKAGE / "reference" / "policy_conditions.csv").open(encoding="utf-8", newline="") as handle:
        entries = list(csv.DictReader(handle))
    rows = (
        (
            e["condition_id"],
            e["condition"],
            code(e["columns"].split()) if e["columns"] else "cannot be known",
            f"`{e['expression']}`",
            e["note"],
        )
        for e in entries
    )
    return page(
        "Conditions of policies",
        "What a policy may ask of an app, and the column that answers it. All of them are in the table "
        "[`app_conditions`](models.md#app_conditions), one row an app, so a rule needs no join; conditions are joined "
        "with `AND`, `OR`, `NOT` and brackets as in any SQL. `NULL` means not known: comparing it finds nothing.",
        table(("id", "condition", "column", "for example", "note"), rows),
        "How to write a rule with them: [add a policy](../how-to/add-a-policy.md).",
    )


def sources() -> str:
    """Everything read from Graph."""
    entries = load("extract/sources.toml")["source"]
    rows = (
        (
            f"`{s['name']}`",
            s["kind"],
            f"`{s['version']}{s['path']}`",
            s.get("licence") or "-",
            "yes" if s.get("default", True) else "only when named",
            s["what_is_lost"],
        )
        for s in entries
    )
    return page(
        "Sources",
        "What `appgov extract` reads. State is read whole and the newest counts; logs are read on from where the last "
        "run ended and all snapshots count. Each source stands alone: one that cannot be read is named in the report, "
        "with the reason.",
        "A source marked *only when named* takes long or stands in for another one: `appgov extract` reads it with "
        "`--source NAME`, and then only what is named. That it was not read is no gap in the report.",
        table(("source", "kind", "from Graph", "licence", "read", "lost without it"), rows),
    )


def permissions_needed() -> str:
    """The permissions to grant, and which source needs each."""
    from appgov_lib.extract.permissions import id_of

    needed: dict[str, list[dict[str, Any]]] = {}
    for source in load("extract/sources.toml")["source"]:
        needed.setdefault(source["permission"], []).append(source)
    rows = (
        (
            f"`{name}` {id_of(name)}",
            code(s["name"] for s in users),
            "; ".join(dict.fromkeys(s["licence"] for s in users if s.get("licence"))) or "-",
            " ".join(dict.fromkeys(s["what_is_lost"] for s in users)),
        )
        for name, users in sorted(needed.items())
    )
    return page(
        "Permissions needed",
        "Application permissions of Microsoft Graph, all of them for reading. Each is the least that reads its "
        "sources; leave out what you do not want to grant. How to grant them: "
        "[connect your tenant](../how-to/connect-your-tenant.md).",
        table(("permission and id", "for the sources", "licence some of them need", "lost without it"), rows),
    )


VERDICTS = {
    "works": "the question is answered",
    "partly": "a part of it is answered, or over another window; the last column says what is missing",
    "unknowable": "nothing that can be read says it",
}


def capability_tables(where: Iterable[str]) -> str:
    """The columns that hold an answer; the first of each table links to the description of the table."""
    columns: dict[str, list[str]] = {}
    for place in where:
        name, column = place.split(".")
        columns.setdefault(name, []).append(column)
    described = {model["name"] for model in load("models/models.toml")["model"]}
    return (
        "; ".join(
            f"[{name}](models.md#{name if name in described else 'written-by-the-build-itself'}): {code(found)}"
            for name, found in columns.items()
        )
        or "-"
    )


def capabilities() -> str:
    """What is answered of the facts App governance shows: counts, then every fact by area."""
    content = tomllib.loads((ROOT / "tools" / "capabilities.toml").read_text(encoding="utf-8"))
    facts = content["fact"]
    counts = [
        (name, *(sum(f["verdict"] == v for f in facts if f["id"].startswith(f"{area}-")) for v in VERDICTS))
        for area, name in content["areas"].items()
    ]
    total = ("all", *(sum(fact["verdict"] == verdict for fact in facts) for verdict in VERDICTS))
    parts = [
        "The facts that App governance of Microsoft Defender for Cloud Apps shows, and what stands here for each. "
        "Every *works* has a test that fails when the number is wrong. A source that could not be read makes any "
        "answer unknown: the report names it.",
        table(("part", *VERDICTS), [*counts, total]),
        "\n".join(f"- *{verdict}*: {meaning}" for verdict, meaning in VERDICTS.items()),
        content["not_covered"],
    ]
    for area, name in content["areas"].items():
        rows = (
            (f["id"], f["question"], f["verdict"], capability_tables(f["where"]), f["why"])
            for f in facts
            if f["id"].startswith(f"{area}-")
        )
        parts += [
            f"## {name}",
            table(("id", "question", "verdict", "where", "what stands behind it, or is missing"), rows),
        ]
    return page(content["title"], *parts)


def settings() -> str:
    """Every key of appgov.toml, and how the environment and the options go with it."""
    from appgov_lib.profiles.schema import CHANNEL, CREDENTIAL, NEEDED, OF_ALL, TAKES, TENANT, rows

    own = {key.name for key in CREDENTIAL} | {"endpoint"}

    kinds = (
        (f"`{kind}`", code(NEEDED[kind]), code(n for n in TAKES[kind] if n not in NEEDED[kind])) for kind in NEEDED
    )
    return page(
        "Settings",
        "`appgov.toml` in `APPGOV_HOME`, or the file that `APPGOV_CONFIG` names. A mistake is told with its line "
        "before anything is read. Secrets do not stand in it: keys that end in `_env` name environment variables. An "
        "example with everything: [deploy/appgov.toml](../../deploy/appgov.toml).",
        "What is said of one tenant wins over what is said of all: an option of the command, then `[tenant.NAME]`, "
        "then the environment (`APPGOV_GRAPH_ENDPOINT`, `APPGOV_SIGN_IN`, `APPGOV_RETENTION_DAYS`, `AZURE_...`), then "
        "`[defaults]`, then the default below. Without `--tenant` and `APPGOV_TENANT` the only tenant in the file is "
        "meant.",
        "## [tenant.NAME], and [defaults] for all",
        f"`[defaults]` takes all but {code(sorted(own & {'tenant_id', 'endpoint'}))}, which are of one tenant.",
        table(("key", "form", "meaning", "default"), rows(TENANT)),
        "## [[tenant.NAME.deliver]]",
        f"Every kind takes {code(OF_ALL)}.",
        table(("kind", "needs", "may have"), kinds),
        table(("key", "form", "meaning", "default"), rows(CHANNEL)),
    )


OUTCOMES = {
    "works": "what the alert or the idea is about is found",
    "partly": "a part of it is found, or by other signs; the last column says what is missing",
    "missing": "what can be read would tell, and no policy does; the last column says why, or where to look",
    "impossible": "nothing that this tool can read outside Microsoft says it",
}


def detections() -> str:
    """Which alerts of Microsoft's and ideas of public rules are covered, by which policies."""
    content = tomllib.loads((ROOT / "tools" / "detections.toml").read_text(encoding="utf-8"))
    listed = content["detection"]
    parts = [
        "The 45 alerts of App governance, the seven OAuth alerts of Defender for Cloud Apps, and 113 ideas of public "
        "rule sets; in our own words, by the policies that answer them ([policies](policies.md)).",
        "Every policy is judged when the weekly run is: it tells up to seven days after the event, and later where "
        "the log is late. Microsoft's alerts come within hours. How Microsoft judges is not published, so *works* says "
        "that the same behaviour is found, not that the same apps are. Whichever of these alerts Microsoft raises "
        "itself is told by `alert-by-microsoft` or `high-alert-by-microsoft` where alerts were read.",
    ]
    for name, areas in content["parts"].items():
        inside = [d for d in listed if d["area"] in areas]
        counts = [
            (content["areas"][area], *(sum((d["area"], d["verdict"]) == (area, o) for d in inside) for o in OUTCOMES))
            for area in areas
        ]
        total = ("all", *(sum(d["verdict"] == outcome for d in inside) for outcome in OUTCOMES))
        parts.append(f"## {name}\n\n" + table(("area", *OUTCOMES), [*counts, total]))
    parts.append("\n".join(f"- *{outcome}*: {meaning}" for outcome, meaning in OUTCOMES.items()))
    for area, title in content["areas"].items():
        here = [d for d in listed if d["area"] == area]
        rows = ((d["id"], d["idea"], d["verdict"], code(d["policies"]), d.get("why", "-")) for d in here)
        parts += [
            f"## {title}",
            table(("id", "what it is about", "here", "policies", "what differs or is missing"), rows),
        ]
    return page(content["title"], *parts)


def pages() -> dict[str, str]:
    """File name -> content of every generated page."""
    actions = run_path(str(ROOT / "tools" / "actions_page.py"))
    return {
        "commands.md": commands(),
        "models.md": models(),
        "policies.md": policies(),
        "conditions.md": conditions(),
        "settings.md": settings(),
        "sources.md": sources(),
        "permissions-needed.md": permissions_needed(),
        "capabilities.md": capabilities(),
        "detections.md": detections(),
        "actions.md": page("Actions", *actions["parts"](load("policies/policies.toml")["policy"], table)),
    }


def stale(folder: Path = REFERENCE) -> list[str]:
    """Names of pages that are missing, differ from what the code says, or should not be there."""
    wanted = pages()
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` say which are stale; returns the exit code."""
    if arguments == ["--check"]:
        names = stale()
        print(f"stale in docs/reference: {', '.join(names)}; run `make docs`" if names else "docs/reference is fresh")
        return 1 if names else 0
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
