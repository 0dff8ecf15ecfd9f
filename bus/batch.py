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

    @property
    def is_empty(self) -> bool:
        return not self._maps

    def add(self, topic: str, event_map: bytes, now: float) -> list[bytes]:
        """Take an event in. Returns the frames that are to go out now, in order: of what it does not fit to, and of what is due with it."""
        frames = [self.take()] if self._maps and (topic != self.topic or self._size + len(event_map) > MAX_BATCH) else []
        if not self._maps:
            self.topic, self.opened = topic, now
        self._maps.append(event_map)
        self._size += len(event_map)
        if self.is_due(now):
            frames.append(self.take())
        return frames

    def is_due(self, now: float) -> bool:
        """Whether what waits has waited long enough, or is all that one frame should hold."""
        return bool(self._maps) and (self._size >= MAX_BATCH or now - self.opened >= BATCH_SECONDS)

    def take(self) -> bytes:
        """The frame of what waited; nothing waits any more."""
        frame = pack_frame(self.topic, self._maps)
        self._maps, self._size = [], 0
        return frame
