"""Rewriting ended segments as chunked, compressed, indexed MCAP files, off the hot path.

The rewrite gets its name only when it is synced and reads back equal; its source goes only after that. A crash in between leaves
a temporary file, or both files, of which the rewrite counts: the next start removes the other.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from mcap.writer import CompressionType, Writer

from bus.errors import CorruptLog
from bus.log.contents import Contents
from bus.log.disk import sync, sync_folder
from bus.log.errors import DamagedSegment
from bus.log.folder import Segment, State, known_start, list_segments, segment_path, temporary_path
from bus.log.reader import read_segment
from bus.log.records import COUNTS, LIBRARY, START, STREAMS, STREAMS_AT_END, Query, start_map, streams_map
from bus.log.recovery import scan

_CHUNK_BYTES = 1024 * 1024


def compact(folder: Path) -> list[Path]:
    """Closes every ended segment, oldest first, and returns the new paths. For one thread of the process that holds the log.

    Raises DamagedSegment for one that does not read back, which it sets aside as damaged; a later call goes on. Raises OSError.
    """
    return [_close(segment, until) for segment, until in _ended(folder)]


def waiting_bytes(folder: Path) -> int:
    """Bytes of the segments that `compact` would rewrite."""
    return sum(segment.path.stat().st_size for segment, _ in _ended(folder))


def _ended(folder: Path) -> list[tuple[Segment, int | None]]:
    """The segments to rewrite, each with the log_time at which the next one takes over, if there is one."""
    segments = list_segments(folder)
    starts = [None if following is None else known_start(following) for following in [*segments[1:], None]]
    return [
        (segment, start)
        for segment, start in zip(segments, starts, strict=False)
        if segment.state is State.DONE or (segment.state is State.OPEN and start is not None)
    ]


def _close(segment: Segment, until: int | None) -> Path:
    folder = segment.path.parent
    temporary = temporary_path(folder, segment.number)
    closed = segment_path(folder, segment.number, State.CLOSED)
    try:
        _rewrite(segment, until, temporary)
        _compare(segment, until, temporary)
        temporary.rename(closed)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(folder)
    segment.path.unlink()
    return closed


def _rewrite(segment: Segment, until: int | None, path: Path) -> None:
    with path.open("wb") as file:
        try:
            _write(segment, until, file)
        except DamagedSegment:
            segment.path.rename(segment_path(segment.path.parent, segment.number, State.DAMAGED))
            raise
        file.flush()
        sync(file.fileno())


def _write(segment: Segment, until: int | None, file: BinaryIO) -> None:
    contents = scan(segment.path, until).contents
    writer = Writer(file, chunk_size=_CHUNK_BYTES, compression=CompressionType.ZSTD, enable_data_crcs=True)
    writer.start(profile="", library=LIBRARY)
    writer.add_metadata(START, start_map(segment.number, contents.after))
    writer.add_metadata(STREAMS, streams_map(contents.streams_before))
    _write_messages(writer, segment, until, contents)
    writer.add_metadata(COUNTS, {topic: str(count) for topic, count in contents.message_counts().items()})
    writer.add_metadata(STREAMS_AT_END, streams_map(contents.streams))
    writer.finish()  # type: ignore[no-untyped-call]  # mcap leaves this method without annotations


def _write_messages(writer: Writer, segment: Segment, until: int | None, contents: Contents) -> None:
    schemas = {number: writer.register_schema(schema.name, schema.encoding, schema.data) for number, schema in contents.schemas.items()}
    channels = {
        contents.names[number]: writer.register_channel(
            channel.topic, channel.message_encoding, schemas[channel.schema_id], channel.metadata
        )
        for number, channel in contents.channels.items()
    }
    for entry in read_segment(segment, until, Query()):
        writer.add_message(channels[entry[:2]], entry.log_time, entry.data, entry.publish_time, entry.sequence)


def _compare(segment: Segment, until: int | None, path: Path) -> None:
    rewrite = Segment(segment.number, State.CLOSED, path)
    for ours, theirs in zip_longest(read_segment(segment, until, Query()), read_segment(rewrite, until, Query())):
        if ours != theirs:
            raise CorruptLog(f"{path}: the rewrite of {segment.path} does not read back equal; the source stays")
