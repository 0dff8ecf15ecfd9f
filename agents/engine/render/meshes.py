"""The meshes that actors name: Unreal's basic shapes, the calibration board, and those that a scene brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from panda3d.core import NodePath

from agents.engine.basic_shapes import CUBE
from agents.engine.render.charuco import board_mesh
from agents.engine.render.shapes import BASIC
from agents.engine.scenes.default import BOARD
from agents.engine.world import Box
from agents.parts.frames import Vector, panda_to_unreal
from agents.parts.solids import geometry

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Mesh:
    """What is drawn, unmoved and unscaled, and the box around it: metres in Panda3D's frame."""

    path: str
    node: NodePath
    low: Vector
    high: Vector


class Meshes:
    """Finds a mesh by its path. A path that nothing is known of is drawn as a cube, and said once."""

    def __init__(self) -> None:
        self._own = {path: _mesh(path, NodePath(geometry(make()))) for path, make in BASIC.items()}
        self._own[BOARD] = _mesh(BOARD, board_mesh())
        self._added: dict[str, Mesh] = {}
        self._missed: set[str] = set()

    def replace(self, meshes: Mapping[str, NodePath]) -> None:
        """Take the meshes of another scene, by path, instead of those of the one before."""
        self._added = {path: _mesh(path, node) for path, node in meshes.items()}
        self._missed.clear()

    @property
    def unknown(self) -> list[str]:
        """Paths that were asked for in vain."""
        return sorted(self._missed)

    @property
    def boxes(self) -> dict[str, Box]:
        """Of each mesh that is no basic shape, in Unreal's frame."""
        return {path: _box(mesh) for path, mesh in (self._own | self._added).items() if path not in BASIC}

    def find(self, path: str) -> Mesh:
        found = self._own.get(path) or self._added.get(path)
        if found is not None:
            return found
        if path not in self._missed:
            self._missed.add(path)
            _log.warning("a cube is drawn for a mesh that is not known", mesh=path, known=[*self._own, *self._added])
        return self._own[CUBE]


def _mesh(path: str, node: NodePath) -> Mesh:
    """With a node of its own on top, whose place and colour are the actor's."""
    top = NodePath(path)
    node.copy_to(top)
    low, high = top.get_tight_bounds() or ((0, 0, 0), (0, 0, 0))
    return Mesh(path, top, tuple(low), tuple(high))


def _box(mesh: Mesh) -> Box:
    low, high = panda_to_unreal(mesh.low), panda_to_unreal(mesh.high)  # no axis is turned round, so low stays low
    (x, y, z), (to_x, to_y, to_z) = low, high
    return ((x + to_x) / 2, (y + to_y) / 2, (z + to_z) / 2), ((to_x - x) / 2, (to_y - y) / 2, (to_z - z) / 2)
