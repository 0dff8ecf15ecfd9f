"""The log's files, one by one: names, checksums, and where each begins and ends."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from bus.cli.verify.finding import RESTORE, Finding
from bus.errors import CorruptLog
from bus.log.closed import check_data, read_summary
from bus.log.errors import BadRecord, DamagedSegment
from bus.log.folder import list_segments, read_start
from bus.log.info import SegmentInfo, inspect
from bus.log.reader import MOVES


class Layout(Struct, frozen=True, kw_only=True):
    """The segments in order; `starts` are the log times (ns) that all events of each are above."""

    segments: list[SegmentInfo]
    starts: list[int]

    def place(self, log_time: int) -> int:
        """The segment that an event of this log time lies in, as its place in the list; 0 also for what lies before all."""
        return max(bisect_right(self.starts, log_time - 1) - 1, 0)

    def name(self, log_time: int) -> str:
        return self.segments[self.place(log_time)].path.name

    def is_thinned(self, after: int, until: int) -> bool:
        """Whether retention took events between two log times; 0: from the log's beginning."""
        first = self.place(after) if after else 0
        return any(segment.expired for segment in self.segments[first : self.place(until) + 1])


def layout(folder: Path) -> Layout:
    """The segments as they are now. Raises CorruptLog where they keep vanishing, OSError."""
    for _ in range(MOVES):
        try:
            segments = inspect(folder)
            return Layout(segments=segments, starts=_starts(segments))
        except FileNotFoundError:  # closed by the recorder meanwhile
            continue
    raise CorruptLog(f"{folder}: segments vanished {MOVES} times in a row while being listed; is something else removing them?")


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


def damaged(segments: list[SegmentInfo], known: set[str]) -> Iterator[Finding]:
    """What reading events did not come across: summaries, and the checksum over all that lies before them. `known` files are left out."""
    for segment in segments:
        problem = segment.problem
        if segment.path.name not in known and problem is None and segment.state == "closed":
            problem = _bad_data(segment.path)
        if segment.path.name not in known and problem is not None:
            yield Finding(kind="damaged", where=segment.path.name, what=problem, mend=RESTORE)


def _bad_data(path: Path) -> str | None:
    """Why the bytes before the summary are not those that were written, None: they are. Reads the file whole, a piece at a time."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        check_data(fd, read_summary(fd))
    except BadRecord as error:
        return f"at byte {error.offset}: {error}"
    finally:
        os.close(fd)
    return None


def damage(error: DamagedSegment) -> Finding:
    """What reading events came across."""
    return Finding(kind="damaged", where=error.path.name, what=f"at byte {error.offset}: {error.why}", mend=RESTORE)
