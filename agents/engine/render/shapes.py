"""Unreal's basic shapes as triangles: one metre across, about their centres, in Panda3D's frame (Z up)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from agents.engine.basic_shapes import CONE, CUBE, CYLINDER, PLANE, SPHERE
from agents.parts.solids import Solid, lathe, squares

RINGS = 12
"""Points of a sphere's profile."""


def plane() -> Solid:
    """A square that faces up."""
    return squares([(0, 0, 1)], half=0.5, distance=0.0)


def cube() -> Solid:
    """Six squares with corners of their own."""
    return squares([(0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0)], half=0.5, distance=0.5)


def sphere() -> Solid:
    angles = np.linspace(-math.pi / 2, math.pi / 2, RINGS)
    return lathe([(math.cos(a) / 2, math.sin(a) / 2, math.cos(a), math.sin(a)) for a in angles])


def cylinder() -> Solid:
    return lathe([(0, -0.5, 0, -1), (0.5, -0.5, 0, -1), (0.5, -0.5, 1, 0), (0.5, 0.5, 1, 0), (0.5, 0.5, 0, 1), (0, 0.5, 0, 1)])


def cone() -> Solid:
    out, up = 2 / math.sqrt(5), 1 / math.sqrt(5)  # its side rises by two for each one inwards
    return lathe([(0, -0.5, 0, -1), (0.5, -0.5, 0, -1), (0.5, -0.5, out, up), (0, 0.5, out, up)])


BASIC: dict[str, Callable[[], Solid]] = {CUBE: cube, SPHERE: sphere, CYLINDER: cylinder, CONE: cone, PLANE: plane}
"""What every level of Unreal can name."""
