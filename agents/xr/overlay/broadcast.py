"""Gives the newest picture to all who look, each as fast as it can: who is slow misses some, and delays nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

SILENCE = 10.0
"""Seconds without a picture after which a stream ends, so that who looks at it learns that there is nothing to see."""

Shown = tuple[int, bytes]
"""The sequence of a picture's event, and its JPEG."""


class Broadcast:
    """The stream of the overlay. All of it belongs to one event loop."""

    def __init__(self) -> None:
        self._newest: Shown | None = None
        self._is_on = False
        self._watching = 0
        self._changed = asyncio.Event()

    @property
    def is_watched(self) -> bool:
        """Whether anybody looks."""
        return self._watching > 0

    def begin(self) -> None:
        self._is_on = True

    def end(self) -> None:
        """End all streams; there is nothing to see until `begin`."""
        self._is_on, self._newest = False, None
        self._wake()

    def put(self, sequence: int, jpeg: bytes) -> None:
        if self._is_on:
            self._newest = (sequence, jpeg)
            self._wake()

    async def frames(self) -> AsyncGenerator[Shown, None]:
        """Each picture that is the newest one when the last was taken. Ends with the overlay, or after SILENCE."""
        self._watching += 1
        try:
            last: Shown | None = None
            while self._is_on:
                newest, changed = self._newest, self._changed
                if newest is not None and newest is not last:
                    last = newest
                    yield newest
                elif not await _is_set(changed):
                    return
        finally:
            self._watching -= 1

    def _wake(self) -> None:
        """Whoever waits has the event that is set now; who comes later waits for another."""
        self._changed.set()
        self._changed = asyncio.Event()


async def _is_set(changed: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(SILENCE):
            await changed.wait()
    except TimeoutError:
        return False
    return True
