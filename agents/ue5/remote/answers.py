"""What the engine's answers say, checked. Everything comes out in the frame of the bus."""

from __future__ import annotations

import math
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from agents.parts import frames
from agents.parts.frames import Quaternion, Vector
from agents.ue5.remote.wire import Answer, BadAnswer

T = TypeVar("T")

LONGEST_NAME = 1024
"""Characters of a label or path that are taken: Unreal's names are shorter, and an event of the bus has 64 KiB."""
LONGEST_VERSION = 256

Name = Annotated[str, Meta(max_length=LONGEST_NAME)]


class Placement(Struct, frozen=True):
    """Where an actor is, and its scale."""

    position: Vector
    orientation: Quaternion
    scale: Vector


class Bounds(Struct, frozen=True):
    """The box around an actor, along the axes of the world: its centre, and half its size, in metres."""

    centre: Vector
    extent: Vector


class _Returned(Struct, Generic[T], frozen=True):
    ReturnValue: T


class _Vector(Struct, frozen=True):
    X: float
    Y: float
    Z: float


class _Quaternion(_Vector, frozen=True):
    W: float


class _Transform(Struct, frozen=True):
    Rotation: _Quaternion
    Translation: _Vector
    Scale3D: _Vector


class _Box(Struct, frozen=True):
    Origin: _Vector
    BoxExtent: _Vector


class _Mesh(Struct, frozen=True):
    StaticMesh: Name | None


class _Optics(Struct, frozen=True):
    FieldOfView: float


class _Part(Struct, frozen=True):
    """One answer of a batch."""

    RequestId: int
    ResponseCode: int
    ResponseBody: Raw = Raw(b"")


class _Outcome(Struct, frozen=True):
    """One answer of a batch of which only the code matters: the rest is skipped."""

    ResponseCode: int


class _Parts(Struct, Generic[T], frozen=True):
    Responses: list[T]


_outcomes = msgspec.json.Decoder(_Parts[_Outcome])


def version(body: bytes) -> str:
    """What an engine says of itself. Raises BadAnswer, as all of these do."""
    return _decode(body, _Returned[Annotated[str, Meta(max_length=LONGEST_VERSION)]]).ReturnValue


def label(body: bytes) -> str:
    return _decode(body, _Returned[Name]).ReturnValue


def count(body: bytes) -> int:
    """A number; Unreal writes 64 bits, and some versions write them as a string."""
    value = _decode(body, _Returned[int | str]).ReturnValue
    try:
        return int(value)
    except ValueError:
        raise BadAnswer(f"wanted a count, and the engine said {value!r}") from None


def done(body: bytes) -> bool:
    return _decode(body, _Returned[bool]).ReturnValue


def paths(body: bytes) -> list[str]:
    """The objects that a function returned, without those whose names are too long."""
    return [each for each in _decode(body, _Returned[list[str]]).ReturnValue if len(each) <= LONGEST_NAME]


def path(body: bytes) -> str | None:
    """The object that a function returned, None: no object."""
    value = _decode(body, _Returned[Name | None]).ReturnValue
    return None if value in (None, "", "None") else value


def placement(body: bytes) -> Placement:
    value = _decode(body, _Returned[_Transform]).ReturnValue
    turned = value.Rotation
    return Placement(
        frames.from_unreal(_tuple(value.Translation)),
        _facing(frames.rotation_from_unreal((turned.X, turned.Y, turned.Z, turned.W))),
        frames.scale_from_unreal(_tuple(value.Scale3D)),
    )


def bounds(body: bytes) -> Bounds:
    box = _decode(body, _Box)
    x, y, z = frames.from_unreal(_tuple(box.BoxExtent))
    return Bounds(frames.from_unreal(_tuple(box.Origin)), (abs(x), abs(y), abs(z)))


def mesh(body: bytes) -> str | None:
    return _decode(body, _Mesh).StaticMesh or None


def field_of_view(body: bytes) -> float:
    """In radians."""
    return math.radians(_decode(body, _Optics).FieldOfView)


def parts(body: bytes, count: int) -> list[Answer]:
    """The answers of a batch by the places of its requests, in whichever order they came; one that is missing has the code 0."""
    answers = [Answer(0, b"")] * count
    for part in _decode(body, _Parts[_Part]).Responses:
        if 0 <= part.RequestId < count:
            answers[part.RequestId] = Answer(part.ResponseCode, bytes(part.ResponseBody))
    return answers


def failures(body: bytes, count: int) -> int:
    """How many requests of a batch were not done."""
    try:
        return count - sum(outcome.ResponseCode == 200 for outcome in _outcomes.decode(body).Responses)
    except msgspec.DecodeError as error:
        raise BadAnswer(f"the engine's answer to a batch is none: {error}") from error


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise BadAnswer(f"the engine's answer is not as documented: {error}: {body[:200].decode(errors='replace')}") from error


def _tuple(value: _Vector) -> Vector:
    """The vector, without the minus that a zero may have."""
    return (value.X + 0.0, value.Y + 0.0, value.Z + 0.0)


def _facing(orientation: Quaternion) -> Quaternion:
    """Of the two quaternions of one rotation, the one whose w is not negative."""
    x, y, z, w = orientation
    return (-x, -y, -z, -w) if w < 0 else orientation
