"""The scene as a JSON description, which the embedded engine loads (`engine.load`), with what the bridge knows of it.

An agent reads what another wrote and imports nothing of it: that both mean the same is held by a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from agents.parts.frames import normalised
from agents.ue5.exports.snapshot import Snapshot
from schemas.scene import Actor, Label, Quaternion

Metres = Annotated[float, Meta(ge=-1e6, le=1e6)]
Factor = Annotated[float, Meta(ge=1e-6, le=1e6)]
MOST = 20_000
"""Actors."""
_NAME = 64
_LIGHTS = {"PointLight": "point_light", "DirectionalLight": "directional_light"}


class _Placed(Struct, frozen=True, kw_only=True, tag_field="kind"):
    label: Label
    position: tuple[Metres, Metres, Metres]
    orientation: Quaternion


class _Mesh(_Placed, frozen=True, kw_only=True, tag="mesh"):
    mesh: Annotated[str, Meta(min_length=1, max_length=256)]
    scale: tuple[Factor, Factor, Factor]


class _Camera(_Placed, frozen=True, kw_only=True, tag="camera"):
    field_of_view: Annotated[float, Meta(gt=0.01, lt=3.1)]


class _PointLight(_Placed, frozen=True, kw_only=True, tag="point_light"):
    pass


class _DirectionalLight(_Placed, frozen=True, kw_only=True, tag="directional_light"):
    pass


_Described = _Mesh | _Camera | _PointLight | _DirectionalLight


class _Description(Struct, frozen=True, kw_only=True):
    name: str
    actors: list[_Described]


def write(snapshot: Snapshot, path: Path) -> None:
    """Write the scene, which `check` has passed. The engine's name is the scene's.

    Left out is what a description has no words for: actors that are not mesh, camera, point light or sun, mirrored ones, those further
    than 1,000 km, and a second actor of the same label. Raises OSError.
    """
    actors: dict[str, _Described] = {}
    for actor in _described(snapshot):
        actors.setdefault(actor.label, actor)
    name = re.sub(r"[^A-Za-z0-9_-]", "-", snapshot.engine)[:_NAME] or "scene"
    description = _Description(name=name, actors=list(actors.values())[:MOST])
    path.write_bytes(msgspec.json.format(msgspec.json.encode(description), indent=1))


def _described(snapshot: Snapshot) -> Iterator[_Described]:
    for actor in snapshot.actors:
        known = {"label": actor.label, "position": actor.position, "orientation": normalised(actor.orientation)}
        words = known | _words(snapshot, actor)
        try:
            yield msgspec.convert(words, type=_Described)
        except msgspec.ValidationError:
            continue


def _words(snapshot: Snapshot, actor: Actor) -> dict[str, object]:
    """What is said of an actor beside where it is. It has no kind where there is no word for it."""
    if (angle := snapshot.cameras.get(actor.path)) is not None:
        return {"kind": "camera", "field_of_view": angle}
    if actor.kind in _LIGHTS:
        return {"kind": _LIGHTS[actor.kind]}
    return {"kind": "mesh", "mesh": actor.mesh, "scale": actor.scale}
