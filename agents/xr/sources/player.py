"""Plays a trajectory as if its device were there now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from agents.parts.rigid import Rigid
from agents.xr.observation import Observation, Source
from agents.xr.sources.trajectory import Trajectory
from schemas.xr import Device


class Player:
    """Plays it from when this is made, `speed` times as fast as it was, `rate` times a second; with `loop` again and again.

    Where it leaves a gap nothing is said, as by a tracker that has lost its device.
    """

    def __init__(self, trajectory: Trajectory, device: Device, *, rate: float, speed: float = 1.0, loop: bool = False) -> None:
        self.source = Source(name=trajectory.name, origin="trajectory", kind=trajectory.kind)
        self._trajectory = trajectory
        self._device: Device = device
        self._rate, self._speed, self._loop = rate, speed, loop
        self._began = time.time_ns()

    async def play(self, on_observation: Callable[[Observation], None], on_end: Callable[[], None]) -> None:
        """Say each pose when it is due, those that are late not at all; `on_end` hears of the end, unless this is cancelled before."""
        started = time.monotonic()
        number = 0
        while not self._is_over(time.time_ns()):
            self._say(number, on_observation)
            number = due(number, time.monotonic() - started, self._rate)
            await asyncio.sleep(max(started + number / self._rate - time.monotonic(), 0.0))
        on_end()

    def truth(self, host_ns: int) -> Rigid | None:
        """Where the device is at a time by this machine's clock, past or future; None: it is not known, or nothing plays then."""
        moment = self._moment(host_ns)
        return self._trajectory.at(moment) if self._trajectory.is_known(moment) else None

    def _say(self, number: int, on_observation: Callable[[Observation], None]) -> None:
        now = time.time_ns()
        place = self.truth(now)
        if place is not None:
            on_observation(
                Observation(
                    source=self.source,
                    device=self._device,
                    sequence=number,
                    sampled=now,
                    received=now,
                    position=place.position,
                    orientation=place.orientation,
                    uncertainty=0.0,
                )
            )

    def _is_over(self, now: int) -> bool:
        return not self._loop and self._moment(now) > self._trajectory.duration

    def _moment(self, host_ns: int) -> int:
        """The time in the trajectory, in ns; before its beginning, and after its end where it is not played again, a time outside it."""
        moment = round((host_ns - self._began) * self._speed)
        return moment % self._trajectory.duration if self._loop and moment > 0 else moment


def due(number: int, elapsed: float, rate: float) -> int:
    """Which pose comes after the `number`th, `elapsed` seconds after the first: the next, or where that is late the next that is not."""
    return max(number, int(elapsed * rate)) + 1
