"""The outbox of the bridge: the newest of each label goes, once, and not faster than the engine answers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agents.parts import frames
from agents.parts.remote_control import BATCH_LIMIT, Call, Property
from agents.ue5.level.roster import Known
from agents.ue5.moving.outbox import IN_FLIGHT, Batch, Outbox, Pace, Wish, filmed, lit, merged
from agents.ue5.remote.wire import Answer
from schemas import scene

AHEAD = (0.0, 0.0, 0.0, 1.0)
LABELS = ("crate", "lamp", "main")


def known(*labels: str) -> dict[str, Known]:
    return {label: Known(f"/L.{label}", label, "Actor", (1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0), (4.0, 5.0, 6.0)) for label in labels}


def place(outbox: Outbox, label: str, x: float, time: int = 1) -> None:
    outbox.put(label, Wish(time, position=(x, 0.0, 0.0)))


wishes = st.builds(
    Wish,
    st.integers(1, 9),
    position=st.none() | st.tuples(*[st.floats(-5, 5)] * 3),
    field_of_view=st.none() | st.floats(0.1, 3.0),
    intensity=st.none() | st.floats(0, 9),
)


@given(st.lists(wishes, min_size=1))
def test_of_each_thing_that_was_wanted_the_newest_is_left(wanted: list[Wish]) -> None:
    result: Wish | None = None
    for wish in wanted:
        result = merged(result, wish)
    assert result is not None
    for field in ("position", "field_of_view", "intensity"):
        said = [getattr(wish, field) for wish in wanted if getattr(wish, field) is not None]
        assert getattr(result, field) == (said[-1] if said else None)


def test_a_pose_that_was_overtaken_is_never_sent() -> None:
    outbox = Outbox()
    place(outbox, "crate", 1.0)
    place(outbox, "crate", 2.0)
    batch = outbox.take(known("crate"))
    assert [ask.body.parameters["NewTransform"]["Translation"]["Y"] for ask in batch.asks] == [200.0]
    assert not outbox.take(known("crate")).asks


def test_what_a_move_leaves_open_is_as_the_engine_has_it() -> None:
    outbox, actors = Outbox(), known("crate")
    place(outbox, "crate", 7.0)
    (ask,) = outbox.take(actors).asks
    moved = ask.body.parameters["NewTransform"]
    assert moved["Scale3D"] == {"X": 6.0, "Y": 4.0, "Z": 5.0}
    assert moved["Rotation"] == dict(zip("XYZW", frames.rotation_to_unreal((0.0, 0.0, 0.0, 1.0)), strict=True))
    assert actors["crate"].position == (7.0, 0.0, 0.0)


def test_a_light_and_a_camera_are_changed_by_the_properties_of_their_components() -> None:
    outbox = Outbox()
    outbox.put("lamp", lit(scene.Light(light="lamp", intensity=0.0, colour=(1.0, 0.5, 0.0)), 1))
    outbox.put("main", filmed(scene.CameraPose(camera="main", position=(0, 0, 0), orientation=(0, 0, 0, 1), field_of_view=math.pi / 2), 1))
    bodies = [ask.body for ask in outbox.take(known("lamp", "main")).asks]
    written = {(body.objectPath, body.propertyName): body.propertyValue for body in bodies if isinstance(body, Property)}
    assert written == {
        ("/L.lamp.LightComponent0", "Intensity"): {"Intensity": 0.0},
        ("/L.lamp.LightComponent0", "LightColor"): {"LightColor": {"R": 255, "G": 188, "B": 0, "A": 255}},
        ("/L.main.CameraComponent", "FieldOfView"): {"FieldOfView": pytest.approx(90.0)},
    }
    assert [body.objectPath for body in bodies if isinstance(body, Call)] == ["/L.main"]


def test_a_stranger_is_counted_each_time_and_named_once() -> None:
    outbox = Outbox()
    for _ in range(3):
        place(outbox, "ghost", 1.0)
        assert not outbox.take(known("crate")).asks
    assert outbox.unknown == {"ghost": 3}
    assert (outbox.strangers(), outbox.strangers()) == (["ghost"], [])


def test_a_stranger_whom_the_engine_has_in_the_end_is_put_where_it_was_wanted() -> None:
    outbox = Outbox()
    place(outbox, "ghost", 3.0)
    outbox.take({})
    outbox.welcome(known("ghost"))
    assert outbox.take(known("ghost")).moves == 1
    assert not outbox.unknown


def test_another_engine_is_sent_all_that_was_seen_and_only_the_newest_of_it() -> None:
    outbox = Outbox()
    place(outbox, "crate", 1.0)
    outbox.put("lamp", Wish(1, intensity=2.0))
    outbox.take(known(*LABELS))
    place(outbox, "crate", 5.0)
    outbox.take(known(*LABELS))
    outbox.send_again()
    assert outbox.pending == {"crate": Wish(None, position=(5.0, 0.0, 0.0)), "lamp": Wish(None, intensity=2.0)}


def test_a_batch_without_an_answer_is_wanted_again_but_for_what_is_newer() -> None:
    outbox = Outbox()
    place(outbox, "crate", 1.0)
    outbox.put("lamp", Wish(1, intensity=2.0))
    batch = outbox.take(known(*LABELS))
    place(outbox, "crate", 5.0, time=2)
    outbox.take_back(batch.wishes)
    assert outbox.pending == {"crate": Wish(2, position=(5.0, 0.0, 0.0)), "lamp": Wish(None, intensity=2.0)}


def test_what_was_refused_goes_again_once_the_level_was_read_and_not_before() -> None:
    outbox = Outbox()
    place(outbox, "crate", 1.0)
    batch = outbox.take(known("crate"))
    outbox.refused(batch.refused([Answer(404, b"")]))
    assert not outbox.take(known("crate")).asks
    outbox.welcome(known("crate"))
    assert outbox.take(known("crate")).moves == 1


def test_only_the_labels_whose_requests_were_refused_are_so() -> None:
    outbox = Outbox()
    outbox.put("main", Wish(1, position=(1.0, 0.0, 0.0), field_of_view=1.0))
    place(outbox, "crate", 1.0)
    batch = outbox.take(known("main", "crate"))
    assert batch.refused([Answer(200, b""), Answer(400, b""), Answer(200, b"")]) == {"main"}


def test_what_is_sent_again_answers_no_event() -> None:
    outbox = Outbox()
    place(outbox, "crate", 1.0)
    place(outbox, "lamp", 1.0)
    outbox.send_again()
    place(outbox, "lamp", 2.0, time=7)
    assert outbox.take(known(*LABELS)).times == {7}


def test_a_camera_s_pose_that_is_sent_again_is_no_news_and_a_newer_one_is() -> None:
    outbox = Outbox()
    outbox.put("main", filmed(scene.CameraPose(camera="main", position=(1.0, 0.0, 0.0), orientation=AHEAD), 3))
    assert outbox.take(known("main")).cameras == {"main": 3}
    outbox.send_again()
    assert outbox.take(known("main")).cameras == {}
    outbox.put("main", filmed(scene.CameraPose(camera="main", position=(2.0, 0.0, 0.0), orientation=AHEAD), 5))
    assert outbox.take(known("main")).cameras == {"main": 5}


def test_more_strangers_than_are_counted_are_put_where_they_were_wanted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.ue5.moving.outbox.MOST_UNKNOWN", 1)
    outbox = Outbox()
    for label in ("ghost", "other"):
        place(outbox, label, 3.0)
    outbox.take({})
    assert list(outbox.unknown) == ["ghost"]
    outbox.welcome(known("ghost", "other"))
    assert set(outbox.take(known("ghost", "other")).wishes) == {"ghost", "other"}


@pytest.mark.parametrize(
    "wish", [Wish(1, position=(math.nan, 0.0, 0.0)), Wish(1, orientation=(0.0, math.inf, 0.0, 1.0)), Wish(1, intensity=math.inf)]
)
def test_numbers_that_json_does_not_have_are_counted_and_go_nowhere(wish: Wish) -> None:
    outbox = Outbox()
    outbox.put("crate", wish)
    assert outbox.not_finite == 1
    assert not outbox.take(known("crate")).asks


def test_a_batch_never_has_more_requests_than_an_engine_takes_and_the_rest_follows() -> None:
    labels = [f"a{number}" for number in range(BATCH_LIMIT + 50)]
    outbox, actors = Outbox(), known(*labels)
    for label in labels:
        place(outbox, label, 1.0)
    sizes = []
    while outbox.pending:
        sizes.append(len(outbox.take(actors).asks))
    assert max(sizes) <= BATCH_LIMIT
    assert sum(sizes) == len(labels)


def test_what_is_kept_of_labels_is_bounded_and_the_quietest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.ue5.moving.outbox.MOST_SEEN", 2)
    outbox = Outbox()
    for label in ("a", "b", "a", "c"):
        place(outbox, label, 1.0)
    outbox.send_again()
    assert set(outbox.pending) == {"a", "c"}


class Flow(RuleBasedStateMachine):
    """Events come, batches go and are done, refused or never answered, in any order: nothing that was wanted last is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox, self.pace, self.actors = Outbox(), Pace(10.0), known(*LABELS)
        self.now, self.sent_at = 0.0, -math.inf
        self.out: list[Batch] = []
        self.refused: set[str] = set()
        self.wanted: dict[str, float] = {}
        self.engine: dict[str, float] = {}

    @rule(label=st.sampled_from(LABELS), x=st.integers(-100, 100))
    def want(self, label: str, x: int) -> None:
        place(self.outbox, label, float(x))
        self.wanted[label] = float(x)

    @rule(seconds=st.floats(0, 0.2))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.pace.wait(self.now) == 0.0)
    @rule()
    def send(self) -> None:
        assert self.pace.out == 0 or self.now - self.sent_at >= self.pace.period - 1e-9
        self.out.append(self.outbox.take(self.actors))
        self.pace.sent(self.now)
        self.sent_at = self.now

    @precondition(lambda self: self.out)
    @rule(refused=st.sets(st.sampled_from(LABELS)))
    def answer(self, refused: set[str]) -> None:
        """The engine has done all but these."""
        batch = self.out.pop(0)
        self.pace.answered()
        for ask, owner in zip(batch.asks, batch.owners, strict=True):
            if owner not in refused:
                self.engine[owner] = ask.body.parameters["NewTransform"]["Translation"]["Y"] / 100
        self.refused |= refused & batch.wishes.keys()
        self.outbox.refused(refused & batch.wishes.keys())

    @precondition(lambda self: self.out)
    @rule()
    def stay_silent(self) -> None:
        self.outbox.take_back(self.out.pop(0).wishes)
        self.pace.answered()

    @rule()
    def read_the_level(self) -> None:
        self.outbox.welcome(self.actors)
        self.refused.clear()

    @invariant()
    def never_flooded(self) -> None:
        assert self.pace.out <= IN_FLIGHT

    @invariant()
    def nothing_is_forgotten(self) -> None:
        under_way = {label for batch in self.out for label in batch.wishes} | self.outbox.pending.keys() | self.refused
        for label, x in self.wanted.items():
            assert label in under_way or self.engine[label] == x


TestFlow = Flow.TestCase
