"""Devices are lost and found by turns, each once, and the newest source speaks for a device."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agents.xr.tracking.arbiter import MOST, Arbiter
from agents.xr.tracking.presence import LOSSES, PATIENCE, SILENT, Presence

SECOND = 1_000_000_000
DEVICES = ("head", "hand.left")


class PresenceMachine(RuleBasedStateMachine):
    """Against a model: when each device was last seen, and what was said of it last."""

    def __init__(self) -> None:
        super().__init__()
        self.presence = Presence()
        self.now = SECOND
        self.seen_at: dict[str, int] = {}
        self.tracked: dict[str, bool] = {}

    @rule(device=st.sampled_from(DEVICES))
    def see(self, device: str) -> None:
        found = self.presence.seen(device, self.now)
        assert (found is not None) == (not self.tracked.get(device, False))
        if found is not None:
            assert (found.seconds is None) == (device not in self.tracked)
        self.tracked[device], self.seen_at[device] = True, self.now

    @rule(device=st.sampled_from(DEVICES))
    def lose(self, device: str) -> None:
        lost = self.presence.lose(device, "asleep", self.now)
        assert (lost is not None) == self.tracked.get(device, False)
        if lost is not None:
            assert (lost.reason, lost.seconds) == ("asleep", (self.now - self.seen_at[device]) / SECOND)
            self.tracked[device] = False

    @rule(nanoseconds=st.integers(1, 2 * PATIENCE))
    def wait(self, nanoseconds: int) -> None:
        self.now += nanoseconds
        silent = {device for device, tracked in self.tracked.items() if tracked and self.now - self.seen_at[device] > PATIENCE}
        lost = self.presence.tick(self.now)
        assert {each.device for each in lost} == silent
        assert all(each.reason == SILENT for each in lost)
        self.tracked |= dict.fromkeys(silent, False)

    @invariant()
    def what_is_tracked_is_named(self) -> None:
        assert set(self.presence.rates(self.now)) == {device for device, tracked in self.tracked.items() if tracked}


TestPresence = PresenceMachine.TestCase


def test_a_device_that_is_back_says_how_long_it_was_away() -> None:
    presence = Presence()
    presence.seen("head", 0)
    presence.lose("head", "asleep", 1 * SECOND)
    found = presence.seen("head", 3 * SECOND)
    assert found is not None
    assert found.seconds == 2.0


def test_a_device_that_is_lost_again_and_again_is_not_steady_for_a_second() -> None:
    presence = Presence()
    steady = []
    for number in range(LOSSES):
        steady.append(presence.is_steady("head", number))
        presence.seen("head", number)
        presence.lose("head", "flickers", number)
    assert steady == [True] * LOSSES
    assert not presence.is_steady("head", SECOND - 1)
    assert presence.is_steady("head", SECOND)
    assert presence.is_steady("hand.left", 0)


def test_a_rate_is_of_the_last_second() -> None:
    presence = Presence()
    for number in range(200):
        presence.seen("head", number * SECOND // 100)
    assert presence.rates(2 * SECOND) == {"head": 99.0}


def test_the_source_that_began_last_speaks_until_it_rests() -> None:
    arbiter = Arbiter()
    said = [speaks(arbiter, source) for source in ("first", "second", "first", "second")]
    arbiter.rest("second")
    assert said == [True, True, False, True]
    assert speaks(arbiter, "first")
    assert speaks(arbiter, "second")
    assert not speaks(arbiter, "first")


def test_a_device_that_nobody_speaks_for_is_any_source_s() -> None:
    arbiter = Arbiter()
    for source in ("first", "second"):
        speaks(arbiter, source)
    arbiter.release("head")
    assert speaks(arbiter, "first")


def test_sources_that_fell_silent_are_not_remembered_without_end() -> None:
    arbiter = Arbiter()
    arbiter.admits("page", "hand.left")
    arbiter.speak("page", "hand.left")
    for number in range(1000):
        assert speaks(arbiter, f"tracker {number}")
        arbiter.release("head")
    assert arbiter.devices("page") == ["hand.left"]
    assert len(arbiter._began) <= MOST + 2


def test_a_rest_gives_up_what_the_source_spoke_for_and_nothing_else() -> None:
    arbiter = Arbiter()
    for source, device in (("page", "head"), ("tracker", "hand.left")):
        arbiter.admits(source, device)
        arbiter.speak(source, device)
    assert arbiter.rest("page") == ["head"]
    assert arbiter.devices("tracker") == ["hand.left"]


def speaks(arbiter: Arbiter, source: str) -> bool:
    admitted = arbiter.admits(source, "head")
    if admitted:
        arbiter.speak(source, "head")
    return admitted
