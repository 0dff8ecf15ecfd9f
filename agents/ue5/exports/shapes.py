"""What an actor looks like in a file: one of Unreal's basic shapes, the box that it fills where its mesh is only known by name, or neither.

The engine keeps the meshes; Remote Control hands out where they lie, not what they are made of.
"""

from __future__ import annotations

from itertools import product
from typing import Literal, get_args

from agents.parts.frames import normalised, rotate
from agents.ue5.exports.snapshot import Bounds, Snapshot
from schemas.scene import Actor, Vector

Basic = Literal["Cube", "Sphere", "Cylinder", "Cone", "Plane"]
"""Meshes of `/Engine/BasicShapes/`, 1 m across: cylinder and cone stand upright, the plane lies."""
ASPECT_RATIO = 16 / 9
"""Of a camera's picture, as Unreal's cameras have it unless they are told otherwise."""
NEAR, FAR = 0.1, 1e5
"""Metres from a camera between which it sees: Unreal's near clip plane, and further than anything is."""
GREY = (0.8, 0.8, 0.8)
"""Of what has no colour here, linear RGB."""
FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
"""The sides of a box by its corners (x before y before z, the lower first), counter-clockwise from outside."""

_FLATTEST = 1e-6
"""A scale below which nothing is seen of an actor, and a division by it means nothing."""


def shape(snapshot: Snapshot, actor: Actor) -> Basic | list[Vector] | None:
    """The basic shape that the actor's mesh is, or the eight corners of its bounds along its own axes, which stand in for any other.

    None: it is a camera or a light, its bounds are not known, or it has no size.
    """
    if actor.path in snapshot.cameras or actor.kind.endswith("Light"):
        return None
    return _basic(actor.mesh or "") or _box(actor, snapshot.bounds.get(actor.path))


def _basic(mesh: str) -> Basic | None:
    """Cube for `/Engine/BasicShapes/Cube.Cube`."""
    return next((name for name in get_args(Basic) if mesh == f"/Engine/BasicShapes/{name}.{name}"), None)


def _box(actor: Actor, bounds: Bounds | None) -> list[Vector] | None:
    if bounds is None or not any(bounds[1]) or min(map(abs, actor.scale)) < _FLATTEST:
        return None
    return [_own(actor, corner) for corner in _corners(bounds)]


def _corners(bounds: Bounds) -> list[Vector]:
    centre, half = bounds
    xs, ys, zs = ((middle - size, middle + size) for middle, size in zip(centre, half, strict=True))
    return list(product(xs, ys, zs))


def _own(actor: Actor, point: Vector) -> Vector:
    """A point of the scene, as seen from the actor: moved, turned and scaled back."""
    x, y, z, w = normalised(actor.orientation)
    px, py, pz = actor.position
    dx, dy, dz = rotate((-x, -y, -z, w), (point[0] - px, point[1] - py, point[2] - pz))
    sx, sy, sz = actor.scale
    return (dx / sx, dy / sy, dz / sz)
