"""How often something may happen: so many times in any span of time, and no more. Times are passed in, in ns, and rise."""

from __future__ import annotations

from collections import deque

_SECOND = 1_000_000_000


class Pace:
    """`most` in `seconds`."""

    def __init__(self, most: int, seconds: int) -> None:
        self._most, self._span = most, seconds * _SECOND
        self._times: deque[int] = deque(maxlen=most)

    def allows(self, now: int) -> bool:
        """Whether it may happen once more."""
        return len(self._times) < self._most or now - self._times[0] >= self._span

    def count(self, now: int) -> None:
        """It has happened."""
        self._times.append(now)
