"""The ways out: SMTP, Graph sendMail, a Teams workflow, a webhook, a folder. What fails raises `NotDelivered`."""

from __future__ import annotations

import asyncio
import base64
import json
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.message import EmailMessage

from appgov_lib import formats
from appgov_lib.delivery import forms
from appgov_lib.delivery.message import Message
from appgov_lib.errors import UserError
from appgov_lib.profiles import Channel
from appgov_lib.settings import Settings, check_endpoint, private_write

SECONDS = 30
LARGEST_INLINE = 3_000_000
"""Bytes Graph takes as an attachment of a mail sent in one request."""


class NotDelivered(Exception):
    """A delivery failed; says why without addresses or secrets."""

    def __init__(self, why: str, again: bool = True) -> None:
        """`again`: whether another try may help."""
        super().__init__(why)
        self.again = again


def smtp(settings: Settings, channel: Channel, message: Message, env: Mapping[str, str]) -> None:
    """A mail through an SMTP server."""
    mail = EmailMessage()
    mail["Subject"] = formats.plain(message.title, 200)
    mail["From"], mail["To"] = channel.sender, ", ".join(channel.to)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(forms.as_text(message, channel.link))
    mail.add_alternative(forms.as_html(message, channel.link), subtype="html")
    page = message.page if channel.attach else None
    if page:
        name = _name(message, "html")
        charset = {"charset": "utf-8"}
        mail.add_attachment(page.read_bytes(), maintype="text", subtype="html", filename=name, params=charset)
    try:
        with _server(channel) as server:
            if channel.user:
                server.login(channel.user, _variable(channel.password_env, env))
            refused = server.send_message(mail)
    except smtplib.SMTPAuthenticationError:
        raise NotDelivered("the mail server refused the sign-in", again=False) from None
    except smtplib.SMTPRecipientsRefused:
        raise NotDelivered("the mail server refused every recipient", again=False) from None
    except smtplib.SMTPResponseException as error:
        raise NotDelivered(f"the mail server answered {error.smtp_code}", again=error.smtp_code < 500) from None
    except (smtplib.SMTPException, OSError) as error:
        raise NotDelivered(f"{type(error).__name__} while talking to the mail server") from None
    if refused:
        raise NotDelivered(f"the mail server refused {len(refused)} of {len(channel.to)} recipients", again=False)


def _server(channel: Channel) -> smtplib.SMTP:
    """A connection, secured as the channel says."""
    if channel.security == "tls":
        return smtplib.SMTP_SSL(channel.host, channel.port, timeout=SECONDS, context=ssl.create_default_context())
    server = smtplib.SMTP(channel.host, channel.port, timeout=SECONDS)
    if channel.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except smtplib.SMTPNotSupportedError:
            server.close()
            raise NotDelivered("the mail server offers no STARTTLS, and nothing was sent", again=False) from None
        except Exception:
            server.close()
            raise
    return server


def graph(settings: Settings, channel: Channel, message: Message, env: Mapping[str, str]) -> None:
    """A mail from a mailbox of the tenant, through Graph sendMail."""
    from appgov_lib.extract.credentials import credential_for
    from appgov_lib.extract.graph import GraphClient, GraphError

    page = message.page if channel.attach else None
    too_large = page is not None and page.stat().st_size > LARGEST_INLINE
    note = "The report is too large for Graph to attach; it is where reports are kept." if too_large else ""
    mail: dict[str, object] = {
        "subject": formats.plain(message.title, 200),
        "body": {"contentType": "HTML", "content": forms.as_html(message, channel.link, note)},
        "toRecipients": [{"emailAddress": {"address": address}} for address in channel.to],
    }
    if page and not too_large:
        mail["attachments"] = [
            {
                "@odata.type": "#microsoft.graph.fileAttachment",
                "name": _name(message, "html"),
                "contentType": "text/html",
                "contentBytes": base64.b64encode(page.read_bytes()).decode(),
            }
        ]
    body = json.dumps({"message": mail, "saveToSentItems": False}).encode()
    if channel.credential.given:
        way = channel.credential.way or settings.sign_in
        settings = replace(settings, sign_in=way, profile=replace(settings.profile, credential=channel.credential))

    async def send() -> None:
        """Sign in and send."""
        async with GraphClient(settings.endpoint, credential_for(settings, env)) as client:
            await client.send_mail(channel.sender, body)

    try:
        asyncio.run(send())
    except GraphError as error:
        hint = "; the app needs Mail.Send" if error.status == 403 else ""
        again = error.status in (0, 429, 500, 502, 503, 504)
        raise NotDelivered(f"Graph refused the mail: HTTP {error.status} {error.code}{hint}", again) from None
    except UserError as error:
        raise NotDelivered(str(error), again=False) from None


def teams(settings: Settings, channel: Channel, message: Message, env: Mapping[str, str]) -> None:
    """An adaptive card to a Teams workflow."""
    _post(channel, forms.as_card(message, channel.link), env)


def webhook(settings: Settings, channel: Channel, message: Message, env: Mapping[str, str]) -> None:
    """JSON to an address."""
    _post(channel, forms.as_json(message, channel.link), env)


def _post(channel: Channel, body: Mapping[str, object], env: Mapping[str, str]) -> None:
    """Hand JSON to the address in the channel's variable."""
    from appgov_lib.extract.graph import GraphError, post_outside

    url = _variable(channel.url_env, env)
    try:
        check_endpoint(url)
    except UserError:
        raise NotDelivered(f"{channel.url_env} is not an https address", again=False) from None
    try:
        post_outside(url, json.dumps(body).encode())
    except GraphError as error:
        again = error.status in (0, 408, 429) or error.status >= 500
        told = f"HTTP {error.status}" if error.status else error.code
        raise NotDelivered(f"the webhook did not take it ({told})", again) from None


def folder(settings: Settings, channel: Channel, message: Message, env: Mapping[str, str]) -> None:
    """Files for whatever picks them up: text, JSON, and the report as one file where it is asked for."""
    try:
        private_write(channel.path / _name(message, "txt"), forms.as_text(message, channel.link).encode())
        told = json.dumps(forms.as_json(message, channel.link), indent=1).encode() + b"\n"
        private_write(channel.path / _name(message, "json"), told)
        page = message.page if channel.attach else None
        if page:
            private_write(channel.path / _name(message, "html"), page.read_bytes())
    except OSError as error:
        raise NotDelivered(f"{type(error).__name__} while writing into the folder") from None


Way = Callable[[Settings, Channel, Message, Mapping[str, str]], None]
WAYS: Mapping[str, Way] = {"smtp": smtp, "graph": graph, "teams": teams, "webhook": webhook, "folder": folder}


def _name(message: Message, ending: str) -> str:
    """A file name: the tenant's name is one already."""
    return f"appgov-{message.tenant}-{message.as_of}{'-failed' if message.failed else ''}.{ending}"


def _variable(name: str, env: Mapping[str, str]) -> str:
    """The value of a variable, which must be set."""
    if not env.get(name):
        raise NotDelivered(f"the variable {name} is not set", again=False)
    return env[name]
