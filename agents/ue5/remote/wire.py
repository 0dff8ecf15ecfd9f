"""What a connection to an engine can do, whichever way its bytes go: WebSocket, or HTTP where there is none."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec
from msgspec import Struct

from agents.parts.remote_control import Error
from schemas.ue5 import Transport

PATIENCE = 5.0
"""Seconds that an answer may take: Unreal gives none while it loads a level or compiles shaders."""
CONNECT_SECONDS = 2.0
"""For each step of connecting: where nothing answers, the next address is looked at."""
PASSPHRASE_CODES = (401, 403)
"""By which an engine says that it wants a passphrase, or another one."""
ANSWER_LIMIT = 32 << 20
"""Bytes of an answer at most: the names of 100,000 actors. What an engine is sent is far smaller."""
_MESSAGE = 500
"""Characters of an engine's message that are passed on."""


class RemoteError(RuntimeError):
    """An engine did not do what it was asked."""


class Lost(RemoteError):
    """There is no connection, or it ended before the answer."""


class Late(RemoteError):
    """No answer came in time. The engine may have done it all the same."""


class BadAnswer(RemoteError):
    """An answer that is none of Remote Control's, or larger than what is read."""


class Refused(RemoteError):
    """The engine says no: `code` as in HTTP, and its own message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Answer(Struct, frozen=True):
    """What came back: a code as in HTTP, and the body's JSON, which may be empty."""

    code: int
    body: bytes


class Wire(Protocol):
    """One connection. `ended` is done when it can carry nothing more, with the reason."""

    transport: Transport
    ended: asyncio.Future[str]

    async def request(self, verb: str, url: str, body: bytes) -> Answer:
        """Ask, and wait for the answer. Raises Lost, Late, BadAnswer."""

    async def close(self) -> None:
        """End the connection; who still waits for an answer hears Lost."""


def accepted(answer: Answer) -> bytes:
    """The body of an answer that is no refusal. Raises Refused."""
    if answer.code != 200:
        raise Refused(answer.code, message_of(answer))
    return answer.body


def message_of(answer: Answer) -> str:
    """Why an engine refused, in its own words where it has any."""
    try:
        return msgspec.json.decode(answer.body, type=Error).errorMessage[:_MESSAGE]
    except msgspec.DecodeError:
        return f"code {answer.code}: {answer.body[:_MESSAGE].decode(errors='replace')}"
