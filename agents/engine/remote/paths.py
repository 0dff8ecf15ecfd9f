"""The paths by which clients name what is in the level, as Unreal writes them: `/Game/Map.Map:PersistentLevel.ACTOR.COMPONENT`."""

from __future__ import annotations

import re

from agents.engine.world import Actor, World
from agents.parts.remote_control import LEVEL

MAP = "/Game/Wondercraft/Wondercraft.Wondercraft"
LEVEL_PATH = f"{MAP}:{LEVEL}"
_PREFIX = f"{LEVEL_PATH}."
_EXPORTED = re.compile(r"[\w./]+'([^']*)'", re.ASCII)


def actor_path(actor: Actor) -> str:
    return _PREFIX + actor.name


def actor_at(world: World, path: str) -> Actor | None:
    return world.actors.get(path[len(_PREFIX) :]) if path.startswith(_PREFIX) else None


def component_at(world: World, path: str) -> tuple[Actor, str] | None:
    """An actor, and the name of a component that it may have."""
    owner, _, name = path.rpartition(".")
    actor = actor_at(world, owner)
    return None if actor is None else (actor, name)


def bare(path: str) -> str:
    """A path without the class that Unreal's editor puts before it when it copies one: `StaticMesh'/Engine/…'`."""
    exported = _EXPORTED.fullmatch(path)
    return path if exported is None else exported[1]
