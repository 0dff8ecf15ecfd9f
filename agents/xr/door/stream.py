"""A page's WebSocket: its hello, then its messages to a visitor. What is none of them ends it, with a reason."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from msgspec.structs import replace
from starlette.websockets import WebSocket, WebSocketDisconnect

from agents.parts.http.websocket import ARRIVED
from agents.xr.door.answers import refused
from agents.xr.door.visitor import Visitor, Welcome
from agents.xr.wire.codec import TEXT_BYTES, BadMessage, decode, decode_text, encode_pong
from agents.xr.wire.messages import Hello, Message, Pong

MESSAGE_BYTES = 16 << 10
CONNECTIONS = 16
"""At once, over all doors."""
HELLO_SECONDS = 5.0
MESSAGES_A_SECOND = 1000

MALFORMED, POLICY, TOO_LONG = 1007, 1008, 1009
"""Close codes: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1"""
_REASON_BYTES = 120
"""A close frame takes 123."""
_CUT = {1002: "malformed", MALFORMED: "malformed", TOO_LONG: "too_long"}
"""What the server itself closes, by its code. A browser lets no page close with one of these; who is none, and does, is counted too."""
_LEFT = {1000: "the page has closed the connection", 1001: "the page was left", 1012: "the agent ends"}


class _Refused(Exception):
    """What a page sent is not taken. `counted` is the reason in a word."""

    def __init__(self, code: int, counted: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.counted, self.reason = code, counted, reason


class _Left(Exception):
    """The page is gone, by this code."""

    def __init__(self, code: int) -> None:
        super().__init__(_LEFT.get(code, "the connection was lost"))
        self.code = code


class Streams:
    """All pages' WebSockets. `refused` counts what was not taken, by reason."""

    def __init__(self, welcome: Welcome) -> None:
        self._welcome = welcome
        self._open = 0
        self.refused: Counter[str] = Counter()

    async def serve(self, socket: WebSocket) -> None:
        """One of them, from its handshake to its end."""
        if self._open >= CONNECTIONS:
            self.refused["crowded"] += 1
            return await socket.send_denial_response(refused(503, f"there are {CONNECTIONS} connections already: close a page"))
        self._open += 1
        try:
            await socket.accept()
            await self._converse(socket)
        except _Refused as error:
            self.refused[error.counted] += 1
            with suppress(WebSocketDisconnect):
                await socket.close(error.code, _short(error.reason))
        except _Left as left:
            self.refused.update([_CUT[left.code]] if left.code in _CUT else [])
        finally:
            self._open -= 1

    async def _converse(self, socket: WebSocket) -> NoReturn:
        """Raises _Refused or _Left: no page has nothing more to say."""
        visitor = self._welcome(await _hello(socket))
        reason = "the agent has failed"
        try:
            await _listen(socket, visitor)
        except (_Refused, _Left) as error:
            reason = str(error)
            raise
        except asyncio.CancelledError:
            reason = "the agent has cut the connection"
            raise
        finally:
            visitor.left(reason)


async def _hello(socket: WebSocket) -> Hello:
    """Raises _Refused, _Left."""
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            message = _decoded(await _received(socket))
    except TimeoutError:
        raise _Refused(POLICY, "silent", f"no hello within {HELLO_SECONDS:g} s") from None
    if not isinstance(message, Hello):
        raise _Refused(POLICY, "malformed", "the first message of a page is its hello")
    return message


async def _listen(socket: WebSocket, visitor: Visitor) -> NoReturn:
    """Raises _Refused, _Left."""
    pace = _Pace()
    while True:
        received = await _received(socket)
        pace.count(asyncio.get_running_loop().time())
        message = _decoded(received)
        if isinstance(message, Hello):
            raise _Refused(POLICY, "malformed", "a page says hello once")
        pong = visitor.heard(message, received[ARRIVED])
        if pong is not None:
            await _answer(socket, pong)
        await asyncio.sleep(0)  # messages that came together must not keep other pages waiting


async def _answer(socket: WebSocket, pong: Pong) -> None:
    """Raises _Left."""
    try:
        await socket.send_bytes(encode_pong(replace(pong, sent=time.time_ns())))
    except WebSocketDisconnect as error:
        raise _Left(error.code) from error


class _Pace:
    """How many messages there were in this second."""

    def __init__(self) -> None:
        self._began, self._count = 0.0, 0

    def count(self, now: float) -> None:
        """Raises _Refused."""
        if now - self._began >= 1:
            self._began, self._count = now, 0
        self._count += 1
        if self._count > MESSAGES_A_SECOND:
            raise _Refused(POLICY, "too_many", f"more than {MESSAGES_A_SECOND} messages in a second")


async def _received(socket: WebSocket) -> Mapping[str, Any]:  # Any: as ASGI has it
    """Raises _Left."""
    received = await socket.receive()
    if received["type"] == "websocket.disconnect":
        raise _Left(received.get("code", 0))
    return received


def _decoded(received: Mapping[str, Any]) -> Message:  # Any: as above
    """Raises _Refused."""
    text, data = received.get("text"), received.get("bytes")
    if text is not None and len(text.encode()) > TEXT_BYTES:
        raise _Refused(TOO_LONG, "too_long", f"a message of text has {TEXT_BYTES} bytes at most")
    try:
        return decode(data or b"") if text is None else decode_text(text)
    except BadMessage as error:
        raise _Refused(MALFORMED, "malformed", str(error)) from None


def _short(reason: str) -> str:
    return reason.encode()[:_REASON_BYTES].decode(errors="ignore")
