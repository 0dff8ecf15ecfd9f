"""The nodes of a glTF file's scene, each where it is in the world. glTF's axes and units are those of the bus."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.gltf_document import Document, Node
from agents.engine.scenes.gltf_names import label
from agents.engine.scenes.placement import Matrix, NoPlace, Place, matrix_of, place_of
from agents.parts.frames import is_unit, normalised


class Placed(Struct, frozen=True):
    """A node of the scene. `mirrored`: what it shows is to be turned round along its X first."""

    label: str
    node: Node
    place: Place
    mirrored: bool


def placed_nodes(document: Document) -> list[Placed]:
    """All nodes of the scene that show something, if only in theory: those scaled to nothing are left out. Raises BadScene."""
    found = [(number, _placed(document.nodes[number], matrix, number)) for number, matrix in _walk(document)]
    return [Placed(label(document, number), document.nodes[number], *placed) for number, placed in found if placed is not None]


def _walk(document: Document) -> Iterator[tuple[int, Matrix]]:
    """Number and matrix of each node of the scene that has a mesh, a camera or a light, parents first."""
    roots = document.scenes[document.scene].nodes if document.scenes else []
    waiting = [(root, np.eye(4)) for root in reversed(roots)]
    while waiting:
        number, parent = waiting.pop()
        node = document.nodes[number]
        with np.errstate(over="ignore", invalid="ignore"):  # `place_of` refuses what comes of it
            matrix = parent @ _local(node, number)
        waiting.extend((child, matrix) for child in reversed(node.children))
        if node.mesh is not None or node.camera is not None or node.extensions.lights is not None:
            yield number, matrix


def _local(node: Node, number: int) -> Matrix:
    if node.matrix is not None:
        return np.array(node.matrix).reshape(4, 4).T
    if not is_unit(node.rotation):
        raise BadScene(f"/nodes/{number}/rotation", f"{list(node.rotation)} has not the length 1")
    return matrix_of(Place(node.translation, normalised(node.rotation), node.scale))


def _placed(node: Node, matrix: Matrix, number: int) -> tuple[Place, bool] | None:
    try:
        return place_of(matrix)
    except NoPlace as error:
        raise BadScene(f"/nodes/{number}", f"{node.name[:80]!r} cannot be placed: {error}") from error
