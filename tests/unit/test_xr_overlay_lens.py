"""The engine's pinhole picture has all that a distorted camera sees, and each pixel of the camera finds its own there."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.xr.calibration.poses import camera_matrix
from agents.xr.overlay.lens import OUTSIDE, BadCamera, Points, enclosing_view, maps
from schemas.cameras import CameraModel
from schemas.engine import Intrinsics

WIDTH, HEIGHT = 160, 120
SIZES = st.sampled_from([(160, 120), (320, 180), (90, 160)])


@st.composite
def cameras(draw: st.DrawFn) -> CameraModel:
    """With pixels that are not square, an axis off the middle, and as much distortion as lenses have that are not fisheyes."""
    within = {name: draw(st.floats(low, high)) for name, low, high in (("fx", 170, 250), ("fy", 170, 250), ("cx", 65, 95), ("cy", 48, 72))}
    strength = (0.2, 0.05, 0.003, 0.003, 0.01)
    distortion = tuple(draw(st.floats(-most, most)) for most in strength)
    k1, k2, p1, p2, k3 = distortion
    return CameraModel(intrinsics=Intrinsics(width=WIDTH, height=HEIGHT, **within), distortion=(k1, k2, p1, p2, k3))


def pinhole(field_of_view: float, width: int, height: int) -> Intrinsics:
    focal = width / 2 / math.tan(field_of_view / 2)
    return Intrinsics(width=width, height=height, fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2)


def seen(camera: CameraModel, rays: Points) -> Points:
    """The pixels of rays [n, 2], as OpenCV projects them."""
    pixels, _ = cv2.projectPoints(
        np.column_stack([rays, np.ones(len(rays))]), np.zeros(3), np.zeros(3), camera_matrix(camera), np.array(camera.distortion)
    )
    return pixels.reshape(-1, 2)


@settings(max_examples=60, deadline=None)
@given(cameras(), SIZES)
def test_opencv_projects_onto_each_pixel_what_it_takes(camera: CameraModel, size: tuple[int, int]) -> None:
    drawn = pinhole(enclosing_view(camera, *size), *size)

    across, down = maps(camera, drawn)

    rays = np.stack([(across - drawn.cx) / drawn.fx, (down - drawn.cy) / drawn.fy], axis=-1).reshape(-1, 2)
    rows, columns = np.indices((HEIGHT, WIDTH))
    assert np.abs(seen(camera, rays) - np.stack([columns, rows], axis=-1).reshape(-1, 2)).max() < 0.01


@settings(max_examples=60, deadline=None)
@given(cameras(), SIZES)
def test_the_view_has_every_pixel_and_could_not_be_narrower(camera: CameraModel, size: tuple[int, int]) -> None:
    across, down = maps(camera, pinhole(enclosing_view(camera, *size), *size))

    beyond = [max(-at.min(), at.max() - (edge - 1)) for at, edge in zip((across, down), size, strict=True)]
    assert max(beyond) == pytest.approx(0, abs=1e-3)


def test_a_camera_like_the_engines_own_takes_each_pixel_from_its_place() -> None:
    drawn = pinhole(1.2, WIDTH, HEIGHT)

    across, down = maps(CameraModel(intrinsics=drawn), drawn)

    assert enclosing_view(CameraModel(intrinsics=drawn), WIDTH, HEIGHT) == pytest.approx(1.2)
    np.testing.assert_allclose([across, down], np.indices((HEIGHT, WIDTH))[::-1], atol=1e-3)


def test_pixels_that_no_ray_meets_take_nothing() -> None:
    folded = CameraModel(intrinsics=pinhole(1.4, WIDTH, HEIGHT), distortion=(-0.25, 0.0, 0.0, 0.0, 0.0))

    across, down = maps(folded, pinhole(2.4, WIDTH, HEIGHT))

    assert across[0, 0] == down[0, 0] == OUTSIDE
    assert (across[HEIGHT // 2, WIDTH // 4 : -WIDTH // 4] > 0).all()


@pytest.mark.parametrize(
    ("field_of_view", "k1", "reason"), [(3.0, 0.0, "the camera sees 172 degrees"), (1.4, -5.0, "folds the picture within its border")]
)
def test_a_camera_that_no_pinhole_view_covers_is_refused(field_of_view: float, k1: float, reason: str) -> None:
    camera = CameraModel(intrinsics=pinhole(field_of_view, WIDTH, HEIGHT), distortion=(k1, 0.0, 0.0, 0.0, 0.0))

    with pytest.raises(BadCamera, match=reason):
        enclosing_view(camera, WIDTH, HEIGHT)
