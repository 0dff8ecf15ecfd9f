"""The past, as the recorder gives it: what to ask, what comes back, and how history and live events join without a repeat."""

from __future__ import annotations

import re
import time as clock
from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from bus.subscriber import Received
from bus.topic import Command, Delivery
from bus.wire import Count, decode_envelope

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_FOREIGN_EVENTS = 1000  # how many events without a seq are remembered, oldest forgotten first
_TOPICS = 1000  # how many topics of LATEST and control streams are: each command line that calls has its own


class Fetch(Struct, frozen=True, kw_only=True):
    """A page of the log. `topics` are names, or prefixes that end in a dot; none: all. `after` and `until` are log times in ns.

    `limit` bounds the events of this page; a page is also bounded by the size of a reply.
    """

    topics: list[str] = []
    after: Count = 0
    until: Count | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000


class Fetched(Struct, frozen=True, kw_only=True):
    """`events` are (topic, plane, log time, event map) in log order. `next` is the `after` of the next page, null at the end.

    `end` is where its pages end: `until`, or the log's last log time when they were begun.
    """

    events: list[tuple[str, Delivery, Count, Raw]]
    next: Count | None = None
    end: Count = 0


class Last(Struct, frozen=True, kw_only=True):
    """The newest event of each of `topics`, which are names."""

    topics: Annotated[list[str], Meta(max_length=100)]


class Streams(Struct, frozen=True, kw_only=True):
    """How far the log is, by durable stream. `after` is the last (source, epoch) of the page before."""

    after: tuple[str, int] = ("", 0)


class StreamTable(Struct, frozen=True, kw_only=True):
    """`streams` are (source, epoch, last seq) of publishers that are there or left just now, in their order; `more`: another page follows.

    At log time `end`, or a little later. `epoch` is the recorder's, `group` its last announcement (`bus.recorded`).
    """

    epoch: Count
    group: Count
    end: Count
    streams: list[tuple[str, Count, Count]]
    more: bool = False


FETCH = Command("recorder.fetch", Fetch, Fetched)
LAST = Command("recorder.last", Last, Fetched)
STREAMS = Command("recorder.streams", Streams, StreamTable)


def since_time(since: str | float, now: int | None = None) -> int:
    """The time, in ns since the Unix epoch, that lies `since` ago: `90` or `90s`, `10m`, `2h`, `1d`. Raises ValueError."""
    now = clock.time_ns() if now is None else now
    if isinstance(since, str):
        match = _DURATION.fullmatch(since.strip())
        if not match:
            raise ValueError(f"since {since!r}: want a number and a unit, as 30s, 10m, 2h or 1d")
        since = float(match[1]) * _UNITS[match[2]]
    return max(now - int(since * 1e9), 0)


def received(page: Fetched) -> Iterator[Received]:
    """The events of a page as a subscriber has them."""
    for topic, plane, _, event_map in page.events:
        yield Received(topic, plane, event_map, decode_envelope(topic, event_map))


def pages(fetch: Callable[[Fetch], Fetched], topics: list[str], after: int, until: int | None = None) -> Iterator[Received]:
    """Every recorded event of `topics` with a log time above `after`, page by page, to the end that the log had at the first."""
    cursor: int | None = after
    while cursor is not None:
        page = fetch(Fetch(topics=topics, after=cursor, until=until))
        yield from received(page)
        cursor, until = page.next, until or page.end


def whole_table(ask: Callable[[Streams], StreamTable]) -> StreamTable:
    """The table of all pages, at the log time of the first."""
    first = page = ask(Streams())
    streams = list(first.streams)
    while page.more:
        source, epoch, _ = page.streams[-1]
        page = ask(Streams(after=(source, epoch)))
        streams += page.streams
    return msgspec.structs.replace(first, streams=streams, more=False)


class Seen:
    """Which LATEST and control events were delivered already, by the highest seq; foreign events, which have none, by their bytes.

    An event comes twice only where history and live events join, so what was silent longest can be forgotten.
    """

    def __init__(self) -> None:
        self._highest: dict[tuple[str, int, Delivery, str], int] = {}
        self._foreign: dict[bytes, None] = {}

    def is_new(self, event: Received) -> bool:
        """Whether this event was not delivered yet; from now on it was."""
        envelope = event.envelope
        if not envelope.seq:
            return self._is_new_foreign(bytes(event.event_map))
        stream = envelope.source, envelope.epoch, event.plane, event.topic  # a drain to the newest gives topics in no order of their seq
        highest = self._highest.pop(stream, 0)
        self._highest[stream] = max(envelope.seq, highest)  # now the last of them
        if len(self._highest) > _TOPICS:
            del self._highest[next(iter(self._highest))]
        return envelope.seq > highest

    def _is_new_foreign(self, event_map: bytes) -> bool:
        if event_map in self._foreign:
            return False
        self._foreign[event_map] = None
        if len(self._foreign) > _FOREIGN_EVENTS:
            del self._foreign[next(iter(self._foreign))]
        return True
