"""Answers for the past that need no place in the log: the table of streams, and the last event of each topic."""

from __future__ import annotations

from agents.recorder.pages import fit, item
from bus.history import Fetched, StreamTable
from bus.log.log import Log
from bus.log.reader import OnDamage

PAGE_STREAMS = 1000
"""Of at most 63 characters and two numbers each, they fit into one reply."""


def streams(log: Log, epoch: int, group: int, after: tuple[str, int]) -> StreamTable:
    """One page of the table of streams, as it is on disk. The log's end is read first: what is recorded meanwhile is above it.

    Streams that ended just now are in it too: of them a subscriber may still find something in its socket.
    """
    end = log.end
    behind = sorted((key, last) for key, last in {**log.ended, **log.committed}.items() if key > after)
    page = [(source, number, last) for (source, number), last in behind[:PAGE_STREAMS]]
    return StreamTable(epoch=epoch, group=group, end=end, streams=page, more=len(behind) > PAGE_STREAMS)


def last(log: Log, topics: list[str], on_damage: OnDamage) -> Fetched:
    """The newest event of each named topic that can be read, in log order; as many as fit."""
    found = [entry for name in topics if (entry := log.last(name, on_damage)) is not None]
    return Fetched(events=[item(entry) for entry in fit(sorted(found, key=lambda entry: entry.log_time))])
