"""Batching: under load a publisher gathers events of one topic into one frame, so that they share the cost of a message. Pure."""

from __future__ import annotations

from bus.wire import MAX_BATCH, pack_frame

BATCH_SECONDS = 0.0005
"""The longest that an event waits for company. One that comes later than this after the last frame goes at once."""


class Batch:
    """Events of one topic that wait to go out together. `opened` is when the first of them came, in monotonic seconds."""

    def __init__(self) -> None:
        self.topic = ""
        self.opened = 0.0
        self._maps: list[bytes] = []
        self._size = 0

    def __len__(self) -> int:
        return len(self._maps)

    def takes(self, topic: str, event_map: bytes) -> bool:
        """Whether this event may go in the same frame as those that wait."""
        return topic == self.topic and self._size + len(event_map) <= MAX_BATCH

    def add(self, topic: str, event_map: bytes, now: float) -> None:
        if not self._maps:
            self.topic, self.opened = topic, now
        self._maps.append(event_map)
        self._size += len(event_map)

    def is_due(self, now: float) -> bool:
        """Whether it has waited long enough, or holds all that one frame should."""
        return self._size >= MAX_BATCH or now - self.opened >= BATCH_SECONDS

    def take(self) -> bytes:
        """The frame of what waited; nothing waits any more."""
        frame = pack_frame(self.topic, self._maps)
        self._maps, self._size = [], 0
        return frame
