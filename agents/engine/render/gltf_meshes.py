"""The meshes of a glTF file as Panda3D's nodes, by panda3d-gltf. It parses a file that is written here of what was checked.

So no file of somebody else's reaches it; and it needs no picture, array or extension that it would not read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from gltf import GltfSettings, load_model
from panda3d.core import GeomNode, MaterialAttrib, NodePath

from agents.engine.render.textures import fitting
from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.gltf_accessors import view_bytes
from agents.engine.scenes.gltf_check import checked
from agents.engine.scenes.gltf_document import Document
from agents.engine.scenes.gltf_file import Gltf
from agents.engine.scenes.gltf_geometry import Triangles, mirrored, triangles_of
from agents.engine.scenes.gltf_names import mesh_names, mesh_path, scene_name
from agents.engine.scenes.gltf_rewritten import rewritten
from agents.engine.scenes.gltf_tree import placed_nodes

MAX_PICTURES = 64
"""In a scene: each may take 16 MB while it is shown."""

# Panda3D draws without shaders here, so materials are legacy ones, and nothing turns linear colours into those of a screen.
_SETTINGS = GltfSettings(legacy_materials=True, no_srgb=True, skip_animations=True)


def load_meshes(path: Path) -> dict[str, NodePath]:
    """What is drawn for each path of a mesh that `gltf_scene.describe` names. Raises BadScene. It belongs to the thread that draws."""
    gltf = checked(path)
    meshes = _meshes(gltf, scene_name(path.stem))
    loaded = _parsed(rewritten(meshes, gltf.document.materials, _pictures(gltf)))
    return {path: _dressed(node) for path, node in zip(meshes, loaded, strict=True)}


def _meshes(gltf: Gltf, scene: str) -> dict[str, Sequence[Triangles]]:
    """By path, those that nodes of the scene have and that have triangles; mirrored ones apart."""
    names = mesh_names(gltf.document)
    used = {(node.node.mesh, node.mirrored) for node in placed_nodes(gltf.document) if node.node.mesh is not None}
    meshes: dict[str, Sequence[Triangles]] = {}
    for index, turned in sorted(used):
        parts = triangles_of(gltf, gltf.document.meshes[index])
        meshes[mesh_path(scene, names[index], turned)] = [mirrored(part) for part in parts] if turned else parts
    return meshes


def _pictures(gltf: Gltf) -> dict[int, bytes]:
    """By the texture's index, those that give materials their colour. Raises BadScene."""
    shown = sorted(_shown(gltf.document))
    if len(shown) > MAX_PICTURES:
        raise BadScene("/textures", f"materials have {len(shown)} pictures, and {MAX_PICTURES} are shown at most")
    return {index: fitting(_image(gltf, image), f"/images/{image}") for index, image in shown}


def _shown(document: Document) -> set[tuple[int, int]]:
    """Textures and their images, once each."""
    surfaces = (material.pbr_metallic_roughness.base_color_texture for material in document.materials)
    textures = {surface.index for surface in surfaces if surface is not None}
    return {(index, source) for index in textures if (source := document.textures[index].source) is not None}


def _image(gltf: Gltf, index: int) -> bytes:
    """The file of a checked image, which is in a view if it has no bytes of its own."""
    view = gltf.document.images[index].buffer_view
    return (gltf.images[index] or b"") if view is None else bytes(view_bytes(gltf, view))


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
