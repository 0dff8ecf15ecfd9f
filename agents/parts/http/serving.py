"""uvicorn in an agent's own event loop.

It has settings for most of what a door needs. What it lacks is in Connection and Server: deadlines for clients that send no request or
read no answer, and to leave the signals of the process alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import h11
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from agents.parts.http.asgi import App
from agents.parts.http.door import Door
from agents.parts.http.gate import HEAD_BYTES

CONNECTIONS = 64
"""At once: a request on one more is answered with 503, and connections beyond twice as many are cut."""
HEAD_SECONDS, READ_SECONDS, KEEP_ALIVE_SECONDS = 10.0, 20.0, 5
"""How long a request's headers may take, how long a client may leave an answer unread, and be silent between two requests."""
GRACE_SECONDS, CUT_SECONDS = 0.3, 0.3
"""How long a closing door lets answers go on, and then waits for applications to notice that it has cut them. uvicorn looks every 0.1 s."""

_log = structlog.get_logger()


class Serving:
    """An application behind a door, from `open` to `close`."""

    def __init__(self, door: Door, app: App) -> None:
        self._door = door
        self._server = Server(_config(app))
        log = logging.getLogger("uvicorn.error")
        log.handlers, log.propagate = [Lines(logging.WARNING)], False
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Answer from now on, in this event loop."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._door.socket]), name="http")
        self._task.add_done_callback(_report)

    async def close(self) -> None:
        """Take no more requests, and end: at the latest after GRACE_SECONDS the connections of answers in progress are cut.

        Their applications see that as clients that left, then they are cancelled, and then no longer waited for.
        """
        if self._task is None:
            self._door.socket.close()
            return
        state = self._server.server_state
        self._server.should_exit = True
        await asyncio.wait([self._task], timeout=GRACE_SECONDS)
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.wait([self._task], timeout=CUT_SECONDS)
        remaining = [self._task, *state.tasks]
        for task in remaining:
            task.cancel()
        _, deaf = await asyncio.wait(remaining, timeout=CUT_SECONDS)
        if deaf:
            _log.error("requests go on though they were cancelled", count=len(deaf))


class Server(uvicorn.Server):
    """uvicorn's, in a process that has other things to do: its signals belong to the agent."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Connection(H11Protocol):
    """A client's connection. Alone, uvicorn waits for ever for the end of a request's headers, and for a client to read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._head = _Deadline(HEAD_SECONDS, transport.abort)
        self._reading = _Deadline(READ_SECONDS, transport.abort)
        self._await_head()
        if len(self.connections) > 2 * CONNECTIONS:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_head()

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


class _Deadline:
    """Calls `late` so many seconds after it was started, unless it is stopped before. Starting it again does not move it."""

    def __init__(self, seconds: float, late: Callable[[], None]) -> None:
        self._seconds, self._late = seconds, late
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._late)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Lines(logging.Handler):
    """What a library has to say goes where the agent's own lines go: a terminal that takes no more must not stop the event loop."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.log(record.levelno, record.getMessage().strip(), exc_info=record.exc_info)


def _config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
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
