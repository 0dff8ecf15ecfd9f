"""Draws worlds for tests: a studio of each renderer, and where OpenCV says that a point of a level is in a picture."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agents.engine.render.pipes import PROBE_SECONDS, Choice, probe
from agents.engine.render.studio import Studio
from agents.engine.world import Actor, Body, Looks, Optics, Transform, World
from agents.parts.frames import Quaternion, Vector, from_unreal, rotate
from schemas.engine import Picture, Renderer

RENDERERS: tuple[Renderer, ...] = ("software", "gl")
WIDTH, HEIGHT = 320, 180
CUBE = "/Engine/BasicShapes/Cube.Cube"
RED = (1.0, 0.0, 0.0, 1.0)

Pixels = NDArray[np.uint8]


@cache
def trouble() -> str | None:
    """Why OpenGL draws nothing on this machine."""
    return probe(PROBE_SECONDS, threading.Event())


def studio(world: World, renderer: Renderer) -> Studio:
    """Skips the test where the renderer does not work."""
    if renderer == "gl" and (reason := trouble()) is not None:
        pytest.skip(f"this needs libegl1, libegl-mesa0 and libgl1-mesa-dri: {reason}")
    return Studio(world, Choice(renderer=renderer), WIDTH, HEIGHT)


def spawn_camera(world: World, transform: Transform, field_of_view: float = 60.0, label: str = "main") -> Actor:
    return world.spawn("CameraActor", transform, Looks(optics=Optics(field_of_view)), label)


def spawn_mesh(
    world: World,
    transform: Transform,
    mesh: str = CUBE,
    colour: Sequence[float] = RED,
    body: Body | None = None,
    virtual: bool = False,
) -> Actor:
    return world.spawn("StaticMeshActor", transform, Looks(mesh=mesh, colour=tuple(colour), body=body, virtual=virtual))


def frame(studio: Studio) -> Pixels:
    """What the main camera sees in the next frame."""
    studio.stage.take_over()
    studio.draw()
    return studio.shot("main").pixels


def reddish(pixels: Pixels) -> NDArray[np.bool_]:
    blue, green, red = np.moveaxis(pixels.astype(int), -1, 0)
    return red > blue + green + 40


def edges(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The first and last column and row of a mask."""
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(columns.max()), int(rows.min()), int(rows.max())


def projected(points: Sequence[Vector], picture: Picture) -> NDArray[np.float64]:
    """Where points of Unreal's frame are in a picture [n, 2], as OpenCV sees it: y down, looking along +Z."""
    to_camera = conjugate(picture.orientation)
    seen = []
    for point in points:
        x, y, z = rotate(to_camera, subtracted(from_unreal(point), picture.position))
        seen.append((x, -y, -z))
    lens = picture.intrinsics
    matrix = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    pixels, _ = cv2.projectPoints(np.array(seen), np.zeros(3), np.zeros(3), matrix, np.zeros(4))
    return pixels.reshape(-1, 2)


def conjugate(orientation: Quaternion) -> Quaternion:
    x, y, z, w = orientation
    return (-x, -y, -z, w)


def subtracted(one: Vector, other: Vector) -> Vector:
    return (one[0] - other[0], one[1] - other[1], one[2] - other[2])


def corners(transform: Transform) -> list[Vector]:
    """Of a cube of Unreal's."""
    found = []
    for signs in np.ndindex(2, 2, 2):
        x, y, z = (100 * factor * (sign - 0.5) for factor, sign in zip(transform.scale, signs, strict=True))
        turned = rotate(transform.orientation, (x, y, z))
        found.append((turned[0] + transform.position[0], turned[1] + transform.position[1], turned[2] + transform.position[2]))
    return found
