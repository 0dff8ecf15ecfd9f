"""The triangles of a glTF file, as arrays: whatever way it stores them, here they are corners of vertices, with normals and colours."""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from agents.engine.scenes.gltf_accessors import Floats, floats, numbers
from agents.engine.scenes.gltf_document import Material, Mesh, Primitive
from agents.engine.scenes.gltf_file import Gltf

Corners = NDArray[np.uint32]

_STRIP, _FAN = 5, 6
_PLAIN = Material()


class Triangles(Struct, frozen=True):
    """Positions and normals [n, 3], colours [n, 4] (linear, the material's among them) and places in the material's picture [n, 2].

    `corners` [m, 3] are indices of these, against the clock as seen from outside. `material` is an index, None: a plain one.
    """

    positions: Floats
    normals: Floats
    colours: Floats
    places: Floats | None
    corners: Corners
    material: int | None


def triangles_of(gltf: Gltf, mesh: Mesh) -> list[Triangles]:
    """What is drawn of a checked mesh: its triangles, not its points and lines."""
    return [triangles for primitive in mesh.primitives if primitive.mode >= 4 and len((triangles := _triangles(gltf, primitive)).corners)]


def mirrored(triangles: Triangles) -> Triangles:
    """The same with its X turned round."""
    turned = np.array([-1, 1, 1], np.float32)
    corners = np.ascontiguousarray(triangles.corners[:, ::-1])
    return replace(triangles, positions=triangles.positions * turned, normals=triangles.normals * turned, corners=corners)


def _triangles(gltf: Gltf, primitive: Primitive) -> Triangles:
    material = _PLAIN if primitive.material is None else gltf.document.materials[primitive.material]
    positions = floats(gltf, primitive.attributes["POSITION"])
    normals = floats(gltf, primitive.attributes["NORMAL"]) if "NORMAL" in primitive.attributes else None
    triangles = Triangles(
        positions,
        np.zeros_like(positions) if normals is None else np.clip(np.nan_to_num(normals), -1, 1),
        _colours(gltf, primitive, material),
        _places(gltf, primitive, material),
        _corners(gltf, primitive, len(positions)),
        primitive.material,
    )
    return _flat(triangles) if normals is None else triangles


def _colours(gltf: Gltf, primitive: Primitive, material: Material) -> Floats:
    """The vertices' colours times the material's: glTF 2.0, section 3.9.2."""
    vertices = gltf.document.accessors[primitive.attributes["POSITION"]].count
    colours = np.ones((vertices, 4), np.float32)
    if "COLOR_0" in primitive.attributes:
        own = floats(gltf, primitive.attributes["COLOR_0"])
        colours[:, : own.shape[1]] = np.clip(np.nan_to_num(own), 0, 1)
    return colours * np.array(material.pbr_metallic_roughness.base_color_factor, np.float32)


def _places(gltf: Gltf, primitive: Primitive, material: Material) -> Floats | None:
    """Where the vertices are in the material's picture, if it has one; only the first set of places is read."""
    picture = material.pbr_metallic_roughness.base_color_texture
    if picture is None or picture.tex_coord or "TEXCOORD_0" not in primitive.attributes:
        return None
    return np.nan_to_num(floats(gltf, primitive.attributes["TEXCOORD_0"]))


def _corners(gltf: Gltf, primitive: Primitive, vertices: int) -> Corners:
    """Triangles [m, 3] out of a list, a strip or a fan: glTF 2.0, section 3.7.2.1."""
    line = np.arange(vertices) if primitive.indices is None else numbers(gltf, primitive.indices)[:, 0]
    if primitive.mode == _STRIP:
        return _strip(line.astype(np.uint32))
    if primitive.mode == _FAN:
        middle = np.broadcast_to(line[:1], max(len(line) - 2, 0))
        return np.stack([line[1:-1][: len(middle)], line[2:], middle], 1).astype(np.uint32)
    return line[: len(line) // 3 * 3].reshape(-1, 3).astype(np.uint32)


def _strip(line: Corners) -> Corners:
    """Every second triangle of a strip has two of its corners swapped, or it would look the other way."""
    count = max(len(line) - 2, 0)
    first = np.arange(count)
    odd = first % 2
    return np.stack([line[first], line[first + 1 + odd], line[first + 2 - odd]], 1)


def _flat(triangles: Triangles) -> Triangles:
    """Triangles without normals have one each (glTF 2.0, section 3.7.2.1), so they share no vertices."""
    order = triangles.corners.reshape(-1)
    a, b, c = triangles.positions[triangles.corners].transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return Triangles(
        triangles.positions[order],
        np.repeat(normals, 3, axis=0),
        triangles.colours[order],
        None if triangles.places is None else triangles.places[order],
        np.arange(len(order), dtype=np.uint32).reshape(-1, 3),
        triangles.material,
    )
