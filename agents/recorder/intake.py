"""Decides what becomes of each received event: appended, held, discarded, or an answer to its publisher.

Pure apart from the log that it appends to; the committer syncs it and sends the acknowledgements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Raw

from agents.recorder.losses import Losses
from agents.recorder.tally import counted_as
from bus.errors import CorruptFrame
from bus.log.log import Log
from bus.stream import Stream
from bus.subscriber import Received, Rejection
from bus.topic import Delivery
from bus.wire import Ack, Bye, Floor, decode_data, decode_envelope, stream_of
from schemas.system import Gap

MOST_STREAMS = 10_000
"""Publishers that have not said goodbye. Beyond that the oldest that is gone is forgotten, and where none is, a new one rejected."""
MOST_HELD = 64 * 1024 * 1024
"""Bytes of events above gaps that wait for missing ones, over all streams; beyond that they are left to be sent again."""

Key = tuple[str, int]
"""A stream: its source and epoch."""


class Intake:
    """The streams of every publisher. `touched` are those to acknowledge after the next commit, `recorded` counts events by topic.

    `moved` are the last durable seq of each stream's topics that were appended since it was cleared.
    """

    def __init__(
        self, log: Log, own_source: str, on_rejected: Rejection, on_gap: Callable[[Gap], None], is_listening: Callable[[str], bool]
    ) -> None:
        self.recorded: Counter[str] = Counter()
        self.streams: dict[Key, Stream[Received]] = {key: Stream(last=last) for key, last in log.streams.items()}
        self.touched: set[Key] = set()
        self.moved: dict[Key, dict[str, int]] = {}
        self.losses = Losses(log.lose)
        self._held_bytes = 0
        self._log = log
        self._own_source = own_source
        self._on_rejected = on_rejected
        self._on_gap = on_gap
        self._is_listening = is_listening

    @property
    def held(self) -> int:
        """Events that wait for missing ones before them. For any thread: the committer may begin a stream meanwhile."""
        return sum(len(stream.held) for stream in list(self.streams.values()))

    def take(self, event: Received) -> None:
        """Decide one event. What it appends is safe only after the log's next commit."""
        if event.envelope.seq and stream_of(event.topic, event.plane) == "durable":
            self._take_durable(event)
        elif event.topic.startswith("bus."):
            self._take_control(event)
        elif event.plane is Delivery.LATEST:
            self.losses.take_latest(event)
            self._append(event)
        elif not (event.topic.startswith("reply.") and event.envelope.source == self._own_source):
            self._append(event)  # but for the recorder's own answers: they quote the log, which would grow by being read

    def take_own(self, event: Received) -> None:
        """Take one durable event of this recorder itself. What comes back of those from the hub begins no stream: an earlier
        recorder's would be taken for new, and this one's arrive twice."""
        self.streams.setdefault((event.envelope.source, event.envelope.epoch), Stream())
        self._take_durable(event)

    def acknowledgements(self) -> list[tuple[str, Ack]]:
        """What to send after a commit: (source, Ack) of every stream that this group touched."""
        acks = [(key[0], self.acknowledgement(key)) for key in sorted(self.touched) if key in self.streams]
        self.touched.clear()
        return acks

    def acknowledgement(self, key: Key) -> Ack:
        stream = self.streams[key]
        return Ack(epoch=key[1], last=stream.last, missing=stream.missing)

    def end(self, key: Key) -> None:
        """Forget a stream: its publisher said goodbye, or is known to be gone."""
        stream = self.streams.pop(key, None)
        if stream is not None:
            self._held_bytes -= _size(stream.held.values())
            self.losses.forget(key)
            self._log.end_stream(*key)

    def _take_durable(self, event: Received) -> None:
        envelope = event.envelope
        key = (envelope.source, envelope.epoch)
        stream = self.streams.get(key)
        if stream is None:
            if key[0] == self._own_source:
                return
            if not self._has_room():
                self._on_rejected(event.topic, event.event_map, f"over {MOST_STREAMS} publishers at once")
                return
            stream = self.streams[key] = Stream()
        self.touched.add(key)
        if envelope.seq > stream.last + 1:
            self._hold(stream, event)
            return
        for each in stream.offer(envelope.seq, event):
            self._append_durable(key, each)
            if each is not event:
                self._held_bytes -= _size([each])

    def _hold(self, stream: Stream[Received], event: Received) -> None:
        """Keep an event above a gap, as a copy: it would keep its whole frame alive, of which nobody counts the bytes."""
        event_map = Raw(bytes(event.event_map))
        size, held = memoryview(event_map).nbytes, len(stream.held)
        if self._held_bytes + size <= MOST_HELD:
            copy = msgspec.structs.replace(event, event_map=event_map, envelope=decode_envelope(event.topic, event_map))
            stream.offer(event.envelope.seq, copy)
            self._held_bytes += size * (len(stream.held) - held)

    def _append_durable(self, key: Key, event: Received) -> None:
        topics = self.moved.get(key)
        if topics is None:
            topics = self.moved[key] = {}
        topics[event.topic] = event.envelope.seq
        if self.losses.holes:
            self.losses.take_durable(event, key)
        self._append(event)

    def _has_room(self) -> bool:
        """Whether another stream may begin; forgets one whose publisher is gone, where the table is full."""
        if len(self.streams) < MOST_STREAMS:
            return True
        gone = (key for key in self.streams if not self._is_listening(key[0]))
        oldest = next(gone, None)
        if oldest is not None:
            self.end(oldest)
        return oldest is not None

    def _take_control(self, event: Received) -> None:
        try:
            if event.topic == "bus.floor":
                self._take_floor(event.envelope.source, decode_data(event.topic, event.envelope.data, Floor))
            elif event.topic == "bus.bye":
                self._take_bye(event.envelope.source, decode_data(event.topic, event.envelope.data, Bye))
        except CorruptFrame as error:
            self._on_rejected(event.topic, event.event_map, str(error))

    def _take_floor(self, source: str, floor: Floor) -> None:
        """The publisher cannot send what is missing: record the gap and go on."""
        key = (source, floor.epoch)
        stream = self.streams.get(key)
        if stream is None:
            return
        self.touched.add(key)
        before = _size(stream.held.values())
        lost = stream.raise_to(floor.floor)
        if lost is not None:
            self.losses.take_hole(key, *lost)
            self._on_gap(Gap(source=source, epoch=floor.epoch, first=lost[0], last=lost[1]))
        for each in stream.release():
            self._append_durable(key, each)
        self._held_bytes += _size(stream.held.values()) - before

    def _take_bye(self, source: str, bye: Bye) -> None:
        key = (source, bye.epoch)
        stream = self.streams.get(key)
        if stream is not None and stream.last >= bye.last:
            self.end(key)

    def _append(self, event: Received) -> None:
        topic = event.topic
        self._log.append(topic, event.plane, event.event_map, event.envelope)
        self.recorded[topic if topic in self.recorded else counted_as(topic, self.recorded)] += 1


def _size(events: Iterable[Received]) -> int:
    """Bytes of these events' maps."""
    return sum(memoryview(event.event_map).nbytes for event in events)
