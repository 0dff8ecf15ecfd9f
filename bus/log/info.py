"""What `bus log ls` and `bus log info` show of each segment."""

from __future__ import annotations

import os
from collections import Counter
from itertools import zip_longest
from pathlib import Path

from msgspec import Struct

from bus.log.closed import read_counts, read_metadata, read_summary
from bus.log.errors import BadRecord
from bus.log.folder import Segment, State, known_beginning, list_segments
from bus.log.reader import look_again
from bus.log.records import EXPIRED, LOST, STREAMS_AT_END, Stream, streams_of
from bus.log.recovery import scan


class SegmentInfo(Struct, frozen=True, kw_only=True):
    """One segment: `first` and `last` are log_times (ns), 0 without messages; `messages` counts by topic those that are in it.

    `expired` are those that were in it until it was thinned, `lost` those that are known never to have come, both by topic:
    what was published is messages, expired and lost together.
    `streams` is the table (source, epoch) -> last seq as the segment leaves it. `ended` says that it was ended as a valid file;
    `problem` is why what is here may not be everything.
    """

    path: Path
    state: str
    bytes: int
    messages: dict[str, int] = {}
    expired: dict[str, int] = {}
    lost: dict[str, int] = {}
    first: int = 0
    last: int = 0
    ended: bool = False
    streams: dict[Stream, int] = {}
    problem: str | None = None

    @property
    def recorded(self) -> dict[str, int]:
        """By topic, what is in the segment and what was until it expired."""
        return dict(Counter(self.messages) + Counter(self.expired))


def inspect(folder: Path) -> list[SegmentInfo]:
    """Every segment in order. A damaged one is listed with its problem, not raised. Raises CorruptLog, OSError."""
    return look_again(folder, lambda: _inspect(folder))


def _inspect(folder: Path) -> list[SegmentInfo]:
    segments = list_segments(folder)
    return [
        _closed(segment) if segment.state is State.CLOSED else _unchunked(segment, following)
        for segment, following in zip_longest(segments, segments[1:])
    ]


def _closed(segment: Segment) -> SegmentInfo:
    fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        summary = read_summary(fd)
        streams = streams_of(read_metadata(fd, summary, STREAMS_AT_END))
        lost, expired = read_counts(fd, summary, LOST), read_counts(fd, summary, EXPIRED)
    except BadRecord as error:
        return SegmentInfo(path=segment.path, state="closed", bytes=size, problem=f"at byte {error.offset}: {error}")
    finally:
        os.close(fd)
    times = summary.statistics
    return SegmentInfo(
        path=segment.path, state="closed", bytes=size, messages=summary.counts(), expired=expired, lost=lost,
        first=times.message_start_time, last=times.message_end_time, ended=True, streams=streams,
    )  # fmt: skip


def _unchunked(segment: Segment, following: Segment | None) -> SegmentInfo:
    contents, size, damage = scan(segment.path, following and known_beginning(following))
    return SegmentInfo(
        path=segment.path, state=segment.state.name.lower(), bytes=size, messages=contents.message_counts(), lost=dict(contents.lost),
        first=contents.first, last=contents.last if contents.first else 0, ended=segment.state is State.DONE,
        streams=contents.streams, problem=None if damage is None else f"damaged at byte {damage}",
    )  # fmt: skip
