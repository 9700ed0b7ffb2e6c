"""Pages of apps that somebody asked for, without an open finding: read and written a few hundred at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from appgov_lib.errors import ConfigError
from appgov_lib.report.app import app_context
from appgov_lib.report.facts import Facts, for_apps
from appgov_lib.report.pages import Site, app_page_name
from appgov_lib.templating import render

TOGETHER = 400
"""Apps that are read at once: all the days of all of a large tenant's apps would not fit into memory."""


@dataclass(frozen=True)
class Asked:
    """Which apps get a page although nothing is wrong with them."""

    ids: tuple[str, ...] = ()
    """App ids or service principal ids."""
    every: bool = False
    """Every app of the tenant."""


NOTHING = Asked()


@dataclass(frozen=True)
class AppPages:
    """The pages to be written beside those of apps with an open finding."""

    names: dict[str, str] = field(default_factory=dict)
    """File name by service principal id."""

    @property
    def hrefs(self) -> dict[str, str]:
        """Where each is, seen from the page of all apps."""
        return {service_principal: f"apps/{name}" for service_principal, name in self.names.items()}

    def written(self, con: Any, facts: Facts, site: Site) -> Iterator[tuple[str, str]]:
        """Name and content of each page."""
        left: Sequence[str] = list(self.names)
        while left:
            now, left = left[:TOGETHER], left[TOGETHER:]
            part = for_apps(con, facts, now)
            for service_principal in now:
                name = self.names[service_principal]
                frame = {"here": f"apps/{name}", "up": "../", "site": site, "facts": part}
                yield name, render("app.html.j2", **frame, **app_context(part, service_principal))


def pages_asked(facts: Facts, asked: Asked) -> AppPages:
    """Return the pages to be written; raises `ConfigError` for an id that no app of the tenant has."""
    known = {str(app["app_id"] or "").lower(): app for app in facts.apps}
    known |= {app["service_principal_id"].lower(): app for app in facts.apps}
    for given in asked.ids:
        if given.lower() not in known:
            raise ConfigError(f"There is no app {given!r} in the warehouse; apps.csv of a report lists all, with ids.")
    chosen = facts.apps if asked.every else [known[given.lower()] for given in asked.ids]
    taken = {
        app_page_name(f["app_id"], f["service_principal_id"])
        for f in facts.findings
        if not facts.is_tenant(f) and f["service_principal_id"] not in facts.unpaged
    }
    names: dict[str, str] = {}
    for app in chosen:
        name = app_page_name(app["app_id"], app["service_principal_id"])
        if name not in taken:
            taken.add(name)
            names[app["service_principal_id"]] = name
    return AppPages(names)
