"""Remote Control over HTTP, where an engine has no WebSocket: one kept connection, one request at a time, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

from agents.parts.remote_control import PASSPHRASE
from agents.ue5.remote.wire import ANSWER_LIMIT, PATIENCE, Answer, BadAnswer, Late, Lost
from schemas.ue5 import Transport


class HttpWire:
    """Requests to one host and port; it connects with the first one. Use it from the event loop that made it."""

    transport: Transport = "http"

    def __init__(self, host: str, port: int, passphrase: str | None, patience: float = PATIENCE) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connection = HTTPConnection(host, port, timeout=patience)
        self._headers = {"Content-Type": "application/json", **({} if passphrase is None else {PASSPHRASE: passphrase})}
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, "remote-control")

    async def request(self, verb: str, url: str, body: bytes) -> Answer:
        """Ask, and wait for the answer. Raises Lost, Late, BadAnswer."""
        if self.ended.done():
            raise Lost(self.ended.result())
        asked = self._thread.submit(self._exchange, verb, url, body)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.wrap_future(asked)
        except TimeoutError:
            self._give_up(asked)
            raise Late(f"no answer in {self._patience:g} s") from None
        except (OSError, HTTPException) as error:
            self._end(f"no HTTP: {_reason(error)}")
            raise Lost(self.ended.result()) from error

    async def close(self) -> None:
        """End the connection; who still waits for an answer hears Lost."""
        self._end("it was closed")
        self._interrupt()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _exchange(self, verb: str, url: str, body: bytes) -> Answer:
        """One request and its answer. In the thread."""
        if self._connection.sock is not None and _is_closed(self._connection.sock):
            self._connection.close()  # the next request opens it again
        try:
            self._connection.request(verb, url, body, self._headers)
            with self._connection.getresponse() as response:
                content = response.read(ANSWER_LIMIT + 1)
            if len(content) > ANSWER_LIMIT:
                raise BadAnswer(f"an answer of more than {ANSWER_LIMIT} bytes")
            return Answer(response.status, content)
        except (OSError, HTTPException, BadAnswer):
            self._connection.close()
            raise

    def _give_up(self, asked: Future[Answer]) -> None:
        """Let go a request that nobody waits for any more; one that has not begun is none."""
        if asked.running():
            self._interrupt()

    def _interrupt(self) -> None:
        """Let the thread's own wait end."""
        if (open_socket := self._connection.sock) is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                open_socket.shutdown(socket.SHUT_RDWR)

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


def _is_closed(connection: socket.socket) -> bool:
    """Whether the server has ended a connection on which nothing was asked: only then is anything to be read."""
    return bool(select.select([connection], [], [], 0)[0])


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
