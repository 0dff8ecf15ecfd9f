"""The wire codec: what goes in comes out, what is no frame is CorruptFrame, and old samples keep their meaning."""

from __future__ import annotations

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import CorruptFrame, FrameTooLarge
from bus.topic import Delivery
from bus.wire import (
    MAX_BATCH,
    MAX_FRAME,
    MAX_REPLY,
    Envelope,
    decode_data,
    decode_envelope,
    encode_data,
    encode_envelope,
    pack_frame,
    pack_frames,
    split_frame,
    stream_of,
    to_event,
)
from schemas import train

names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
topics = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,40}", fullmatch=True)
counts = st.integers(0, 2**63 - 1)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
envelopes = st.builds(
    lambda data, **fields: Envelope(data=msgspec.Raw(msgpack.packb(data)), **fields),
    values,
    source=names,
    time=counts,
    epoch=counts,
    seq=counts,
    prev=counts,
    nth=counts,
    cause=st.none() | st.text(max_size=100),
    run=st.none() | names,
    replay=st.booleans(),
)


@given(topics, envelopes)
def test_a_frame_decodes_to_what_was_encoded(topic: str, envelope: Envelope) -> None:
    decoded_topic, maps = split_frame(pack_frame(topic, [encode_envelope(topic, envelope)]))

    decoded = decode_envelope(topic, maps[0])
    assert (decoded_topic, len(maps)) == (topic, 1)
    assert bytes(decoded.data) == bytes(envelope.data)
    for field in ("source", "time", "epoch", "seq", "prev", "nth", "cause", "run", "replay"):
        assert getattr(decoded, field) == getattr(envelope, field)


@given(topics, envelopes)
def test_another_msgpack_library_reads_the_same_map(topic: str, envelope: Envelope) -> None:
    head, _, body = pack_frame(topic, [encode_envelope(topic, envelope)]).partition(b"\0")

    (event,) = msgpack.unpackb(body, strict_map_key=False)
    assert head.decode() == topic
    assert (event["source"], event["time"], event.get("seq", 0)) == (envelope.source, envelope.time, envelope.seq)


@given(st.lists(st.tuples(st.sampled_from(["a.b", "a.c"]), envelopes), max_size=60))
def test_a_batch_carries_its_events_in_order_and_no_frame_is_too_large(events: list[tuple[str, Envelope]]) -> None:
    sent = [(topic, encode_envelope(topic, envelope)) for topic, envelope in events]

    frames = pack_frames(sent)

    arrived = [(topic, bytes(each)) for topic, maps in map(split_frame, frames) for each in maps]
    assert arrived == sent
    assert all(sum(map(len, maps)) <= MAX_BATCH or len(maps) == 1 for _, maps in map(split_frame, frames))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_corrupt(frame: bytes) -> None:
    try:
        topic, maps = split_frame(frame)
        for each in maps:
            decode_envelope(topic, each)
    except CorruptFrame:
        return


@given(topics, envelopes, st.data())
def test_a_mutated_frame_is_read_or_corrupt(topic: str, envelope: Envelope, data: st.DataObject) -> None:
    frame = bytearray(pack_frame(topic, [encode_envelope(topic, envelope)]))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        mutated, maps = split_frame(bytes(frame))
        for each in maps:
            decode_data(mutated, decode_envelope(mutated, each).data, object)
    except CorruptFrame:
        return


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"train.step",
        b"\0\x90",
        b"Train.step\0\x90",
        b"train.step\0",
        b"train.step\0\x90",
        b"train.step\0\x81\xa1a\x01",
        b"train.step\0\xdd\x40\x00\x00\x00",  # an array of 2^30 events
        b"train.step\0\x91\xdb\x40\x00\x00\x00",  # a string of 1 GiB
        b"train.step\0\x91" + b"\x91" * 60_000,  # nested deeper than any stack
        b"a" * 256 + b"\0\x90",
        b"train.step\0" + b"\x90" * MAX_FRAME,
    ],
)
def test_what_is_no_frame_is_corrupt(frame: bytes) -> None:
    with pytest.raises(CorruptFrame):
        split_frame(frame)


@pytest.mark.parametrize("source", ["../x", "", "A", "a/b", "a\n", "x" * 64, "-a", "a b"])
def test_a_source_that_is_no_safe_name_is_corrupt(source: str) -> None:
    event = msgpack.packb({"source": source, "time": 1, "data": None})

    with pytest.raises(CorruptFrame, match="source"):
        decode_envelope("train.step", event)


@pytest.mark.parametrize(("field", "value"), [("time", -1), ("seq", "1"), ("epoch", 2**63), ("run", "../x"), ("prev", 1.5)])
def test_a_field_of_the_wrong_type_is_named(field: str, value: object) -> None:
    event = msgpack.packb({"source": "a", "time": 1, "data": None, field: value})

    with pytest.raises(CorruptFrame, match=field):
        decode_envelope("train.step", event)


def test_unknown_keys_and_fields_are_ignored() -> None:
    data = {"step": 1, "loss": 2.0, "bits_per_byte": 3.0, "tokens": 4, "colour": "red"}
    event = msgpack.packb({"source": "a", "time": 1, "data": data, "weather": "fair"})

    assert to_event("train.eval", decode_envelope("train.eval", event), train.Eval).data == train.Eval(
        step=1, loss=2.0, bits_per_byte=3.0, tokens=4
    )


def test_a_frame_over_the_limit_names_the_store() -> None:
    envelope = Envelope(source="a", time=1, data=msgspec.Raw(encode_data("x" * MAX_FRAME)))

    with pytest.raises(FrameTooLarge, match="store"):
        encode_envelope("train.step", envelope)
    assert len(encode_envelope("reply.a", envelope)) <= MAX_REPLY


def test_data_over_any_limit_is_refused_before_the_envelope_is_made() -> None:
    with pytest.raises(FrameTooLarge):
        encode_data(b"x" * (MAX_REPLY + 1))


@pytest.mark.parametrize(
    ("topic", "plane", "stream"),
    [
        ("train.step", Delivery.DURABLE, "durable"),
        ("xr.pose.head", Delivery.LATEST, "latest"),
        ("command.trainer.stop", Delivery.DURABLE, "control"),
        ("reply.cli-1", Delivery.DURABLE, "control"),
        ("bus.ack.power", Delivery.DURABLE, "control"),
    ],
)
def test_each_topic_counts_in_its_stream(topic: str, plane: Delivery, stream: str) -> None:
    assert stream_of(topic, plane) == stream


def test_a_golden_frame_keeps_its_meaning() -> None:
    frame = bytes.fromhex(
        "747261696e2e6576616c009187a6736f75726365a7747261696e6572a474696d65cf18b60b9a17c7eb15a565706f6368cf18b60b9a106c1e00"
        "a373657107a47072657605a372756ea472756e31a46461746184a47374657064a46c6f7373cb4004000000000000"
        "ad626974735f7065725f62797465cb400ccccccccccccda6746f6b656e73cd1000"
    )
    topic, (event_map,) = split_frame(frame)
    event = to_event(topic, decode_envelope(topic, event_map), train.Eval)

    assert event.id == "trainer/train.eval/1780623459000000000/7"
    assert (event.seq, event.prev, event.run) == (7, 5, "run1")
    assert event.data == train.Eval(step=100, loss=2.5, bits_per_byte=3.6, tokens=4096)
