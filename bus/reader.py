"""What a subscriber delivers: each wanted event once, a stream's in their order, what is lost on the way fetched from the recorder.

The owner's thread or event loop drives it: `take` what has arrived, and where `wanted` says so, fetch and `fill`.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterable, Iterator

import structlog

from bus.errors import CorruptFrame
from bus.gap import Gap, Gaps
from bus.history import Fetch, Fetched, Seen, received
from bus.subscriber import Received, Rejection, Subscriber, matcher
from bus.wire import RECORDED, Recorded, decode_data, stream_of

_log = structlog.get_logger()


class Reader:
    """Reads `subscriber`, which follows `patterns` and `bus.recorded`. `on_gap` hears of what could not be had.

    `begun` is the log time (ns) when the subscription stood: what is recorded later arrives by itself.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        patterns: list[str],
        gaps: Gaps[Received],
        begun: int,
        on_rejected: Rejection,
        on_gap: Callable[[Gap], None],
    ) -> None:
        self.gaps = gaps
        self.begun = begun
        self._is_asking = False
        self._subscriber = subscriber
        self._patterns = patterns
        self._wants = matcher(tuple(patterns))
        self._seen: Seen | None = None
        self._on_rejected = on_rejected
        self._on_gap = on_gap

    @property
    def is_behind(self) -> bool:
        """Whether something waits for what is missing, so that `take` and `wanted` are to be called soon, whatever arrives."""
        return self.gaps.is_behind

    def history(self, events: Iterable[Received]) -> Iterator[Received]:
        """Those events from the log that are delivered before any other; what of them also arrives is then left out."""
        self._seen = seen = Seen()
        for event in events:
            if self.gaps.is_past(event) if is_durable(event) else seen.is_new(event):
                yield event

    def take(self, limit: int = 1000) -> list[Received]:
        """What has arrived and may be delivered now. Does not wait."""
        now = clock.monotonic()
        arrived = self._subscriber.drain(limit)
        events = [event for event in arrived if self._is_due(event, now)]
        if self.gaps.is_behind and not self._is_asking:
            events += self._reported(self.gaps.expire(now))
        return events

    def wanted(self) -> Fetch | None:
        """The page to fetch from the recorder and to `fill` in, None where nothing is missing. Until then nothing is given up."""
        after = self.gaps.wanted(clock.monotonic()) if self.gaps.is_behind else None
        self._is_asking = after is not None
        return None if after is None else Fetch(topics=self._patterns, after=after)

    def fill(self, page: Fetched | None) -> list[Received]:
        """Take a fetched page, None where the recorder did not answer; returns what may be delivered now."""
        now = clock.monotonic()
        self._is_asking = False
        if page is None:
            self.gaps.unanswered(now)
            return []
        missing = [event for event in received(page) if is_durable(event)]
        return self._reported(self.gaps.fill(missing, page.end if page.next is None else page.next, page.next is None, now))

    def _reported(self, found: tuple[list[Gap], list[Received]]) -> list[Received]:
        gaps, freed = found
        for gap in gaps:
            self._on_gap(gap)
        return freed

    def _is_due(self, event: Received, now: float) -> bool:
        if is_durable(event):
            return self.gaps.arrive(event, now)
        if event.topic == RECORDED:
            self._on_recorded(event, now)
            return self._wants(RECORDED)
        return self._seen is None or self._seen.is_new(event)

    def _on_recorded(self, event: Received, now: float) -> None:
        try:
            recorded = decode_data(event.topic, event.envelope.data, Recorded)
        except CorruptFrame as error:
            self._on_rejected(event.topic, event.event_map, str(error))
            return
        self.gaps.announced(event.envelope.epoch, recorded, now)


def is_durable(event: Received) -> bool:
    """Whether the event is of a stream that is never lost: control events are not, nor those of who cannot re-send."""
    return event.envelope.seq > 0 and stream_of(event.topic, event.plane) == "durable"


def report(gap: Gap) -> None:
    """Say to the operator what a subscriber missed."""
    _log.error("events were missed and are not in the log (yet)", **gap._asdict())
