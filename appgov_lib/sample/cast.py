"""Everybody who was put into the tenant on purpose: the stories, their look-alikes, supporting roles and hostile names.

A detection must leave the look-alikes and the hostile names alone. Everything else in the tenant is ordinary.
"""

from __future__ import annotations

from appgov_lib.sample.member import Credential, Intruder, Kind, Member
from appgov_lib.sample.stories import STORIES

_UNUSED_TOO = ("overprivileged-app", "unused-app")

BENIGN = (
    Member(
        "benign-mail-app",
        "Front Mail Assistant",
        "verified",
        "mail-reader",
        quiet=True,
        calls=80,
        why="verified publisher, consented by an administrator, reads much mail every working day",
    ),
    Member(
        "benign-secret-rotation",
        "Billing Reconciler",
        "internal",
        "mailer",
        quiet=True,
        calls=9,
        credentials=(Credential("secret", 190, -175, 6.0, "2025"), Credential("secret", 5.4, -360, name="2026")),
        why="a secret was added last week, and the app was active all along",
    ),
    Member(
        "benign-growth",
        "Learning Portal Sync",
        "internal",
        "people-sync",
        quiet=True,
        calls=22,
        growth=0.03,
        steady=True,
        why="grows by about three per cent a week, evenly over thirteen weeks",
    ),
    Member(
        "benign-weekend-batch",
        "Weekend Archive Job",
        "internal",
        "backup",
        quiet=True,
        calls=40,
        pattern="weekend",
        steady=True,
        why="works on Saturdays and Sundays only, on every one of them",
    ),
    Member(
        "benign-holiday-dip",
        "Expense Portal",
        "verified",
        "planner",
        quiet=True,
        calls=18,
        why="nearly at rest on the tenant's holiday 2026-10-12 and 13, like everybody",
    ),
    Member(
        "benign-managed-identity",
        "mi-orders-prod",
        "managed",
        "azure",
        quiet=True,
        pattern="everyday",
        why="managed identity: Azure rotates its certificate, nobody owns it",
    ),
    Member(
        "benign-ownerless",
        "Static Status Page",
        "internal",
        "nothing",
        quiet=True,
        owners=0,
        why="no owner, and no permission either",
    ),
    Member(
        "benign-credential-successor",
        "Print Queue Manager",
        "internal",
        "user-lookup",
        quiet=True,
        calls=7,
        credentials=(Credential("secret", 353, -12, 31, "2025"), Credential("secret", 32, -380, name="2026")),
        why="one secret ends within two weeks, its successor lasts a year longer and is in use",
    ),
    Member(
        "benign-new-app",
        "Pilot Chat Bot",
        "internal",
        "chat-helper",
        quiet=True,
        first_day=91,
        last_day=90,
        created=12,
        why="twelve days old and not used yet",
        credentials=(),
    ),
)

SUPPORT = (
    Member("internal-api", "Orders API", "internal", "nothing", why="publishes the roles that internal clients hold"),
    Member(
        "internal-api", "Inventory API", "internal", "nothing", why="publishes the roles that internal clients hold"
    ),
    Member(
        "stolen-app",
        "Mailbox Provisioning Runbook",
        "internal",
        "mail-robot",
        ("credential-then-new-place", "credential-then-new-data", "app-from-new-network"),
        ("overprivileged-app",),
        calls=7,
        credentials=(Credential("secret", 160, -205), Credential("secret", 4.4, -86, name="backup")),
        intruder=Intruder(credential=1, day=87, country="MD", calls=("mail",)),
        extra_roles=(("00000002-0000-0ff1-ce00-000000000000", "Exchange.ManageAsApp"),),
        why="holds Exchange.ManageAsApp and the role Exchange Administrator; may read all mail and never did, until a "
        "second secret was added on 2026-11-11 and used from another country from the next day on",
    ),
    Member(
        "disabled-by-user",
        "Retired Kiosk",
        "internal",
        "portal",
        ("disabled-app-left",),
        _UNUSED_TOO,
        first_day=91,
        last_day=90,
        created=1_300,
        last_sign_in=400,
        enabled=False,
        credentials=(),
        why="switched off by an administrator long ago",
    ),
    Member(
        "disabled-by-microsoft",
        "Free Gift Cards",
        "unverified",
        "user-login",
        (),
        _UNUSED_TOO,
        first_day=91,
        last_day=90,
        created=230,
        last_sign_in=188,
        disabled_by_microsoft="DisabledDueToViolationOfServicesAgreement",
        consents=3,
        why="switched off by Microsoft",
    ),
    Member(
        "odd-legacy",
        "Northwind Legacy Portal",
        "odd",
        "nothing",
        first_day=91,
        last_day=90,
        tolerate=("unused-app",),
        why="type Legacy, without an owner organisation",
    ),
    Member(
        "odd-agent",
        "Procurement Agent",
        "odd",
        "nothing",
        first_day=91,
        last_day=90,
        tolerate=("unused-app",),
        why="an agent identity",
    ),
    Member(
        "odd-nulls",
        None,
        "odd",
        "nothing",
        first_day=91,
        last_day=90,
        tolerate=("unused-app",),
        why="hardly any field has a value",
    ),
)

HOSTILE_NAMES = (
    "<script>alert(document.domain)</script>",
    '<img src=x onerror="alert(1)">',
    "=cmd|' /C calc'!A0",
    '@SUM(1+1)*HYPERLINK("http://evil.example","x")',
    "**bold** [click](javascript:alert(1)) | pipe `code`",
    "Invoice\u202egpj.exe",
    "line one\nline two\r\n# heading\ttab",
    "A very long name " + "that goes on and on " * 11,
    "🚀 Rocket 👩🏽‍🚀 Raketen-Über™ 应用",
    "Robert'); DROP TABLE findings;--",
    "\x1b[31mred alert\x1b[0m\x07",
    '"quoted" \\ back\\slash {{ 7*7 }} {% raw %} ${jndi:ldap://x} %s </style>',
)
_HOSTILE_KINDS: tuple[tuple[Kind, str], ...] = (
    ("internal", "portal"),
    ("verified", "portal"),
    ("unverified", "user-login"),
)

HOSTILE = tuple(
    Member("hostile-name", name, *_HOSTILE_KINDS[number % 3], why="only its name is odd", consents=2)
    for number, name in enumerate(HOSTILE_NAMES)
)

CAST = (*STORIES, *BENIGN, *SUPPORT, *HOSTILE)
BUSY_MICROSOFT = ("Microsoft Office", 60.0)
"""The Microsoft app with by far the most calls: a look-alike too."""
ORDERS_API = "Orders API"
