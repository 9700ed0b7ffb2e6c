"""Who a token stands for: told on the machine that has the warehouse and the key, and nowhere else."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from appgov_lib.errors import ConfigError
from appgov_lib.privacy.people import People
from appgov_lib.privacy.tokens import KINDS, tokens_of
from appgov_lib.privacy.view import make_copy
from appgov_lib.settings import Settings, private_dir

_TOKEN = re.compile(rf"(?:{'|'.join(KINDS)})-[0-9a-f]{{12}}|[0-9a-f]{{16}}")


@dataclass(frozen=True)
class Meaning:
    """What a token stands for."""

    token: str
    kind: str
    """`user`, `name`, `address`, `grant` or `finding`."""
    values: tuple[str, ...]
    """Everything the warehouse calls it: ids, principal names, display names."""


def meaning_of(settings: Settings, token: str) -> Meaning:
    """Look a token up in the current warehouse.

    Nothing is kept that says who is who, so all tokens are made anew. Raises `ConfigError` for a text that is no token,
    without a key, and for a token of nobody in this warehouse.
    """
    wanted = token.strip().lower()
    if not _TOKEN.fullmatch(wanted):
        raise ConfigError(f"{token!r} is no token; one looks like user-7f3a9c21b4d0.")
    tokens_of(settings, make=False)
    # whoever is only named somewhere in a text is found by hiding everybody, as for a report
    with tempfile.TemporaryDirectory(prefix=".reading-", dir=private_dir(settings.data_dir)) as place:
        shown = replace(settings, profile=replace(settings.profile, pseudonymise=True, min_users_shown=0))
        people = make_copy(shown, Path(place))
    if people is not None:
        for real, hidden in people.other.items():
            if hidden == wanted:
                return Meaning(wanted, "grant" if wanted.startswith("grant-") else "finding", (real,))
        for name in {*people.ids, *people.mails, *people.names}:
            people.token(name)
        if wanted in people.tokens.made:
            value = people.tokens.made[wanted]
            return Meaning(wanted, wanted.split("-")[0], _all_of(people, value))
    raise ConfigError(
        f"{wanted} stands for nobody in the current warehouse: it may be of another tenant, made with another key, "
        "or of somebody whose records are gone."
    )


def _all_of(people: People, value: str) -> tuple[str, ...]:
    """A value and all else its owner is called."""
    mails = sorted(mail for mail, owner in people.mails.items() if owner == value)
    names = sorted(name for name, owners in people.names.items() if value in owners)
    owners = sorted(people.names.get(value, ()))
    return (value, *mails, *names, *owners)
