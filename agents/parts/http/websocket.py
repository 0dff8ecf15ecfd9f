"""What uvicorn's WebSockets lack: bounds for clients that read nothing, and the time at which a message was here."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from agents.parts.http.deadline import Deadline

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

FAREWELL_SECONDS = 5.0
"""How long a client may take to answer a close, or to read what is still on its way."""
PONG_BYTES = 256 << 10
"""Of answers to its pings, and of other messages, that a client may leave unread while it goes on pinging."""
FRAGMENTS = 64
"""Of a message at most: its size is bounded, but empty ones have none."""
ARRIVED = "arrived"
"""In a message of ASGI: when its bytes were here, in ns since the Unix epoch. The application may see it a while later."""


class WebSocket(WebSocketsSansIOProtocol):
    """A client's WebSocket. Alone, uvicorn waits for ever for one that reads nothing, and answers all of its pings meanwhile."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._farewell = Deadline(FAREWELL_SECONDS, self.transport.abort)
        self._arrived = 0

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._farewell.stop()

    def data_received(self, data: bytes) -> None:
        self._arrived = time.time_ns()
        super().data_received(data)

    def handle_ping(self) -> None:
        if self.transport.is_closing():
            return
        super().handle_ping()
        if self.transport.get_write_buffer_size() > PONG_BYTES:
            self.transport.abort()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < FRAGMENTS:
            super().handle_cont(event)
        else:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """Cut who answers no ping: it would not read a farewell either."""
        super().keepalive_timeout()
        self.transport.abort()

    async def receive(self) -> ASGIReceiveEvent:
        """Nothing is read between a message's bytes and its receipt here, so the last arrival is its own."""
        message = await super().receive()
        message[ARRIVED] = self._arrived  # type: ignore[literal-required]  # a key of ours
        return message

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.close":
            self._farewell.start()
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # uvicorn forgets that it has refused, and would log it as a failure
