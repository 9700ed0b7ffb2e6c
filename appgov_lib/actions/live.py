"""The tenant as it is at this moment: what a request would change, read through a client that only reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from appgov_lib.actions.form import Form, State
from appgov_lib.extract.graph import GraphClient, GraphError
from appgov_lib.settings import is_loopback

WAITS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each look at a change just made: a replica may lag behind."""
LOOPBACK_WAITS = (0.0, 0.05, 0.1)


@dataclass(frozen=True)
class Look:
    """One look at what a request changes."""

    raw: Any
    state: State


async def look(client: GraphClient, form: Form) -> Look:
    """Read what a request changes; an object that is not there is a state too. Raises `GraphError` otherwise."""
    if form.many:
        url = f"{client.endpoint}{form.read}"
        rows: list[Any] = []
        async for _, page, _ in client.pages(url, name="actions", workload="directory"):
            rows += [json.loads(bytes(row)) for row in page.value]
        return Look(rows, form.look(rows))
    for path in (form.read, *form.elsewhere):
        url = f"{client.endpoint}{path}"
        try:
            raw, _ = await client.send(dict[str, Any], "GET", url, name="actions", workload="directory")
        except GraphError as error:
            if error.status != 404:
                raise
            continue
        return Look(raw, form.look(raw))
    return Look(None, form.look(None))


async def settle(client: GraphClient, form: Form, wanted: Callable[[State], bool]) -> Look:
    """Look until the state is one that is wanted, or the patience ends; returns the last look."""
    waits = LOOPBACK_WAITS if is_loopback(client.endpoint) else WAITS
    found = Look(None, None)
    for wait in waits:
        if wait:
            await client.sleep(wait)
        found = await look(client, form)
        if wanted(found.state):
            break
    return found


def difference(before: State, after: State) -> list[str]:
    """The change as lines, `-` what is and `+` what will be; only what differs."""
    old, new = _lines(before), _lines(after)
    return [f"- {line}" for line in old if line not in new] + [f"+ {line}" for line in new if line not in old]


def _lines(state: State) -> list[str]:
    """A state as lines `name: value`."""
    if state is None:
        return ["(not there)"]
    listed: list[str] = []

    def walk(name: str, value: Any) -> None:
        """One value, parts of an object with their path."""
        if isinstance(value, dict) and value:
            for part, inner in value.items():
                walk(f"{name}.{part}" if name else part, inner)
        else:
            listed.append(f"{name}: {json.dumps(value, ensure_ascii=True)}")

    walk("", state)
    return listed


Tell = Callable[[str], None]
