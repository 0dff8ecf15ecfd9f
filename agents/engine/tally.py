"""Counts frames, and says once a second how fast they were."""

from __future__ import annotations

from agents.engine.world import World
from agents.parts.percentile import percentile
from schemas.engine import ENGINE, Frame

WINDOW = 1.0
"""Seconds."""


class Tally:
    """Frames since `now`, a time of the monotonic clock."""

    def __init__(self, world: World, now: float) -> None:
        self._world = world
        self._begin(now)

    def add(self, whole: float, drawing: float) -> None:
        """A frame took `whole` seconds, `drawing` of them for drawing."""
        self._frames.append(whole)
        self._drawing += drawing

    def is_due(self, now: float) -> bool:
        return now - self._since >= WINDOW

    def close(self, now: float, draw_calls: int, bodies: int, awake: int) -> Frame:
        """What the window was like; the next one begins."""
        count = len(self._frames)
        frame = Frame(
            engine=ENGINE,
            scene=self._world.scene,
            count=self._world.frame,
            rate=count / (now - self._since),
            frame_time=sum(self._frames) / count,
            frame_time_p99=percentile(sorted(self._frames), 0.99),
            draw_time=self._drawing / count,
            draw_calls=draw_calls,
            bodies=bodies,
            awake=awake,
            actors=len(self._world.actors),
            moves=self._world.moved - self._moved,
        )
        self._begin(now)
        return frame

    def _begin(self, now: float) -> None:
        self._since = now
        self._frames: list[float] = []
        self._drawing = 0.0
        self._moved = self._world.moved
