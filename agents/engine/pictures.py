"""Pictures of chosen cameras, given out in turn: one in a frame at most, so that no frame has to draw them all."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from agents.engine.render.camera import jpeg
from agents.engine.render.studio import NoSuchCamera, Studio
from agents.engine.reports import Options
from schemas.engine import Picture


class Pictures:
    """Gives out each camera of the options `picture_hz` times a second, or as often as there are frames for it."""

    def __init__(self, options: Options, give: Callable[[Picture, bytes], None]) -> None:
        self._cameras = itertools.cycle(options.cameras)
        self._period = 1 / (options.picture_hz * len(options.cameras)) if options.cameras else float("inf")
        self._due = float("-inf") if options.cameras else float("inf")
        self._give = give

    def take(self, studio: Studio, now: float) -> None:
        """Give out the picture that is due at the monotonic time `now`. A camera that the scene lacks has none."""
        if now < self._due:
            return
        self._due = max(self._due + self._period, now)
        try:
            shot = studio.shot(next(self._cameras))
        except NoSuchCamera:
            return
        self._give(shot.picture, jpeg(shot.pixels))
