"""How large actors are: the box of a mesh, and the box along the world's axes around it once it is scaled, turned and moved."""

from __future__ import annotations

from agents.engine.remote.assets import mesh_box
from agents.engine.remote.context import Context
from agents.engine.world import Actor
from agents.parts.frames import Vector, rotate

_AXES: tuple[Vector, Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def world_box(context: Context, actor: Actor) -> tuple[Vector, Vector]:
    """Its centre, and half its size, in centimetres. An actor without a mesh has no size."""
    place, mesh = context.world.place_of(actor), actor.looks.mesh
    box = None if mesh is None else mesh_box(context, mesh)
    if box is None:
        return place.position, (0.0, 0.0, 0.0)
    centre, half = (_times(side, place.scale) for side in box)
    arms = [rotate(place.orientation, _times(axis, half)) for axis in _AXES]
    extent = (sum(abs(arm[0]) for arm in arms), sum(abs(arm[1]) for arm in arms), sum(abs(arm[2]) for arm in arms))
    return _plus(place.position, rotate(place.orientation, centre)), extent


def _times(one: Vector, other: Vector) -> Vector:
    return (one[0] * other[0], one[1] * other[1], one[2] * other[2])


def _plus(one: Vector, other: Vector) -> Vector:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])
