"""Unreal's AActor: where an actor is, what it is called, how large it is."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from agents.engine.remote.context import Context
from agents.engine.remote.extents import world_box
from agents.engine.remote.tables import Function, Nothing
from agents.engine.remote.values import (
    FHitResult,
    FRotator,
    FTransform,
    FVector,
    orientation_of,
    told_rotator,
    told_transform,
    told_vector,
    transform_of,
    vector_of,
)
from agents.engine.world import Actor

Label = Annotated[str, Meta(min_length=1, max_length=128, title="FString")]


class SetLocation(Struct, frozen=True, forbid_unknown_fields=True):
    NewLocation: FVector = FVector()
    bSweep: bool = False
    bTeleport: bool = False


class SetRotation(Struct, frozen=True, forbid_unknown_fields=True):
    NewRotation: FRotator = FRotator()
    bTeleportPhysics: bool = False


class SetLocationAndRotation(Struct, frozen=True, forbid_unknown_fields=True):
    NewLocation: FVector = FVector()
    NewRotation: FRotator = FRotator()
    bSweep: bool = False
    bTeleport: bool = False


class SetTransform(Struct, frozen=True, forbid_unknown_fields=True):
    NewTransform: FTransform = FTransform()
    bSweep: bool = False
    bTeleport: bool = False


class SetScale(Struct, frozen=True, forbid_unknown_fields=True):
    NewScale3D: FVector = FVector()


class SetLabel(Struct, frozen=True, forbid_unknown_fields=True):
    NewActorLabel: Label
    bMarkDirty: bool = False


class GetBounds(Struct, frozen=True, forbid_unknown_fields=True):
    bOnlyCollidingComponents: bool = False
    bIncludeFromChildActors: bool = False


class Swept(Struct, frozen=True):
    SweepHitResult: FHitResult = FHitResult()
    ReturnValue: bool = True


class Done(Struct, frozen=True):
    ReturnValue: bool = True


class GotVector(Struct, frozen=True):
    ReturnValue: FVector


class GotRotator(Struct, frozen=True):
    ReturnValue: FRotator


class GotTransform(Struct, frozen=True):
    ReturnValue: FTransform


class GotLabel(Struct, frozen=True):
    ReturnValue: str


class GotBounds(Struct, frozen=True):
    Origin: FVector
    BoxExtent: FVector


_SWEPT, _DONE, _NOTHING = Swept(), Done(), Nothing()


def set_location(context: Context, actor: Actor, told: SetLocation) -> Swept:
    """Move the actor, without sweeping."""
    context.world.move(actor, replace(context.world.place_of(actor), position=vector_of(told.NewLocation)))
    return _SWEPT


def set_rotation(context: Context, actor: Actor, told: SetRotation) -> Done:
    """Turn the actor."""
    context.world.move(actor, replace(context.world.place_of(actor), orientation=orientation_of(told.NewRotation)))
    return _DONE


def set_location_and_rotation(context: Context, actor: Actor, told: SetLocationAndRotation) -> Swept:
    """Move and turn the actor, without sweeping."""
    position, orientation = vector_of(told.NewLocation), orientation_of(told.NewRotation)
    context.world.move(actor, replace(context.world.place_of(actor), position=position, orientation=orientation))
    return _SWEPT


def set_transform(context: Context, actor: Actor, told: SetTransform) -> Swept:
    """Move, turn and scale the actor, without sweeping."""
    context.world.move(actor, transform_of(told.NewTransform))
    return _SWEPT


def set_scale(context: Context, actor: Actor, told: SetScale) -> Nothing:
    """Scale the actor along its own axes."""
    context.world.move(actor, replace(context.world.place_of(actor), scale=vector_of(told.NewScale3D)))
    return _NOTHING


def get_location(context: Context, actor: Actor, told: Nothing) -> GotVector:
    """Where the actor is, in centimetres."""
    return GotVector(told_vector(context.world.place_of(actor).position))


def get_rotation(context: Context, actor: Actor, told: Nothing) -> GotRotator:
    """How the actor is turned, in degrees."""
    return GotRotator(told_rotator(context.world.place_of(actor).orientation))


def get_transform(context: Context, actor: Actor, told: Nothing) -> GotTransform:
    """Where the actor is, how it is turned and scaled."""
    return GotTransform(told_transform(context.world.place_of(actor)))


def get_scale(context: Context, actor: Actor, told: Nothing) -> GotVector:
    """How the actor is scaled along its own axes."""
    return GotVector(told_vector(context.world.place_of(actor).scale))


def get_label(context: Context, actor: Actor, told: Nothing) -> GotLabel:
    """What the actor is called."""
    return GotLabel(actor.label)


def set_label(context: Context, actor: Actor, told: SetLabel) -> Nothing:
    """Call the actor something else."""
    actor.label = told.NewActorLabel
    return _NOTHING


def get_bounds(context: Context, actor: Actor, told: GetBounds) -> GotBounds:
    """The centre of a box around the actor along the world's axes, and half its size, in centimetres."""
    centre, extent = world_box(context, actor)
    return GotBounds(told_vector(centre), told_vector(extent))


def destroy(context: Context, actor: Actor, told: Nothing) -> Nothing:
    """Remove the actor from the level."""
    context.world.destroy(actor.name)
    return _NOTHING


FUNCTIONS = (
    Function("K2_SetActorLocation", SetLocation, Swept, set_location),
    Function("K2_SetActorRotation", SetRotation, Done, set_rotation),
    Function("K2_SetActorLocationAndRotation", SetLocationAndRotation, Swept, set_location_and_rotation),
    Function("K2_SetActorTransform", SetTransform, Swept, set_transform),
    Function("SetActorScale3D", SetScale, Nothing, set_scale),
    Function("K2_GetActorLocation", Nothing, GotVector, get_location),
    Function("K2_GetActorRotation", Nothing, GotRotator, get_rotation),
    Function("GetTransform", Nothing, GotTransform, get_transform),
    Function("GetActorScale3D", Nothing, GotVector, get_scale),
    Function("GetActorLabel", Nothing, GotLabel, get_label),
    Function("SetActorLabel", SetLabel, Nothing, set_label),
    Function("GetActorBounds", GetBounds, GotBounds, get_bounds),
    Function("K2_DestroyActor", Nothing, Nothing, destroy),
)
