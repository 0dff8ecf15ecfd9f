"""Deadlines that uvicorn has none of: for clients that send no request, or read no answer."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from agents.parts.http.deadline import Deadline

HEAD_SECONDS, READ_SECONDS = 10.0, 20.0
"""How long a request's headers may take, and how long a client may leave an answer unread."""


class Connection(H11Protocol):
    """A client's connection. Alone, uvicorn waits for ever for the end of a request's headers, and for a client to read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._head = Deadline(HEAD_SECONDS, transport.abort)
        self._reading = Deadline(READ_SECONDS, transport.abort)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_head()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to a WebSocket, which has deadlines of its own."""
        super().handle_websocket_upgrade(event)
        self._reading.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._head.stop()
        self._reading.stop()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reading.stop()

    def _await_head(self) -> None:
        if self.conn.their_state is h11.IDLE:  # it stays so until a whole head is there
            self._head.start()
        else:
            self._head.stop()
