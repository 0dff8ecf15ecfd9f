"""A headset's page without a browser: it says what the page says over its WebSocket (docs/xr-wire.md), and knows when it truly did."""

from __future__ import annotations

import math
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from agents.xr.wire.messages import Begin, Hello

RATE = 90.0
OPEN_SECONDS = 10.0
END_SECONDS = 5.0
QUICK_ROUNDS, QUICK_SECONDS, SLOW_SECONDS = 10, 0.05, 1.0
"""Round trips as page/clock.js makes them."""
_FRAME, _PING, _PONG, _ECHO = (
    struct.Struct("<BBBBIddBBBB7f"),
    struct.Struct("<BBHId"),
    struct.Struct("<BBHIdqq"),
    struct.Struct("<BBHIdqqd"),
)


class Headset:
    """A head that sways, `RATE` times a second. `sent` is when each frame was sent by this machine's clock, in ns, by sequence."""

    def __init__(self, connection: ClientConnection) -> None:
        self.sent: dict[int, int] = {}
        self._connection = connection
        self._began = time.perf_counter()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._answer, self._ask, self._look)]

    def start(self) -> None:
        self._connection.send(_said(Hello(page="benchmark", kind="poses", user_agent="benchmarks/pose.py")))
        self._connection.send(_said(Begin(session="benchmark", mode="immersive-vr", native=False, space="local-floor", rate=RATE)))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        self._connection.close()
        for thread in self._threads:
            thread.join(END_SECONDS)

    def _now(self) -> float:
        """As performance.now() says it: milliseconds since the page was loaded, rounded down to tenths."""
        return math.floor((time.perf_counter() - self._began) * 10_000) / 10

    def _look(self) -> None:
        """Send frames, each when it is due."""
        sequence = 0
        while not self._over.wait(max(self._began + (sequence + 1) / RATE - time.perf_counter(), 0.0)):
            sequence += 1
            sampled, sway = self._now(), math.sin(sequence / RATE)
            turn = (0.0, math.sin(sway / 4), 0.0, math.cos(sway / 4))
            frame = _FRAME.pack(1, 1, 1, 0, sequence, sampled, self._now(), 0, 0, 0, 0, 0.2 * sway, 1.6, 0.0, *turn)
            self.sent[sequence] = time.time_ns()
            if not self._send(frame):
                return

    def _ask(self) -> None:
        """Ask for the time, quickly at first."""
        number = 0
        while not self._over.wait(QUICK_SECONDS if number < QUICK_ROUNDS else SLOW_SECONDS):
            number += 1
            if not self._send(_PING.pack(2, 1, 0, number, self._now())):
                return

    def _answer(self) -> None:
        """Say the four times of each round trip."""
        try:
            for data in self._connection:
                if isinstance(data, bytes):
                    _, _, _, number, asked, received, sent = _PONG.unpack(data)
                    self._send(_ECHO.pack(4, 1, 0, number, asked, received, sent, self._now()))
        except ConnectionClosed:
            return

    def _send(self, data: bytes) -> bool:
        """Whether the connection still took it."""
        try:
            self._connection.send(data)
        except ConnectionClosed:
            return False
        return True


@contextmanager
def headset(page: str) -> Iterator[Headset]:
    """One that looks around, connected to the agent whose page is at this address. Raises OSError, TimeoutError."""
    address = f"{page.replace('http', 'ws', 1)}/stream"
    with connect(address, origin=Origin(page), open_timeout=OPEN_SECONDS, max_size=1 << 16) as connection:
        worn = Headset(connection)
        worn.start()
        try:
            yield worn
        finally:
            worn.stop()


def _said(message: Hello | Begin) -> str:
    return msgspec.json.encode(message).decode()
