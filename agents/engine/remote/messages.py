"""Answers the messages of a WebSocket.

Source: Epic's "Remote Control API WebSocket Reference", Unreal Engine 5.
"""

from __future__ import annotations

from agents.engine.remote.answer import Refused, shown
from agents.engine.remote.reading import Reader, Unreadable
from agents.engine.remote.remote import Remote, enclosed
from agents.engine.remote.requests import NO_ID, Message

_QUIET = ("preset.register", "preset.unregister")
"""They ask for the events of a preset. There are no presets, hence no events."""

_MESSAGE = Reader(Message, lenient=True)


def answer_message(remote: Remote, message: bytes) -> bytes | None:
    """What is sent back. None: nothing."""
    try:
        told = _MESSAGE.read(message)
    except Unreadable as error:
        return enclosed(NO_ID, Refused(f"Unable to deserialize request. {error}").answer)
    if told.MessageName == "http" or told.MessageName.lower() == "http":
        asked = told.Parameters
        return enclosed(asked.RequestId, remote.dispatch(asked.Verb, asked.Url, asked.Body))
    if told.MessageName.lower() in _QUIET:
        return None
    return enclosed(NO_ID, Refused(f"Message: {shown(told.MessageName)} is not known here: send http.", 404).answer)
