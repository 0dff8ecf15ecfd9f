"""MCAP records in and out of bytes: messages with our own packing, which is quick; the rare ones with the mcap package's.

Layouts: https://mcap.dev/spec#records. Pure: no files here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import NamedTuple, TypeVar

import msgspec
from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, McapRecord, Metadata
from msgspec import Struct

from bus.log.errors import BadRecord

R = TypeVar("R", bound=McapRecord)

MAGIC = b"\x89MCAP0\r\n"
LIBRARY = "zeropoint-bus"
MAX_RECORD = 64 * 1024 * 1024
"""Bytes of one record, a chunk before and after decompression included: more is taken for damage."""

PREFIX = struct.Struct("<BQ")  # opcode, length of what follows
MESSAGE = int(Opcode.MESSAGE)
MESSAGE_HEAD = struct.Struct("<BQHIQQ")  # prefix, channel, sequence, log_time, publish_time (https://mcap.dev/spec#message-op0x05)
MESSAGE_FIELDS = struct.Struct("<HIQQ")  # the same without the prefix; the data follows

Head = tuple[int, int, int]
"""A record in a buffer: its opcode, start and end of its content."""


class Entry(NamedTuple):
    """A recorded event. Times are ns since the Unix epoch; `data` is the wire's event map, byte for byte.

    `log_time` is unique in a log and rises, so it is a cursor. `delivery` is `durable`, `latest` or `control`.
    """

    topic: str
    delivery: str
    log_time: int
    publish_time: int
    sequence: int
    data: bytes


_REPLAYED = b"\xa6replay\xc3"  # the key and true, in MessagePack; data may hold them too, so the map is then looked at


class _Replayed(Struct, frozen=True):
    replay: bool = False


_replayed = msgspec.msgpack.Decoder(_Replayed)


def may_hold_replay(body: bytes) -> bool:
    """False where no event map in these bytes is a replay's."""
    return _REPLAYED in body


def is_replay(event_map: bytes) -> bool:
    """Whether the event was published again from a log: it is no news of its topic."""
    try:
        return may_hold_replay(event_map) and _replayed.decode(event_map).replay
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False  # of a foreign event in a damaged place


class Query(NamedTuple):
    """Which entries: topics by name, or by prefix where a topic ends in `.` (none: all), log_time in (after, until]."""

    topics: tuple[str, ...] = ()
    after: int = 0
    until: int | None = None

    def wants(self, topic: str) -> bool:
        return not self.topics or any(topic == name or (name.endswith(".") and topic.startswith(name)) for name in self.topics)


Channels = dict[int, tuple[str, str]]
"""Channel id -> topic, delivery."""


def encode(record: McapRecord) -> bytes:
    """Any other record."""
    builder = RecordBuilder()
    record.write(builder)
    encoded: bytes = builder.end()  # type: ignore[no-untyped-call]  # mcap leaves this method without annotations
    return encoded


def decode(kind: type[R], content: bytes, offset: int) -> R:
    """The record in `content`. Raises BadRecord, which names `offset`."""
    try:
        record: R = kind.read(ReadDataStream(BytesIO(content)))  # type: ignore[attr-defined]  # every record but the base has it
    except (McapError, struct.error, ValueError, OverflowError, RuntimeError) as error:
        raise BadRecord(offset, f"{kind.__name__} record: {error!r}") from error
    return record


def walk(buffer: bytes, at: int) -> Iterator[Head]:
    """The records from `at` on. Raises BadRecord where one does not fit."""
    size = len(buffer)
    while at < size:
        if at + PREFIX.size > size:
            raise BadRecord(at, f"{size - at} bytes, too few for a record")
        opcode, length = PREFIX.unpack_from(buffer, at)
        start = at + PREFIX.size
        if length > size - start:
            raise BadRecord(at, f"record of {length} bytes where {size - start} are left")
        at = start + length
        yield opcode, start, at


def messages(buffer: bytes, heads: Iterable[Head], channels: Channels, query: Query) -> Iterator[Entry]:
    """The messages that `query` wants among the records of `buffer`; `channels` learns the new ones. Raises BadRecord."""
    wanted: dict[int, bool] = {}  # asked only of channels that occur: there may be thousands, and a group has few
    for opcode, start, end in heads:
        if opcode == MESSAGE:
            if end - start < MESSAGE_FIELDS.size:
                raise BadRecord(start, f"message of {end - start} bytes")
            number, sequence, log_time, publish_time = MESSAGE_FIELDS.unpack_from(buffer, start)
            if number not in channels:
                raise BadRecord(start, f"message of the unknown channel {number}")
            if log_time <= query.after or not _is_wanted(number, channels, query, wanted):
                continue
            if query.until is not None and log_time > query.until:
                return
            topic, delivery = channels[number]
            yield Entry(topic, delivery, log_time, publish_time, sequence, buffer[start + MESSAGE_FIELDS.size : end])
        elif opcode == Opcode.CHANNEL:
            channel = decode(Channel, buffer[start:end], start)
            channels[channel.id] = (channel.topic, delivery_of(channel))


def _is_wanted(number: int, channels: Channels, query: Query, wanted: dict[int, bool]) -> bool:
    if number not in wanted:
        wanted[number] = query.wants(channels[number][0])
    return wanted[number]


def time_span(buffer: bytes, heads: Sequence[Head]) -> tuple[int, int]:
    """log_time of the first and last message among the records of `buffer`, zeros without one."""
    return _first_time(buffer, heads), _first_time(buffer, reversed(heads))


def _first_time(buffer: bytes, heads: Iterable[Head]) -> int:
    for opcode, start, end in heads:
        if opcode == MESSAGE and end - start >= MESSAGE_FIELDS.size:
            log_time: int = MESSAGE_FIELDS.unpack_from(buffer, start)[2]
            return log_time
    return 0


def delivery_of(channel: Channel) -> str:
    return channel.metadata.get("delivery", "durable")


START = "zeropoint.segment"
STREAMS = "zeropoint.streams"
STREAMS_AT_END = "zeropoint.streams.end"
COUNTS = "zeropoint.counts"
LOST = "zeropoint.lost"
EXPIRED = "zeropoint.expired"

Stream = tuple[str, int]
"""A durable stream: its source and epoch."""


class Beginning(NamedTuple):
    """Where a segment begins: every event before it has log_time (ns) <= `after`, all of its own are above.

    `cut` is the file offset behind the last good group of the segment before it, where that was given up; None: it was not.
    """

    after: int = 0
    cut: int | None = None


def start_map(number: int, beginning: Beginning) -> dict[str, str]:
    """The metadata that a segment begins with. It checks itself."""
    found = {"number": str(number), "after": str(beginning.after)}
    if beginning.cut is not None:
        found["cut"] = str(beginning.cut)
    return {**found, "crc32": _crc(found)}


def beginning_of(record: Metadata) -> Beginning:
    """A segment's beginning from its first metadata. Raises BadRecord."""
    found: dict[str, str] = {name: record.metadata[name] for name in ("number", "after", "cut") if name in record.metadata}
    is_whole = {"number", "after"} <= found.keys() and all(value.isdecimal() for value in found.values())
    if record.name != START or not is_whole or record.metadata.get("crc32") != _crc(found):
        raise BadRecord(0, f"want the metadata {START}, got {record.name!r} {record.metadata!r:.200}")
    return Beginning(int(found["after"]), int(found["cut"]) if "cut" in found else None)


def cut_to(size: int, following: Beginning | None) -> int:
    """The bytes that count of a file without chunks, before a segment that begins so: what a failed disk kept behind is written again."""
    return size if following is None or following.cut is None else min(size, following.cut)


def _crc(found: dict[str, str]) -> str:
    return f"{zlib.crc32(' '.join(found.values()).encode()):08x}"


def streams_map(streams: Mapping[Stream, int]) -> dict[str, str]:
    """The table of streams as metadata: `source/epoch` -> last seq."""
    return {f"{source}/{epoch}": str(last) for (source, epoch), last in streams.items()}


def streams_of(found: Mapping[str, str]) -> dict[Stream, int]:
    """The table back from metadata. Raises BadRecord."""
    streams = {}
    for key, last in found.items():
        source, _, epoch = key.rpartition("/")
        if not (source and epoch.isdecimal() and last.isdecimal()):
            raise BadRecord(0, f"streams table: {key!r} -> {last!r}")
        streams[source, int(epoch)] = int(last)
    return streams


def counts_map(counts: Mapping[str, int]) -> dict[str, str]:
    """Events by topic as metadata."""
    return {topic: str(count) for topic, count in counts.items()}


def counts_of(found: Mapping[str, str]) -> dict[str, int]:
    """Events by topic back from metadata. Raises BadRecord."""
    for topic, count in found.items():
        if not count.isdecimal():
            raise BadRecord(0, f"counts by topic: {topic!r} -> {count!r}")
    return {topic: int(count) for topic, count in found.items()}
