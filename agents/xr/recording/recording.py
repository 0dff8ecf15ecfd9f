"""Records a device's poses while they are published, as somebody asked for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path

from agents.xr.recording.files import Kept, finish
from agents.xr.recording.poses import Poses
from bus.agent import Publish
from bus.errors import CommandRefused
from schemas import system, xr

LAST_SECONDS = 0.2
"""After the end of a recording, for poses that were taken before it and are still on their way."""


class Recorder:
    """One recording at a time; `xr.recorded` and `artifact.created` say what became of it."""

    def __init__(self, publish: Publish, artifacts: Path) -> None:
        self._publish = publish
        self._artifacts = artifacts
        self._poses: Poses | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._cancelled = threading.Event()

    def begin(self, request: xr.Record) -> xr.Recording:
        """Record from now on. Raises CommandRefused while another one goes on, or is written."""
        if self._task is not None and not self._task.done():
            raise CommandRefused("busy", "something is being recorded: wait for xr.recorded")
        self._poses = Poses(request, time.time_ns())
        self._task = asyncio.ensure_future(self._run(self._poses))
        return xr.Recording(device=request.device, seconds=request.seconds)

    def take(self, device: str, pose: xr.Pose, sampled: int) -> None:
        """A pose that was published, of any device."""
        if self._poses is not None:
            self._poses.take(device, pose, sampled)

    async def stop(self) -> None:
        """Keep what is recorded until now; there is no time for a picture of it."""
        self._cancelled.set()
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def _run(self, poses: Poses) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(poses.asked.seconds + LAST_SECONDS):
                await self._stopping.wait()
        self._poses = None
        try:
            kept = await asyncio.to_thread(finish, self._artifacts, poses, self._cancelled)
        except OSError as error:
            reason = f"it could not be written: {error}"
            kept = Kept(recorded=xr.Recorded(device=poses.asked.device, poses=poses.count, seconds=poses.seconds, reason=reason))
        self._say(kept)

    def _say(self, kept: Kept) -> None:
        for artifact in kept.artifacts:
            self._publish(system.ARTIFACT, artifact)
        self._publish(xr.RECORDED, kept.recorded)
