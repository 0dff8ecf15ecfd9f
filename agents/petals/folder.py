"""The weights of a Hugging Face folder: safetensors files and nothing else, and perhaps those of a part of the model only.

Format of the index: https://huggingface.co/docs/transformers/big_models#sharded-checkpoints. What is read is untrusted and bounded.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
from msgspec import Struct

from agents.parts.bounded import Unreadable, read_bounded

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
INDEX_LIMIT = 16 << 20
"""Bytes of an index that are parsed at most."""
FILES = 1024
"""Files that an index may name."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors")


class BadFolder(ValueError):
    """A folder that holds no model which can be run here; the message says why, and what to do."""


class _Index(Struct, frozen=True, kw_only=True):
    weight_map: dict[str, str]


def weight_files(folder: Path) -> list[Path]:
    """The files that are there, by name. A folder that has only some of those that its index names is a part of a model.

    Raises BadFolder where there is none, and for an index that names anything but safetensors files beside it.
    """
    names = _named(folder / INDEX) if os.path.lexists(folder / INDEX) else [SINGLE]
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise BadFolder(f"{folder} has none of the weights {', '.join(names[:3])}: only safetensors files are read")
    return found


def _named(index: Path) -> list[str]:
    """The files that an index names."""
    try:
        names = sorted(set(msgspec.json.decode(read_bounded(index, INDEX_LIMIT), type=_Index).weight_map.values()))
    except (Unreadable, msgspec.DecodeError, RecursionError) as error:
        raise BadFolder(f"{index.name} of {index.parent}: {error}") from error
    for name in names:
        if not _NAME.fullmatch(name):
            raise BadFolder(f"{index} names {name!r}: want the name of a safetensors file in the same folder")
    if not 1 <= len(names) <= FILES:
        raise BadFolder(f"{index} names {len(names)} files: want 1 to {FILES}")
    return names
