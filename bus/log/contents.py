"""What a segment holds, gathered while it is written or read back: its streams, channels, counts, times and a sparse index."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from mcap.opcode import Opcode
from mcap.records import Channel, Metadata, MetadataIndex, Schema
from msgspec import Struct

from bus.log.errors import BadRecord
from bus.log.groups import Group
from bus.log.records import (
    LOST,
    MESSAGE,
    MESSAGE_FIELDS,
    PREFIX,
    START,
    STREAMS,
    Beginning,
    Channels,
    Entry,
    Head,
    Stream,
    beginning_of,
    counts_of,
    decode,
    delivery_of,
    is_replay,
    may_hold_replay,
    streams_of,
)
from bus.topic import Delivery

_INDEX_STEP = 64 * 1024  # bytes between two places of the sparse index


class _Place(Struct, frozen=True):
    """Where an event stands in its stream; the rest of the map stays encoded."""

    source: str
    epoch: int = 0
    seq: int = 0


_place = msgspec.msgpack.Decoder(_Place)
_channel_at = struct.Struct("<H").unpack_from


@dataclass
class Contents:
    """A segment's contents up to file offset `end`. `streams` is the table as its last group leaves it."""

    beginning: Beginning = field(default_factory=Beginning)
    streams_before: dict[Stream, int] = field(default_factory=dict)
    streams: dict[Stream, int] = field(default_factory=dict)
    end: int = 0
    first: int = 0
    last: int = 0
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    names: Channels = field(default_factory=dict)
    counts: Counter[int] = field(default_factory=Counter)  # by channel
    lost: Counter[str] = field(default_factory=Counter)  # by topic
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
        for opcode, start, end in group.heads:
            if opcode in _DECLARATIONS:
                self._declare(opcode, group.body[start:end], group.start + start)
        self._take(group.body, [head for head in group.heads if head[0] == MESSAGE])
        first, last = group.times()
        if first:
            self.counted(first, last, group.start)
        for stream in group.ended:
            self.streams.pop(stream, None)
        self.end = group.end

    def message_counts(self) -> dict[str, int]:
        """Messages by topic."""
        return topic_counts(self.counts, self.names)

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
            self.beginning = beginning_of(record)
            self.last = self.beginning.after
        elif record.name == STREAMS:
            self.streams_before = streams_of(record.metadata)
            self.streams = dict(self.streams_before)
        elif record.name == LOST:
            self.lost.update(counts_of(record.metadata))

    def _take(self, body: bytes, heads: list[Head]) -> None:
        """The messages of one group: what they count, and how far they move the streams."""
        numbers = [_channel_at(body, start)[0] for _, start, end in heads if end - start >= MESSAGE_FIELDS.size]
        occurring = set(numbers)
        if len(numbers) < len(heads) or not occurring <= self.names.keys():
            raise BadRecord(0, "a message that is too short, or of an unknown channel")
        self.counts.update(numbers)
        durable = {number for number in occurring if self.names[number][1] == Delivery.DURABLE}
        try:
            self._move(
                [
                    body[start + MESSAGE_FIELDS.size : end]
                    for number, (_, start, end) in zip(numbers, heads, strict=True)
                    if number in durable
                ]
            )
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise BadRecord(0, f"a message that is no event map: {error}") from error
        self._note_newest(body, dict(_no_replays(body, zip(numbers, heads, strict=True))).values())

    def _move(self, maps: list[bytes]) -> None:
        streams = self.streams
        for place in map(_place.decode, maps):
            if place.seq:
                streams[place.source, place.epoch] = place.seq

    def _note_newest(self, body: bytes, heads: Iterable[Head]) -> None:
        for _, start, end in sorted(heads):
            number, sequence, log_time, publish_time = MESSAGE_FIELDS.unpack_from(body, start)
            topic, delivery = self.names[number]
            self.newest[topic] = Entry(topic, delivery, log_time, publish_time, sequence, body[start + MESSAGE_FIELDS.size : end])


def _no_replays(body: bytes, messages: Iterable[tuple[int, Head]]) -> Iterable[tuple[int, Head]]:
    """Those messages, channel and head, that are no replays."""
    if not may_hold_replay(body):
        return messages
    return [(number, head) for number, head in messages if not is_replay(body[head[1] + MESSAGE_FIELDS.size : head[2]])]


_DECLARATIONS = (Opcode.SCHEMA, Opcode.CHANNEL, Opcode.METADATA)


def topic_counts(counts: Counter[int] | dict[int, int], names: Channels) -> dict[str, int]:
    """Messages by topic, from those by channel."""
    totals: Counter[str] = Counter()
    for number, count in counts.items():
        totals[names[number][0]] += count
    return dict(totals)
