"""Time as the simulation lets it pass: monotonic seconds, and a wall clock that may jump."""

from __future__ import annotations

import agents.recorder.committer


class Clock:
    """In place of the `time` module. Every look at the wall clock finds it 1 ns later."""

    def __init__(self) -> None:
        self._elapsed = 1000.0
        self._wall = 1_700_000_000_000_000_000
        self._jumps = 0

    def monotonic(self) -> float:
        return self._elapsed

    def time_ns(self) -> int:
        self._wall += 1
        return self._wall

    def pass_time(self, seconds: float) -> None:
        self._elapsed += seconds
        self._wall += int(seconds * 1e9)

    def sleep(self, seconds: float) -> None:
        self.pass_time(seconds)

    def jump(self, seconds: float) -> None:
        """The wall clock alone; never exactly back to an instant that was, which real ones do not hit either."""
        self._jumps += 1
        self._wall += int(seconds * 1e9) + self._jumps * 1_000_003


def monotonic() -> float:
    """The time in the world that is being simulated."""
    return agents.recorder.committer.clock.monotonic()
