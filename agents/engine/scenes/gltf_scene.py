"""The scene that a glTF file is: its meshes, which physics does not know, its cameras and its lights; with what it lacks to be seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from msgspec.structs import replace

from agents.engine.scenes.description import Actor, Camera, Description, DirectionalLight, Light, Mesh, PointLight
from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.gltf_box import box_of
from agents.engine.scenes.gltf_document import Camera as Lens
from agents.engine.scenes.gltf_document import Document
from agents.engine.scenes.gltf_document import Light as Lamp
from agents.engine.scenes.gltf_file import Gltf
from agents.engine.scenes.gltf_names import mesh_names, mesh_path, unique
from agents.engine.scenes.gltf_tree import Placed, placed_nodes
from agents.engine.scenes.placement import aim, vector
from agents.engine.world import MAIN, MAX_ACTORS
from agents.parts.frames import Vector

_FIELD_OF_VIEW = math.radians(60)
_NARROWEST = math.radians(35)
"""What of it a picture of 16:9 has from top to bottom."""
_FROM = np.array([0.45, 0.4, 0.8])
"""Whence the camera looks that was made here: from the right, above and in front."""
_WHITE = (1.0, 1.0, 1.0, 1.0)


def describe(gltf: Gltf, name: str) -> Description:
    """The scene of a checked file; its meshes' paths are those of `mesh_path`. Raises BadScene."""
    document = gltf.document
    placed = placed_nodes(document)
    actors = [*_cameras(gltf, placed), *_lights(document, placed), *_meshes(placed, name, mesh_names(document))]
    if len(actors) > MAX_ACTORS:
        raise BadScene("/nodes", f"{len(actors)} meshes, cameras and lights are in the scene, and {MAX_ACTORS} are shown at most")
    labels = unique(actor.label for actor in actors)
    return Description(name=name, actors=[replace(actor, label=label) for actor, label in zip(actors, labels, strict=True)])


def _meshes(placed: Sequence[Placed], scene: str, names: Sequence[str]) -> list[Actor]:
    """White, for their colours are in the meshes."""
    return [
        Mesh(
            label=node.label,
            mesh=mesh_path(scene, names[node.node.mesh], node.mirrored),
            position=node.place.position,
            orientation=node.place.orientation,
            scale=node.place.scale,
            colour=_WHITE,
        )
        for node in placed
        if node.node.mesh is not None
    ]


def _cameras(gltf: Gltf, placed: Sequence[Placed]) -> list[Actor]:
    """The perspective ones. The first one is MAIN if none is called so; where there is none, it is one that sees everything."""
    found = [_camera(node, gltf.document.cameras[node.node.camera]) for node in placed if node.node.camera is not None]
    cameras = [camera for camera in found if camera is not None]
    if not cameras:
        return [_overview(*box_of(gltf, placed))]
    return list(cameras if any(camera.label == MAIN for camera in cameras) else [replace(cameras[0], label=MAIN), *cameras[1:]])


def _camera(node: Placed, lens: Lens) -> Camera | None:
    """It looks along -Z, as the bus's do."""
    if lens.perspective is None:
        return None
    across = 2 * math.atan(math.tan(lens.perspective.yfov / 2) * lens.perspective.aspect_ratio)
    return Camera(
        label=node.label,
        position=node.place.position,
        orientation=node.place.orientation,
        field_of_view=across,
        aspect_ratio=lens.perspective.aspect_ratio,
    )


def _overview(low: Vector, high: Vector) -> Camera:
    """A camera that sees the whole box."""
    centre = (np.array(low) + np.array(high)) / 2
    radius = max(float(np.linalg.norm(np.array(high) - centre)), 0.1)
    away = _FROM / np.linalg.norm(_FROM) * radius / math.sin(_NARROWEST / 2)
    position, target = vector(centre + away), vector(centre)
    return Camera(label=MAIN, position=position, orientation=aim(position, target), field_of_view=_FIELD_OF_VIEW)


def _lights(document: Document, placed: Sequence[Placed]) -> list[Actor]:
    """The brightest of each kind shines with 1, the others in proportion: a file's lux and candelas say nothing without an exposure."""
    lamps = document.extensions.lights.lights
    found = [(node, lamps[node.node.extensions.lights.light]) for node in placed if node.node.extensions.lights is not None]
    if not found:
        return [DirectionalLight(label="sun", orientation=aim((2.0, 6.0, 3.0), (0.0, 0.0, 0.0)))]
    brightest = {kind: max(lamp.intensity for _, lamp in found if _is_sun(lamp) == kind) for kind in {_is_sun(lamp) for _, lamp in found}}
    return [_light(node, lamp, brightest[_is_sun(lamp)]) for node, lamp in found]


def _light(node: Placed, lamp: Lamp, brightest: float) -> Light:
    """A spot shines to all sides."""
    make: Callable[..., Light] = DirectionalLight if _is_sun(lamp) else PointLight
    return make(
        label=node.label,
        position=node.place.position,
        orientation=node.place.orientation,
        intensity=lamp.intensity / brightest if brightest else 0.0,
        colour=lamp.color,
    )


def _is_sun(lamp: Lamp) -> bool:
    return lamp.type == "directional"
