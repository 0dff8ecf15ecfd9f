"""ZeroMQ and the hub as the bus uses them, in memory: XPUB and SUB sockets, and a hub between them that loses, doubles and delays.

A connection keeps its order, as ZeroMQ's do, but for copies that the hub delays; a goodbye overtakes nothing of its sender.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum

import zmq

MARK = 64
"""Frames that wait in a publisher's socket; one more is refused, as at ZeroMQ's SNDHWM."""


class Fate(Enum):
    """What becomes of one copy of a frame on its way to one listener."""

    ARRIVES = "arrives"
    LOST = "lost"
    DOUBLED = "doubled"
    LATE = "late"


class Socket:
    """What the bus calls on a ZeroMQ socket of either kind. One of the latest plane stays unconnected."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.connected = self.closed = False
        self.arrived: deque[bytes] = deque()

    def setsockopt(self, option: int, value: int) -> None:
        """Options are the real socket's affair."""

    def getsockopt(self, option: int) -> int:
        return zmq.POLLIN if self.arrived else 0

    def connect(self, address: str) -> None:
        if "events." in address:
            self.hub.sockets.append(self)
            self.meet()

    def meet(self) -> None:
        """Connect, where the hub is there."""
        if self.hub.is_up and not self.connected and not self.closed:
            self.connected = True

    def part(self) -> None:
        """The hub is gone."""
        self.connected = False

    def recv(self, flags: int) -> bytes:
        if not self.arrived:
            raise zmq.Again
        return self.arrived.popleft()

    def recv_multipart(self, flags: int) -> list[bytes]:
        return [self.recv(flags)]

    def close(self, linger: int | None = None) -> None:
        self.closed = True


class Xpub(Socket):
    """A publisher's side: frames wait in `leaving` until the hub takes them, subscriptions arrive."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.leaving: deque[bytes] = deque()
        self.late: deque[tuple[Sub, bytes]] = deque()
        self.on_send: Callable[[bytes], None] = lambda frame: None

    def meet(self) -> None:
        if self.hub.is_up and not self.connected and not self.closed:
            self.connected = True
            self.arrived.append(b"\x01")

    def part(self) -> None:
        if self.connected:
            self.arrived.append(b"\x00")
        self.connected = False
        self.leaving.clear()
        self.late.clear()

    def send(self, frame: bytes, flags: int) -> None:
        if not self.connected or self.closed or len(self.leaving) >= MARK:
            raise zmq.Again
        self.on_send(frame)
        self.leaving.append(frame)

    def send_multipart(self, frames: Sequence[bytes], flags: int) -> None:
        self.send(frames[0], flags)


class Sub(Socket):
    """A subscriber's side. What has arrived stays readable when the hub is gone."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.prefixes: set[bytes] = set()

    def subscribe(self, prefix: bytes) -> None:
        self.prefixes.add(prefix)

    def wants(self, frame: bytes) -> bool:
        return self.connected and not self.closed and any(map(frame.startswith, self.prefixes))


class Hub:
    """Hands each frame to whoever wants it; dies with all that it carries. Stands in for a `zmq.Context` as well."""

    def __init__(self) -> None:
        self.is_up = True
        self.sockets: list[Socket] = []

    def socket(self, kind: int) -> Socket:
        return Xpub(self) if kind == zmq.XPUB else Sub(self)

    def die(self) -> None:
        self.is_up = False
        for socket in self.sockets:
            socket.part()

    def start(self) -> None:
        """It is back; each socket finds it when `meet` is called on it."""
        self.is_up = True

    @property
    def senders(self) -> list[Xpub]:
        """The sockets from which something is on its way, also of publishers that are gone."""
        return [socket for socket in self.sockets if isinstance(socket, Xpub) and (socket.leaving or socket.late)]

    def carry(self, sender: Xpub, fate: Callable[[], Fate]) -> None:
        """Take the sender's next frame, a copy for each that wants it; where there is none, what was late arrives."""
        frame = sender.leaving.popleft() if sender.leaving else b""
        if not frame or frame.startswith(b"bus.bye"):
            self._deliver_late(sender)
        for socket in self.sockets:
            if frame and isinstance(socket, Sub) and socket.wants(frame):
                self._copy(sender, socket, frame, fate())

    def _copy(self, sender: Xpub, listener: Sub, frame: bytes, fate: Fate) -> None:
        if fate is Fate.LATE:
            sender.late.append((listener, frame))
        elif fate is not Fate.LOST:
            listener.arrived += [frame] * (2 if fate is Fate.DOUBLED else 1)

    def _deliver_late(self, sender: Xpub) -> None:
        while sender.late:
            listener, frame = sender.late.popleft()
            if listener.wants(frame):
                listener.arrived.append(frame)
