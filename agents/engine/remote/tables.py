"""What a class of objects can do, as a table: calls, property access and descriptions are all made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from agents.engine.remote.answer import Refused, shown
from agents.engine.remote.context import Context
from agents.engine.remote.reading import Reader, Unreadable

T = TypeVar("T")
P = TypeVar("P", bound=Struct)
V = TypeVar("V")

_BLUEPRINT = "K2_"
"""Blueprints show a function without this, and many clients call it so."""


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters, or no results."""


class Function(Generic[T, P]):
    """A function of objects `T`. `parameters` and `results` have a field for each parameter, in and out."""

    def __init__(self, name: str, parameters: type[P], results: type[Struct], run: Callable[[Context, T, P], Struct]) -> None:
        self.name, self.parameters, self.results = name, parameters, results
        self.about = (run.__doc__ or "").strip()
        self._reader, self._run = Reader(parameters), run

    def call(self, context: Context, it: T, parameters: bytes | Raw) -> bytes:
        """The results as JSON. Raises Refused."""
        try:
            told = self._reader.read(parameters)
        except Unreadable as error:
            raise Refused(f"Unable to deserialize the parameters of function: {self.name}. {error}") from None
        return msgspec.json.encode(self._run(context, it, told))


class Property(Generic[T, V]):
    """A property of objects `T`, read-only where nothing sets it."""

    def __init__(
        self, name: str, kind: type[V], get: Callable[[Context, T], V], set_: Callable[[Context, T, V], None] | None = None
    ) -> None:
        self.name, self.kind = name, kind
        self.get, self._set = get, set_
        self._reader = Reader(kind)

    @property
    def writable(self) -> bool:
        return self._set is not None

    def writing(self, context: Context, it: T, value: Raw) -> Callable[[], None]:
        """What writes `value`, which is read already. What that leaves out of a struct stays as it is. Raises Refused."""
        set_ = self._set
        if set_ is None:
            raise Refused(f"Object property: {self.name} is read-only.")
        try:
            told = self._reader.read_over(value, self.get(context, it))
        except Unreadable as error:
            raise Refused(f"Unable to deserialize the value of property: {self.name}. {error}") from None
        return lambda: set_(context, it, told)


AnyFunction = Function[T, Any]  # Any: each has parameters of its own
AnyProperty = Property[T, Any]  # as above


@dataclass(frozen=True)
class Class(Generic[T]):
    """A class of Unreal, under its path."""

    path: str
    functions: Sequence[AnyFunction[T]] = ()
    properties: Sequence[AnyProperty[T]] = ()
    _functions: Mapping[str, AnyFunction[T]] = field(init=False)
    _properties: Mapping[str, AnyProperty[T]] = field(init=False)

    def __post_init__(self) -> None:
        spelled = {function.name: function for function in self.functions}
        object.__setattr__(self, "_functions", {**_any_case(spelled), **spelled})
        object.__setattr__(self, "_properties", {each.name.lower(): each for each in self.properties})

    def function(self, name: str, path: str) -> AnyFunction[T]:
        """Names are matched in any case. Raises Refused; `path` is of the object, for the error."""
        found = self._functions.get(name) or self._functions.get(name.lower())
        if found is None:
            raise Refused(f"Function: {shown(name)} does not exist on object: {path}.")
        return found

    def property(self, name: str, path: str) -> AnyProperty[T]:
        """As above."""
        found = self._properties.get(name.lower())
        if found is None:
            raise Refused(f"Object property: {shown(name)} could not be resolved on object: {path}")
        return found


def _any_case(functions: Mapping[str, AnyFunction[T]]) -> dict[str, AnyFunction[T]]:
    """Also by the names that blueprints show."""
    shortened = {name.removeprefix(_BLUEPRINT).lower(): function for name, function in functions.items()}
    return {**shortened, **{name.lower(): function for name, function in functions.items()}}
