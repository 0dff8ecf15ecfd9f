"""Events as lines of a file: one for each event of certain topics, in the order of the log. It belongs to no run.

Lines are only ever added. Each has the log time of its event, which is unique and rises: the last line says where to go on after a start.
A full file becomes the older one (`audit.1.jsonl`), and what that held before is in the log alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from agents.recorder.entries import Topics, events, news
from agents.recorder.jsonl import LineFile, Written
from bus.log.log import Log
from bus.log.reader import OnDamage
from bus.log.records import Entry

FULL = 64 << 20
"""Bytes of a file at most, and so half of what both take."""
BATCH = 500
"""Events that are written in one go: who writes the files of runs waits for it."""


class Line(Struct, frozen=True, kw_only=True):
    """One event. `recorded` is its time in the log, in ns since the Unix epoch as `time` is."""

    time: int
    recorded: int
    topic: str
    source: str
    id: str
    data: Any  # the struct of the topic, as a map


class Journal:
    """Keeps the file at `path` up with a log. What does not decode and what is a replay says nothing.

    `batch` events are written in one go; `full` and `mode` are as of LineFile.
    """

    def __init__(self, path: Path, topics: Topics, *, full: int = FULL, batch: int = BATCH, mode: int = 0o666) -> None:
        self.topics = topics
        self._file = LineFile(path, full, mode)
        self._batch = batch
        self._reached: int | None = None

    def look_again(self) -> None:
        """Somebody else wrote the file."""
        self._reached = None

    def catch_up(self, log: Log, until: int, on_damage: OnDamage) -> None:
        """Write the next events behind the last line, up to the log time `until`. Raises OSError, CorruptLog."""
        if self._reached is None:
            self._reached = self._file.end()
        found = news(log, self.topics, self._reached, until, self._batch, on_damage)
        self._file.add(b"".join(line.data for line in self._lines(found.entries)))
        self._reached = found.reached

    def make_again(self, entries: Iterable[Entry]) -> None:
        """The file anew, of what a log has and, where that has it no longer, of the lines that the file has. Raises OSError, CorruptLog."""
        anew = self._file.anew()
        merged = heapq.merge(self._lines(entries), self._file.lines(), key=itemgetter(0))
        lines = (next(same).data for _, same in groupby(merged, key=itemgetter(0)))  # the log's before the file's
        while batch := b"".join(islice(lines, self._batch)):
            anew.add(batch)
        anew.take_place_of(self._file)

    def close(self) -> None:
        """Each line is written when it is taken."""

    def _lines(self, entries: Iterable[Entry]) -> Iterator[Written]:
        for entry, event in events(entries, self.topics):
            line = Line(time=event.time, recorded=entry.log_time, topic=event.topic, source=event.source, id=event.id, data=event.data)
            yield Written(entry.log_time, msgspec.json.encode(line) + b"\n")
