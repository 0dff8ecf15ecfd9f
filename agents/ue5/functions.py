"""Every function that the bridge calls in an engine, by the class that has it: what a project has to allow, and nothing else.

Unreal 5.8 refuses what is not listed in `CustomAllowedRemoteFunctionCalls`; the generated project is made from this table (project/).
"""

from __future__ import annotations

from msgspec import Struct


class Function(Struct, frozen=True):
    """A function of an Unreal class. `static`: it is called on the class's default object; else on an actor."""

    owner: str
    name: str
    why: str
    static: bool = True


_LEVEL = "/Script/UnrealEd.EditorActorSubsystem"
_SYSTEM = "/Script/Engine.KismetSystemLibrary"
_ACTOR = "/Script/Engine.Actor"
_AUTOMATION = "/Script/FunctionalTesting.AutomationBlueprintFunctionLibrary"

GET_ENGINE_VERSION = Function(_SYSTEM, "GetEngineVersion", "which engine answers")
GET_FRAME_COUNT = Function(_SYSTEM, "GetFrameCount", "how fast it draws")
GET_ACTORS = Function(_LEVEL, "GetAllLevelActors", "what is in the level")
SPAWN_OBJECT = Function(_LEVEL, "SpawnActorFromObject", "ue5.spawn of a mesh")
SPAWN_CLASS = Function(_LEVEL, "SpawnActorFromClass", "ue5.spawn of a class")
DESTROY = Function(_LEVEL, "DestroyActor", "ue5.remove")
GET_LABEL = Function(_ACTOR, "GetActorLabel", "what an actor is called", static=False)
SET_LABEL = Function(_ACTOR, "SetActorLabel", "what a spawned actor is called", static=False)
GET_TRANSFORM = Function(_ACTOR, "GetTransform", "where an actor is", static=False)
SET_TRANSFORM = Function(_ACTOR, "K2_SetActorTransform", "moves", static=False)
GET_BOUNDS = Function(_ACTOR, "GetActorBounds", "how large an actor is, for exports", static=False)
SCREENSHOT = Function(_AUTOMATION, "TakeHighResScreenshot", "ue5.screenshot")

FUNCTIONS = (
    GET_ENGINE_VERSION,
    GET_FRAME_COUNT,
    GET_ACTORS,
    SPAWN_OBJECT,
    SPAWN_CLASS,
    DESTROY,
    GET_LABEL,
    SET_LABEL,
    GET_TRANSFORM,
    SET_TRANSFORM,
    GET_BOUNDS,
    SCREENSHOT,
)


def default_object(function: Function) -> str:
    """The object that a static function is called on, as `/Script/Engine.Default__KismetSystemLibrary`."""
    package, _, name = function.owner.rpartition(".")
    return f"{package}.Default__{name}"
