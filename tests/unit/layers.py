"""Small models whose layers are kept, and looks at what was kept of them."""

from __future__ import annotations

import threading
from collections.abc import Collection
from pathlib import Path

from exports import lively_weights

from agents.exporter.huggingface import config_files
from agents.parts import safetensors
from agents.parts.recipes import RECIPES
from agents.petals.layers.cache import Cache
from agents.petals.layers.index import File, Key, files, read_index
from agents.petals.layers.source import Source

TINY = RECIPES["tiny"]
ALL = range(TINY.layers)
NEVER = threading.Event()
PLENTY = 1 << 30


def write_model(folder: Path, layers: Collection[int] = ALL) -> Path:
    """A folder of Hugging Face's with these layers of a model, and all that is outside of layers."""
    folder.mkdir(exist_ok=True)
    parts = {name: (name.split("."), array) for name, array in lively_weights(TINY).items()}
    there = {name: array for name, (path, array) in parts.items() if path[1] != "layers" or int(path[2]) in layers}
    (folder / "model.safetensors").write_bytes(safetensors.encode(there, {"format": "pt"}))
    (folder / "config.json").write_bytes(config_files(TINY, 0, "float32")["config.json"])
    return folder


def filled(model: Path, folder: Path, limit: int = PLENTY) -> Cache:
    """A cache that has the layers of a model, as many as fit."""
    cache = Cache(folder, limit)
    cache.count("tiny", 0, TINY.layers, 1)
    cache.keep(model, "tiny", NEVER)
    return cache


def layer_size(model: Path) -> int:
    """Bytes of a layer's file; all have as many."""
    source = Source(model)
    (size,) = {source.size(layer) for layer in source.layers}
    return size


def there(cache: Path) -> set[str]:
    """The files of a cache, but for its index, and what a kill left of a new one."""
    return {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()} - {"index.json", ".index.json.new"}


def named(cache: Path) -> dict[Key, File]:
    """What the index says is there."""
    return files(read_index(cache))


def names(prefix: str, layers: Collection[int]) -> set[str]:
    return {f"{prefix}/{layer}.safetensors" for layer in layers}
