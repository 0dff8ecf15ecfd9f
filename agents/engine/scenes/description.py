"""A scene as a JSON file describes it, in the frame of the bus: metres, right-handed, Y up; angles in radians, quaternions x, y, z, w."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.json_text import parse
from agents.engine.world import MAX_ACTORS, Body, Kind, Looks, Optics, Shine, Transform, World
from agents.parts.bounded import Unreadable, read_bounded
from agents.parts.frames import is_unit, normalised, rotation_to_unreal, scale_to_unreal, to_unreal

MAX_BYTES = 16 << 20

Metres = Annotated[float, Meta(ge=-1e6, le=1e6)]
Factor = Annotated[float, Meta(ge=1e-6, le=1e6)]
Part = Annotated[float, Meta(ge=-2, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Label = Annotated[str, Meta(min_length=1, max_length=128)]
SceneName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
"""A scene's name is part of the paths of its meshes."""


class _Placed(Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """What every actor has. It looks along -Z."""

    label: Label
    position: tuple[Metres, Metres, Metres] = (0.0, 0.0, 0.0)
    orientation: tuple[Part, Part, Part, Part] = (0.0, 0.0, 0.0, 1.0)


class Mesh(_Placed, frozen=True, kw_only=True, tag="mesh"):
    """Something to see, as Unreal names meshes (`/Engine/BasicShapes/Cube.Cube`), `scale` times as large; its colour is linear RGBA.

    `mass` is in kilograms; 0: it stays and others bounce off; null: physics does not know it. What is `virtual` has none: it is opaque, and
    seen in layers alone (`schemas.scene.View`).
    """

    mesh: Annotated[str, Meta(min_length=1, max_length=256)]
    scale: tuple[Factor, Factor, Factor] = (1.0, 1.0, 1.0)
    colour: tuple[Share, Share, Share, Share] = (0.8, 0.8, 0.8, 1.0)
    mass: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    friction: Annotated[float, Meta(ge=0, le=10)] = 0.5
    restitution: Share = 0.2
    virtual: bool = False


class Camera(_Placed, frozen=True, kw_only=True, tag="camera"):
    """`field_of_view` is horizontal."""

    field_of_view: Annotated[float, Meta(gt=0.01, lt=3.1)] = math.pi / 2
    aspect_ratio: Annotated[float, Meta(ge=0.1, le=10)] = 16 / 9


class _Light(_Placed, frozen=True, kw_only=True):
    """`intensity` is relative to 1, the colour linear RGB."""

    intensity: Annotated[float, Meta(ge=0, le=1e6)] = 1.0
    colour: tuple[Share, Share, Share] = (1.0, 1.0, 1.0)


class DirectionalLight(_Light, frozen=True, kw_only=True, tag="directional_light"):
    """It shines everywhere alike, along -Z of its own."""


class PointLight(_Light, frozen=True, kw_only=True, tag="point_light"):
    """It shines from where it is."""


Light = DirectionalLight | PointLight
Actor = Mesh | Camera | DirectionalLight | PointLight


class Description(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scene, whole."""

    name: SceneName
    actors: Annotated[list[Actor], Meta(max_length=MAX_ACTORS)] = []


def read_description(path: Path) -> Description:
    """The scene in a JSON file. Raises BadScene."""
    try:
        text = read_bounded(path, MAX_BYTES)
    except Unreadable as error:
        raise BadScene("", str(error)) from error
    return decode(text)


def decode(text: bytes) -> Description:
    """The scene that a JSON text describes; numbers are in bounds, labels its own, quaternions about one long.

    What is virtual has no mass. Raises BadScene.
    """
    scene = parse(text, Description)
    labels: set[str] = set()
    for actor in scene.actors:
        if actor.label in labels:
            raise BadScene(_named(actor), "another actor has this label: every one needs its own")
        if not is_unit(actor.orientation):
            raise BadScene(_named(actor), f"its orientation {list(actor.orientation)} has not the length 1: normalise it")
        if isinstance(actor, Mesh) and actor.virtual and actor.mass is not None:
            raise BadScene(_named(actor), f"it is virtual and has the mass {actor.mass:g}: physics knows real things alone, leave it out")
        labels.add(actor.label)
    return scene


def populate(scene: Description, world: World) -> None:
    """Put the actors of a scene into the level, in Unreal's frame. Raises world.Full."""
    for actor in scene.actors:
        world.spawn(*_unreal(actor), label=actor.label)


def _unreal(actor: Actor) -> tuple[Kind, Transform, Looks]:
    """An actor's class, place and looks, as Unreal has them."""
    place = Transform(to_unreal(actor.position), rotation_to_unreal(normalised(actor.orientation)))
    match actor:
        case Mesh():
            body = None if actor.mass is None else Body(actor.mass, actor.friction, actor.restitution)
            return (
                "StaticMeshActor",
                replace(place, scale=scale_to_unreal(actor.scale)),
                Looks(actor.mesh, actor.colour, body, virtual=actor.virtual),
            )
        case Camera():
            return "CameraActor", place, Looks(optics=Optics(math.degrees(actor.field_of_view), actor.aspect_ratio))
        case DirectionalLight():
            return "DirectionalLight", place, _shining(actor)
        case PointLight():
            return "PointLight", place, _shining(actor)


def _shining(light: Light) -> Looks:
    return Looks(shine=Shine(light.intensity, (*light.colour, 1.0)))


def _named(actor: Actor) -> str:
    return f"actor {actor.label!r}"
