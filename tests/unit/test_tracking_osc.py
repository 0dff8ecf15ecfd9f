"""OSC bundles, read by python-osc."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle import OscBundle
from turns import poses

from agents.parts.tracking.errors import OutOfRange
from agents.ue5.tracking.osc import address, encode
from schemas.scene import CameraPose

times = st.integers(0, 2_000_000_000 * 10**9)


def read(data: bytes) -> dict[str, list[float]]:
    return {message.address: message.params for message in OscBundle(data)}


@given(poses, times)
def test_a_reader_has_the_numbers_as_floats_of_32_bits_and_the_time(pose: CameraPose, time_ns: int) -> None:
    data = encode(pose, time_ns)

    said = read(data)
    assert said[address(pose.camera, "position")] == pytest.approx(pose.position, rel=1e-6)
    assert said[address(pose.camera, "orientation")] == pytest.approx(pose.orientation, rel=1e-6)
    assert said.get(address(pose.camera, "fov")) == (None if pose.field_of_view is None else pytest.approx([pose.field_of_view]))
    assert OscBundle(data).timestamp == pytest.approx(time_ns / 1e9, abs=1e-6)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128))
def test_no_label_breaks_an_address(label: str) -> None:
    parts = address(label, "position").split("/")

    assert [parts[1], parts[2], parts[4]] == ["zeropoint", "camera", "position"]
    assert len(parts) == 5
    assert parts[3].isascii() and parts[3].isprintable() and not set(parts[3]) & set(" #*,?[]{}")


@given(st.text("aA /%_*", min_size=1, max_size=4), st.text("aA /%_*", min_size=1, max_size=4))
def test_two_labels_have_two_addresses(one: str, other: str) -> None:
    assert (address(one, "fov") == address(other, "fov")) == (one == other)


@pytest.mark.parametrize("metres", [3.5e38, float("nan"), float("inf")])
def test_a_place_that_no_float_holds_is_refused(metres: float) -> None:
    with pytest.raises(OutOfRange):
        encode(CameraPose(camera="left", position=(0, metres, 0), orientation=(0, 0, 0, 1)), 0)


@pytest.mark.parametrize("time_ns", [2**62, -(2**62), 2_085_978_496 * 10**9])
def test_a_time_that_ntp_does_not_have_is_refused(time_ns: int) -> None:
    with pytest.raises(OutOfRange, match="from 1900 to 2036"):
        encode(CameraPose(camera="left", position=(0, 0, 0), orientation=(0, 0, 0, 1)), time_ns)
