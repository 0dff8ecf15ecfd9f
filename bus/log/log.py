"""The log as its writer has it: append events, commit them in groups, read what is committed, end segments as they fill.

One thread appends and commits; any thread may read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from time import time_ns
from typing import NamedTuple

import msgspec

from bus.lock import hold
from bus.log.compaction import compact, waiting_bytes
from bus.log.contents import Contents
from bus.log.errors import LogWriteError
from bus.log.newest import Newest
from bus.log.reader import Live, read_log
from bus.log.records import Entry, Query, Stream
from bus.log.recovery import Repair, recover
from bus.log.segment import MAX_BYTES, MAX_EVENTS, OpenSegment, Pending, Schemas
from bus.topic import Delivery
from bus.wire import Envelope, stream_of

SEGMENT_BYTES = 64 * 1024 * 1024
_CLOSED_AT_ONCE = 4 * 1024 * 1024  # bytes: rewriting more would keep a shutdown waiting
_SEQUENCE = 2**32


class Committed(NamedTuple):
    """What one commit made durable: the last seq of each stream that moved, and a segment that it ended, now to be compacted."""

    streams: dict[Stream, int]
    ended: Path | None


class Log:
    """The one writer of a log's folder.

    `streams` is the table of durable streams, (source, epoch) -> last seq appended; `committed` is the same of what is synced.
    `repairs` says what the start had to cut or set aside: it belongs in front of the operator.
    """

    def __init__(self, folder: Path, schemas: Schemas, segment_bytes: int) -> None:
        recovered = recover(folder)
        self.repairs: Sequence[Repair] = recovered.repairs
        self.committed = recovered.streams
        self.streams = dict(recovered.streams)
        self._folder = folder
        self._schemas = schemas
        self._segment_bytes = segment_bytes
        self._number = recovered.number
        self._last_time = self._synced_time = recovered.last_time
        self._pending: deque[Pending] = deque([Pending()])
        self._segment: OpenSegment | None = None
        contents = recovered.contents or Contents()
        if recovered.contents is not None:
            self._segment = OpenSegment.resume(folder, recovered.number, schemas, contents)
        self._live = _live(recovered.number, contents)
        self._newest = Newest(folder, lambda: self._live, dict(contents.newest))
        self._held = ExitStack()

    @classmethod
    def open(cls, folder: Path, schemas: Schemas, *, segment_bytes: int = SEGMENT_BYTES) -> Log:
        """Takes the log's lock and makes its end sound. `schemas` are the structs of the known topics' data.

        Raises LockHeld; DamagedSegment when the last closed segment cannot say where to go on; OSError.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            held.enter_context(hold(folder / "lock", "the recorder of this log"))
            log = cls(folder, schemas, segment_bytes)
            log._held = held.pop_all()
        return log

    @property
    def end(self) -> int:
        """The log_time (ns) of the last committed event, 0 where there is none. For any thread."""
        return self._synced_time

    def append(self, topic: str, plane: Delivery, event_map: bytes | msgspec.Raw, envelope: Envelope) -> int:
        """Buffers an event for the next commit and returns its log_time (ns). The caller has seen to the order of seq."""
        log_time = self._last_time = max(time_ns(), self._last_time + 1)
        delivery = stream_of(topic, plane)
        entry = Entry(topic, delivery, log_time, envelope.time, envelope.seq % _SEQUENCE, bytes(event_map))
        group = self._pending[-1]
        group.events.append(entry)
        group.size += len(entry.data)
        if delivery == Delivery.DURABLE and envelope.seq > 0:
            stream = (envelope.source, envelope.epoch)
            self.streams[stream] = group.streams[stream] = envelope.seq
            group.ended.discard(stream)
        if len(group.events) >= MAX_EVENTS or group.size >= MAX_BYTES:
            self._pending.append(Pending())
        return log_time

    def end_stream(self, source: str, epoch: int) -> None:
        """The stream said goodbye: it leaves the table with the next commit, behind everything appended so far."""
        self._pending[-1].ended.add((source, epoch))

    def commit(self) -> Committed:
        """Writes and syncs everything appended so far; when it returns, that survives a power cut.

        Raises LogWriteError when the disk fails: nothing appended is lost, `committed` says what is safe, and the next commit
        writes the rest into a new segment.
        """
        moved: dict[Stream, int] = {}
        try:
            ended = self._end_if_full()
            while self._pending[0].events or self._pending[0].ended:
                moved.update(self._write(self._pending[0]))
        except OSError as error:
            path = self._abandon()
            raise LogWriteError(f"{path}: {error}; what was appended is kept for the next commit") from error
        return Committed(moved, ended)

    def read(self, *, topics: Sequence[str] = (), after: int = 0, until: int | None = None, limit: int | None = None) -> Iterator[Entry]:
        """Committed entries with log_time (ns) in (after, until], oldest first, at most `limit`. For any thread.

        `topics` are names, or prefixes that end in `.`; none: all. Raises DamagedSegment where entries are missing, OSError.
        """
        return islice(read_log(self._folder, Query(tuple(topics), after, until), lambda: self._live), limit)

    def last(self, topic: str) -> Entry | None:
        """The last committed event of a topic, of any source. For any thread. Raises DamagedSegment, OSError."""
        return self._newest.get(topic)

    def close(self) -> None:
        """Commits, ends the open segment as a valid MCAP, rewrites what is small, and lets go of the lock.

        No `compact` may be running. Raises LogWriteError when not all is on disk or ended, else as `compact` does.
        """
        with self._held:
            self.commit()
            try:
                self._end_segment()
            except OSError as error:
                raise LogWriteError(f"{self._abandon()}: {error}; all events are safe, the file has no MCAP footer") from error
            if waiting_bytes(self._folder) <= _CLOSED_AT_ONCE:
                compact(self._folder)

    def _end_if_full(self) -> Path | None:
        segment = self._segment
        if segment is not None and (segment.contents.end >= self._segment_bytes or segment.full_of_channels):
            return self._end_segment()
        return None

    def _end_segment(self) -> Path | None:
        segment, ended = self._segment, None
        if segment is not None:
            ended = segment.finish()
            self._segment = None
        return ended

    def _new_segment(self) -> OpenSegment:
        contents = Contents(after=self._synced_time, streams_before=dict(self.committed))
        self._segment = OpenSegment.create(self._folder, self._number + 1, self._schemas, contents)
        return self._segment

    def _abandon(self) -> Path:
        segment, self._segment = self._segment, None
        if segment is None:
            return self._folder
        segment.abandon()
        return segment.path

    def _write(self, group: Pending) -> dict[Stream, int]:
        """One group onto the disk, and what follows from its being there: the streams that it moved. Raises OSError."""
        segment = self._segment or self._new_segment()
        segment.write(group)
        self._pending.popleft()
        if not self._pending:
            self._pending.append(Pending())
        self._number = segment.number
        self._live = _live(segment.number, segment.contents)
        self._newest.put(group.events)
        self._move_streams(group)
        if group.events:
            self._synced_time = group.events[-1].log_time  # last, so that what reaches this far can be read by whoever sees it
        return group.streams

    def _move_streams(self, group: Pending) -> None:
        self.committed.update(group.streams)
        for stream in group.ended:
            last = self.committed.pop(stream, None)
            if self.streams.get(stream) == last:  # else it went on after its goodbye
                self.streams.pop(stream, None)


def _live(number: int, contents: Contents) -> Live:
    return Live(number, contents.end, contents.last, contents.index, contents.names)
