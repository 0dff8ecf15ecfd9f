"""Bodies fall, rest, sleep and wake; and they do it alike each time, to the last bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from drawn import spawn_mesh
from falling import Fall, digest

from agents.engine.basic_shapes import CONE, CUBE, CYLINDER, PLANE, SPHERE
from agents.engine.world import Body, Transform
from agents.parts.frames import rotation_of_rotator


def test_six_hundred_steps_repeat_to_the_last_bit_in_this_process_and_in_another() -> None:
    here = digest()

    program = [sys.executable, str(Path(__file__).with_name("falling.py"))]
    there = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True).stdout

    assert digest() == here == there


def test_a_body_falls_as_galileo_says() -> None:
    fall = Fall()
    body = fall.drop(Transform((0.0, 0.0, 10_000.0)))
    fall.go_on(60)
    assert 10_000 - body.transform.position[2] == pytest.approx(100 * 9.81 / 2, rel=0.02)
    assert fall.world.time == pytest.approx(1.0)


@pytest.mark.parametrize("mesh", [CUBE, SPHERE, CYLINDER, CONE])
@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (0.4, 0.4, 0.4), (0.5, 0.5, 0.8), (0.5, 0.7, 0.6)])
def test_a_body_rests_on_its_lower_side(mesh: str, scale: tuple[float, float, float]) -> None:
    fall = Fall()
    body = fall.drop(Transform((0.0, 0.0, 60 * scale[2]), scale=scale), mesh)
    fall.go_on(300)
    assert body.transform.position[2] == pytest.approx(50 * scale[2], abs=1.0)
    assert body.transform.scale == scale


def test_a_plane_bears_what_falls_on_it_at_its_surface() -> None:
    fall = Fall()
    spawn_mesh(fall.world, Transform((0.0, 0.0, 200.0), scale=(20.0, 20.0, 1.0)), PLANE, body=Body(0.0))
    cube = fall.drop(Transform((0.0, 0.0, 280.0)))
    fall.go_on(200)
    assert cube.transform.position[2] == pytest.approx(250, abs=0.2)


def test_a_sphere_rolls_down_a_slope_on_which_a_cube_stays() -> None:
    fall = Fall()
    slope = rotation_of_rotator((10.0, 0.0, 0.0))
    fall.world.move(fall.floor, Transform(fall.floor.transform.position, slope, fall.floor.transform.scale))
    cube = fall.drop(Transform((0.0, 300.0, 52.0), slope))
    sphere = fall.drop(Transform((0.0, 0.0, 52.0)), SPHERE)
    fall.go_on(120)
    assert abs(cube.transform.position[0]) < 20
    assert sphere.transform.position[0] < -100


def test_a_body_that_is_put_elsewhere_is_at_rest_there() -> None:
    fall = Fall()
    body = fall.drop(Transform((0.0, 0.0, 5000.0)))
    fall.go_on(50)
    fall.world.move(body, Transform((0.0, 300.0, 1000.0)))
    fall.go_on(10)
    x, y, z = body.transform.position
    assert (x, y) == pytest.approx((0.0, 300.0), abs=1e-3)
    assert 0 < 1000 - z < 20  # as it was falling before, it would be 150


def test_bodies_at_rest_fall_asleep_and_are_written_back_no_more() -> None:
    fall = Fall()
    body = fall.drop(Transform((0.0, 0.0, 55.0)))
    fall.go_on(600)
    asleep = body.transform
    fall.go_on(10)
    assert fall.physics.awake == 0
    assert body.transform is asleep
    assert fall.stage.root.find(f"**/{body.name}").get_z() == pytest.approx(asleep.position[2] / 100, abs=1e-9)


def test_what_stood_on_something_that_goes_falls() -> None:
    fall = Fall()
    body = fall.drop(Transform((0.0, 0.0, 50.0)))
    fall.go_on(600)
    fall.world.destroy(fall.floor.name)
    fall.go_on(60)
    assert body.transform.position[2] < -200


def test_a_body_that_grows_is_as_large_as_it_is_drawn() -> None:
    fall = Fall()
    body = fall.drop(Transform((0.0, 0.0, 50.0)))
    fall.go_on(10)
    fall.world.move(body, Transform((0.0, 0.0, 120.0), scale=(2.0, 2.0, 2.0)))
    fall.go_on(300)
    assert body.transform.position[2] == pytest.approx(100, abs=1.0)
    assert fall.physics.bodies == 2


def test_physics_does_not_undo_a_move_that_a_frame_has_yet_to_take_over() -> None:
    fall = Fall()
    body = fall.drop(Transform((0.0, 0.0, 5000.0)))
    fall.go_on(1)
    fall.world.move(body, Transform((0.0, 0.0, 100.0)))
    fall.physics.step()
    assert body.transform.position == (0.0, 0.0, 100.0)
