"""Handing the result of a run on: by mail, to Teams, to a webhook, into a folder. Never fatal to the report."""

from appgov_lib.delivery.message import Message, message_of

__all__ = ["Message", "message_of"]
