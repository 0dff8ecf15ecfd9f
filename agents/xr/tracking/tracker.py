"""What all sources of poses say, as one pose of each device on the bus: newer than the last, recentred, with its motion."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from agents.parts.rigid import Rigid
from agents.xr.observation import Observation, Source
from agents.xr.tracking.arbiter import Arbiter
from agents.xr.tracking.motion import Motion, MotionFilter
from agents.xr.tracking.poses import TOPICS, pose_of
from agents.xr.tracking.presence import Presence
from agents.xr.tracking.recentring import Recentring
from bus.topic import Topic
from schemas import xr
from schemas.xr import Device

T = TypeVar("T")
Verdict = Literal["taken", "late", "overruled", "unsteady"]
"""`late`: not newer than what was taken before. `overruled`: another source speaks for the device. `unsteady`: it was lost too often."""
SET_BACK = 1_000_000_000
"""In ns: what was taken from further in the future of now was taken before this machine's clock was set back."""


class Publish(Protocol):
    """An agent's `publish`, for what has a time of its own; `time` is in ns."""

    def __call__(self, topic: Topic[T], data: T, *, time: int | None = None) -> str: ...


class Latest(Struct, frozen=True):
    """Where a device was at `sampled` (ns), and how it moved, in the frame of the bus."""

    place: Rigid
    motion: Motion
    sampled: int
    source: Source


class Tracker:
    """Takes observations, publishes poses. `now` is this machine's clock, in ns; patience is measured by `steady`, which nobody sets.

    Where two sources speak for one device, the one that began last is heard until it rests. `refused` counts by reason what was not taken.
    """

    def __init__(self, publish: Publish, now: Callable[[], int] = time.time_ns, steady: Callable[[], int] = time.monotonic_ns) -> None:
        self.refused: Counter[Verdict] = Counter()
        self._publish = publish
        self._now, self._steady = now, steady
        self._arbiter = Arbiter()
        self._presence = Presence()
        self._recentring = Recentring()
        self._recentred_for: Source | None = None
        self._filters: dict[Device, MotionFilter] = {}
        self._seen: dict[Device, tuple[Observation, Motion]] = {}
        self._newest: dict[Device, int] = {}

    def take(self, seen: Observation) -> Verdict:
        """One device at one moment; returns what became of it."""
        verdict = self._judge(seen)
        if verdict != "taken":
            self.refused[verdict] += 1
            return verdict
        self._follow(seen)
        found = self._presence.seen(seen.device, self._steady())
        if found is not None:
            self._publish(xr.FOUND, found)
        self._say_pose(seen)
        return verdict

    def only(self, source: Source, present: frozenset[Device], reason: str) -> None:
        """The source tracks these devices now: others that it spoke for are lost."""
        for device in self._arbiter.devices(source.name):
            if device not in present:
                self._arbiter.release(device)
                self._lose(device, reason)

    def rest(self, source: Source, reason: str) -> None:
        """The source has ended, or tracks nothing for now: what it spoke for is lost at once."""
        for device in self._arbiter.rest(source.name):
            self._lose(device, reason)

    def tick(self) -> None:
        """Say which devices are lost because nothing is heard of them; a few times in `presence.PATIENCE`."""
        for lost in self._presence.tick(self._steady()):
            self._arbiter.release(lost.device)
            self._say_lost(lost)

    def latest(self, device: Device) -> Latest | None:
        """Where the device was last, and how it moves; None where it is not tracked."""
        if device not in self._seen:
            return None
        seen, motion = self._seen[device]
        place = self._recentring.place(Rigid(seen.position, seen.orientation))
        return Latest(place, self._recentring.motion(motion), seen.sampled, seen.source)

    def rates(self) -> dict[str, float]:
        """The devices that are tracked, and the poses of each in the last second."""
        return self._presence.rates(self._steady())

    def recentre(self) -> xr.Recentred | None:
        """Have the head at x = z = 0, looking along -Z, from its next pose on; None where it is not tracked.

        That is for the source that speaks for the head: another one that comes is where it says.
        """
        if "head" not in self._seen:
            return None
        head, _ = self._seen["head"]
        self._recentred_for = head.source
        return self._recentring.recentre(Rigid(head.position, head.orientation))

    def recentred(self, raw: Rigid) -> Rigid:
        """A place that a source knows, where poses are published."""
        return self._recentring.place(raw)

    def _judge(self, seen: Observation) -> Verdict:
        source = seen.source.name
        if not self._arbiter.admits(source, seen.device):
            return "overruled"
        newest = self._newest.get(seen.device, 0)
        if seen.sampled <= newest <= seen.received + SET_BACK:
            return "late"
        if not self._presence.is_steady(seen.device, self._steady()):
            return "unsteady"
        self._arbiter.speak(source, seen.device)
        return "taken"

    def _follow(self, seen: Observation) -> None:
        """Another source's places may be in another room: its motion begins anew."""
        device = seen.device
        if device == "head" and self._recentred_for not in (None, seen.source):
            self._recentring, self._recentred_for = Recentring(), None
        before = self._seen.get(device)
        if before is None or before[0].source != seen.source:
            self._filters[device] = MotionFilter()
        self._seen[device] = (seen, self._filters[device].observe(seen))
        self._newest[device] = seen.sampled

    def _say_pose(self, seen: Observation) -> None:
        latest = self.latest(seen.device)
        assert latest is not None  # it was seen just now
        joints = self._recentring.joints(seen.joints)
        pose = pose_of(seen, latest.place, latest.motion, joints, self._now())
        self._publish(TOPICS[seen.device], pose, time=seen.sampled)

    def _lose(self, device: Device, reason: str) -> None:
        lost = self._presence.lose(device, reason, self._steady())
        if lost is not None:
            self._say_lost(lost)

    def _say_lost(self, lost: xr.Lost) -> None:
        del self._seen[lost.device]
        self._publish(xr.LOST, lost)
