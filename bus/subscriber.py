"""The subscribing half: sockets owned by the one thread that reads them, which may poll or give `fileno` to an event loop."""

from __future__ import annotations

import contextlib
import itertools
import time as clock
from collections.abc import Callable, Iterable
from functools import lru_cache

import zmq
from msgspec import Raw, Struct

from bus.address import Addresses
from bus.errors import CorruptFrame
from bus.publisher import Publisher
from bus.sockets import subscribing
from bus.topic import Delivery
from bus.wire import MAX_ATTACHMENTS, Envelope, decode_envelope, split_frame

_LOOK = 0.05  # seconds between two looks at a socket that is not read yet
_probe_numbers = itertools.count(1)


class Received(Struct, frozen=True, gc=False):
    """One event as it arrived, its data not yet decoded."""

    topic: str
    plane: Delivery
    event_map: Raw
    envelope: Envelope
    attachments: tuple[bytes, ...] = ()


Rejection = Callable[[str, bytes, str], None]
"""Called with the claimed topic, the frame and the reason for each one that does not decode."""


def subscription(pattern: str) -> bytes:
    """The prefix to subscribe to: `train.` matches a domain, `train.step` one topic, the empty pattern everything."""
    return pattern.encode() if not pattern or pattern.endswith(".") else pattern.encode() + b"\0"


def matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a topic is one of those that these patterns subscribe to."""
    prefixes = tuple(pattern for pattern in patterns if not pattern or pattern.endswith("."))
    return lru_cache(maxsize=4096)(lambda topic: topic in patterns or topic.startswith(prefixes))


class Subscriber:
    """Reads the given patterns on the given planes. `newest_only` keeps one LATEST event for each source and topic of a drain.

    `high_water_mark` is how many durable and control events wait in the socket.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        addresses: Addresses,
        patterns: Iterable[str],
        *,
        planes: Iterable[Delivery] = Delivery,
        on_rejected: Rejection,
        newest_only: bool = False,
        high_water_mark: int = 4000,
    ) -> None:
        self._on_rejected = on_rejected
        self._newest_only = newest_only
        self._sockets = {plane: subscribing(context, addresses.plane(plane).outlet, plane, high_water_mark) for plane in planes}
        self._poller = zmq.Poller()
        for socket in self._sockets.values():
            self._poller.register(socket, zmq.POLLIN)
        for socket, pattern in itertools.product(self._sockets.values(), patterns):
            socket.subscribe(subscription(pattern))

    def await_ready(self, publisher: Publisher, timeout: float) -> None:
        """Return once nothing published from now on can be missed. Raises NoHub, BusTimeout."""
        # libzmq sends the subscriptions of a new connection in byte order: the tilde sorts after every topic.
        probe = f"~ready.{publisher.source}-{publisher.epoch:x}-{next(_probe_numbers)}".encode()
        deadline = clock.monotonic() + timeout
        for socket in self._sockets.values():
            socket.subscribe(probe)
        for plane, socket in self._sockets.items():
            while not publisher.listeners.wait_until(plane, lambda heard: {b"", probe} <= heard, _LOOK) and clock.monotonic() < deadline:
                socket.getsockopt(zmq.EVENTS)  # libzmq tells a hub that came back of our subscriptions only when we look at the socket
            publisher.listeners.wait(plane, probe, max(deadline - clock.monotonic(), 0.0))
            socket.unsubscribe(probe)

    def filenos(self) -> list[int]:
        """Descriptors that become readable when something may have arrived; edge-triggered, so drain until `drain` returns nothing."""
        return [socket.fileno() for socket in self._sockets.values()]

    def wait(self, timeout: float | None) -> bool:
        """Whether something can be read within `timeout` seconds; None waits for ever."""
        return bool(self._poller.poll(None if timeout is None else int(timeout * 1000)))

    def watch(self, descriptor: int) -> None:
        """Let `wait` end when this descriptor can be read, too."""
        self._poller.register(descriptor, zmq.POLLIN)

    def drain(self, limit: int = 1000) -> list[Received]:
        """What has arrived, at most about `limit` frames of each plane. Does not wait."""
        events: list[Received] = []
        for plane, socket in self._sockets.items():
            if plane is Delivery.DURABLE:
                self._drain_events(socket, limit, events)
            else:
                received = self._drain_latest(socket, limit)
                events += _newest(received) if self._newest_only else received
        return events

    def close(self) -> None:
        for socket in self._sockets.values():
            socket.close(linger=0)

    def _drain_events(self, socket: zmq.Socket[bytes], limit: int, events: list[Received]) -> None:
        """Frames of the events plane, each read on its own: asking whether parts follow would cost more than to receive."""
        receive, decode = socket.recv, self._decode
        try:
            for _ in range(limit):
                events += decode(Delivery.DURABLE, receive(zmq.NOBLOCK), ())
        except zmq.Again:
            return

    def _drain_latest(self, socket: zmq.Socket[bytes], limit: int) -> list[Received]:
        events: list[Received] = []
        with contextlib.suppress(zmq.Again):
            for _ in range(limit):
                frame, *attachments = socket.recv_multipart(zmq.NOBLOCK)
                if len(attachments) > MAX_ATTACHMENTS:
                    self._on_rejected("?", frame, f"{len(attachments)} attachments")
                else:
                    events += self._decode(Delivery.LATEST, frame, tuple(attachments))
        return events

    def _decode(self, plane: Delivery, frame: bytes, attachments: tuple[bytes, ...]) -> list[Received]:
        topic = "?"
        try:
            topic, maps = split_frame(frame)
            return [Received(topic, plane, event_map, decode_envelope(topic, event_map), attachments) for event_map in maps]
        except CorruptFrame as error:
            self._on_rejected(topic, frame, str(error))
            return []


def _newest(events: list[Received]) -> list[Received]:
    return list({(event.envelope.source, event.topic): event for event in events}.values())
