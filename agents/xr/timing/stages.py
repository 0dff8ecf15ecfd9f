"""A head pose's way through the appliance, from where it was sampled to where a picture of it was shown, and how long each stage took."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable
from typing import Literal, TypeVar, get_args

from agents.parts.percentile import percentile
from schemas.xr import Clock, Latency, Origin, Pose, Span, Stage, StageName

MOST = 600
"""Poses that are remembered: of over six seconds at 90 a second."""
SETTLED = 1_000_000_000
"""In ns: after which a pose has been through all of its stages, or never will."""
LONGEST_HORIZON = 0.1
"""Seconds: further ahead a prediction is worse than none."""
LATELY = 90
"""Poses by which the horizon is measured."""
Place = Literal["sampled"] | StageName
_WAY: tuple[Place, ...] = ("sampled", *get_args(StageName))
_AHEAD_OF: tuple[StageName, ...] = ("drawn", "applied", "published")
_SECOND = 1_000_000_000

Stamps = dict[Place, int]
T = TypeVar("T")


class Stages:
    """Collects the stamps of head poses. A pose goes by when it was sampled, in ns.

    Each pose counts in the window that is closed a second after it was sampled: by then its picture was shown, or is not going to be.
    A stamp that comes later, or of a pose that nobody knows, is ignored. Not every pose is drawn, and each stage has its own count.

    What is measured ends where software does: `shown` is when the page's next frame began after it had the picture. What the screen takes
    to light up is not in it, nor is what the headset took before it said where it was.
    """

    def __init__(self) -> None:
        self._poses: dict[int, Stamps] = {}
        self._wished: dict[int, int] = {}
        self._origin: Origin = "webxr"
        self._lately: dict[StageName, deque[float]] = {stage: deque(maxlen=LATELY) for stage in _AHEAD_OF}

    @property
    def horizon(self) -> float:
        """How far ahead the overlay's pose is predicted, in seconds: the median from sampled to drawn lately, `LONGEST_HORIZON` at most.

        Where nothing was drawn yet it is to applied, else to published. It stays while nothing new comes.
        """
        for stage in _AHEAD_OF:
            if self._lately[stage]:
                return min(max(statistics.median(self._lately[stage]), 0.0), LONGEST_HORIZON)
        return 0.0

    def published(self, pose: Pose, sampled: int) -> None:
        """A head pose went to the bus: what it says of its own way."""
        stamps: Stamps = {"sampled": sampled, "received": pose.received}
        if pose.sent is not None:
            stamps["sent"] = pose.sent
        self._poses[sampled] = stamps
        self._origin = pose.origin
        self._stamp(sampled, "published", pose.published)
        _forget_oldest(self._poses)

    def wished(self, event_time: int, sampled: int) -> None:
        """The event of that time asks the engine for a camera's pose that was made of this one."""
        self._wished[event_time] = sampled
        _forget_oldest(self._wished)

    def applied(self, event_time: int, applied: int) -> None:
        """The engine has carried out the event of that time."""
        sampled = self._wished.pop(event_time, None)
        if sampled is not None:
            self._stamp(sampled, "applied", applied)

    def drawn(self, sampled: int, placed: int) -> None:
        """The engine's picture of it began with all actors in place then."""
        self._stamp(sampled, "drawn", placed)

    def composed(self, sampled: int, composed: int) -> None:
        """Its picture lies over the camera's."""
        self._stamp(sampled, "composed", composed)

    def shown(self, sampled: int, shown: int) -> None:
        """A page has shown that."""
        self._stamp(sampled, "shown", shown)

    def close(self, now: int, clock: Clock | None) -> Latency | None:
        """The window's figures, at `now` in ns, and begin anew; None where no pose has come to its end. `clock` is the page's."""
        ended = [sampled for sampled in self._poses if sampled <= now - SETTLED]
        if not ended:
            return None
        ways = [self._poses.pop(sampled) for sampled in ended]
        return Latency(
            origin=self._origin,
            stages=[stage for name in get_args(StageName) if (stage := _stage(ways, name)) is not None],
            horizon=self.horizon,
            page_to_bus=_span(_between(ways, "sent", "published")),
            motion_to_photon=_span(_between(ways, "sampled", "shown")),
            clock=clock,
        )

    def _stamp(self, sampled: int, stage: StageName, at: int) -> None:
        """The first time counts: a pose may be drawn more than once."""
        stamps = self._poses.get(sampled)
        if stamps is None or stage in stamps:
            return
        stamps[stage] = at
        if stage in self._lately:
            self._lately[stage].append((at - sampled) / _SECOND)


def _stage(ways: list[Stamps], stage: StageName) -> Stage | None:
    """What came before may be stamped by another process later than this: then it took no time."""
    seconds = sorted(each for each in (_since_before(way, stage) for way in ways) if each is not None)
    if not seconds:
        return None
    return Stage(
        stage=stage, count=len(seconds), p50=percentile(seconds, 0.5), p95=percentile(seconds, 0.95), p99=percentile(seconds, 0.99)
    )


def _since_before(way: Stamps, stage: StageName) -> float | None:
    """From the last stage before it that the pose has a stamp of."""
    if stage not in way:
        return None
    before = [way[name] for name in _WAY[: _WAY.index(stage)] if name in way]
    return max(way[stage] - before[-1], 0) / _SECOND


def _span(seconds: Iterable[float]) -> Span | None:
    ordered = sorted(seconds)
    if not ordered:
        return None
    return Span(count=len(ordered), p50=percentile(ordered, 0.5), p95=percentile(ordered, 0.95), p99=percentile(ordered, 0.99))


def _between(ways: list[Stamps], first: Place, last: Place) -> list[float]:
    return [(way[last] - way[first]) / _SECOND for way in ways if first in way and last in way]


def _forget_oldest(remembered: dict[int, T]) -> None:
    if len(remembered) > MOST:
        del remembered[next(iter(remembered))]
