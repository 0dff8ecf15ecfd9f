"""Which devices are tracked: each is lost and found once, however often that is seen.

Times are passed in, in ns, by a clock that nobody sets: a device must not count as tracked because the time of day was set back.
"""

from __future__ import annotations

from collections import deque

from agents.xr.timing.pace import Pace
from schemas.xr import Device, Found, Lost

PATIENCE = 250_000_000
"""In ns: after which a device that nobody has spoken of is lost."""
LOSSES = 5
"""Of a device in one second: after these it is not found again before the second is over, for each is an event that is kept."""
_SECOND = 1_000_000_000
_MOST = 512
"""Observations of a device in one second."""
SILENT = "nothing was heard of it"


class Presence:
    """Devices by when they were last seen. One that never was is neither tracked nor lost."""

    def __init__(self) -> None:
        self._seen: dict[Device, deque[int]] = {}
        self._lost: dict[Device, int] = {}
        self._losses: dict[Device, Pace] = {}

    def is_steady(self, device: Device, now: int) -> bool:
        """Whether it is tracked, or may be found: not where it was lost too often of late."""
        return device in self._seen or device not in self._losses or self._losses[device].allows(now)

    def seen(self, device: Device, now: int) -> Found | None:
        """It is tracked. Returns what to say where it was not."""
        if device in self._seen:
            self._seen[device].append(now)
            return None
        self._seen[device] = deque([now], _MOST)
        since = self._lost.pop(device, None)
        return Found(device=device, seconds=None if since is None else max(now - since, 0) / _SECOND)

    def lose(self, device: Device, reason: str, now: int) -> Lost | None:
        """It is not tracked any more. Returns what to say where it was."""
        seen = self._seen.pop(device, None)
        if seen is None:
            return None
        self._lost[device] = now
        self._losses.setdefault(device, Pace(LOSSES, 1)).count(now)
        return Lost(device=device, reason=reason, seconds=max(now - seen[-1], 0) / _SECOND)

    def tick(self, now: int) -> list[Lost]:
        """Those that nobody has spoken of for `PATIENCE`."""
        silent = [device for device, seen in self._seen.items() if now - seen[-1] > PATIENCE]
        return [lost for device in silent if (lost := self.lose(device, SILENT, now)) is not None]

    def rates(self, now: int) -> dict[str, float]:
        """The devices that are tracked, and how often each was seen in the last second."""
        return {device: float(sum(at > now - _SECOND for at in seen)) for device, seen in self._seen.items()}
