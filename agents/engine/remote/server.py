"""Remote Control at two ports of this machine, HTTP and WebSocket, answered in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import structlog
from msgspec import Struct

from agents.engine.remote.http import application
from agents.engine.remote.remote import Remote
from agents.engine.remote.websocket import WebSockets
from agents.parts.http.door import Door, open_door
from agents.parts.http.gate import Proof
from agents.parts.http.serving import Serving
from agents.parts.remote_control import PASSPHRASE

START_SECONDS = 10.0
PROOF = Proof("passphrase", PASSPHRASE.lower().encode(), "", f"{PASSPHRASE}: YOURS")

_log = structlog.get_logger()


class Addresses(Struct, frozen=True, kw_only=True):
    """Where clients reach the server."""

    http: str
    websocket: str


class RemoteServer:
    """Answers from `start` to `stop`, once. A taken port yields another one."""

    def __init__(self, remote: Remote, host: str, http_port: int, websocket_port: int, passphrase: str | None = None) -> None:
        self._remote, self._host, self._passphrase = remote, host, passphrase
        self._ports = (http_port, websocket_port)
        self._opened: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread: threading.Thread | None = None

    def start(self) -> Addresses:
        """Raises BadDoor, also where other machines could come in without a passphrase."""
        http, websocket = self._open_doors()
        self._thread = threading.Thread(target=self._run, args=(http, websocket), name="remote-control", daemon=True)
        self._thread.start()
        self._opened.result(START_SECONDS)
        return Addresses(http=http.url, websocket=f"ws://{websocket.gate.authority}")

    @property
    def is_answering(self) -> bool:
        """Whether its thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self, timeout: float) -> None:
        """Take no more requests, and wait at most so many seconds for the thread's end."""
        if self._thread is None or self._opened.exception(timeout) is not None:
            return
        loop, ending = self._opened.result()
        if self._thread.is_alive():
            loop.call_soon_threadsafe(ending.set)
        self._thread.join(timeout)
        if self._thread.is_alive():
            _log.error("the server of Remote Control does not end", seconds=timeout)

    def _open_doors(self) -> tuple[Door, Door]:
        http_port, websocket_port = self._ports
        http = open_door(self._host, http_port, self._passphrase, PROOF)
        try:
            return http, open_door(self._host, websocket_port, self._passphrase, PROOF)
        except ValueError:
            http.socket.close()
            raise

    def _run(self, http: Door, websocket: Door) -> None:
        try:
            asyncio.run(self._serve(http, websocket))
        except Exception as error:
            _log.error("the server of Remote Control has failed", exc_info=error)
            if not self._opened.done():
                self._opened.set_exception(error)

    async def _serve(self, http: Door, websocket: Door) -> None:
        serving, sockets = Serving(http, application(self._remote, http.gate)), WebSockets(websocket, self._remote)
        ending = asyncio.Event()
        await serving.open()
        await sockets.open()
        self._opened.set_result((asyncio.get_running_loop(), ending))
        await ending.wait()
        await asyncio.gather(sockets.close(), serving.close())
