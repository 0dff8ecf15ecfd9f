"""Poses of one device while it is recorded, and the trajectory that they become."""

from __future__ import annotations

from array import array

from agents.parts.frames import Quaternion, Vector
from agents.xr.sources.rows import MOST_POSES
from agents.xr.sources.tum import write
from schemas import xr

SECOND = 1_000_000_000
_NUMBERS = 7
"""Of a pose: three of its position, four of its orientation."""


class Poses:
    """Takes what is published of a device, in the order of its times, for so long from `began`, in ns."""

    def __init__(self, asked: xr.Record, began: int) -> None:
        self.asked = asked
        self.began = began
        self._ends = began + round(asked.seconds * SECOND)
        self._times = array("q")
        self._numbers = array("d")
        self._sources: set[str] = set()
        self._is_simulated = False

    @property
    def count(self) -> int:
        return len(self._times)

    @property
    def seconds(self) -> float:
        """From the first pose to the last."""
        return (self._times[-1] - self._times[0]) / SECOND if self._times else 0.0

    def take(self, device: str, pose: xr.Pose, sampled: int) -> None:
        """What is of another device, of a time that is not wanted or not newer, or one too many, is left out."""
        is_wanted = device == self.asked.device and self.began <= sampled <= self._ends and self.count < MOST_POSES
        if is_wanted and (not self._times or sampled > self._times[-1]):
            self._times.append(sampled)
            self._numbers.extend((*pose.position, *pose.orientation))
            self._sources.add(f"{pose.origin} ({pose.kind})")
            self._is_simulated |= pose.kind == "simulated"

    def tum(self) -> str:
        """As a file in the format of TUM. One simulated pose makes it simulated."""
        head = (
            f"# zeropoint-bus: poses of {self.asked.device} by {' and '.join(sorted(self._sources))}\n"
            f"# kind: {'simulated' if self._is_simulated else 'recorded'}\n"
            "# axes: bus\n"
            "# timestamp tx ty tz qx qy qz qw\n"
        )
        return head + "".join(write(time, *self._pose(number)) for number, time in enumerate(self._times))

    def _pose(self, number: int) -> tuple[Vector, Quaternion]:
        px, py, pz, x, y, z, w = self._numbers[number * _NUMBERS : (number + 1) * _NUMBERS]
        return (px, py, pz), (x, y, z, w)
