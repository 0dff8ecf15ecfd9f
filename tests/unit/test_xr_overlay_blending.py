"""A layer covers the camera's picture where it is opaque, by as much as is asked for, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from agents.xr.cameras.pixels import Pixels
from agents.xr.overlay.blending import laid_over, seen_through
from agents.xr.overlay.lens import Map

WIDTH, HEIGHT = 64, 36
NOISE = np.random.default_rng(9)


def noise(channels: int) -> Pixels:
    return NOISE.integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)


def opaque(layer: Pixels) -> Pixels:
    return np.dstack([layer[..., :3], np.full((HEIGHT, WIDTH), 255, np.uint8)])


def shifted(by: float) -> tuple[Map, Map]:
    rows, columns = np.indices((HEIGHT, WIDTH), np.float32)
    return columns + np.float32(by), rows


def test_at_alpha_one_an_opaque_layer_is_all_that_is_seen() -> None:
    picture, layer = noise(3), noise(3)

    np.testing.assert_array_equal(laid_over(picture, seen_through(opaque(layer), shifted(0)), alpha=1.0), layer)


def test_at_alpha_zero_the_picture_is_as_it_was() -> None:
    picture = noise(3)

    np.testing.assert_array_equal(laid_over(picture, seen_through(opaque(noise(3)), shifted(0)), alpha=0.0), picture)


def test_where_the_layer_has_nothing_the_picture_is_as_it_was() -> None:
    picture, nothing = noise(3), np.zeros((HEIGHT, WIDTH, 4), np.uint8)

    np.testing.assert_array_equal(laid_over(picture, seen_through(nothing, shifted(0)), alpha=1.0), picture)


@pytest.mark.parametrize("alpha", [0.25, 0.6])
def test_in_between_both_are_mixed(alpha: float) -> None:
    picture, layer = noise(3), noise(3)

    mixed = laid_over(picture, seen_through(opaque(layer), shifted(0)), alpha)

    np.testing.assert_allclose(mixed, alpha * layer.astype(float) + (1 - alpha) * picture, atol=1.5)


def test_an_edge_has_no_fringe_of_what_is_hidden_beside_it() -> None:
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    half = opaque(white)
    half[:, WIDTH // 2 :] = 0

    edge = laid_over(white, seen_through(half, shifted(0.5)), alpha=1.0)

    assert edge.min() >= 254


def test_beyond_the_drawn_picture_there_is_nothing() -> None:
    seen = seen_through(opaque(noise(3)), shifted(WIDTH / 2))

    assert (seen[:, : WIDTH // 2 - 1, 3] == 255).all() and not seen[:, WIDTH // 2 :].any()
