"""What the Petals peer did, and who asked it: artifacts/petals/audit.jsonl, a line for each event. It belongs to no run.

Lines are only ever added. Each has the log time of its event, which is unique and rises: the last line says where to go on after a start.
A full file becomes audit.1.jsonl, and what that held before is in the log alone. Who asked is only this user's to read.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog
from msgspec import Struct

from bus.errors import CorruptFrame, CorruptLog
from bus.log.disk import sync, write_all
from bus.log.log import Log
from bus.log.reader import OnDamage
from bus.log.records import Entry
from bus.topic import Topic
from bus.wire import decode_envelope, to_event
from schemas import petals

TOPICS: dict[str, Topic[Any]] = {
    topic.name: topic
    for topic in (
        petals.REQUEST,
        petals.GENERATION,
        petals.FALLBACK,
        petals.JOINED,
        petals.LEFT,
        petals.HEALTH,
        petals.POLICY,
        petals.SERVING,
    )
}
FOLDER, NAME, OLDER = "petals", "audit.jsonl", "audit.1.jsonl"
FULL = 64 << 20
"""Bytes of a file at most, and so half of what both take."""
BATCH = 500
"""Events that are written in one go: who writes the files of runs waits for it."""
TAIL = 1 << 20
"""Bytes of a line at most: an event takes 64 KiB on the wire, and each of them at most six characters."""

_log = structlog.get_logger()


class Line(Struct, frozen=True, kw_only=True):
    """One event. `recorded` is its time in the log, in ns since the Unix epoch as `time` is."""

    time: int
    recorded: int
    topic: str
    source: str
    id: str
    data: Any  # the struct of the topic, as a map


class _Place(Struct):
    """What a line is found again by."""

    recorded: int


class Written(NamedTuple):
    """A line, and the log time of its event."""

    recorded: int
    data: bytes


def say_error(error: Exception | None) -> None:
    if error is not None:
        _log.error("the audit is not written", reason=str(error))


class Audit:
    """Keeps the file up with a log. What does not decode and what is a replay says nothing.

    `on_error` hears of what keeps it from being written, once, and None when it is again.
    """

    def __init__(self, artifacts: Path, on_error: Callable[[Exception | None], None]) -> None:
        self._files = _Files(artifacts / FOLDER, NAME, OLDER)
        self._on_error = on_error
        self._failed = False
        self._reached: int | None = None

    def look_again(self) -> None:
        """Somebody else wrote the file."""
        self._reached = None

    def follow(self, log: Log, until: int, on_damage: OnDamage) -> None:
        """Write the next events behind the last line, up to the log time `until`; where that fails, the next time."""
        try:
            self._catch_up(log, until, on_damage)
        except (OSError, CorruptLog) as error:
            if not self._failed:
                self._on_error(error)
            self._failed = True
            return
        if self._failed:
            self._on_error(None)
        self._failed = False

    def _catch_up(self, log: Log, until: int, on_damage: OnDamage) -> None:
        if self._reached is None:
            self._reached = self._files.end()
        newest = [entry.log_time for name in TOPICS if (entry := log.last(name, on_damage)) is not None]
        if max(newest, default=0) > self._reached:
            entries = list(log.read(topics=list(TOPICS), after=self._reached, until=until, limit=BATCH, on_damage=on_damage))
            self._files.add(b"".join(line.data for line in _lines(entries)))
            self._reached = entries[-1].log_time if entries else until


def make_again(artifacts: Path, entries: Iterable[Entry]) -> None:
    """The file anew, of what a log has and, where that has it no longer, of the lines that the file has. Raises OSError, CorruptLog."""
    there, anew = _Files(artifacts / FOLDER, NAME, OLDER), _Files(artifacts / FOLDER, f".{NAME}.new", f".{OLDER}.new")
    anew.remove()
    merged = heapq.merge(_lines(entries), there.lines(), key=itemgetter(0))
    lines = (next(same).data for _, same in groupby(merged, key=itemgetter(0)))  # the log's before the file's
    while batch := b"".join(islice(lines, BATCH)):
        anew.add(batch)
    anew.take_place_of(there)


class _Files:
    """The newest lines, and those before them."""

    def __init__(self, folder: Path, name: str, older: str) -> None:
        self._newest, self._older = folder / name, folder / older

    def add(self, data: bytes) -> None:
        """Add whole lines. Raises OSError, and then nothing was added."""
        if not data:
            return
        self._newest.parent.mkdir(parents=True, exist_ok=True)
        if self._newest.exists() and self._newest.stat().st_size + len(data) > FULL:
            self._newest.replace(self._older)
        fd = os.open(self._newest, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _add_at(fd, data, os.fstat(fd).st_size)
        finally:
            os.close(fd)

    def end(self) -> int:
        """The log time of the last line, 0 where there is none. Half a line, which a crash left, is cut off."""
        return _last_time(self._newest) or _last_time(self._older)

    def lines(self) -> Iterator[Written]:
        """Oldest first; what is no line, or stands where it does not belong, is left out."""
        reached = 0
        for path in (self._older, self._newest):
            if path.exists():
                with path.open("rb") as file:
                    for data in file:
                        if data.endswith(b"\n") and (recorded := _time_of(data)) > reached:
                            reached = recorded
                            yield Written(recorded, data)

    def remove(self) -> None:
        for path in (self._newest, self._older):
            path.unlink(missing_ok=True)

    def take_place_of(self, others: _Files) -> None:
        """The older file first: until the newest follows, lines may stand in both, and none is missing."""
        for path, other in ((self._older, others._older), (self._newest, others._newest)):
            if path.exists():
                _sync_file(path)
                path.replace(other)
            else:
                other.unlink(missing_ok=True)


def _lines(entries: Iterable[Entry]) -> Iterator[Written]:
    for entry in entries:
        try:
            event = to_event(entry.topic, decode_envelope(entry.topic, entry.data), TOPICS[entry.topic].type)
        except CorruptFrame as error:
            _log.warning("not projected", reason=str(error))
            continue
        if not event.replay:
            line = Line(time=event.time, recorded=entry.log_time, topic=event.topic, source=event.source, id=event.id, data=event.data)
            yield Written(entry.log_time, msgspec.json.encode(line) + b"\n")


def _add_at(fd: int, data: bytes, end: int) -> None:
    try:
        write_all(fd, data, end)
    except OSError:
        os.ftruncate(fd, end)
        raise


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(fd)
    finally:
        os.close(fd)


def _last_time(path: Path) -> int:
    """The log time of a file's last line, 0 where there is none. Half a line behind it is cut off."""
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        start = file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
        tail = file.read()
        end = tail.rfind(b"\n") + 1
        if end < len(tail):
            file.truncate(start + end)
    return next((recorded for line in reversed(tail[:end].splitlines()) if (recorded := _time_of(line))), 0)


def _time_of(line: bytes) -> int:
    """0 for what is no line."""
    try:
        return msgspec.json.decode(line, type=_Place).recorded
    except msgspec.DecodeError:
        return 0
