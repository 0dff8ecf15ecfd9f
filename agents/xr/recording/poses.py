"""Poses of one device while it is recorded, and the trajectory that they become.

Each becomes a line as it comes: an agent that ends has no time for those of an hour.
"""

from __future__ import annotations

from agents.xr.sources.rows import MOST_POSES
from agents.xr.sources.tum import write
from schemas import xr

SECOND = 1_000_000_000


class Poses:
    """Takes what is published of a device, in the order of its times, for so long from `began`, in ns."""

    def __init__(self, asked: xr.Record, began: int) -> None:
        self.asked = asked
        self.began = began
        self._ends = began + round(asked.seconds * SECOND)
        self.count = 0
        self._first = self._last = began - 1
        self._lines = bytearray()
        self._sources: set[str] = set()
        self._is_simulated = False

    @property
    def seconds(self) -> float:
        """From the first pose to the last."""
        return (self._last - self._first) / SECOND

    def take(self, device: str, pose: xr.Pose, sampled: int) -> None:
        """What is of another device, of a time that is not wanted or not newer, or one too many, is left out."""
        if device == self.asked.device and self._last < sampled <= self._ends and self.count < MOST_POSES:
            self._first = self._first if self.count else sampled
            self._last = sampled
            self.count += 1
            self._lines += write(sampled, pose.position, pose.orientation).encode("ascii")
            self._sources.add(f"{pose.origin} ({pose.kind})")
            self._is_simulated |= pose.kind == "simulated"

    def tum(self) -> bytes:
        """As a file in the format of TUM. One simulated pose makes it simulated."""
        head = (
            f"# zeropoint-bus: poses of {self.asked.device} by {' and '.join(sorted(self._sources))}\n"
            f"# kind: {'simulated' if self._is_simulated else 'recorded'}\n"
            "# axes: bus\n"
            "# timestamp tx ty tz qx qy qz qw\n"
        )
        return head.encode("ascii") + self._lines
