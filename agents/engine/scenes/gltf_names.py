"""What the meshes and actors of a glTF file are called here: names in files may be missing, equal, or of any characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agents.engine.scenes.gltf_document import Document

MAX_NAME, MAX_LABEL = 64, 120
"""Characters of a name that are kept; a number may follow."""
MIRRORED = "_mirrored"
"""Behind the name of a mesh of which the mirror image is meant."""
_OTHER = re.compile(r"[^A-Za-z0-9_-]+")


def scene_name(stem: str) -> str:
    """A file's name as a scene's."""
    return _plain(stem) or "scene"


def mesh_names(document: Document) -> list[str]:
    """One for each mesh, its own."""
    return list(unique(_plain(mesh.name) or f"mesh{number}" for number, mesh in enumerate(document.meshes)))


def mesh_path(scene: str, mesh: str, mirrored: bool) -> str:
    """A mesh's path, of the kind that Unreal's content has."""
    name = mesh + MIRRORED * mirrored
    return f"/Game/{scene}/{name}.{name}"


def label(document: Document, node: int) -> str:
    """What a node is called, maybe not it alone."""
    return document.nodes[node].name[:MAX_LABEL] or f"node{node}"


def unique(names: Iterable[str]) -> Iterator[str]:
    """The names; one that was there gets a number that makes it new."""
    seen: dict[str, int] = {}
    for name in names:
        own = name
        while own in seen:
            seen[name] += 1
            own = f"{name}_{seen[name]}"
        seen[own] = 1
        yield own


def _plain(name: str) -> str:
    return _OTHER.sub("_", name)[:MAX_NAME].strip("_")
