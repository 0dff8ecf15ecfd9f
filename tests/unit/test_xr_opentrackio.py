"""OpenTrackIO from a tracker: its makers' packets are taken, what is none is refused by its reason, and nothing comes twice or late."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking_readers import checksum, read_packet
from turns import matrix, place_of, poses, turn_of

from agents.parts.tracking import opentrackio
from agents.parts.tracking.errors import NotTaken
from agents.parts.tracking.opentrackio_packet import Encoding, unpack
from agents.parts.tracking.opentrackio_sample import read
from agents.parts.tracking.stage import StagePose
from agents.xr.observation import Observation
from agents.xr.sources.address import Address, parse_address
from agents.xr.sources.opentrackio import NEAR, SILENCE, Receiver
from bus.settings import BadSettings
from schemas.scene import CameraPose

FIXTURES = Path(__file__).parent.parent / "fixtures" / "opentrackio"
NOW = 1_790_000_000 * 10**9
SOME = CameraPose(camera="left", position=(1.0, 2.0, 3.0), orientation=(0.0, 0.0, 0.0, 1.0))
SAMPLE: dict[str, Any] = {  # Any: JSON
    "sourceId": UUID(int=1).urn,
    "transforms": [{"translation": {"x": 1.0, "y": 2.0, "z": 3.0}, "rotation": {"pan": 0.0, "tilt": 0.0, "roll": 0.0}}],
}
both = pytest.mark.parametrize("encoding", ["json", "cbor"])


def packet_of(payload: bytes, encoding: Encoding = "json", sequence: int = 0, offset: int = 0, last: bool = True) -> bytes:
    """As the reference code makes it, whatever the payload is."""
    code = b"\1" if encoding == "json" else b"\2"
    lengths = (sequence.to_bytes(2, "big"), offset.to_bytes(4, "big"), (last << 15 | len(payload)).to_bytes(2, "big"))
    header = b"OTrk\0" + code + b"".join(lengths)
    return header + checksum(header + payload).to_bytes(2, "big") + payload


def sample(*, sequence: int = 0, **changes: Any) -> bytes:  # Any: JSON
    return packet_of(json.dumps({**SAMPLE, **changes}).encode(), sequence=sequence)


def transform(x: float = 0.0, y: float = 0.0, z: float = 0.0, **turns: float) -> dict[str, Any]:  # Any: JSON
    return {"translation": {"x": x, "y": y, "z": z}, "rotation": {"pan": 0.0, "tilt": 0.0, "roll": 0.0, **turns}}


def receiver() -> Receiver:
    return Receiver("head", lambda _: None)


def observed(packet: bytes, now: int = NOW) -> Observation:
    return receiver().observed(packet, now)


def reason_of(packet: bytes) -> str:
    with pytest.raises(NotTaken) as refused:
        observed(packet)
    return refused.value.reason


@both
def test_the_packet_of_the_reference_sender_is_where_it_says(encoding: Encoding) -> None:
    packet = (FIXTURES / f"sender.{encoding}.packet").read_bytes()

    seen = observed(packet)

    (said,) = read_packet(packet).sample["transforms"]
    turned = said["rotation"]
    assert seen.position == read_packet(packet).position
    np.testing.assert_allclose(
        matrix(seen.orientation), turn_of(StagePose((0, 0, 0), -turned["pan"], turned["tilt"], turned["roll"])), atol=1e-9
    )
    assert (seen.source.name, seen.source.kind) == (read_packet(packet).sample["sourceId"], "real")
    assert (seen.source.origin, seen.device, seen.sampled, seen.received) == ("opentrackio", "head", NOW, NOW)


@both
@settings(deadline=None)
@given(pose=poses, number=st.integers(0, 2**16 - 1))
def test_what_we_send_ourselves_comes_back_and_is_called_simulated(encoding: Encoding, pose: CameraPose, number: int) -> None:
    moment = opentrackio.Moment(source=UUID(int=7), number=1, sequence=number, time_ns=NOW)

    packet = opentrackio.encode(pose, moment, encoding)

    seen = observed(packet, NOW + 1000)
    assert seen.position == pytest.approx(pose.position)
    np.testing.assert_allclose(matrix(seen.orientation), matrix(pose.orientation), atol=1e-6)
    assert (seen.source.kind, seen.sampled, unpack(packet).sequence) == ("simulated", NOW, number)


def test_transforms_are_composed_in_their_order() -> None:
    crane, head = StagePose((0, 0, 2), -90, 0, 0), StagePose((0, 1, 0), 0, 30, 0)

    seen = observed(sample(transforms=[transform(z=2.0, pan=90.0), transform(y=1.0, tilt=30.0)]))

    np.testing.assert_allclose(seen.position, place_of(crane) + turn_of(crane) @ place_of(head), atol=1e-12)
    np.testing.assert_allclose(matrix(seen.orientation), turn_of(crane) @ turn_of(head), atol=1e-12)
    assert seen.position == pytest.approx((-1.0, 2.0, 0.0))


def test_what_is_played_back_is_called_recorded() -> None:
    stamp = {"seconds": 1, "nanoseconds": 0}

    assert observed(sample(timing={"recordedTimestamp": stamp})).source.kind == "recorded"


@pytest.mark.parametrize(("off", "is_believed"), [(0, True), (NEAR, True), (-NEAR, True), (NEAR + 1, False), (-37 * 10**9, False)])
def test_a_clock_is_believed_that_is_near_ours(off: int, is_believed: bool) -> None:
    seconds, nanoseconds = divmod(NOW + off, 10**9)

    seen = observed(sample(timing={"sampleTimestamp": {"seconds": seconds, "nanoseconds": nanoseconds}}))

    assert (seen.sampled, seen.received) == (NOW + off if is_believed else NOW, NOW)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "no OpenTrackIO"),
        (b"OTrk", "no OpenTrackIO"),
        (b"X" + sample()[1:], "no OpenTrackIO"),
        (sample() + b" ", "wrong length"),
        (sample()[:-1], "wrong length"),
        (sample()[:-1] + b" ", "wrong checksum"),
        (packet_of(b"{}", last=False), "segmented"),
        (packet_of(b"{}", offset=3), "segmented"),
        (packet_of(b"{}"), "unreadable sample"),
        (packet_of(b"[" * 30_000), "unreadable sample"),
        (packet_of(b'{"a":' + b"[" * 30_000), "unreadable sample"),
        (packet_of(b"\x81" * 30_000, "cbor"), "unreadable sample"),
        (packet_of(b"\xba\xff\xff\xff\xff", "cbor"), "unreadable sample"),
        (packet_of(b"\xc2\x44\1\2\3\4", "cbor"), "unreadable sample"),
        (packet_of(cbor2.dumps({**SAMPLE, "x": 2**70}), "cbor"), "unreadable sample"),
        (sample(transforms=[]), "unreadable sample"),
        (sample(transforms=[transform()] * 17), "unreadable sample"),
        (sample(transforms=[transform(x=1e7)]), "out of range"),
        (sample(transforms=[transform(pan=1e300)]), "out of range"),
        (packet_of(cbor2.dumps({**SAMPLE, "transforms": [transform(x=float("nan"))]}), "cbor"), "out of range"),
        (packet_of(cbor2.dumps({**SAMPLE, "transforms": [transform(roll=float("inf"))]}), "cbor"), "out of range"),
        (sample(transforms=[{**transform(), "scale": {"x": 2.0}}]), "scaled"),
    ],
)
def test_what_is_no_pose_is_refused_by_its_reason(packet: bytes, reason: str) -> None:
    assert reason_of(packet) == reason


def test_an_encoding_that_nobody_knows_is_refused() -> None:
    header = b"OTrk\0\3" + sample()[6:14]

    assert reason_of(header + checksum(header + sample()[16:]).to_bytes(2, "big") + sample()[16:]) == "unknown encoding"


def test_a_scale_of_one_changes_nothing() -> None:
    assert observed(sample(transforms=[{**transform(x=1.0), "scale": {"x": 1.0, "y": 1.0, "z": 1.0}}])).position == (1, 0, 0)


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["json", "cbor"]))
def test_payloads_of_any_kind_are_refused_and_never_break_anything(payload: bytes, encoding: Encoding) -> None:
    with pytest.raises(NotTaken):
        observed(packet_of(payload, encoding))


@settings(deadline=None)
@given(st.data(), st.sampled_from(["json", "cbor"]))
def test_a_sample_with_a_wrong_byte_is_a_place_or_is_refused(data: st.DataObject, encoding: Encoding) -> None:
    payload = bytearray((FIXTURES / f"sender.{encoding}.packet").read_bytes()[16:])
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))

    try:
        place = opentrackio.place(read(bytes(payload), encoding))
    except NotTaken as error:
        assert error.reason in ("unreadable sample", "out of range")
    else:
        assert np.isfinite((*place.position, *place.orientation)).all()
        assert np.linalg.norm(place.orientation) == pytest.approx(1)


def test_numbers_count_on_over_their_end_and_none_comes_twice_or_late() -> None:
    there, taken = receiver(), []
    for number in (65534, 65535, 65535, 0, 65533, 2, 1):
        try:
            taken.append(there.observed(sample(sequence=number), NOW).sequence)
        except NotTaken as error:
            assert error.reason == "late"

    assert taken == [0, 1, 2, 4]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(1, 2), st.sampled_from([0, 10, SILENCE + 1])), max_size=40))
def test_whatever_comes_the_sequence_only_rises(heard: list[tuple[int, int, int]]) -> None:
    there, taken, now = receiver(), [-1], NOW
    for number, source, later in heard:
        now += later
        try:
            taken.append(there.observed(sample(sequence=number, sourceId=UUID(int=source).urn), now).sequence)
        except NotTaken as error:
            assert error.reason in ("late", "another source")

    assert taken == sorted(set(taken))


def test_a_source_that_starts_anew_is_taken_once_it_was_silent() -> None:
    there = receiver()
    there.observed(sample(sequence=500), NOW)

    with pytest.raises(NotTaken, match="sample 3 came after 500"):
        there.observed(sample(sequence=3), NOW + SILENCE)
    assert there.observed(sample(sequence=3), NOW + SILENCE + 1).sequence > 0


def test_another_source_waits_until_the_first_is_silent() -> None:
    there, other = receiver(), UUID(int=2).urn
    there.observed(sample(), NOW)

    with pytest.raises(NotTaken) as refused:
        there.observed(sample(sourceId=other), NOW + SILENCE)
    assert refused.value.reason == "another source"
    assert there.observed(sample(sourceId=other), NOW + SILENCE + 1).source.name == other


def test_what_is_heard_is_handed_over_and_the_rest_is_counted() -> None:
    taken: list[Observation] = []
    there = Receiver("controller.left", taken.append)
    for packet in (sample(), b"noise", sample(), b"more noise"):
        there.datagram_received(packet, ("127.0.0.1", 1))

    assert [(seen.device, seen.position) for seen in taken] == [("controller.left", (1.0, 3.0, -2.0))]
    assert there.refused == {"no OpenTrackIO": 2, "late": 1}


@pytest.mark.parametrize("written", ["127.0.0.1:55555", "127.0.0.2:1", "239.135.1.1:55555", "239.135.1.200:65535"])
def test_loopback_and_the_groups_of_opentrackio_may_be_heard(written: str) -> None:
    assert str(parse_address(written)) == written


@pytest.mark.parametrize(
    "written",
    [
        "0.0.0.0:55555",
        "192.168.1.2:55555",
        "239.135.1.0:55555",
        "239.135.1.201:5",
        "239.136.1.1:5",
        "127.0.0.1",
        "127.0.0.1:70000",
        "localhost:5",
        "1.2.3:4",
    ],
)
def test_no_other_address_is_heard(written: str) -> None:
    with pytest.raises(BadSettings, match=r"want 127\.0\.0\.1:55555, or a multicast group"):
        parse_address(written)


def test_an_address_is_what_it_says() -> None:
    assert parse_address("127.0.0.1:0") == Address("127.0.0.1", 0)
