"""From what sources say to poses on the bus: the newest only, of one source, found and lost by turns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xr_said import Said

from agents.parts.rigid import turned_by
from agents.xr.observation import Observation, Source
from agents.xr.tracking.presence import LOSSES, PATIENCE
from agents.xr.tracking.tracker import SET_BACK, Tracker
from schemas import xr
from schemas.xr import Button, Device, Joint

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
FRAME = SECOND // 90
PAGE = Source(name="page", origin="webxr", kind="real")
PLAYER = Source(name="desk", origin="trajectory", kind="recorded")


def seen(number: int = 0, device: Device = "head", source: Source = PAGE, **more: Any) -> Observation:
    """Of frame `number`, a centimetre further along X with each."""
    at = START + number * FRAME
    said = {"position": (0.01 * number, 1.6, 0.0), "orientation": (0.0, 0.0, 0.0, 1.0), "sampled": at, "received": at}
    return Observation(source=source, device=device, sequence=number, **(said | more))


def tracker() -> tuple[Tracker, Said]:
    said = Said()
    return Tracker(said, now=lambda: START + SECOND, steady=lambda: 0), said


def test_a_pose_has_the_time_at_which_it_was_sampled_and_the_stamps_of_its_way() -> None:
    tracked, said = tracker()
    assert tracked.take(seen(sent=START + 1, received=START + 2, uncertainty=0.001)) == "taken"
    (pose,) = said.of(xr.HEAD)
    assert said.times(xr.HEAD) == [START]
    assert (pose.sent, pose.received, pose.published, pose.uncertainty) == (START + 1, START + 2, START + SECOND, 0.001)
    assert (pose.origin, pose.kind, pose.position) == ("webxr", "real", (0.0, 1.6, 0.0))


def test_the_second_pose_says_how_it_moves() -> None:
    tracked, said = tracker()
    for number in range(2):
        tracked.take(seen(number))
    first, second = said.of(xr.HEAD)
    assert (first.linear_velocity, first.angular_velocity) == (None, None)
    assert second.linear_velocity == pytest.approx((0.9, 0.0, 0.0), rel=1e-6)
    assert second.angular_velocity == (0.0, 0.0, 0.0)


def test_a_hand_has_its_joints_and_a_controller_its_buttons() -> None:
    tracked, said = tracker()
    joint = Joint(position=(0.0, 1.0, 0.0), orientation=(0.0, 0.0, 0.0, 1.0), radius=0.01)
    tracked.take(seen(device="hand.left", joints=(joint,) * 25))
    tracked.take(seen(device="controller.right", buttons=(Button(pressed=True, touched=True, value=1.0),), axes=(0.5,)))
    assert said.of(xr.HAND_LEFT)[0].joints == [joint] * 25
    controller = said.of(xr.CONTROLLER_RIGHT)[0]
    assert (controller.buttons[0].value, controller.axes) == (1.0, [0.5])


@given(st.lists(st.integers(0, 30), min_size=1))
def test_whatever_order_they_come_in_times_only_rise(numbers: list[int]) -> None:
    tracked, said = tracker()
    verdicts = [tracked.take(seen(number)) for number in numbers]
    times = said.times(xr.HEAD)
    assert times == sorted(set(times))
    assert verdicts.count("taken") == len(times)
    assert tracked.refused["late"] == len(numbers) - len(times)


def test_times_of_a_clock_that_was_set_back_do_not_end_tracking() -> None:
    tracked, _ = tracker()
    tracked.take(seen())
    back = START - 2 * SET_BACK
    assert tracked.take(seen(1, sampled=back, received=back)) == "taken"
    assert tracked.take(seen(2, sampled=back, received=back)) == "late"


def test_the_source_that_began_last_is_heard_until_it_ends() -> None:
    tracked, said = tracker()
    verdicts = [tracked.take(seen(number, source=source)) for number, source in enumerate((PAGE, PLAYER, PAGE))]
    tracked.rest(PLAYER, "it is over")
    verdicts.append(tracked.take(seen(4)))
    assert verdicts == ["taken", "taken", "overruled", "taken"]
    assert [pose.origin for pose in said.of(xr.HEAD)] == ["webxr", "trajectory", "webxr"]


def test_the_motion_of_one_source_is_none_of_another() -> None:
    tracked, said = tracker()
    for number, source in enumerate((PAGE, PAGE, PLAYER)):
        tracked.take(seen(number, source=source))
    assert said.of(xr.HEAD)[-1].linear_velocity is None


def test_a_device_that_a_frame_lacks_is_lost_at_once_and_found_again() -> None:
    tracked, said = tracker()
    tracked.take(seen(device="hand.left"))
    tracked.only(PAGE, frozenset({"head"}), "not in sight")
    tracked.only(PAGE, frozenset({"head"}), "not in sight")
    tracked.take(seen(1, device="hand.left"))
    assert said.topics == [topic.name for topic in (xr.FOUND, xr.HAND_LEFT, xr.LOST, xr.FOUND, xr.HAND_LEFT)]
    assert said.of(xr.LOST)[0].reason == "not in sight"


def test_what_another_source_tracks_is_not_lost_with_this_one() -> None:
    tracked, said = tracker()
    tracked.take(seen(device="hand.left", source=PLAYER))
    tracked.take(seen())
    tracked.only(PAGE, frozenset(), "not in sight")
    assert [lost.device for lost in said.of(xr.LOST)] == ["head"]
    assert tracked.latest("hand.left") is not None


@pytest.mark.parametrize("set_by", [0, -600 * SECOND, 600 * SECOND])
def test_silence_is_loss_and_never_a_frozen_pose_even_where_the_clock_is_set(set_by: int) -> None:
    said, clock = Said(), [START, 0]
    tracked = Tracker(said, now=lambda: clock[0], steady=lambda: clock[1])
    tracked.take(seen())
    clock[:] = [START + set_by, PATIENCE]
    tracked.tick()
    before = tracked.latest("head")
    clock[1] += 1
    tracked.tick()
    assert before is not None
    assert tracked.latest("head") is None
    assert [lost.device for lost in said.of(xr.LOST)] == ["head"]
    assert tracked.rates() == {}


def test_a_device_that_comes_and_goes_is_lost_and_found_a_few_times_a_second() -> None:
    tracked, said = tracker()
    verdicts = []
    for number in range(500):
        verdicts.append(tracked.take(seen(number)))
        tracked.only(PAGE, frozenset(), "not in sight")
    assert verdicts == ["taken"] * LOSSES + ["unsteady"] * (500 - LOSSES)
    assert len(said.of(xr.FOUND)) == len(said.of(xr.LOST)) == LOSSES


def test_recentring_moves_poses_joints_and_velocities_and_makes_no_leap() -> None:
    tracked, said = tracker()
    turned = turned_by((0.0, 1.5707963267948966, 0.0))
    tracked.take(seen(0, orientation=turned))
    tracked.take(seen(1, orientation=turned))
    recentred = tracked.recentre()
    assert recentred is not None
    assert recentred.yaw == pytest.approx(1.5707963267948966)
    latest = tracked.latest("head")
    tracked.take(seen(2, orientation=turned))
    pose = said.of(xr.HEAD)[-1]
    assert latest is not None
    assert latest.place.position == pytest.approx((0.0, 1.6, 0.0), abs=1e-9)
    assert pose.position == pytest.approx((0.0, 1.6, 0.01), abs=1e-9)
    assert pose.orientation == pytest.approx((0.0, 0.0, 0.0, 1.0), abs=1e-9)
    assert pose.linear_velocity == pytest.approx((0.0, 0.0, 0.9), abs=1e-6)


def test_there_is_nothing_to_recentre_by_without_a_head() -> None:
    tracked, _ = tracker()
    tracked.take(seen(device="hand.left"))
    assert tracked.recentre() is None


def test_a_follower_has_place_motion_and_time_of_the_newest_pose() -> None:
    tracked, _ = tracker()
    for number in range(3):
        tracked.take(seen(number))
    latest = tracked.latest("head")
    assert latest is not None
    assert (latest.sampled, latest.place.position[0], latest.source) == (START + 2 * FRAME, 0.02, PAGE)
    assert latest.motion.linear == pytest.approx((0.9, 0.0, 0.0), rel=1e-6)


def test_recentring_is_for_the_source_that_spoke_for_the_head_then() -> None:
    tracked, said = tracker()
    tracked.take(seen(5))
    tracked.recentre()
    tracked.take(seen(6))
    tracked.rest(PAGE, "taken off")
    tracked.take(seen(7, source=PLAYER))

    assert [pose.position[0] for pose in said.of(xr.HEAD)] == pytest.approx([0.05, 0.01, 0.07])
