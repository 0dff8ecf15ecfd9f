"""How long the engine's answers take: a second's requests, as percentiles."""

from __future__ import annotations

from collections.abc import Iterable

from agents.parts.percentile import percentile
from schemas import ue5

MOST_TIMES = 100_000
"""Times of one second that are kept; more are only counted."""


class Window:
    """The requests since the last `close`."""

    def __init__(self) -> None:
        self._begin()

    def answered(self, seconds: float, moves: int = 0, failed: int = 0) -> None:
        """A request was answered after so long; so many moves were in it, and so much of it was refused."""
        self._requests += 1
        self._moves += moves
        self._failed += failed
        if len(self._trips) < MOST_TIMES:
            self._trips.append(seconds)

    def missed(self) -> None:
        """A request had no answer."""
        self._failed += 1

    def events(self, seconds: Iterable[float]) -> None:
        """Events of the bus were carried out so long after their time."""
        self._events += list(seconds)[: MOST_TIMES - len(self._events)]

    def close(self, engine: str, transport: ue5.Transport, frame_time: float | None) -> ue5.Latency:
        """The figures, and begin anew. `frame_time`: of one frame of the engine, where it is known."""
        trips, events = sorted(self._trips), sorted(self._events)
        beyond = [] if frame_time is None else [max(trip - frame_time, 0.0) for trip in trips]
        latency = ue5.Latency(
            engine=engine,
            transport=transport,
            requests=self._requests,
            moves=self._moves,
            failed=self._failed,
            round_trip_p50=_percentile(trips, 0.5),
            round_trip_p99=_percentile(trips, 0.99),
            beyond_frame_p50=_percentile(beyond, 0.5),
            beyond_frame_p99=_percentile(beyond, 0.99),
            event_p50=_percentile(events, 0.5),
            event_p99=_percentile(events, 0.99),
        )
        self._begin()
        return latency

    def _begin(self) -> None:
        self._requests = self._moves = self._failed = 0
        self._trips: list[float] = []
        self._events: list[float] = []


def _percentile(ordered: list[float], share: float) -> float | None:
    """None of none."""
    return percentile(ordered, share) if ordered else None
