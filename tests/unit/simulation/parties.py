"""Who takes part: publishers and a recorder, made of the real classes. What a process does in threads happens here call by call."""

from __future__ import annotations

import contextlib
import copy
import os
import threading
from pathlib import Path
from typing import Any, cast

from msgspec import Raw

from agents.recorder.committer import Committer
from agents.recorder.intake import Intake
from bus.address import Addresses, Plane
from bus.errors import BusFull
from bus.log.log import Log
from bus.publisher import Publisher
from bus.subscriber import Subscriber
from bus.topic import Delivery, Topic
from bus.wire import Ack, decode_data, encode_data
from schemas import system
from simulation.network import Hub, Sub, Xpub

ADDRESSES = Addresses(Plane("events.in", "events.out"), Plane("latest.in", "latest.out"))
ROOM = 10
"""Events in a publisher's ring: small, so that it fills."""
SEGMENT_BYTES = 3000
RECORDER = "recorder"
TEXT = Topic("note.text", str)


def reject(topic: str, frame: bytes, reason: str) -> None:
    raise AssertionError(f"{topic}: {reason}: nothing here sends what does not decode")


class Speaker:
    """One connection that publishes: a `bus.client.Client` without its thread. `tokens` are what it published, by seq."""

    def __init__(self, hub: Hub, source: str) -> None:
        self.source = source
        context = cast(Any, hub)  # the hub makes sockets as a zmq.Context does
        self.publisher = Publisher(context, ADDRESSES, source)
        self.publisher.ring.capacity = ROOM
        self.tokens: dict[int, int] = {}
        self.confirmed = 0
        self.xpub = cast(Xpub, self.publisher.sockets[Delivery.DURABLE])
        self.subscriber = Subscriber(context, ADDRESSES, [f"bus.ack.{source}"], planes=[Delivery.DURABLE], on_rejected=reject)
        self.sub = _socket(self.subscriber)

    def publish(self, topic: str, token: int) -> int | None:
        """The event's seq, None where there was no room. Never waits for it."""
        try:
            event_id = self.publisher.publish_raw(topic, Delivery.DURABLE, Raw(encode_data({"token": token})), timeout=0)
        except BusFull:
            return None
        seq = int(event_id.rpartition("/")[2])
        self.tokens[seq] = token
        return seq

    def listen(self) -> None:
        """What the connection's thread does when something arrived, and when time has passed."""
        self.publisher.drain()
        for event in self.subscriber.drain():
            self.publisher.on_ack(decode_data(event.topic, event.envelope.data, Ack))
        self.publisher.tick()

    def newly_confirmed(self) -> list[int]:
        """The tokens that were acknowledged since the last call."""
        before, self.confirmed = self.confirmed, max(self.confirmed, self.publisher.ring.acknowledged)
        return [self.tokens[seq] for seq in range(before + 1, self.confirmed + 1) if seq in self.tokens]

    def forked(self) -> Speaker:
        """The same connection as a child of the process finds it."""
        child = copy.copy(self)
        child.tokens = dict(self.tokens)
        child.publisher = copy.copy(self.publisher)
        for name in ("ring", "published", "_previous", "_counters", "_batch"):
            setattr(child.publisher, name, copy.deepcopy(getattr(self.publisher, name)))
        child.publisher._pid = -1
        return child

    def leave(self) -> None:
        """End in good order: a goodbye, where all is acknowledged."""
        self.publisher.close()
        self.subscriber.close()

    def die(self, everything_sent_is_lost: bool) -> None:
        self.xpub.closed = True
        if everything_sent_is_lost:
            self.xpub.leaving.clear()
            self.xpub.late.clear()
        self.leave()


class Ears(Subscriber):
    """The recorder's subscriber, which never waits."""

    def wait(self, timeout: float | None) -> bool:
        return True


class Recorder:
    """`agents.recorder.agent.Recorder` without its threads: log, intake and committer, and what it publishes itself."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.log = Log.open(folder, {}, segment_bytes=SEGMENT_BYTES)
        self.speaker = Speaker(hub, RECORDER)
        self.hub = hub
        self.intake = Intake(self.log, RECORDER, reject, self._on_gap, self._is_listening)
        for source, epoch in list(self.intake.streams):
            if source == RECORDER:
                self.intake.end((source, epoch))
        self.subscriber = Ears(cast(Any, hub), ADDRESSES, [""], on_rejected=reject)
        self.committer = Committer(
            self.speaker.publisher, self.log, self.intake, self.subscriber, lambda committed: None, lambda reason: None, _raise
        )
        self.committer._thread = threading.current_thread()
        self.committer._stopping.set()  # so that it never waits
        self.speaker.publisher.tap = self.committer.tap

    def work(self) -> None:
        """One turn of the committer's thread: take what has arrived, commit it and acknowledge."""
        self.committer._gather()
        if self.committer._commit():
            self.committer._acknowledge()
            self.committer._announce()

    def stop(self) -> None:
        """End in good order."""
        self.work()
        self._close_sockets()
        self.intake.end((RECORDER, self.speaker.publisher.epoch))
        self.log.close()
        self.speaker.leave()

    def die(self, everything_sent_is_lost: bool) -> None:
        self.log._held.close()
        if self.log._segment is not None:
            os.close(self.log._segment._fd)
        self._close_sockets()
        self.speaker.die(everything_sent_is_lost)

    def _close_sockets(self) -> None:
        self.subscriber.close()
        os.close(self.committer._wake_read)
        os.close(self.committer._wake_write)

    def _on_gap(self, gap: system.Gap) -> None:
        with contextlib.suppress(BusFull):
            self.speaker.publisher.publish(system.GAP, gap, timeout=0)

    def _is_listening(self, source: str) -> bool:
        return any(f"bus.ack.{source}\0".encode() in socket.prefixes for socket in self.hub.sockets if isinstance(socket, Sub))


def _socket(subscriber: Subscriber) -> Sub:
    return cast(Sub, subscriber._sockets[Delivery.DURABLE])


def _raise(error: Exception) -> None:
    raise error
