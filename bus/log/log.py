"""The log as its writer has it: append events, commit them in groups, read what is committed, end segments as they fill.

One thread appends and commits; any thread may read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice, takewhile
from pathlib import Path
from time import time_ns
from typing import NamedTuple

import msgspec

from bus.lock import hold
from bus.log.compaction import compact, waiting_bytes
from bus.log.contents import Contents
from bus.log.disk import make_folder
from bus.log.errors import LogWriteError
from bus.log.newest import Newest
from bus.log.pending import Numbering, Pending
from bus.log.reader import Live, OnDamage, read_log, stop
from bus.log.records import MESSAGE, MESSAGE_FIELDS, MESSAGE_HEAD, Beginning, Entry, Query, Stream
from bus.log.recovery import Repair, recover
from bus.log.segment import MAX_BYTES, MAX_EVENTS, OpenSegment, Schemas
from bus.topic import Delivery
from bus.wire import Envelope

SEGMENT_BYTES = 64 * 1024 * 1024
SEGMENT_SECONDS = 3600.0
_MOST_ENDED = 1000
_CLOSED_AT_ONCE = 4 * 1024 * 1024  # bytes: rewriting more would keep a shutdown waiting
_FIELDS = MESSAGE_FIELDS.size
_SEQUENCE = 2**32 - 1
_pack_head = MESSAGE_HEAD.pack


class Committed(NamedTuple):
    """What one commit made durable: the last seq of each stream that moved, and a segment that it ended, now to be compacted."""

    streams: dict[Stream, int]
    ended: Path | None


class Log:
    """The one writer of a log's folder.

    `committed` is the table of durable streams, (source, epoch) -> last seq synced; `ended` has the last of those that left it.
    `repairs` says what the start had to cut or set aside: it belongs in front of the operator.
    """

    def __init__(self, folder: Path, schemas: Schemas, segment_bytes: int, segment_seconds: float) -> None:
        recovered = recover(folder)
        self.repairs: Sequence[Repair] = recovered.repairs
        self.committed = recovered.streams
        self.ended: dict[Stream, int] = {}
        self._folder = folder
        self._schemas = schemas
        self._segment_bytes = segment_bytes
        self._segment_ns = int(segment_seconds * 1e9)
        self._last_number = recovered.number
        self._last_time = self._synced_time = recovered.last_time
        self._segment: OpenSegment | None = None
        self._cut: int | None = None  # where the last good group of a segment that was given up ends, until the next one says so
        contents = recovered.contents or Contents()
        numbering = Numbering(dict(contents.names))
        self._filling = Pending(numbering)
        self._pending: deque[Pending] = deque([self._filling])
        if recovered.contents is not None:
            self._segment = OpenSegment.resume(folder, recovered.number, schemas, contents, numbering)
        self._live = _live(recovered.number, contents)
        self._newest = Newest(folder, lambda: self._live, dict(contents.newest))
        self._held = ExitStack()

    @classmethod
    def open(cls, folder: Path, schemas: Schemas, *, segment_bytes: int = SEGMENT_BYTES, segment_seconds: float = SEGMENT_SECONDS) -> Log:
        """Takes the log's lock and makes its end sound. `schemas` are the structs of the known topics' data.

        A segment ends when it has `segment_bytes`, or its first event is `segment_seconds` old.

        Raises LockHeld; DamagedSegment when the last closed segment cannot say where to go on; OSError.
        """
        make_folder(folder)
        with ExitStack() as held:
            held.enter_context(hold(folder / "lock", "the recorder of this log"))
            log = cls(folder, schemas, segment_bytes, segment_seconds)
            log._held = held.pop_all()
        return log

    @property
    def end(self) -> int:
        """The log_time (ns) of the last committed event, 0 where there is none. For any thread."""
        return self._synced_time

    @property
    def streams(self) -> dict[Stream, int]:
        """The table of durable streams with what is appended and not committed yet."""
        table = dict(self.committed)
        for group in self._pending:
            table.update(group.streams)
        return table

    def append(self, topic: str, plane: Delivery, event_map: bytes | msgspec.Raw, envelope: Envelope) -> int:
        """Buffers an event for the next commit and returns its log_time (ns). The caller has seen to the order of seq."""
        log_time = time_ns()
        if log_time <= self._last_time:
            log_time = self._last_time + 1
        self._last_time = log_time
        group = self._filling
        channel, in_stream = group.numbering.find(topic, plane) or self._number(topic, plane)
        group = self._filling  # a new one where the numbering was full
        seq, size = envelope.seq, len(event_map)
        group.parts += (_pack_head(MESSAGE, _FIELDS + size, channel, seq & _SEQUENCE, log_time, envelope.time), event_map)
        if envelope.replay:
            group.replays.add(len(group.channels))
        group.channels.append(channel)
        group.size += size
        if in_stream and seq:
            stream = (envelope.source, envelope.epoch)
            group.streams[stream] = seq
            if group.ended:
                group.ended.discard(stream)
        if group.size >= MAX_BYTES or len(group.channels) >= MAX_EVENTS:
            self._next_group(group.numbering)
        return log_time

    def lose(self, topic: str, count: int) -> None:
        """Notes that `count` events of a topic are known to be lost: kept with the next commit, in front of its events."""
        self._filling.lost[topic] += count

    def end_stream(self, source: str, epoch: int) -> None:
        """The stream said goodbye: it leaves the table with the next commit, behind everything appended so far."""
        self._filling.ended.add((source, epoch))

    def commit(self) -> Committed:
        """Writes and syncs everything appended so far; when it returns, that survives a power cut.

        Raises LogWriteError when the disk fails: nothing appended is lost, `committed` says what is safe, and the next commit
        writes the rest into a new segment.
        """
        moved: dict[Stream, int] = {}
        try:
            ended = self._end_if_full()
            while not self._pending[0].is_empty:
                groups = self._next_groups()
                if self._segment is not None and self._segment.numbering is not groups[0].numbering:
                    ended = self._end_segment()
                moved.update(self._write(groups))
        except OSError as error:
            path = self._abandon()
            raise LogWriteError(f"{path}: {error}; what was appended is kept for the next commit") from error
        return Committed(moved, ended)

    def read(
        self,
        *,
        topics: Sequence[str] = (),
        after: int = 0,
        until: int | None = None,
        limit: int | None = None,
        on_damage: OnDamage = stop,
    ) -> Iterator[Entry]:
        """Committed entries with log_time (ns) in (after, until], oldest first, at most `limit`. For any thread.

        `topics` are names, or prefixes that end in `.`; none: all. Raises what `on_damage` raises, by itself DamagedSegment; OSError.
        """
        return islice(read_log(self._folder, Query(tuple(topics), after, until), on_damage, lambda: self._live), limit)

    def last(self, topic: str, on_damage: OnDamage = stop) -> Entry | None:
        """The last committed event of a topic that is no replay, of any source. For any thread.

        Where it is looked up, `on_damage` hears of each damaged place that may hide a newer one. Raises what that raises, OSError.
        """
        return self._newest.get(topic, on_damage)

    def close(self, *, rewrite: bool = True) -> None:
        """Commits, ends the open segment as a valid MCAP, rewrites what is small, and lets go of the lock.

        `rewrite` is False where a `compact` may still be running: the next start does it then.
        Raises LogWriteError when not all is on disk or ended, else as `compact` does.
        """
        with self._held:
            self.commit()
            try:
                self._end_segment()
            except OSError as error:
                raise LogWriteError(f"{self._abandon()}: {error}; all events are safe, the file has no MCAP footer") from error
            if rewrite and waiting_bytes(self._folder) <= _CLOSED_AT_ONCE:
                compact(self._folder)

    def _number(self, topic: str, plane: Delivery) -> tuple[int, bool]:
        """A channel id for a new topic; where there is none left, in a new numbering and so in a new group."""
        if self._filling.numbering.is_full:
            self._next_group(Numbering({}))
        return self._filling.numbering.add(topic, plane)

    def _next_group(self, numbering: Numbering) -> None:
        if self._filling.is_empty:
            self._pending.pop()
        self._filling = Pending(numbering)
        self._pending.append(self._filling)

    def _end_if_full(self) -> Path | None:
        if self._segment is None:
            return None
        contents = self._segment.contents
        is_old = contents.first and max(time_ns(), self._last_time) - contents.first >= self._segment_ns
        return self._end_segment() if is_old or contents.end >= self._segment_bytes else None

    def _end_segment(self) -> Path | None:
        segment, ended = self._segment, None
        if segment is not None:
            ended = segment.finish()
            self._segment = None
        return ended

    def _new_segment(self, numbering: Numbering) -> OpenSegment:
        contents = Contents(beginning=Beginning(self._synced_time, self._cut), streams_before=dict(self.committed))
        self._segment = OpenSegment.create(self._folder, self._last_number + 1, self._schemas, contents, numbering)
        return self._segment

    def _abandon(self) -> Path:
        segment, self._segment = self._segment, None
        if segment is None:
            return self._folder
        segment.abandon()
        self._cut = segment.contents.end or self._cut  # one without a good group leaves its number to the next
        return segment.path

    def _next_groups(self) -> list[Pending]:
        """The groups that go into one segment, with one sync."""
        numbering = self._pending[0].numbering
        return list(takewhile(lambda group: group.numbering is numbering and not group.is_empty, self._pending))

    def _write(self, groups: Sequence[Pending]) -> dict[Stream, int]:
        """Groups onto the disk, and what follows from their being there: the streams that they moved. Raises OSError."""
        segment = self._segment or self._new_segment(groups[0].numbering)
        segment.write(groups)
        self._last_number, self._cut = segment.number, None
        self._live = _live(segment.number, segment.contents)
        for group in groups:
            self._pending.popleft()
            self._newest.put(group.newest())
            self._move_streams(group)
        if not self._pending:
            self._filling = Pending(groups[-1].numbering)
            self._pending.append(self._filling)
        self._synced_time = max([self._synced_time, *(group.times[1] for group in groups if group.parts)])  # last: it says what can be read
        return {stream: last for group in groups for stream, last in group.streams.items()}

    def _move_streams(self, group: Pending) -> None:
        self.committed.update(group.streams)
        for stream in group.ended & self.committed.keys():
            self.ended[stream] = self.committed.pop(stream)
        while len(self.ended) > _MOST_ENDED:
            del self.ended[next(iter(self.ended))]


def _live(number: int, contents: Contents) -> Live:
    return Live(number, contents.end, contents.last, contents.index)
