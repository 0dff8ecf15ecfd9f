"""How often something may happen."""

from __future__ import annotations

import math

_SECOND = 1_000_000_000


class Limit:
    """`rate` passages a second at most, half a period early at most: so a stream of just that rate passes whole, though it trembles.

    This is the generic cell rate algorithm as virtual scheduling (ITU-T I.371, annex A), with a tolerance of half a period.
    """

    def __init__(self, rate: float) -> None:
        self._period = _SECOND / rate
        self._due = -math.inf

    def passes(self, now: int) -> bool:
        """Whether one may pass at `now`, in nanoseconds of a clock that never goes back; if so, it has."""
        if now < self._due - self._period / 2:
            return False
        self._due = max(now, self._due) + self._period
        return True
