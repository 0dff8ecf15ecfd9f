"""Counts what does not decode, and says so at most once a topic and minute."""

from __future__ import annotations

import threading
import time as clock

from msgspec import Raw

from bus.lifecycle import Rejected

REPORT_SECONDS = 60.0
_TOPICS = 256  # claimed by strangers, so bounded: what comes above is counted under one name
_REASON = 300
_SAMPLE = 64


class Rejections:
    """Call `add` from any thread; `due` gives the reports to publish. `total` counts since the start."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()
        self._counts: dict[str, Rejected] = {}
        self._reported: dict[str, float] = {}

    def add(self, topic: str, frame: bytes | Raw, reason: str) -> None:
        """Count one frame, or one event map, that did not decode."""
        with self._lock:
            self.total += 1
            if topic not in self._reported and len(self._reported) >= _TOPICS:
                topic = "?"
            self._reported.setdefault(topic, float("-inf"))
            before = self._counts.get(topic)
            self._counts[topic] = Rejected(
                topic=topic[:255],
                count=1 + (before.count if before else 0),
                reason=reason[:_REASON],
                sample=bytes(frame)[:_SAMPLE].hex(),
            )

    def due(self) -> list[Rejected]:
        """The reports whose topic was not reported within the last minute; each is given once."""
        now = clock.monotonic()
        with self._lock:
            topics = [topic for topic in self._counts if now - self._reported[topic] >= REPORT_SECONDS]
            for topic in topics:
                self._reported[topic] = now
            return [self._counts.pop(topic) for topic in topics]
