"""Rewriting ended segments as chunked, compressed, indexed MCAP files, off the hot path.

The rewrite gets its name only when it is synced and reads back with the same messages; its source goes only after that. A crash
in between leaves a temporary file, or both files, of which the rewrite counts: the next start removes the other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bus.log.chunks import ChunkedFile
from bus.log.contents import Contents
from bus.log.disk import sync, sync_folder
from bus.log.errors import DamagedSegment
from bus.log.folder import Segment, State, known_beginning, list_segments, segment_path, size_of, temporary_path
from bus.log.readback import Messages, check
from bus.log.reader import read_whole
from bus.log.records import COUNTS, LOST, START, STREAMS, STREAMS_AT_END, Beginning, counts_map, start_map, streams_map

Pause = Callable[[], None]
"""Called between the steps of a long work: it may wait, or raise to end it with nothing changed."""


def go_on() -> None:
    """No pause."""


def compact(folder: Path, pause: Pause = go_on) -> list[Path]:
    """Closes every ended segment, oldest first, and returns the new paths. For one thread of the process that holds the log.

    Raises DamagedSegment for one that does not read back, which it sets aside as damaged; a later call goes on. Raises OSError.
    """
    return [_close(segment, following, pause) for segment, following in _ended(folder)]


def waiting_bytes(folder: Path) -> int:
    """Bytes of the segments that `compact` would rewrite."""
    return sum(size_of(segment) for segment, _ in _ended(folder))


def _ended(folder: Path) -> list[tuple[Segment, Beginning | None]]:
    """The segments to rewrite, each with where the next one takes over, if there is one."""
    segments = list_segments(folder)
    beginnings = [*map(_beginning_now, segments[1:]), None]
    return [
        (segment, following)
        for segment, following in zip(segments, beginnings, strict=False)
        if segment.state is State.DONE or (segment.state is State.OPEN and following is not None)
    ]


def _beginning_now(segment: Segment) -> Beginning | None:
    """As known_beginning; None also for a segment that the recorder renamed just now: a later call sees it."""
    try:
        return known_beginning(segment)
    except FileNotFoundError:
        return None


def _close(segment: Segment, following: Beginning | None, pause: Pause) -> Path:
    closed = segment_path(segment.path.parent, segment.number, State.CLOSED)
    try:
        replace(closed, segment.number, lambda file: _rewrite(segment, following, file, pause), pause)
    except DamagedSegment as error:
        if error.path == segment.path:
            segment.path.rename(segment_path(segment.path.parent, segment.number, State.DAMAGED))
        raise
    segment.path.unlink()
    return closed


def replace(path: Path, number: int, write: Callable[[BinaryIO], Messages], pause: Pause) -> None:
    """Gives `path` what `write` makes of a temporary file, once that is synced and holds the messages which `write` says.

    Raises CorruptLog, OSError, and whatever `write` raises; nothing has changed then.
    """
    temporary = temporary_path(path.parent, number)
    try:
        with temporary.open("wb") as file:
            wanted = write(file)
            file.flush()
            sync(file.fileno())
        check(Segment(number, State.CLOSED, temporary), wanted, pause)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _rewrite(segment: Segment, following: Beginning | None, file: BinaryIO, pause: Pause) -> Messages:
    contents, seen = Contents(), Messages()
    chunked = ChunkedFile(file, contents.schemas, contents.channels)
    for group in read_whole(segment, following, contents):
        if group.start == 0:
            chunked.metadata(START, start_map(segment.number, contents.beginning))
            chunked.metadata(STREAMS, streams_map(contents.streams_before))
        chunked.add(group.body, group.heads)
        seen.add(group.body, group.heads)
        pause()
    chunked.metadata(COUNTS, counts_map(contents.message_counts()))
    if contents.lost:
        chunked.metadata(LOST, counts_map(contents.lost))
    chunked.metadata(STREAMS_AT_END, streams_map(contents.streams))
    chunked.finish()
    return seen
