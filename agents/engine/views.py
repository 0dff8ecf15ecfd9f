"""What is wanted to be seen on the bus, for a while: of each source what it wanted last, all cameras of it in one frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agents.engine.render.camera import jpeg, quick_png
from agents.engine.render.studio import Shot, Studio
from schemas.engine import Seen
from schemas.scene import VIEW_SECONDS, View

MOST_CAMERAS = 8
"""In the views of all sources together: each is drawn anew, and a frame has little time."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Wanted:
    view: View
    until: float
    due: float


class Views:
    """Gives out what is wanted, and the files of it, for an engine of `hz` frames a second. For its thread.

    Times are of the monotonic clock.
    """

    def __init__(self, hz: float, give: Callable[[Seen, tuple[bytes, ...]], None]) -> None:
        self._early = 0.5 / hz  # a picture comes in the frame nearest to its time, or a frame that is early would put it off by one
        self._give = give
        self._wanted: dict[str, _Wanted] = {}
        self._refused: str | None = None

    def want(self, source: str, view: View, now: float) -> None:
        """Give out these pictures from now on, for VIEW_SECONDS, instead of what this source wanted before."""
        self._expire(now)
        before = self._wanted.pop(source, None)
        others = sum(len(wanted.view.cameras) for wanted in self._wanted.values())
        if others + len(view.cameras) > MOST_CAMERAS:
            self._refuse(source, view)
            return
        due = now if before is None else min(before.due, now + 1 / view.rate)
        self._wanted[source] = _Wanted(view, now + VIEW_SECONDS, due)

    def take(self, studio: Studio, now: float) -> None:
        """Give out what is due in this frame, all together and each picture once. A camera that the scene lacks has none."""
        self._expire(now)
        wanted = [(label, layer) for label, layer in dict.fromkeys(self._due(now)) if studio.stage.view(label) is not None]
        if wanted:
            shots = [studio.live(label, layer) for label, layer in wanted]
            pictures = [shot.picture for shot in shots]
            types = tuple(kind for picture in pictures for kind in picture.attachments)
            self._give(Seen(pictures=pictures, attachments=types), tuple(map(_file, shots)))

    def _due(self, now: float) -> list[tuple[str, bool]]:
        """The cameras, and whether as layers, of all views whose time it is; their next time is set."""
        due = [wanted for wanted in self._wanted.values() if wanted.due <= now + self._early]
        for wanted in due:
            wanted.due = max(wanted.due + 1 / wanted.view.rate, now)
        return [(label, label in wanted.view.layers) for wanted in due for label in wanted.view.cameras]

    def _refuse(self, source: str, view: View) -> None:
        """Say so once: who wants it wants it again and again."""
        if source != self._refused:
            self._refused = source
            _log.warning("a view is not shown: too many cameras are wanted", source=source, cameras=view.cameras, most=MOST_CAMERAS)

    def _expire(self, now: float) -> None:
        self._wanted = {source: wanted for source, wanted in self._wanted.items() if now < wanted.until}


def _file(shot: Shot) -> bytes:
    return quick_png(shot.pixels) if shot.picture.layer else jpeg(shot.pixels)
