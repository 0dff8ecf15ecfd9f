"""Answers for the past: pages of the log, and the last event of each topic, each within the size of one reply."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Raw

from bus.history import Fetch, Fetched, StreamTable
from bus.log.log import Log
from bus.log.records import Entry
from bus.topic import Delivery
from bus.wire import MAX_REPLY

PAGE_BYTES = MAX_REPLY - 4096
"""Of events in a page: with the reply's envelope they fit into a reply, and so does the largest event alone."""
PAGE_STREAMS = 1000
"""Of at most 63 characters and two numbers each, they fit into one reply."""
_EVENT_OVERHEAD = 300  # topic (255 bytes at most), plane, log time and their MessagePack heads


def fetch(log: Log, request: Fetch) -> Fetched:
    """One page, in log order."""
    end = log.end
    until = end if request.until is None else min(request.until, end)
    entries = log.read(topics=request.topics, after=request.after, until=until, limit=request.limit)
    page, whole = _fill(entries)
    exhausted = whole and len(page) < request.limit
    return Fetched(events=[_item(entry) for entry in page], next=None if exhausted else page[-1].log_time, end=end)


def streams(log: Log, epoch: int, group: int, after: tuple[str, int]) -> StreamTable:
    """One page of the table of streams, as it is on disk. The log's end is read first: what is recorded meanwhile is above it."""
    end = log.end
    behind = sorted((key, last) for key, last in dict(log.committed).items() if key > after)
    page = [(source, number, last) for (source, number), last in behind[:PAGE_STREAMS]]
    return StreamTable(epoch=epoch, group=group, end=end, streams=page, more=len(behind) > PAGE_STREAMS)


def last(log: Log, topics: list[str]) -> Fetched:
    """The newest event of each named topic, in log order; as many as fit."""
    found = [entry for name in topics if (entry := log.last(name)) is not None]
    page, _ = _fill(sorted(found, key=lambda entry: entry.log_time))
    return Fetched(events=[_item(entry) for entry in page])


def _fill(entries: Iterable[Entry]) -> tuple[list[Entry], bool]:
    """The entries that fit into one reply, and whether that is all of them."""
    page: list[Entry] = []
    size = 0
    for entry in entries:
        size += len(entry.data) + _EVENT_OVERHEAD
        if page and size > PAGE_BYTES:
            return page, False
        page.append(entry)
    return page, True


def _item(entry: Entry) -> tuple[str, Delivery, int, Raw]:
    return entry.topic, Delivery.LATEST if entry.delivery == "latest" else Delivery.DURABLE, entry.log_time, Raw(entry.data)
