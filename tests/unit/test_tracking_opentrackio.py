"""OpenTrackIO: samples that its makers' schema takes, packets of its makers' sender that are read, and what is none is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from turns import BUS, PANDA, matrix, poses, stage_matrix, vectors

from agents.parts.frames import Vector
from agents.ue5.tracking.errors import BadPacket, OutOfRange
from agents.ue5.tracking.opentrackio import LARGEST, Moment, decode, encode
from agents.ue5.tracking.opentrackio_packet import Encoding, Packet, fletcher16, pack, unpack
from agents.ue5.tracking.stage import to_stage
from schemas.scene import CameraPose

FIXTURES = Path(__file__).parent.parent / "fixtures" / "opentrackio"
SCHEMA = Draft202012Validator(json.loads((FIXTURES / "schema.json").read_text()))
SOME = CameraPose(camera="left", position=(1.0, 2.0, 3.0), orientation=(0.0, 0.0, 0.0, 1.0), field_of_view=1.2)

encodings = st.sampled_from(["json", "cbor"])
both = pytest.mark.parametrize("encoding", ["json", "cbor"])
moments = st.builds(
    Moment,
    source=st.uuids(),
    number=st.integers(1, 200),
    sequence=st.integers(0, 2**33),
    time_ns=st.integers(0, 2**62),
    interval_ns=st.none() | st.integers(-(10**9), 2**33),
)
FIRST = Moment(source=UUID(int=1), number=1, sequence=0, time_ns=0)


def payload_of(packet: bytes) -> dict[str, Any]:
    """The sample, by the standard's layout and other people's readers."""
    return json.loads(packet[16:]) if packet[5] == 1 else cbor2.loads(packet[16:])


def packet_of(sample: object, encoding: Encoding = "json") -> bytes:
    payload = json.dumps(sample).encode() if encoding == "json" else cbor2.dumps(sample)
    return pack(Packet(encoding=encoding, sequence=0, payload=payload))


def transform(place: Vector = (1, 2, 3), angles: Vector = (10, 20, 30), **more: object) -> dict[str, object]:
    translation, rotation = dict(zip("xyz", place, strict=True)), dict(zip(("pan", "tilt", "roll"), angles, strict=True))
    return {"translation": translation, "rotation": rotation, **more}


@given(poses, moments, encodings)
def test_every_sample_passes_the_schema_and_fits_a_frame(pose: CameraPose, moment: Moment, encoding: Encoding) -> None:
    packet = encode(pose, moment, encoding)

    SCHEMA.validate(payload_of(packet))
    assert len(packet) <= LARGEST


@given(poses, moments, encodings)
def test_a_pose_comes_back(pose: CameraPose, moment: Moment, encoding: Encoding) -> None:
    received = decode(encode(pose, moment, encoding))

    assert received.position == pytest.approx(pose.position)
    np.testing.assert_allclose(matrix(received.orientation), matrix(pose.orientation), atol=1e-7)
    assert received.field_of_view == (None if pose.field_of_view is None else pytest.approx(pose.field_of_view))
    assert (received.label, received.time_ns) == (pose.camera, moment.time_ns)
    assert (received.source, received.number, received.sequence) == (moment.source.urn, moment.number, moment.sequence % 2**16)


@given(poses, encodings)
def test_a_sample_says_the_angles_of_the_stage_with_pan_to_the_left(pose: CameraPose, encoding: Encoding) -> None:
    (said,) = payload_of(encode(pose, FIRST, encoding))["transforms"]

    staged = to_stage(pose)
    assert said["rotation"] == {"pan": -staged.pan, "tilt": staged.tilt, "roll": staged.roll}
    assert said["translation"] == dict(zip("xyz", staged.position, strict=True))


def test_turns_are_by_the_right_hand_about_z_then_x_then_y() -> None:
    received = decode(packet_of({"transforms": [transform()]}))

    basis = PANDA.T @ BUS
    np.testing.assert_allclose(basis @ matrix(received.orientation) @ basis.T, stage_matrix(10, 20, 30), atol=1e-12)


@given(st.lists(st.tuples(vectors, st.tuples(*[st.floats(-720, 720)] * 3)), min_size=1, max_size=4))
def test_transforms_lie_each_in_the_one_before(transforms: list[tuple[Vector, Vector]]) -> None:
    place, turn = np.zeros(3), np.eye(3)
    for offset, angles in transforms:
        place, turn = place + turn @ offset, turn @ stage_matrix(*angles)

    said = [transform(offset, angles) for offset, angles in transforms]
    received = decode(packet_of({"transforms": said}, "cbor"))
    basis = PANDA.T @ BUS
    np.testing.assert_allclose(basis @ received.position, place, atol=1e-8)
    np.testing.assert_allclose(basis @ matrix(received.orientation) @ basis.T, turn, atol=1e-11)


@both
def test_a_packet_of_the_reference_sender_is_read(encoding: Encoding) -> None:
    packet = (FIXTURES / f"sender.{encoding}.packet").read_bytes()

    received = decode(packet)
    sample = payload_of(packet)
    place, stamp = sample["transforms"][0]["translation"], sample["timing"]["sampleTimestamp"]
    assert received.position == (place["x"], place["z"], -place["y"])
    assert (received.number, received.source) == (14, sample["sourceId"])
    assert received.time_ns == stamp["seconds"] * 10**9 + stamp["nanoseconds"]


@both
def test_a_packet_of_the_reference_sender_is_packed_byte_for_byte(encoding: Encoding) -> None:
    packet = (FIXTURES / f"sender.{encoding}.packet").read_bytes()

    assert pack(Packet(encoding=encoding, sequence=0, payload=packet[16:])) == packet


@given(st.binary(max_size=3000))
def test_the_checksum_is_that_of_the_reference_code(data: bytes) -> None:
    low = high = 0
    for byte in data:
        low = (low + byte) % 256
        high = (high + low) % 256

    assert fletcher16(data) == high << 8 | low


def test_the_rate_is_that_of_the_last_interval() -> None:
    moment = Moment(source=UUID(int=1), number=1, sequence=1, time_ns=10**9, interval_ns=16_666_667)

    assert payload_of(encode(SOME, moment, "json"))["timing"]["sampleRate"] == {"num": 10**9, "denom": 16_666_667}


def test_samples_of_a_source_have_ids_of_their_own() -> None:
    ids = {
        payload_of(encode(SOME, Moment(source=UUID(int=source), number=1, sequence=sequence, time_ns=0), "json"))["sampleId"]
        for source in range(5)
        for sequence in range(5)
    }

    assert len(ids) == 25


@pytest.mark.parametrize("number", [0, 201])
def test_a_source_number_that_consumers_discard_is_never_sent(number: int) -> None:
    with pytest.raises(OutOfRange, match="from 1 to 200"):
        encode(SOME, Moment(source=UUID(int=1), number=number, sequence=0, time_ns=0), "json")
    with pytest.raises(BadPacket):
        decode(packet_of({"transforms": [transform()], "sourceNumber": number}))


def test_a_label_that_fits_no_frame_is_refused() -> None:
    last = Moment(source=UUID(int=1), number=200, sequence=2**32 - 1, time_ns=2**62, interval_ns=2**32 - 1)
    pose = CameraPose(camera="\x01" * 128, position=(1 / 3e9, 1 / 7e9, 1 / 9e9), orientation=(0.1, 0.7, 0.1, 0.7), field_of_view=0.7)

    with pytest.raises(OutOfRange, match="a shorter label"):
        encode(pose, last, "json")


@given(poses, encodings, st.data())
def test_one_wrong_byte_is_refused(pose: CameraPose, encoding: Encoding, data: st.DataObject) -> None:
    packet = bytearray(encode(pose, FIRST, encoding))
    at, by = data.draw(st.integers(0, len(packet) - 1)), data.draw(st.integers(1, 255))
    packet[at] = (packet[at] + by) % 256

    with pytest.raises(BadPacket):
        decode(bytes(packet))


@given(encodings, st.data())
def test_a_packet_that_was_cut_or_has_more_is_refused(encoding: Encoding, data: st.DataObject) -> None:
    packet = encode(SOME, FIRST, encoding)

    with pytest.raises(BadPacket):
        decode(packet[: data.draw(st.integers(0, len(packet) - 1))])
    with pytest.raises(BadPacket, match="bytes follow the header"):
        decode(packet + b"\0")


@pytest.mark.parametrize("field", [b"\x00\x00\x00\x10\x80", b"\x00\x00\x00\x00\x00"], ids=["an offset", "not the last"])
def test_a_segment_of_a_larger_sample_is_refused(field: bytes) -> None:
    packet = encode(SOME, FIRST, "json")

    with pytest.raises(BadPacket, match="only whole samples"):
        decode(packet[:8] + field + packet[13:])


@given(st.binary(max_size=200), encodings)
def test_any_bytes_are_a_sample_or_refused(payload: bytes, encoding: Encoding) -> None:
    for data in (payload, pack(Packet(encoding=encoding, sequence=0, payload=payload))):
        with pytest.raises(BadPacket):
            decode(data)


@given(st.recursive(st.none() | st.floats() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5))
def test_a_sample_of_wrong_types_is_refused(value: object) -> None:
    for sample in ({"transforms": value}, {"transforms": [value]}, {"transforms": [transform()], "timing": [value]}):
        with pytest.raises(BadPacket):
            decode(packet_of(sample, "cbor"))


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        ({}, "transforms"),
        ({"transforms": []}, "length >= 1"),
        ({"transforms": [transform()] * 17}, "length <= 16"),
        ({"transforms": [transform(scale={"x": 2})]}, "a camera has none"),
        ({"transforms": [transform()], "protocol": {"name": "Other", "version": [1, 0, 0]}}, "want OpenTrackIO"),
        ({"transforms": [transform(translation={"x": float("nan")})]}, "finite"),
        ({"transforms": [transform(rotation={"pan": float("inf")})]}, "finite"),
        ({"transforms": [transform()], "sourceId": "urn:uuid:me"}, "sourceId"),
        ({"transforms": [transform()], "lens": {"pinholeFocalLength": 0}}, "pinholeFocalLength"),
    ],
)
def test_what_a_camera_cannot_be_is_refused(sample: dict[str, object], says: str) -> None:
    with pytest.raises(BadPacket, match=says):
        decode(packet_of(sample, "cbor"))


@pytest.mark.parametrize(
    "payload",
    [b"\x81" * 30_000, b"\xd8\x23\x64(a*)", b"\xc5\x82\x1a\x00\xff\xff\xff\x01", b"\xd8\x1c\x81\xd8\x1d\x00", b"\xda\x00\x01\x00\x00\x01"],
    ids=["depth", "an expression", "a huge number", "a knot", "an unknown tag"],
)
def test_traps_of_cbor_are_refused(payload: bytes) -> None:
    trapped = cbor2.dumps({"transforms": [transform()], "custom": None})[:-1] + payload

    with pytest.raises(BadPacket, match=r"tag|depth"):
        decode(pack(Packet(encoding="cbor", sequence=0, payload=trapped)))


def test_an_encoding_of_somebody_else_is_refused() -> None:
    packet = bytearray(encode(SOME, FIRST, "json"))
    packet[5] = 0x80
    packet[14:16] = fletcher16(bytes(packet[:14] + packet[16:])).to_bytes(2, "big")

    with pytest.raises(BadPacket, match="encoding 128"):
        unpack(bytes(packet))
