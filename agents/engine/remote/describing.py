"""Describes objects as `/remote/object/describe` does, from the tables that their calls are made by."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from agents.engine.remote.objects import Found, name_of
from agents.engine.remote.tables import AnyFunction, AnyProperty
from agents.engine.remote.values import FScale

_NAMES: dict[Any, str] = {bool: "bool", int: "int32", float: "double", str: "FString", FScale: "FVector"}
"""What Unreal calls a type that does not say so itself; its structs are called alike here."""


class Described(Struct, frozen=True):
    """A property, or a parameter."""

    Name: str
    Description: str
    Type: str
    ContainerType: str
    KeyType: str = ""
    Metadata: dict[str, str] = {}


class DescribedFunction(Struct, frozen=True):
    Name: str
    Description: str
    Arguments: list[Described]


class Description(Struct, frozen=True):
    """An object."""

    Name: str
    Class: str
    DisplayName: str
    Path: str
    Properties: list[Described]
    Functions: list[DescribedFunction]


def describe(found: Found) -> Description:
    return Description(
        Name=name_of(found.path),
        Class=found.kind.path,
        DisplayName=found.label,
        Path=found.path,
        Properties=[_property(each) for each in found.kind.properties],
        Functions=[_function(each) for each in found.kind.functions],
    )


def _property(described: AnyProperty[Any]) -> Described:  # Any: of whichever class
    metadata = {} if described.writable else {"EditConst": "true"}
    return _typed(described.name, described.kind, metadata)


def _function(described: AnyFunction[Any]) -> DescribedFunction:  # as above
    fields = [*msgspec.structs.fields(described.parameters), *msgspec.structs.fields(described.results)]
    return DescribedFunction(described.name, described.about, [_typed(field.name, field.type, {}) for field in fields])


def _typed(name: str, kind: Any, metadata: dict[str, str]) -> Described:  # Any: a type as an annotation may write it
    if get_origin(kind) is list:
        return Described(name, "", _type_name(get_args(kind)[0]), "Array", Metadata=metadata)
    return Described(name, "", _type_name(kind), "", Metadata=metadata)


def _type_name(kind: Any) -> str:  # as above
    if get_origin(kind) is Annotated:
        titles = [meta.title for meta in get_args(kind)[1:] if isinstance(meta, Meta) and meta.title]
        return titles[0] if titles else _type_name(get_args(kind)[0])
    return _NAMES.get(kind) or str(kind.__name__)
