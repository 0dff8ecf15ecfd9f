"""Unreal's basic shapes as triangles: one metre across, about their centres, in Panda3D's frame (Z up)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

CUBE = "/Engine/BasicShapes/Cube.Cube"
SPHERE = "/Engine/BasicShapes/Sphere.Sphere"
CYLINDER = "/Engine/BasicShapes/Cylinder.Cylinder"
CONE = "/Engine/BasicShapes/Cone.Cone"
PLANE = "/Engine/BasicShapes/Plane.Plane"

SIDES = 20
"""Faces around what is round."""
RINGS = 12
"""Points of a sphere's profile."""

Vertices = NDArray[np.float32]
"""[n, 6]: a position and its normal."""
Triangles = NDArray[np.uint16]
"""[m, 3]: vertices, counter-clockwise as seen from outside."""
Solid = tuple[Vertices, Triangles]
Profile = Sequence[tuple[float, float, float, float]]
"""Radius and height, and the normal along both, from the bottom to the top; an edge is there twice, with the normals of both its sides."""


def plane() -> Solid:
    """A square that faces up."""
    return _faces([(0, 0, 1)], distance=0.0)


def cube() -> Solid:
    """Six squares with corners of their own."""
    return _faces([(0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0)], distance=0.5)


def sphere() -> Solid:
    angles = np.linspace(-math.pi / 2, math.pi / 2, RINGS)
    return _turned([(math.cos(a) / 2, math.sin(a) / 2, math.cos(a), math.sin(a)) for a in angles])


def cylinder() -> Solid:
    return _turned([(0, -0.5, 0, -1), (0.5, -0.5, 0, -1), (0.5, -0.5, 1, 0), (0.5, 0.5, 1, 0), (0.5, 0.5, 0, 1), (0, 0.5, 0, 1)])


def cone() -> Solid:
    out, up = 2 / math.sqrt(5), 1 / math.sqrt(5)  # its side rises by two for each one inwards
    return _turned([(0, -0.5, 0, -1), (0.5, -0.5, 0, -1), (0.5, -0.5, out, up), (0, 0.5, out, up)])


BASIC: dict[str, Callable[[], Solid]] = {CUBE: cube, SPHERE: sphere, CYLINDER: cylinder, CONE: cone, PLANE: plane}
"""What every level of Unreal can name."""


def _faces(normals: Sequence[tuple[float, float, float]], distance: float) -> Solid:
    """Squares of one metre, this far from the centre along their normals."""
    vertices = []
    for normal in np.array(normals, np.float32):
        side = np.roll(normal, 1)
        other = np.cross(normal, side)
        corners = [normal * distance + (a * side + b * other) / 2 for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        vertices += [np.concatenate([corner, normal]) for corner in corners]
    first = np.arange(0, len(vertices), 4)[:, None, None]
    triangles = first + np.array([[0, 1, 2], [0, 2, 3]])
    return np.array(vertices, np.float32), triangles.reshape(-1, 3).astype(np.uint16)


def _turned(profile: Profile) -> Solid:
    """The solid of revolution of a profile about the Z axis."""
    radius, height, out, up = np.array(profile, np.float32).T[:, :, None]
    angles = np.linspace(0, 2 * math.pi, SIDES + 1)
    cosine, sine, one = np.cos(angles), np.sin(angles), np.ones(SIDES + 1)
    vertices = np.stack([radius * cosine, radius * sine, height * one, out * cosine, out * sine, up * one], -1)
    below = np.arange(len(profile) - 1)[:, None] * (SIDES + 1) + np.arange(SIDES)
    above = below + SIDES + 1
    triangles = np.stack([below, below + 1, above, below + 1, above + 1, above], -1)
    return vertices.reshape(-1, 6).astype(np.float32), triangles.reshape(-1, 3).astype(np.uint16)
