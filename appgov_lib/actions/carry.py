"""The one place that changes a tenant: one request, written down before it leaves, and read back after.

Whatever is not as expected ends it. A request whose answer is missing is not guessed about: the tenant is asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from appgov_lib.actions.chosen import Part
from appgov_lib.actions.form import Form, State
from appgov_lib.actions.forms import differs, form_of
from appgov_lib.actions.journal import Journal, Step, as_record
from appgov_lib.actions.live import difference, look, settle
from appgov_lib.actions.requests import Request
from appgov_lib.extract.graph import GraphClient, GraphError

ATTEMPTS = 5
LONGEST_WAIT = 300.0
"""Seconds; a service that wants a longer pause ends the run, which can be resumed."""
IN_DOUBT = frozenset({0, 500, 502, 503, 504})
"""Statuses after which nobody knows whether the request was carried out."""


class Surprise(Exception):
    """Something is not as expected; the run stops here."""


@dataclass(frozen=True)
class Hands:
    """What a run works with: a client that reads, one that may change, and its journal."""

    reader: GraphClient
    writer: GraphClient
    journal: Journal
    irreversible: bool
    """Whether requests that nothing undoes are allowed."""


async def carry_out(hands: Hands, number: int, action_id: str, title: str, part: Part) -> str:
    """Send one request of an action; `done`, or `already done` when nothing had to be sent. Raises `Surprise`."""
    form = form_of(part.request)
    seen = await look(hands.reader, form)
    after = form.after(seen.state)
    if seen.state == after:
        hands.journal.write("already_done", step=number, action_id=action_id)
        return "already done"
    if (part.expected != {} and differs(part.expected, seen.state)) or (
        seen.state is None and not form.kind.startswith("new ")
    ):
        raise Surprise(f"before step {number} the live state was not the plan's")
    undo = form.undo(seen.raw)
    if undo is None and form.made is None and not hands.irreversible:
        raise Surprise(f"step {number} cannot be undone, and that was not allowed")
    request = form.complete(seen.raw, hands.reader.endpoint) if form.complete else part.request
    lines = {"action_id": action_id, "title": title, "request": as_record(request), "undo": as_record(undo)}
    await _send(hands, form, request, number, "", seen.state, {**lines, "before": seen.state, "after": after})
    return "done"


async def take_back(hands: Hands, step: Step) -> str:
    """Undo one step that was done; `undone`, or `already undone`. Raises `Surprise`."""
    undo = await undo_of(hands.reader, step)
    if undo is None:
        raise Surprise(f"step {step.number} cannot be undone: {step.title}")
    form = form_of(undo)
    seen, wanted = await look(hands.reader, form), undone_state(step, form)
    if seen.state in (step.before, wanted):
        hands.journal.write("undo_verified", step=step.number, sent=False)
        return "already undone"
    if seen.state != step.after:
        found = "; ".join(difference(step.after, seen.state))
        raise Surprise(f"step {step.number} was changed by somebody else since: {found}")
    request = form.complete(seen.raw, hands.reader.endpoint) if form.complete else undo
    lines = {"request": as_record(request), "after": wanted}
    await _send(hands, form, request, step.number, "undo_", seen.state, lines)
    return "undone"


async def undo_of(reader: GraphClient, step: Step) -> Request | None:
    """What undoes a step: as the journal has it, or with the id of what the step made; None: nothing does."""
    form = form_of(step.request)
    if step.undo is not None or form.made is None:
        return step.undo
    seen = await look(reader, form)
    # gone or another meanwhile: then the request itself says how it is, and there is nothing to take back
    return form.made(seen.raw) if seen.state == step.after else step.request


def undone_state(step: Step, form: Form) -> State:
    """The state that undoing leads to; `form` is that of the undo."""
    return form.after(step.after) if form.loose else step.before


async def clear_up(hands: Hands, step: Step) -> None:
    """Find out what became of a step whose answer is missing, and write it down. Raises `Surprise`."""
    if step.outcome == "undo unknown":
        back = await _is_back(hands, step)
        hands.journal.write("undo_verified" if back else "undo_not_done", step=step.number, found=True)
        step.outcome = "undone" if back else "done"
        return
    form = form_of(step.request)
    seen = await settle(
        hands.reader, form, lambda state: state == step.before or form.reached(step.before, state, step.after)
    )
    if form.reached(step.before, seen.state, step.after):
        hands.journal.write("verified", step=step.number, found=True)
        step.outcome = "done"
    elif seen.state == step.before:
        hands.journal.write("not_done", step=step.number, found=True)
        step.outcome = "not done"
    else:
        raise Surprise(f"nobody knows what became of step {step.number}: the state is neither of the two")


async def _is_back(hands: Hands, step: Step) -> bool:
    """Whether it is as before again, under whatever id."""
    form = form_of(step.undo or step.request)
    return (await look(hands.reader, form)).state in (step.before, undone_state(step, form))


async def _send(
    hands: Hands, form: Form, request: Request, number: int, prefix: str, before: State, lines: dict[str, Any]
) -> None:
    """Write down, send, read back; again where it is known that nothing happened. Raises `Surprise`."""
    journal, after = hands.journal, lines["after"]
    body = None if request.body is None else json.dumps(request.body, ensure_ascii=True).encode()
    for attempt in range(1, ATTEMPTS + 1):
        journal.write(f"{prefix}send", step=number, **lines)
        try:
            content = await hands.writer.once(
                request.method,
                f"{hands.writer.endpoint}{request.path}",
                name="changes",
                workload="changes",
                body=body,
            )
        except GraphError as error:
            if await _went_through(hands, form, number, prefix, error, before, after):
                return
            wait = error.retry_after if error.retry_after is not None else hands.writer.backoff(attempt)
            if wait > LONGEST_WAIT:
                raise Surprise(f"the service asks to wait {wait:.0f} seconds; resume the run later") from None
            if error.status == 401 and attempt > 1:
                raise Surprise("the token for changes was refused twice") from None
            await hands.writer.sleep(wait)
            continue
        journal.write(f"{prefix}answered", step=number, made=_id_in(content))
        found = await settle(hands.reader, form, lambda state: form.reached(before, state, after))
        if not form.reached(before, found.state, after):
            raise Surprise(f"step {number} was answered as done, and reading back shows that it is not")
        journal.write(f"{prefix}verified", step=number)
        return
    raise Surprise(f"step {number} was tried {ATTEMPTS} times in vain")


async def _went_through(
    hands: Hands, form: Form, number: int, prefix: str, error: GraphError, before: State, after: State
) -> bool:
    """Whether a request that ended in an error was carried out; False: it was not, and may be sent again."""
    journal = hands.journal
    if error.status in (401, 429):
        journal.write(f"{prefix}not_done", step=number, reason=str(error))
        return False
    journal.write(f"{prefix}in_doubt", step=number, reason=str(error))
    found = await settle(hands.reader, form, lambda state: form.reached(before, state, after))
    if form.reached(before, found.state, after):
        journal.write(f"{prefix}verified", step=number, found=True)
        return True
    if found.state != before:
        raise Surprise(f"step {number} ended with {error}, and the state is neither the one before nor the one wanted")
    if error.status in IN_DOUBT:
        journal.write(f"{prefix}not_done", step=number, reason=str(error))
        return False
    journal.write(f"{prefix}refused", step=number, reason=str(error))
    raise Surprise(f"step {number} was refused: {error}")


def _id_in(content: bytes) -> str | None:
    """The id of what an answer says was made."""
    try:
        found = json.loads(content or b"null")
    except ValueError:
        return None
    return str(found["id"]) if isinstance(found, dict) and "id" in found else None
