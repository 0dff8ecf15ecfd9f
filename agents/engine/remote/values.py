"""Unreal's values as Remote Control writes them in JSON, and what the world makes of them.

Their names are Unreal's, because clients are told them (`/remote/object/describe`); so are their defaults, which a value has where a
client leaves it out. Numbers are as large as Unreal's world, in centimetres: `UE_LARGE_WORLD_MAX`.
"""

from __future__ import annotations

import math
from typing import Annotated

from msgspec import Meta, Struct

from agents.engine.world import Colour, Transform
from agents.parts.frames import Quaternion, Vector, rotation_of_rotator, rotator_of_rotation

WORLD_MAX = 8_796_093_022_208.0

Number = Annotated[float, Meta(ge=-WORLD_MAX, le=WORLD_MAX, title="double")]
Part = Annotated[float, Meta(ge=0, le=1000, title="float")]
Byte = Annotated[int, Meta(ge=0, le=255, title="uint8")]
ActorRef = Annotated[str, Meta(title="AActor*")]
ObjectRef = Annotated[str, Meta(title="UObject*")]
ClassRef = Annotated[str, Meta(title="UClass*")]
MeshRef = Annotated[str, Meta(title="UStaticMesh*")]
ComponentRef = Annotated[str, Meta(title="USceneComponent*")]

_SMALL = 1e-8
"""A quaternion this short turns nothing, as in Unreal's `FQuat::Normalize`."""


class FVector(Struct, frozen=True, forbid_unknown_fields=True):
    X: Number = 0.0
    Y: Number = 0.0
    Z: Number = 0.0


class FScale(FVector, frozen=True, forbid_unknown_fields=True):
    """Unreal's FVector where it is a scale inside of a transform, which is 1 where nothing is said."""

    X: Number = 1.0
    Y: Number = 1.0
    Z: Number = 1.0


class FRotator(Struct, frozen=True, forbid_unknown_fields=True):
    """Degrees."""

    Pitch: Number = 0.0
    Yaw: Number = 0.0
    Roll: Number = 0.0


class FQuat(Struct, frozen=True, forbid_unknown_fields=True):
    X: Number = 0.0
    Y: Number = 0.0
    Z: Number = 0.0
    W: Number = 1.0


class FTransform(Struct, frozen=True, forbid_unknown_fields=True):
    Rotation: FQuat = FQuat()
    Translation: FVector = FVector()
    Scale3D: FScale = FScale()


class FLinearColor(Struct, frozen=True, forbid_unknown_fields=True):
    R: Part = 0.0
    G: Part = 0.0
    B: Part = 0.0
    A: Part = 0.0


class FColor(Struct, frozen=True, forbid_unknown_fields=True):
    """sRGB, as Unreal has it."""

    B: Byte = 0
    G: Byte = 0
    R: Byte = 0
    A: Byte = 0


class FHitResult(Struct, frozen=True):
    """What a sweep has hit: here always nothing, because what is moved by a request goes through everything."""

    bBlockingHit: bool = False
    Time: float = 1.0


def vector_of(told: FVector) -> Vector:
    return (told.X, told.Y, told.Z)


def told_vector(vector: Vector) -> FVector:
    return FVector(*vector)


def orientation_of(told: FRotator) -> Quaternion:
    return rotation_of_rotator((told.Pitch, told.Yaw, told.Roll))


def told_rotator(orientation: Quaternion) -> FRotator:
    return FRotator(*rotator_of_rotation(orientation))


def transform_of(told: FTransform) -> Transform:
    place, scale = told.Translation, told.Scale3D
    return Transform((place.X, place.Y, place.Z), _unit(told.Rotation), (scale.X, scale.Y, scale.Z))


def told_transform(transform: Transform) -> FTransform:
    return FTransform(FQuat(*transform.orientation), FVector(*transform.position), FScale(*transform.scale))


def colour_of(told: FLinearColor) -> Colour:
    """The world's colours end at 1."""
    return (min(told.R, 1.0), min(told.G, 1.0), min(told.B, 1.0), min(told.A, 1.0))


def linear_of(told: FColor) -> Colour:
    return (_linear(told.R), _linear(told.G), _linear(told.B), told.A / 255)


def told_srgb(colour: Colour) -> FColor:
    red, green, blue, alpha = colour
    return FColor(R=_srgb(red), G=_srgb(green), B=_srgb(blue), A=round(255 * alpha))


def _unit(told: FQuat) -> Quaternion:
    """A quaternion made one long."""
    x, y, z, w = told.X, told.Y, told.Z, told.W
    square = x * x + y * y + z * z + w * w
    if square == 1.0:
        return (x, y, z, w)
    if square < _SMALL:
        return (0.0, 0.0, 0.0, 1.0)
    length = math.sqrt(square)
    return (x / length, y / length, z / length, w / length)


def _linear(byte: int) -> float:
    """IEC 61966-2-1, section 5.2."""
    part = byte / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _srgb(part: float) -> int:
    part = min(max(part, 0.0), 1.0)
    return round(255 * (part * 12.92 if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055))
