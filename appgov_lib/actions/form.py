"""What a kind of request is made of: where its state is read, how it looks after, what undoes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from appgov_lib.actions.requests import Request

State = dict[str, Any] | None
"""What a request changes, as it is; None: there is no such object."""
ID, KEY = "([0-9a-fA-F-]{36})", r"(?!\.{1,2}$)([A-Za-z0-9_.~%!-]+)"
MADE = "{made}"
"""Stands in the undo of a plan for the id of what will be made, which nobody knows before."""


@dataclass(frozen=True)
class Form:
    """One request, understood."""

    kind: str
    request: Request
    read: str
    """What to GET, relative to the endpoint."""
    look: Callable[[Any], State]
    """From what was read (None: not found; a list where `many`) to the state."""
    after: Callable[[State], State]
    """The state this request leads to."""
    undo: Callable[[Any], Request | None]
    """What restores the state, from what was read before; None: nothing does."""
    many: bool = False
    complete: Callable[[Any, str], Request] | None = None
    """The request with what only the live tenant knows, from what was read and the endpoint."""
    elsewhere: tuple[str, ...] = ()
    """Where else to look, one after the other, when there is nothing at `read`."""
    made: Callable[[Any], Request] | None = None
    """What undoes it where only what was made tells that, by its id: from what was read afterwards."""
    loose: bool = False
    """Whether undoing leads to the state its own request says, and not to the one before."""
    came: Callable[[State, State], bool] | None = None
    """Whether a state (second) is what this request leads to from another (first), where no value can be foretold."""

    def reached(self, before: State, found: State, after: State) -> bool:
        """Whether the state found is the one wanted."""
        return self.came(before, found) if self.came else found == after


@dataclass(frozen=True)
class Member:
    """A kind of object that is removed by its id and made again under a new one."""

    kind: str
    names: tuple[str, ...]
    """What it is made of."""
    same: tuple[str, ...]
    """What tells it from its neighbours."""

    def state(self, raw: Any) -> State:
        """What it is made of, whatever its id."""
        if raw is None:
            return None
        found = {name: raw.get(name) for name in self.names}
        if "scope" in found:
            found["scope"] = " ".join(sorted(set(str(found["scope"] or "").split())))
        return found

    def removal(self, request: Request, path: str, back: str) -> Form:
        """Its removal; `back` is where it is made again."""

        def undo(raw: Any) -> Request | None:
            """Make it again as it was."""
            return Request("POST", back, {name: raw[name] for name in self.names if raw.get(name) is not None})

        return Form(self.kind, request, path, self.state, lambda _: None, undo)

    def making(self, request: Request, path: str, listed: str) -> Form:
        """Making it again; `listed` is where one like it would be found."""
        body = request.body or {}
        wanted = {name: body.get(name) for name in self.names}

        def look(raw: Any) -> State:
            """The one like it, if there is one."""
            found = like(raw)
            return self.state(found) if found else None

        def like(raw: Any) -> Any:
            """The first object that is the same."""
            found = [row for row in raw or () if all(row.get(name) == wanted[name] for name in self.same)]
            return found[0] if found else None

        return Form(
            f"new {self.kind}",
            request,
            listed,
            look,
            lambda _: self.state(wanted),
            lambda _: None,
            many=True,
            made=lambda raw: Request("DELETE", f"{path}/{quote(str(like(raw)['id']), safe='')}"),
        )


def guid(text: Any) -> str:
    """An object id; KeyError for anything else, so that nothing else gets into a filter."""
    if not re.fullmatch(ID, str(text)):
        raise KeyError("not an id")
    return str(text)
