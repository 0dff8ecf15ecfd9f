"""Reads layers from the cache: nothing of a file is used before all of it has the hash that the index says."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from pathlib import Path

from agents.petals.layers.index import File, file_of


class MissingLayers(LookupError):
    """Layers that this machine has not: `layers` are their numbers."""

    def __init__(self, layers: Sequence[int]) -> None:
        super().__init__(f"this machine has not the layers {', '.join(map(str, layers))}: neither the model's folder nor the cache")
        self.layers = list(layers)


class BadLayer(ValueError):
    """A layer whose bytes are not those that were kept, and whose file is removed; or one that is no layer of this model."""


def read_layer(cache: Path, prefix: str, layer: int, file: File) -> bytes:
    """The file of a layer, verified. Raises BadLayer, MissingLayers where it has gone meanwhile, OSError."""
    path = file_of(cache, (prefix, layer))
    try:
        data = _read(path, file.size)
    except FileNotFoundError:
        raise MissingLayers([layer]) from None
    if data is None or hashlib.sha256(data).hexdigest() != file.sha256:
        path.unlink(missing_ok=True)
        raise BadLayer(f"layer {layer} of {prefix} was damaged in the cache: {path} has not the hash {file.sha256}, and is removed")
    return data


def _read(path: Path, size: int) -> bytes | None:
    """So many bytes of a plain file; None where it is none, or has another size."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size != size:
        return None
    with path.open("rb") as file:
        return file.read(size)
