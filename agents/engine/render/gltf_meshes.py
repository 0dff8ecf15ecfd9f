"""The meshes of a glTF file as Panda3D's nodes, by panda3d-gltf."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gltf import GltfSettings, load_model
from panda3d.core import GeomNode, MaterialAttrib, NodePath

from agents.engine.render.gltf_drawable import Drawable

# Panda3D draws without shaders here, so materials are legacy ones, and nothing turns linear colours into those of a screen.
_SETTINGS = GltfSettings(legacy_materials=True, no_srgb=True, skip_animations=True)


def load_meshes(drawable: Drawable) -> dict[str, NodePath]:
    """What is drawn for each path of a mesh. It belongs to the thread that draws."""
    if not drawable.paths:
        return {}
    return {path: _dressed(node) for path, node in zip(drawable.paths, _parsed(drawable.glb), strict=True)}


def _parsed(glb: bytes) -> list[NodePath]:
    """A node for each mesh, in the file's order."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "meshes.glb")
        file.write_bytes(glb)
        return list(NodePath(load_model(str(file), _SETTINGS)).children)


def _dressed(node: NodePath) -> NodePath:
    """Without materials, which would hide the colours of the vertices."""
    for found in node.find_all_matches("**/+GeomNode"):
        geometry: GeomNode = found.node()
        for number in range(geometry.get_num_geoms()):
            geometry.set_geom_state(number, geometry.get_geom_state(number).remove_attrib(MaterialAttrib))
    return node
