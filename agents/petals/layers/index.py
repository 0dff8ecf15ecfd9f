"""The index of the cache: which layers are there, under which hash, and how often each layer was used.

    <cache>/index.json
    <cache>/<prefix>/<layer>.safetensors    that layer's tensors, under the names that they have in the model
    <cache>/<prefix>/.new-<layer>           what is being written

The agent writes it (cache.py); the process that uses the swarm reads it (verified.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from agents.parts.bounded import Unreadable, read_bounded
from agents.petals.llama import LAYERS
from bus.log.disk import replace_file
from bus.topic import RECIPE_PATTERN, RecipeName, Sha256

NAME = "index.json"
LIMIT = 8 << 20
"""Bytes of the index that are parsed at most."""
ENTRIES = 16_384
"""Layers that it says something of, at most."""
LARGEST = 64 << 30
"""Bytes of a layer's file, at most."""

Key = tuple[str, int]
"""A layer: the model's prefix in the swarm, and its number."""


class BadIndex(ValueError):
    """An index that was not written here, or was damaged."""


class File(Struct, frozen=True, kw_only=True):
    """What a layer's file must be."""

    sha256: Sha256
    size: Annotated[int, Meta(ge=1, le=LARGEST)]


class Entry(Struct, frozen=True, kw_only=True):
    """A layer. `uses` are as of the time `used`, seconds since 1970; `file` is null where it is not in the cache."""

    prefix: RecipeName
    layer: Annotated[int, Meta(ge=0, lt=LAYERS)]
    uses: Annotated[float, Meta(ge=0, le=1e18)] = 0.0
    used: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    file: File | None = None

    @property
    def key(self) -> Key:
        return self.prefix, self.layer


class _Index(Struct, frozen=True, kw_only=True):
    format: Literal["zeropoint-layers-1"]
    layers: Annotated[list[Entry], Meta(max_length=ENTRIES)]


def read_index(cache: Path) -> dict[Key, Entry]:
    """What the index says; nothing where there is none. Raises BadIndex, OSError."""
    path = cache / NAME
    if not path.exists():
        return {}
    try:
        index = msgspec.json.decode(read_bounded(path, LIMIT), type=_Index)
    except Unreadable as error:
        if isinstance(error.__cause__, OSError):  # of the machine, not of the index
            raise error.__cause__ from error
        raise BadIndex(str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadIndex(f"{path}: {error}") from error
    entries = {entry.key: entry for entry in index.layers}
    if len(entries) != len(index.layers):
        raise BadIndex(f"{path} names {len(index.layers) - len(entries)} layers twice")
    return entries


def write_index(cache: Path, entries: Iterable[Entry]) -> None:
    """Replace the index, whole or not at all; it is on the medium afterwards. Raises OSError."""
    index = _Index(format="zeropoint-layers-1", layers=list(entries))
    replace_file(cache / NAME, msgspec.json.format(msgspec.json.encode(index), indent=1) + b"\n")


def file_of(cache: Path, key: Key) -> Path:
    """Where a layer's file lies. Raises ValueError for a prefix that is no name of a folder."""
    prefix, layer = key
    if not re.match(RECIPE_PATTERN, prefix):
        raise ValueError(f"{prefix!r} is no prefix of a model: want {RECIPE_PATTERN}")
    return cache / prefix / f"{layer}.safetensors"


def files(entries: Mapping[Key, Entry]) -> dict[Key, File]:
    """Of the layers that are in the cache."""
    return {key: entry.file for key, entry in entries.items() if entry.file is not None}
