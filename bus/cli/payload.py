"""JSON that a person typed, as the struct that a topic or command takes: strict, because nobody else checks it before the bus."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from bus.cli.exits import Mistyped
from bus.cli.vocabulary import nearest
from bus.wire import MAX_FRAME

S = TypeVar("S")
Unknown = tuple[str, str, list[str]]
"""Where a field that no struct has stands, its name, and the names that there are."""

_MAX_STDIN = 16 * MAX_FRAME  # JSON is longer than MessagePack, but not by more


def read_argument(argument: str) -> bytes:
    """The bytes of a JSON argument; `-` reads standard input. Raises Mistyped."""
    if argument != "-":
        return argument.encode(errors="surrogateescape")
    text = sys.stdin.buffer.read(_MAX_STDIN + 1)
    if len(text) > _MAX_STDIN:
        raise Mistyped(f"more than {_MAX_STDIN} bytes on standard input: an event holds {MAX_FRAME}")
    return text


def decode_json(text: bytes, kind: type[S], what: str) -> S:
    """`text` as `kind`. Raises Mistyped for malformed JSON, a wrong type, and a field that is missing or that `kind` has not."""
    try:
        plain = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Mistyped(f"{what}: {_locate(text, str(error))}") from error
    _refuse(_unknown_at_top(plain, kind), kind, what)  # first: a mistyped field is also a missing one
    try:
        value = msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Mistyped(f"{what}: {error} ({_signature(kind)})") from error
    _refuse(_unknown_fields(plain, value, "$"), kind, what)
    return value


def _refuse(unknown: Iterator[Unknown], kind: type[Any], what: str) -> None:  # the struct that was asked for
    for path, name, known in unknown:
        near = nearest(name, known)
        raise Mistyped(f"{what}: no field {name!r} at {path}: {f'did you mean {near}?' if near else _signature(kind)}")


def _locate(text: bytes, message: str) -> str:
    position = re.search(r"\(byte (\d+)\)", message)
    where = ""
    if position:
        place = int(position[1])
        where = f", at {text[place : place + 20].decode(errors='replace')!r}"
    return f"{message}{where}: want JSON, quoted for the shell, as '{{\"name\": 1}}'"


def _unknown_at_top(plain: Any, kind: type[Any]) -> Iterator[Unknown]:  # decoded JSON
    known = [field.encode_name for field in fields(kind)] if issubclass(kind, Struct) else []
    if known and isinstance(plain, dict):
        yield from (("$", name, known) for name in plain if name not in known)


def _unknown_fields(plain: Any, value: Any, path: str) -> Iterator[Unknown]:  # the same JSON, plain and typed
    """Each field that decoding ignored."""
    if isinstance(value, Struct) and isinstance(plain, dict):
        known = {field.encode_name: field.name for field in fields(value)}
        yield from ((path, name, list(known)) for name in plain if name not in known)
        for encoded, name in known.items():
            if encoded in plain:
                yield from _unknown_fields(plain[encoded], getattr(value, name), f"{path}.{encoded}")
    elif isinstance(value, list | tuple) and isinstance(plain, list):
        for number, (inner, typed) in enumerate(zip(plain, value, strict=True)):
            yield from _unknown_fields(inner, typed, f"{path}[{number}]")
    elif isinstance(value, dict) and isinstance(plain, dict):
        for name in plain.keys() & value.keys():
            yield from _unknown_fields(plain[name], value[name], f"{path}.{name}")


def field_names(kind: type[Struct]) -> list[str]:
    """The fields of a struct, in brackets where they may be left out."""
    return [_field(field) for field in fields(kind)]


def _signature(kind: type[Any]) -> str:  # a request's or an event's struct
    if not issubclass(kind, Struct):
        return kind.__name__
    parts = field_names(kind)
    return f"{kind.__name__} is {', '.join(parts)}" if parts else f"{kind.__name__} has no fields"


def _field(field: FieldInfo) -> str:
    required = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
    return field.encode_name if required else f"[{field.encode_name}]"
