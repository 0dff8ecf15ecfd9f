"""Events on their way into a group: packed as MCAP messages when they are appended, so that a commit only joins and writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec import Raw

from bus.log.records import MESSAGE_FIELDS, MESSAGE_HEAD, Channels, Entry, Stream
from bus.topic import LATEST, Delivery
from bus.wire import stream_of

MAX_CHANNELS = 60_000
"""Channels of one numbering, whose ids have 16 bits: a topic beyond that takes a new numbering, and with it a new segment."""


class Numbering:
    """Channel ids by topic and plane. They outlast a segment, so that an event is packed before its segment is known."""

    def __init__(self, names: Channels) -> None:
        self.names = names
        self._next = max(names, default=0) + 1
        self._of_events: dict[str, tuple[int, bool]] = {}
        self._of_latest: dict[str, tuple[int, bool]] = {}
        for number, (topic, delivery) in names.items():
            self._ids(LATEST if delivery == Delivery.LATEST else Delivery.DURABLE)[topic] = number, delivery == Delivery.DURABLE

    @property
    def is_full(self) -> bool:
        return self._next > MAX_CHANNELS

    def find(self, topic: str, plane: Delivery) -> tuple[int, bool] | None:
        """A topic's channel id, and whether its events count in a durable stream; None for one that has no id yet."""
        return (self._of_latest if plane is LATEST else self._of_events).get(topic)

    def add(self, topic: str, plane: Delivery) -> tuple[int, bool]:
        """The next id, for this topic."""
        delivery = stream_of(topic, plane)
        found = self._ids(plane)[topic] = self._next, delivery == Delivery.DURABLE
        self.names[self._next] = topic, delivery
        self._next += 1
        return found

    def _ids(self, plane: Delivery) -> dict[str, tuple[int, bool]]:
        return self._of_latest if plane is LATEST else self._of_events


@dataclass(slots=True)
class Pending:
    """Events that will be one group: heads and maps of their messages by turns, their channels, and what they do to the streams.

    `replays` are the places of events that were published again, which are nobody's newest.
    """

    numbering: Numbering
    parts: list[bytes | Raw] = field(default_factory=list)
    channels: list[int] = field(default_factory=list)
    replays: set[int] = field(default_factory=set)
    size: int = 0
    streams: dict[Stream, int] = field(default_factory=dict)
    ended: set[Stream] = field(default_factory=set)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def is_empty(self) -> bool:
        return not (self.parts or self.ended or self.lost)

    @property
    def times(self) -> tuple[int, int]:
        """log_time of the first and the last event."""
        return _log_time(self.parts[0]), _log_time(self.parts[-2])

    def newest(self) -> Iterator[Entry]:
        """The last event of each channel that is no replay, in their order."""
        numbered = zip(self.channels, range(len(self.channels)), strict=True)
        places = dict(each for each in numbered if each[1] not in self.replays) if self.replays else dict(numbered)
        for place in sorted(2 * index for index in places.values()):
            _, _, number, sequence, log_time, publish_time = MESSAGE_HEAD.unpack(self.parts[place])
            yield Entry(*self.numbering.names[number], log_time, publish_time, sequence, bytes(self.parts[place + 1]))


def _log_time(head: bytes | Raw) -> int:
    log_time: int = MESSAGE_FIELDS.unpack_from(head, MESSAGE_HEAD.size - MESSAGE_FIELDS.size)[2]
    return log_time
