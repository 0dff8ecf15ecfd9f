"""What there is in the engine: actors with their looks and places, as requests change it and as frames show it.

It is in Unreal's frame and units, because Remote Control is. Two threads meet here and neither waits for the other: requests are
answered from `actors` and leave what a frame has to take over in `moves` and `changed`; the engine takes that at the start of a frame,
and writes back where physics moved a body. Both rely on single operations of a dict being whole under the interpreter's lock; adding
and removing actors is under `lock`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from agents.parts.frames import Quaternion, Vector

MAX_ACTORS = 20_000
MAIN = "main"
"""The label of the camera that is always drawn."""

Kind = Literal["StaticMeshActor", "CameraActor", "PointLight", "DirectionalLight", "Actor"]

Colour = tuple[float, float, float, float]
"""Linear red, green, blue and alpha, from 0 to 1."""


Box = tuple[Vector, Vector]
"""The centre of a mesh's box and half its size, in centimetres along the mesh's own axes."""


class Transform(Struct, frozen=True):
    """Where an actor is, in Unreal's frame (centimetres, x y z w), and its scale along its own axes."""

    position: Vector = (0.0, 0.0, 0.0)
    orientation: Quaternion = (0.0, 0.0, 0.0, 1.0)
    scale: Vector = (1.0, 1.0, 1.0)


class Body(Struct, frozen=True):
    """How physics sees an actor: `mass` in kilograms, 0: it stays where it is put, and others bounce off."""

    mass: float
    friction: float = 0.5
    restitution: float = 0.2


class Optics(Struct, frozen=True):
    """A camera: its horizontal field of view in degrees, and the picture's width over its height."""

    field_of_view: float = 90.0
    aspect_ratio: float = 16 / 9


class Shine(Struct, frozen=True):
    """A light: its intensity relative to 1, and its colour."""

    intensity: float = 1.0
    colour: Colour = (1.0, 1.0, 1.0, 1.0)


class Looks(Struct, frozen=True):
    """What is drawn: the path of a mesh and a colour, or a camera, or a light; and whether physics knows it.

    What is `virtual` is opaque, and in no pictures but those of layers.
    """

    mesh: str | None = None
    colour: Colour = (0.8, 0.8, 0.8, 1.0)
    body: Body | None = None
    optics: Optics | None = None
    shine: Shine | None = None
    virtual: bool = False


@dataclass(slots=True)
class Actor:
    """One actor. `name` is its own in the level, `label` what people call it."""

    name: str
    label: str
    kind: Kind
    transform: Transform
    looks: Looks = field(default_factory=Looks)


class Full(ValueError):
    """There are as many actors as there may be."""


class World:
    """The level. `scene` is its name, `frame` the number of the last frame, `time` seconds of physics since it was loaded."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.scene = ""
        self.actors: dict[str, Actor] = {}
        self.moves: dict[str, Transform] = {}
        self.changed: dict[str, None] = {}
        self.moved = 0
        self.frame = 0
        self.time = 0.0
        self._made = 0

    def spawn(self, kind: Kind, transform: Transform, looks: Looks, label: str | None = None) -> Actor:
        """Add an actor, under a name that nothing had before. Raises Full."""
        with self.lock:
            if len(self.actors) >= MAX_ACTORS:
                raise Full(f"the level has {MAX_ACTORS} actors, which is as many as it takes: remove some")
            self._made += 1
            name = f"{kind}_{self._made}"
            actor = Actor(name, label or name, kind, transform, looks)
            self.actors[name] = actor
            self.changed[name] = None
            return actor

    def destroy(self, name: str) -> bool:
        """Remove an actor. False: there is none of this name."""
        with self.lock:
            gone = self.actors.pop(name, None)
            if gone is not None:
                self.moves.pop(name, None)
                self.changed[name] = None
            return gone is not None

    def move(self, actor: Actor, transform: Transform) -> None:
        """Put an actor elsewhere, from the next frame on; who asks where it is hears so at once."""
        actor.transform = transform
        self.moves[actor.name] = transform
        self.moved += 1

    def place_of(self, actor: Actor) -> Transform:
        """Where an actor was put last, though no frame may have taken that yet: what requests hear, and change a part of."""
        waiting = self.moves.get(actor.name)  # looked at first: what is not there any more has been taken already
        return actor.transform if waiting is None else waiting

    def look(self, actor: Actor, looks: Looks) -> None:
        """Change what is drawn of an actor, from the next frame on."""
        actor.looks = looks
        self.changed[actor.name] = None

    def clear(self, scene: str) -> None:
        """Remove everything: another scene begins."""
        with self.lock:
            self.changed.update(dict.fromkeys(self.actors))
            self.actors.clear()
            self.moves.clear()
            self.scene, self.time = scene, 0.0

    def take_changes(self) -> Iterable[str]:
        """The names of actors that came, went or look different since the last call: the frame's to take over."""
        return _taken(self.changed)

    def take_moves(self) -> list[tuple[Actor, Transform]]:
        """The newest move of each actor since the last call."""
        taken = []
        for name in list(self.moves):  # one operation: requests go on adding meanwhile
            actor = self.actors.get(name)
            if actor is not None:
                actor.transform = self.place_of(actor)  # before it is no longer in `moves`: `settle` may have written over it
            transform = self.moves.pop(name, None)
            if transform is not None and actor is not None:
                actor.transform = transform
                taken.append((actor, transform))
        return taken

    def settle(self, actor: Actor, transform: Transform) -> None:
        """Physics has moved an actor, unless somebody is about to put it elsewhere."""
        if actor.name not in self.moves:
            actor.transform = transform

    def labelled(self, label: str) -> Actor | None:
        """The first actor of this label."""
        with self.lock:
            return next((actor for actor in self.actors.values() if actor.label == label), None)


def _taken(waiting: dict[str, None]) -> list[str]:
    names = list(waiting)  # as in take_moves
    for name in names:
        waiting.pop(name, None)
    return names
