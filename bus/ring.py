"""Backpressure and re-sending: the events of one publisher that are not yet acknowledged, and what of them to send again when.

Pure, and the counterpart of `bus.stream`: the publisher holds the lock, the socket and the clock. Times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import NamedTuple

from bus.wire import Ack

EVENTS = 2000
"""Of a ring, where each event is a frame of its own: half of what sockets hold."""
BATCHED_EVENTS = 4000
"""Of a ring, where under load several share one."""
RESEND_EVENTS = 256
FIRST_RESEND = 0.2
"""Seconds without progress before the oldest events are sent again; doubles up to LAST_RESEND."""
LAST_RESEND = 2.0

Sent = tuple[str, bytes]
"""An event that may have to be sent again: its topic and its map."""


class Answer(NamedTuple):
    """What an acknowledgement calls for: events to send again now, and the floor to state where some are asked for that are gone."""

    again: list[Sent]
    floor: int | None = None


class Ring:
    """Events by seq, 1, 2, 3… without holes. Full when it holds `capacity` events or `capacity_bytes`.

    `last` is the newest seq taken, `acknowledged` the newest that is on disk, `due` the time of the next re-send, None while nothing waits.
    """

    def __init__(self, epoch: int, capacity: int = EVENTS, capacity_bytes: int = 64 * 1024 * 1024) -> None:
        self.epoch = epoch
        self.capacity = capacity
        self.capacity_bytes = capacity_bytes
        self.size = 0
        self.last = self.acknowledged = 0
        self.due: float | None = None
        self._delay = FIRST_RESEND
        self._events: deque[Sent] = deque()
        self._again_until = self._sent_again = 0
        self._asked_for, self._answered_until = 0, 0.0

    def __len__(self) -> int:
        return len(self._events)

    @property
    def floor(self) -> int:
        """The oldest seq that can still be sent; the next one when nothing is held."""
        return self.acknowledged + 1

    @property
    def is_full(self) -> bool:
        return len(self._events) >= self.capacity or self.size >= self.capacity_bytes

    def append(self, topic: str, event_map: bytes, now: float) -> None:
        """Take the next seq for this event, whose map must carry it."""
        self._events.append((topic, event_map))
        self.last += 1
        self.size += len(event_map)
        if self.due is None:
            self.due = now + self._delay

    def on_ack(self, ack: Ack, now: float) -> Answer:
        """Forget what is on disk. Another epoch's acknowledgement, an older one and one above `last` change nothing."""
        if ack.epoch != self.epoch:
            return Answer([])
        again = self._progress(ack.last, now) if self.acknowledged < ack.last <= self.last else []
        if ack.missing is None or (ack.missing[0] == self._asked_for and now < self._answered_until):
            return Answer(again)  # what was asked for just now is on its way: each event of it that arrives is answered by another question
        first, last = ack.missing
        self._asked_for, self._answered_until = first, now + FIRST_RESEND
        return Answer(again + self.between(first, last), self.floor if first < self.floor else None)

    def on_hub(self) -> list[Sent]:
        """The hub is there, perhaps a new one: send again all that is held, the oldest now, the rest as those are acknowledged."""
        self._again_until = self.last
        self._sent_again = self.acknowledged
        return self._window()

    def on_time(self, now: float) -> list[Sent]:
        """What to send again because nothing was acknowledged for too long; the next time is twice as far away."""
        if self.due is None or now < self.due:
            return []
        self._delay = min(self._delay * 2, LAST_RESEND)
        self.due = now + self._delay
        return self.on_hub()

    def between(self, first: int, last: int) -> list[Sent]:
        """The events of seq `first` to `last` that are still held."""
        start = max(first - self.floor, 0)
        return list(islice(self._events, start, max(last - self.acknowledged, start)))

    def _progress(self, last: int, now: float) -> list[Sent]:
        for _ in range(last - self.acknowledged):
            self.size -= len(self._events.popleft()[1])
        self.acknowledged = last
        self._delay = FIRST_RESEND
        self.due = now + self._delay if self._events else None
        return self._window()

    def _window(self) -> list[Sent]:
        """What has come into the window behind the last acknowledgement, each event once."""
        end = min(self.acknowledged + RESEND_EVENTS, self._again_until)
        if end <= self._sent_again:
            return []
        again = self.between(self._sent_again + 1, end)
        self._sent_again = end
        return again
