"""FreeD's D1: the manual's own numbers, round trips to the format's resolution, and what is no message is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from turns import matrix, poses

from agents.ue5.tracking.errors import BadPacket, OutOfRange
from agents.ue5.tracking.freed import SIZE, decode, encode
from agents.ue5.tracking.stage import from_stage, to_stage
from schemas.scene import CameraPose

RESOLUTION = math.radians(1 / 32768)
SOME = CameraPose(camera="left", position=(1.0, 2.0, 3.0), orientation=(0.0, 0.0, 0.0, 1.0))


def signed(high: int, middle: int, low: int) -> int:
    """A number of 24 bits as Vinten's manual describes it: bit 23 is the sign."""
    return (high << 16 | middle << 8 | low) - (1 << 24 if high & 0x80 else 0)


def with_checksum(body: bytes) -> bytes:
    return body + bytes([(0x40 - sum(body)) & 0xFF])


@pytest.mark.parametrize(
    ("angles", "places", "read"),
    [
        ("5a0000 000000 a60000", "7fffff 800000 000040", (180, 0, -180, 131.071984375, -131.072, 0.001)),
        ("168000 fb0000 000001", "00fa00 ff0600 017700", (45, -10, 1 / 32768, 1, -1, 1.5)),
    ],
)
def test_the_numbers_of_the_manual_are_read(angles: str, places: str, read: tuple[float, ...]) -> None:
    message = decode(with_checksum(bytes.fromhex(f"d1 07 {angles} {places} 000102 fffefd abcd")))

    assert (message.pose.pan, message.pose.tilt, message.pose.roll, *message.pose.position) == pytest.approx(read)
    assert (message.camera, message.zoom, message.focus, message.spare) == (7, 0x000102, 0xFFFEFD, 0xABCD)


@given(poses, st.integers(0, 255))
def test_a_pose_is_written_as_the_manual_says(pose: CameraPose, camera: int) -> None:
    data = encode(pose, camera)

    staged = to_stage(pose)
    numbers = [signed(*data[at : at + 3]) for at in range(2, 20, 3)]
    assert (data[0], data[1], len(data), sum(data) & 0xFF) == (0xD1, camera, SIZE, 0x40)
    assert [number / 32768 for number in numbers[:3]] == pytest.approx([staged.pan, staged.tilt, staged.roll], abs=0.51 / 32768)
    assert [number / 64 for number in numbers[3:]] == pytest.approx([1000 * metres for metres in staged.position], abs=0.51 / 64)


@given(poses)
def test_a_pose_comes_back_to_the_resolution_of_the_format(pose: CameraPose) -> None:
    position, orientation = from_stage(decode(encode(pose, 1)).pose)

    assert position == pytest.approx(pose.position, abs=0.51 / 64e3)
    np.testing.assert_allclose(matrix(orientation), matrix(pose.orientation), atol=2 * RESOLUTION)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("metres", [131.073, -131.073, 1e9])
def test_a_place_beyond_the_reach_is_refused_and_never_wrapped(axis: int, metres: float) -> None:
    position = [0.0, 0.0, 0.0]
    position[axis] = metres

    with pytest.raises(OutOfRange, match=r"FreeD reaches 131\.072 m"):
        encode(CameraPose(camera="left", position=tuple(position), orientation=(0, 0, 0, 1)), 1)


@pytest.mark.parametrize("camera", [-1, 256])
def test_a_camera_that_fits_no_byte_is_refused(camera: int) -> None:
    with pytest.raises(OutOfRange, match=f"camera number {camera}"):
        encode(SOME, camera)


@given(poses, st.integers(0, SIZE - 1), st.integers(1, 255))
def test_one_wrong_byte_is_refused(pose: CameraPose, at: int, by: int) -> None:
    data = bytearray(encode(pose, 1))
    data[at] = (data[at] + by) % 256

    with pytest.raises(BadPacket):
        decode(bytes(data))


@given(poses, st.integers(0, SIZE - 1))
def test_a_message_that_was_cut_is_refused(pose: CameraPose, size: int) -> None:
    with pytest.raises(BadPacket, match="a D1 message has 29"):
        decode(encode(pose, 1)[:size])


@given(st.binary(max_size=40) | st.binary(min_size=27, max_size=27).map(lambda body: with_checksum(b"\xd1" + body)))
def test_any_bytes_are_a_message_in_range_or_refused(data: bytes) -> None:
    try:
        pose = decode(data).pose
    except BadPacket:
        return
    assert abs(pose.pan) <= 180 and abs(pose.tilt) <= 90 and abs(pose.roll) <= 180
