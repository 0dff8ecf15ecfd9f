"""The recorder's side of a durable stream: which event to append, hold, discard or ask for.

Pure, and the counterpart of `bus.ring`: `last` moves only with the events themselves, or with a floor that their
publisher states.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

HELD_EVENTS = 1000
"""Events after a gap that one stream holds while it asks for what is missing."""


@dataclass(slots=True)
class Stream(Generic[T]):
    """One source and epoch. `last` is the newest seq appended; what lies above a gap waits in `held`."""

    last: int = 0
    held: dict[int, T] = field(default_factory=dict)

    def offer(self, seq: int, event: T) -> list[T]:
        """The events to append now, in order: none for a duplicate or one above a gap."""
        if seq <= self.last:
            return []
        if seq > self.last + 1:
            if len(self.held) < HELD_EVENTS:
                self.held[seq] = event
            return []
        ready = [event]
        self.last = seq
        while (following := self.held.pop(self.last + 1, None)) is not None:
            ready.append(following)
            self.last += 1
        return ready

    @property
    def missing(self) -> tuple[int, int] | None:
        """The first range to ask for, None where there is no gap."""
        if not self.held:
            return None
        return self.last + 1, min(self.held) - 1

    def raise_to(self, floor: int) -> tuple[int, int] | None:
        """The publisher no longer holds what is below `floor`: go on from there. Returns the range lost, None where nothing is."""
        if floor <= self.last + 1:
            return None
        lost = (self.last + 1, floor - 1)
        self.last = floor - 1
        self.held = {seq: event for seq, event in self.held.items() if seq > self.last}
        return lost

    def release(self) -> list[T]:
        """After `raise_to`: the held events that now follow without a gap."""
        following = self.held.pop(self.last + 1, None)
        return [] if following is None else self.offer(self.last + 1, following)
