"""How far one clock is from another by round trips, and how far off that can be at most.

A trip says that the offset at its middle is within half its delay (Cristian, "Probabilistic clock synchronization", 1989); of many trips
those with the shortest delays say most (the clock filter of NTP, RFC 5905, section 10). A line through these gives the drift.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

FASTEST = 500e-6
"""Seconds a second: no clock drifts from another faster (RFC 5905, MAXFREQ)."""
WANDER = 15e-6
"""Seconds a second by which a drift is known to change meanwhile (RFC 5905, PHI)."""
GRAIN = 100e-6
"""Seconds to which a browser rounds its clock down, where a page is not isolated (W3C High Resolution Time, "coarsen time")."""
NEAR = 1.5
"""Of the shortest delay: trips up to here make the line."""
_SECOND = 1_000_000_000


class Trip(Struct, frozen=True):
    """A round trip: at `page` ns of the page's clock this machine's was `offset` ns ahead, give or take `slack` seconds.

    `delay` is what it spent on its way, in seconds.
    """

    page: int
    offset: int
    delay: float
    slack: float


class Line(Struct, frozen=True):
    """The offset at all times: `offset` ns at `page`, and `drift` seconds a second from there. It is off by at most `slack` seconds there,
    and by `growth` more for each second from there.
    """

    page: int
    offset: int
    drift: float
    slack: float
    growth: float

    def at(self, page: int) -> int:
        """The offset in ns at a time of the page, in ns."""
        return self.offset + round(self.drift * (page - self.page))

    def uncertainty(self, page: int) -> float:
        """How far off that is at most, in seconds."""
        return self.slack + self.growth * abs(page - self.page) / _SECOND


def trip_of(asked: int, received: int, sent: int, answered: int) -> Trip:
    """A trip by its four times in ns: the first and the last by the page's clock, which it rounds down, the others by this machine's.

    The clocks' drift and the rounding are part of the slack: each of the two ends is rounded, and so is the time that is asked for later.
    """
    elapsed, held = answered - asked, sent - received
    delay = (elapsed - held) / _SECOND
    slack = (delay + FASTEST * elapsed / _SECOND) / 2 + 1.5 * GRAIN
    middle = asked + elapsed // 2
    return Trip(middle, received + held // 2 - middle, delay, slack)


def best_line(trips: Sequence[Trip]) -> Line:
    """The line that is least uncertain at the newest of the trips, of which there is one at least."""
    drift, growth = _drift(trips)
    lines = [Line(trip.page, trip.offset, drift, trip.slack, growth) for trip in trips]
    newest = trips[-1].page
    return min(lines, key=lambda line: line.uncertainty(newest))


def _drift(trips: Sequence[Trip]) -> tuple[float, float]:
    """The slope of the line, by least squares, through those with about the shortest delay, and by how much it is wrong at most.

    Trips of a short time say less of it than that no clock drifts faster than `FASTEST`: then it is 0.
    """
    near = _nearest(trips)
    slopes = _slopes([(trip.page - near[0].page) / _SECOND for trip in near])
    drift = sum(slope * (trip.offset - near[0].offset) / _SECOND for slope, trip in zip(slopes, near, strict=True))
    wrong = sum(abs(slope) * trip.slack for slope, trip in zip(slopes, near, strict=True)) + WANDER
    return (drift, wrong) if any(slopes) and wrong < FASTEST and abs(drift) <= FASTEST else (0.0, FASTEST)


def _nearest(trips: Sequence[Trip]) -> list[Trip]:
    limit = NEAR * max(min(trip.delay for trip in trips), 0.0) + GRAIN
    return [trip for trip in trips if trip.delay <= limit]


def _slopes(times: Sequence[float]) -> list[float]:
    """What a value at each time adds to the slope, for each 1 of it; zeros where all are of one moment."""
    mean = sum(times) / len(times)
    square = sum((time - mean) ** 2 for time in times)
    return [(time - mean) / square if square else 0.0 for time in times]
