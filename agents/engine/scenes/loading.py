"""A scene, read and checked, ready to be shown: out of a file, or made by code."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from agents.engine.scenes.default import default_scene
from agents.engine.scenes.description import Description, populate, read_description
from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.gltf_check import checked
from agents.engine.scenes.gltf_names import scene_name
from agents.engine.scenes.gltf_scene import describe
from agents.engine.world import World

GLTF = (".gltf", ".glb")


class Loaded(Struct, frozen=True):
    """What there is, and the file that its meshes are in; null: it has only those that the engine has itself."""

    description: Description
    gltf: Path | None = None

    @property
    def name(self) -> str:
        return self.description.name

    def populate(self, world: World) -> None:
        """Put the actors into the level. Raises world.Full."""
        populate(self.description, world)


def read_scene(path: Path) -> Loaded:
    """The scene of a .json, .gltf or .glb file. Raises BadScene."""
    kind = path.suffix.lower()
    if kind == ".json":
        return Loaded(read_description(path))
    if kind in GLTF:
        return Loaded(describe(checked(path), scene_name(path.stem)), path)
    raise BadScene("", f"{path.name!r} is no scene: scenes are in .json, {' and '.join(GLTF)} files")


def default(bodies: int) -> Loaded:
    """The scene that is made by code, with so many bodies."""
    return Loaded(default_scene(bodies))
