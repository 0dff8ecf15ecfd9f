"""Gaps in what a subscriber receives: found by `prev` and by what the recorder says it has, filled from the log, given up in the end.

Pure: the reader holds the socket, asks the recorder and tells the time (monotonic seconds). Durable events only.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from bus.wire import Envelope, Recorded

HELD_EVENTS = 2000
"""Events that wait for older ones of their stream. What comes above that is left in the log, to be fetched from there."""
PATIENCE = 5.0
"""Seconds without progress after which a gap is reported and passed over: no subscriber waits for ever."""
RETRY_SECONDS = 0.2
"""Between two questions to a recorder that does not answer."""
REST_SECONDS = 0.02
"""Between two readings of the log to its end: one that follows the other closely costs as much and finds little."""
MOST_STREAMS = 10_000
"""Publishers that are remembered, the one that was silent for longest forgotten first."""

Key = tuple[str, int]
"""A stream: its source and epoch."""


class Arrival(Protocol):
    """A durable event as it arrived or was fetched."""

    @property
    def topic(self) -> str: ...

    @property
    def envelope(self) -> Envelope: ...


E = TypeVar("E", bound=Arrival)


class Gap(NamedTuple):
    """Events of a topic between two seq of a stream, both exclusive, that could not be had: given up.

    An empty source: what the recorder announced was missed, and it did not answer, so nobody knows whether there was anything.
    """

    source: str
    epoch: int
    topic: str
    after: int
    before: int


@dataclass(slots=True)
class _Followed(Generic[E]):
    """One stream. `delivered` is the last seq by topic, above `base`; `missing` the newest that the log has and we do not.

    `base` is what the log held before the subscription began, None where no recorder could say.
    """

    base: int | None
    delivered: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    held: list[E] = field(default_factory=list)
    waiting_since: float = 0.0
    heard: float = 0.0

    @property
    def is_behind(self) -> bool:
        return bool(self.held or self.missing)

    def last(self, topic: str) -> int:
        return self.delivered.get(topic, self.base or 0)

    def is_known(self, topic: str) -> bool:
        """Whether it is known what came before the next event of a topic."""
        return self.base is not None or topic in self.delivered

    def deliver(self, arrival: E) -> None:
        seq = arrival.envelope.seq
        self.delivered[arrival.topic] = seq
        if self.missing and self.missing.get(arrival.topic, 0) <= seq:
            self.missing.pop(arrival.topic, None)


class Gaps(Generic[E]):
    """Delivers every durable event once, a stream's in their order.

    `table` is the recorder's last seq of each stream when the subscription stood, `end` the log time of then and `group` its epoch
    and its last announcement; no table: no recorder, so each stream counts from what is first seen of it, or recorded after `end`,
    which is then the time of day. `wants` says which topics are subscribed to. `filled` counts events that came from the log.
    """

    def __init__(
        self, wants: Callable[[str], bool], table: Mapping[Key, int] | None, end: int | None = None, group: tuple[int, int] | None = None
    ) -> None:
        self.filled = 0
        self._wants = wants
        self._table = table
        self._begun = end or 0
        self._end = end  # log time up to which everything wanted was delivered
        self._group = group
        self._suspect: float | None = None  # since when announcements are missing, and anything may be
        self._suspect_until = 0  # the log time behind which none are
        self._streams: dict[Key, _Followed[E]] = {}
        self._behind: dict[Key, _Followed[E]] = {}
        self._held = 0
        self._ask_at = 0.0
        self._looked = 0.0

    @property
    def is_behind(self) -> bool:
        """Whether something waits for older events, or is known to be missing."""
        return bool(self._behind) or self._suspect is not None

    def is_past(self, arrival: E) -> bool:
        """Whether this recorded event belongs to history: what is newer than the subscription arrives by itself.

        A stream that the table lacks has ended, or has just begun: what is read of it is not delivered again, nor what has arrived read.
        """
        key = (arrival.envelope.source, arrival.envelope.epoch)
        if self._table is not None and key in self._table:
            return arrival.envelope.seq <= self._table[key]
        stream = self._streams.get(key) or self._begin(key)
        if arrival.envelope.seq <= stream.last(arrival.topic):
            return False
        stream.deliver(arrival)
        return True

    def arrive(self, arrival: E, now: float) -> bool:
        """Whether this event is to be delivered now: not if it was before, or has to wait for older ones."""
        topic, envelope = arrival.topic, arrival.envelope
        key = (envelope.source, envelope.epoch)
        stream = self._streams.get(key) or self._begin(key)
        stream.heard = now
        last = stream.delivered.get(topic)
        if last is None:
            last = envelope.prev if stream.base is None else stream.base
        if envelope.seq <= last:
            return False
        if envelope.prev > last or stream.held or stream.missing or self._suspect is not None:
            self._hold(key, stream, arrival, now)
            return False
        stream.delivered[topic] = envelope.seq
        return True

    def announced(self, recorder: int, recorded: Recorded, now: float) -> None:
        """Take the recorder's word (its epoch, and what it committed): what it has and we do not was lost on the way."""
        known = self._group
        if known is not None and known[0] == recorder and recorded.group < known[1]:
            return  # it waited in the socket since before the subscription's table was made
        self._group = (recorder, recorded.group)
        follows = recorded.group == 1 if known is None else known[0] == recorder and recorded.group - known[1] <= 1
        if self._end is None:
            self._end = recorded.after
        if not follows or (recorded.streams is None and self._group != known):
            self._suspect = now if self._suspect is None else self._suspect
            self._suspect_until = recorded.end
        are_ours = self._table is not None or recorded.after >= self._begun
        for source, epoch, topics in recorded.streams or ():
            for topic, seq in topics.items():
                if self._wants(topic):
                    self._compare((source, epoch), topic, seq, are_ours, now)
        if not self.is_behind:
            self._end = recorded.end

    def wanted(self, now: float) -> int | None:
        """The log time after which to fetch what is missing, None where there is nothing to ask for (now)."""
        askable = self._suspect is not None or any(stream.missing for stream in self._behind.values())
        return self._end if askable and now >= self._ask_at else None

    def unanswered(self, now: float) -> None:
        """The recorder did not answer: ask again in a moment."""
        self._ask_at = now + RETRY_SECONDS

    def fill(self, page: Iterable[E], end: int, exhausted: bool, now: float) -> tuple[list[Gap], list[E]]:
        """Take fetched events, in log order up to log time `end`; `exhausted`: the log had no more.

        Returns the gaps that the log has itself, and the events to deliver.
        """
        gaps: list[Gap] = []
        freed: list[E] = []
        for arrival in page:
            self._take_missing(arrival, now, gaps, freed)
        if self._end is None or end > self._end:
            self._end = end
        if not exhausted:
            self._wait_anew(now)  # the log is being read
        else:
            self._ask_at = now + (REST_SECONDS if freed else RETRY_SECONDS)
        if exhausted and end >= self._suspect_until:
            self._suspect = None
        return gaps, freed + self._release_known()

    def _take_missing(self, arrival: E, now: float, gaps: list[Gap], freed: list[E]) -> None:
        """Deliver a fetched event that was not; what of its topic is older and not in the log may have arrived, or is a gap."""
        key, topic = (arrival.envelope.source, arrival.envelope.epoch), arrival.topic
        stream = self._streams.get(key) or self._begin(key)
        if arrival.envelope.seq <= stream.last(topic):
            return
        if arrival.envelope.prev > stream.last(topic) and stream.is_known(topic):
            for held in stream.held:
                if held.topic == topic and stream.last(topic) < held.envelope.seq < arrival.envelope.seq:
                    gaps += _hole(key, stream, held)
                    stream.deliver(held)
                    freed.append(held)
            gaps += _hole(key, stream, arrival)
        stream.deliver(arrival)
        stream.waiting_since = now
        freed.append(arrival)
        self.filled += 1

    def expire(self, now: float) -> tuple[list[Gap], list[E]]:
        """What has waited in vain: the gaps given up, and the events that waited behind them."""
        gaps: list[Gap] = []
        freed: list[E] = []
        if now - self._looked > PATIENCE:  # this process stood still: it has not waited, and nobody could have answered it
            self._wait_anew(now)
        self._looked = now
        if self._suspect is not None and now - self._suspect >= PATIENCE:
            self._suspect = None
            gaps.append(Gap("", 0, "", 0, 0))
            freed += self._release_known()
        for key, stream in list(self._behind.items()):
            if now - stream.waiting_since >= PATIENCE:
                gaps += self._pass_over(key, stream, freed)
        return gaps, freed

    def _wait_anew(self, now: float) -> None:
        self._suspect = None if self._suspect is None else now
        for stream in self._behind.values():
            stream.waiting_since = now

    def _begin(self, key: Key) -> _Followed[E]:
        base = None if self._table is None else self._table.get(key, 0)
        if len(self._streams) >= MOST_STREAMS:
            self._forget()
        stream = self._streams[key] = _Followed(base)
        return stream

    def _forget(self) -> None:
        """Make room: of those that wait for nothing, the tenth that was silent for longest goes."""
        idle = sorted((stream.heard, key) for key, stream in self._streams.items() if key not in self._behind)
        for _, key in idle[: MOST_STREAMS // 10] or [(0.0, next(iter(self._streams)))]:
            del self._streams[key]
            self._held -= len(self._behind.pop(key).held) if key in self._behind else 0

    def _hold(self, key: Key, stream: _Followed[E], arrival: E, now: float) -> None:
        self._fall_behind(key, stream, now)
        if self._held < HELD_EVENTS:
            insort(stream.held, arrival, key=lambda held: held.envelope.seq)  # what was sent again is older than what waits
            self._held += 1

    def _compare(self, key: Key, topic: str, seq: int, is_ours: bool, now: float) -> None:
        """Whether a recorded event was missed; one that is not surely ours, of a topic not heard yet, may be from before we came."""
        stream = self._streams.get(key)
        if not is_ours and (stream is None or not stream.is_known(topic)):
            return
        stream = stream or self._begin(key)
        if seq > stream.last(topic):
            self._fall_behind(key, stream, now)
            stream.missing[topic] = seq

    def _fall_behind(self, key: Key, stream: _Followed[E], now: float) -> None:
        if not stream.is_behind:
            stream.waiting_since = now
            self._behind[key] = stream

    def _release_known(self) -> list[E]:
        """The held events of every stream of which nothing else is known to be missing, unless anything may be."""
        freed: list[E] = []
        for key, stream in list(self._behind.items()):
            self._drop_delivered(stream)
            newest = {arrival.topic: arrival.envelope.seq for arrival in stream.held}
            if self._suspect is None and all(seq <= newest.get(topic, 0) for topic, seq in stream.missing.items()):
                freed += self._release(key, stream)
        return freed

    def _drop_delivered(self, stream: _Followed[E]) -> None:
        """Make room for what arrives: the log has overtaken what has been held for long."""
        held = stream.held
        if held and held[0].envelope.seq <= stream.last(held[0].topic):
            stream.held = [arrival for arrival in held if arrival.envelope.seq > stream.last(arrival.topic)]
            self._held -= len(held) - len(stream.held)

    def _release(self, key: Key, stream: _Followed[E]) -> list[E]:
        """The held events that nothing older is known to be missing before."""
        held, stream.held = stream.held, []
        freed = []
        for index, arrival in enumerate(held):
            last = stream.last(arrival.topic)
            if arrival.envelope.seq <= last:
                continue
            if arrival.envelope.prev > last and stream.is_known(arrival.topic):
                stream.held = held[index:]
                break
            stream.deliver(arrival)
            freed.append(arrival)
        self._held -= len(held) - len(stream.held)
        if not stream.is_behind:
            del self._behind[key]
        return freed

    def _pass_over(self, key: Key, stream: _Followed[E], freed: list[E]) -> list[Gap]:
        gaps = []
        freed += self._release(key, stream)
        while stream.held:
            first = stream.held[0]
            gaps += _hole(key, stream, first)
            stream.delivered[first.topic] = first.envelope.prev
            freed += self._release(key, stream)
        for topic, seq in stream.missing.items():
            if seq > stream.last(topic):
                gaps.append(Gap(*key, topic, stream.last(topic), seq + 1))
                stream.delivered[topic] = seq
        stream.missing.clear()
        self._behind.pop(key, None)
        return gaps


def _hole(key: Key, stream: _Followed[E], arrival: E) -> list[Gap]:
    """The gap in front of an event, none where nothing of its topic is missing there."""
    last = stream.last(arrival.topic)
    return [Gap(*key, arrival.topic, last, arrival.envelope.seq)] if arrival.envelope.prev > last else []
