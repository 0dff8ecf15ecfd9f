"""How far physics goes in a frame: with the time, or while it is stopped by the steps that somebody orders."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from agents.engine.world import World

STEPS_PER_SECOND = 60.0

Moment = tuple[int, float]
"""The number of the last frame, and the time of the scene in seconds."""


@dataclass(slots=True)
class _Steps:
    left: int
    done: Future[Moment]


class Clock:
    """Takes steps of 1/60 s: as many as frames that come `hz` times a second need, or while it is `paused` those that were ordered."""

    def __init__(self, world: World, hz: float) -> None:
        self.paused = False
        self._world = world
        self._share = STEPS_PER_SECOND / hz
        self._due = 0.0
        self._orders: deque[_Steps] = deque()

    def advance(self, step: Callable[[], None], until: float) -> None:
        """Take the steps of this frame. From the monotonic time `until` on, ordered ones wait for the next frame: there may be many."""
        if self.paused:
            self._obey(step, until)
        else:
            self._keep_time(step)

    def order(self, steps: int, done: Future[Moment]) -> None:
        """Stop, and take so many steps; then `done` hears the moment."""
        self.paused = True
        self._orders.append(_Steps(steps, done))

    def resume(self) -> Moment:
        """Go with the time again. Orders end where they are."""
        self.paused = False
        while self._orders:
            self._orders.popleft().done.set_result(self._moment())
        return self._moment()

    def abandon(self, reason: Exception) -> None:
        """No step will be taken: orders fail."""
        while self._orders:
            self._orders.popleft().done.set_exception(reason)

    def _keep_time(self, step: Callable[[], None]) -> None:
        self._due += self._share
        while self._due >= 1:
            self._due -= 1
            step()

    def _obey(self, step: Callable[[], None], until: float) -> None:
        while self._orders:
            order = self._orders[0]
            step()
            order.left -= 1
            if order.left == 0:
                self._orders.popleft().done.set_result(self._moment())
            if time.monotonic() >= until:
                return

    def _moment(self) -> Moment:
        return (self._world.frame, self._world.time)
