"""Writing chunked, compressed, indexed MCAP files from message records as they stand, which is a walk over their heads and a few copies.

A Message record has the same bytes in a chunk as outside, so nothing is decoded. Compression and hashing let other threads run.
Layouts: https://mcap.dev/spec#records.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import BinaryIO

import zstandard
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

from bus.log.records import LIBRARY, MAGIC, MESSAGE, PREFIX, Head, encode

CHUNK_BYTES = 1024 * 1024
"""Bytes of records after which a chunk is full."""
_CHUNK = struct.Struct("<QQQI")  # first and last log_time, bytes of the records, their CRC; compression and data follow
_COMPRESSION = b"\x04\0\0\0zstd"
_SIZE = struct.Struct("<Q")
_PLACE = struct.Struct("<H4xQ")  # of a message, its channel and log_time
_INDEX = struct.Struct("<HI")  # channel, bytes of the entries: log_time and offset of each message
_FOOTER_HEAD = 16  # of a Footer's content, what its CRC covers


@dataclass(slots=True)
class _Chunk:
    """What the next chunk will hold; `places` are log_time and offset of each message by turns, by channel."""

    records: list[bytes] = field(default_factory=list)
    size: int = 0
    first: int = 0
    last: int = 0
    places: dict[int, list[int]] = field(default_factory=dict)

    def append(self, records: bytes) -> None:
        self.records.append(records)
        self.size += len(records)


class ChunkedFile:
    """One file under way. `schemas` and `channels` by id may still grow; those that messages use are written, before their messages."""

    def __init__(self, file: BinaryIO, schemas: Mapping[int, Schema], channels: Mapping[int, Channel]) -> None:
        self._file = file
        self._schemas = schemas
        self._channels = channels
        self._declared: list[Channel] = []
        self._declared_schemas: list[Schema] = []
        self._counts: Counter[int] = Counter()
        self._chunks: list[ChunkIndex] = []
        self._metadata: list[MetadataIndex] = []
        self._offset = self._crc = 0
        self._packer = zstandard.ZstdCompressor()
        self._chunk = _Chunk()
        self._write(MAGIC + encode(Header(profile="", library=LIBRARY)))

    def metadata(self, name: str, found: dict[str, str]) -> None:
        """A Metadata record, in front of messages that are added later and behind all that were added before."""
        self._end_chunk()
        record = encode(Metadata(name=name, metadata=found))
        self._metadata.append(MetadataIndex(offset=self._offset, length=len(record), name=name))
        self._write(record)

    def add(self, body: bytes, heads: Iterable[Head]) -> None:
        """The Message records of `body` that `heads` lists, rising in log_time over all calls; every head of another record is passed."""
        run_start = run_end = 0  # records that follow each other are copied as one
        unpack, prefix = _PLACE.unpack_from, PREFIX.size
        for opcode, start, end in heads:
            if opcode != MESSAGE:
                continue
            number, log_time = unpack(body, start)
            record, chunk = start - prefix, self._chunk
            if record != run_end or number not in chunk.places or chunk.size + end - run_start > CHUNK_BYTES:
                chunk.append(body[run_start:run_end])
                run_start, chunk = record, self._chunk_with(number)
            chunk.places[number] += (log_time, chunk.size + record - run_start)
            chunk.first = chunk.first or log_time
            chunk.last = log_time
            run_end = end
        self._chunk.append(body[run_start:run_end])

    def finish(self) -> None:
        """Summary and footer."""
        self._end_chunk()
        self._write(encode(DataEnd(data_section_crc=self._crc)))
        records = [*self._declared_schemas, *self._declared, self._statistics(), *self._chunks, *self._metadata]
        start, summary, offsets = self._offset, b"", b""
        for kind, group in groupby(records, key=type):
            encoded = b"".join(map(encode, group))
            place = SummaryOffset(group_opcode=_OPCODES[kind], group_start=start + len(summary), group_length=len(encoded))
            summary, offsets = summary + encoded, offsets + encode(place)
        footer = Footer(summary_start=start, summary_offset_start=start + len(summary), summary_crc=0)
        footer.summary_crc = zlib.crc32(encode(footer)[: PREFIX.size + _FOOTER_HEAD], zlib.crc32(summary + offsets))
        self._write(b"".join((summary, offsets, encode(footer), MAGIC)))

    def _chunk_with(self, number: int) -> _Chunk:
        """A chunk that has room, and in which or before which the channel is declared."""
        if self._chunk.size >= CHUNK_BYTES:
            self._end_chunk()
        if number not in self._counts:
            self._declare(self._channels[number])
            self._counts[number] = 0
        self._chunk.places.setdefault(number, [])
        return self._chunk

    def _declare(self, channel: Channel) -> None:
        schema = self._schemas.get(channel.schema_id)
        if schema is not None and schema not in self._declared_schemas:
            self._declared_schemas.append(schema)
            self._chunk.append(encode(schema))
        self._declared.append(channel)
        self._chunk.append(encode(channel))

    def _end_chunk(self) -> None:
        chunk, start = self._chunk, self._offset
        if not chunk.first:
            return
        records = b"".join(chunk.records)
        packed = self._packer.compress(records)
        content = _CHUNK.pack(chunk.first, chunk.last, len(records), zlib.crc32(records)) + _COMPRESSION + _SIZE.pack(len(packed))
        length = PREFIX.size + len(content) + len(packed)
        self._write(b"".join((PREFIX.pack(Opcode.CHUNK, length - PREFIX.size), content, packed)))
        offsets = self._write_indexes(chunk.places)
        self._chunks.append(
            ChunkIndex(
                chunk_start_offset=start, chunk_length=length, compression="zstd",
                compressed_size=len(packed), uncompressed_size=len(records),
                message_start_time=chunk.first, message_end_time=chunk.last,
                message_index_offsets=offsets, message_index_length=self._offset - start - length,
            )
        )  # fmt: skip
        self._chunk = _Chunk()

    def _write_indexes(self, channels: dict[int, list[int]]) -> dict[int, int]:
        """A MessageIndex for each channel of the chunk; where they stand, by channel."""
        offsets, records, offset = {}, [], self._offset
        for number, places in channels.items():
            entries = struct.pack(f"<{len(places)}Q", *places)
            content = _INDEX.pack(number, len(entries)) + entries
            offsets[number] = offset
            records.append(PREFIX.pack(Opcode.MESSAGE_INDEX, len(content)) + content)
            offset += len(records[-1])
            self._counts[number] += len(places) // 2
        self._write(b"".join(records))
        return offsets

    def _statistics(self) -> Statistics:
        return Statistics(
            message_count=self._counts.total(), schema_count=len(self._declared_schemas), channel_count=len(self._declared),
            attachment_count=0, metadata_count=len(self._metadata), chunk_count=len(self._chunks),
            message_start_time=self._chunks[0].message_start_time if self._chunks else 0,
            message_end_time=self._chunks[-1].message_end_time if self._chunks else 0, channel_message_counts=dict(self._counts),
        )  # fmt: skip

    def _write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._offset += len(data)
        self._file.write(data)


_OPCODES: dict[type[McapRecord], Opcode] = {
    Schema: Opcode.SCHEMA,
    Channel: Opcode.CHANNEL,
    Statistics: Opcode.STATISTICS,
    ChunkIndex: Opcode.CHUNK_INDEX,
    MetadataIndex: Opcode.METADATA_INDEX,
}
