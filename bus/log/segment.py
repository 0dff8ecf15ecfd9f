"""The open segment: an unchunked MCAP file that grows by synced groups, and its end as a valid file.

Record layouts: https://mcap.dev/spec#records.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mcap.records import Channel, DataEnd, Footer, Header, Metadata, MetadataIndex, Schema, Statistics
from msgspec import Struct

from bus.log.contents import Contents
from bus.log.disk import sync, sync_folder, write_all
from bus.log.folder import State, segment_path
from bus.log.groups import seal
from bus.log.records import LIBRARY, MAGIC, PREFIX, START, STREAMS, Entry, Stream, encode, message_head, start_map, streams_map
from bus.log.schema import event_schema

_MAX_CHANNELS = 60_000  # ids have 16 bits, and a group may bring up to MAX_EVENTS new ones
_FREE = "event"  # the schema of topics whose struct nobody handed in

MAX_EVENTS = 4_000
MAX_BYTES = 16 * 1024 * 1024
"""A group is full at this many events or bytes, so that it always fits a reader's limit on records."""

DATA_END_SIZE = 13
_FOOTER_HEAD = 16  # of a Footer's content, what its CRC covers

Schemas = Mapping[str, type[Struct]]


@dataclass
class Pending:
    """Events that will be one group, and what they do to the table of streams."""

    events: list[Entry] = field(default_factory=list)
    size: int = 0
    streams: dict[Stream, int] = field(default_factory=dict)
    ended: set[Stream] = field(default_factory=set)


class OpenSegment:
    """The writer of one open segment. Any OSError ends its life: `abandon` it, its groups up to then stay good."""

    def __init__(self, folder: Path, number: int, schemas: Schemas, fd: int, contents: Contents) -> None:
        self.number = number
        self.path = segment_path(folder, number, State.OPEN)
        self.contents = contents
        self._schemas = schemas
        self._fd = fd
        self._ended = False
        self._ids = {name: channel for channel, name in contents.names.items()}
        self._schema_ids = {schema.name: number for number, schema in contents.schemas.items()}

    @classmethod
    def create(cls, folder: Path, number: int, schemas: Schemas, contents: Contents) -> OpenSegment:
        """A new file, still empty: what is left of a failed try under this name goes. Raises OSError."""
        path = segment_path(folder, number, State.OPEN)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        return cls(folder, number, schemas, fd, contents)

    @classmethod
    def resume(cls, folder: Path, number: int, schemas: Schemas, contents: Contents) -> OpenSegment:
        """The file that a start found open and made sound, to be written on. Raises OSError."""
        fd = os.open(segment_path(folder, number, State.OPEN), os.O_RDWR | os.O_CLOEXEC)
        return cls(folder, number, schemas, fd, contents)

    @property
    def full_of_channels(self) -> bool:
        return len(self._ids) >= _MAX_CHANNELS

    def write(self, group: Pending) -> None:
        """Appends a group and syncs it: when this returns, it is recorded. Raises OSError."""
        start = self.contents.end
        body = b"".join((self._beginning() if start == 0 else b"", *self._messages(group.events)))
        sealed = seal(body, start, len(group.events), sorted(group.ended))
        write_all(self._fd, sealed, start)
        sync(self._fd)
        if start == 0:
            sync_folder(self.path.parent)
        self.contents.end = start + len(sealed)
        if group.events:
            self.contents.counted(group.events[0].log_time, group.events[-1].log_time, start)

    def finish(self) -> Path:
        """Ends the file as a valid MCAP with summary and footer, and names it done. Raises OSError."""
        write_all(self._fd, _ending(self.contents, self._ids), self.contents.end)
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
        for name, found in ((START, start_map(self.number, contents.after)), (STREAMS, streams_map(contents.streams_before))):
            record = encode(Metadata(name=name, metadata=found))
            contents.metadata.append(MetadataIndex(offset=sum(map(len, parts)), length=len(record), name=name))
            parts.append(record)
        return b"".join(parts)

    def _messages(self, events: Iterable[Entry]) -> list[bytes]:
        parts = []
        ids, counts = self._ids, self.contents.counts
        for event in events:
            name = event[:2]
            if name not in ids:
                parts.append(self._declare(*name))
            parts.append(message_head(ids[name], event))
            parts.append(event.data)
            counts[name] += 1
        return parts

    def _declare(self, topic: str, delivery: str) -> bytes:
        """The Channel record of a topic, after its Schema record where that is new."""
        schema_name = topic if topic in self._schemas else _FREE
        declared = b""
        if schema_name not in self._schema_ids:
            declared = self._declare_schema(schema_name, self._schemas.get(topic))
        channel = Channel(
            id=len(self._ids) + 1, topic=topic, message_encoding="msgpack",
            schema_id=self._schema_ids[schema_name], metadata={"delivery": delivery},
        )  # fmt: skip
        self._ids[topic, delivery] = channel.id
        self.contents.channels[channel.id] = channel
        self.contents.names[channel.id] = (topic, delivery)
        return declared + encode(channel)

    def _declare_schema(self, name: str, data: type[Struct] | None) -> bytes:
        schema = Schema(id=len(self._schema_ids) + 1, name=name, encoding="jsonschema", data=event_schema(name, data))
        self._schema_ids[name] = schema.id
        self.contents.schemas[schema.id] = schema
        return encode(schema)


def _ending(contents: Contents, ids: Mapping[tuple[str, str], int]) -> bytes:
    """DataEnd, summary, footer and magic of a segment without chunks."""
    data_end = encode(DataEnd(data_section_crc=0))  # 0: not given; the groups carry their own
    records = [*contents.schemas.values(), *contents.channels.values(), _statistics(contents, ids), *contents.metadata]
    summary = b"".join(map(encode, records))
    start = contents.end + len(data_end)
    footer = Footer(summary_start=start, summary_offset_start=0, summary_crc=0)
    footer.summary_crc = zlib.crc32(encode(footer)[: PREFIX.size + _FOOTER_HEAD], zlib.crc32(summary))
    return b"".join((data_end, summary, encode(footer), MAGIC))


def _statistics(contents: Contents, ids: Mapping[tuple[str, str], int]) -> Statistics:
    return Statistics(
        message_count=contents.counts.total(), schema_count=len(contents.schemas), channel_count=len(contents.channels),
        attachment_count=0, metadata_count=len(contents.metadata), chunk_count=0,
        message_start_time=contents.first, message_end_time=contents.last if contents.first else 0,
        channel_message_counts={ids[name]: count for name, count in contents.counts.items()},
    )  # fmt: skip
