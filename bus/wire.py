"""The wire contract of docs/wire.md, pure: bytes in, values out, no sockets.

A frame is the topic, one NUL byte, and a MessagePack array of event maps. An envelope is decoded
without decoding its `data`, so who only routes or records does not pay for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from bus.errors import CorruptFrame, FrameTooLarge
from bus.event import Event, event_id
from bus.topic import NAME_PATTERN, Delivery, Name

T = TypeVar("T")

MAX_FRAME = 64 * 1024
"""Bytes of an event's frame, topic included."""
MAX_BATCH = 45_000
"""Bytes of event maps that a publisher gathers into one frame: enough to share the cost of a message, not more to lose with one."""
MAX_REPLY = 512 * 1024
"""Bytes of a `reply.` frame: one that answers with recorded events can hold the largest event whole."""
MAX_ATTACHMENT = 16 * 1024 * 1024
"""Bytes of one attachment frame on a LATEST topic."""
MAX_ATTACHMENTS = 16

CONTROL_PREFIXES = ("command.", "reply.", "bus.")
"""What the topics of the control stream begin with."""

_NUL = b"\0"
_HEAD = 2  # bytes of a frame of one event beside its topic and its map: the NUL and the array's header
_FIXED_ARRAY = 15  # the longest array whose MessagePack header is one byte
_LONGEST_ID = 512
_NAME = re.compile(NAME_PATTERN)
_LONGEST_TOPIC = 255
_TOPIC = re.compile(rb"[a-z0-9][a-z0-9._-]{0,254}")

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
EventId = Annotated[str, Meta(max_length=_LONGEST_ID)]


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An event map with its `data` still encoded. `epoch` and `seq` are 0 where a foreign publisher cannot re-send.

    `source` is a Name, which decoding sees to: checked here, the pattern would take longer than all the rest.
    `nth` counts this publisher's events of this topic.
    """

    source: Annotated[str, Meta(extra_json_schema={"pattern": NAME_PATTERN})]
    time: Count
    epoch: Count = 0
    seq: Count = 0
    prev: Count = 0
    nth: Count = 0
    cause: EventId | None = None
    run: Name | None = None
    replay: bool = False
    data: Raw

    def id(self, topic: str) -> str:
        return event_id(self.source, topic, self.epoch, self.seq)


class Control(Struct, frozen=True, kw_only=True):
    """The base of what travels on `bus.*`."""


class Ack(Control, frozen=True, kw_only=True):
    """`bus.ack.<source>`: everything up to `last` of this epoch is on disk; `missing` is the first range that is not (first, last)."""

    epoch: Count
    last: Count
    missing: tuple[Count, Count] | None = None


RECORDED = "bus.recorded"


class Recorded(Control, frozen=True, kw_only=True):
    """`bus.recorded`: what the recorder committed since it said so last, numbered 1, 2, 3…, with log times above `after` up to `end` (ns).

    `streams` are source, epoch, and the last durable seq of each topic that it holds; null: too many to say. The newest is
    said again each second, for who missed it.
    """

    group: Count
    after: Count
    end: Count
    streams: list[tuple[Name, Count, dict[str, Count]]] | None


class Floor(Control, frozen=True, kw_only=True):
    """`bus.floor`: the oldest seq that this publisher can still send."""

    epoch: Count
    floor: Count


class Bye(Control, frozen=True, kw_only=True):
    """`bus.bye`: this epoch ends; its last durable seq is `last`."""

    epoch: Count
    last: Count


class CommandCall(Struct, frozen=True, kw_only=True):
    """The data of `command.<agent>.<verb>`. `inbox` names the reply topic `reply.<inbox>`, `deadline` is ns since the Unix epoch."""

    inbox: Name
    deadline: Count
    request: Raw


class CommandError(Struct, frozen=True, kw_only=True):
    """Why an agent did not do what it was asked: `code` for programs, `message` for people."""

    code: str
    message: str


class CommandReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The data of `reply.<inbox>`: the result, or the error."""

    result: Raw = Raw(b"\xc0")
    error: CommandError | None = None


_encoder = msgspec.msgpack.Encoder()
_maps = msgspec.msgpack.Decoder(list[Raw])
_envelope = msgspec.msgpack.Decoder(Envelope)
_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)  # ValueError: text that is no UTF-8


def encode_data(data: object) -> bytes:
    """MessagePack of a struct. Raises FrameTooLarge at once for what no frame can carry."""
    encoded = _encoder.encode(data)
    if len(encoded) > MAX_REPLY:
        raise _too_large("data", len(encoded), MAX_REPLY)
    return encoded


def encode_envelope(topic: str, envelope: Envelope) -> bytes:
    """The event map. Raises FrameTooLarge where no frame of this topic can carry it."""
    event_map = _encoder.encode(envelope)
    size = len(topic) + _HEAD + len(event_map)
    if size > MAX_FRAME and size > frame_limit(topic):
        raise _too_large(topic, size, frame_limit(topic))
    return event_map


def check_fields(topic: str, run: str | None, cause: str | None, time: int) -> None:
    """Raises ValueError for a field that no reader would take: the event would be a hole for ever."""
    if run is not None and not _is_name(run):
        raise ValueError(f"{topic}: run {run!r}: want up to 63 lower-case letters, digits, - and _")
    if cause is not None and len(cause) > _LONGEST_ID:
        raise ValueError(f"{topic}: cause of {len(cause)} characters: want the id of an event")
    if not 0 <= time < 2**63:
        raise ValueError(f"{topic}: time {time}: want ns since the Unix epoch")


def check_attachments(topic: str, attachments: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The attachments. Raises FrameTooLarge for too many of them, or one that is too large."""
    if len(attachments) > MAX_ATTACHMENTS or any(len(frame) > MAX_ATTACHMENT for frame in attachments):
        raise FrameTooLarge(f"{topic}: want at most {MAX_ATTACHMENTS} attachments of at most {MAX_ATTACHMENT} bytes")
    return attachments


def pack_frame(topic: str, event_maps: Sequence[bytes]) -> bytes:
    """The frame of some encoded events of one topic."""
    count = len(event_maps)
    head = bytes((0x90 | count,)) if count <= _FIXED_ARRAY else b"\xdc" + count.to_bytes(2, "big")
    return b"".join((topic.encode(), _NUL, head, *event_maps))


def pack_frames(events: Sequence[tuple[str, bytes]]) -> list[bytes]:
    """The fewest frames that carry these (topic, event map) in order: neighbours of one topic share one of up to MAX_BATCH bytes."""
    frames: list[bytes] = []
    gathered: list[bytes] = []
    size = 0
    for index, (topic, event_map) in enumerate(events):
        if gathered and (topic != events[index - 1][0] or size + len(event_map) > MAX_BATCH):
            frames.append(pack_frame(events[index - 1][0], gathered))
            gathered, size = [], 0
        gathered.append(event_map)
        size += len(event_map)
    if gathered:
        frames.append(pack_frame(events[-1][0], gathered))
    return frames


def encodable(text: str) -> str:
    """`text` with what UTF-8 cannot say written out: an exception may quote a file name that is no text."""
    return text.encode(errors="backslashreplace").decode()


def frame_limit(topic: str) -> int:
    """The largest frame of this topic, in bytes."""
    return MAX_REPLY if topic.startswith("reply.") else MAX_FRAME


def split_frame(frame: bytes) -> tuple[str, list[Raw]]:
    """A frame's topic and its event maps, each still encoded. Raises CorruptFrame."""
    end = frame.find(_NUL, 0, _LONGEST_TOPIC + 1)
    topic = _topic(frame[:end]) if end > 0 else None
    if topic is None:
        raise CorruptFrame(f"frame of {len(frame)} bytes begins {frame[:40]!r}: want a topic, then one NUL byte")
    if len(frame) > MAX_FRAME and len(frame) > frame_limit(topic):
        raise CorruptFrame(f"{topic}: frame of {len(frame)} bytes, over the limit of {frame_limit(topic)}")
    try:
        maps = _maps.decode(memoryview(frame)[end + 1 :])
    except _UNDECODABLE as error:
        raise CorruptFrame(f"{topic}: want a MessagePack array of event maps: {error}") from error
    if not maps:
        raise CorruptFrame(f"{topic}: an empty array of events")
    return topic, maps


def decode_envelope(topic: str, event_map: Raw | bytes) -> Envelope:
    """One event map, without its data. Raises CorruptFrame."""
    try:
        envelope = _envelope.decode(event_map)
    except _UNDECODABLE as error:
        raise CorruptFrame(f"{topic}: want an event map: {error}") from error
    if not _is_name(envelope.source):
        raise CorruptFrame(f"{topic}: want an event map: source {envelope.source[:80]!r} is no name")
    return envelope


def decode_data(topic: str, data: Raw | bytes, type_: type[T]) -> T:
    """The struct in an event's data; unknown fields are ignored, defaults filled. Raises CorruptFrame."""
    try:
        return msgspec.msgpack.decode(data, type=type_)
    except _UNDECODABLE as error:
        raise CorruptFrame(f"{topic}: want data of {type_.__name__}: {error}") from error


def to_event(topic: str, envelope: Envelope, type_: type[T], attachments: tuple[bytes, ...] = ()) -> Event[T]:
    """The event of an envelope, its data decoded as `type_`, with the bulk that came behind it. Raises CorruptFrame."""
    return Event(
        topic=topic,
        source=envelope.source,
        time=envelope.time,
        data=decode_data(topic, envelope.data, type_),
        epoch=envelope.epoch,
        seq=envelope.seq,
        prev=envelope.prev,
        nth=envelope.nth,
        cause=envelope.cause,
        run=envelope.run,
        replay=envelope.replay,
        attachments=attachments,
    )


@lru_cache(maxsize=4096)
def stream_of(topic: str, plane: Delivery) -> str:
    """The kind of stream that a topic's seq counts in: `durable`, `latest` or `control`."""
    if plane is Delivery.LATEST:
        return "latest"
    return "control" if topic.startswith(CONTROL_PREFIXES) else "durable"


@lru_cache(maxsize=4096)
def _topic(head: bytes) -> str | None:
    return head.decode() if _TOPIC.fullmatch(head) else None


@lru_cache(maxsize=1024)
def _is_name(text: str) -> bool:
    return _NAME.match(text) is not None


def _too_large(what: str, size: int, limit: int) -> FrameTooLarge:
    return FrameTooLarge(
        f"{what}: {size} bytes, over the limit of {limit}: put bulk into the store (bus.store.Store.put) and publish its hash"
    )
