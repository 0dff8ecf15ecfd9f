"""Remote Control over a WebSocket: requests go out one behind the other, and each answer finds its own by its number.

An engine answers in its next frame and in any order, in text or binary frames.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

import msgspec
import structlog
from msgspec import UNSET, Raw, Struct, UnsetType
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from agents.parts.remote_control import PASSPHRASE, Parameters
from agents.ue5.remote.wire import ANSWER_LIMIT, CONNECT_SECONDS, PATIENCE, Answer, BadAnswer, Late, Lost
from schemas.ue5 import Transport

IN_FLIGHT = 4096
"""Requests without an answer at most; more wait until there is room."""

_log = structlog.get_logger()


class _Said(Struct, frozen=True, omit_defaults=True):
    MessageName: str
    Parameters: Parameters
    Passphrase: str | UnsetType = UNSET


class _Heard(Struct, frozen=True):
    """An answer; what has no number is an event of a preset, which nobody here asked for."""

    RequestId: int | None = None
    ResponseCode: int = 0
    ResponseBody: Raw = Raw(b"")


@dataclass(frozen=True, slots=True)
class _Waiting:
    due: float
    answer: asyncio.Future[Answer]


class WebSocketWire(WSListener):
    """One WebSocket. Use it from the event loop that opened it."""

    transport: Transport = "websocket"

    def __init__(self, passphrase: str | None = None, patience: float = PATIENCE) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self._malformed = 0
        self._passphrase = UNSET if passphrase is None else passphrase
        self._patience = patience
        self._socket: WSTransport | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}  # in the order of sending, which is that of their deadlines
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._timer: asyncio.TimerHandle | None = None
        self._parts = bytearray()
        self._heard = msgspec.json.Decoder(_Heard)

    async def request(self, verb: str, url: str, body: bytes) -> Answer:
        """Ask, and wait for the answer. Raises Lost, Late, BadAnswer."""
        await self._enter()
        try:
            return await self._send(verb, url, body)
        finally:
            self._room.release()

    async def close(self) -> None:
        """End the connection; who still waits for an answer hears Lost."""
        self._end("it was closed")
        if self._socket is not None:
            self._socket.disconnect()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._socket = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            self._end(f"the engine closed the WebSocket: {frame.get_close_code()}")
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._take(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._end("the WebSocket was closed")

    async def _enter(self) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._room.acquire()
        except TimeoutError:
            raise Late(f"{IN_FLIGHT} requests have no answer, and none came in {self._patience:g} s") from None

    async def _send(self, verb: str, url: str, body: bytes) -> Answer:
        if self._socket is None or self.ended.done():
            raise Lost("there is no WebSocket any more")
        number = next(self._numbers)
        waiting = _Waiting(self._loop.time() + self._patience, self._loop.create_future())
        self._waiting[number] = waiting
        parameters = Parameters(RequestId=number, Url=url, Verb=verb, Body=Raw(body) if body else None)
        self._socket.send(WSMsgType.TEXT, msgspec.json.encode(_Said("http", parameters, self._passphrase)))
        self._watch(waiting.due)
        return await waiting.answer

    def _take(self, frame: WSFrame) -> None:
        """Put a message together from its frames, which are bounded as a whole."""
        if frame.fin and not self._parts:
            self._hear(frame.get_payload_as_memoryview())
            return
        self._parts += frame.get_payload_as_memoryview()
        if len(self._parts) > ANSWER_LIMIT:
            self._refuse(f"a message of more than {ANSWER_LIMIT} bytes")
        elif frame.fin:
            whole, self._parts = self._parts, bytearray()
            self._hear(whole)

    def _hear(self, message: memoryview | bytearray) -> None:
        try:
            heard = self._heard.decode(message)
        except msgspec.DecodeError as error:
            self._count_malformed(str(error))
            return
        waiting = self._waiting.pop(heard.RequestId, None) if heard.RequestId is not None else None
        if waiting is not None and not waiting.answer.done():
            waiting.answer.set_result(Answer(heard.ResponseCode, bytes(heard.ResponseBody)))

    def _count_malformed(self, reason: str) -> None:
        """Whose answer it was, nobody knows: who waits for it hears Late."""
        self._malformed += 1
        if self._malformed == 1:
            _log.warning("the engine sent what is no answer of Remote Control", reason=reason)

    def _refuse(self, reason: str) -> None:
        self._end(reason, BadAnswer)
        if self._socket is not None:
            self._socket.disconnect(graceful=False)

    def _watch(self, due: float) -> None:
        """See to the oldest deadline, by one timer for all."""
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for number, waiting in list(self._waiting.items()):
            if waiting.due > now:
                self._watch(waiting.due)
                return
            del self._waiting[number]
            _fail(waiting, Late(f"no answer in {self._patience:g} s"))

    def _end(self, reason: str, kind: type[Lost | BadAnswer] = Lost) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            _fail(each, kind(reason))


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


async def open_websocket(url: str, passphrase: str | None, patience: float = PATIENCE) -> WebSocketWire:
    """Connect to `ws://…`, within `CONNECT_SECONDS`. Raises Lost."""
    headers = {} if passphrase is None else {PASSPHRASE: passphrase}
    try:
        async with asyncio.timeout(CONNECT_SECONDS):  # picows bounds the handshake alone
            _, listener = await ws_connect(
                lambda: WebSocketWire(passphrase, patience),
                url,
                max_frame_size=ANSWER_LIMIT,
                max_redirects=0,
                extra_headers=headers,
            )
    except (OSError, WSError, TimeoutError) as error:
        raise Lost(f"no WebSocket at {url}: {str(error) or type(error).__name__}") from error
    assert isinstance(listener, WebSocketWire)  # the factory's own
    return listener
