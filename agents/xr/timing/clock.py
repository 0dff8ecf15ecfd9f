"""A page's clock against this machine's, by round trips. Both may be set or stand still meanwhile: then all begins anew."""

from __future__ import annotations

import math

from agents.xr.timing.offset import GRAIN, Line, Trip, best_line, trip_of
from schemas import xr
from schemas.xr import Clock as Described

WINDOW = 120_000_000_000
"""In ns of the page's clock: how long a trip counts."""
SLOT = 1_000_000_000
"""In ns: of the trips of a slot only the one with the shortest delay is kept."""
LONGEST = 10.0
"""Seconds: a longer trip, or a message that was longer on its way, says nothing."""
JUMP = 0.1
"""Seconds: a message that is here so long before it was sent shows that a clock was set."""
_MILLISECOND, _SECOND = 1_000_000, 1_000_000_000
_MOST_MS = 1e12
"""A page's clock counts from when it was loaded: this is 31 years."""


class Clock:
    """Takes times of a page, in its milliseconds, into ns of this machine's clock.

    The time is within the stated uncertainty as long as both clocks go evenly, no faster than 500 ppm against each other.
    """

    def __init__(self) -> None:
        self._trips: list[Trip] = []
        self._line: Line | None = None
        self._rounds = 0

    def trip(self, asked: float, received: int, sent: int, answered: float) -> bool:
        """A round trip: the page asked and had its answer at these times of its own, which was received and sent at these of ours.

        Returns whether it counts: what cannot be, took over `LONGEST` seconds, or is not later than the one before, says nothing. Rounded,
        a delay may be a little negative.
        """
        if not (_is_time(asked) and _is_time(answered)):
            return False
        trip = trip_of(_ns(asked), received, sent, _ns(answered))
        if sent < received or not -2 * GRAIN <= trip.delay <= LONGEST or not self._is_later(trip):
            return False
        if not self._agrees(trip):
            self._forget()
        self._keep(trip)
        return True

    def heard(self, sent: float, received: int) -> None:
        """A message that the page sent then is here. Where that cannot be, one of the clocks was set, or slept: begin anew.

        What is off by less than `JUMP` waits for the next round trip, which says more, and costs no frames.
        """
        host = self.to_host(sent)
        if host is not None and not -JUMP <= (received - host) / _SECOND <= LONGEST:
            self._forget()

    def to_host(self, page_ms: float) -> int | None:
        """The same moment by this machine's clock, in ns; None before the first round trip, and for what is no time."""
        if self._line is None or not _is_time(page_ms):
            return None
        page = _ns(page_ms)
        return page + self._line.at(page)

    def uncertainty(self, page_ms: float) -> float | None:
        """How far off that is at most, in seconds: half the delay of the best trips, and what drift may have added since."""
        if self._line is None or not _is_time(page_ms):
            return None
        return self._line.uncertainty(_ns(page_ms))

    def described(self) -> Described | None:
        """As it was at the newest round trip; None before the first."""
        if self._line is None:
            return None
        newest = self._trips[-1].page
        return xr.Clock(
            offset=self._line.at(newest) / _SECOND,
            drift=self._line.drift,
            uncertainty=self._line.uncertainty(newest),
            delay=max(min(trip.delay for trip in self._trips), 0.0),
            rounds=self._rounds,
        )

    def _is_later(self, trip: Trip) -> bool:
        """A page's clock only rises, and what is kept of its trips is in order."""
        return not self._trips or trip.page > self._trips[-1].page

    def _agrees(self, trip: Trip) -> bool:
        """Whether the trip and those before it can be of the same two clocks."""
        if self._line is None:
            return True
        difference = abs(trip.offset - self._line.at(trip.page)) / _SECOND
        return difference <= trip.slack + self._line.uncertainty(trip.page)

    def _keep(self, trip: Trip) -> None:
        """The best of each slot, of the newest of them."""
        self._rounds += 1
        kept = [each for each in self._trips if each.page > trip.page - WINDOW]
        if kept and kept[-1].page // SLOT == trip.page // SLOT:
            trip = min(kept.pop(), trip, key=lambda each: each.delay)
        self._trips = [*kept, trip]
        self._line = best_line(self._trips)

    def _forget(self) -> None:
        self._trips, self._line, self._rounds = [], None, 0


def _is_time(page_ms: float) -> bool:
    return math.isfinite(page_ms) and 0 <= page_ms <= _MOST_MS


def _ns(page_ms: float) -> int:
    return round(page_ms * _MILLISECOND)
