"""Tables of an app page about access: what was granted, what of it was used, what less would do, what data moved."""

from __future__ import annotations

from collections.abc import Sequence

from appgov_lib import formats
from appgov_lib.report.facts import Facts
from appgov_lib.tables import Column, Record, Table, table_of

USERS_NAMED = 50
GRANTS_SHOWN = 40
# Places outside Microsoft Graph where an administrator may have narrowed what a permission reaches.
LIMITERS = {
    "exchange_application_access": "an application access policy or role assignment in Exchange",
    "exchange_mailbox_permissions": "mailbox permissions in Exchange",
    "teams_application_access": "an application access policy in Teams",
}
ACTIONS = {"keep": "keep", "remove": "remove", "add": "add instead", "unknown": "not decided"}


def access_tables(facts: Facts, service_principal_id: str, app_id: str) -> dict[str, Table]:
    """Return the tables about access by name; an empty one keeps its caption and says what is not there."""
    held = facts.permissions.get(service_principal_id, [])
    return {
        "permissions": permissions_table(facts, held),
        "proposal": proposal_table(facts.details.least_privilege.get(service_principal_id, []), bool(held)),
        "moved": moved_table(facts, facts.details.moved.get(app_id, [])),
        "grants": grants_table(facts, facts.details.grants.get(service_principal_id, [])),
        "consents": consents_table(facts, service_principal_id),
    }


def permissions_table(facts: Facts, rows: Sequence[Record]) -> Table:
    """Return the permissions an app holds, strongest first, each with its verdict and its proof."""
    shown = [
        {
            "permission": r["permission"],
            "permission_type": r["permission_type"],
            "privilege_level": r["privilege_level"],
            "usage": r["usage"],
            "usage_reason": verdict_text(r),
            "consent": consent_text(r),
            "resource_name": r["resource_name"],
            "notes": permission_notes(r),
        }
        for r in rows
    ]
    apis = {r["resource_name"] for r in rows}
    if len(apis) == 1:
        shown = [{k: v for k, v in row.items() if k != "resource_name"} for row in shown]
    of = f" of {formats.plain(apis.pop() or 'an unknown API', 80)}" if len(apis) == 1 else ""
    whole = all(facts.source(s)["status"] == "complete" for s in ("delegated_grants", "app_role_assignments"))
    return table_of(
        shown,
        f"Permissions{of} held, strongest first",
        {"consent": "Consent", "permission_type": "Type", "notes": Column("Level and marks", "prose")},
        empty="This app holds no permission." if whole else "No permission is known: grants were not read in full.",
    )


def verdict_text(row: Record) -> str:
    """Say why a permission counts as used, unused or unknown, and which calls prove it."""
    said = str(row["usage_reason"] or formats.UNKNOWN)
    calls = row.get("proving_endpoints") or []
    said += f". Most called: {', '.join(calls)}" if calls else ""
    last = row["last_used_at"]
    return f"{said}. Last on {formats.day(last)}" if last and formats.day(last) not in said else said


def permission_notes(row: Record) -> str:
    """Say why a permission has its level, what may narrow it and what else stands out."""
    said = [str(row["level_reason"])] if row.get("level_reason") else []
    if row.get("is_redundant"):
        said.append(
            f"redundant: {row['redundant_reason'] or 'a smaller permission, also held, serves every call seen'}"
        )
    if row.get("may_be_limited_by"):
        place = LIMITERS.get(row["may_be_limited_by"], row["may_be_limited_by"])
        said.append(f"may be narrowed by {place}, which Graph does not show")
    if row.get("in_manifest") is False:
        said.append("not asked for in the registration")
    if row.get("microsoft_verdict_differs"):
        says = "in use" if row.get("microsoft_in_use") else "not in use"
        said.append(f"Microsoft says {says} in the last 90 days")
    if row.get("unmatched_calls") and row["usage"] != "used":
        said.append(f"{formats.count(row['unmatched_calls'], 'call')} of the app match no known endpoint")
    return ". ".join(s[:1].upper() + s[1:] for s in said)


def consent_text(row: Record) -> str:
    """Say who agreed to a permission and when; of delegated ones Graph keeps no date."""
    if row["consent_type"] not in {"user", "admin"}:
        return formats.UNKNOWN
    users = row["consent_type"] == "user"
    who = f"by {formats.count(row['consented_users'], 'user')}" if users else "by an administrator"
    return f"{who}, {formats.day(row['granted_at']) if row['granted_at'] else 'date unknown'}"


def window_lines(rows: Sequence[Record]) -> list[str]:
    """Say which days the verdicts rest on, once for each API."""
    found = {}
    for r in rows:
        name = formats.plain(r["resource_name"] or formats.UNKNOWN, 80)
        cover = {"complete": "all read", "partial": "read in part", "none": "none read"}
        known = cover.get(str(r.get("window_coverage")), "unknown how many were read")
        if r.get("window_from") is None:
            found[name, known] = f"{name}: {known}"
        else:
            found[name, known] = f"{name}: {formats.day(r['window_from'])} to {formats.day(r['window_to'])}, {known}"
    return [found[key] for key in sorted(found)]


def proposal_table(rows: Sequence[Record], holds_any: bool) -> Table:
    """Return the smallest set of Graph permissions that would have served the calls seen."""
    incomplete = any(not r["is_complete"] for r in rows)
    shown = [
        {
            "action": ACTIONS.get(r["action"], r["action"]),
            "permission": r["permission"],
            "permission_type": r["permission_type"],
            "privilege_level": r["privilege_level"],
            "calls_served": calls_served(r),
            "replaces": r["replaces"],
            "reason": r["reason"],
        }
        for r in rows
    ]
    if not any(r["replaces"] for r in rows):
        shown = [{k: v for k, v in row.items() if k != "replaces"} for row in shown]
    least = (
        "At least what the calls seen need; others may be missing"
        if incomplete
        else "The smallest set that serves all calls seen"
    )
    return table_of(
        shown,
        f"Microsoft Graph: {least[0].lower()}{least[1:]}",
        {
            "action": "Proposal",
            "permission_type": "Type",
            "calls_served": "Calls it allows",
            "replaces": Column("Instead of", "list"),
        },
        empty="No proposal: nothing of Microsoft Graph is held or was called."
        if holds_any
        else "No proposal: no permission is known.",
    )


def calls_served(row: Record) -> str:
    """Write the calls a permission allows; at least so many where calls may be missing, never a bare zero."""
    calls = row["calls_served"]
    if calls is None:
        return formats.UNKNOWN
    if not calls:
        return "none seen"
    return formats.number(calls) if row["is_complete"] else f"at least {formats.number(calls)}"


def moved_table(facts: Facts, rows: Sequence[Record]) -> Table:
    """Return calls and data of 30 days beside the 30 before, by service and resource type."""
    names = ("service", "resource_type", "calls", "calls_previous", "bytes_returned", "bytes_previous")
    shown = [{k: r[k] for k in names} | {"change": _moved_change(r)} for r in rows]
    days = min((r["days_now"] for r in rows), default=None)
    partly = days is not None and days < 30
    read = any(facts.source(s)["status"] == "complete" for s in ("api_activity", "api_activity_sums"))
    cover = f"{formats.number(days)} of 30 days read" if partly else "30 days"
    return table_of(
        shown,
        f"Data received from Microsoft Graph, {cover}, and the 30 days before",
        {
            "resource_type": "What",
            "calls": Column("Calls (at least)" if partly else "Calls", "number"),
            "calls_previous": Column("Calls, before", "number"),
            "bytes_returned": Column("Data received (at least)" if partly else "Data received", "bytes"),
            "bytes_previous": Column("Data, before", "bytes"),
            "change": "Change",
        },
        empty="No call to Microsoft Graph is in the log of these 60 days." if read else "Unknown: calls were not read.",
    )


def _moved_change(row: Record) -> str:
    """Say how the data of one line differs from the 30 days before, where both are whole."""
    if row["days_now"] < 30 or row["bytes_previous"] is None or row["bytes_returned"] is None:
        return formats.UNKNOWN
    said = formats.change(row["bytes_returned"], row["bytes_previous"], "bytes")
    unsized = row["bytes_unknown_calls"]
    return f"{said}; {formats.count(unsized, 'call')} without a size" if unsized else said


def grants_table(facts: Facts, rows: Sequence[Record]) -> Table:
    """Return the grants that deserve a look: who gave them, and which setting let them in."""
    shown = [
        {
            "permissions": r["permissions"],
            "permission_type": r["permission_type"],
            "privilege_level": r["privilege_level"],
            "acts_for": r["acts_for"],
            "consented": f"{formats.day(r['consented_at'])}, by {r['consented_by_name'] or formats.UNKNOWN}"
            if r["consented_at"] or r["consented_by_name"]
            else None,
            "let_in_by": let_in_text(r),
            "reason": r["reason"],
        }
        for r in rows
    ]
    whole = all(facts.source(s)["status"] == "complete" for s in ("delegated_grants", "app_role_assignments"))
    return table_of(
        shown,
        "Grants that deserve a look",
        {
            "permission_type": "Type",
            "acts_for": "Acts for",
            "let_in_by": Column("Let in by", "prose"),
        },
        GRANTS_SHOWN,
        "No grant of high or medium privilege." if whole else "Unknown: grants were not read in full.",
    )


def let_in_text(row: Record) -> str:
    """Say what let a grant in: a person's decision, or a setting with its value of today."""
    if row["let_in_by"] == "administrator":
        return "an administrator's decision, no setting"
    if row["let_in_by"] is None:
        return formats.UNKNOWN
    if row["setting"] is None:
        return str(row["let_in_by"]).replace("_", " ")
    value = formats.UNKNOWN if row["setting_value"] is None else row["setting_value"]
    again = {True: "it would get in again", False: "it would not get in again"}
    ends = again.get(row["still_open"], "unknown whether it would get in again")
    return f"{row['setting']}; now {value} ({row['setting_verdict']}): {ends}"


def consents_table(facts: Facts, service_principal_id: str) -> Table:
    """Return the users who consented by themselves."""
    rows = [
        {"user_name": r["user_name"], "enabled": r["account_enabled"], "scopes": r["scopes"]}
        for r in facts.consents.get(service_principal_id, [])
    ]
    whole = facts.source("delegated_grants")["status"] == "complete"
    return table_of(
        rows,
        "Users who consented by themselves",
        {"user_name": "User", "enabled": Column("Can sign in", "yes_no"), "scopes": Column("Permissions", "list")},
        USERS_NAMED,
        "No user consented by themselves." if whole else "Unknown: delegated grants were not read in full.",
    )
