"""Pages that come, send, go away and come again: one session each, in order, whatever the connection does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xr_said import Said

from agents.xr.door.visitor import Visitor
from agents.xr.tracking import presence
from agents.xr.tracking.tracker import Tracker
from agents.xr.visits.page import AHEAD
from agents.xr.visits.session import session_name
from agents.xr.visits.visits import PATIENCE, STARTS, STARTS_SECONDS, Visits
from agents.xr.wire.messages import Begin, Echo, End, Frame, Hello, Ping, Pong, Rest, Sample, Shown
from bus.topic import Name
from schemas import xr
from schemas.xr import Device

MS, SECOND = 1_000_000, 1_000_000_000
LOADED = 1_790_000_000 * SECOND
"""The page's clock counts from here, by the host's."""
HELLO = Hello(page="page-1", kind="poses", user_agent="a browser")
BEGIN = Begin(session="s1", mode="immersive-vr", native=True, space="local-floor", rate=90.0, profiles=["hand"])


def host(page_ms: float) -> int:
    return LOADED + round(page_ms * MS)


class Scene:
    """A page, what it does, and what is said of it. Nothing takes time on the way; `at` is the page's clock in ms."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.loaded = LOADED
        self.said = Said()
        self.shown: list[tuple[int, int, float]] = []
        self.tracker = Tracker(self.said, now=self.now, steady=self.steady)
        self.visits = Visits(self.tracker, self.said, lambda *shown: self.shown.append(shown), steady=self.steady)
        self.visitor: Visitor = self.visits.welcome(HELLO)

    def now(self) -> int:
        return self.loaded + round(self.at * MS)

    def steady(self) -> int:
        return round(self.at * MS)

    def hear(self, message: Any) -> Pong | None:
        return self.visitor.heard(message, self.now())

    def synchronise(self) -> None:
        pong = self.hear(Ping(number=1, asked=self.at))
        assert pong is not None
        self.hear(Echo(number=1, asked=self.at, received=pong.received, sent=pong.sent, answered=self.at))

    def frame(self, sequence: int, *devices: Device, age: float = 2.0) -> None:
        self.at += 11.0
        samples = tuple(
            Sample(device=device, tracking="tracked", position=(0.0, 1.6, 0.0), orientation=(0.0, 0.0, 0.0, 1.0))
            for device in devices or ("head",)
        )
        self.hear(Frame(sequence=sequence, sampled=self.at - age, sent=self.at, samples=samples))

    def tick(self) -> None:
        self.tracker.tick()
        self.visits.tick()

    def reconnect(self, after_ms: float) -> None:
        self.visitor.left("the connection was lost")
        self.at += after_ms
        self.tick()
        self.visitor = self.visits.welcome(HELLO)


@pytest.fixture
def scene() -> Scene:
    """A page with a session, whose clock is known."""
    scene = Scene()
    scene.synchronise()
    scene.hear(BEGIN)
    return scene


def test_a_session_is_told_with_what_the_page_says_of_it(scene: Scene) -> None:
    (started,) = scene.said.of(xr.STARTED)
    assert (started.origin, started.kind, started.mode, started.rate) == ("webxr", "real", "immersive-vr", 90.0)
    assert started.session == session_name("page-1", "s1")
    assert "a browser" in started.description
    assert scene.visits.sessions() == [started]


def test_a_script_in_place_of_the_browser_s_webxr_is_simulated() -> None:
    scene = Scene()
    scene.hear(Begin(session="s1", mode="inline", native=False, space="viewer"))
    scene.synchronise()
    scene.frame(1)
    assert (scene.said.of(xr.STARTED)[0].kind, scene.said.of(xr.HEAD)[0].kind) == ("simulated", "simulated")


def test_a_frame_has_host_time_and_says_how_sure_that_is(scene: Scene) -> None:
    scene.frame(7, "head", "hand.left")
    (pose,) = scene.said.of(xr.HEAD)
    (time,) = scene.said.times(xr.HEAD)
    assert time == pytest.approx(host(scene.at - 2), abs=MS)
    assert pose.sent == pytest.approx(host(scene.at), abs=MS)
    assert (pose.received, pose.sequence) == (host(scene.at), 7)
    assert 0 < pose.uncertainty < 0.001
    assert scene.said.times(xr.HAND_LEFT) == [time]


def test_before_the_first_round_trip_frames_have_no_time_and_are_late() -> None:
    scene = Scene()
    scene.hear(BEGIN)
    scene.frame(1)
    scene.synchronise()
    scene.frame(2)
    scene.hear(End(session="s1", reason="enough"))
    (ended,) = scene.said.of(xr.ENDED)
    assert [pose.sequence for pose in scene.said.of(xr.HEAD)] == [2]
    assert (ended.frames, ended.late) == (1, 1)


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=30))
def test_over_reconnects_sequence_and_time_only_rise(frames: list[tuple[int, bool]]) -> None:
    scene = Scene()
    scene.synchronise()
    scene.hear(BEGIN)
    for sequence, reconnects in frames:
        if reconnects:
            scene.reconnect(100)
            scene.hear(BEGIN)
        scene.frame(sequence)
    sequences = [pose.sequence for pose in scene.said.of(xr.HEAD)]
    assert sequences == sorted(set(sequences))
    assert scene.said.times(xr.HEAD) == sorted(scene.said.times(xr.HEAD))


def test_a_page_that_comes_back_goes_on_with_session_and_clock(scene: Scene) -> None:
    scene.frame(1)
    scene.reconnect(PATIENCE / MS - 1)
    scene.hear(BEGIN)
    scene.frame(2)
    assert len(scene.said.of(xr.STARTED)) == 1
    assert not scene.said.of(xr.ENDED)
    assert [pose.sequence for pose in scene.said.of(xr.HEAD)] == [1, 2]
    assert [lost.device for lost in scene.said.of(xr.LOST)] == ["head"]


def test_a_page_that_does_not_come_back_has_ended_with_the_reason(scene: Scene) -> None:
    scene.frame(1)
    scene.visitor.left("the connection was lost")
    scene.at += PATIENCE / MS + 1
    scene.tick()
    (ended,) = scene.said.of(xr.ENDED)
    assert (ended.reason, ended.frames) == ("the connection was lost", 1)
    assert ended.seconds == pytest.approx(PATIENCE / SECOND, abs=0.1)
    assert scene.visits.sessions() == []


def test_a_clock_that_is_set_back_does_not_keep_the_session_of_a_page_that_is_gone(scene: Scene) -> None:
    scene.visitor.left("the connection was lost")
    scene.loaded -= 600 * SECOND
    scene.at += PATIENCE / MS + 1
    scene.tick()
    (ended,) = scene.said.of(xr.ENDED)
    assert ended.seconds == pytest.approx(PATIENCE / SECOND, abs=0.1)


@pytest.mark.parametrize("age", [presence.PATIENCE / MS + 5, -AHEAD / MS - 5])
def test_a_frame_that_is_not_of_this_moment_is_late_and_finds_nothing(scene: Scene, age: float) -> None:
    scene.at += 1000
    scene.frame(1, age=age)
    scene.hear(End(session="s1", reason="enough"))
    (ended,) = scene.said.of(xr.ENDED)
    assert (ended.frames, ended.late) == (0, 1)
    assert not scene.said.of(xr.HEAD) and not scene.said.of(xr.FOUND)


def test_sessions_start_no_faster_than_is_good_for_the_log_and_the_last_gets_its_turn(scene: Scene) -> None:
    for number in range(500):
        scene.hear(msgspec.structs.replace(BEGIN, session=f"more-{number}"))
    in_time = scene.said.of(xr.STARTED)
    scene.at += STARTS_SECONDS * 1000
    scene.tick()
    scene.frame(1)
    assert len(in_time) == STARTS
    assert [started.session for started in scene.said.of(xr.STARTED)[STARTS:]] == [session_name("page-1", "more-499")]
    assert len(scene.said.of(xr.HEAD)) == 1


def test_a_session_that_ends_before_its_turn_never_was(scene: Scene) -> None:
    for number in range(STARTS):
        scene.hear(msgspec.structs.replace(BEGIN, session=f"more-{number}"))
    scene.hear(End(session=f"more-{STARTS - 1}", reason="enough"))
    scene.at += STARTS_SECONDS * 1000
    scene.tick()
    assert len(scene.said.of(xr.STARTED)) == len(scene.said.of(xr.ENDED)) == STARTS


def test_a_page_of_the_overlay_has_no_session_and_no_poses() -> None:
    scene = Scene()
    scene.visitor = scene.visits.welcome(Hello(page="page-2", kind="overlay", user_agent="a browser"))
    scene.synchronise()
    scene.hear(BEGIN)
    scene.frame(1)
    assert scene.said.events == []


def test_a_page_that_stays_is_not_ended_by_time(scene: Scene) -> None:
    scene.at += 10 * PATIENCE / MS
    scene.tick()
    assert not scene.said.of(xr.ENDED)


def test_what_an_old_connection_still_brings_does_not_count(scene: Scene) -> None:
    old = scene.visitor
    scene.visitor = scene.visits.welcome(HELLO)
    assert old.heard(Ping(number=1, asked=1.0), scene.now()) is None
    old.heard(End(session="s1", reason="old news"), scene.now())
    old.left("at last")
    scene.at += 2 * PATIENCE / MS
    scene.tick()
    assert not scene.said.of(xr.ENDED)


def test_a_headset_that_is_put_down_is_lost_at_once_and_its_session_goes_on(scene: Scene) -> None:
    scene.frame(1)
    scene.hear(Rest(session="s1", visibility="hidden"))
    assert [lost.reason for lost in scene.said.of(xr.LOST)] == ["the page is hidden"]
    scene.frame(2)
    assert len(scene.said.of(xr.FOUND)) == 2
    assert not scene.said.of(xr.ENDED)


def test_a_device_that_is_in_a_frame_no_more_is_lost(scene: Scene) -> None:
    scene.frame(1, "head", "hand.left")
    scene.frame(2, "head")
    assert [lost.device for lost in scene.said.of(xr.LOST)] == ["hand.left"]


def test_another_session_of_the_page_ends_the_one_before(scene: Scene) -> None:
    scene.hear(Begin(session="s2", mode="inline", native=True, space="viewer"))
    scene.hear(End(session="s1", reason="old news"))
    assert [ended.session for ended in scene.said.of(xr.ENDED)] == [session_name("page-1", "s1")]
    assert [started.session for started in scene.visits.sessions()] == [session_name("page-1", "s2")]


def test_a_device_that_slept_with_its_clock_sends_no_poses_of_the_past(scene: Scene) -> None:
    scene.frame(1)
    slept = scene.now() + 3600 * SECOND
    scene.at += 11
    sample = Sample(device="head", tracking="tracked", position=(0.0, 1.6, 0.0), orientation=(0.0, 0.0, 0.0, 1.0))
    scene.visitor.heard(Frame(sequence=2, sampled=scene.at - 2, sent=scene.at, samples=(sample,)), slept)
    assert [pose.sequence for pose in scene.said.of(xr.HEAD)] == [1]


def test_a_host_whose_clock_is_set_back_goes_on_with_the_next_round_trip(scene: Scene) -> None:
    scene.frame(1)
    scene.loaded -= 3600 * SECOND
    scene.frame(2)
    scene.synchronise()
    scene.frame(3)
    assert [pose.sequence for pose in scene.said.of(xr.HEAD)] == [1, 3]


def test_a_page_that_makes_up_what_the_time_is_changes_nothing(scene: Scene) -> None:
    before = scene.visits.clock()
    for offset in (3600 * SECOND, -3600 * SECOND, 2**62):
        scene.hear(Echo(number=1, asked=scene.at, received=LOADED + offset, sent=LOADED + offset, answered=scene.at))
    scene.at += 11
    scene.hear(Frame(sequence=9, sampled=1e11, sent=scene.at, samples=()))
    scene.frame(2)
    assert scene.visits.clock() == before
    assert [pose.sequence for pose in scene.said.of(xr.HEAD)] == [2]


def test_a_picture_is_shown_at_a_host_time_where_that_is_known(scene: Scene) -> None:
    scene.hear(Shown(sequence=5, shown=scene.at - 1))
    ((sequence, at, uncertainty),) = scene.shown
    assert (sequence, at) == (5, pytest.approx(host(scene.at - 1), abs=MS))
    assert 0 < uncertainty < 0.001
    unknown = Scene()
    unknown.hear(Shown(sequence=5, shown=1.0))
    assert unknown.shown == []


def test_the_clock_is_that_of_the_session_that_began_last(scene: Scene) -> None:
    assert scene.visits.clock() is not None
    scene.at += 1
    scene.visits.welcome(Hello(page="page-2", kind="poses", user_agent="another")).heard(BEGIN, scene.now())
    assert scene.visits.clock() is None


def test_frames_without_a_session_are_nobody_s() -> None:
    scene = Scene()
    scene.synchronise()
    scene.frame(1)
    assert scene.said.events == []


def test_all_sessions_end_with_the_agent(scene: Scene) -> None:
    scene.frame(1)
    scene.visits.end("the agent ends")
    assert [ended.reason for ended in scene.said.of(xr.ENDED)] == ["the agent ends"]
    assert scene.visits.sessions() == []


@given(st.text(max_size=99), st.text(max_size=99))
def test_a_session_has_a_name_of_the_bus_whatever_the_page_calls_it(page: str, session: str) -> None:
    assert msgspec.convert(session_name(page, session), Name)
