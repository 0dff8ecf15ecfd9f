"""What a segment holds, gathered while it is written or read back: its streams, channels, counts, times and a sparse index."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import msgspec
from mcap.opcode import Opcode
from mcap.records import Channel, Metadata, MetadataIndex, Schema
from msgspec import Struct

from bus.log.errors import BadRecord
from bus.log.groups import Group
from bus.log.records import (
    PREFIX,
    START,
    STREAMS,
    Channels,
    Entry,
    Query,
    Stream,
    decode,
    delivery_of,
    messages,
    start_after,
    streams_of,
    walk,
)
from bus.topic import Delivery

_INDEX_STEP = 64 * 1024  # bytes between two places of the sparse index


class _Place(Struct, frozen=True):
    """Where an event stands in its stream; the rest of the map stays encoded."""

    source: str
    epoch: int = 0
    seq: int = 0


_place = msgspec.msgpack.Decoder(_Place)


@dataclass
class Contents:
    """A segment's contents up to file offset `end`. `streams` is the table as its last group leaves it."""

    after: int = 0
    streams_before: dict[Stream, int] = field(default_factory=dict)
    streams: dict[Stream, int] = field(default_factory=dict)
    end: int = 0
    first: int = 0
    last: int = 0
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    names: Channels = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by topic and delivery
    metadata: list[MetadataIndex] = field(default_factory=list)
    newest: dict[str, Entry] = field(default_factory=dict)
    index: list[tuple[int, int]] = field(default_factory=list)  # log_time of a group's first message, file offset of the group

    def counted(self, first: int, last: int, start: int) -> None:
        """Notes a group with messages: their first and last log_time, and its file offset."""
        self.first = self.first or first
        self.last = last
        if not self.index or start - self.index[-1][1] >= _INDEX_STEP:
            self.index.append((first, start))

    def absorb(self, group: Group) -> None:
        """Takes a group in, as read back from the file. Raises BadRecord."""
        for opcode, start, end in walk(group.body, group.records):
            if opcode in (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.METADATA):
                self._declare(opcode, group.body[start:end], group.start + start)
        entries = list(messages(group.body, group.records, self.names, Query()))
        for entry in entries:
            self._take(entry)
        if entries:
            self.counted(entries[0].log_time, entries[-1].log_time, group.start)
        for stream in group.ended:
            self.streams.pop(stream, None)
        self.end = group.end

    def _declare(self, opcode: int, content: bytes, offset: int) -> None:
        if opcode == Opcode.SCHEMA:
            schema = decode(Schema, content, offset)
            self.schemas[schema.id] = schema
        elif opcode == Opcode.CHANNEL:
            channel = decode(Channel, content, offset)
            self.channels[channel.id] = channel
            self.names[channel.id] = (channel.topic, delivery_of(channel))
        else:
            record = decode(Metadata, content, offset)
            self.metadata.append(MetadataIndex(offset=offset - PREFIX.size, length=PREFIX.size + len(content), name=record.name))
            self._declare_metadata(record)

    def _declare_metadata(self, record: Metadata) -> None:
        if record.name == START:
            self.after = self.last = start_after(record)
        elif record.name == STREAMS:
            self.streams_before = streams_of(record.metadata)
            self.streams = dict(self.streams_before)

    def _take(self, entry: Entry) -> None:
        self.newest[entry.topic] = entry
        self.counts[entry.topic, entry.delivery] += 1
        if entry.delivery == Delivery.DURABLE:
            try:
                place = _place.decode(entry.data)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise BadRecord(0, f"{entry.topic} at log time {entry.log_time}: no event map: {error}") from error
            if place.seq:
                self.streams[place.source, place.epoch] = place.seq

    def message_counts(self) -> dict[str, int]:
        """Messages by topic."""
        totals: Counter[str] = Counter()
        for (topic, _), count in self.counts.items():
            totals[topic] += count
        return dict(totals)
