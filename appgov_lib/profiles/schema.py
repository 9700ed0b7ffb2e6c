"""What may stand in `appgov.toml`: each key with its form, its note for the reference, and how its value is checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

SEVERITIES = ("critical", "high", "medium", "low", "info")
CLOUD_NAMES = ("global", "usgov-l4", "usgov-l5", "china")
WAYS = ("default", "secret", "certificate", "managed-identity", "federation", "device-code")
KINDS = ("smtp", "graph", "teams", "webhook", "folder")
STAGES = ("extract", "build", "report")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Key:
    """One key of a table."""

    name: str
    form: str
    """`text`, `number`, `flag`, `texts`, `table` or `tables`."""
    note: str
    """For the reference: what it does."""
    default: str = ""
    """For the reference: what holds where it is absent."""
    allowed: tuple[str, ...] = ()
    least: int | None = None
    check: Callable[[Any], str] | None = None
    """Returns what is wrong with a value of the right form, or nothing."""

    def wrong(self, value: Any) -> str:
        """What is wrong with `value`, and what to write instead; empty when it is right."""
        said = f"{self.name} is {value!r}"
        if self.form == "number":
            if not isinstance(value, int) or isinstance(value, bool):
                return f"{said}; write a whole number without quotes"
            if self.least is not None and value < self.least:
                return f"{said}; the least is {self.least}"
        elif self.form == "flag":
            if not isinstance(value, bool):
                return f"{said}; write true or false"
        elif self.form == "texts":
            if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
                return f'{said}; write a list of texts, e.g. ["a", "b"]'
        elif self.form == "table":
            if not isinstance(value, dict):
                return f"{said}; write a table"
        elif self.form == "tables":
            if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                return f"{said}; write each entry under a heading of its own in double brackets"
        elif not isinstance(value, str) or not value.strip():
            return f"{said}; write a text in quotes"
        if self.allowed and value not in self.allowed:
            return f"{said}; it takes {', '.join(self.allowed[:-1])} or {self.allowed[-1]}"
        return self.check(value) if self.check else ""


def address(value: str) -> str:
    """What is wrong with a web address: https, or http to this machine."""
    parts = urlsplit(value)
    if parts.scheme == "https" and parts.hostname:
        return ""
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return ""
    return f"{value!r} is not an https address"


def _link(value: str) -> str:
    """What is wrong with the address readers open reports at."""
    return "" if urlsplit(value).scheme in ("https", "http", "file") else f"link is {value!r}; write a web address"


def _mail(value: Any) -> str:
    """What is wrong with one mail address or a list of them."""
    for item in [value] if isinstance(value, str) else value:
        if item.count("@") != 1 or any(ord(char) < 33 or ord(char) > 126 or char in '<>,;"()[]\\:' for char in item):
            return f"{item!r} is not a mail address; write the bare address, e.g. soc@contoso.com"
    return ""


def _variable(value: str) -> str:
    """What is wrong with the name of an environment variable."""
    if value.isascii() and value.replace("_", "a").isalnum() and not value[0].isdigit():
        return ""
    return f"{value[:8]!r}... is not the name of an environment variable; secrets do not belong into this file"


CREDENTIAL = (
    Key("tenant_id", "text", "Directory (tenant) id or domain to sign in to."),
    Key("client_id", "text", "Application (client) id of the app registration."),
    Key("client_secret_env", "text", "Name of the variable that holds the client secret.", check=_variable),
    Key("certificate_path", "text", "File with certificate and private key, PEM or PKCS#12."),
    Key("certificate_password_env", "text", "Name of the variable that holds the key's password.", check=_variable),
    Key("federated_token_file", "text", "File with the token of another issuer."),
    Key(
        "access_token_env",
        "text",
        "Name of the variable with a ready token; for a loopback server alone.",
        check=_variable,
    ),
)
TENANT = (
    Key("cloud", "text", "Microsoft's cloud.", "`global`", CLOUD_NAMES),
    Key("endpoint", "text", "Graph address instead of a cloud: a proxy, or a loopback server.", check=address),
    Key("sign_in", "text", "How to sign in.", "by what is named below, else `default`", WAYS),
    *CREDENTIAL,
    Key(
        "retention_days",
        "number",
        "Days of raw rows that stay; older ones are pruned after the report.",
        "all stay",
        least=35,
    ),
    Key("report_retention_days", "number", "Days of reports that stay.", "all stay", least=14),
    Key("policies", "text", "Folder of policies of your own, seen from `appgov.toml`.", "`policies`"),
    Key("exceptions", "text", "File of exceptions, seen from `appgov.toml`.", "`exceptions.toml` in that folder"),
    Key("notebooks", "text", "Folder with a `suite.toml` and notebooks instead of those shipped."),
    Key("thresholds", "table", "A table for each policy id with its thresholds for this tenant."),
    Key("pseudonymise", "flag", "Reports and deliveries show tokens in place of people.", "`false`"),
    Key(
        "min_users_shown",
        "number",
        "Reports show a smaller number of users as `fewer than` this; `0` and `1` show all.",
        "`0`",
        least=0,
    ),
    Key("fail_on", "text", "End with 1 when an open finding is at least this severe.", "never", SEVERITIES),
    Key(
        "min_free_mb",
        "number",
        "Megabytes to be left free on the disk, beside what a run is expected to need.",
        "`500`",
        least=1,
    ),
    Key(
        "late_after_days",
        "number",
        "Days after the end of a week from which a missing run is called late.",
        "`2`",
        least=1,
    ),
    Key("budget_minutes", "table", "Minutes each stage may take: `extract`, `build`, `report`.", "`360`, `120`, `120`"),
    Key("deliver", "tables", "Where the result goes; several are allowed."),
)
CHANNEL = (
    Key("kind", "text", "How it is delivered.", allowed=KINDS),
    Key("name", "text", "What log and summary call it.", "kind and number"),
    Key(
        "when",
        "text",
        "After every run, or only when findings changed since the last delivery.",
        "`always`",
        ("always", "change"),
    ),
    Key("on_failure", "flag", "Also tell when a run fails.", "`true`"),
    Key("attach", "flag", "mail, folder: with the report as one file.", "`false`"),
    Key("link", "text", "Address at which readers open the reports folder of this tenant.", "no link", check=_link),
    Key("to", "texts", "mail: who receives it.", check=_mail),
    Key("from", "text", "mail: who sends it; for graph the mailbox.", check=_mail),
    Key("host", "text", "smtp: the server."),
    Key("port", "number", "smtp: its port.", "`587`, for tls `465`", least=1),
    Key(
        "security",
        "text",
        "smtp: how the connection is secured; `none` only to this machine.",
        "`starttls`",
        ("starttls", "tls", "none"),
    ),
    Key("user", "text", "smtp: who signs in.", "no sign-in"),
    Key("password_env", "text", "smtp: name of the variable that holds the password.", check=_variable),
    Key(
        "url_env",
        "text",
        "teams, webhook: name of the variable that holds the address, which is a secret.",
        check=_variable,
    ),
    Key("path", "text", "folder: where to, seen from `appgov.toml`."),
    *CREDENTIAL[:-1],
)
NEEDED = {
    "smtp": ("host", "to", "from"),
    "graph": ("to", "from"),
    "teams": ("url_env",),
    "webhook": ("url_env",),
    "folder": ("path",),
}
"""Keys each kind of delivery cannot do without."""
_MAIL = ("to", "from", "attach")
TAKES = {
    "smtp": (*_MAIL, "host", "port", "security", "user", "password_env"),
    "graph": (*_MAIL, *(key.name for key in CREDENTIAL[:-1])),
    "teams": ("url_env",),
    "webhook": ("url_env",),
    "folder": ("path", "attach"),
}
"""Keys that mean something to each kind, beside those of all."""
OF_ALL = ("kind", "name", "when", "on_failure", "link")


def rows(keys: tuple[Key, ...]) -> list[tuple[str, str, str, str]]:
    """For the reference: name, form, meaning with the values allowed, default."""
    return [
        (
            f"`{key.name}`",
            key.form,
            key.note + (f" One of {', '.join(f'`{value}`' for value in key.allowed)}." if key.allowed else ""),
            key.default or "-",
        )
        for key in keys
    ]
