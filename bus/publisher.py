"""The publishing half of a connection: sockets, the ring of unacknowledged events, and who is listening.

Any thread may publish. `bus.connection` runs the one I/O thread, which calls `drain`, `on_ack` and `tick`; every touch of a
socket is under `lock`.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time as clock
from collections.abc import Callable
from typing import Any, cast

import structlog
import zmq
from msgspec import Raw

from bus.address import Addresses
from bus.batch import BATCH_SECONDS, Batch
from bus.errors import BusError, BusFull, BusTimeout
from bus.event import event_id
from bus.listeners import Listeners
from bus.ring import BATCHED_EVENTS, EVENTS, Ring, Sent
from bus.sockets import is_readable, publishing
from bus.topic import NAME_PATTERN, Delivery, Topic
from bus.wire import (
    Ack,
    Bye,
    Envelope,
    Floor,
    check_attachments,
    check_fields,
    encode_envelope,
    pack_frame,
    pack_frames,
    stream_of,
)

PUBLISH_TIMEOUT = 5.0
"""Seconds that a durable publish waits for room in the ring before it raises BusFull."""
WARN_SECONDS = 0.5
LISTEN_SECONDS = 0.001
"""At least this often, while it sends, a publisher looks for subscriptions that a send has taken in."""

_log = structlog.get_logger()

Tap = Callable[[str, bytes, Envelope], None]


class Publisher:
    """One source and epoch. `listeners` are those whose subscriptions it has heard; `ring` holds what is not acknowledged.

    `published` counts by topic. `tap`, where set, is called under the lock with each durable event's topic, map and envelope:
    the recorder appends its own so. Without `batching` every event is a frame of its own.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], addresses: Addresses, source: str, *, batching: bool = True) -> None:
        if not re.match(NAME_PATTERN, source):
            raise ValueError(f"source {source!r}: want up to 63 lower-case letters, digits, - and _")
        self.source = source
        self.epoch = clock.time_ns()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.ring = Ring(self.epoch, BATCHED_EVENTS if batching else EVENTS)
        self.published: dict[str, int] = {}
        self.dropped = 0
        self.listeners = Listeners(self.changed, addresses)
        self.sockets = {plane: publishing(context, addresses.plane(plane).inlet, plane) for plane in Delivery}
        self.tap: Tap | None = None
        self._counters: dict[str, int] = {"latest": 0, "control": 0}
        self._previous: dict[str, int] = {}
        self._batching = batching
        self._batch = Batch()
        self._sent = 0.0
        self._listened = dict.fromkeys(Delivery, 0.0)
        self._watched = False  # whether the I/O thread looks after the batch in time
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._pid = os.getpid()
        self._closed = False

    def publish(
        self,
        topic: Topic[Any],
        data: object,
        *,
        run: str | None = None,
        cause: str | None = None,
        time: int | None = None,
        replay: bool = False,
        timeout: float = PUBLISH_TIMEOUT,
        attachments: tuple[bytes, ...] = (),
    ) -> str:
        """Publish one event and return its id. A durable one waits up to `timeout` seconds for room, then raises BusFull.

        Raises TypeError for data that is not the topic's struct, FrameTooLarge for more than 64 KiB, ValueError for a run or cause that
        no reader would take; a failure takes no seq.
        """
        if not isinstance(data, topic.type):
            raise TypeError(f"{topic.name}: want {topic.type.__name__}, got {type(data).__name__}")
        unencoded = cast(Raw, data)  # it is encoded with the envelope, in one go
        return self.publish_raw(topic.name, topic.delivery, unencoded, run, cause, time, replay, timeout, attachments)

    def publish_raw(
        self,
        topic: str,
        plane: Delivery,
        data: Raw,
        run: str | None = None,
        cause: str | None = None,
        time: int | None = None,
        replay: bool = False,
        timeout: float = PUBLISH_TIMEOUT,
        attachments: tuple[bytes, ...] = (),
    ) -> str:
        """As `publish`, for data that is in MessagePack already and a topic that nobody here need know."""
        self.check_process()
        stream = stream_of(topic, plane)
        if stream == "control":
            raise ValueError(f"{topic} is of the control stream: a seq of the durable one on it would be a hole for ever")
        time = time or clock.time_ns()
        check_fields(topic, run, cause, time)
        if stream == "latest":
            return self._publish_unacknowledged(topic, plane, data, time, cause, run, replay, check_attachments(topic, attachments))
        if attachments:
            raise ValueError(f"{topic} is durable: bulk goes into the store, its hash onto the bus")
        return self._publish_durable(topic, data, time, cause, run, replay, timeout)

    def send_control(self, topic: str, data: object, cause: str | None = None) -> str:
        """Send one event of `command.*`, `reply.*` or `bus.*`: never acknowledged, never sent again. Returns its id."""
        self.check_process()
        return self._publish_unacknowledged(topic, Delivery.DURABLE, cast(Raw, data), clock.time_ns(), cause)  # as in publish

    def flush(self, timeout: float) -> None:
        """Return when everything published before is on disk. Raises BusTimeout."""
        self.check_process()
        with self.changed:
            target = self.ring.last
            self._send_batch(clock.monotonic())
            if not self.changed.wait_for(lambda: self.ring.acknowledged >= target, timeout):
                unsafe = target - self.ring.acknowledged
                raise BusTimeout(f"{unsafe} events of {self.source} are not on disk after {timeout} s: is the recorder running?")

    def filenos(self) -> list[int]:
        """Descriptors that become readable when subscriptions may have arrived, or a batch waits for its time."""
        return [self._wake_read, *(socket.fileno() for socket in self.sockets.values())]

    def drain(self) -> None:
        """Read every subscription that has arrived."""
        with self.lock:
            if self._closed:
                return
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 16)
            for plane in Delivery:
                self._listen(plane)

    def on_ack(self, ack: Ack) -> None:
        """Take an acknowledgement, and send what it calls for."""
        with self.changed:
            if self._closed:
                return
            before = self.ring.acknowledged
            answer = self.ring.on_ack(ack, clock.monotonic())
            if self.ring.acknowledged > before:
                self.changed.notify_all()
            if answer.floor is not None:
                self.send_control("bus.floor", Floor(epoch=self.epoch, floor=answer.floor))
            self._send_again(answer.again)

    def tick(self) -> float | None:
        """Send what is due: a batch that has waited, events without progress. Returns the seconds until the next time, None: none."""
        with self.lock:
            if self._closed:
                return None
            now = clock.monotonic()
            if self._batch.is_due(now):
                self._send_batch(now)
            self._send_again(self.ring.on_time(now))
            if not self._batch.is_empty:
                return max(self._batch.opened + BATCH_SECONDS - now, 0.0)
            self._watched = now - self._sent < BATCH_SECONDS  # under load it goes on looking: to be called for each batch costs more
            if self._watched:
                return BATCH_SECONDS
            return None if self.ring.due is None else max(self.ring.due - now, 0.0)

    def close(self) -> None:
        """Say goodbye and close the sockets; what is not acknowledged by now is not waited for."""
        with self.changed:
            if self._closed:
                return
            self._send_batch(clock.monotonic())
            if self.ring.last and not len(self.ring):
                self.send_control("bus.bye", Bye(epoch=self.epoch, last=self.ring.last))
            self._closed = True
            for socket in self.sockets.values():
                socket.close(linger=500)
            os.close(self._wake_read)
            os.close(self._wake_write)
            self.changed.notify_all()

    def _publish_durable(self, topic: str, data: Raw, time: int, cause: str | None, run: str | None, replay: bool, timeout: float) -> str:
        with self.lock:
            self._check_usable()
            ring = self.ring
            if ring.is_full:
                self._await_room(topic, timeout)
            seq, nth = ring.last + 1, self.published.get(topic, 0) + 1
            envelope = Envelope(
                source=self.source, time=time, epoch=self.epoch, seq=seq, prev=self._previous.get(topic, 0), nth=nth,
                cause=cause, run=run, replay=replay, data=data,
            )  # fmt: skip
            event_map = encode_envelope(topic, envelope)
            now = clock.monotonic()
            ring.append(topic, event_map, now)
            self._previous[topic] = seq
            self.published[topic] = nth
            if self.tap is not None:
                self.tap(topic, event_map, envelope)
            self._send_event(topic, event_map, now)
        return event_id(self.source, topic, self.epoch, seq)

    def _publish_unacknowledged(
        self,
        topic: str,
        plane: Delivery,
        data: Raw,
        time: int,
        cause: str | None = None,
        run: str | None = None,
        replay: bool = False,
        attachments: tuple[bytes, ...] = (),
    ) -> str:
        stream = stream_of(topic, plane)
        is_latest = plane is Delivery.LATEST  # control has a topic for each publisher and inbox, which would pile up here
        with self.lock:
            self._check_usable()
            seq, nth = self._counters[stream] + 1, self.published.get(topic, 0) + 1 if is_latest else 0
            envelope = Envelope(
                source=self.source, time=time, epoch=self.epoch, seq=seq, prev=self._previous.get(topic, 0), nth=nth,
                cause=cause, run=run, replay=replay, data=data,
            )  # fmt: skip
            frame = pack_frame(topic, [encode_envelope(topic, envelope)])
            now = clock.monotonic()
            self._counters[stream] = seq
            if is_latest:
                self._previous[topic] = seq
                self.published[topic] = nth
                self.dropped += not self._send(plane, [frame, *attachments], now)
            else:
                self._send_batch(now)
                self._send(plane, [frame], now)
                self._listen(plane)
        return event_id(self.source, topic, self.epoch, seq)

    @property
    def is_forked(self) -> bool:
        """Whether this is a child of the process that connected: sockets, threads and locks are its parent's."""
        return os.getpid() != self._pid

    def check_process(self) -> None:
        """Before any lock is taken: in a forked child a lock may be held by a thread that does not exist."""
        if os.getpid() != self._pid:
            raise BusError(f"{self.source} was connected before this process was forked: connect anew in the child")

    def _check_usable(self) -> None:
        if self._closed:
            raise BusError(f"{self.source} is closed")

    def _await_room(self, topic: str, timeout: float) -> None:
        """Backpressure: wait until the recorder has acknowledged something. A wait that can be felt is said."""
        self._send_batch(clock.monotonic())
        if not self._has_room(min(timeout, WARN_SECONDS)) and timeout > WARN_SECONDS:
            _log.warning("publisher waits for room", topic=topic, unacknowledged=len(self.ring), timeout=timeout)
            self._has_room(timeout - WARN_SECONDS)
        self._check_usable()
        if self.ring.is_full:
            raise BusFull(f"{topic}: {len(self.ring)} events of {self.source} unacknowledged for {timeout} s: is the recorder running?")

    def _has_room(self, timeout: float) -> bool:
        return self.changed.wait_for(lambda: not self.ring.is_full or self._closed, timeout)

    def _send_event(self, topic: str, event_map: bytes, now: float) -> None:
        """Send an event that comes alone at once; gather those that follow each other closely."""
        if not self._batching or (self._batch.is_empty and now - self._sent >= BATCH_SECONDS):
            self._send_durable(pack_frame(topic, (event_map,)), now)
            return
        for frame in self._batch.add(topic, event_map, now):
            self._send_durable(frame, now)
        if not self._watched:
            self._watched = True
            os.write(self._wake_write, b"b")

    def _send_batch(self, now: float) -> None:
        """Send what waits for company, before something else or because its time has come."""
        if not self._batch.is_empty:
            self._send_durable(self._batch.take(), now)

    def _send_durable(self, frame: bytes, now: float) -> bool:
        """Send on the events plane. False where it takes nothing now: the ring keeps the events."""
        self._sent = now
        return self._send(Delivery.DURABLE, [frame], now)

    def _send(self, plane: Delivery, frames: list[bytes], now: float) -> bool:
        """Send one message. False where the plane takes nothing now."""
        socket = self.sockets[plane]
        try:
            if len(frames) == 1:
                socket.send(frames[0], zmq.NOBLOCK)
            else:
                socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        if now - self._listened[plane] >= LISTEN_SECONDS:
            self._listened[plane] = now
            self._listen(plane)
        return True

    def _send_again(self, events: list[Sent]) -> None:
        if not events:
            return
        now = clock.monotonic()
        for frame in pack_frames(events):
            if not self._send_durable(frame, now):
                return

    def _listen(self, plane: Delivery) -> None:
        """Read subscriptions, also after a send: it takes in what has arrived, and with it the edge that would wake the I/O thread."""
        socket = self.sockets[plane]
        with contextlib.suppress(zmq.Again):
            while is_readable(socket):
                if self.listeners.hear(plane, socket.recv(zmq.NOBLOCK)):
                    self._send_again(self.ring.on_hub())
