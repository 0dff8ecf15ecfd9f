"""OpenCV finds the ChArUco board where it is in what Panda3D draws, and glTF files have their colours and pictures there."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import RENDERERS, Pixels, frame, projected, studio
from gltf_samples import BINARY, SQUARE, sample, write
from msgspec.structs import replace

from agents.engine.render.camera import intrinsics
from agents.engine.render.charuco import CELL, COLUMNS, MARGIN, ROWS, board, rectangles
from agents.engine.render.charuco import SQUARE as EDGE
from agents.engine.scenes.loading import default, read_scene
from agents.engine.world import World
from agents.parts.frames import Vector, rotate, to_unreal
from schemas.engine import Picture, Renderer

WIDTH, HEIGHT = 1280, 720


def desk(renderer: Renderer) -> tuple[World, Pixels, Picture]:
    """The default scene, and what its camera at the desk sees."""
    world = World()
    with closing(studio(world, renderer)) as drawing:
        drawing.load(default(0))
        frame(drawing)
        shot = cv2.imdecode(np.frombuffer(drawing.screenshot("desk", WIDTH, HEIGHT), np.uint8), cv2.IMREAD_COLOR)
        picture = drawing.shot("desk").picture
    camera = world.labelled("desk")
    assert camera is not None and camera.looks.optics is not None
    return world, shot, replace(picture, intrinsics=intrinsics(camera.looks.optics, WIDTH, HEIGHT))


def on_board(world: World, x: float, y: float) -> Vector:
    """A point of OpenCV's board, in Unreal's frame."""
    actor = world.labelled("charuco board")
    assert actor is not None
    place = to_unreal((x - COLUMNS * EDGE / 2, 0.0, y - ROWS * EDGE / 2))
    turned = rotate(actor.transform.orientation, place)
    return (turned[0] + actor.transform.position[0], turned[1] + actor.transform.position[1], turned[2] + actor.transform.position[2])


@pytest.mark.parametrize("renderer", RENDERERS)
def test_opencv_finds_every_corner_of_the_board_on_the_desk_where_it_is(renderer: Renderer) -> None:
    world, shot, picture = desk(renderer)

    found, numbers, _, _ = cv2.aruco.CharucoDetector(board()).detectBoard(shot)

    corners = board().getChessboardCorners()
    assert sorted(numbers.ravel()) == list(range(len(corners)))
    true = projected([on_board(world, float(x), float(y)) for x, y, _ in corners[numbers.ravel()]], picture)
    assert np.linalg.norm(found.reshape(-1, 2) - true, axis=1).max() < 0.3


def test_the_boards_squares_are_opencvs_own_picture_of_it() -> None:
    cells = {(round(tile.x0 / CELL), round(tile.y0 / CELL)): tile.black for tile in rectangles()}
    across, down = round(COLUMNS * EDGE / CELL), round(ROWS * EDGE / CELL)

    picture = board().generateImage((across * 10, down * 10), marginSize=0)[5::10, 5::10]

    assert [[cells[x, y] for x in range(across)] for y in range(down)] == (picture < 128).tolist()


def test_the_boards_squares_cover_it_once() -> None:
    tiles = rectangles()
    area = sum((tile.x1 - tile.x0) * (tile.y1 - tile.y0) for tile in tiles)

    assert len({(tile.x0, tile.y0) for tile in tiles}) == len(tiles)
    assert area == pytest.approx((COLUMNS * EDGE + 2 * MARGIN) * (ROWS * EDGE + 2 * MARGIN))


def test_around_the_chessboard_there_is_white() -> None:
    outside = [
        tile for tile in rectangles() if tile.x0 < 0 or tile.y0 < 0 or tile.x1 > COLUMNS * EDGE + 1e-9 or tile.y1 > ROWS * EDGE + 1e-9
    ]

    assert outside and not any(tile.black for tile in outside)


def lying_square(folder: Path, textured: bool) -> Path:
    """The sample with its square alone, on its back around the origin, two metres wide."""
    document = sample()
    document["nodes"] = [{"mesh": 0}]
    document["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [0.4, 0.2, 0.1, 1]
    if not textured:
        del document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    lying = np.stack([SQUARE[:, 0] - 1, 0 * SQUARE[:, 0], 0.5 - SQUARE[:, 1]], 1)
    return write(folder / "square.glb", document, lying.astype(np.float32).tobytes() + BINARY[SQUARE.nbytes :])


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize(("textured", "colour"), [(False, (0.25, 0.5, 1)), (True, (0, 0, 1))])
def test_a_mesh_has_its_materials_colour_and_picture(tmp_path: Path, renderer: Renderer, textured: bool, colour: Vector) -> None:
    world = World()
    with closing(studio(world, renderer)) as drawing:
        drawing.load(read_scene(lying_square(tmp_path, textured)))
        pixels = frame(drawing)

    middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].astype(float)
    assert 60 < middle[2] < 250
    np.testing.assert_allclose(middle / middle[2], colour, atol=0.02)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_an_actors_colour_is_laid_over_its_meshs(tmp_path: Path, renderer: Renderer) -> None:
    world = World()
    with closing(studio(world, renderer)) as drawing:
        drawing.load(read_scene(lying_square(tmp_path, textured=False)))
        square = next(actor for actor in world.actors.values() if actor.looks.mesh)
        world.look(square, replace(square.looks, colour=(0.0, 1.0, 1.0, 1.0)))
        pixels = frame(drawing)

    assert pixels[pixels.shape[0] // 2, pixels.shape[1] // 2, 2] == 0
