"""The log's files, one by one: names, checksums, and where each begins and ends."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from bus.cli.verify.finding import RESTORE, Finding
from bus.log.closed import Summary, check_data, read_counts, read_metadata, read_summary
from bus.log.errors import BadRecord, DamagedSegment
from bus.log.folder import list_segments, read_start
from bus.log.info import SegmentInfo, inspect
from bus.log.reader import look_again
from bus.log.records import COUNTS, EXPIRED, counts_of


class Layout(Struct, frozen=True, kw_only=True):
    """The segments in order; `starts` are the log times (ns) that all events of each are above."""

    segments: list[SegmentInfo]
    starts: list[int]

    def place(self, log_time: int) -> int:
        """The segment that an event of this log time lies in, as its place in the list; 0 also for what lies before all."""
        return max(bisect_right(self.starts, log_time - 1) - 1, 0)

    @property
    def expired(self) -> int:
        """Events that retention took."""
        return sum(sum(segment.expired.values()) for segment in self.segments)


def layout(folder: Path) -> Layout:
    """The segments as they are now. Raises CorruptLog where they keep vanishing, OSError."""
    return look_again(folder, lambda: _layout(folder))


def _layout(folder: Path) -> Layout:
    segments = inspect(folder)
    return Layout(segments=segments, starts=_starts(segments))


def _starts(segments: list[SegmentInfo]) -> list[int]:
    """Where each begins; one whose beginning is damaged counts from where the one before it does."""
    starts: list[int] = []
    for segment in segments:
        try:
            starts.append(read_start(segment.path))
        except DamagedSegment:
            starts.append(segment.first - 1 if segment.first else starts[-1] if starts else 0)
    return starts


def missing_segments(folder: Path) -> Iterator[Finding]:
    """Holes in the numbers of the files: a recorder numbers them 1, 2, 3… and retention leaves a file for each."""
    numbers = sorted({segment.number for _ in range(2) for segment in list_segments(folder)})  # twice: one may be renamed while listed
    for before, after in zip([0, *numbers], numbers, strict=False):
        if after > before + 1:
            names = f"{before + 1:06}.mcap" if after == before + 2 else f"{before + 1:06}.mcap to {after - 1:06}.mcap"
            yield Finding(kind="missing", where=names, what="the segment is not there, and newer ones are", mend=RESTORE)


def unsound(segments: list[SegmentInfo], known: set[str]) -> Iterator[Finding]:
    """What reading events does not come across: summaries, the checksum over all that lies before them, and what a segment counted.

    Files that are `known` to be damaged are left out.
    """
    for segment in segments:
        if segment.path.name in known:
            continue
        if segment.problem is not None:
            yield _damaged(segment.path, segment.problem)
        elif segment.state == "closed":
            yield from _closed(segment.path)


def damage(error: DamagedSegment) -> Finding:
    """What reading events came across."""
    return _damaged(error.path, f"at byte {error.offset}: {error.why}")


def _damaged(path: Path, what: str) -> Finding:
    return Finding(kind="damaged", where=path.name, what=what, mend=RESTORE)


def _closed(path: Path) -> Iterator[Finding]:
    """Whether the bytes before the summary are those that were written, and all that was counted. Reads the file a piece at a time."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        summary = read_summary(fd)
        check_data(fd, summary)
        yield from _miscounted(path, fd, summary)
    except BadRecord as error:
        yield _damaged(path, f"at byte {error.offset}: {error}")
    finally:
        os.close(fd)


def _miscounted(path: Path, fd: int, summary: Summary) -> Iterator[Finding]:
    """Topics of which a segment does not hold what it counted when it was closed, less what retention says that it took."""
    there, expired = summary.counts(), read_counts(fd, summary, EXPIRED)
    counted = counts_of(read_metadata(fd, summary, COUNTS))
    for topic in sorted(there.keys() | expired.keys() | counted.keys()):
        left = counted.get(topic, 0) - expired.get(topic, 0)
        if there.get(topic, 0) != left:
            what = f"it has {there.get(topic, 0)} events of {topic}, and should have {left} by what was counted when it was closed"
            yield Finding(kind="missing" if there.get(topic, 0) < left else "repeated", where=path.name, what=what, mend=RESTORE)
