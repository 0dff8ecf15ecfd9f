"""Publishes a recorded stretch again: what belongs to it, when each event is due, and what becomes of the original's envelope.

Rule 16 of the protocol: a replay is a source of its own, says so in each event, and is paced by acknowledgements like any publisher.
"""

from __future__ import annotations

import time as clock
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from msgspec import Struct

from bus.errors import BusFull, CorruptFrame, FrameTooLarge
from bus.log.records import Entry
from bus.publisher import Publisher
from bus.topic import Delivery
from bus.wire import CONTROL_PREFIXES, Envelope, decode_envelope

UNASKED = "agent."
"""What agents said of themselves then, which would pass for what they are now."""
ROOM_TIMEOUT = 30.0
"""Seconds for which a full ring is waited for: the recorder may be restarting."""
_ROOM_POLL = 0.002
_LONGEST_SLEEP = 0.1  # seconds until a wish to stop is seen


class Stretch(Struct, frozen=True, kw_only=True):
    """What would be published: events by topic, and the log times (ns) of the first and the last, 0 where there is none."""

    topics: dict[str, int]
    first: int = 0
    last: int = 0

    @property
    def events(self) -> int:
        return sum(self.topics.values())


@dataclass
class Progress:
    """How far a replay has come. `left_out` counts what is no event map, and events whose frame has no room for a replay's envelope."""

    published: int = 0
    left_out: int = 0
    stopped: bool = False
    topics: Counter[str] = field(default_factory=Counter)


class Selection(Struct, frozen=True, kw_only=True):
    """What belongs to a replay. `patterns` are topics or prefixes that end in a dot; none: all but what agents say of themselves."""

    patterns: tuple[str, ...] = ()
    run: str | None = None
    replays: bool = False

    def has_topic(self, entry: Entry) -> bool:
        """Whether the topic belongs to it: no command, which would be obeyed again. The reader has seen to the patterns already."""
        if entry.topic.startswith(CONTROL_PREFIXES) or entry.delivery == "control":
            return False
        return bool(self.patterns) or not entry.topic.startswith(UNASKED)

    def has_event(self, envelope: Envelope) -> bool:
        return self.run in (None, envelope.run) and (self.replays or not envelope.replay)

    def chosen(self, entries: Iterable[Entry], progress: Progress) -> Iterator[tuple[Entry, Envelope]]:
        """The events that belong to it, in their order; what does not decode is counted."""
        for entry in entries:
            if not self.has_topic(entry):
                continue
            try:
                envelope = decode_envelope(entry.topic, entry.data)
            except CorruptFrame:
                progress.left_out += 1
                continue
            if self.has_event(envelope):
                yield entry, envelope


def survey(entries: Iterable[Entry], selection: Selection) -> Stretch:
    """Count what a replay would publish. Raises what reading raises."""
    topics: Counter[str] = Counter()
    first = last = 0
    for entry, _ in selection.chosen(entries, Progress()):
        topics[entry.topic] += 1
        first, last = first or entry.log_time, entry.log_time
    return Stretch(topics=dict(sorted(topics.items())), first=first, last=last)


def publish_again(
    entries: Iterable[Entry],
    selection: Selection,
    publisher: Publisher,
    speed: float,
    progress: Progress,
    on_published: Callable[[], None] = lambda: None,
) -> None:
    """Publish what `selection` chooses of `entries`, at `speed` times the spacing of their log times; 0: as fast as it is acknowledged.

    Ends early once `progress.stopped` is set, as by a signal. Raises BusFull where the ring stays full for ROOM_TIMEOUT seconds.
    """
    schedule = Schedule(speed)
    for entry, envelope in selection.chosen(entries, progress):
        if not _await(schedule.due(entry.log_time), progress):
            return
        try:
            if not _publish(publisher, entry, envelope, progress):
                return
        except FrameTooLarge:
            progress.left_out += 1
            continue
        progress.published += 1
        progress.topics[entry.topic] += 1
        on_published()


class Schedule:
    """When each event is due, in monotonic seconds, counted from the first: lateness of one does not delay the ones behind it."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start: tuple[float, int] | None = None

    def due(self, log_time: int) -> float:
        if not self._speed:
            return 0.0
        if self._start is None:
            self._start = clock.monotonic(), log_time
        began, first = self._start
        return began + (log_time - first) / 1e9 / self._speed


def _await(due: float, progress: Progress) -> bool:
    """Wait until it is time. False where the replay is to end."""
    while not progress.stopped:
        left = due - clock.monotonic()
        if left <= 0:
            return True
        clock.sleep(min(left, _LONGEST_SLEEP))
    return False


def _publish(publisher: Publisher, entry: Entry, envelope: Envelope, progress: Progress) -> bool:
    """Publish one event again, however long the ring is full. False where the replay is to end before. Raises BusFull, FrameTooLarge."""
    deadline = clock.monotonic() + ROOM_TIMEOUT
    while not progress.stopped:
        try:
            _publish_once(publisher, entry, envelope)
            return True
        except BusFull as error:
            if clock.monotonic() >= deadline:
                raise BusFull(f"nothing was acknowledged for {ROOM_TIMEOUT:g} s: is the recorder running?") from error
            clock.sleep(_ROOM_POLL)
    return False


def _publish_once(publisher: Publisher, entry: Entry, envelope: Envelope) -> None:
    publisher.publish_raw(
        entry.topic,
        Delivery.LATEST if entry.delivery == Delivery.LATEST else Delivery.DURABLE,
        envelope.data,
        run=envelope.run,
        cause=envelope.id(entry.topic),
        time=envelope.time,
        replay=True,
        timeout=0,
    )
