"""Joules and watts out of what sensors give: a counter that is differenced, or watts that are integrated over time."""

from __future__ import annotations

from typing import Literal, Protocol

Method = Literal["counter", "integrated"]

HOLD_SECONDS = 1.0
"""A counter that stands still for less than this is taken as not yet refreshed: NVML's moves about ten times a second."""


class Gauge(Protocol):
    """`joules` since the first reading, `watts` over the last interval; null before there is one."""

    joules: float | None
    watts: float | None

    @property
    def method(self) -> Method: ...

    def lose(self) -> None:
        """A reading failed: the time until the next one is not measured, and nothing is made up for it."""


class Counter:
    """A hardware energy counter of `joules_per_count`, that starts again at 0 after `wraps_at` counts (0: not known)."""

    method: Method = "counter"

    def __init__(self, joules_per_count: float, wraps_at: int = 0) -> None:
        self.joules: float | None = None
        self.watts: float | None = None
        self._joules_per_count = joules_per_count
        self._wraps_at = wraps_at
        self._total = 0  # counts, a whole number: a float would lose microjoules after some days
        self._last: tuple[int, float] | None = None

    def advance(self, count: int, now: float) -> None:
        """Take the counter's value at the monotonic time `now` in seconds."""
        if self._last is None:
            self._last = (count, now)
            self.joules = self._total * self._joules_per_count
            return
        before, since = self._last
        elapsed = now - since
        if elapsed <= 0 or (count == before and elapsed < HOLD_SECONDS):
            return
        self._last = (count, now)
        self._add(counts_between(before, count, self._wraps_at), elapsed)

    def lose(self) -> None:
        self._last = self.watts = None

    def _add(self, counts: int | None, elapsed: float) -> None:
        if counts is None:
            self.watts = None
            return
        self._total += counts
        self.joules = self._total * self._joules_per_count
        self.watts = counts * self._joules_per_count / elapsed


def counts_between(before: int, after: int, wraps_at: int) -> int | None:
    """How far a counter moved, over at most one wrap. Null where it fell and cannot have wrapped: it was reset."""
    if after >= before:
        return after - before
    wrapped = after - before + wraps_at
    return wrapped if wraps_at and wrapped >= 0 else None


class Integral:
    """Watts integrated over time."""

    method: Method = "integrated"

    def __init__(self) -> None:
        self.joules: float | None = None
        self.watts: float | None = None
        self._since: float | None = None

    def advance(self, watts: float, now: float) -> None:
        """Take the watts at the monotonic time `now` in seconds; between two readings they are taken as a straight line."""
        energy = 0.0
        if self._since is not None and self.watts is not None:
            energy = (self.watts + watts) / 2 * max(now - self._since, 0.0)
        self._since = now
        self.add(watts, energy)

    def add(self, watts: float, joules: float) -> None:
        """Take an interval that the sensor itself has averaged."""
        self.joules = (self.joules or 0.0) + joules
        self.watts = watts

    def lose(self) -> None:
        self._since = self.watts = None
