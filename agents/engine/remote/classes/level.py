"""Unreal's UEditorActorSubsystem: what is in the level, spawning and removing."""

from __future__ import annotations

from msgspec import Struct

from agents.engine.remote.answer import Refused, shown
from agents.engine.remote.assets import mesh_box
from agents.engine.remote.context import Context
from agents.engine.remote.paths import actor_at, actor_path, bare
from agents.engine.remote.tables import Class, Function, Nothing, Property
from agents.engine.remote.values import ActorRef, ClassRef, FRotator, FVector, ObjectRef, orientation_of, vector_of
from agents.engine.world import Full, Kind, Looks, Optics, Shine, Transform

SPAWNED: dict[str, tuple[Kind, Looks]] = {
    "/Script/Engine.Actor": ("Actor", Looks()),
    "/Script/Engine.StaticMeshActor": ("StaticMeshActor", Looks()),
    "/Script/Engine.CameraActor": ("CameraActor", Looks(optics=Optics())),
    "/Script/Engine.PointLight": ("PointLight", Looks(shine=Shine())),
    "/Script/Engine.DirectionalLight": ("DirectionalLight", Looks(shine=Shine())),
}
"""By the class of Unreal, what an actor of it is here."""


class SpawnClass(Struct, frozen=True, forbid_unknown_fields=True):
    ActorClass: ClassRef = ""
    Location: FVector = FVector()
    Rotation: FRotator = FRotator()
    bTransient: bool = False


class SpawnObject(Struct, frozen=True, forbid_unknown_fields=True):
    ObjectToUse: ObjectRef = ""
    Location: FVector = FVector()
    Rotation: FRotator = FRotator()
    bTransient: bool = False


class Destroy(Struct, frozen=True, forbid_unknown_fields=True):
    ActorToDestroy: ActorRef = ""


class Spawned(Struct, frozen=True):
    ReturnValue: ActorRef


class Destroyed(Struct, frozen=True):
    ReturnValue: bool


class ActorList(Struct, frozen=True):
    ReturnValue: list[ActorRef]


def list_actors(context: Context, level: None, told: Nothing) -> ActorList:
    """The paths of all actors of the level."""
    return ActorList(actors_of(context, level))


def actors_of(context: Context, level: None) -> list[str]:
    return [actor_path(actor) for actor in list(context.world.actors.values())]  # one operation: a scene may be loaded meanwhile


def spawn_class(context: Context, level: None, told: SpawnClass) -> Spawned:
    """Spawn an actor of a class."""
    known = SPAWNED.get(bare(told.ActorClass))
    if known is None:
        raise Refused(f"Class: {shown(told.ActorClass)} can not be spawned here, but these can: {', '.join(SPAWNED)}.")
    return _spawn(context, *known, told)


def spawn_object(context: Context, level: None, told: SpawnObject) -> Spawned:
    """Spawn an actor that shows an asset, which is a static mesh."""
    mesh = bare(told.ObjectToUse)
    if mesh_box(context, mesh) is None:
        raise Refused(f"Object: {shown(mesh)} does not exist.")
    return _spawn(context, "StaticMeshActor", Looks(mesh=mesh), told)


def destroy(context: Context, level: None, told: Destroy) -> Destroyed:
    """Remove an actor. False: there is none at this path."""
    actor = actor_at(context.world, told.ActorToDestroy)
    return Destroyed(actor is not None and context.world.destroy(actor.name))


def _spawn(context: Context, kind: Kind, looks: Looks, told: SpawnClass | SpawnObject) -> Spawned:
    try:
        actor = context.world.spawn(kind, Transform(vector_of(told.Location), orientation_of(told.Rotation)), looks)
    except Full as error:
        raise Refused(f"No actor was spawned: {error}.") from None
    return Spawned(actor_path(actor))


SUBSYSTEM: Class[None] = Class(
    "/Script/UnrealEd.EditorActorSubsystem",
    functions=(
        Function("GetAllLevelActors", Nothing, ActorList, list_actors),
        Function("SpawnActorFromClass", SpawnClass, Spawned, spawn_class),
        Function("SpawnActorFromObject", SpawnObject, Spawned, spawn_object),
        Function("DestroyActor", Destroy, Destroyed, destroy),
    ),
)
LEVEL: Class[None] = Class("/Script/Engine.Level", properties=(Property("Actors", list[ActorRef], actors_of),))
