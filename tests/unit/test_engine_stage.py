"""The stage follows the world: what is asked for is in the next frame, what is gone leaves nothing."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import psutil
import pytest
from drawn import CUBE, RED, RENDERERS, edges, frame, reddish, spawn_camera, spawn_mesh, studio
from structlog.testing import capture_logs

from agents.engine.render.studio import Studio
from agents.engine.world import Body, Looks, Transform, World
from schemas.engine import Renderer

ASIDE = Transform((-400.0, 0.0, 0.0))
BLUE = (0.0, 0.0, 1.0, 1.0)
GROWTH = 8 << 20
"""Bytes that a process may grow by in 8,000 spawns: an actor that stayed would be a kilobyte, and its states some more."""


def nodes(studio: Studio) -> int:
    return studio.stage.root.find_all_matches("**").get_num_paths()


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_move_is_in_the_next_frame(renderer: Renderer) -> None:
    world = World()
    cube = spawn_mesh(world, Transform())
    spawn_camera(world, ASIDE)
    with closing(studio(world, renderer)) as drawing:
        before = edges(reddish(frame(drawing)))
        world.move(cube, Transform((0.0, 50.0, 0.0)))
        after = edges(reddish(frame(drawing)))

    assert after[0] > before[0] + 20


@pytest.mark.parametrize("renderer", RENDERERS)
def test_another_colour_or_mesh_is_in_the_next_frame(renderer: Renderer) -> None:
    world = World()
    cube = spawn_mesh(world, Transform())
    spawn_camera(world, ASIDE)
    with closing(studio(world, renderer)) as drawing:
        square = reddish(frame(drawing)).sum()
        world.look(cube, Looks(mesh="/Engine/BasicShapes/Sphere.Sphere", colour=RED))
        disc = reddish(frame(drawing)).sum()
        world.look(cube, Looks(mesh=CUBE, colour=BLUE))
        blue = frame(drawing)

    assert disc < 0.9 * square
    assert not reddish(blue).any()


def test_what_is_removed_leaves_no_node_no_body_and_no_light() -> None:
    world = World()
    with closing(studio(world, "software")) as drawing:
        empty = nodes(drawing)
        actors = [spawn_mesh(world, Transform(), body=Body(1.0)), spawn_mesh(world, Transform())]
        actors += [world.spawn(kind, Transform(), Looks()) for kind in ("PointLight", "DirectionalLight", "CameraActor", "Actor")]
        drawing.stage.take_over()
        full = nodes(drawing)
        for actor in actors:
            world.destroy(actor.name)
        drawing.stage.take_over()

    assert full > empty + 5
    assert nodes(drawing) == empty
    assert drawing.physics.bodies == 0
    assert drawing.stage.cameras == {}


@pytest.mark.parametrize("renderer", RENDERERS)
def test_ten_thousand_actors_come_and_go_and_memory_stays(renderer: Renderer) -> None:
    world = World()
    with closing(studio(world, renderer)) as drawing:
        empty = nodes(drawing)
        come_and_go(world, drawing, 2000)
        before = psutil.Process().memory_info().rss
        come_and_go(world, drawing, 8000)
        after = psutil.Process().memory_info().rss

    assert nodes(drawing) == empty
    assert after - before < GROWTH


def come_and_go(world: World, drawing: Studio, count: int) -> None:
    """Spawn and remove so many actors, each with a place, a colour and half of them with a body of its own, 200 at a time."""
    for first in range(0, count, 200):
        for number in range(first, first + 200):
            place = Transform((number * 10.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0 + number / count))
            spawn_mesh(world, place, colour=(number / count, 0.0, 0.0, 1.0), body=Body(1.0) if number % 2 else None)
        drawing.stage.take_over()
        drawing.physics.step()
        drawing.draw()
        for name in list(world.actors):
            world.destroy(name)
        drawing.stage.take_over()
        drawing.draw()


def test_a_mesh_that_nothing_is_known_of_is_drawn_as_a_cube_and_said_once() -> None:
    world = World()
    spawn_camera(world, ASIDE)
    spawn_mesh(world, Transform())
    with closing(studio(world, "software")) as drawing:
        known = frame(drawing)
        with capture_logs() as logs:
            for actor in list(world.actors.values())[1:]:
                world.look(actor, Looks(mesh="/Game/Nothing.Nothing", colour=RED))
            unknown = frame(drawing)
            spawn_mesh(world, Transform((5000.0, 0.0, 0.0)), mesh="/Game/Nothing.Nothing")
            frame(drawing)

    assert np.array_equal(known, unknown)
    assert [log["mesh"] for log in logs] == ["/Game/Nothing.Nothing"]


@pytest.mark.parametrize(
    "nowhere",
    [
        Transform((float("nan"), 0.0, 0.0)),
        Transform((1e300, 0.0, 0.0)),
        Transform(orientation=(0.0, 0.0, 0.0, 0.0)),
        Transform(orientation=(float("inf"), 0.0, 0.0, 1.0)),
        Transform(scale=(float("nan"), 1.0, 1.0)),
    ],
)
@pytest.mark.parametrize("body", [None, Body(1.0)])
def test_an_actor_that_is_put_nowhere_stays_where_it_was_and_that_is_said_once(nowhere: Transform, body: Body | None) -> None:
    world = World()
    cube = spawn_mesh(world, Transform(), body=body)
    spawn_camera(world, ASIDE)
    with closing(studio(world, "software")) as drawing:
        before = frame(drawing)
        with capture_logs() as logs:
            for _ in range(3):
                world.move(cube, nowhere)
                after = frame(drawing)

    assert np.array_equal(before, after)
    assert [log["actor"] for log in logs] == [cube.name]


def test_a_camera_that_is_put_nowhere_does_not_end_the_engine() -> None:
    world = World()
    camera = spawn_camera(world, ASIDE)
    spawn_mesh(world, Transform())
    with closing(studio(world, "software")) as drawing:
        world.move(camera, Transform(orientation=(0.0, 0.0, 0.0, 0.0)))
        assert reddish(frame(drawing)).any()


def test_draw_calls_are_of_what_is_in_view() -> None:
    world = World()
    spawn_camera(world, ASIDE)
    for x in (0.0, 100.0, 500.0, -1000.0):
        spawn_mesh(world, Transform((x, 0.0, 0.0)))
    with closing(studio(world, "software")) as drawing:
        frame(drawing)
        assert drawing.draw_calls() == 3
