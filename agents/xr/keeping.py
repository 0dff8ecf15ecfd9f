"""Keeps a picture of the overlay's error now and then: overlay.png."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog

from agents.xr.overlay.composer import Composed
from agents.xr.overlay.error_picture import save
from agents.xr.tracking.tracker import Publish
from schemas import system

EVERY = 600.0
"""Seconds: each of them stays in the store."""

_log = structlog.get_logger()


class Keeping:
    """One at a time, off the event loop."""

    def __init__(self, publish: Publish, artifacts: Path) -> None:
        self._publish = publish
        self._artifacts = artifacts
        self._after = 0.0
        self._task: asyncio.Task[None] | None = None

    def again(self) -> None:
        """The next one that is measured is kept, too."""
        self._after = 0.0

    def offer(self, composed: Composed) -> None:
        now = time.monotonic()
        is_busy = self._task is not None and not self._task.done()
        if composed.measured is not None and now >= self._after and not is_busy:
            self._after = now + EVERY
            self._task = asyncio.ensure_future(self._save(composed))

    async def close(self, seconds: float) -> None:
        """Wait for the one that is being kept."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)

    async def _save(self, composed: Composed) -> None:
        try:
            self._publish(system.ARTIFACT, await asyncio.to_thread(save, composed, self._artifacts))
        except OSError as error:
            _log.error("overlay.png could not be kept", reason=str(error))
