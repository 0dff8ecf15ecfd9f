"""What commands want of the training thread: runs, pauses, stops and samples, asked for in one thread and served in the other."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from agents.parts.recipes import Recipe
from agents.trainer.plan import Plan, Settings
from schemas.train import Sample, Sampled


@dataclass(frozen=True, slots=True)
class SampleOrder:
    """A request for text, and where its result goes."""

    request: Sample
    result: Future[Sampled] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """A request to check recipes, on the data that a run with these settings would read."""

    recipes: tuple[Recipe, ...]
    settings: Settings


@dataclass(slots=True)
class Controls:
    """Safe from any thread. The training thread waits in `next_order` while idle and asks `may_step` before every step."""

    paused: bool = False
    stopping: bool = False
    closed: bool = False
    _plan: Plan | None = None
    _check: CheckOrder | None = None
    _samples: deque[SampleOrder] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def start(self, plan: Plan) -> None:
        """Begin this run as soon as the thread is idle."""
        with self._changed:
            self._plan, self.paused, self.stopping = plan, False, self.closed
            self._changed.notify()

    def check(self, order: CheckOrder) -> None:
        """Check recipes as soon as the thread is idle."""
        with self._changed:
            self._check = order
            self._changed.notify()

    def pause(self, paused: bool) -> None:
        """Hold the run after its present step, or let it go on."""
        with self._changed:
            self.paused = paused
            self._changed.notify()

    def stop(self) -> None:
        """End the run after its present step."""
        with self._changed:
            self.stopping = True
            self._changed.notify()

    def close(self) -> None:
        """End the run and the thread, and leave unserved what waits."""
        with self._changed:
            self.closed = self.stopping = True
            while self._samples:
                self._samples.popleft().result.cancel()
            self._changed.notify()

    def sample(self, request: Sample) -> SampleOrder:
        """Ask for text; it comes between two steps, or at once from an idle thread."""
        order = SampleOrder(request)
        with self._changed:
            self._samples.append(order)
            self._changed.notify()
        return order

    def next_order(self) -> Plan | SampleOrder | CheckOrder | None:
        """Wait for the next run, sample or check; None where the thread is to end. For the training thread while idle."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._samples or self._check or self._plan)
            if self.closed:
                return None
            if self._samples:
                return self._samples.popleft()
            if self._check:
                check, self._check = self._check, None
                return check
            plan, self._plan = self._plan, None
            return plan

    def may_step(self) -> bool | SampleOrder:
        """True for the next step, False where the run is to end, or a sample to serve before. Waits while paused."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopping or self._samples or not self.paused)
            if self.stopping:
                return False
            return self._samples.popleft() if self._samples else True
