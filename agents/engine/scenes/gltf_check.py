"""Whether a glTF file keeps its own bounds, before any library sees it: every index and extent, the tree, and what would take too much.

Rules: Khronos, glTF 2.0 specification, section 3.
"""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path

import numpy as np

from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.gltf_accessors import check_accessor, check_view, floats, numbers, view_of
from agents.engine.scenes.gltf_document import READ_EXTENSIONS, Accessor, Document, Primitive
from agents.engine.scenes.gltf_file import Gltf, read_gltf

MAX_CORNERS = 3_000_000
"""Of triangles, in all meshes together: a file may use one array in ten thousand meshes."""

FARTHEST = 1e9
"""Metres: normals of larger triangles are too large for single precision."""

_SHAPES = {"POSITION": ("VEC3",), "NORMAL": ("VEC3",), "TEXCOORD_0": ("VEC2",), "COLOR_0": ("VEC3", "VEC4")}
"""The attributes that are read, and what they may be."""
_INDEX_TYPES = (5121, 5123, 5125)


def checked(path: Path) -> Gltf:
    """Read a file that keeps all bounds. Raises BadScene with the JSON pointer of what does not."""
    gltf = read_gltf(path)
    check(gltf)
    return gltf


def check(gltf: Gltf) -> None:
    """Raises BadScene with the JSON pointer of what is out of bounds."""
    _check_version(gltf.document)
    _check_bytes(gltf)
    _check_pictures(gltf)
    _check_meshes(gltf)
    _check_nodes(gltf.document)
    _check_tree(gltf.document)


def _check_version(document: Document) -> None:
    if document.asset.version.partition(".")[0] != "2" or (document.asset.min_version or "2.0") != "2.0":
        raise BadScene("/asset/version", f"{document.asset.version[:20]!r}: only glTF 2.0 is read")
    unknown = [name for name in document.extensions_required if name not in READ_EXTENSIONS]
    if unknown:
        raise BadScene("/extensionsRequired", f"{unknown[0][:80]!r} is not read: export the scene without it")


def _check_bytes(gltf: Gltf) -> None:
    for number, (buffer, data) in enumerate(zip(gltf.document.buffers, gltf.buffers, strict=True)):
        if buffer.byte_length > len(data):
            raise BadScene(f"/buffers/{number}/byteLength", f"{buffer.byte_length} bytes, of which {len(data)} are there")
    for number in range(len(gltf.document.buffer_views)):
        check_view(gltf, number)
    if sum(accessor.sparse.count for accessor in gltf.document.accessors if accessor.sparse) > MAX_CORNERS:
        raise BadScene("/accessors", f"their sparse parts have over {MAX_CORNERS} elements, the most that is read")
    for number in range(len(gltf.document.accessors)):
        check_accessor(gltf, number)


def _check_pictures(gltf: Gltf) -> None:
    """Images, textures and materials point at something."""
    document = gltf.document
    for number, image in enumerate(document.images):
        if (image.uri is None) == (image.buffer_view is None):
            raise BadScene(f"/images/{number}", "it has to have either uri or bufferView")
        if image.buffer_view is not None:
            view_of(gltf, image.buffer_view, f"/images/{number}/bufferView")
    for number, texture in enumerate(document.textures):
        _points(texture.source, document.images, f"/textures/{number}/source")
    for number, material in enumerate(document.materials):
        picture = material.pbr_metallic_roughness.base_color_texture
        index = picture.index if picture else None
        _points(index, document.textures, f"/materials/{number}/pbrMetallicRoughness/baseColorTexture/index")


def _check_meshes(gltf: Gltf) -> None:
    corners = 0
    for number, mesh in enumerate(gltf.document.meshes):
        for place, primitive in enumerate(mesh.primitives):
            corners += _check_primitive(gltf, primitive, f"/meshes/{number}/primitives/{place}")
            if corners > MAX_CORNERS:
                raise BadScene(f"/meshes/{number}", f"with it there are over {MAX_CORNERS} corners of triangles, the most that is shown")


def _check_primitive(gltf: Gltf, primitive: Primitive, where: str) -> int:
    """Returns how many corners and vertices it has, of which triangles are made."""
    _points(primitive.material, gltf.document.materials, f"{where}/material")
    accessors = {name: _accessor(gltf, index, f"{where}/attributes/{name[:80]}") for name, index in primitive.attributes.items()}
    if "POSITION" not in accessors:
        raise BadScene(f"{where}/attributes", "there is no POSITION")
    vertices = accessors["POSITION"].count
    for name, accessor in accessors.items():
        _check_attribute(name, accessor, vertices, f"{where}/attributes/{name[:80]}")
    if not np.abs(floats(gltf, primitive.attributes["POSITION"])).max() < FARTHEST:
        raise BadScene(f"{where}/attributes/POSITION", f"there are positions beyond {FARTHEST:g} m, or that are no numbers")
    return vertices + _check_corners(gltf, primitive, vertices, f"{where}/indices")


def _check_attribute(name: str, accessor: Accessor, vertices: int, where: str) -> None:
    if accessor.count != vertices:
        raise BadScene(where, f"{accessor.count} values for {vertices} positions")
    if name in _SHAPES and accessor.type not in _SHAPES[name]:
        raise BadScene(where, f"it is of type {accessor.type}, and has to be {' or '.join(_SHAPES[name])}")


def _check_corners(gltf: Gltf, primitive: Primitive, vertices: int, where: str) -> int:
    """Returns how many corners there are; each is one of the vertices."""
    if primitive.indices is None:
        return vertices
    accessor = _accessor(gltf, primitive.indices, where)
    if accessor.type != "SCALAR" or accessor.component_type not in _INDEX_TYPES or accessor.normalized:
        raise BadScene(where, f"accessor {primitive.indices} is of type {accessor.type} {accessor.component_type}, no indices")
    largest = int(numbers(gltf, primitive.indices).max())
    if largest >= vertices:
        raise BadScene(where, f"there is index {largest} into {vertices} vertices")
    return accessor.count


def _check_nodes(document: Document) -> None:
    """What nodes and scenes point at is there."""
    for number, node in enumerate(document.nodes):
        where = f"/nodes/{number}"
        _points(node.mesh, document.meshes, f"{where}/mesh")
        _points(node.camera, document.cameras, f"{where}/camera")
        light = node.extensions.lights
        _points(light.light if light else None, document.extensions.lights.lights, f"{where}/extensions/KHR_lights_punctual/light")
        for place, child in enumerate(node.children):
            _points(child, document.nodes, f"{where}/children/{place}")
    for number, scene in enumerate(document.scenes):
        for place, root in enumerate(scene.nodes):
            _points(root, document.nodes, f"/scenes/{number}/nodes/{place}")
    if document.scenes:
        _points(document.scene, document.scenes, "/scene")


def _check_tree(document: Document) -> None:
    """Every node has one parent at most, the roots of scenes have none, and nobody is among their own forebears."""
    parents: dict[int, int] = {}
    for number, node in enumerate(document.nodes):
        for place, child in enumerate(node.children):
            if child in parents:
                raise BadScene(f"/nodes/{number}/children/{place}", f"node {child} is a child of node {parents[child]} already")
            parents[child] = number
    for number, scene in enumerate(document.scenes):
        seen: set[int] = set()
        for place, root in enumerate(scene.nodes):
            if root in parents or root in seen:
                raise BadScene(f"/scenes/{number}/nodes/{place}", f"node {root} is no root, or is there twice")
            seen.add(root)
    _check_cycles(document, parents)


def _check_cycles(document: Document, parents: dict[int, int]) -> None:
    """With one parent each, nodes that no root leads to go round in a circle."""
    reached = [number for number in range(len(document.nodes)) if number not in parents]
    for number in reached:  # grows meanwhile
        reached.extend(document.nodes[number].children)
    if len(reached) < len(document.nodes):
        lost = min(set(range(len(document.nodes))) - set(reached))
        raise BadScene(f"/nodes/{lost}", "it is among its own children's children")


def _accessor(gltf: Gltf, index: int, where: str) -> Accessor:
    _points(index, gltf.document.accessors, where)
    return gltf.document.accessors[index]


def _points(index: int | None, things: Sized, where: str) -> None:
    """Refuse an index of nothing."""
    if index is not None and index >= len(things):
        raise BadScene(where, f"there is no number {index}: there are {len(things)}")
