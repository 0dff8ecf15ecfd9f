"""Pages of the log, each within one reply. Who reads on is given the next page from where the last one ended, without a search."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from msgspec import Raw

from bus.history import Fetch, Fetched
from bus.log.log import Log
from bus.log.reader import OnDamage
from bus.log.records import Entry
from bus.topic import Delivery
from bus.wire import MAX_REPLY

PAGE_BYTES = MAX_REPLY - 4096
"""Of events in a page: with the reply's envelope they fit into a reply, and so does the largest event alone."""
MOST_PLACES = 16
"""Readers whose place is kept: an open file and up to a few MiB of it for each."""
PLACE_SECONDS = 10.0
"""After which a reader that asks no more loses its place: the file behind it may have been removed, and still takes disk space."""
_EVENT_OVERHEAD = 300  # topic (255 bytes at most), plane, log time and their MessagePack heads

Key = tuple[tuple[str, ...], int]
"""The topics of a page that has not been asked for yet, and the log time after which it begins."""


class Place(NamedTuple):
    """Where a reader is: `following` had no room in its last page, then come `entries` up to log time `until`. `since`: monotonic s."""

    entries: Iterator[Entry]
    until: int
    following: tuple[Entry, ...] = ()
    since: float = 0.0


class Pages:
    """For any thread. Where the log is damaged `on_damage` is told, and a page goes on behind it."""

    def __init__(self, log: Log, on_damage: OnDamage) -> None:
        self._log = log
        self._on_damage = on_damage
        self._places: dict[Key, Place] = {}
        self._lock = threading.Lock()

    def fetch(self, request: Fetch) -> Fetched:
        """One page, in log order. Raises CorruptLog, OSError."""
        place = self._take(request) or self._open(request)
        page, following = _fill(chain(place.following, place.entries), request.limit)
        events = [item(entry) for entry in page]
        if not following:
            return Fetched(events=events, end=place.until)
        after = page[-1].log_time
        self._keep((tuple(request.topics), after), place._replace(following=following, since=clock.monotonic()))
        return Fetched(events=events, next=after, end=place.until)

    def forget(self) -> None:
        """Let go of places where nobody has been for PLACE_SECONDS."""
        with self._lock:
            kept = clock.monotonic() - PLACE_SECONDS
            self._places = {key: place for key, place in self._places.items() if place.since > kept}

    def _open(self, request: Fetch) -> Place:
        end = self._log.end
        until = end if request.until is None else min(request.until, end)
        entries = self._log.read(topics=request.topics, after=request.after, until=until, on_damage=self._on_damage)
        return Place(entries, until)

    def _take(self, request: Fetch) -> Place | None:
        """The place of who asks for the page that follows; from now on it is nobody else's."""
        with self._lock:
            key = tuple(request.topics), request.after
            place = self._places.get(key)
            if place is None or (request.until is not None and request.until < place.until):
                return None
            return self._places.pop(key)

    def _keep(self, key: Key, place: Place) -> None:
        with self._lock:
            self._places[key] = place
            if len(self._places) > MOST_PLACES:
                del self._places[next(iter(self._places))]


def fit(entries: Iterable[Entry]) -> list[Entry]:
    """As many of the entries as fit into one reply."""
    return _fill(entries, None)[0]


def item(entry: Entry) -> tuple[str, Delivery, int, Raw]:
    """An entry as it stands in a page."""
    return entry.topic, Delivery.LATEST if entry.delivery == "latest" else Delivery.DURABLE, entry.log_time, Raw(entry.data)


def _fill(entries: Iterable[Entry], limit: int | None) -> tuple[list[Entry], tuple[Entry, ...]]:
    """The entries that fit into one reply, at most `limit`, and the one that comes after, none where that is all."""
    page: list[Entry] = []
    size = 0
    for entry in entries:
        size += len(entry.data) + _EVENT_OVERHEAD
        if page and (size > PAGE_BYTES or len(page) == limit):
            return page, (entry,)
        page.append(entry)
    return page, ()
