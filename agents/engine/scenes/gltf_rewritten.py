"""A glTF file anew, with nothing in it but what is drawn: what a library parses is written here, whoever wrote the file.

Besides it makes plain what libraries leave out: sparse and normalised arrays, strips, missing normals.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from agents.engine.scenes.gltf_accessors import Floats
from agents.engine.scenes.gltf_document import Material
from agents.engine.scenes.gltf_geometry import Corners, Triangles

_FLOAT, _UNSIGNED = 5126, 5125
_KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
_Json = dict[str, Any]  # Any: JSON


def rewritten(meshes: Mapping[str, Sequence[Triangles]], materials: Sequence[Material], pictures: Mapping[int, bytes]) -> bytes:
    """A .glb with a node for each mesh, both of its name. `pictures` are PNG files, by the textures' indices."""
    file = _File()
    images = {texture: file.add_picture(png) for texture, png in pictures.items()}
    written = [
        {"name": name, "primitives": [file.primitive(triangles, len(materials)) for triangles in parts]} for name, parts in meshes.items()
    ]
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(written)))}],
        "nodes": [{"name": mesh["name"], "mesh": number} for number, mesh in enumerate(written)],
        "meshes": written,
        "materials": [_material(material, images) for material in (*materials, Material())],
        "textures": [{"source": number} for number in range(len(file.images))],
        **file.arrays(),
    }
    return _glb({key: value for key, value in document.items() if value != []}, file.body)


def _material(material: Material, images: Mapping[int, int]) -> _Json:
    """What is drawn of a material: its picture, for its colour is in the vertices already."""
    picture = material.pbr_metallic_roughness.base_color_texture
    shown: _Json = {"alphaMode": material.alpha_mode, "doubleSided": material.double_sided, "pbrMetallicRoughness": {}}
    if material.alpha_mode == "MASK":
        shown["alphaCutoff"] = material.alpha_cutoff
    if picture is not None and picture.index in images:
        shown["pbrMetallicRoughness"]["baseColorTexture"] = {"index": images[picture.index]}
    return shown


@dataclass(slots=True)
class _File:
    """The arrays of a file in the order in which they are added."""

    body: bytearray = field(default_factory=bytearray)
    views: list[_Json] = field(default_factory=list)
    accessors: list[_Json] = field(default_factory=list)
    images: list[_Json] = field(default_factory=list)

    def arrays(self) -> _Json:
        buffers = [{"byteLength": len(self.body)}] if self.body else []
        return {"accessors": self.accessors, "bufferViews": self.views, "buffers": buffers, "images": self.images}

    def primitive(self, triangles: Triangles, plain: int) -> _Json:
        """Triangles without a material get the one with the index `plain`.

        Nothing here draws by tangents, but without any panda3d-gltf computes them, in Python and an object for each vertex.
        """
        tangents = np.broadcast_to(np.array([1, 0, 0, 1], np.float32), (len(triangles.positions), 4))
        columns = {"POSITION": triangles.positions, "NORMAL": triangles.normals, "COLOR_0": triangles.colours, "TANGENT": tangents}
        if triangles.places is not None:
            columns["TEXCOORD_0"] = triangles.places
        attributes = {name: self._add_array(column.astype(np.float32), _FLOAT) for name, column in columns.items()}
        low, high = triangles.positions.min(0), triangles.positions.max(0)
        self.accessors[attributes["POSITION"]] |= {"min": low.tolist(), "max": high.tolist()}
        return {
            "attributes": attributes,
            "indices": self._add_array(triangles.corners.reshape(-1, 1), _UNSIGNED),
            "material": plain if triangles.material is None else triangles.material,
        }

    def add_picture(self, png: bytes) -> int:
        self.images.append({"bufferView": self._add_bytes(png), "mimeType": "image/png"})
        return len(self.images) - 1

    def _add_array(self, rows: Floats | Corners, component: int) -> int:
        view = self._add_bytes(rows.tobytes())
        self.accessors.append({"bufferView": view, "componentType": component, "count": len(rows), "type": _KINDS[rows.shape[1]]})
        return len(self.accessors) - 1

    def _add_bytes(self, data: bytes) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.body), "byteLength": len(data)})
        self.body += data + bytes(-len(data) % 4)
        return len(self.views) - 1


def _glb(document: _Json, body: bytearray) -> bytes:
    """The container of glTF 2.0, section 4.4."""
    text = msgspec.json.encode(document)
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if body:
        chunks += struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
