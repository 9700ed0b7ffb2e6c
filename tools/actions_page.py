"""The page of actions: what each changes, which findings ask for it, how far it is taken back, which test shows that.

`tools/actions.csv` has one line an action; everything that the code knows is filled in from there.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("actions.csv")
HOW = {
    "planned": "findings ask for it, and so it stands in the plan",
    "on request": "no finding asks for it; `appgov actions request` writes the plan",
    "plan file": "a person writes it into a plan file; `appgov actions apply --plan` understands it",
    "undo": "it is what taking back another action sends",
    "no": "appgov does not send it; the last column says why",
}
ALSO_ON_REQUEST = "planned, or on request"


def lines() -> list[dict[str, str]]:
    """The lines of the file."""
    with FILE.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


HEADER = (
    "id",
    "what it does",
    "request",
    "how it comes",
    "kind",
    "policies that ask for it",
    "taken back",
    "test",
    "note",
)
INTRO = (
    "Every action that is known to help against an app, or the settings that let one in: whether appgov plans it, from "
    "which findings, what state taking it back leads to, and which test tries it there and back against a server on "
    "this machine. *As before* is byte for byte; *under a new id* is the same object but for its id and the time at "
    "which it was made, for which Graph has no way. How to carry actions out: "
    "[apply actions](../how-to/apply-actions.md)."
)


def rows(listed: Iterable[dict[str, str]], policies: Iterable[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The rows of the table; `policies` are the entries of policies.toml."""
    from appgov_lib.actions.on_request import ON_REQUEST

    asking: dict[str, list[str]] = {}
    for policy in policies:
        asking.setdefault(str(policy.get("action", "review")), []).append(policy["id"])
    result: list[tuple[str, ...]] = []
    for line in listed:
        ids = sorted({each for name in line["asked_by"].split() for each in asking.get(name, ())})
        both = line["how"] == "planned" and set(line["kinds"].split()) & ON_REQUEST.keys()
        file, _, test = line["test"].partition(" ")
        result.append(
            (
                line["id"],
                line["what"],
                f"`{line['request']}`",
                ALSO_ON_REQUEST if both else line["how"],
                ", ".join(f"`{kind}`" for kind in line["kinds"].split()) or "-",
                ", ".join(f"`{policy}`" for policy in ids) or "-",
                line["back"],
                f"`{file}`: {test}" if file else "-",
                line["note"] or "-",
            )
        )
    return result


def parts(policies: Iterable[dict[str, Any]], table: Callable[..., str]) -> list[str]:
    """What the page consists of; `table` makes a table of Markdown."""
    legend = "\n".join(f"- *{how}*: {meaning}" for how, meaning in HOW.items())
    return [INTRO, legend, table(HEADER, rows(lines(), policies))]
