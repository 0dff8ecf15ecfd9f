"""The open segment: an unchunked MCAP file that grows by synced groups, and its end as a valid file.

Record layouts: https://mcap.dev/spec#records.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mcap.records import Channel, DataEnd, Footer, Header, Metadata, MetadataIndex, Schema, Statistics
from msgspec import Struct

from bus.log.contents import Contents
from bus.log.disk import sync, sync_folder, write_all
from bus.log.folder import State, segment_path
from bus.log.groups import trailer
from bus.log.pending import Numbering, Pending
from bus.log.records import LIBRARY, LOST, MAGIC, PREFIX, START, STREAMS, counts_map, encode, start_map, streams_map
from bus.log.schema import event_schema

_FREE = "event"  # the schema of topics whose struct nobody handed in

MAX_EVENTS = 4_000
MAX_BYTES = 1024 * 1024
"""A group is full at this many events or bytes: it is checked and so read as a whole, also for one of its events."""

DATA_END_SIZE = 13
_FOOTER_HEAD = 16  # of a Footer's content, what its CRC covers

Schemas = Mapping[str, type[Struct]]


class OpenSegment:
    """The writer of one open segment. Any OSError ends its life: `abandon` it, its groups up to then stay good."""

    def __init__(self, folder: Path, number: int, schemas: Schemas, fd: int, contents: Contents, numbering: Numbering) -> None:
        self.number = number
        self.numbering = numbering
        self.path = segment_path(folder, number, State.OPEN)
        self.contents = contents
        self._schemas = schemas
        self._fd = fd
        self._ended = False
        self._declared: dict[int, bytes] = {number: encode(channel) for number, channel in contents.channels.items()}
        self._schema_ids = {schema.name: number for number, schema in contents.schemas.items()}

    @classmethod
    def create(cls, folder: Path, number: int, schemas: Schemas, contents: Contents, numbering: Numbering) -> OpenSegment:
        """A new file, still empty: what is left of a failed try under this name goes. Raises OSError."""
        path = segment_path(folder, number, State.OPEN)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        return cls(folder, number, schemas, fd, contents, numbering)

    @classmethod
    def resume(cls, folder: Path, number: int, schemas: Schemas, contents: Contents, numbering: Numbering) -> OpenSegment:
        """The file that a start found open and made sound, to be written on. Raises OSError."""
        fd = os.open(segment_path(folder, number, State.OPEN), os.O_RDWR | os.O_CLOEXEC)
        return cls(folder, number, schemas, fd, contents, numbering)

    def write(self, groups: Sequence[Pending]) -> None:
        """Appends groups and syncs them: when this returns, they are recorded. Raises OSError.

        Each is synced before the next is written: with two on their way, a power cut may leave the second whole and a hole in the
        first, which a start could not tell from damage to what was acknowledged.
        """
        ends = [self.contents.end]
        for group in groups:
            ends.append(self._write_group(group, ends[-1]))
            sync(self._fd)
        if ends[0] == 0:
            sync_folder(self.path.parent)
        self.contents.end = ends[-1]
        for group, start in zip(groups, ends[:-1], strict=True):
            self._count(group, start)

    def _write_group(self, group: Pending, start: int) -> int:
        """Writes a group at a file offset, and returns that of its end."""
        beginning = self._beginning() if start == 0 else b""
        lost = self._lost(group, start + len(beginning)) if group.lost else b""
        body = b"".join((beginning, lost, *self._declarations(group), *group.parts))
        end = trailer(body, start, len(group.channels), sorted(group.ended))
        write_all(self._fd, body, start)
        write_all(self._fd, end, start + len(body))
        return start + len(body) + len(end)

    def _count(self, group: Pending, start: int) -> None:
        self.contents.lost.update(group.lost)
        if group.parts:
            self.contents.counts.update(group.channels)
            self.contents.counted(*group.times, start)

    def finish(self) -> Path:
        """Ends the file as a valid MCAP with summary and footer, and names it done. Raises OSError."""
        write_all(self._fd, _ending(self.contents), self.contents.end)
        sync(self._fd)
        self._ended = True
        done = segment_path(self.path.parent, self.number, State.DONE)
        self.path.rename(done)
        sync_folder(done.parent)
        os.close(self._fd)
        return done

    def abandon(self) -> None:
        """Lets go of the file after a failure, cut back to its last good group if the disk still does that much.

        Not even that cut is relied on: the next segment's `after` says where this one ends.
        """
        with suppress(OSError):
            if not self._ended:
                os.ftruncate(self._fd, self.contents.end)
        with suppress(OSError):
            if self.contents.end == 0:
                self.path.unlink()
        with suppress(OSError):
            os.close(self._fd)

    def _beginning(self) -> bytes:
        contents = self.contents
        parts = [MAGIC, encode(Header(profile="", library=LIBRARY))]
        for name, found in ((START, start_map(self.number, contents.beginning)), (STREAMS, streams_map(contents.streams_before))):
            record = encode(Metadata(name=name, metadata=found))
            contents.metadata.append(MetadataIndex(offset=sum(map(len, parts)), length=len(record), name=name))
            parts.append(record)
        return b"".join(parts)

    def _lost(self, group: Pending, offset: int) -> bytes:
        record = encode(Metadata(name=LOST, metadata=counts_map(group.lost)))
        self.contents.metadata.append(MetadataIndex(offset=offset, length=len(record), name=LOST))
        return record

    def _declarations(self, group: Pending) -> list[bytes]:
        """Every channel that the group uses, so that it is read without the groups before, and schemas where they are new."""
        declared = []
        for number in dict.fromkeys(group.channels):
            if number not in self._declared:
                topic, delivery = group.numbering.names[number]
                declared.append(self._declare_schema(topic))
                self._declared[number] = self._declare(number, topic, delivery)
            declared.append(self._declared[number])
        return declared

    def _declare(self, number: int, topic: str, delivery: str) -> bytes:
        """The Channel record of a topic whose schema is declared."""
        channel = Channel(
            id=number, topic=topic, message_encoding="msgpack",
            schema_id=self._schema_ids[self._schema_name(topic)], metadata={"delivery": delivery},
        )  # fmt: skip
        self.contents.channels[number] = channel
        self.contents.names[number] = (topic, delivery)
        return encode(channel)

    def _declare_schema(self, topic: str) -> bytes:
        name = self._schema_name(topic)
        if name in self._schema_ids:
            return b""
        schema = Schema(id=len(self._schema_ids) + 1, name=name, encoding="jsonschema", data=event_schema(name, self._schemas.get(topic)))
        self._schema_ids[name] = schema.id
        self.contents.schemas[schema.id] = schema
        return encode(schema)

    def _schema_name(self, topic: str) -> str:
        return topic if topic in self._schemas else _FREE


def _ending(contents: Contents) -> bytes:
    """DataEnd, summary, footer and magic of a segment without chunks."""
    data_end = encode(DataEnd(data_section_crc=0))  # 0: not given; the groups carry their own
    records = [*contents.schemas.values(), *contents.channels.values(), _statistics(contents), *contents.metadata]
    summary = b"".join(map(encode, records))
    start = contents.end + len(data_end)
    footer = Footer(summary_start=start, summary_offset_start=0, summary_crc=0)
    footer.summary_crc = zlib.crc32(encode(footer)[: PREFIX.size + _FOOTER_HEAD], zlib.crc32(summary))
    return b"".join((data_end, summary, encode(footer), MAGIC))


def _statistics(contents: Contents) -> Statistics:
    return Statistics(
        message_count=contents.counts.total(), schema_count=len(contents.schemas), channel_count=len(contents.channels),
        attachment_count=0, metadata_count=len(contents.metadata), chunk_count=0,
        message_start_time=contents.first, message_end_time=contents.last if contents.first else 0,
        channel_message_counts=dict(contents.counts),
    )  # fmt: skip
