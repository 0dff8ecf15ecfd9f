"""Keeping the log within a size: the oldest closed segments lose their events, except those that lineage needs.

A thinned segment stays, with its tables of streams and the number of events that expired by topic: nothing is forgotten.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bus.log.chunks import ChunkedFile
from bus.log.closed import Summary, check_data, open_chunk, read_counts, read_metadata, read_summary
from bus.log.compaction import Pause, go_on, replace
from bus.log.contents import topic_counts
from bus.log.errors import BadRecord, DamagedSegment
from bus.log.folder import Segment, State, list_segments, size_of
from bus.log.readback import Messages
from bus.log.records import EXPIRED, MESSAGE, MESSAGE_FIELDS, STREAMS_AT_END, Query, counts_map, walk


class Thinned(NamedTuple):
    """Segments that were thinned, those that could not be, and the bytes over the limit that are left all the same."""

    paths: list[Path]
    damaged: list[DamagedSegment]
    over: int


def thin(folder: Path, keep_bytes: int, lineage: Sequence[str], pause: Pause = go_on) -> Thinned:
    """Thins the oldest closed segments until the log has at most `keep_bytes`; never the last, which says where the log goes on.

    `lineage` are topics, or prefixes that end in `.`, whose events stay. For the thread that calls `compact`. Raises OSError.
    """
    segments = list_segments(folder)
    over = sum(map(size_of, segments)) - keep_bytes
    done = Thinned([], [], 0)
    for segment in segments[:-1]:
        if over <= 0:
            break
        if segment.state is State.CLOSED:
            before = segment.path.stat().st_size
            _try_to_thin(segment, lineage, done, pause)
            over -= before - segment.path.stat().st_size
    return done._replace(over=max(over, 0))


def _try_to_thin(segment: Segment, lineage: Sequence[str], done: Thinned, pause: Pause) -> None:
    fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        summary = read_summary(fd)
        kept = {number for number, (topic, _) in summary.names.items() if lineage and Query(tuple(lineage)).wants(topic)}
        if set(summary.statistics.channel_message_counts) <= kept:
            return  # as it is after it was thinned
        check_data(fd, summary)  # the tables too: what is copied gets a checksum of its own
        replace(segment.path, segment.number, lambda file: _rewrite(fd, summary, kept, file, pause), pause)
        done.paths.append(segment.path)
    except BadRecord as error:
        done.damaged.append(DamagedSegment(segment.path, error.offset, f"{error}: it stays, whatever its size"))
    finally:
        os.close(fd)


def _rewrite(fd: int, summary: Summary, kept: set[int], file: BinaryIO, pause: Pause) -> Messages:
    """The messages of the channels `kept`, between the same tables. Raises BadRecord."""
    seen, chunked = Messages(), ChunkedFile(file, summary.schemas, summary.channels)
    for name in summary.metadata:
        if name not in (EXPIRED, STREAMS_AT_END):
            chunked.metadata(name, read_metadata(fd, summary, name))
    for index in summary.chunks:
        data = open_chunk(fd, index)
        heads = [head for head in walk(data, 0) if head[0] == MESSAGE and MESSAGE_FIELDS.unpack_from(data, head[1])[0] in kept]
        chunked.add(data, heads)
        seen.add(data, heads)
        pause()
    chunked.metadata(EXPIRED, counts_map(_expired(fd, summary, kept)))
    chunked.metadata(STREAMS_AT_END, read_metadata(fd, summary, STREAMS_AT_END))
    chunked.finish()
    return seen


def _expired(fd: int, summary: Summary, kept: set[int]) -> dict[str, int]:
    """By topic, what is gone already and what goes now."""
    going = {number: count for number, count in summary.statistics.channel_message_counts.items() if number not in kept}
    return dict(Counter(read_counts(fd, summary, EXPIRED)) + Counter(topic_counts(going, summary.names)))
