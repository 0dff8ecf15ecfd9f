"""OpenTrackIO: samples that its makers' schema takes, and packets that are its makers' own, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tracking_readers import checksum, read_packet
from turns import matrix, poses, turn_of

from agents.parts.tracking.errors import OutOfRange
from agents.parts.tracking.opentrackio import LARGEST, Moment, encode
from agents.parts.tracking.opentrackio_packet import Encoding, Packet, fletcher16, pack
from agents.parts.tracking.stage import StagePose, to_stage
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


@given(poses, moments, encodings)
def test_every_sample_passes_the_schema_and_fits_a_frame(pose: CameraPose, moment: Moment, encoding: Encoding) -> None:
    packet = encode(pose, moment, encoding)

    SCHEMA.validate(read_packet(packet).sample)
    assert len(packet) <= LARGEST


@given(poses, moments, encodings)
def test_a_pose_comes_back(pose: CameraPose, moment: Moment, encoding: Encoding) -> None:
    received = read_packet(encode(pose, moment, encoding))

    angles = received.sample["transforms"][0]["rotation"]
    assert received.position == pytest.approx(pose.position)
    np.testing.assert_allclose(
        turn_of(StagePose((0, 0, 0), -angles["pan"], angles["tilt"], angles["roll"])), matrix(pose.orientation), atol=1e-7
    )
    assert received.field_of_view == (None if pose.field_of_view is None else pytest.approx(pose.field_of_view))
    assert (received.label, received.time_ns, received.sequence) == (pose.camera, moment.time_ns, moment.sequence % 2**16)
    assert (received.sample["sourceId"], received.sample["sourceNumber"]) == (moment.source.urn, moment.number)


@given(poses, encodings)
def test_a_sample_says_the_angles_of_the_stage_with_pan_to_the_left(pose: CameraPose, encoding: Encoding) -> None:
    (said,) = read_packet(encode(pose, FIRST, encoding)).sample["transforms"]

    staged = to_stage(pose)
    assert said["rotation"] == {"pan": -staged.pan, "tilt": staged.tilt, "roll": staged.roll}
    assert said["translation"] == dict(zip("xyz", staged.position, strict=True))


@both
def test_the_reader_of_these_tests_reads_a_packet_of_the_reference_sender(encoding: Encoding) -> None:
    received = read_packet((FIXTURES / f"sender.{encoding}.packet").read_bytes())

    assert (received.sample["sourceNumber"], received.sequence) == (14, 0)
    assert received.time_ns > 1_700_000_000 * 10**9


@both
def test_a_packet_of_the_reference_sender_is_packed_byte_for_byte(encoding: Encoding) -> None:
    packet = (FIXTURES / f"sender.{encoding}.packet").read_bytes()

    assert pack(Packet(encoding=encoding, sequence=0, payload=packet[16:])) == packet


@given(st.binary(max_size=3000))
def test_the_checksum_is_that_of_the_reference_code(data: bytes) -> None:
    assert fletcher16(data) == checksum(data)


def test_the_rate_is_that_of_the_last_interval() -> None:
    moment = Moment(source=UUID(int=1), number=1, sequence=1, time_ns=10**9, interval_ns=16_666_667)

    assert read_packet(encode(SOME, moment, "json")).sample["timing"]["sampleRate"] == {"num": 10**9, "denom": 16_666_667}


def test_samples_of_a_source_have_ids_of_their_own() -> None:
    ids = {
        read_packet(encode(SOME, Moment(source=UUID(int=source), number=1, sequence=sequence, time_ns=0), "json")).sample["sampleId"]
        for source in range(5)
        for sequence in range(5)
    }

    assert len(ids) == 25


@pytest.mark.parametrize("number", [0, 201])
def test_a_source_number_that_consumers_discard_is_never_sent(number: int) -> None:
    with pytest.raises(OutOfRange, match="from 1 to 200"):
        encode(SOME, Moment(source=UUID(int=1), number=number, sequence=0, time_ns=0), "json")


def test_a_label_that_fits_no_frame_is_refused() -> None:
    last = Moment(source=UUID(int=1), number=200, sequence=2**32 - 1, time_ns=2**62, interval_ns=2**32 - 1)
    pose = CameraPose(camera="\x01" * 128, position=(1 / 3e9, 1 / 7e9, 1 / 9e9), orientation=(0.1, 0.7, 0.1, 0.7), field_of_view=0.7)

    with pytest.raises(OutOfRange, match="a shorter label"):
        encode(pose, last, "json")
