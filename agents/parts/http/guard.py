"""Stands before an application: it sees only requests that are meant for it, whole, and no longer than it wants to read.

Pure ASGI. A server bounds a head while it comes (serving.py), the gate one that came all at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import structlog

from agents.parts.http.asgi import App, Message, Receive, Scope, Send
from agents.parts.http.gate import Gate, Proof, Refusal

BODY_BYTES = 4 << 20
BODY_SECONDS = 20.0
LINGER_SECONDS = 1.0
"""Who is refused while it still sends reads the answer only if its connection stays open for a moment."""

ErrorBody = Callable[[int, str], bytes]
"""The JSON that an application's clients know errors by, for a status and what was wrong."""

_log = structlog.get_logger()


class _Left(Exception):
    """The client has gone."""


class _Refused(Exception):
    """The request is not answered."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


class Guard:
    """An application behind a gate. Bodies have at most `body_limit` bytes and arrive within BODY_SECONDS.

    A WebSocket that wants to open is refused as a request is, by HTTP. What the application raises before it has answered is logged, and
    answered with 500.
    """

    def __init__(self, app: App, gate: Gate, error: ErrorBody, body_limit: int = BODY_BYTES) -> None:
        self._app, self._gate, self._error, self._body_limit = app, gate, error, body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        refusal = self._gate.refusal(scope)
        if scope["type"] == "websocket":
            return await (self._app(scope, receive, send) if refusal is None else self._deny(refusal, send))
        body = _Body(receive)
        try:
            if refusal is not None:
                raise _Refused(refusal)
            whole = await self._read(scope, body)
        except _Refused as error:
            return await self._refuse(error.refusal, body, send)
        except _Left:
            return None
        return await self._answer(scope, _replayed(whole, receive), send)

    async def _read(self, scope: Scope, body: _Body) -> bytes:
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit():
            raise _Refused(Refusal(400, "Content-Length is no number"))
        if len(declared) > len(str(self._body_limit)) or int(declared) > self._body_limit:
            raise self._too_large()
        read = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in body.parts():
                    read += part
                    if len(read) > self._body_limit:
                        raise self._too_large()
        except TimeoutError:
            raise _Refused(Refusal(408, f"the request was not there after {BODY_SECONDS:g} s")) from None
        return bytes(read)

    def _too_large(self) -> _Refused:
        return _Refused(Refusal(413, f"at most {self._body_limit} bytes of a request are read"))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the application answer. Raises what it raises in the middle of an answer: the server then cuts the connection."""
        watched = _Watched(send)
        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if watched.begun and not watched.ended:
                raise
            _log.error("a request was not answered", path=scope["path"], exc_info=error)
            if not watched.begun:
                await _say(send, 500, self._error(500, "this request could not be answered: the log says why"))

    async def _refuse(self, refusal: Refusal, body: _Body, send: Send) -> None:
        await self._say_refusal(refusal, send, more=True)
        with suppress(TimeoutError, _Left):
            async with asyncio.timeout(LINGER_SECONDS):
                async for _ in body.parts():
                    pass
        await send({"type": "http.response.body", "body": b""})

    async def _deny(self, refusal: Refusal, send: Send) -> None:
        """https://asgi.readthedocs.io/en/latest/extensions.html#websocket-denial-response"""

        async def deny(message: Message) -> None:
            await send({**message, "type": f"websocket.{message['type']}"})

        await self._say_refusal(refusal, deny)

    async def _say_refusal(self, refusal: Refusal, send: Send, *, more: bool = False) -> None:
        scheme = _scheme(self._gate.proof) if refusal.status == 401 else None
        await _say(send, refusal.status, self._error(refusal.status, refusal.message), scheme, more=more)


class _Body:
    """What a client sends, up to its end."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def parts(self) -> AsyncIterator[bytes]:
        """Those that were not taken yet, as they arrive. Raises _Left."""
        while not self._ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _Left
            self._ended = not message.get("more_body", False)
            yield message.get("body", b"")


class _Watched:
    """Passes an answer on, and knows how far it is."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = self.ended = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        self.ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What an application receives where the body has been read: it in one part, then whether the client is still there."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_whole() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_whole


def _scheme(proof: Proof) -> bytes:
    """What a client is told that it lacks: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1"""
    return (proof.scheme or proof.secret).capitalize().encode()


async def _say(send: Send, status: int, body: bytes, scheme: bytes | None = None, *, more: bool = False) -> None:
    """An error, behind which the connection closes; with `more` its end is still to be sent. `scheme` is what would prove the client."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    if scheme is not None:
        headers.append((b"www-authenticate", scheme))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": more})
