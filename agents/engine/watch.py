"""Whether frames still come: a thread that hangs in a driver cannot say so itself."""

from __future__ import annotations

STILL_SECONDS = 5.0
"""Without a frame: the slowest engine has one a second, and a large scene takes some to be shown."""


class Watch:
    """Looks at the number of the last frame from time to time."""

    def __init__(self) -> None:
        self._frame = -1
        self._since = 0.0

    def stands_still(self, frame: int, now: float) -> bool:
        """Whether no other frame has come for STILL_SECONDS, at the monotonic time `now`."""
        if frame != self._frame:
            self._frame, self._since = frame, now
        return now - self._since >= STILL_SECONDS
