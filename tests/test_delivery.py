"""Deliveries to real servers on loopback: what arrives, that nothing hostile gets through, what a failure does."""

from __future__ import annotations

import datetime as dt
import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import PAYLOAD, SHORT
from mail_sink import MailSink, WebSink, mail_sink, web_sink
from reading import Reader

from appgov_lib.delivery import channels, forms
from appgov_lib.delivery.channels import NotDelivered
from appgov_lib.delivery.message import Line, Message, message_of
from appgov_lib.profiles import Channel, Credential, Profile
from appgov_lib.settings import Settings
from appgov_lib.weekly import deliver as delivering
from appgov_lib.weekly.log import RunLog
from appgov_lib.weekly.outcome import Outcome
from appgov_lib.weekly.record import Record

EVIL = "x\r\nBcc: all@evil.example\r\n\r\n<script>alert(1)</script>[click](https://evil.example){{DATE(2020)}}\u202egpj"


def finding(severity: str, state: str, name: str, number: int = 1) -> dict[str, Any]:
    """A finding as findings.json has it."""
    return {"finding_id": f"f{number}", "policy_id": "p", "policy_title": "A title", "severity": severity,
            "state": state, "display_name": name, "app_id": "a"}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A report with two new findings, one of them about an app with a hostile name."""
    made = tmp_path / "reports" / "contoso" / "2026-11-15"
    made.mkdir(parents=True)
    found = [finding("high", "new", EVIL, 1), finding("medium", "returned", "Good app", 2),
             finding("low", "open", "Old", 3), finding("low", "resolved", "Gone", 4)]  # fmt: skip
    (made / "findings.json").write_text(json.dumps(found))
    counts = {"open_findings": {"critical": 0, "high": 1, "medium": 1, "low": 1, "info": 0}, "actions": 5}
    (made / "run.json").write_text(json.dumps({"counts": counts}))
    (made / "report.html").write_text("<!doctype html><title>The summary</title>")
    return made


@pytest.fixture
def message(folder: Path) -> Message:
    """The message about that report."""
    return message_of("contoso", "2026-11-15", 4, "Done in part.", folder, ["directory_audits: not permitted"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home."""
    return Settings(tmp_path, "contoso")


@pytest.fixture
def mails() -> Iterator[MailSink]:
    """A mail server."""
    with mail_sink() as sink:
        yield sink


@pytest.fixture
def web() -> Iterator[WebSink]:
    """A web server."""
    with web_sink() as sink:
        yield sink


def by_mail(port: int, **more: Any) -> Channel:
    """A delivery by mail to this machine."""
    given = {"security": "none", "link": "https://reports.example/contoso", **more}
    return Channel("smtp", "mail", to=("a@x.org", "b@x.org"), sender="appgov@x.org", host="127.0.0.1", port=port,
                   **given)  # fmt: skip


def test_the_numbers_are_those_of_the_report(message: Message) -> None:
    assert message.title == "[appgov] contoso: week to 2026-11-15: 1 high, 1 medium open, 2 new"
    assert dict(message.numbers) == {
        "Open, critical": "0", "Open, high": "1", "Open, medium": "1", "Open, low": "1", "Open, info": "0",
        "New": "1", "Returned": "1", "Resolved": "1", "Excepted": "0", "Actions in the plan": "5",
    }  # fmt: skip
    assert [(line.severity, line.state) for line in message.lines] == [("high", "new"), ("medium", "returned")]


def test_a_mail_arrives_with_text_html_and_the_page(settings: Settings, message: Message, mails: MailSink) -> None:
    channels.smtp(settings, by_mail(mails.port, attach=True), message, {})
    (mail,) = mails.mails
    assert mails.recipients == ["a@x.org", "b@x.org"]
    assert mail["Subject"] == message.title
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = mail.get_body(("plain",)).get_content(), mail.get_body(("html",)).get_content()
    assert "Report: https://reports.example/contoso/2026-11-15/index.html" in text
    assert "- directory_audits: not permitted" in text
    assert "- medium: A title: Good app" in text
    assert Reader(html).links == ["https://reports.example/contoso/2026-11-15/index.html"]
    assert Reader(html).loads == []
    (page,) = mail.iter_attachments()
    assert (page.get_filename(), page.get_content()) == (
        "appgov-contoso-2026-11-15.html", "<!doctype html><title>The summary</title>"
    )  # fmt: skip


def test_nothing_hostile_gets_into_headers_html_or_cards(settings: Settings, message: Message, mails: MailSink) -> None:
    channels.smtp(settings, by_mail(mails.port), message, {})
    (mail,) = mails.mails
    assert "Bcc" not in mail
    assert mails.recipients == ["a@x.org", "b@x.org"]
    html = mail.get_body(("html",)).get_content()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    text = mail.get_body(("plain",)).get_content()
    assert not re.search(r"^Bcc", text, re.MULTILINE)
    assert "\u202e" not in text + html
    card = forms.as_card(message)
    assert "{{" not in json.dumps(card)
    assert kinds(card) == {"RichTextBlock", "TextRun", "FactSet", "AdaptiveCard"}
    facts = [fact["value"] for item in card_of(card)["body"] for fact in item.get("facts", ())]
    assert [value for value in facts if not value.isdigit()] == [], "Markdown is read in facts"


@pytest.mark.parametrize("name", [PAYLOAD, SHORT, EVIL, "", "\ud800", "a\x00b\x1b[2J", "\u2028" * 50, "x" * 5000])
def test_whatever_an_app_or_a_sentence_is_called(name: str, mails: MailSink, settings: Settings) -> None:
    hostile = Message("contoso", "2026-11-15", 5, name, failed=True, lines=(Line("high", "new", name, name),))
    channels.smtp(settings, by_mail(mails.port), hostile, {})
    (mail,) = mails.mails
    assert set(mail.keys()) == {"Subject", "From", "To", "Auto-Submitted", "MIME-Version", "Content-Type"}
    tags = set(Reader(mail.get_body(("html",)).get_content()).tags)
    assert tags <= {"html", "head", "meta", "title", "body", "h1", "h2", "p", "ul", "li", "strong", "bdi"}
    assert json.loads(json.dumps(forms.as_card(hostile)))["type"] == "message"


def card_of(body: dict[str, Any]) -> dict[str, Any]:
    """The card in a message to Teams."""
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    found: dict[str, Any] = attachment["content"]
    return found


def kinds(value: Any) -> set[str]:
    """Every element type of a card."""
    if isinstance(value, dict):
        own = {value["type"]} if "type" in value and value["type"] != "message" else set()
        return own.union(*map(kinds, value.values()))
    return set().union(*map(kinds, value)) if isinstance(value, list) else set()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key in one file."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "both"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_starttls_comes_before_the_sign_in(
    settings: Settings, message: Message, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    channel = by_mail(0, security="starttls", user="u", password_env="MAIL_PASSWORD")
    env = {"MAIL_PASSWORD": "s3cret-word"}
    with mail_sink(context) as sink:
        channel = by_mail(sink.port, security="starttls", user="u", password_env="MAIL_PASSWORD")
        with pytest.raises(NotDelivered, match="SSLCertVerificationError"):
            channels.smtp(settings, channel, message, env)
        assert sink.sign_ins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        channels.smtp(settings, channel, message, env)
        assert (len(sink.mails), sink.secured, len(sink.sign_ins)) == (1, [True], 1)


def test_without_starttls_nothing_is_sent(settings: Settings, message: Message, mails: MailSink) -> None:
    with pytest.raises(NotDelivered, match="offers no STARTTLS") as failed:
        channels.smtp(settings, by_mail(mails.port, security="starttls"), message, {})
    assert not failed.value.again
    assert mails.mails == []


@pytest.mark.changes_a_tenant  # a mail, which only a delivery sends
def test_graph_sends_from_the_mailbox_that_was_named(
    message: Message, web: WebSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(tmp_path, "contoso", endpoint=web.url(""))
    channel = Channel("graph", "g", to=("a@x.org",), sender="soc@x.org", attach=True,
                      credential=Credential(access_token_env="MAIL_TOKEN"))  # fmt: skip
    channels.graph(settings, channel, message, {"MAIL_TOKEN": "mail-token"})
    (sent,) = web.got
    assert sent["path"] == "/v1.0/users/soc%40x.org/sendMail"
    assert sent["headers"]["authorization"] == "Bearer mail-token"
    assert sent["json"]["message"]["toRecipients"] == [{"emailAddress": {"address": "a@x.org"}}]
    assert sent["json"]["message"]["body"]["contentType"] == "HTML"
    assert "<script" not in sent["json"]["message"]["body"]["content"]
    assert sent["json"]["message"]["attachments"][0]["name"] == "appgov-contoso-2026-11-15.html"
    assert "too large" not in sent["json"]["message"]["body"]["content"]
    monkeypatch.setattr(channels, "LARGEST_INLINE", 10)
    channels.graph(settings, channel, message, {"MAIL_TOKEN": "mail-token"})
    large = web.got.pop()["json"]["message"]
    assert "too large for Graph to attach" in large["body"]["content"]
    assert "attachments" not in large
    web.answers = [(403, {})]
    with pytest.raises(NotDelivered, match=r"HTTP 403.*the app needs Mail.Send") as failed:
        channels.graph(settings, channel, message, {"MAIL_TOKEN": "mail-token"})
    assert not failed.value.again
    assert len(web.got) == 2, "a mail is asked for once: a second try could send it twice"


def test_teams_and_webhook_take_json(settings: Settings, message: Message, web: WebSink) -> None:
    env = {"HOOK": web.url("/hook?sig=s3cret")}
    channels.teams(settings, Channel("teams", "t", url_env="HOOK", link="https://r.example/c"), message, env)
    channels.webhook(settings, Channel("webhook", "w", url_env="HOOK"), message, env)
    card, told = (got["json"] for got in web.got)
    assert card_of(card)["actions"][0]["url"] == "https://r.example/c/2026-11-15/index.html"
    assert (told["schema"], told["tenant"], told["exit_code"]) == ("appgov.run/1", "contoso", 4)
    assert told["changed"][0]["severity"] == "high"
    assert [got["headers"].get("authorization") for got in web.got] == [None, None]
    assert len(json.dumps(card)) < 28_000


def test_a_redirect_is_not_followed_and_the_address_is_not_told(
    settings: Settings, message: Message, web: WebSink
) -> None:
    web.answers = [(307, {"Location": web.url("/elsewhere")})]
    with pytest.raises(NotDelivered) as failed:
        channels.webhook(settings, Channel("webhook", "w", url_env="HOOK"), message, {"HOOK": web.url("/a?sig=s3cret")})
    assert "s3cret" not in str(failed.value)
    assert len(web.got) == 1
    for url in ("http://example.org/x", "nonsense"):
        with pytest.raises(NotDelivered, match="HOOK is not an https address"):
            channels.webhook(settings, Channel("webhook", "w", url_env="HOOK"), message, {"HOOK": url})


def test_a_folder_gets_private_files(settings: Settings, message: Message, tmp_path: Path) -> None:
    channels.folder(settings, Channel("folder", "f", path=tmp_path / "out", attach=True), message, {})
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"appgov-contoso-2026-11-15.{ending}" for ending in ("txt", "json", "html")}
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "out").iterdir()} == {0}
    (tmp_path / "file").write_text("")
    with pytest.raises(NotDelivered, match="while writing into the folder"):
        channels.folder(settings, Channel("folder", "f", path=tmp_path / "file" / "x"), message, {})


# Which are sent, how often, and what a failure does


@pytest.fixture
def log(settings: Settings) -> RunLog:
    """A log."""
    return RunLog(settings, "r", lambda: dt.datetime(2026, 11, 16))


def go(settings: Settings, channel: Channel, folder: Path, record: Record, log: RunLog, **more: Any) -> str:
    """Deliver the outcome of a run; returns how it went."""
    from dataclasses import replace

    out = Outcome("contoso", "r", more.pop("as_of", "2026-11-15"), report=folder, sentence="Done.", **more)
    delivering.deliver(replace(settings, profile=Profile(channels=(channel,))), out, record, log)
    return out.delivered[channel.name]


def test_sent_once_a_week_and_on_change_alone(
    settings: Settings, folder: Path, tmp_path: Path, log: RunLog, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", web.url("/"))
    record = Record(tmp_path / "weekly.json")
    always, changed = (Channel("webhook", when, when=when, url_env="HOOK") for when in ("always", "change"))
    for channel, next_week in ((always, "delivered"), (changed, "unchanged")):
        assert go(settings, channel, folder, record, log) == "delivered"
        assert go(settings, channel, folder, record, log) == "already delivered"
        assert go(settings, channel, folder, record, log, as_of="2026-11-22") == next_week
    (folder / "findings.json").write_text(json.dumps([finding("high", "new", "Another", 9)]))
    assert go(settings, changed, folder, record, log, as_of="2026-11-22") == "delivered"
    failure = {"error": True, "exit_code": 3}
    assert go(settings, changed, folder, record, log, as_of="2026-11-22", **failure) == "delivered"
    assert go(settings, changed, folder, record, log, as_of="2026-11-22", **failure) == "already delivered"
    assert web.got[-1]["json"]["failed"] is True
    assert web.got[-1]["json"]["open_findings"] is None
    quiet = Channel("webhook", "quiet", on_failure=False, url_env="HOOK")
    assert go(settings, quiet, folder, record, log, **failure) == "not asked for"


def test_tried_again_then_told_and_never_fatal(
    settings: Settings, folder: Path, tmp_path: Path, log: RunLog, web: WebSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "PAUSES", (0.0, 0.0))
    monkeypatch.setenv("HOOK", web.url("/x?sig=s3cret-part"))
    record = Record(tmp_path / "weekly.json")
    channel = Channel("webhook", "w", url_env="HOOK")
    web.answers = [(503, {}), (429, {})]
    assert go(settings, channel, folder, record, log) == "delivered"
    assert len(web.got) == 3
    web.answers = [(500, {})] * 3
    assert (
        go(settings, channel, folder, record, log, as_of="2026-11-22")
        == "failed: the webhook did not take it (HTTP 500)"
    )
    web.answers = [(400, {})]
    assert (
        go(settings, channel, folder, record, log, as_of="2026-11-22")
        == "failed: the webhook did not take it (HTTP 400)"
    )
    assert len(web.got) == 7, "what was refused for good is not tried again"
    assert go(settings, channel, folder, record, log, as_of="2026-11-22") == "delivered", "the next run heals"
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9/x?sig=s3cret-part")
    told = go(settings, channel, folder, record, log, as_of="2026-11-29")
    assert told == "failed: the webhook did not take it (ConnectError)"
    monkeypatch.delenv("HOOK")
    assert "HOOK is not set" in go(settings, channel, folder, record, log, as_of="2026-11-29")
    written = (settings.data_dir / "logs" / "weekly.jsonl").read_text()
    assert "s3cret-part" not in written
    assert written.count('"delivery failed"') == 10


def test_a_mail_server_that_is_busy_or_refuses(settings: Settings, message: Message, mails: MailSink) -> None:
    for answer, again in (("451 later", True), ("550 never", False)):
        mails.refuse = [answer]
        with pytest.raises(NotDelivered, match=answer[:3]) as failed:
            channels.smtp(settings, by_mail(mails.port), message, {})
        assert failed.value.again is again
