"""Cameras from what they saw: computed pictures of a camera that is known, and OpenCV's own photographs of a chessboard."""

from __future__ import annotations

from dataclasses import replace as replaced
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray
from pictured import CHARUCO, IDEAL, LENS, bent, pictures, places, true_corners

from agents.xr.calibration.intrinsics import fit, solve
from agents.xr.calibration.looking import look
from agents.xr.calibration.poses import camera_matrix
from agents.xr.calibration.view import Corners, Sighting, View
from agents.xr.cameras.pixels import Pixels
from schemas.cameras import Board, CameraModel

VIEWS = 12
BARREL = replace(IDEAL, distortion=(-0.28, 0.07, 0.001, -0.0008, 0.0))
PHOTOGRAPHS = Path("/usr/share/doc/opencv-doc/examples/data")
CHESSBOARD = Board(pattern="chessboard", columns=9, rows=6, square=0.025)
PHOTOGRAPHED = 13
"""There is no left10."""
OPENCVS = 11
"""Pixels: half the side of the window by which OpenCV's samples refine a corner."""


@cache
def views() -> list[View]:
    return pictures(CHARUCO, places(CHARUCO, VIEWS))


def sighted(seen: list[View], board: Board = CHARUCO) -> list[Sighting]:
    return [found for view in seen if isinstance(found := look(view, board), Sighting)]


def on_film(camera: CameraModel) -> NDArray[np.float64]:
    """Where a camera sees all the corners that IDEAL saw on the tour [n, 2]."""
    straight = np.concatenate([true_corners(CHARUCO, pose) for pose in places(CHARUCO, VIEWS)])
    ahead = np.column_stack([(straight - (LENS.cx, LENS.cy)) / LENS.fx, np.ones(len(straight))])
    seen, _ = cv2.projectPoints(ahead, np.zeros(3), np.zeros(3), camera_matrix(camera), np.array(camera.distortion))
    return seen.reshape(-1, 2)


def shaken(sighting: Sighting, pixels: float) -> Sighting:
    """With its corners so far off, RMS in each direction."""
    off = np.random.default_rng(2).normal(0, pixels, sighting.corners.points.shape)
    moved = (sighting.corners.points + off).astype(np.float32)
    return replaced(sighting, corners=Corners(sighting.corners.numbers, moved))


def photographs() -> list[Path]:
    """Those of Debian's opencv-doc; skips the test where it is not installed."""
    found = sorted(PHOTOGRAPHS.glob("left[01][0-9].jpg"))
    if not found:
        pytest.skip(f"this needs Debian's opencv-doc: there is no left01.jpg in {PHOTOGRAPHS}")
    return found


def read(path: Path) -> Pixels:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def by_opencvs_sample(path: Path) -> Sighting:
    """The corners as OpenCV's calibration sample finds them."""
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    _, seen = cv2.findChessboardCorners(grey, (CHESSBOARD.columns, CHESSBOARD.rows))
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 30, 0.1)
    points = cv2.cornerSubPix(grey, np.asarray(seen, np.float32), (OPENCVS, OPENCVS), (-1, -1), until).reshape(-1, 2)
    corners = Corners(np.arange(len(points), dtype=np.int32), np.asarray(points, np.float32))
    return Sighting(path.name, (grey.shape[1], grey.shape[0]), corners)


def test_the_focal_length_comes_out_within_a_fifth_of_a_percent() -> None:
    found = solve(sighted(views()), CHARUCO)

    lens = found.fit.camera.intrinsics
    assert (lens.fx, lens.fy) == pytest.approx((LENS.fx, LENS.fy), rel=2e-3)
    assert abs(lens.fx - LENS.fx) < 4 * found.fit.deviations[0]


def test_a_lens_that_bends_is_known_to_less_than_a_pixel_wherever_the_board_was() -> None:
    seen = [View(view.name, bent(view.picture, BARREL)) for view in views()]

    found = solve(sighted(seen), CHARUCO)

    assert found.fit.camera.intrinsics.fx == pytest.approx(LENS.fx, rel=2e-3)
    assert np.linalg.norm(on_film(found.fit.camera) - on_film(BARREL), axis=1).max() < 0.75


def test_a_view_whose_corners_are_off_is_left_out() -> None:
    good = sighted(views())

    found = solve([*good[:3], shaken(good[3], 4.0), *good[4:]], CHARUCO)

    assert np.nonzero(~found.used)[0].tolist() == [3]
    assert found.errors[3] > 1 > found.fit.rms


def test_no_more_than_a_third_of_the_views_are_left_out() -> None:
    spoilt = [shaken(view, pixels) for view, pixels in zip(sighted(views()), [0.01] * 7 + [20.0] * 5, strict=True)]

    found = solve(spoilt, CHARUCO)

    assert found.used.sum() == VIEWS - VIEWS // 3


def test_opencvs_corners_of_its_photographs_give_opencvs_camera() -> None:
    found = fit([by_opencvs_sample(path) for path in photographs()], CHESSBOARD)

    assert len(found.errors) == PHOTOGRAPHED
    assert found.camera.intrinsics.fx == pytest.approx(535.9, abs=1)
    assert found.rms == pytest.approx(0.39, abs=0.01)


def test_our_corners_of_opencvs_photographs_fit_twice_as_well() -> None:
    """In left02 the squares are 22 pixels wide: the window of OpenCV's sample reaches the next corners, and that view does not fit."""
    sightings = [look(View(path.name, read(path)), CHESSBOARD) for path in photographs()]

    found = solve([sighting for sighting in sightings if isinstance(sighting, Sighting)], CHESSBOARD)

    assert found.used.sum() == PHOTOGRAPHED
    assert not solve([by_opencvs_sample(path) for path in photographs()], CHESSBOARD).used[1]
    assert found.fit.camera.intrinsics.fx == pytest.approx(535.9, rel=6e-3)
    assert found.fit.rms < 0.2


def test_the_photographs_agree_on_our_focal_length_when_half_of_them_are_asked() -> None:
    sightings = [seen for path in photographs() if isinstance(seen := look(View(path.name, read(path)), CHESSBOARD), Sighting)]

    odd, even = (solve(sightings[start::2], CHESSBOARD).fit.camera.intrinsics.fx for start in (0, 1))

    assert odd == pytest.approx(even, abs=0.5)
