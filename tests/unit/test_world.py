"""The level that requests change and frames take over: the newest move counts, once, and of what is gone nothing moves."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agents.engine import world as world_module
from agents.engine.world import Actor, Body, Full, Looks, Transform, World

CROWDED = 5
"""Actors at most, in these tests."""
ACTORS, MOVES, SPAWNED = 1000, 50, 10_000
WRITE_SECONDS = 60.0

transforms = st.builds(Transform, st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)))
lists_of_transforms = st.lists(transforms, min_size=1)


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "MAX_ACTORS", CROWDED)


@pytest.fixture
def often_switched() -> Iterator[None]:
    """Threads take turns after a few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def a_cube(world: World, label: str | None = None) -> Actor:
    return world.spawn("StaticMeshActor", Transform(), Looks(mesh="/Engine/BasicShapes/Cube.Cube"), label)


def at(x: float) -> Transform:
    return Transform((x, 0.0, 0.0))


def take_beside(write: Callable[[], None], take: Callable[[], None]) -> None:
    """Take what another thread writes until that is done, and once more."""
    both = threading.Barrier(2)
    writer = threading.Thread(target=lambda: (both.wait(WRITE_SECONDS), write()), daemon=True)
    deadline = time.monotonic() + WRITE_SECONDS
    writer.start()
    both.wait(WRITE_SECONDS)
    while writer.is_alive():
        assert time.monotonic() < deadline
        take()
    take()


@given(lists_of_transforms)
def test_of_several_moves_the_newest_is_taken_once(moves: list[Transform]) -> None:
    world = World()
    actor = a_cube(world)
    for each in moves:
        world.move(actor, each)

    assert (world.take_moves(), world.take_moves()) == ([(actor, moves[-1])], [])
    assert (actor.transform, world.moved) == (moves[-1], len(moves))


def test_an_actor_that_is_gone_moves_no_more() -> None:
    world = World()
    before, after = a_cube(world), a_cube(world)
    world.move(before, at(1.0))
    world.destroy(before.name)
    world.destroy(after.name)
    world.move(after, at(2.0))

    assert world.take_moves() == []
    assert not world.moves


def test_physics_does_not_override_a_move_that_no_frame_has_taken() -> None:
    world = World()
    actor = a_cube(world)
    world.move(actor, at(1.0))
    world.settle(actor, at(2.0))
    assert actor.transform == at(1.0)

    world.take_moves()
    world.settle(actor, at(3.0))
    assert actor.transform == at(3.0)


def test_a_move_is_not_lost_that_comes_while_physics_writes_another_place() -> None:
    world = World()
    actor = a_cube(world)

    class Late(dict[str, Transform]):
        """A request comes just after physics has seen that none waits."""

        def __contains__(self, name: object) -> bool:
            there = super().__contains__(name)
            world.move(actor, at(1.0))
            return there

    world.moves = Late()
    world.settle(actor, at(2.0))

    assert world.place_of(actor) == at(1.0)
    world.take_moves()
    assert world.place_of(actor) == actor.transform == at(1.0)


@pytest.mark.usefixtures("crowded")
def test_a_full_level_says_so_and_has_room_again_when_an_actor_went() -> None:
    world = World()
    cubes = [a_cube(world) for _ in range(CROWDED)]
    with pytest.raises(Full, match=f"has {CROWDED} actors.*remove some"):
        a_cube(world)
    world.destroy(cubes[0].name)

    assert a_cube(world).name not in {cube.name for cube in cubes}


def test_a_label_leads_to_the_first_actor_that_has_it_and_without_one_the_name_is_it() -> None:
    world = World()
    first, second, third = a_cube(world, "desk"), a_cube(world, "desk"), a_cube(world)
    assert world.labelled("desk") is first
    world.destroy(first.name)

    assert world.labelled("desk") is second
    assert world.labelled(third.name) is third
    assert world.labelled("lamp") is None


class Level(RuleBasedStateMachine):
    """Any order of requests and frames, beside a plain account of what is there, what waits to be moved, and what changed."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(world_module, "MAX_ACTORS", CROWDED)
        self.world = World()
        self.ever: list[Actor] = []
        self.there: dict[str, Transform] = {}
        self.waiting: dict[str, Transform] = {}
        self.changed: set[str] = set()

    def teardown(self) -> None:
        self.patch.undo()

    def pick(self, number: int) -> Actor:
        """One that is there or was."""
        return self.ever[number % len(self.ever)]

    @rule(transform=transforms, label=st.none() | st.sampled_from(["desk", "lamp"]))
    def spawn(self, transform: Transform, label: str | None) -> None:
        if len(self.there) == CROWDED:
            with pytest.raises(Full):
                self.world.spawn("Actor", transform, Looks(), label)
            return
        actor = self.world.spawn("Actor", transform, Looks(), label)
        assert actor.name not in {each.name for each in self.ever}
        self.ever.append(actor)
        self.there[actor.name] = transform
        self.changed.add(actor.name)

    @precondition(lambda self: self.ever)
    @rule(number=st.integers(0, 99))
    def destroy(self, number: int) -> None:
        name = self.pick(number).name
        assert self.world.destroy(name) == (name in self.there)
        if self.there.pop(name, None) is not None:
            self.waiting.pop(name, None)
            self.changed.add(name)

    @precondition(lambda self: self.ever)
    @rule(number=st.integers(0, 99), transform=transforms)
    def move(self, number: int, transform: Transform) -> None:
        actor = self.pick(number)
        self.world.move(actor, transform)
        if actor.name in self.there:
            self.there[actor.name] = self.waiting[actor.name] = transform

    @precondition(lambda self: self.ever)
    @rule(number=st.integers(0, 99), mass=st.floats(0, 10))
    def look(self, number: int, mass: float) -> None:
        actor = self.pick(number)
        self.world.look(actor, Looks(body=Body(mass)))
        self.changed.add(actor.name)

    @precondition(lambda self: self.there)
    @rule(number=st.integers(0, 99), transform=transforms)
    def settle(self, number: int, transform: Transform) -> None:
        name = list(self.there)[number % len(self.there)]
        self.world.settle(self.world.actors[name], transform)
        if name not in self.waiting:
            self.there[name] = transform

    @rule()
    def take_moves(self) -> None:
        taken = [(actor.name, transform) for actor, transform in self.world.take_moves()]
        assert len(dict(taken)) == len(taken)
        assert dict(taken) == self.waiting
        self.waiting.clear()

    @rule()
    def take_changes(self) -> None:
        taken = list(self.world.take_changes())
        assert sorted(taken) == sorted(self.changed)
        self.changed.clear()

    @rule(scene=st.sampled_from(["room", "yard"]))
    def clear(self, scene: str) -> None:
        self.world.clear(scene)
        assert (self.world.scene, self.world.time) == (scene, 0.0)
        self.changed.update(self.there)
        self.there.clear()
        self.waiting.clear()

    @invariant()
    def what_is_there_is_where_it_was_put(self) -> None:
        assert {name: actor.transform for name, actor in self.world.actors.items()} == self.there


TestLevel = Level.TestCase
TestLevel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.usefixtures("often_switched")
def test_of_a_thousand_actors_that_a_thread_moves_no_last_move_is_lost() -> None:
    world = World()
    cubes = [a_cube(world) for _ in range(ACTORS)]
    seen: dict[str, float] = {}

    def write() -> None:
        for cube in cubes:  # one after the other, so that last moves are made all the time
            for turn in range(1, MOVES + 1):
                world.move(cube, at(float(turn)))

    def take() -> None:
        for actor, transform in world.take_moves():
            assert transform.position[0] >= seen.get(actor.name, 0.0)
            seen[actor.name] = transform.position[0]

    take_beside(write, take)

    assert seen == {cube.name: float(MOVES) for cube in cubes}


@pytest.mark.usefixtures("often_switched")
def test_actors_that_come_and_go_in_one_thread_never_trip_the_frame_of_another() -> None:
    world = World()
    gone: list[str] = []
    changed: set[str] = set()

    def come_and_go() -> None:
        for _ in range(SPAWNED):
            cube = a_cube(world)
            world.move(cube, at(1.0))
            world.destroy(cube.name)
            gone.append(cube.name)

    def take() -> None:
        world.take_moves()
        changed.update(world.take_changes())

    take_beside(come_and_go, take)

    assert len(gone) == SPAWNED
    assert changed == set(gone)
    assert (world.actors, world.take_moves(), world.moves) == ({}, [], {})
