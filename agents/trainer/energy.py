"""The energy of a stretch of time, from the power agent's cumulative joules; none where no sensor says anything."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from schemas import power


@dataclass(slots=True)
class EnergyMeter:
    """Differences cumulative joules between laps, to within one sample of the power agent. Safe from any thread."""

    _latest: power.Sample | None = None
    _at_lap: power.Sample | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def update(self, sample: power.Sample) -> None:
        """Take in the newest reading."""
        with self._lock:
            self._latest = sample

    def lap(self) -> tuple[float, str] | tuple[None, None]:
        """Joules since the last lap and their source; (None, None) where no sensor or no new reading covers it."""
        with self._lock:
            before, after = self._at_lap, self._latest
            self._at_lap = after
        if before is None or after is None or before is after:
            return None, None
        if before.joules is None or after.joules is None or after.source is None or before.source != after.source:
            return None, None
        joules = after.joules - before.joules
        return (joules, after.source) if joules >= 0 else (None, None)  # the power agent started again
