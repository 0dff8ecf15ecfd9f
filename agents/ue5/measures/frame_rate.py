"""How fast the engine draws: what two readings of its frame count say."""

from __future__ import annotations

from dataclasses import dataclass

from schemas import scene


@dataclass(slots=True)
class FrameRate:
    """Readings of one engine's frame count. `frame` is what the last two said."""

    engine: str
    frame: scene.Frame | None = None
    _last: tuple[int, float] | None = None

    def read(self, count: int, now: float) -> scene.Frame | None:
        """Take a reading at a monotonic time, in seconds. None: it has nothing to be compared with, or the engine began to count anew."""
        before, self._last = self._last, (count, now)
        self.frame = None if before is None else self._between(*before, count, now)
        return self.frame

    def _between(self, first: int, then: float, count: int, now: float) -> scene.Frame | None:
        """A stopped engine has a rate of 0, and a frame that took all the time."""
        frames, seconds = count - first, now - then
        if frames < 0 or seconds <= 0:
            return None
        return scene.Frame(engine=self.engine, count=count, rate=frames / seconds, frame_time=seconds / max(frames, 1))
