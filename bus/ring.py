"""Backpressure and re-sending: the events of one publisher that are not yet acknowledged, bounded in events and bytes.

Pure: the publisher holds the lock, the socket and the clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

RESEND_EVENTS = 256
FIRST_RESEND = 0.2
"""Seconds without progress before the oldest events are sent again; doubles up to LAST_RESEND."""
LAST_RESEND = 2.0


class Ring:
    """Frames by seq, 1, 2, 3… without holes. Full when it holds `capacity` events or `capacity_bytes`."""

    def __init__(self, capacity: int = 4000, capacity_bytes: int = 64 * 1024 * 1024) -> None:
        self.capacity = capacity
        self.capacity_bytes = capacity_bytes
        self.size = 0
        self.acknowledged = 0
        self._frames: deque[bytes] = deque()
        self._previous: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def next_seq(self) -> int:
        return self.acknowledged + len(self._frames) + 1

    @property
    def last(self) -> int:
        """The newest seq taken, 0 before the first."""
        return self.next_seq - 1

    @property
    def floor(self) -> int:
        """The oldest seq that can still be sent; the next one when nothing is held."""
        return self.acknowledged + 1

    @property
    def is_full(self) -> bool:
        return len(self._frames) >= self.capacity or self.size >= self.capacity_bytes

    def previous(self, topic: str) -> int:
        """The seq of the newest event of `topic`, 0 where there is none."""
        return self._previous.get(topic, 0)

    def append(self, topic: str, frame: bytes) -> None:
        """Take the next seq for this frame, which must carry it."""
        self._previous[topic] = self.next_seq
        self._frames.append(frame)
        self.size += len(frame)

    def acknowledge(self, last: int) -> bool:
        """Forget what is on disk. False for a number that says nothing new; one above `last` is ignored likewise."""
        if not self.acknowledged < last <= self.last:
            return False
        for _ in range(last - self.acknowledged):
            self.size -= len(self._frames.popleft())
        self.acknowledged = last
        return True

    def between(self, first: int, last: int) -> list[bytes]:
        """The frames of seq `first` to `last` that are still held."""
        start = max(first - self.floor, 0)
        stop = min(last - self.floor + 1, len(self._frames))
        return [self._frames[index] for index in range(start, stop)]


@dataclass(slots=True)
class ResendTimer:
    """When to send the oldest events again: after 0.2 s without progress, doubling to 2 s. Times are monotonic seconds."""

    due: float | None = None
    delay: float = FIRST_RESEND

    def waiting(self, now: float) -> None:
        """Something awaits its acknowledgement: the timer runs, if it did not."""
        if self.due is None:
            self.due = now + self.delay

    def progress(self, now: float, *, outstanding: bool) -> None:
        """An acknowledgement came: start again from the short delay, or stop when all is acknowledged."""
        self.delay = FIRST_RESEND
        self.due = now + self.delay if outstanding else None

    def fire(self, now: float) -> bool:
        """Whether it is time; if so, the next time is twice as far away."""
        if self.due is None or now < self.due:
            return False
        self.delay = min(self.delay * 2, LAST_RESEND)
        self.due = now + self.delay
        return True
