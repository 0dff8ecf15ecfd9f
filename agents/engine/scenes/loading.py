"""A scene, read and checked, ready to be shown, as often as wanted: out of a file, or made by code."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from agents.engine.render.gltf_drawable import Drawable, drawable
from agents.engine.scenes.default import default_scene
from agents.engine.scenes.description import Description, populate, read_description
from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.gltf_check import checked
from agents.engine.scenes.gltf_names import scene_name
from agents.engine.scenes.gltf_scene import describe
from agents.engine.world import World

GLTF = (".gltf", ".glb")


class Loaded(Struct, frozen=True):
    """What there is, and the meshes that the engine has not itself."""

    description: Description
    drawable: Drawable = Drawable()

    @property
    def name(self) -> str:
        return self.description.name

    def populate(self, world: World) -> None:
        """Put the actors into the level. Raises world.Full."""
        populate(self.description, world)


def find_scene(path: str | None, bodies: int) -> Loaded:
    """The scene of a file, whose path may begin with `~`; without one the scene that is made by code. Raises BadScene."""
    if path is None:
        return default(bodies)
    try:
        return read_scene(Path(path).expanduser())
    except RuntimeError as error:
        raise BadScene("", f"{path[:200]!r} is nobody's folder: {error}") from error


def read_scene(path: Path) -> Loaded:
    """The scene of a .json, .gltf or .glb file. Raises BadScene."""
    kind = path.suffix.lower()
    if kind == ".json":
        return Loaded(read_description(path))
    if kind in GLTF:
        gltf, name = checked(path), scene_name(path.stem)
        return Loaded(describe(gltf, name), drawable(gltf, name))
    raise BadScene("", f"{path.name!r} is no scene: scenes are in .json, {' and '.join(GLTF)} files")


def default(bodies: int) -> Loaded:
    """The scene that is made by code, with so many bodies."""
    return Loaded(default_scene(bodies))
