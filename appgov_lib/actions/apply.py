"""Carrying out chosen actions, going on with a run that was broken off, and undoing one.

A run begins with the dry run over all its actions: where one of them is refused nothing is changed at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from appgov_lib import __version__
from appgov_lib.actions import journal as journals
from appgov_lib.actions.carry import Hands, Surprise, carry_out, clear_up, take_back, undo_of, undone_state
from appgov_lib.actions.check import REFUSED, Checked, check_all
from appgov_lib.actions.chosen import Planned, from_record, plan_bytes
from appgov_lib.actions.forms import form_of
from appgov_lib.actions.journal import Clock, Journal, Told, as_record, runs_dir
from appgov_lib.actions.live import difference, look
from appgov_lib.actions.protected import Protection, protection
from appgov_lib.actions.write_profile import PREFIX, write_credential
from appgov_lib.errors import ConfigError, SignInError, UserError
from appgov_lib.extract.claims import read_claims
from appgov_lib.extract.credentials import credential_for
from appgov_lib.extract.graph import GraphClient, GraphError
from appgov_lib.settings import Settings

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What came of it."""

    run: str
    """Name of the run; empty for a dry run."""
    checked: tuple[Checked, ...]
    steps: tuple[dict[str, Any], ...] = ()
    """Each request with its outcome: done, already done, undone, already undone, not done, cannot be undone."""
    stopped: str = ""
    """Why it ended early; empty when it did not."""

    @property
    def whole(self) -> bool:
        """Whether everything chosen was, or in a dry run would be, carried out."""
        return not self.stopped and all(item.verdict != REFUSED for item in self.checked)


def dry_run(settings: Settings, actions: Sequence[Planned]) -> Result:
    """Compare chosen actions with the tenant; nothing but GET is sent."""

    async def work() -> Result:
        """In one event loop."""
        async with GraphClient(settings.endpoint, credential_for(settings)) as reader:
            return Result("", tuple(await check_all(reader, actions, await guarded(settings, reader))))

    return _run(work)


def apply(
    settings: Settings, actions: Sequence[Planned], *, clock: Clock, irreversible: bool = False, tell: Tell = print
) -> Result:
    """Carry out chosen actions in their order. Raises `ConfigError` before anything is changed.

    `irreversible` allows those that nothing undoes; `tell` gets a line for each request.
    """
    if not actions:
        raise ConfigError("No action was chosen.")

    async def work() -> Result:
        """In one event loop."""
        async with AsyncExitStack() as stack:
            reader, writer, app_id = await _clients(settings, stack)
            guard = await guarded(settings, reader, app_id)
            checked = tuple(await check_all(reader, actions, guard))
            if any(item.verdict == REFUSED for item in checked):
                return Result("", checked, stopped="an action was refused; nothing was changed")
            for_good = [item.title for item in checked if not item.reversible]
            if for_good and not irreversible:
                raise ConfigError(
                    f"{len(for_good)} of the actions cannot be undone, the first: {for_good[0]}. Nothing was changed; "
                    "leave them out, or allow them with --irreversible."
                )
            header: dict[str, Any] = {
                "version": __version__,
                "tenant": settings.tenant,
                "endpoint": settings.endpoint,
                "changes_by": app_id or "a ready token",
                "irreversible": irreversible,
                "plan_sha256": hashlib.sha256(plan_bytes(actions)).hexdigest(),
                "actions": [action.as_record() for action in actions],
            }
            run = _name(settings, clock, header["plan_sha256"])
            book = Journal.create(settings, run, header, clock)
            try:
                hands = Hands(reader, writer, book, irreversible)
                return await _go(hands, run, checked, actions, {}, tell)
            finally:
                book.close()

    return _run(work)


def resume(settings: Settings, run: str, *, clock: Clock, tell: Tell = print) -> Result:
    """Go on with a run that stopped or was broken off. Raises `ConfigError` where there is nothing to go on with."""
    book, told = Journal.reopen(settings, run, clock)

    async def work() -> Result:
        """In one event loop."""
        _same_endpoint(settings, told)
        if told.ended:
            raise ConfigError(f"Run {run} came to its end; there is nothing to resume.")
        if any(step.outcome in ("undone", "undo unknown") for step in told.steps):
            raise ConfigError(f"Run {run} is being undone; go on with `appgov actions undo`.")
        actions = [from_record(record) for record in told.header["actions"]]
        async with AsyncExitStack() as stack:
            reader, writer, app_id = await _clients(settings, stack)
            guard = await guarded(settings, reader, app_id)
            hands = Hands(reader, writer, book, bool(told.header["irreversible"]))
            book.write("resume")
            try:
                for step in (step for step in told.steps if step.outcome == "unknown"):
                    await clear_up(hands, step)
            except (Surprise, GraphError) as surprise:
                book.write("stop", reason=str(surprise))
                return Result(run, (), _steps(told), str(surprise))
            finished = {step.number: "done" for step in told.steps if step.outcome == "done"}
            finished |= {e["step"]: "already done" for e in told.events if e["event"] == "already_done"}
            left = {action.action_id: action for number, action in _numbered(actions) if number not in finished}
            checked = tuple(await check_all(reader, list(left.values()), guard))
            protected = [item.reason for item in checked if item.reason.startswith("protected")]
            if protected:
                return Result(run, checked, _steps(told), protected[0])
            return await _go(hands, run, checked, actions, finished, tell)

    try:
        return _run(work)
    finally:
        book.close()


def undo(settings: Settings, run: str, *, clock: Clock, confirm: bool = False, tell: Tell = print) -> Result:
    """Restore what a run changed, last change first. Without `confirm` it only says what it would send."""
    if not confirm:
        return _undo_dry(settings, run)
    book, told = Journal.reopen(settings, run, clock)

    async def work() -> Result:
        """In one event loop."""
        _same_endpoint(settings, told)
        done: list[dict[str, Any]] = []
        async with AsyncExitStack() as stack:
            reader, writer, _ = await _clients(settings, stack)
            hands = Hands(reader, writer, book, False)
            book.write("undo")
            try:
                for step in reversed(told.steps):
                    if step.outcome in ("unknown", "undo unknown"):
                        await clear_up(hands, step)
                    outcome = step.outcome
                    if outcome == "done":
                        final = step.undo is None and form_of(step.request).made is None
                        outcome = "cannot be undone" if final else await take_back(hands, step)
                    tell(f"step {step.number}: {outcome}: {step.title}")
                    done.append(_row(step.number, step.action_id, step.title, outcome, step.undo))
            except (Surprise, GraphError) as surprise:
                book.write("stop", reason=str(surprise))
                return Result(run, (), tuple(done), str(surprise))
            book.write("undo_end")
            left = sum(row["outcome"] == "cannot be undone" for row in done)
            return Result(run, (), tuple(done), f"{left} changes cannot be undone" if left else "")

    try:
        return _run(work)
    finally:
        book.close()


def _run(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run it in an event loop of its own; what the service refuses to show is told in a sentence."""
    try:
        return asyncio.run(work())
    except GraphError as error:
        kind = SignInError if error.status == 403 else UserError
        raise kind(f"Reading the state of the tenant failed: {error}.") from None


def _undo_dry(settings: Settings, run: str) -> Result:
    """What undoing would send, against the tenant as it is now."""
    told = journals.read(settings, run)
    _same_endpoint(settings, told)

    async def work() -> Result:
        """In one event loop."""
        rows = []
        async with GraphClient(settings.endpoint, credential_for(settings)) as reader:
            for step in reversed(told.steps):
                row = _row(step.number, step.action_id, step.title, step.outcome, step.undo)
                if step.outcome in ("done", "unknown", "undo unknown"):
                    back = await undo_of(reader, step)
                    if back is None:
                        row["outcome"] = "cannot be undone"
                    else:
                        form = form_of(back)
                        seen, wanted = await look(reader, form), undone_state(step, form)
                        ended = seen.state in (step.before, wanted)
                        row["outcome"] = "already undone" if ended else "would be undone"
                        row["diff"] = difference(seen.state, wanted)
                        if not ended and seen.state != step.after:
                            row["outcome"] = "changed by somebody else since"
                rows.append(row)
        bad = ("cannot be undone", "changed by somebody else since")
        return Result(run, (), tuple(rows), next((row["outcome"] for row in rows if row["outcome"] in bad), ""))

    return _run(work)


async def _go(
    hands: Hands,
    run: str,
    checked: tuple[Checked, ...],
    actions: Sequence[Planned],
    finished: Mapping[int, str],
    tell: Tell,
) -> Result:
    """Carry out what is not finished, in order; the journal says where it stopped."""
    rows: list[dict[str, Any]] = []
    numbers = iter(_numbered(actions))
    for action in actions:
        for part in action.parts:
            number = next(numbers)[0]
            try:
                outcome = finished.get(number) or await carry_out(hands, number, action.action_id, action.title, part)
            except (Surprise, GraphError) as surprise:
                hands.journal.write("stop", step=number, reason=str(surprise))
                rows.append(_row(number, action.action_id, action.title, "stopped", part.request))
                return Result(run, checked, tuple(rows), str(surprise))
            tell(f"step {number}: {outcome}: {action.title}")
            rows.append(_row(number, action.action_id, action.title, outcome, part.request))
    hands.journal.write("end")
    return Result(run, checked, tuple(rows))


def _numbered(actions: Sequence[Planned]) -> list[tuple[int, Planned]]:
    """The number of every request of a run, with its action."""
    parts = [action for action in actions for _ in action.parts]
    return list(enumerate(parts, start=1))


def _row(number: int, action_id: str, title: str, outcome: str, request: Any) -> dict[str, Any]:
    """One request in a result."""
    return {"step": number, "action_id": action_id, "title": title, "outcome": outcome, "request": as_record(request)}


def _steps(told: Told) -> tuple[dict[str, Any], ...]:
    """The steps of a journal in a result."""
    return tuple(_row(step.number, step.action_id, step.title, step.outcome, step.request) for step in told.steps)


async def _clients(settings: Settings, stack: AsyncExitStack) -> tuple[GraphClient, GraphClient, str]:
    """The client that reads, the one that may change, and whose app the latter is."""
    credential, app_id = write_credential(settings)
    reader = await stack.enter_async_context(GraphClient(settings.endpoint, credential_for(settings)))
    writer = await stack.enter_async_context(GraphClient(settings.endpoint, credential, may_change=True))
    return reader, writer, app_id


async def guarded(settings: Settings, reader: GraphClient, writer_app: str = "") -> Protection:
    """What is protected: the list, and the apps by which we read and write."""
    said = settings.profile.credential.client_id or os.environ.get("AZURE_CLIENT_ID", "")
    own = {said: "the app that reads", writer_app: "the app that changes"}
    own[os.environ.get(f"{PREFIX}CLIENT_ID", "")] = "the app that changes"
    token = await reader.credential.get_token(f"{settings.endpoint}/.default")
    claims = read_claims(token.token)
    if claims is not None:
        own[claims.app_id] = "the app that reads"
    return protection(settings, own)


def _same_endpoint(settings: Settings, told: Told) -> None:
    """A run belongs to one tenant and cloud."""
    if told.header["endpoint"] != settings.endpoint:
        raise ConfigError(f"The run changed {told.header['endpoint']}, and this is {settings.endpoint}.")


def _name(settings: Settings, clock: Clock, sha256: str) -> str:
    """The name of a new run: when, and of which plan."""
    name = f"{clock():%Y%m%dT%H%M%SZ}-{sha256[:8]}"
    taken = {path.name for path in runs_dir(settings).iterdir()} if runs_dir(settings).is_dir() else set()
    number = 2
    while name in taken:
        name, number = f"{name[:25]}-{number}", number + 1
    return name
