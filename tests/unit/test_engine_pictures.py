"""What the embedded engine draws is where OpenCV says it must be, in the colours that actors have, by both renderers."""

from __future__ import annotations

from contextlib import closing

import cv2
import numpy as np
import psutil
import pytest
from drawn import HEIGHT, RENDERERS, WIDTH, corners, edges, frame, projected, reddish, spawn_camera, spawn_mesh, studio
from numpy.typing import NDArray

from agents.engine.render.studio import NoSuchCamera, Studio
from agents.engine.world import Actor, Looks, Shine, Transform, World
from agents.parts.frames import rotation_of_rotator
from schemas.engine import Renderer

NEAR: dict[Renderer, float] = {"software": 1.0, "gl": 0.3}
"""Pixels from an outline where either is right: Panda3D's rasterizer puts vertices on whole pixels."""
PLACES = [
    (Transform((0.0, 0.0, 0.0)), Transform((-400.0, 0.0, 0.0))),
    (Transform((50.0, 80.0, 30.0), rotation_of_rotator((10.0, 25.0, -30.0)), (1.0, 0.5, 0.7)), Transform((-350.0, 0.0, 0.0))),
    (Transform((0.0, 0.0, 100.0)), Transform((300.0, -200.0, 250.0), rotation_of_rotator((-25.0, 145.0, 0.0)))),
    (Transform((0.0, 0.0, 0.0), scale=(1.0, 2.0, 0.3)), Transform((-500.0, 30.0, 0.0), rotation_of_rotator((0.0, 0.0, 35.0)))),
]


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize(("cube", "camera"), PLACES)
def test_a_cube_is_drawn_where_opencv_projects_its_corners(renderer: Renderer, cube: Transform, camera: Transform) -> None:
    world = World()
    spawn_mesh(world, cube)
    spawn_camera(world, camera)
    with closing(studio(world, renderer)) as drawing:
        seen = reddish(frame(drawing))
        outline = cv2.convexHull(projected(corners(cube), drawing.shot("main").picture).astype(np.float32))

    inside = np.array([[cv2.pointPolygonTest(outline, (column, row), True) for column in range(WIDTH)] for row in range(HEIGHT)])
    assert seen[inside > NEAR[renderer]].all()
    assert not seen[inside < -NEAR[renderer]].any()


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_colour_is_drawn_as_bright_as_its_light(renderer: Renderer) -> None:
    world = World()
    spawn_mesh(world, Transform(), colour=(0.8, 0.4, 0.2, 1.0))
    spawn_camera(world, Transform((-200.0, 0.0, 0.0)))
    with closing(studio(world, renderer)) as drawing:
        dark = frame(drawing)[HEIGHT // 2, WIDTH // 2]
        sun = world.spawn("DirectionalLight", Transform(), Looks(shine=Shine(0.5)))
        lit = frame(drawing)[HEIGHT // 2, WIDTH // 2]
        world.look(sun, Looks(shine=Shine(0.5, (0.0, 1.0, 0.0, 1.0))))
        green = frame(drawing)[HEIGHT // 2, WIDTH // 2]
        world.destroy(sun.name)
        dark_again = frame(drawing)[HEIGHT // 2, WIDTH // 2]

    assert np.array_equal(dark, dark_again)
    assert dark == pytest.approx([0.35 * 51, 0.35 * 102, 0.35 * 204], abs=2)
    assert lit == pytest.approx([0.85 * 51, 0.85 * 102, 0.85 * 204], abs=2)
    assert green == pytest.approx([0.35 * 51, 0.85 * 102, 0.35 * 204], abs=2)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_light_shines_along_its_own_x_and_from_where_it_is(renderer: Renderer) -> None:
    world = World()
    spawn_mesh(world, Transform(), colour=(1.0, 1.0, 1.0, 1.0))
    spawn_camera(world, Transform((-200.0, 0.0, 0.0)))
    sun = world.spawn("DirectionalLight", Transform(orientation=rotation_of_rotator((0.0, 180.0, 0.0))), Looks(shine=Shine(0.5)))
    with closing(studio(world, renderer)) as drawing:
        from_behind = frame(drawing)[HEIGHT // 2, WIDTH // 2, 0]
        world.destroy(sun.name)
        world.spawn("PointLight", Transform((-200.0, 0.0, 0.0)), Looks(shine=Shine(0.5)))
        from_the_camera = frame(drawing)[HEIGHT // 2, WIDTH // 2, 0]

    assert from_behind == pytest.approx(0.35 * 255, abs=2)
    assert from_the_camera > 0.6 * 255


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_picture_is_of_its_own_camera_whatever_was_drawn_before(renderer: Renderer) -> None:
    world = World()
    spawn_mesh(world, Transform((1000.0, 0.0, 0.0)))
    spawn_camera(world, Transform())
    spawn_camera(world, Transform(orientation=rotation_of_rotator((0.0, 180.0, 0.0))), label="back")
    with closing(studio(world, renderer)) as drawing:
        forward = frame(drawing)
        back = drawing.shot("back")
        again = drawing.shot("main")

    assert reddish(forward).any()
    assert not reddish(back.pixels).any()
    assert (back.picture.camera, again.picture.camera) == ("back", "main")
    assert np.array_equal(forward, again.pixels)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_screenshot_has_the_size_that_was_asked_for_and_shows_the_same(renderer: Renderer) -> None:
    world = World()
    cube = Transform(orientation=rotation_of_rotator((0.0, 0.0, 20.0)))
    spawn_mesh(world, cube)
    spawn_camera(world, Transform((-400.0, 0.0, 0.0)))
    with closing(studio(world, renderer)) as drawing:
        small = edges(reddish(frame(drawing)))
        picture = cv2.imdecode(np.frombuffer(drawing.screenshot("main", 2 * WIDTH, 2 * HEIGHT), np.uint8), cv2.IMREAD_COLOR)

    assert picture.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert np.abs(np.array(edges(reddish(picture))) / 2 - small).max() <= 1


@pytest.mark.parametrize("renderer", RENDERERS)
def test_pictures_are_true_in_the_mean_to_a_twentieth_of_a_pixel(renderer: Renderer) -> None:
    world = World()
    cube = spawn_mesh(world, Transform())
    spawn_camera(world, Transform((-600.0, 0.0, 0.0)))
    with closing(studio(world, renderer)) as drawing:
        offsets = [offset(world, drawing, cube, number) for number in range(60)]

    assert np.abs(np.mean(offsets, 0)).max() < 0.05


def offset(world: World, drawing: Studio, cube: Actor, number: int) -> NDArray[np.float64]:
    """How far the middle of what is drawn of the cube, put somewhere, is from the middle of its outline."""
    chance = np.random.default_rng(number)
    turned = rotation_of_rotator(tuple(chance.uniform(-80, 80, 3)))
    place = Transform(tuple(chance.uniform(-70, 70, 3)), turned, (1.0, 0.6, 0.8))
    world.move(cube, place)
    rows, columns = np.nonzero(reddish(frame(drawing)))
    outline = cv2.convexHull(projected(corners(place), drawing.shot("main").picture).astype(np.float32))
    moments = cv2.moments(outline)
    return np.array([columns.mean() - moments["m10"] / moments["m00"], rows.mean() - moments["m01"] / moments["m00"]])


def test_a_screenshot_of_the_software_renderer_has_smooth_edges() -> None:
    world = World()
    spawn_mesh(world, Transform(orientation=rotation_of_rotator((0.0, 0.0, 20.0))))
    spawn_camera(world, Transform((-400.0, 0.0, 0.0)))
    with closing(studio(world, "software")) as drawing:
        hard = len(np.unique(frame(drawing)[..., 2]))
        picture = cv2.imdecode(np.frombuffer(drawing.screenshot(None, WIDTH, HEIGHT), np.uint8), cv2.IMREAD_COLOR)

    assert hard == 2
    assert len(np.unique(picture[..., 2])) > 5


def test_a_camera_that_is_not_there_is_named_with_those_that_are() -> None:
    world = World()
    spawn_camera(world, Transform(), label="desk")
    with closing(studio(world, "software")) as drawing:
        drawing.stage.take_over()
        with pytest.raises(NoSuchCamera, match=r"no camera 'dsek': there are \['desk'\]"):
            drawing.shot("dsek")


def test_without_a_main_camera_the_origin_is_seen_from_behind() -> None:
    world = World()
    spawn_mesh(world, Transform())
    with closing(studio(world, "software")) as drawing:
        drawing.stage.take_over()
        png = drawing.screenshot(None, WIDTH, HEIGHT)

    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    left, right, top, bottom = edges(reddish(picture))
    assert abs((left + right) / 2 - WIDTH / 2) < 2
    assert top < HEIGHT / 2 + 20 < bottom + 40


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_screenshot_is_the_same_whatever_size_was_taken_before(renderer: Renderer) -> None:
    world = World()
    spawn_mesh(world, Transform())
    spawn_camera(world, Transform((-400.0, 0.0, 0.0)))
    with closing(studio(world, renderer)) as drawing:
        live = frame(drawing)
        first = drawing.screenshot("main", WIDTH, HEIGHT)
        drawing.screenshot("main", 3 * WIDTH, 2 * HEIGHT)
        drawing.screenshot("main", WIDTH // 2, HEIGHT)
        last = drawing.screenshot("main", WIDTH, HEIGHT)
        live_again = frame(drawing)

    assert first == last
    assert np.array_equal(live, live_again)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_twenty_screenshots_take_no_more_memory_than_two(renderer: Renderer) -> None:
    world = World()
    spawn_mesh(world, Transform())
    with closing(studio(world, renderer)) as drawing:
        drawing.stage.take_over()
        sizes = [(640, 360), (600, 400)]
        for width, height in sizes:
            drawing.screenshot(None, width, height)
        before = psutil.Process().memory_info().rss
        for width, height in sizes * 9:
            drawing.screenshot(None, width, height)

    assert psutil.Process().memory_info().rss - before < 48 << 20  # three canvases of this size
