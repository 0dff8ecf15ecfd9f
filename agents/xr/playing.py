"""A trajectory that plays: one at a time, as a session like a headset's."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from agents.parts.rigid import Rigid
from agents.xr.observation import Observation, Source
from agents.xr.sources.player import Player
from agents.xr.sources.reading import read
from agents.xr.sources.trajectory import Trajectory
from agents.xr.tracking.tracker import Publish, Tracker
from schemas import xr
from schemas.xr import Replay, Replaying, Started

Truth = Callable[[int], Rigid | None]
"""Where the device really is at a time (ns), where that is known."""

OVER = "the trajectory is over"

_log = structlog.get_logger()


@dataclass(slots=True)
class _Session:
    started: Started
    player: Player
    began: float
    frames: int = 0
    late: int = 0


class Playing:
    """Plays what is asked for until it is over, or something else is."""

    def __init__(self, tracker: Tracker, publish: Publish) -> None:
        self._tracker = tracker
        self._publish = publish
        self._numbers = itertools.count(time.time_ns() // 1_000_000_000)
        self._lock = asyncio.Lock()
        self._session: _Session | None = None
        self._task: asyncio.Task[None] | None = None

    async def play(self, request: Replay) -> Replaying:
        """Play it instead of what plays. Raises BadTrajectory."""
        if request.trajectory is None:
            await self.stop("told to stop")
            return Replaying(trajectory=None)
        trajectory = await asyncio.to_thread(read, request.trajectory, request.axes, request.start)
        async with self._lock:
            await self._stop("another trajectory plays")
            self._begin(trajectory, request)
        seconds = trajectory.duration / 1e9 / request.speed
        return Replaying(trajectory=trajectory.name, kind=trajectory.kind, poses=len(trajectory.times), seconds=seconds)

    async def stop(self, reason: str) -> None:
        async with self._lock:
            await self._stop(reason)

    def sessions(self) -> list[Started]:
        return [] if self._session is None else [self._session.started]

    def truth(self, source: Source) -> Truth | None:
        """Where the device really is that this source speaks of, in the frame that poses are published in; null: it is no trajectory."""
        session = self._session
        if session is None or session.player.source != source:
            return None
        return lambda when: None if (place := session.player.truth(when)) is None else self._tracker.recentred(place)

    async def _stop(self, reason: str) -> None:
        session, task = self._session, self._task
        if session is None or task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        self._end(session, reason)

    def _begin(self, trajectory: Trajectory, request: Replay) -> None:
        started = Started(
            session=f"replay-{next(self._numbers)}",
            origin="trajectory",
            kind=trajectory.kind,
            description=f"{trajectory.name}, {len(trajectory.times)} poses, as {request.device}",
            rate=request.rate,
        )
        trajectory = replace(trajectory, name=started.session)  # played another time it is another source
        player = Player(trajectory, request.device, rate=request.rate, speed=request.speed, loop=request.loop)
        session = self._session = _Session(started, player, time.monotonic())
        self._publish(xr.STARTED, started)
        self._task = asyncio.ensure_future(player.play(lambda seen: self._take(session, seen), lambda: self._end(session, OVER)))
        self._task.add_done_callback(_report)

    def _take(self, session: _Session, seen: Observation) -> None:
        if self._tracker.take(seen) == "late":
            session.late += 1
        else:
            session.frames += 1

    def _end(self, session: _Session, reason: str) -> None:
        """Say so once."""
        if self._session is not session:
            return
        self._session = None
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


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a trajectory ended early", exc_info=error)
