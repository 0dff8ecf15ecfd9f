"""The publishing half of a connection: sockets, the ring of unacknowledged events, and who is listening.

Any thread may publish. `bus.connection` runs the one I/O thread, which calls `drain`, `on_ack` and `tick`; every touch of a
socket is under `lock`.
"""

from __future__ import annotations

import os
import re
import threading
import time as clock
from collections import Counter
from collections.abc import Callable, Set
from typing import Any

import msgspec
import structlog
import zmq

from bus.address import Addresses
from bus.errors import BusError, BusFull, BusTimeout, FrameTooLarge, NoHub
from bus.ring import RESEND_EVENTS, ResendTimer, Ring
from bus.topic import NAME_PATTERN, Delivery, Topic
from bus.wire import MAX_ATTACHMENT, MAX_ATTACHMENTS, Ack, Bye, Envelope, Floor, encode_data, encode_frame, stream_of

RECONNECT_MILLISECONDS = 10  # back 7 to 21 ms after a hub restart; libzmq's own 100 takes 73 to 185
PUBLISH_TIMEOUT = 5.0
"""Seconds that a durable publish waits for room in the ring before it raises BusFull."""

_log = structlog.get_logger()


class Publisher:
    """One source and epoch. `heard` holds the subscription prefixes on each plane; the empty one says that the hub is there.

    `tap`, where set, is called under the lock with each durable event's topic, map and envelope: the recorder appends its own so.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        addresses: Addresses,
        source: str,
    ) -> None:
        if not re.match(NAME_PATTERN, source):
            raise ValueError(f"source {source!r}: want up to 63 lower-case letters, digits, - and _")
        self._addresses = addresses
        self.source = source
        self.epoch = clock.time_ns()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.ring = Ring()
        self.timer = ResendTimer()
        self.published: Counter[str] = Counter()
        self.dropped = 0
        self.heard: dict[Delivery, set[bytes]] = {Delivery.DURABLE: set(), Delivery.LATEST: set()}
        self.sockets = {plane: _xpub(context, addresses.plane(plane).inlet) for plane in Delivery}
        self._counters: dict[str, int] = {"latest": 0, "control": 0}
        self._previous: dict[str, int] = {}
        self.tap: Callable[[str, bytes, Envelope], None] | None = None
        self._pid = os.getpid()
        self._closed = False
        self._resend_until = self._resent = 0
        self._hub_met = False
        self._hub_returned: float | None = None

    def publish(
        self,
        topic: Topic[Any],
        data: object,
        *,
        run: str | None = None,
        cause: str | None = None,
        time: int | None = None,
        timeout: float = PUBLISH_TIMEOUT,
        attachments: tuple[bytes, ...] = (),
    ) -> str:
        """Publish one event and return its id. A durable one waits up to `timeout` seconds for room, then raises BusFull.

        Raises FrameTooLarge for more than 64 KiB, ValueError for a run or cause that no reader would take; a failure takes no seq.
        """
        self._check_process()
        fields = {"run": run, "cause": cause, "time": time or clock.time_ns(), "data": encode_data(data)}
        if topic.delivery is Delivery.LATEST:
            return self._publish_unacknowledged(topic.name, Delivery.LATEST, fields, _checked(topic.name, attachments))
        if attachments:
            raise ValueError(f"{topic.name} is durable: bulk goes into the store, its hash onto the bus")
        return self._publish_durable(topic.name, fields, timeout)

    def send_control(self, topic: str, data: object, cause: str | None = None) -> str:
        """Send one event of `command.*`, `reply.*` or `bus.*`: never acknowledged, never sent again. Returns its id."""
        self._check_process()
        fields = {"cause": cause, "time": clock.time_ns(), "data": encode_data(data)}
        return self._publish_unacknowledged(topic, Delivery.DURABLE, fields, ())

    def flush(self, timeout: float) -> None:
        """Return when everything published before is on disk. Raises BusTimeout."""
        with self.changed:
            target = self.ring.last
            if not self.changed.wait_for(lambda: self.ring.acknowledged >= target, timeout):
                unsafe = target - self.ring.acknowledged
                raise BusTimeout(f"{unsafe} events of {self.source} are not on disk after {timeout} s: is the recorder running?")

    def wait_heard(self, plane: Delivery, prefix: bytes, timeout: float) -> None:
        """Return once this subscription has passed the hub. Raises NoHub, or BusTimeout where the hub is there without it."""
        with self.changed:
            heard = self.heard[plane]
            if self.changed.wait_for(lambda: b"" in heard and prefix in heard, timeout):
                return
            if b"" not in heard:
                raise NoHub(f"no hub answers at {self._addresses.plane(plane).inlet}: start the appliance with ./dev up")
            raise BusTimeout(f"the subscription {prefix!r} has not passed the hub within {timeout} s")

    def is_heard(self, plane: Delivery, prefix: bytes) -> bool:
        with self.lock:
            return prefix in self.heard[plane]

    def hub_is_new(self, seconds: float) -> bool:
        """Whether the hub came back less than so long ago: others may not have found it yet. The first time does not count."""
        with self.lock:
            return self._hub_returned is not None and clock.monotonic() - self._hub_returned < seconds

    def await_listeners(self, plane: Delivery, wanted: Callable[[Set[bytes]], bool], timeout: float) -> bool:
        """Wait until the subscription prefixes that somebody holds on this plane are as `wanted`; whether they are."""
        with self.changed:
            return self.changed.wait_for(lambda: wanted(self.heard[plane]), timeout)

    def filenos(self) -> list[int]:
        """Descriptors that become readable when subscriptions may have arrived."""
        return [socket.fileno() for socket in self.sockets.values()]

    def drain(self) -> None:
        """Read every subscription that has arrived."""
        with self.changed:
            if self._closed:
                return
            for plane in Delivery:
                self._drain_plane(plane)

    def on_ack(self, ack: Ack) -> None:
        """Take an acknowledgement: those of other epochs and older ones are ignored. Sends what it asks for."""
        with self.changed:
            if ack.epoch != self.epoch or self._closed:
                return
            if self.ring.acknowledge(ack.last):
                self.timer.progress(clock.monotonic(), outstanding=len(self.ring) > 0)
                self.changed.notify_all()
                self._resend_more()
            if ack.missing is not None:
                self._resend_range(*ack.missing)

    def tick(self) -> float | None:
        """Send again what is due. Returns the seconds until the next time, None while nothing waits."""
        with self.lock:
            now = clock.monotonic()
            if not self._closed and self.timer.fire(now):
                self._resend()
            return None if self.timer.due is None else max(self.timer.due - now, 0.0)

    def close(self) -> None:
        """Say goodbye and close the sockets; what is not acknowledged by now is not waited for."""
        with self.changed:
            if self._closed:
                return
            if self.ring.last and not len(self.ring):
                self.send_control("bus.bye", Bye(epoch=self.epoch, last=self.ring.last))
            self._closed = True
            for socket in self.sockets.values():
                socket.close(linger=500)
            self.changed.notify_all()

    def _publish_durable(self, topic: str, fields: dict[str, Any], timeout: float) -> str:  # Any: an envelope's fields
        with self.changed:
            self._check_usable()
            self._await_room(topic, timeout)
            envelope = self._envelope(fields, self.ring.next_seq, self.ring.previous(topic))
            frame = encode_frame(topic, envelope)
            self.ring.append(topic, frame)
            self.published[topic] += 1
            self.timer.waiting(clock.monotonic())
            if self.tap is not None:
                self.tap(topic, frame[len(topic) + 2 :], envelope)
            self._send(Delivery.DURABLE, [frame])
            return envelope.id(topic)

    def _publish_unacknowledged(self, topic: str, plane: Delivery, fields: dict[str, Any], attachments: tuple[bytes, ...]) -> str:
        stream = stream_of(topic, plane)
        with self.lock:
            self._check_usable()
            envelope = self._envelope(fields, self._counters[stream] + 1, self._previous.get(topic, 0))
            frame = encode_frame(topic, envelope)
            self._counters[stream] += 1
            sent = self._send(plane, [frame, *attachments])
            if plane is Delivery.LATEST:  # control has a topic for each publisher and inbox, which would pile up here
                self._previous[topic] = envelope.seq
                self.published[topic] += 1
                self.dropped += not sent
            return envelope.id(topic)

    def _envelope(self, fields: dict[str, Any], seq: int, previous: int) -> Envelope:
        fields = {**fields, "data": msgspec.Raw(fields["data"])}
        return Envelope(source=self.source, epoch=self.epoch, seq=seq, prev=previous, **fields)

    @property
    def is_forked(self) -> bool:
        """Whether this is a child of the process that connected: sockets, threads and locks are its parent's."""
        return os.getpid() != self._pid

    def _check_process(self) -> None:
        """Before any lock is taken: in a forked child a lock may be held by a thread that does not exist."""
        if self.is_forked:
            raise BusError(f"{self.source} was connected before this process was forked: connect anew in the child")

    def _check_usable(self) -> None:
        if self._closed:
            raise BusError(f"{self.source} is closed")

    def _await_room(self, topic: str, timeout: float) -> None:
        if not self.ring.is_full:
            return
        if timeout > 0:
            _log.warning("publisher waits for room", topic=topic, unacknowledged=len(self.ring), timeout=timeout)
        has_room = self.changed.wait_for(lambda: not self.ring.is_full or self._closed, timeout)
        self._check_usable()
        if not has_room:
            raise BusFull(f"{topic}: {len(self.ring)} events of {self.source} unacknowledged for {timeout} s: is the recorder running?")

    def _send(self, plane: Delivery, frames: list[bytes]) -> bool:
        socket = self.sockets[plane]
        try:
            socket.send_multipart(frames, zmq.NOBLOCK, copy=True)
        except zmq.Again:
            return False
        # A send also takes in what has arrived, and with it the edge that would wake the I/O thread.
        if _is_readable(socket):
            self._drain_plane(plane)
        return True

    def _send_frames(self, frames: list[bytes]) -> None:
        for frame in frames:
            if not self._send(Delivery.DURABLE, [frame]):
                return

    def _resend(self) -> None:
        """Begin to send again all that is held: the oldest now, what follows with each acknowledgement."""
        self._resend_until = self.ring.last
        self._resent = self.ring.acknowledged
        self._resend_more()

    def _resend_more(self) -> None:
        """Send again what has come into the window behind the last acknowledgement, each event once."""
        end = min(self.ring.acknowledged + RESEND_EVENTS, self._resend_until)
        if end > self._resent:
            self._send_frames(self.ring.between(self._resent + 1, end))
            self._resent = end

    def _resend_range(self, first: int, last: int) -> None:
        if first < self.ring.floor:
            self.send_control("bus.floor", Floor(epoch=self.epoch, floor=self.ring.floor))
        self._send_frames(self.ring.between(first, last))

    def _drain_plane(self, plane: Delivery) -> None:
        socket, heard = self.sockets[plane], self.heard[plane]
        while _is_readable(socket):
            try:
                message = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._on_subscription(plane, heard, message)

    def _on_subscription(self, plane: Delivery, heard: set[bytes], message: bytes) -> None:
        if message[:1] == b"\x01":
            heard.add(message[1:])
            if message == b"\x01" and plane is Delivery.DURABLE:
                self._hub_returned = clock.monotonic() if self._hub_met else None
                self._hub_met = True
                self._resend()
        elif message[:1] == b"\x00":
            heard.discard(message[1:])
        self.changed.notify_all()


def _xpub(context: zmq.Context[zmq.Socket[bytes]], inlet: str) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MILLISECONDS)
    socket.setsockopt(zmq.SNDHWM, 4000)
    socket.connect(inlet)
    return socket


def _is_readable(socket: zmq.Socket[bytes]) -> bool:
    return bool(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)


def _checked(topic: str, attachments: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if len(attachments) > MAX_ATTACHMENTS or any(len(frame) > MAX_ATTACHMENT for frame in attachments):
        raise FrameTooLarge(f"{topic}: want at most {MAX_ATTACHMENTS} attachments of at most {MAX_ATTACHMENT} bytes")
    return attachments
