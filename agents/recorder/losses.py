"""Counts, by topic, the events that a publisher has sent and the log will never have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from agents.recorder.tally import MOST_TOPICS, counted_as
from bus.subscriber import Received

MOST_PUBLISHERS = 1000
"""Publishers whose numbering is remembered, the one heard first forgotten first."""

Key = tuple[str, int]


class Losses:
    """Follows `nth`, the number of an event among its publisher's events of its topic: what it skips was lost.

    Durable events come without holes but behind a floor, so only LATEST topics and those streams are followed. Not counted is what a
    publisher sent before this recorder first heard it, and what it loses of topics beyond its first `MOST_TOPICS`. `on_lost` is called
    with the topic and how many. `holes` are what durable streams have lost, as seq (first, last).
    """

    def __init__(self, on_lost: Callable[[str, int], None]) -> None:
        self.lost: Counter[str] = Counter()
        self._on_lost = on_lost
        self._newest: dict[Key, dict[str, int]] = {}
        self.holes: dict[Key, tuple[int, int]] = {}

    def take_latest(self, event: Received) -> None:
        """A LATEST event is about to be recorded."""
        envelope = event.envelope
        if not envelope.nth:  # a foreign publisher, which does not count
            return
        topics = self._newest.setdefault((envelope.source, envelope.epoch), {})
        before = topics.get(event.topic)
        if before is not None:
            self._count(event.topic, envelope.nth - before - 1)
        if before is not None or len(topics) < MOST_TOPICS:
            topics[event.topic] = envelope.nth
        if len(self._newest) > MOST_PUBLISHERS:
            del self._newest[next(iter(self._newest))]

    def take_hole(self, key: Key, first: int, last: int) -> None:
        """A durable stream has lost these seq; the next event of each topic shows whose they were."""
        self.holes[key] = (first, last)

    def take_durable(self, event: Received, key: Key) -> None:
        """A durable event is about to be recorded. One is counted for each topic whose previous event is in the hole: at least that."""
        hole = self.holes.get(key)
        if hole is not None and hole[0] <= event.envelope.prev <= hole[1]:
            self._count(event.topic, 1)

    def forget(self, key: Key) -> None:
        """The publisher has left."""
        self._newest.pop(key, None)
        self.holes.pop(key, None)

    def _count(self, topic: str, lost: int) -> None:
        if lost > 0:
            self.lost[counted_as(topic, self.lost)] += lost
            self._on_lost(topic, lost)
