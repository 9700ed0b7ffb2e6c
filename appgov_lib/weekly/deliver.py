"""After a run: every delivery of the tenant, tried again where that may help; a failure is told, the report stands."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from appgov_lib.delivery.channels import WAYS, NotDelivered
from appgov_lib.delivery.message import Message, message_of
from appgov_lib.profiles import Channel
from appgov_lib.settings import Settings
from appgov_lib.weekly.log import RunLog
from appgov_lib.weekly.outcome import Outcome
from appgov_lib.weekly.record import Record

PAUSES = (2.0, 10.0)
"""Seconds before the second and the third try."""


def deliver(settings: Settings, out: Outcome, record: Record, log: RunLog) -> None:
    """Deliver the outcome of a run through every channel of the tenant's profile."""
    channels = settings.profile.channels
    if not channels:
        return
    gaps = [f"{name}: {status.replace('_', ' ')}" for name, status in out.unread.items()]
    folder = None if out.error else out.report
    try:
        message = message_of(settings.tenant, out.as_of, out.exit_code, out.sentence, folder, gaps, out.warnings)
    except (OSError, ValueError, KeyError, TypeError) as error:
        out.delivered = {channel.name: f"failed: {type(error).__name__} in the report's files" for channel in channels}
        log("delivery failed", why=type(error).__name__)
        return
    for channel in channels:
        told = record.delivered.setdefault(channel.name, {})
        how = why_not(channel, message, told) or _try(settings, channel, message, log)
        if how == "delivered":
            key = "failure" if message.failed else "report"
            told[key] = {"as_of": message.as_of, "digest": message.digest}
            with suppress(OSError):
                record.save()  # now, so that a run that is killed here does not send it again
        out.delivered[channel.name] = how
        log("delivery", channel=channel.name, kind=channel.kind, how=how)


def why_not(channel: Channel, message: Message, told: dict[str, dict[str, str]]) -> str:
    """Why nothing is sent; empty where something is."""
    if message.failed:
        if not channel.on_failure:
            return "not asked for"
        return "already delivered" if told.get("failure", {}).get("digest") == message.digest else ""
    last = told.get("report", {})
    if last.get("digest") == message.digest:
        if last.get("as_of") == message.as_of:
            return "already delivered"
        if channel.when == "change":
            return "unchanged"
    return ""


def _try(settings: Settings, channel: Channel, message: Message, log: RunLog) -> str:
    """Deliver through one channel, up to three times."""
    why = ""
    for number, pause in enumerate((0.0, *PAUSES), 1):
        time.sleep(pause)
        try:
            WAYS[channel.kind](settings, channel, message, os.environ)
        except NotDelivered as failed:
            why = f"failed: {failed}"
            log("delivery failed", channel=channel.name, attempt=number, why=str(failed))
            if not failed.again:
                break
        except Exception as error:  # noqa: BLE001 - whatever happens on the way out, the report is written
            why = f"failed: {type(error).__name__}"
            log("delivery failed", channel=channel.name, attempt=number, why=type(error).__name__)
            break
        else:
            return "delivered"
    return why
