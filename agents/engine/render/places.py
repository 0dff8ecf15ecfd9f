"""Where an actor is, as Panda3D takes it."""

from __future__ import annotations

from panda3d.core import LQuaternion, LVecBase3, NodePath

from agents.engine.world import Transform
from agents.parts.frames import rotation_unreal_to_panda, scale_unreal_to_panda, unreal_to_panda

FARTHEST = 1e8
"""Centimetres, and factors: beyond it single precision says nothing, and Bullet never ends."""
_SHORTEST = 1e-6
"""Of a quaternion, squared: a shorter one has no direction that rounding has left."""


def fits(transform: Transform) -> bool:
    """Whether it can be drawn: finite, neither too far nor too large, and turned by something. NaN is none of it."""
    near = all(-FARTHEST < number < FARTHEST for number in (*transform.position, *transform.scale))
    return near and _SHORTEST < sum(part * part for part in transform.orientation) < FARTHEST


def place(node: NodePath, transform: Transform) -> None:
    """Put a node where the actor is, turned as it is; it keeps its scale. The transform must fit."""
    x, y, z, w = rotation_unreal_to_panda(transform.orientation)
    turned = LQuaternion(w, x, y, z)
    turned.normalize()
    node.set_pos_quat(LVecBase3(*unreal_to_panda(transform.position)), turned)


def scale_of(transform: Transform) -> LVecBase3:
    return LVecBase3(*scale_unreal_to_panda(transform.scale))
