"""The scene that is made by code: the same each time, with everything that it promises, and nothing inside anything else."""

import math

import numpy as np
import pytest

from agents.engine.render.charuco import COLUMNS, ROWS, SQUARE
from agents.engine.scenes.default import BOARD, DESK, HEIGHT, WIDTH, default_scene
from agents.engine.scenes.description import Camera, Mesh, PointLight
from agents.engine.scenes.loading import default
from agents.engine.world import World
from agents.parts.frames import rotate
from agents.parts.rigid import Rigid
from schemas.xr import CAMERA, OVERLAY

ASPECT = 16 / 9
BOARD_HALF = (0.16, 0.12)
"""Of a board of 7 x 5 squares of 40 mm with 20 mm around them."""


def actors(bodies: int = 100) -> dict[str, object]:
    return {actor.label: actor for actor in default_scene(bodies).actors}


def falling(bodies: int) -> list[Mesh]:
    return [actor for actor in default_scene(bodies).actors if isinstance(actor, Mesh) and actor.mass]


def camera(label: str) -> Camera:
    found = actors()[label]
    assert isinstance(found, Camera)
    return found


def seen(camera: Camera, point: tuple[float, float, float]) -> tuple[float, float]:
    """Where a camera sees a point: from -1 to 1 across and up its picture of 16:9."""
    x, y, z, w = camera.orientation
    offset = tuple(a - b for a, b in zip(point, camera.position, strict=True))
    right, up, back = rotate((-x, -y, -z, w), (offset[0], offset[1], offset[2]))
    assert back < 0, "behind the camera"
    across = -back * math.tan(camera.field_of_view / 2)
    return right / across, up / across * ASPECT


def test_it_is_the_same_each_time() -> None:
    assert default_scene(100) == default_scene(100)
    assert default_scene(20).actors == default_scene(100).actors[: len(default_scene(20).actors)]


def test_it_has_a_room_a_desk_with_a_board_cameras_and_two_lights() -> None:
    found = actors()

    assert {
        "floor",
        "wall left",
        "wall right",
        "wall back",
        "wall front",
        "desk top",
        "desk leg 0",
        "main",
        "desk",
        "overview",
        CAMERA,
        OVERLAY,
        "sun",
    } <= found.keys()
    board, lamp = found["charuco board"], found["lamp"]
    assert isinstance(board, Mesh) and board.mesh == BOARD and board.mass is None
    assert isinstance(lamp, PointLight)


@pytest.mark.parametrize("bodies", [0, 1, 100, 1000, 5000])
def test_it_has_as_many_bodies_as_are_asked_for_and_each_is_told_from_the_others(bodies: int) -> None:
    world = World()
    default(bodies).populate(world)

    assert sum(actor.looks.body is not None and actor.looks.body.mass > 0 for actor in world.actors.values()) == bodies
    assert len({actor.label for actor in world.actors.values()}) == len(world.actors)


def test_bodies_begin_inside_the_room_apart_from_each_other() -> None:
    bodies = falling(300)
    places = np.array([body.position for body in bodies])
    radii = np.array([body.scale[0] for body in bodies]) * math.sqrt(3) / 2
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) - radii[:, None] - radii[None]

    assert np.abs(places[:, [0, 2]]).max() < WIDTH / 2 - radii.max()
    assert places[:, 1].min() - radii.max() > 0
    assert apart[~np.eye(len(bodies), dtype=bool)].min() > 0


def test_no_body_hangs_over_the_desk() -> None:
    assert min(body.position[2] for body in falling(100)) > DESK[2] + 0.7


def test_bodies_are_boxes_spheres_and_cylinders_of_many_colours() -> None:
    bodies = falling(100)

    assert len({body.mesh for body in bodies}) == 3
    assert len({body.colour for body in bodies}) >= 5


def test_the_camera_at_the_desk_sees_the_whole_board_and_large() -> None:
    board = actors()["charuco board"]
    assert isinstance(board, Mesh)
    turned = [rotate(board.orientation, (a * BOARD_HALF[0], 0, b * BOARD_HALF[1])) for a in (-1, 1) for b in (-1, 1)]
    places = np.array(turned) + board.position
    corners = np.array([seen(camera("desk"), tuple(place)) for place in places])

    assert np.abs(corners).max() < 0.95
    assert np.ptp(corners[:, 0]) > 0.8


def test_what_is_virtual_is_in_sight_of_both_cameras_of_the_overlay_and_has_no_body() -> None:
    virtual = [actor for actor in actors().values() if isinstance(actor, Mesh) and actor.virtual]

    assert {actor.label for actor in virtual} >= {"virtual board", "virtual x", "virtual tower 0"}
    assert all(actor.mass is None for actor in virtual)
    for label in (CAMERA, OVERLAY):
        assert max(abs(at) for actor in virtual for at in seen(camera(label), actor.position)) < 1


def test_the_axes_begin_where_opencv_has_the_boards_origin() -> None:
    twin, axis = actors()["virtual board"], actors()["virtual x"]
    assert isinstance(twin, Mesh) and isinstance(axis, Mesh)
    begin = Rigid(axis.position, axis.orientation).apply((-axis.scale[0] / 2, 0, 0))
    origin = Rigid(twin.position, twin.orientation).apply((-COLUMNS * SQUARE / 2, 0, -ROWS * SQUARE / 2))

    assert begin == pytest.approx(origin)


@pytest.mark.parametrize("label", ["main", "overview"])
def test_the_other_cameras_are_in_the_room_and_see_its_middle(label: str) -> None:
    position = camera(label).position

    assert max(abs(position[0]), abs(position[2])) < WIDTH / 2 and 0 < position[1] < HEIGHT
    assert max(map(abs, seen(camera(label), (0, 0.3, 0)))) < 0.5


def test_cameras_are_upright() -> None:
    for label in ("main", "desk", "overview"):
        right = rotate(camera(label).orientation, (1, 0, 0))
        assert right[1] == pytest.approx(0, abs=1e-9)
        assert rotate(camera(label).orientation, (0, 1, 0))[1] > 0
