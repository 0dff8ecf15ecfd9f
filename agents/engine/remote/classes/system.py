"""Unreal's UKismetSystemLibrary: the engine's version, its frames and its time, and what objects are called."""

from __future__ import annotations

from msgspec import Struct

from agents.engine.remote.context import Context
from agents.engine.remote.paths import actor_at
from agents.engine.remote.tables import Class, Function, Nothing
from agents.engine.remote.values import ObjectRef

_NONE = "None"
"""What Unreal calls an object that is not there."""


class OfWorld(Struct, frozen=True, forbid_unknown_fields=True):
    WorldContextObject: ObjectRef = ""


class OfObject(Struct, frozen=True, forbid_unknown_fields=True):
    Object: ObjectRef = ""


class Text(Struct, frozen=True):
    ReturnValue: str


class Count(Struct, frozen=True):
    ReturnValue: int


class Seconds(Struct, frozen=True):
    ReturnValue: float


def frame_count(context: Context, library: None, told: Nothing) -> Count:
    """How many frames were drawn."""
    return Count(context.world.frame)


def engine_version(context: Context, library: None, told: Nothing) -> Text:
    """Which engine this is: never Unreal."""
    return Text(context.backend.version)


def game_time(context: Context, library: None, told: OfWorld) -> Seconds:
    """Seconds of physics since the scene was loaded."""
    return Seconds(context.world.time)


def object_name(context: Context, library: None, told: OfObject) -> Text:
    """The name of an actor in the level."""
    actor = actor_at(context.world, told.Object)
    return Text(_NONE if actor is None else actor.name)


def display_name(context: Context, library: None, told: OfObject) -> Text:
    """What an actor is called."""
    actor = actor_at(context.world, told.Object)
    return Text(_NONE if actor is None else actor.label)


LIBRARY: Class[None] = Class(
    "/Script/Engine.KismetSystemLibrary",
    functions=(
        Function("GetFrameCount", Nothing, Count, frame_count),
        Function("GetEngineVersion", Nothing, Text, engine_version),
        Function("GetGameTimeInSeconds", OfWorld, Seconds, game_time),
        Function("GetObjectName", OfObject, Text, object_name),
        Function("GetDisplayName", OfObject, Text, display_name),
    ),
)
