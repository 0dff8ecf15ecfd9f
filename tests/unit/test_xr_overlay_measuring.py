"""The overlay's error, as it is read from pixels, is the one that there is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing

import cv2
import numpy as np
import pytest

from agents.engine.render.charuco import board
from agents.parts.rigid import Rigid, turned_by
from agents.xr.cameras.pixels import Pixels
from agents.xr.overlay.blending import seen_through
from agents.xr.overlay.lens import maps
from agents.xr.overlay.measuring import measured
from benchmarks._overlay_scene import DeskScene
from schemas.cameras import CameraModel
from schemas.engine import Intrinsics

WIDTH, HEIGHT = 640, 360
LENS = CameraModel(
    intrinsics=Intrinsics(width=WIDTH, height=HEIGHT, fx=520.0, fy=512.0, cx=331.0, cy=171.0), distortion=(-0.28, 0.09, 0.001, -0.0008, 0.0)
)
LOOKING_DOWN = turned_by((-math.pi / 3, 0.0, 0.0))
AT, SHIFT = np.array([50, 70]), np.array([0.7, -0.4])


def board_at(x: float, y: float) -> Pixels:
    """OpenCV's picture of the board, its upper left corner at this pixel, askew, drawn 8 times as large and averaged."""
    printed = board().generateImage((WIDTH * 6, HEIGHT * 6), marginSize=100)
    sine, cosine = math.sin(0.1), math.cos(0.1)
    placing = np.array([[cosine, sine, 8 * x], [-sine, cosine, 8 * y]])
    large = cv2.warpAffine(printed, placing, (WIDTH * 8, HEIGHT * 8), borderValue=(200,))
    return np.asarray(cv2.cvtColor(cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR), np.uint8)


def opaque(picture: Pixels) -> Pixels:
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


@pytest.fixture(scope="module")
def desk() -> Iterator[DeskScene]:
    with closing(DeskScene(WIDTH, HEIGHT)) as scene:
        yield scene


def test_a_twin_that_is_shifted_is_off_by_that() -> None:
    found = measured(board_at(*AT), opaque(board_at(*(AT + SHIFT))))

    assert found is not None and len(found.seen) == 24
    assert found.error == pytest.approx(np.linalg.norm(SHIFT), abs=0.05)
    np.testing.assert_allclose((found.drawn - found.seen).mean(axis=0), SHIFT, atol=0.05)


def test_what_the_layer_does_not_show_is_not_measured() -> None:
    picture, layer = board_at(*AT), opaque(board_at(*AT))
    layer[:, 200:] = 0

    assert measured(picture, layer) is None
    assert measured(np.full_like(picture, 90), opaque(picture)) is None


@pytest.mark.parametrize("offset", [(0.0, 0.45, 0.26), (0.15, 0.42, 0.25), (-0.12, 0.5, 0.3)])
def test_without_noise_the_overlay_is_less_than_a_pixel_off_through_a_lens_that_bends(
    desk: DeskScene, offset: tuple[float, float, float]
) -> None:
    place = Rigid(tuple(a + b for a, b in zip(desk.board.position, offset, strict=True)), LOOKING_DOWN)
    layer, drawn = desk.layer(place, LENS)

    found = measured(desk.photograph(place, LENS), seen_through(layer, maps(LENS, drawn)))

    assert found is not None and len(found.seen) == 24
    assert found.error < 0.5
    assert np.linalg.norm(found.drawn - desk.corners(place, LENS), axis=1).max() < 1.0
