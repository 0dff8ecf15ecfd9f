"""Finds the object that a path names, with the class that says what it can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from agents.engine.remote.answer import Refused, shown
from agents.engine.remote.classes import actors, automation, components, level, system
from agents.engine.remote.context import Context
from agents.engine.remote.paths import LEVEL_PATH, actor_at, actor_path, bare, component_at
from agents.engine.remote.tables import Class, Property
from agents.engine.remote.values import ComponentRef
from agents.engine.world import Actor, Kind
from agents.parts.remote_control import ACTORS, AUTOMATION, SYSTEM


class Found(NamedTuple):
    """An object: `it` is what its class's functions work on."""

    kind: Class[Any]  # Any: of each class another one
    it: Any  # as above
    path: str
    label: str


def find(context: Context, path: str) -> Found:
    """Raises Refused."""
    actor = actor_at(context.world, path)
    if actor is not None:
        return Found(_CLASSES[actor.kind], actor, path, actor.label)
    found = _find_other(context, bare(path))
    if found is None:
        raise Refused(f"Object: {shown(path)} does not exist.")
    return found


def _find_other(context: Context, path: str) -> Found | None:
    alone = _ALONE.get(path)
    if alone is not None:
        return Found(alone, None, path, name_of(path))
    actor = actor_at(context.world, path)
    if actor is not None:
        return Found(_CLASSES[actor.kind], actor, path, actor.label)
    return _find_component(context, path)


def _find_component(context: Context, path: str) -> Found | None:
    owner = component_at(context.world, path)
    if owner is None:
        return None
    actor, name = owner
    kind = components.COMPONENTS[actor.kind].get(name)
    return None if kind is None else Found(kind, actor, path, name)


def name_of(path: str) -> str:
    """The last part of a path."""
    return path.replace(":", ".").rpartition(".")[2]


def _component_properties(kind: Kind) -> tuple[Property[Actor, str], ...]:
    """An actor's components by name, and which of them is its root, so that clients find them."""
    names = list(components.COMPONENTS[kind])
    roots = {"RootComponent": names[0], **{name.rstrip("0"): name for name in names}}
    return tuple(Property(shown_as, ComponentRef, _path_of(name)) for shown_as, name in roots.items())


def _path_of(component: str) -> Callable[[Context, Actor], str]:
    return lambda context, actor: f"{actor_path(actor)}.{component}"


_CLASSES: dict[Kind, Class[Actor]] = {
    kind: Class(path, actors.FUNCTIONS, _component_properties(kind)) for path, (kind, _) in level.SPAWNED.items()
}
_ALONE: dict[str, Class[None]] = {
    ACTORS: level.SUBSYSTEM,
    SYSTEM: system.LIBRARY,
    AUTOMATION: automation.LIBRARY,
    LEVEL_PATH: level.LEVEL,
}
"""Objects that there is one of."""
