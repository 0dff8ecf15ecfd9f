"""What actors are made of: Unreal's components with the properties that are looked at and changed here."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from agents.engine.remote.answer import Refused, shown
from agents.engine.remote.assets import mesh_box
from agents.engine.remote.context import Context
from agents.engine.remote.paths import bare
from agents.engine.remote.tables import Class, Function, Nothing, Property
from agents.engine.remote.values import (
    FColor,
    FLinearColor,
    FRotator,
    FVector,
    MeshRef,
    colour_of,
    linear_of,
    orientation_of,
    told_rotator,
    told_srgb,
    told_vector,
    vector_of,
)
from agents.engine.world import Actor, Kind, Optics, Shine

Degrees = Annotated[float, Meta(ge=1, le=170, title="float")]
Ratio = Annotated[float, Meta(ge=0.05, le=20, title="float")]
Intensity = Annotated[float, Meta(ge=0, le=1e6, title="float")]


class SetColour(Struct, frozen=True, forbid_unknown_fields=True):
    ParameterName: str = ""
    ParameterValue: FLinearColor = FLinearColor()


def location(context: Context, actor: Actor) -> FVector:
    return told_vector(context.world.place_of(actor).position)


def set_location(context: Context, actor: Actor, told: FVector) -> None:
    context.world.move(actor, replace(context.world.place_of(actor), position=vector_of(told)))


def rotation(context: Context, actor: Actor) -> FRotator:
    return told_rotator(context.world.place_of(actor).orientation)


def set_rotation(context: Context, actor: Actor, told: FRotator) -> None:
    context.world.move(actor, replace(context.world.place_of(actor), orientation=orientation_of(told)))


def scale(context: Context, actor: Actor) -> FVector:
    return told_vector(context.world.place_of(actor).scale)


def set_scale(context: Context, actor: Actor, told: FVector) -> None:
    context.world.move(actor, replace(context.world.place_of(actor), scale=vector_of(told)))


def mesh(context: Context, actor: Actor) -> str:
    """Its path; empty: none."""
    return actor.looks.mesh or ""


def set_mesh(context: Context, actor: Actor, told: str) -> None:
    path = bare(told)
    if path and mesh_box(context, path) is None:
        raise Refused(f"Object: {shown(path)} does not exist.")
    context.world.look(actor, replace(actor.looks, mesh=path or None))


def set_colour(context: Context, actor: Actor, told: SetColour) -> Nothing:
    """Give what is shown another colour, whatever the parameter of its material is called."""
    context.world.look(actor, replace(actor.looks, colour=colour_of(told.ParameterValue)))
    return Nothing()


def field_of_view(context: Context, actor: Actor) -> float:
    return _optics(actor).field_of_view


def set_field_of_view(context: Context, actor: Actor, told: float) -> None:
    context.world.look(actor, replace(actor.looks, optics=replace(_optics(actor), field_of_view=told)))


def aspect_ratio(context: Context, actor: Actor) -> float:
    return _optics(actor).aspect_ratio


def set_aspect_ratio(context: Context, actor: Actor, told: float) -> None:
    context.world.look(actor, replace(actor.looks, optics=replace(_optics(actor), aspect_ratio=told)))


def intensity(context: Context, actor: Actor) -> float:
    return _shine(actor).intensity


def set_intensity(context: Context, actor: Actor, told: float) -> None:
    context.world.look(actor, replace(actor.looks, shine=replace(_shine(actor), intensity=told)))


def light_colour(context: Context, actor: Actor) -> FColor:
    return told_srgb(_shine(actor).colour)


def set_light_colour(context: Context, actor: Actor, told: FColor) -> None:
    context.world.look(actor, replace(actor.looks, shine=replace(_shine(actor), colour=linear_of(told))))


def _optics(actor: Actor) -> Optics:
    return actor.looks.optics or Optics()


def _shine(actor: Actor) -> Shine:
    return actor.looks.shine or Shine()


PLACE = (
    Property("RelativeLocation", FVector, location, set_location),
    Property("RelativeRotation", FRotator, rotation, set_rotation),
    Property("RelativeScale3D", FVector, scale, set_scale),
)
LIGHT = (
    *PLACE,
    Property("Intensity", Intensity, intensity, set_intensity),
    Property("LightColor", FColor, light_colour, set_light_colour),
)
SCENE: Class[Actor] = Class("/Script/Engine.SceneComponent", properties=PLACE)
MESH: Class[Actor] = Class(
    "/Script/Engine.StaticMeshComponent",
    functions=(Function("SetColorParameterValueOnMaterials", SetColour, Nothing, set_colour),),
    properties=(*PLACE, Property("StaticMesh", MeshRef, mesh, set_mesh)),
)
CAMERA: Class[Actor] = Class(
    "/Script/Engine.CameraComponent",
    properties=(
        Property("FieldOfView", Degrees, field_of_view, set_field_of_view),
        Property("AspectRatio", Ratio, aspect_ratio, set_aspect_ratio),
    ),
)
POINT_LIGHT: Class[Actor] = Class("/Script/Engine.PointLightComponent", properties=LIGHT)
DIRECTIONAL_LIGHT: Class[Actor] = Class("/Script/Engine.DirectionalLightComponent", properties=LIGHT)

COMPONENTS: dict[Kind, dict[str, Class[Actor]]] = {
    "StaticMeshActor": {"StaticMeshComponent0": MESH},
    "CameraActor": {"SceneComponent": SCENE, "CameraComponent": CAMERA},
    "PointLight": {"LightComponent0": POINT_LIGHT},
    "DirectionalLight": {"LightComponent0": DIRECTIONAL_LIGHT},
    "Actor": {"DefaultSceneRoot": SCENE},
}
"""Of each kind of actor, by their names; the first one is its root."""
