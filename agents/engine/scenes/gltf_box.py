"""The space that the meshes of a glTF scene take."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from agents.engine.scenes.gltf_accessors import floats
from agents.engine.scenes.gltf_file import Gltf
from agents.engine.scenes.gltf_tree import Placed
from agents.engine.scenes.placement import Matrix, matrix_of, vector
from agents.parts.frames import Vector


def box_of(gltf: Gltf, placed: Sequence[Placed]) -> tuple[Vector, Vector]:
    """The least box around the boxes of all meshes, by its lowest and highest corner; a metre around the origin if there is none."""
    used = {node.node.mesh for node in placed if node.node.mesh is not None}
    boxes = {mesh: _corners(gltf, mesh) for mesh in used}
    corners = [_moved(boxes[node.node.mesh], node) for node in placed if node.node.mesh is not None]
    everything = np.concatenate(corners) if corners else np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    return vector(everything.min(0)), vector(everything.max(0))


def _corners(gltf: Gltf, mesh: int) -> Matrix:
    """Of a mesh's box [8, 3], as it was modelled."""
    positions = [floats(gltf, primitive.attributes["POSITION"]) for primitive in gltf.document.meshes[mesh].primitives]
    low, high = (find([find(part, axis=0) for part in positions], axis=0) for find in (np.min, np.max))
    return np.array(list(itertools.product(*zip(low, high, strict=True))), np.float64)


def _moved(corners: Matrix, node: Placed) -> Matrix:
    turned = corners * (np.array([-1, 1, 1]) if node.mirrored else 1)
    matrix = matrix_of(node.place)
    moved: Matrix = turned @ matrix[:3, :3].T + matrix[:3, 3]
    return moved
