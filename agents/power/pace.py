"""A rhythm on the monotonic clock that keeps its phase, skips what it missed, and can be changed or ended while it waits."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator


def next_due(due: float, period: float, now: float) -> float:
    """The first of due + period, due + 2 * period, … that lies after `now`: no drift, and nothing is made up for."""
    return due + period * max(1, math.floor((now - due) / period) + 1)


class Pace:
    """`hz` beats a second for one thread that iterates `beats`; any thread may change or end it."""

    def __init__(self, hz: float) -> None:
        self.hz = hz
        self._ended = False
        self._changed = threading.Event()

    def change(self, hz: float) -> None:
        """Take a new rate at once: the beat that is waited for is counted from now."""
        self.hz = hz
        self._changed.set()

    def end(self) -> None:
        """No beat comes after this."""
        self._ended = True
        self._changed.set()

    def beats(self) -> Iterator[None]:
        """Yield at each beat, the first one period from now."""
        due = time.monotonic()
        while not self._ended:
            due = next_due(due, 1 / self.hz, time.monotonic())
            if self._changed.wait(due - time.monotonic()):
                self._changed.clear()
                due = time.monotonic()
            else:
                yield
