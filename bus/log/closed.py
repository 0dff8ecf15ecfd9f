"""Reading ended segments: the summary of both kinds, and the chunks of those that were rewritten.

Everything is bounded and checked by its CRC before it is believed. The mcap package's reader is not used here: it decompresses
into whatever size a zstd frame states, and does not check the summary. Layouts: https://mcap.dev/spec#records.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import zstandard
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, ChunkIndex, DataEnd, Footer, McapRecord, Metadata, MetadataIndex, Schema, Statistics

from bus.log.contents import topic_counts
from bus.log.disk import read_at
from bus.log.errors import BadRecord, DamagedSegment
from bus.log.folder import Segment
from bus.log.records import MAGIC, MAX_RECORD, PREFIX, Channels, Entry, Query, R, counts_of, decode, delivery_of, messages, walk
from bus.log.segment import DATA_END_SIZE

_FOOTER_SIZE = 29
_TAIL = _FOOTER_SIZE + len(MAGIC)
_CRC_SIZE = 4


class Summary(NamedTuple):
    """What the summary section says. `data_end` is the file offset of the DataEnd record."""

    schemas: dict[int, Schema]
    channels: dict[int, Channel]
    names: Channels
    chunks: list[ChunkIndex]
    statistics: Statistics
    metadata: dict[str, MetadataIndex]
    data_end: int

    def counts(self) -> dict[str, int]:
        """Messages by topic."""
        return topic_counts(self.statistics.channel_message_counts, self.names)


_SUMMARY: dict[int, type[McapRecord]] = {
    Opcode.SCHEMA: Schema,
    Opcode.CHANNEL: Channel,
    Opcode.CHUNK_INDEX: ChunkIndex,
    Opcode.STATISTICS: Statistics,
    Opcode.METADATA_INDEX: MetadataIndex,
}


def read_summary(fd: int) -> Summary:
    """The summary of an ended segment. Raises BadRecord at a file offset."""
    size = os.fstat(fd).st_size
    tail = read_at(fd, max(size - _TAIL, 0), _TAIL)
    footer = _footer(tail, size)
    data = read_at(fd, footer.summary_start, size - _TAIL - footer.summary_start)
    if zlib.crc32(tail[: _FOOTER_SIZE - _CRC_SIZE], zlib.crc32(data)) != footer.summary_crc:
        raise BadRecord(footer.summary_start, "the summary does not match its CRC")
    records = [
        decode(_SUMMARY[opcode], data[start:end], footer.summary_start + start)
        for opcode, start, end in walk(data, 0)
        if opcode in _SUMMARY
    ]
    return _summary(records, footer.summary_start)


def _footer(tail: bytes, size: int) -> Footer:
    if len(tail) < _TAIL or not tail.endswith(MAGIC) or PREFIX.unpack_from(tail) != (Opcode.FOOTER, _FOOTER_SIZE - PREFIX.size):
        raise BadRecord(max(size - _TAIL, 0), "no MCAP footer at the end")
    footer = decode(Footer, tail[PREFIX.size : _FOOTER_SIZE], size - _TAIL)
    if not len(MAGIC) + DATA_END_SIZE <= footer.summary_start <= size - _TAIL or size - footer.summary_start > MAX_RECORD:
        raise BadRecord(size - _TAIL, f"summary at {footer.summary_start} in a file of {size} bytes")
    return footer


def _summary(records: list[McapRecord], start: int) -> Summary:
    statistics = [record for record in records if isinstance(record, Statistics)]
    if len(statistics) != 1:
        raise BadRecord(start, "no statistics in the summary")
    channels = {record.id: record for record in records if isinstance(record, Channel)}
    if not channels.keys() >= statistics[0].channel_message_counts.keys():
        raise BadRecord(start, "statistics of channels that the summary lacks")
    return Summary(
        schemas={record.id: record for record in records if isinstance(record, Schema)},
        channels=channels,
        names={number: (record.topic, delivery_of(record)) for number, record in channels.items()},
        chunks=[record for record in records if isinstance(record, ChunkIndex)],
        statistics=statistics[0],
        metadata={record.name: record for record in records if isinstance(record, MetadataIndex)},
        data_end=start - DATA_END_SIZE,
    )


def read_metadata(fd: int, summary: Summary, name: str) -> dict[str, str]:
    """A metadata record by its name. Raises BadRecord at a file offset."""
    place = summary.metadata.get(name)
    if place is None:
        raise BadRecord(summary.data_end, f"no metadata {name}")
    return _record_at(fd, Metadata, Opcode.METADATA, place.offset, place.length).metadata


def read_counts(fd: int, summary: Summary, name: str) -> dict[str, int]:
    """Events by topic from a metadata record that need not be there. Raises BadRecord at a file offset."""
    return counts_of(read_metadata(fd, summary, name)) if name in summary.metadata else {}


def check_data(fd: int, summary: Summary) -> None:
    """Raises BadRecord unless everything before the summary matches the CRC in DataEnd."""
    crc, offset = 0, 0
    while offset < summary.data_end:
        data = read_at(fd, offset, min(1024 * 1024, summary.data_end - offset))
        crc = zlib.crc32(data, crc)
        offset += len(data)
    if _record_at(fd, DataEnd, Opcode.DATA_END, summary.data_end, DATA_END_SIZE).data_section_crc != crc:
        raise BadRecord(summary.data_end, "the data section does not match its CRC")


def read_chunks(segment: Segment, fd: int, summary: Summary, query: Query) -> Iterator[Entry]:
    """The entries that `query` wants, opening only chunks that can hold some. Raises DamagedSegment."""
    wanted = {number for number, (topic, _) in summary.names.items() if query.wants(topic)}
    for chunk in summary.chunks:
        if chunk.message_end_time <= query.after or not wanted.intersection(chunk.message_index_offsets):
            continue
        if query.until is not None and chunk.message_start_time > query.until:
            return
        try:
            data = open_chunk(fd, chunk)
            yield from messages(data, walk(data, 0), summary.names, query)
        except BadRecord as error:
            raise DamagedSegment(segment.path, chunk.chunk_start_offset, str(error), chunk.message_end_time) from error


def open_chunk(fd: int, index: ChunkIndex) -> bytes:
    """The records of a chunk, once all its sizes and its CRC are seen to agree."""
    chunk = _record_at(fd, Chunk, Opcode.CHUNK, index.chunk_start_offset, index.chunk_length)
    size = chunk.uncompressed_size
    if size != index.uncompressed_size or size > MAX_RECORD or chunk.compression != "zstd":
        raise BadRecord(index.chunk_start_offset, f"chunk of {size} bytes, compression {chunk.compression!r}")
    try:
        frame = zstandard.get_frame_parameters(chunk.data)
        if frame.content_size != size or frame.window_size > MAX_RECORD:
            raise BadRecord(index.chunk_start_offset, "the zstd frame states another size than the chunk, or a window over the limit")
        data = zstandard.ZstdDecompressor(max_window_size=MAX_RECORD).decompress(chunk.data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise BadRecord(index.chunk_start_offset, f"zstd: {error}") from error
    if zlib.crc32(data) != chunk.uncompressed_crc:
        raise BadRecord(index.chunk_start_offset, "the chunk does not match its CRC")
    return data


def _record_at(fd: int, kind: type[R], opcode: Opcode, offset: int, length: int) -> R:
    size = os.fstat(fd).st_size
    if not (PREFIX.size <= length <= MAX_RECORD and offset <= size - length):
        raise BadRecord(offset, f"record of {length} bytes in a file of {size}")
    data = read_at(fd, offset, length)
    if len(data) < length or PREFIX.unpack_from(data) != (opcode, length - PREFIX.size):
        raise BadRecord(offset, f"no {opcode.name} record of {length} bytes here")
    return decode(kind, data[PREFIX.size :], offset)
