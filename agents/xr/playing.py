"""A trajectory that plays: one at a time, as a session like a headset's."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass

from agents.xr.loop import Truth
from agents.xr.observation import Observation
from agents.xr.sources.player import Player
from agents.xr.sources.reading import read
from agents.xr.sources.trajectory import Trajectory
from agents.xr.tracking.tracker import Publish, Tracker
from schemas import xr
from schemas.xr import Device, Replay, Replaying, Started

OVER = "the trajectory is over"


@dataclass(slots=True)
class _Session:
    started: Started
    player: Player
    device: Device
    began: float
    task: asyncio.Task[None] | None = None
    frames: int = 0
    late: int = 0


class Playing:
    """Plays what is asked for until it is over, or something else is."""

    def __init__(self, tracker: Tracker, publish: Publish) -> None:
        self._tracker = tracker
        self._publish = publish
        self._numbers = itertools.count(time.time_ns() // 1_000_000_000)
        self._session: _Session | None = None

    async def play(self, request: Replay) -> Replaying:
        """Play it instead of what plays. Raises BadTrajectory."""
        if request.trajectory is None:
            await self.stop("told to stop")
            return Replaying(trajectory=None)
        trajectory = await asyncio.to_thread(read, request.trajectory, request.axes, request.start)
        await self.stop("another trajectory plays")
        self._begin(trajectory, request)
        return Replaying(
            trajectory=trajectory.name, kind=trajectory.kind, poses=len(trajectory.times), seconds=trajectory.duration / 1e9 / request.speed
        )

    async def stop(self, reason: str) -> None:
        session = self._session
        if session is None:
            return
        if session.task is not None and not session.task.done():
            session.task.cancel()
            await asyncio.wait([session.task])
        self._end(reason)

    def sessions(self) -> list[Started]:
        return [] if self._session is None else [self._session.started]

    def truth(self, device: Device) -> Truth | None:
        """Where the device really is; null: it is no device that plays."""
        session = self._session
        return session.player.truth if session is not None and session.device == device else None

    def _begin(self, trajectory: Trajectory, request: Replay) -> None:
        player = Player(trajectory, request.device, rate=request.rate, speed=request.speed, loop=request.loop)
        started = Started(
            session=f"replay-{next(self._numbers)}",
            origin="trajectory",
            kind=trajectory.kind,
            description=f"{trajectory.name}, {len(trajectory.times)} poses, as {request.device}",
            rate=request.rate,
        )
        self._session = _Session(started, player, request.device, time.monotonic())
        self._publish(xr.STARTED, started)
        self._session.task = asyncio.ensure_future(player.play(self._take, lambda: self._end(OVER)))

    def _take(self, seen: Observation) -> None:
        session = self._session
        if session is None:
            return
        if self._tracker.take(seen) == "late":
            session.late += 1
        else:
            session.frames += 1

    def _end(self, reason: str) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        self._tracker.rest(session.player.source, reason)
        self._publish(
            xr.ENDED,
            xr.Ended(
                session=session.started.session,
                reason=reason,
                frames=session.frames,
                late=session.late,
                seconds=time.monotonic() - session.began,
            ),
        )
