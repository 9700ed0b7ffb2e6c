"""What planning reads about registrations and credentials of apps, for the few findings that ask for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import duckdb

Row = Mapping[str, Any]
_OF_REGISTRATIONS = ("disable_sign_in", "remove_reply_urls", "trim_manifest", "delete_app")
"""Actions of policies that need to know the registration."""


def read_app_facts(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The fields of `Facts` that this module reads; the apps to plan for are in the table `apps_to_plan`."""
    listed = ", ".join(f"'{name}'" for name in _OF_REGISTRATIONS)
    registrations = con.execute(
        "SELECT application_id, sign_in_audience, is_disabled, web_reply_urls, spa_reply_urls, public_reply_urls, "
        "CAST(required_resource_access AS VARCHAR) FROM stg_applications WHERE app_id IN (SELECT app_id FROM findings "
        f"WHERE status = 'active' AND action IN ({listed})) ORDER BY application_id"
    ).fetchall()
    keys = con.execute(
        "SELECT service_principal_id, list(lower(key_id) ORDER BY key_id) FROM app_credentials "
        "WHERE key_id IS NOT NULL AND service_principal_id IN (SELECT service_principal_id FROM findings "
        "WHERE status = 'active' AND action = 'judge_risk') GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return {
        "registrations": {row[0]: _registration(row) for row in registrations},
        "live_keys": {key: frozenset(held) for key, held in keys},
    }


def _registration(row: tuple[Any, ...]) -> Row:
    """A registration as the plan needs it."""
    _, audience, disabled, web, spa, public, asked = row
    parsed = json.loads(asked) if asked else []
    return {
        "sign_in_audience": audience,
        "is_disabled": disabled,
        "reply_urls": {"web": web or [], "spa": spa or [], "publicClient": public or []},
        "asked": [each for each in parsed if isinstance(each, dict)] if isinstance(parsed, list) else [],
    }
