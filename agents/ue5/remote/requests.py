"""Every request that the bridge makes, by what it is for. Positions and orientations are Unreal's here.

Source: the signatures of `EditorActorSubsystem`, `KismetSystemLibrary`, `Actor` and `AutomationBlueprintFunctionLibrary` in Unreal's
Python and Blueprint API references.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from agents.parts.frames import Quaternion, Rotator, Vector
from agents.parts.remote_control import Batch, Call, Property, Request
from agents.ue5 import functions
from agents.ue5.functions import Function

CALL, PROPERTY, BATCH = "/remote/object/call", "/remote/object/property", "/remote/batch"
VERB = "PUT"
"""Of all of them."""

Json = dict[str, Any]  # Any: parameters, by function

MESH_COMPONENT, CAMERA_COMPONENT, LIGHT_COMPONENT = "StaticMeshComponent0", "CameraComponent", "LightComponent0"
"""What the components are called that StaticMeshActor, CameraActor and the lights are born with."""


class Ask(Struct, frozen=True):
    """One request."""

    url: str
    body: Call | Property

    @property
    def subject(self) -> str:
        """The object that it is about."""
        return self.body.objectPath

    @property
    def what(self) -> str | None:
        """The function that is called, or the property."""
        return self.body.functionName if isinstance(self.body, Call) else self.body.propertyName


def encoded(ask: Ask) -> bytes:
    return msgspec.json.encode(ask.body)


def encoded_batch(asks: list[Ask]) -> bytes:
    """Several requests as one, numbered by their places."""
    requests = [Request(RequestId=place, URL=ask.url, Verb=VERB, Body=ask.body) for place, ask in enumerate(asks)]
    return msgspec.json.encode(Batch(Requests=requests))


def engine_version() -> Ask:
    return _static(functions.GET_ENGINE_VERSION)


def frame_count() -> Ask:
    return _static(functions.GET_FRAME_COUNT)


def actors() -> Ask:
    return _static(functions.GET_ACTORS)


def spawn(asset: str, location: Vector, rotation: Rotator) -> Ask:
    """Put an actor into the level: of a class (`/Script/Engine.PointLight`, a Blueprint's `…_C`), else of an asset."""
    where = {"Location": vector(location), "Rotation": dict(zip(("Pitch", "Yaw", "Roll"), rotation, strict=True))}
    if is_class(asset):
        return _static(functions.SPAWN_CLASS, ActorClass=asset, **where)
    return _static(functions.SPAWN_OBJECT, ObjectToUse=asset, **where)


def is_class(asset: str) -> bool:
    """Whether a path names a class, native or a Blueprint's, and no asset."""
    return asset.startswith("/Script/") or asset.endswith("_C")


def destroy(actor: str) -> Ask:
    return _static(functions.DESTROY, ActorToDestroy=actor)


def label(actor: str) -> Ask:
    return _on(actor, functions.GET_LABEL)


def set_label(actor: str, label: str) -> Ask:
    return _on(actor, functions.SET_LABEL, NewActorLabel=label)


def transform(actor: str) -> Ask:
    return _on(actor, functions.GET_TRANSFORM)


def set_transform(actor: str, position: Vector, orientation: Quaternion, scale: Vector) -> Ask:
    """Put an actor there, with what physics knows of it, and through what is in the way."""
    x, y, z, w = orientation
    there = {"Rotation": {"X": x, "Y": y, "Z": z, "W": w}, "Translation": vector(position), "Scale3D": vector(scale)}
    return _on(actor, functions.SET_TRANSFORM, NewTransform=there, bSweep=False, bTeleport=True)


def bounds(actor: str) -> Ask:
    return _on(actor, functions.GET_BOUNDS, bOnlyCollidingComponents=False, bIncludeFromChildActors=True)


def mesh(actor: str) -> Ask:
    return _read(f"{actor}.{MESH_COMPONENT}", "StaticMesh")


def field_of_view(actor: str) -> Ask:
    return _read(f"{actor}.{CAMERA_COMPONENT}", "FieldOfView")


def set_field_of_view(actor: str, degrees: float) -> Ask:
    return _write(f"{actor}.{CAMERA_COMPONENT}", "FieldOfView", degrees)


def set_intensity(actor: str, intensity: float) -> Ask:
    return _write(f"{actor}.{LIGHT_COMPONENT}", "Intensity", intensity)


def set_colour(actor: str, linear: Vector) -> Ask:
    """A light's colour, given as linear RGB from 0 to 1: Unreal's `LightColor` is 8 bits a channel, in sRGB."""
    red, green, blue = (srgb_byte(channel) for channel in linear)
    return _write(f"{actor}.{LIGHT_COMPONENT}", "LightColor", {"R": red, "G": green, "B": blue, "A": 255})


def screenshot(file: str, width: int, height: int, camera: str | None) -> Ask:
    """A picture, written by the engine to a file of its machine some frames later."""
    return _static(functions.SCREENSHOT, ResX=width, ResY=height, Filename=file, **({} if camera is None else {"Camera": camera}))


def srgb_byte(linear: float) -> int:
    """A channel from 0 to 1 as sRGB has it in 8 bits; what lies beyond is cut off. Source: IEC 61966-2-1, as in sRGB's usual form."""
    value = min(max(linear, 0.0), 1.0)
    return round(255 * (value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055))


def vector(value: Vector) -> Json:
    x, y, z = value
    return {"X": x, "Y": y, "Z": z}


def _static(function: Function, **parameters: Any) -> Ask:  # Any: JSON
    return _on(functions.default_object(function), function, **parameters)


def _on(target: str, function: Function, **parameters: Any) -> Ask:  # as above
    return Ask(CALL, Call(objectPath=target, functionName=function.name, parameters=parameters))


def _read(component: str, name: str) -> Ask:
    return Ask(PROPERTY, Property(objectPath=component, propertyName=name))


def _write(component: str, name: str, value: Any) -> Ask:  # as above
    return Ask(PROPERTY, Property(objectPath=component, access="WRITE_ACCESS", propertyName=name, propertyValue={name: value}))
