"""The scene in one binary glTF 2.0 file: a node for each actor, with the same shapes as in USD.

Format: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, lights by KHR_lights_punctual. Y is up and a unit is a metre, as on the
bus; cameras and lights look along -Z there, too. trimesh makes the meshes and the container; the nodes are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import trimesh
from trimesh.exchange.gltf import export_glb
from trimesh.parent import Geometry

from agents.parts.frames import normalised
from agents.ue5.exports.meshes import BASIC, mesh_of
from agents.ue5.exports.shapes import ASPECT_RATIO, FAR, NEAR, Basic, shape
from agents.ue5.exports.snapshot import Snapshot
from schemas.scene import Actor, Vector

Json = dict[str, Any]  # Any: an object of the file's JSON

LIGHTING = "KHR_lights_punctual"
_LIGHTS: dict[str, Json] = {
    "PointLight": {"type": "point"},
    "SpotLight": {"type": "spot", "spot": {}},
    "DirectionalLight": {"type": "directional"},
}


def write(snapshot: Snapshot, path: Path) -> None:
    """Write the scene, which `check` has passed. Raises OSError."""
    shapes = [shape(snapshot, actor) for actor in snapshot.actors]
    names = [_mesh_name(number, each) for number, each in enumerate(shapes)]
    different = {name: each for name, each in zip(names, shapes, strict=True) if each is not None}
    meshes: dict[str, Geometry] = {name: mesh_of(each) for name, each in different.items()}
    content = export_glb(trimesh.Scene(meshes), tree_postprocessor=lambda tree: _arrange(tree, snapshot, names))
    path.write_bytes(cast(bytes, content))  # trimesh has no types there


def _mesh_name(number: int, shape: Basic | list[Vector] | None) -> str:
    """One for all actors of a basic shape, one for each box, none for an actor without."""
    if isinstance(shape, str):
        return shape
    return f"Bounds {number}" if shape else ""


def _arrange(tree: Json, snapshot: Snapshot, names: Sequence[str]) -> None:
    """Give the file that has the meshes its nodes, cameras and lights."""
    numbers = {mesh["name"]: number for number, mesh in enumerate(tree.get("meshes", []))}
    nodes = [_node(actor, numbers, name) for actor, name in zip(snapshot.actors, names, strict=True)]
    cameras = _attach_cameras(nodes, snapshot)
    lights = _attach_lights(nodes)
    tree["asset"]["extras"] = {"engine": snapshot.engine}
    tree["scenes"] = [{"name": "scene", **_filled(nodes=list(range(len(nodes))))}]
    tree.pop("nodes", None)
    tree |= _filled(nodes=nodes, cameras=cameras)
    if lights:
        tree |= {"extensionsUsed": [LIGHTING], "extensions": {LIGHTING: {"lights": lights}}}


def _node(actor: Actor, meshes: dict[str, int], name: str) -> Json:
    """An actor's place and looks; a mesh that is no basic shape says that it stands in for one."""
    extras = {"class": actor.kind} | ({} if actor.mesh is None else {"mesh": actor.mesh})
    node: Json = {
        "name": actor.label,
        "translation": actor.position,
        "rotation": normalised(actor.orientation),
        "scale": actor.scale,
        "extras": extras,
    }
    if name:
        node["mesh"] = meshes[name]
        extras |= {} if name in BASIC else {"proxy": "bounds"}
    return node


def _attach_cameras(nodes: list[Json], snapshot: Snapshot) -> list[Json]:
    """The cameras that the nodes, one for each actor, lead to from now on."""
    cameras: list[Json] = []
    for node, actor in zip(nodes, snapshot.actors, strict=True):
        if (angle := snapshot.cameras.get(actor.path)) is not None:
            node["camera"] = len(cameras)
            upright = 2 * math.atan(math.tan(angle / 2) / ASPECT_RATIO)
            seen = {"aspectRatio": ASPECT_RATIO, "yfov": upright, "znear": NEAR, "zfar": FAR}
            cameras.append({"name": node["name"], "type": "perspective", "perspective": seen})
    return cameras


def _attach_lights(nodes: list[Json]) -> list[Json]:
    """The lights that the nodes lead to from now on."""
    lights: list[Json] = []
    for node in nodes:
        kind = node["extras"]["class"]
        if kind in _LIGHTS and "camera" not in node:
            node["extensions"] = {LIGHTING: {"light": len(lights)}}
            lights.append({"name": node["name"]} | _LIGHTS[kind])
    return lights


def _filled(**lists: list[Any]) -> Json:  # Any: JSON
    """Those that are not empty: glTF wants an empty list left out."""
    return {name: each for name, each in lists.items() if each}
