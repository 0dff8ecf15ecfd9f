"""uvicorn in an agent's own event loop.

It has settings for most of what a door needs. What it lacks is in Server, Connection and WebSocket: to leave the signals of the process
alone, and deadlines for clients that end no handshake, send no request or read no answer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import structlog
import uvicorn

from agents.parts.http.asgi import App
from agents.parts.http.connection import Connection
from agents.parts.http.crowd import Bounded
from agents.parts.http.door import Door
from agents.parts.http.gate import HEAD_BYTES
from agents.parts.http.websocket import WebSocket

CONNECTIONS = 64
"""At once: a request on one more is answered with 503, and connections beyond twice as many are cut."""
KEEP_ALIVE_SECONDS = 5
"""How long a client may be silent between two requests."""
HANDSHAKE_SECONDS, FAREWELL_SECONDS = 5.0, 5.0
"""How long a client may take to agree on TLS, and to read its last answer and end it."""
PING_SECONDS, PONG_SECONDS = 5.0, 5.0
"""How often a WebSocket's client is pinged, and how long it may leave that unanswered."""
GRACE_SECONDS, CUT_SECONDS = 0.3, 0.3
"""How long a closing door lets answers go on, and then waits for applications to notice that it has cut them. uvicorn looks every 0.1 s."""

_log = structlog.get_logger()


class Serving:
    """An application behind a door, from `open` to `close`. WebSockets are served where a bound for their messages is given."""

    def __init__(self, door: Door, app: App, message_bytes: int | None = None) -> None:
        self._server = Server(_config(app, message_bytes), door.tls)
        log = logging.getLogger("uvicorn.error")
        log.handlers, log.propagate = [Lines(logging.WARNING)], False
        self._task: asyncio.Task[None] | None = None
        self._listening = Bounded(door.socket, 2 * CONNECTIONS)

    async def open(self) -> None:
        """Answer from now on, in this event loop."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listening]), name="http")
        self._task.add_done_callback(_report)

    async def close(self) -> None:
        """Take no more requests, and end: at the latest after GRACE_SECONDS the connections of answers in progress are cut.

        Their applications see that as clients that left, then they are cancelled, and then no longer waited for.
        """
        if self._task is None:
            self._listening.close()
            return
        self._server.should_exit = True
        await asyncio.wait([self._task], timeout=GRACE_SECONDS)
        self._listening.cut()
        await asyncio.wait([self._task], timeout=CUT_SECONDS)
        remaining = [self._task, *self._server.server_state.tasks]
        for task in remaining:
            task.cancel()
        _, deaf = await asyncio.wait(remaining, timeout=CUT_SECONDS)
        if deaf:
            _log.error("requests go on though they were cancelled", count=len(deaf))


class Server(uvicorn.Server):
    """uvicorn's, in a process that has other things to do: its signals belong to the agent."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._tls = tls

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Listen as uvicorn does, which leaves a client a minute for the handshake of TLS, and half of one for its end."""
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                partial(Connection, self.config, self.server_state, {}),
                sock=listening,
                backlog=self.config.backlog,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if self._tls else None,
                ssl_shutdown_timeout=FAREWELL_SECONDS if self._tls else None,
            )
            for listening in sockets or ()
        ]
        self.started = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Lines(logging.Handler):
    """What a library has to say goes where the agent's own lines go: a terminal that takes no more must not stop the event loop."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.log(record.levelno, record.getMessage().strip(), exc_info=record.exc_info)


def _config(app: App, message_bytes: int | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none" if message_bytes is None else WebSocket,
        ws_max_size=message_bytes or 0,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        ws_per_message_deflate=False,  # a short message does not become shorter, a long one could become too long
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # else a client may say whose request it is
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )


def _report(task: asyncio.Task[None]) -> None:
    """Say that a server ended in another way than by its close."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the HTTP server has failed", exc_info=error)
