"""What is remembered of the overlay's pictures: which pose each shows, how many there are a second, and how far off the last one was."""

from __future__ import annotations

import time
from collections import OrderedDict, deque

MOST = 300
"""Pictures of which it is remembered which pose they show, until a page says that it has shown them."""
FRESH = 5.0
"""Seconds: what was measured longer ago says nothing of now."""
SILENT = 2.0
"""Seconds without a picture, after which something is wrong."""


class Shown:
    """By a picture's sequence, when its pose was sampled."""

    def __init__(self) -> None:
        self._sampled: OrderedDict[int, int] = OrderedDict()

    def composed(self, sequence: int, sampled: int) -> None:
        self._sampled[sequence] = sampled
        if len(self._sampled) > MOST:
            self._sampled.popitem(last=False)

    def sampled(self, sequence: int) -> int | None:
        """Asked once: the first page that shows it counts."""
        return self._sampled.pop(sequence, None)


class Recent:
    """The pictures of the last seconds, since it was made."""

    def __init__(self) -> None:
        self._came = deque([time.monotonic()], maxlen=128)
        self._error: float | None = None
        self._measured = 0.0

    def composed(self, error: float | None) -> None:
        """A picture was made; `error` in pixels, null: not measured in this one."""
        self._came.append(time.monotonic())
        if error is not None:
            self._error, self._measured = error, time.monotonic()

    @property
    def rate(self) -> float | None:
        """Pictures in the last second; None: there are none."""
        now = time.monotonic()
        return float(sum(came > now - 1 for came in list(self._came)[1:])) or None

    @property
    def error(self) -> float | None:
        return self._error if time.monotonic() - self._measured <= FRESH else None

    @property
    def reason(self) -> str | None:
        silent = time.monotonic() - self._came[-1]
        return None if silent <= SILENT else f"the engine has shown nothing for {silent:.0f} s: see that engine and ue5 run (bus top)"
