"""Streams: as many packets as the rate allows, always of the newest pose, and samples that count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracking_readers import read_d1, read_packet

from agents.parts.tracking.errors import OutOfRange
from agents.ue5.tracking.limit import Limit
from agents.ue5.tracking.stream import Stream, Taken, open_stream
from agents.ue5.tracking.targets import Target
from schemas.scene import CameraPose

MILLISECOND = 1_000_000
SECOND = 1000 * MILLISECOND
TARGET = Target(host="127.0.0.1", port=40000, rate=100)


def taken(metres: float, time_ns: int = 0) -> Taken:
    return Taken(CameraPose(camera="left", position=(metres, 0.0, 0.0), orientation=(0.0, 0.0, 0.0, 1.0)), time_ns)


def written(pose: CameraPose, time_ns: int) -> bytes:
    return b"%d" % pose.position[0]


@given(st.lists(st.floats(0, 3), max_size=300) | st.lists(st.floats(0.5, 0.6), min_size=20, max_size=300), st.floats(1, 1000))
def test_no_more_pass_than_the_rate_allows(periods: list[float], rate: float) -> None:
    limit, now, passed = Limit(rate), 0, 0
    for waited in periods:
        now += int(waited * SECOND / rate)
        passed += limit.passes(now)

    assert passed <= now / SECOND * rate + 1.5 + 1e-6


@given(st.integers(1, 1000), st.lists(st.floats(0, 0.49), min_size=1, max_size=300))
def test_a_stream_of_just_that_rate_passes_whole_though_it_trembles(rate: int, delays: list[float]) -> None:
    limit = Limit(rate)

    assert all(limit.passes(int((index + delay) * SECOND / rate)) for index, delay in enumerate(delays))


def test_what_the_rate_holds_back_goes_when_it_may_and_only_the_newest() -> None:
    stream = Stream(("127.0.0.1", 1), 100, written)
    superseded, packets = [], []
    for millisecond in range(5):
        superseded.append(stream.offer(taken(millisecond)))
        packets.append(stream.packet(millisecond * MILLISECOND))

    assert packets == [b"0", None, None, None, None]
    assert superseded == [False, False, True, True, True]
    assert [stream.packet(now * MILLISECOND) for now in (9, 10, 30)] == [b"4", None, None]


def test_a_pose_that_cannot_be_written_is_dropped_and_the_next_one_goes() -> None:
    stream = open_stream("freed", TARGET, 1, "json")
    stream.offer(taken(1e6))
    with pytest.raises(OutOfRange):
        stream.packet(0)

    stream.offer(taken(2))
    packet = stream.packet(SECOND)
    assert packet is not None and read_d1(packet).position[0] == 2


def test_samples_count_from_zero_and_tell_their_interval_and_one_source() -> None:
    stream = open_stream("opentrackio", TARGET, 3, "cbor")
    received = []
    for count in range(3):
        stream.offer(taken(count, time_ns=count * 20 * MILLISECOND))
        received.append(read_packet(stream.packet(count * SECOND) or b""))

    assert [one.sequence for one in received] == [0, 1, 2]
    assert [one.time_ns for one in received] == [0, 20 * MILLISECOND, 40 * MILLISECOND]
    assert {(one.sample["sourceNumber"], one.label) for one in received} == {(3, "left")}
    assert len({one.sample["sourceId"] for one in received}) == 1


def test_a_group_of_opentrackio_is_shifted_by_the_cameras_number() -> None:
    group = Target(host="239.135.1.14", port=55555, rate=60)

    assert open_stream("opentrackio", group, 2, "json").address == ("239.135.1.15", 55555)
    assert open_stream("freed", group, 2, "json").address == ("239.135.1.14", 55555)
