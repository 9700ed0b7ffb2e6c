"""The dry run: every chosen action against the tenant as it is now. It reads, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from appgov_lib.actions.app_forms import about_another
from appgov_lib.actions.chosen import Part, Planned
from appgov_lib.actions.form import Form, State
from appgov_lib.actions.forms import differs, form_of
from appgov_lib.actions.live import Look, difference, look
from appgov_lib.actions.protected import Protection
from appgov_lib.actions.requests import Request
from appgov_lib.errors import ConfigError
from appgov_lib.extract.graph import GraphClient, GraphError

READY, ALREADY, REFUSED = "ready", "already done", "refused"


@dataclass(frozen=True)
class CheckedPart:
    """One request against the live state."""

    method: str
    path: str
    verdict: str
    reason: str
    reversible: bool
    diff: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """One action against the live state."""

    action_id: str
    title: str
    verdict: str
    """ready, already done or refused."""
    reason: str
    """Why it is refused."""
    reversible: bool
    requests: tuple[CheckedPart, ...] = field(default=())


async def check_all(reader: GraphClient, actions: Sequence[Planned], guard: Protection) -> list[Checked]:
    """Every action in turn."""
    apps: dict[str, Mapping[str, Any] | None] = {}
    return [await check(reader, action, guard, apps) for action in actions]


async def check(
    reader: GraphClient, action: Planned, guard: Protection, apps: dict[str, Mapping[str, Any] | None]
) -> Checked:
    """One action; `apps` remembers the service principals that were read."""
    if not action.parts:
        return Checked(action.action_id, action.title, REFUSED, "a person has to act: it has no request", True)
    app = await _app(reader, action.service_principal_id, apps)
    protected = guard.refusal(app, action.app_id, action.service_principal_id)
    if action.app_id.lower() in guard.microsoft_apps:
        protected = protected or "protected: Microsoft's own app"
    if not protected and app is not None and str(app.get("appId")).lower() != action.app_id.lower():
        protected = "the service principal belongs to another app than in the plan"
    if protected:
        return Checked(action.action_id, action.title, REFUSED, protected, True)
    parts = []
    for part in action.parts:
        form = form_of(part.request)
        seen = await look(reader, form)
        judgement = judged(form, part, seen, guard)
        foreign = await _foreign(reader, action, part, seen.state, apps)
        if judgement.verdict == ALREADY and not foreign:
            foreign = await _again(reader, part)
        parts.append(replace(judgement, verdict=REFUSED, reason=foreign) if foreign else judgement)
    refused = [part.reason for part in parts if part.verdict == REFUSED]
    open_parts = [part for part in parts if part.verdict == READY]
    return Checked(
        action.action_id,
        action.title,
        REFUSED if refused else READY if open_parts else ALREADY,
        refused[0] if refused else "",
        all(part.reversible for part in parts),
        tuple(parts),
    )


def judged(form: Form, part: Part, seen: Look, guard: Protection) -> CheckedPart:
    """One request against what was seen."""
    after = form.after(seen.state)
    verdict, reason = READY, ""
    shown = {name: value for name, value in (seen.state or {}).items() if name != "others"}
    # what was deleted has no live service principal to tell whose app it is
    gone = seen.raw if form.kind == "deletion" else None
    protected = guard.refusal(gone, part.request.path, part.request.body, shown)
    if protected:
        verdict, reason = REFUSED, protected
    elif seen.state == after:
        verdict = ALREADY
    elif differs(part.expected, seen.state) and part.expected != {}:
        verdict, reason = REFUSED, f"the live state is not the plan's: {_told(part.expected, seen.state)}"
    elif seen.state is None and not form.kind.startswith("new "):
        verdict, reason = REFUSED, "what it changes is not there"
    undone = verdict != READY or form.made is not None or form.undo(seen.raw) is not None
    return CheckedPart(
        part.request.method,
        part.request.path,
        verdict,
        reason,
        undone,
        tuple(difference(seen.state, after)) if verdict == READY else (),
    )


def _told(expected: Mapping[str, Any] | None, found: State) -> str:
    """The difference between plan and tenant on one line."""
    known = None if found is None or expected is None else {name: found.get(name) for name in expected}
    if found is not None and expected is None:
        known = found
    return "; ".join(difference(dict(expected) if expected is not None else None, known))


async def _again(reader: GraphClient, part: Part) -> str:
    """Why something that is gone by its id is not gone: it came back under another one. Empty when it did not."""
    base = part.request.path.rpartition("/")[0]
    if part.request.method != "DELETE" or not part.expected or part.request.path.endswith("/$ref"):
        return ""
    try:
        like = form_of(Request("POST", base, dict(part.expected)))
    except ConfigError:
        return ""  # not a thing that is made anew: it is deleted and restored
    if (await look(reader, like)).state is None:
        return ""
    return "it is there again under another id; build a new plan first"


async def _foreign(
    reader: GraphClient,
    action: Planned,
    part: Part,
    state: State,
    apps: dict[str, Mapping[str, Any] | None],
) -> str:
    """Why a request is about another app than its action says; empty when it is not.

    What is protected is judged by the action's app, so a request must not slip another one in.
    """
    if about_another(part.request, state, action.app_id, action.service_principal_id):
        return "the request is about another app than the action"
    holder = str((state or part.request.body or {}).get("clientId") or "")
    if "/roleAssignments" in part.request.path:
        holder = str((state or part.request.body or {}).get("principalId") or "")
    kind, key = next(iter(re.findall(r"^/v1\.0/(servicePrincipals|applications)/([^/]+)", part.request.path)), ("", ""))
    if kind == "servicePrincipals":
        holder = key
    if kind == "applications":
        found = await _app(reader, key, apps, kind)
        if found is not None and str(found.get("appId")).lower() != action.app_id.lower():
            return "the request is about another app than the action"
    if holder and holder.lower() != action.service_principal_id.lower():
        return "the request is about another app than the action"
    return ""


async def _app(
    reader: GraphClient,
    service_principal_id: str,
    apps: dict[str, Mapping[str, Any] | None],
    kind: str = "servicePrincipals",
) -> Mapping[str, Any] | None:
    """The live service principal of an action, or a registration; None where there is none of this id."""
    if service_principal_id not in apps and not re.fullmatch("[0-9a-fA-F-]{36}", service_principal_id):
        return None
    if service_principal_id not in apps:
        apps[service_principal_id] = None
        url = f"{reader.endpoint}/v1.0/{kind}/{service_principal_id}"
        names = "id,appId,displayName" + (",appOwnerOrganizationId" if kind == "servicePrincipals" else "")
        try:
            found, _ = await reader.send(
                dict[str, Any],
                "GET",
                f"{url}?$select={names}",
                name="actions",
                workload="directory",
            )
            apps[service_principal_id] = found
        except GraphError as error:
            if error.status not in (400, 404):
                raise
    return apps[service_principal_id]
