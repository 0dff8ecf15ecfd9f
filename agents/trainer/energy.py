"""The energy of a stretch of time, from the power agent's readings; none, with the reason, where no sensor covers it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import NamedTuple

from bus.event import Event
from schemas import power

OLDEST_SECONDS = 2.0
"""A reading that is older says nothing of now; the power agent may be set to sample slowly, and then it is three of its intervals."""


class Energy(NamedTuple):
    """Joules and the sensor they come from, else why there are none."""

    joules: float | None
    source: str | None
    reason: str | None


@dataclass(slots=True)
class EnergyMeter:
    """What the machine uses, from lap to lap. Safe from any thread.

    Since its last reading the counter is taken to go on at the watts of that reading's window. A lap begins where the one before was
    taken to end, so that laps add up to what was read, however short they are beside the power agent's windows.
    """

    _latest: Event[power.Sample] | None = None
    _counter: tuple[str, int] | None = None  # the source, and the life of the power agent, that `_total` counts in
    _total: float = 0.0  # joules at the last lap
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def update(self, event: Event[power.Sample]) -> None:
        """Take in the newest reading."""
        with self._lock:
            self._latest = event

    def lap(self, now: int) -> Energy:
        """The energy since the last lap; `now` in ns since the Unix epoch."""
        with self._lock:
            latest = self._latest
        reading = _reading(latest, now)
        if isinstance(reading, str):
            self._counter = None
            return Energy(None, None, reading)
        source, total = reading
        counter, before = (source, latest.epoch if latest else 0), self._total
        if counter != self._counter:
            self._counter, self._total = counter, total
            return Energy(None, None, "no reading covers it from its beginning")
        self._total = max(total, before)
        return Energy(self._total - before, source, None)


def _reading(latest: Event[power.Sample] | None, now: int) -> tuple[str, float] | str:
    """The sensor, and its joules at `now`; else why there are none."""
    if latest is None:
        return "no power.sample has arrived: is the power agent running?"
    sample, age = latest.data, (now - latest.time) / 1e9
    if sample.joules is None or sample.watts is None or sample.source is None:
        return "nothing measures watts here: see `bus call power.status`"
    if age > max(OLDEST_SECONDS, 3 * sample.interval):
        return f"the newest power.sample is {age:.1f} s old"
    source = f"{sample.source} (recorded)" if sample.recorded else sample.source
    return source, sample.joules + sample.watts * max(age, 0.0)
