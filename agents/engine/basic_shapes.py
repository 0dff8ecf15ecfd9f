"""Unreal's basic shapes, which every level can name: their paths, and the boxes around them."""

from __future__ import annotations

from agents.engine.world import Box
from agents.parts.remote_control import SHAPES

CUBE, SPHERE, CYLINDER, CONE, PLANE = (f"{SHAPES}/{name}.{name}" for name in ("Cube", "Sphere", "Cylinder", "Cone", "Plane"))

_METRE: Box = ((0.0, 0.0, 0.0), (50.0, 50.0, 50.0))
_FLAT: Box = ((0.0, 0.0, 0.0), (50.0, 50.0, 0.0))
BOXES: dict[str, Box] = {CUBE: _METRE, SPHERE: _METRE, CYLINDER: _METRE, CONE: _METRE, PLANE: _FLAT}
