"""What is drawn of a glTF file, as a file that is written here of what was checked. It needs no Panda3D, and any thread may write it.

So no file of somebody else's reaches panda3d-gltf; and it needs no picture, array or extension that that would not read.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from agents.engine.render.textures import fitting
from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.gltf_accessors import view_bytes
from agents.engine.scenes.gltf_document import Document
from agents.engine.scenes.gltf_file import Gltf
from agents.engine.scenes.gltf_geometry import Triangles, mirrored, triangles_of
from agents.engine.scenes.gltf_names import mesh_names, mesh_path
from agents.engine.scenes.gltf_rewritten import rewritten
from agents.engine.scenes.gltf_tree import placed_nodes

MAX_PICTURES = 64
"""In a scene: each may take 16 MB while it is shown."""


class Drawable(Struct, frozen=True):
    """A .glb with a mesh for each of the paths, in this order."""

    paths: tuple[str, ...] = ()
    glb: bytes = b""


def drawable(gltf: Gltf, scene: str) -> Drawable:
    """Of a checked file, the meshes that `gltf_scene.describe` names. Raises BadScene."""
    meshes = _meshes(gltf, scene)
    return Drawable(tuple(meshes), rewritten(meshes, gltf.document.materials, _pictures(gltf)))


def _meshes(gltf: Gltf, scene: str) -> dict[str, Sequence[Triangles]]:
    """By path, those that nodes of the scene have; mirrored ones apart, and one without triangles is empty."""
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
