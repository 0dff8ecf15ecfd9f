"""Reads JSON as Unreal does: typed, and with names of fields in any case.

A client that spells names as Unreal does is read at once, in about a third of a microsecond. Only what cannot be read so is decoded
without a type, spelled right, and read again.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar, get_args

import msgspec
from msgspec import Raw, Struct

from agents.engine.remote.answer import shown

T = TypeVar("T")

Names = dict[str, tuple[str, "Names"]]
"""Of a struct's fields: each in small letters, how it is spelled, and the names inside of it."""

_UNREADABLE = (ValueError, RecursionError)  # msgspec's errors are the former; the latter is of JSON that is nested too deeply


class Unreadable(ValueError):
    """JSON is not what was asked for; the message says where."""


class Reader(Generic[T]):
    """Reads values of one type. `lenient`: names that it does not have are skipped, else they are errors.

    A struct forbids unknown fields, also where the reader is lenient: a misspelled one would count as missing otherwise.
    """

    def __init__(self, kind: type[T], *, lenient: bool = False) -> None:
        self._decode = msgspec.json.Decoder(kind).decode
        self._names = names_of(kind)
        self._lenient = lenient

    def read(self, body: bytes | Raw) -> T:
        """Raises Unreadable."""
        try:
            return self._decode(body)
        except _UNREADABLE:
            return self._spell_and_read(body)

    def read_over(self, body: bytes | Raw, current: T) -> T:
        """What `current` becomes by a struct of which only some fields are told. Raises Unreadable."""
        try:
            told = _spelled(msgspec.json.decode(body), self._names, lenient=False)
            whole = msgspec.to_builtins(current) | told if isinstance(told, dict) and isinstance(current, Struct) else told
            return self._decode(msgspec.json.encode(whole))
        except _UNREADABLE as error:
            raise Unreadable(shown(str(error))) from None

    def _spell_and_read(self, body: bytes | Raw) -> T:
        try:
            told = _spelled(msgspec.json.decode(body), self._names, self._lenient)
            return self._decode(msgspec.json.encode(told))
        except _UNREADABLE as error:
            raise Unreadable(shown(str(error))) from None


def names_of(kind: Any) -> Names:  # Any: a type as an annotation may write it
    """The names of a struct's fields, or of the structs in a list. Other types have none."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return {field.name.lower(): (field.name, names_of(field.type)) for field in msgspec.structs.fields(kind)}
    names: Names = {}
    for inner in get_args(kind):
        names |= names_of(inner)
    return names


def _spelled(value: Any, names: Names, lenient: bool) -> Any:  # Any: JSON
    if isinstance(value, list):
        return [_spelled(item, names, lenient) for item in value]
    if not isinstance(value, dict) or not names:
        return value
    spelled = {}
    for name, inside in value.items():
        right, inner = names.get(name.lower(), (None if lenient else name, {}))
        if right is not None:
            spelled[right] = _spelled(inside, inner, lenient)
    return spelled
