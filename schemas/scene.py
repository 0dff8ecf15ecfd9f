"""The live scene, whichever engine shows it: who moves what (in), and what there is and how fast it is drawn (out).

Everything is in the frame of the bus: metres, right-handed, Y up, cameras look along -Z (docs/agents.md, OpenXR). Angles are radians.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from bus.topic import LATEST, Topic

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
"""x, y, z, w, of length one."""
Label = Annotated[str, Meta(min_length=1, max_length=128)]
"""What an actor is called in the scene. Where several are called alike, the first one counts."""
VIEW_SECONDS = 3.0
"""After which pictures that nobody wants again are no longer made."""


class Placed(Struct, frozen=True, kw_only=True):
    """Where an actor is to be from now on. `scale` null: as large as before."""

    actor: Label
    position: Vector
    orientation: Quaternion = (0.0, 0.0, 0.0, 1.0)
    scale: Vector | None = None


class ActorPoses(Struct, frozen=True, kw_only=True):
    """All that one source moves at one moment: of its events only the newest counts, so they go together."""

    actors: Annotated[list[Placed], Meta(max_length=500)]


class CameraPose(Struct, frozen=True, kw_only=True):
    """Where a camera is, and its horizontal field of view; null: as before."""

    camera: Label
    position: Vector
    orientation: Quaternion
    field_of_view: Annotated[float, Meta(gt=0, lt=3.1)] | None = None


class Light(Struct, frozen=True, kw_only=True):
    """How a light shines. `intensity` in the unit that the engine gives this light (Unreal: lux, candelas or lumens); `colour` linear RGB
    from 0 to 1. Null: as before.
    """

    light: Label
    intensity: Annotated[float, Meta(ge=0)] | None = None
    colour: Vector | None = None
    position: Vector | None = None
    orientation: Quaternion | None = None


class View(Struct, frozen=True, kw_only=True):
    """Pictures of these cameras are wanted, all of them of one frame, `rate` times a second, for the next VIEW_SECONDS.

    A camera in `layers` sees what is virtual alone, on nothing: its pictures are PNGs with alpha. The other cameras do not see that.
    """

    cameras: Annotated[list[Label], Meta(min_length=1, max_length=4)]
    layers: Annotated[list[Label], Meta(max_length=4)] = []
    rate: Annotated[float, Meta(gt=0, le=120)] = 30.0


class Frame(Struct, frozen=True, kw_only=True):
    """How fast the engine draws: `rate` frames a second, from two readings of its frame count, `frame_time` seconds each on average."""

    engine: str
    count: int
    rate: float
    frame_time: float


class Actor(Struct, frozen=True, kw_only=True):
    """One actor: its name in the engine's level, its class (`StaticMeshActor`), the path of its mesh, and where it is."""

    label: str
    path: str
    kind: str
    mesh: str | None
    position: Vector
    orientation: Quaternion
    scale: Vector


class Actors(Struct, frozen=True, kw_only=True):
    """What is in the level, `count` actors: page `page` of `pages`, counted from 0."""

    engine: str
    count: int
    page: int
    pages: int
    actors: list[Actor]


ACTOR_POSE = Topic("scene.actor.pose", ActorPoses, delivery=LATEST)
CAMERA_POSE = Topic("scene.camera.pose", CameraPose, delivery=LATEST)
LIGHT = Topic("scene.light", Light)
VIEW = Topic("scene.view", View, delivery=LATEST)
FRAME = Topic("scene.frame", Frame, rate_hz=1)
ACTORS = Topic("scene.actors", Actors)

WISHES = (ACTOR_POSE, CAMERA_POSE, LIGHT, VIEW)
"""What anybody may publish to change the scene or to see it, a script or `bus send` too: no agent of ours has to."""
