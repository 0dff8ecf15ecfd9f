"""JSON that nobody vouches for: bounded in bytes and in values before it is parsed; what is wrong is said with its JSON pointer."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from agents.engine.scenes.errors import BadScene

MAX_OBJECTS = 1_000_000
MAX_VALUES = 5_000_000
"""Of a text, whatever it says: parsing takes a hundred times as much memory as an empty object has bytes."""

_PLACE = re.compile(r" - at `(?:key in )?\$(.*)`$")
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|\.([^.\[]+)")
_Kind = TypeVar("_Kind")


def parse(text: bytes | memoryview, kind: type[_Kind]) -> _Kind:
    """The value, which is a `kind`. Raises BadScene; the caller has bounded the text's size."""
    plain = bytes(text)
    if plain.count(b"{") + plain.count(b"[") > MAX_OBJECTS or plain.count(b",") > MAX_VALUES:
        raise BadScene("", f"the JSON has over {MAX_OBJECTS} objects and arrays or {MAX_VALUES} values, more than is parsed")
    try:
        return msgspec.json.decode(plain, type=kind)
    except msgspec.ValidationError as error:
        raise BadScene(pointer(str(error)), _PLACE.sub("", str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadScene("", f"this is no JSON: {error}") from error


def pointer(message: str) -> str:
    """The place that msgspec names in an error (`$.nodes[3].scale`) as a JSON pointer (`/nodes/3/scale`)."""
    found = _PLACE.search(message)
    return "".join(f"/{number or name}" for number, name in _STEP.findall(found[1])) if found else ""
