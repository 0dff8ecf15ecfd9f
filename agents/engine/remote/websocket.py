"""Remote Control over WebSockets: who may connect, how long messages may be, and what becomes of clients that do not read."""

from __future__ import annotations

import asyncio
import logging

import structlog
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from agents.engine.remote.answer import error_body
from agents.engine.remote.messages import answer_message
from agents.engine.remote.remote import Remote
from agents.parts.http.asgi import Scope
from agents.parts.http.crowd import Bounded
from agents.parts.http.door import Door
from agents.parts.http.gate import Refusal
from agents.parts.http.serving import Lines
from agents.parts.remote_control import BODY_LIMIT

CONNECTIONS = 64
"""At once: one more is answered with 503, and connections beyond twice as many are cut, whether they ask for anything or not."""
HANDSHAKE_SECONDS, IDLE_SECONDS, PONG_SECONDS = 5.0, 20.0, 20.0
"""How long a client may take to ask for a WebSocket, be silent before it is pinged, and leave that unanswered."""
READ_SECONDS = 20.0
"""How long a client may leave answers unread."""
WRITE_HIGH, WRITE_LIMIT = 1 << 20, 16 << 20
"""Bytes of unread answers beyond which a client's messages are no longer read, and beyond which it is cut at once."""
CLOSE_SECONDS = 0.3

_log = structlog.get_logger()


class WebSockets:
    """All connections of a door, from `open` to `close`."""

    def __init__(self, door: Door, remote: Remote) -> None:
        self._door, self._remote = door, remote
        self._peers: set[Peer] = set()
        self._server: asyncio.Server | None = None
        log = logging.getLogger("picows.server")
        log.handlers, log.propagate = [Lines(logging.WARNING)], False

    async def open(self) -> None:
        """Answer from now on, in this event loop."""
        self._server = await ws_create_server(
            self._welcome,
            sock=Bounded(self._door.socket, 2 * CONNECTIONS),
            websocket_handshake_timeout=HANDSHAKE_SECONDS,
            enable_auto_ping=True,
            auto_ping_idle_timeout=IDLE_SECONDS,
            auto_ping_reply_timeout=PONG_SECONDS,
            max_frame_size=BODY_LIMIT,
        )

    async def close(self) -> None:
        """Take no more connections, and say good-bye to those that there are."""
        if self._server is None:
            self._door.socket.close()
            return
        self._server.close()
        leaving = [asyncio.create_task(peer.leave()) for peer in self._peers]
        if leaving:
            await asyncio.wait(leaving, timeout=CLOSE_SECONDS)
        for peer in list(self._peers):
            peer.cut()

    def _welcome(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        refusal = self._door.gate.refusal(_scope(request))
        if refusal is None and len(self._peers) >= CONNECTIONS:
            refusal = Refusal(503, f"there are {CONNECTIONS} connections already, which is as many as it takes: close some")
        return Peer(self._remote, self._peers) if refusal is None else _refused(refusal)


class Peer(WSListener):
    """A client."""

    def __init__(self, remote: Remote, peers: set[Peer]) -> None:
        self._remote, self._peers = remote, peers
        self._parts = bytearray()
        self._late: asyncio.TimerHandle | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._peers.add(self)
        transport.underlying_transport.set_write_buffer_limits(high=WRITE_HIGH)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._peers.discard(self)
        self._stop_waiting()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._take(frame)

    async def leave(self) -> None:
        """Say good-bye, and wait until all answers are out: for ever, if the client does not read them."""
        self._transport.send_close(WSCloseCode.GOING_AWAY)
        self._transport.disconnect()
        await self._transport.wait_disconnected()

    def cut(self) -> None:
        self._transport.disconnect(graceful=False)

    def pause_writing(self) -> None:
        """The client does not read what it has asked for: it may not ask more meanwhile."""
        self._transport.underlying_transport.pause_reading()
        self._late = asyncio.get_running_loop().call_later(READ_SECONDS, self._give_up)

    def resume_writing(self) -> None:
        self._stop_waiting()
        self._transport.underlying_transport.resume_reading()

    def _take(self, frame: WSFrame) -> None:
        """Answer a message, once its last part is there."""
        if frame.fin and not self._parts:
            self._answer(frame.get_payload_as_bytes())
            return
        self._parts += frame.get_payload_as_memoryview()
        if len(self._parts) > BODY_LIMIT:
            self._transport.send_close(WSCloseCode.MESSAGE_TOO_BIG)
            self._transport.disconnect()
        elif frame.fin:
            whole, self._parts = bytes(self._parts), bytearray()
            self._answer(whole)

    def _answer(self, message: bytes) -> None:
        answer = answer_message(self._remote, message)
        if answer is None:
            return
        self._transport.send(WSMsgType.BINARY, answer)  # as Unreal does
        if self._transport.underlying_transport.get_write_buffer_size() > WRITE_LIMIT:
            self._give_up()

    def _give_up(self) -> None:
        _log.warning("a WebSocket's client does not read its answers: its connection is cut")
        self.cut()

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def _scope(request: WSUpgradeRequest) -> Scope:
    """A request as the gate looks at it."""
    headers = [(name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in request.headers.items()]
    return {"type": "websocket", "headers": headers, "raw_path": request.path, "query_string": b""}


def _refused(refusal: Refusal) -> WSUpgradeResponseWithListener:
    body = error_body(refusal.status, refusal.message)
    return WSUpgradeResponseWithListener(
        WSUpgradeResponse.create_error_response(refusal.status, body, {"Content-Type": "application/json"}), None
    )
