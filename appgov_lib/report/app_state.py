"""Tables of an app page about its state: owners, hygiene, risk score, changes, Microsoft's own view."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from appgov_lib import changes, formats
from appgov_lib.report.facts import Facts
from appgov_lib.report.overview import not_read
from appgov_lib.tables import Column, Record, Table, table_of

CHANGES_SHOWN = 40
ENTRA = "https://entra.microsoft.com/#view"
DEFENDER = "https://security.microsoft.com"
_PORTAL_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def state_tables(facts: Facts, service_principal_id: str, app: Record) -> dict[str, Table]:
    """Return the tables about an app's state by name."""
    return {
        "owners": owners_table(facts.owners.get(service_principal_id, []), app),
        "credentials": credentials_table(facts.credentials.get(service_principal_id, [])),
        "hygiene": hygiene_table(facts.details.hygiene.get(service_principal_id, [])),
        "changes": changes_table(facts, service_principal_id),
        "score": score_table(facts.details.risk_parts.get(service_principal_id, []), app),
    }


def portal_links(app_id: str, service_principal_id: str, app: Record) -> list[dict[str, str]]:
    """Return the app's pages in Microsoft Entra; none where an id is not of the form ids have."""
    if not (_GUID.fullmatch(str(app_id)) and _GUID.fullmatch(str(service_principal_id))):
        return []
    page = f"{ENTRA}/Microsoft_AAD_IAM/ManagedAppMenuBlade/~/Overview/objectId/{service_principal_id}/appId/{app_id}"
    links = [{"text": "Enterprise application in Microsoft Entra", "href": page}]
    if app.get("application_id"):
        own = f"{ENTRA}/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/Overview/appId/{app_id}"
        links.append({"text": "App registration in Microsoft Entra", "href": own})
    return links


def owners_table(rows: Sequence[Record], app: Record) -> Table:
    """Return who answers for an app; disabled and guest accounts are marked."""
    shown = [
        {
            "owner_name": r["owner_name"] or r["owner_id"],
            "owner_type": str(r["owner_type"]).replace("_", " "),
            "marks": owner_marks(r),
            "owned_object": str(r["owned_object"]).replace("_", " "),
        }
        for r in rows
    ]
    return table_of(
        shown,
        "Owners",
        {"owner_type": "Kind", "marks": "Marks", "owned_object": "Owns the"},
        empty="Nobody owns this app." if app.get("owner_count") == 0 else "No owner is known.",
    )


def owner_marks(row: Record) -> str:
    """Say what stands out about an owner's account."""
    said = []
    if row["owner_enabled"] is not True:
        said.append("disabled" if row["owner_enabled"] is False else "unknown whether enabled")
    if row["owner_is_guest"] is True:
        said.append("guest")
    return ", ".join(said) or "none"


def credentials_table(rows: Sequence[Record]) -> Table:
    """Return an app's credentials with their last use, where a report tells it."""
    names = ("key_id", "name", "credential_type", "ends_at", "days_to_expiry", "lifetime_days")
    shown = [{k: r[k] for k in names} | {"last_used": _last_used(r)} for r in rows]
    return table_of(
        shown,
        "Credentials",
        {"name": "Name", "credential_type": "Kind", "last_used": Column("Last used")},
        empty="No credential is known for this app.",
    )


def _last_used(row: Record) -> str | None:
    """Write a credential's last use; never seen and not known are two things."""
    if row["last_used_at"]:
        return formats.day(row["last_used_at"])
    return "never seen" if row["last_used_known"] else None


def hygiene_table(rows: Sequence[Record]) -> Table:
    """Return the checks that found something or could not be made; those that found nothing are counted."""
    shown = [
        {
            "check": r["title"] or str(r["check_id"]).replace("_", " "),
            "verdict": r["verdict"],
            "detail": _hygiene_detail(r),
            "why": r["why"],
        }
        for r in rows
        if r["verdict"] != "no"
    ]
    clean = sum(r["verdict"] == "no" for r in rows)
    made = formats.count(clean, "check")
    empty = (
        f"{made} looked and found nothing; none is unknown."
        if rows
        else "No check applies to this app, or none could be made."
    )
    return table_of(
        shown,
        f"Checks that found something or are unknown; {made} found nothing" if shown else "Checks",
        {
            "check": "Check",
            "verdict": "Found",
            "detail": Column("What", "prose"),
            "why": Column("Why it matters", "prose"),
        },
        empty=empty,
    )


def _hygiene_detail(row: Record) -> str:
    """Say what a check found, or why it could not tell."""
    if row["verdict"] == "unknown":
        return str(row["reason"] or formats.UNKNOWN)
    said = ", ".join(str(row[k]) for k in ("subject", "detail") if row[k])
    more = (row["hits"] or 1) - 1
    return f"{said or 'the app itself'}{f' (and {formats.number(more)} more)' if more > 0 else ''}"


def changes_table(facts: Facts, service_principal_id: str) -> Table:
    """Return what came, went or became another, the newest first."""
    shown = [
        {
            "changed_at": r["changed_at"],
            "what": changes.what(r),
            "subject": r["subject"],
            "how": changes.how(r),
            "actor_name": r["actor_name"],
            "reason": r["reason"],
        }
        for r in facts.changes.get(service_principal_id, [])
    ]
    audited = not_read(facts.source("directory_audits"))
    return table_of(
        shown,
        "Changes in the last 90 days",
        {
            "changed_at": Column("Time", "moment"),
            "what": "What",
            "subject": "Which",
            "how": "How",
            "actor_name": "By",
            "reason": Column("How it is known", "prose"),
        },
        CHANGES_SHOWN,
        f"Unknown: the audit log was {audited}, and no two readings differ."
        if audited
        else "No change to this app was seen in the last 90 days.",
    )


def score_table(rows: Sequence[Record], app: Record) -> Table:
    """Return the parts of the risk score, what could not be judged among them."""
    shown = [
        {
            "part": str(r["part_id"]).replace("_", " "),
            "dimension": r["dimension"],
            "points": formats.number(r["points"]) if r["known"] else f"unknown, 0 to {formats.number(r['max_points'])}",
            "why": r["why"],
        }
        for r in rows
    ]
    return table_of(
        shown,
        f"Parts of the risk score, {formats.number(app.get('risk_score'))} of 100",
        {"part": "Part", "dimension": "Kind", "points": "Points", "why": Column("Why", "prose")},
        empty="No part of the score applies.",
    )


def microsoft_view(facts: Facts, app_id: str) -> dict[str, Any]:
    """Return what Microsoft says of the app: facts of app governance, and alerts; or why they were not read."""
    row = facts.details.microsoft.get(app_id)
    missing = not_read(facts.source("oauth_app_info"))
    if row is None:
        said = f"Unknown: app governance was {missing}." if missing else "App governance lists no such app."
    else:
        said = ""
    return {"said": said, "pairs": _microsoft_pairs(row) if row else [], "alerts": alerts_table(facts, app_id)}


def _microsoft_pairs(row: Record) -> list[tuple[str, str]]:
    """Return app governance's facts as names and values."""
    users = formats.count(row["consented_users"], "user")
    said = row["permissions"]
    rights = json.loads(said) if isinstance(said, str) else said or []
    idle = sum(r.get("in_use") is False for r in rights)
    return [
        ("Risk score", f"{formats.number(row['risk_score'])} of 100"),
        ("Status", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(row["app_status"] or formats.UNKNOWN)).capitalize()),
        ("Privilege", str(row["privilege_level"] or formats.UNKNOWN).lower()),
        ("Permissions", f"{formats.number(len(rights))}, {formats.number(idle)} of them said not to be in use"),
        ("Consented", "by an administrator, for everybody" if row["is_admin_consented"] else f"by {users}"),
        ("Verified publisher", formats.plain(row["verified_publisher_name"] or "none named", 120)),
        ("Last used", formats.day(row["last_used_at"])),
        ("Said on", formats.day(row["observed_at"])),
    ]


def alerts_table(facts: Facts, app_id: str) -> Table:
    """Return what Microsoft raised about the app, open things first, with links into its portal."""
    rows = facts.details.alerts.get(app_id, [])
    shown = [
        {
            "title": r["title"],
            "record_kind": r["record_kind"],
            "severity": "info" if r["severity"] == "informational" else r["severity"],
            "status": r["status"],
            "is_open": r["is_open"],
            "first_at": r["first_at"],
            "service_source": r["service_source"],
            "incident": incident_text(r),
        }
        for r in rows
    ]
    alerts, incidents = iter([alert_link(r) for r in rows]), iter([incident_link(r) for r in rows])
    missing = not_read(facts.source("security_alerts"))
    return table_of(
        shown,
        "What Microsoft raised about this app",
        {
            "title": "Alert",
            "record_kind": "Kind",
            "status": "Status",
            "is_open": Column("Open", "yes_no"),
            "first_at": Column("Raised", "date"),
            "service_source": "By",
            "incident": "Incident",
        },
        empty=f"Unknown: alerts were {missing}." if missing else "No alert that was read names this app.",
        links={"title": lambda _: next(alerts), "incident": lambda _: next(incidents)},
    )


def alert_link(row: Record) -> str:
    """Return the portal's page of an alert, made from its id; none where the id is not of the form ids have."""
    known = row["record_kind"] == "alert" and _PORTAL_ID.fullmatch(str(row["alert_id"]))
    return f"{DEFENDER}/alerts/{row['alert_id']}" if known else ""


def incident_link(row: Record) -> str:
    """Return the portal's page of an incident, made from its number."""
    return f"{DEFENDER}/incidents/{row['incident_id']}" if str(row["incident_id"]).isdecimal() else ""


def incident_text(row: Record) -> str | None:
    """Name the incident of an alert by number and status."""
    if not row["incident_id"]:
        return None
    return f"{row['incident_id']} ({row['incident_status'] or 'status not read'})"
