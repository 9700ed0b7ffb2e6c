"""The inbox rules of one mailbox as they are now, and a plan that removes chosen ones.

The logs tell that an app made rules and seldom which; whoever knows them by sight chooses here.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from typing import Any

from appgov_lib.actions.chosen import Part, Planned
from appgov_lib.actions.form import ID
from appgov_lib.actions.live import look
from appgov_lib.actions.people import remove_mail_rule, rules_of
from appgov_lib.errors import ConfigError, SignInError, UserError
from appgov_lib.extract.credentials import credential_for
from appgov_lib.extract.graph import GraphClient, GraphError
from appgov_lib.settings import Settings


def mail_rules(settings: Settings, user_id: str) -> list[dict[str, Any]]:
    """The rules in the order in which they run; nothing but GET is sent. Raises `ConfigError` for what is no id."""
    if not re.fullmatch(ID, user_id):
        raise ConfigError(f"{user_id[:80]!r} is no object id of a user; `appgov actions show` and the report tell ids.")

    async def work() -> list[dict[str, Any]]:
        """In one event loop."""
        async with GraphClient(settings.endpoint, credential_for(settings)) as reader:
            found: list[dict[str, Any]] = (await look(reader, rules_of(user_id))).raw
            return found

    try:
        found = asyncio.run(work())
    except GraphError as error:
        kind = SignInError if error.status == 403 else UserError
        raise kind(f"Reading the inbox rules failed: {error}. It needs MailboxSettings.Read.") from None
    return sorted(found, key=lambda rule: (rule.get("sequence") or 0, str(rule.get("id"))))


def removal(user_id: str, rules: Sequence[dict[str, Any]], chosen: Sequence[str]) -> Planned:
    """An action that removes the chosen rules. Raises `ConfigError` for an id that is none of them."""
    known = {str(rule.get("id")): rule for rule in rules}
    missing = [key for key in chosen if key not in known]
    if missing or not chosen:
        raise ConfigError(f"There is no rule {missing[0][:80]!r} in the mailbox." if missing else "Say which --rules.")
    changes = [remove_mail_rule(user_id, key, known[key]) for key in dict.fromkeys(chosen)]
    return Planned(
        action_id=hashlib.sha256(f"{user_id}|remove_mail_rules|{'|'.join(sorted(chosen))}".encode()).hexdigest()[:16],
        action_type="remove_mail_rules",
        title=f"Remove {len(changes)} inbox rules from the mailbox of {user_id}",
        app_id="",
        service_principal_id=user_id,
        disposition="needs_review",
        finding_ids=(),
        parts=tuple(Part(change.request, change.state) for change in changes),
    )
