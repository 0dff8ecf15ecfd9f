"""Calibration against the truth: the engine's own pictures of its board, of which every corner and the camera are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import pytest
from drawn import frame, projected, studio
from msgspec.structs import replace
from numpy.typing import NDArray

from agents.engine.render import charuco
from agents.engine.render.camera import intrinsics
from agents.engine.render.studio import Studio
from agents.engine.scenes.loading import default
from agents.engine.world import Actor, Optics, Transform, World
from agents.parts.frames import from_unreal, rotation_from_unreal, rotation_to_unreal, to_unreal
from agents.parts.rigid import Rigid, angle_between, turned_by
from agents.xr.calibration.boards import corner_points, middle
from agents.xr.calibration.hand_eye import Pair, find_mount
from agents.xr.calibration.intrinsics import solve
from agents.xr.calibration.looking import look
from agents.xr.calibration.poses import board_pose
from agents.xr.calibration.tour import tour
from agents.xr.calibration.view import Sighting, View
from schemas.cameras import Board
from schemas.engine import Intrinsics, Picture

WIDTH, HEIGHT = 960, 540
TWICE = 2
"""As large are screenshots, and their pixels the mean of three by three already: what the renderer is off must not be the detector's."""
VIEWS = 12
BOARD = Board()
MOUNT = Rigid((0.03, 0.06, -0.08), turned_by((0.35, -0.1, 0.05)))
"""Of the camera on its tracker."""


@dataclass(frozen=True)
class Seen:
    """A view of the tour: what was found in it, where the corners are in truth [n, 2], and where the camera was."""

    sighting: Sighting
    true: NDArray[np.float64]
    camera: Rigid


@cache
def toured() -> tuple[Intrinsics, list[Seen]]:
    """What the engine's camera at the desk sees on its tour around the board, each pixel the mean of several."""
    world = World()
    with closing(studio(world, "gl")) as drawing:
        drawing.load(default(0))
        frame(drawing)
        camera, board = world.labelled("desk"), world.labelled("charuco board")
        assert camera is not None and board is not None
        lens = intrinsics(camera.looks.optics or Optics(), WIDTH, HEIGHT)
        lying = Rigid(from_unreal(board.transform.position), rotation_from_unreal(board.transform.orientation))
        return lens, [seen(drawing, world, camera, pose, lying, lens) for pose in tour(BOARD, lying, lens, VIEWS)]


def seen(drawing: Studio, world: World, camera: Actor, pose: Rigid, lying: Rigid, lens: Intrinsics) -> Seen:
    world.move(camera, Transform(to_unreal(pose.position), rotation_to_unreal(pose.orientation)))
    frame(drawing)
    shot = drawing.screenshot("desk", TWICE * WIDTH, TWICE * HEIGHT)
    large = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)
    pixels = cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    sighting = look(View("", np.asarray(pixels, np.uint8), pose.then(MOUNT.inverse())), BOARD)
    assert isinstance(sighting, Sighting), sighting
    return Seen(sighting, corners(lying, drawing.shot("desk").picture, lens)[sighting.corners.numbers], pose)


def corners(lying: Rigid, picture: Picture, lens: Intrinsics) -> NDArray[np.float64]:
    """Where they are in a picture, by where the engine has board and camera."""
    across, down = middle(BOARD)
    points = [lying.apply((float(x) - across, 0.0, float(y) - down)) for x, y, _ in corner_points(BOARD)]
    return projected([to_unreal(point) for point in points], replace(picture, intrinsics=lens))


def off(views: Sequence[Seen]) -> NDArray[np.float64]:
    """Pixels from each corner that was found to the true one."""
    return np.concatenate([np.linalg.norm(view.sighting.corners.points - view.true, axis=1) for view in views])


def test_corners_are_found_within_a_third_of_a_pixel_of_the_truth() -> None:
    _, views = toured()

    errors = off(views)

    assert len(errors) > 0.95 * VIEWS * len(corner_points(BOARD))
    assert np.sqrt(np.mean(errors**2)) < 0.1
    assert errors.max() < 0.3


def test_the_boards_that_the_engine_draws_and_that_is_calibrated_by_are_one() -> None:
    own = (charuco.COLUMNS, charuco.ROWS, charuco.SQUARE, charuco.MARKER, charuco.DICTIONARY)
    assert own == (BOARD.columns, BOARD.rows, BOARD.square, BOARD.marker, getattr(cv2.aruco, BOARD.dictionary))


def test_the_engines_focal_length_comes_out_within_a_fifth_of_a_percent() -> None:
    lens, views = toured()

    solved = solve([view.sighting for view in views], BOARD)

    found = solved.fit.camera.intrinsics
    assert (found.fx, found.fy) == pytest.approx((lens.fx, lens.fy), rel=2e-3)
    assert (found.cx, found.cy) == pytest.approx((lens.cx, lens.cy), abs=2)


def test_the_mount_comes_out_within_a_millimetre_and_a_tenth_of_a_degree() -> None:
    _, views = toured()
    camera = solve([view.sighting for view in views], BOARD).fit.camera

    pairs = [Pair(view.camera.then(MOUNT.inverse()), seen) for view in views if (seen := board_pose(view.sighting.corners, BOARD, camera))]
    mount = find_mount(pairs, BOARD)

    assert math.dist(mount.position, MOUNT.position) < 1e-3
    assert math.degrees(angle_between(mount.orientation, MOUNT.orientation)) < 0.1
