"""Seeded random weights of a recipe in bfloat16, in several files as large models have them: they say nothing, but take their room."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agents.parts.recipes import Recipe, shapes
from agents.parts.safetensors import header_of

SHARD = 5_000_000_000
"""Bytes of weights in a file, at most."""
BLOCK = 1 << 24
"""Numbers that are drawn at once."""
SCALE = 0.02
"""Standard deviation; gains are 1."""


def write_shards(recipe: Recipe, folder: Path, seed: int) -> list[Path]:
    """The files. Raises OSError."""
    generator = np.random.default_rng(seed)
    groups = list(_groups(recipe))
    files = [folder / f"model-{number:05}-of-{len(groups):05}.safetensors" for number in range(1, len(groups) + 1)]
    for file, group in zip(files, groups, strict=True):
        _write(file, group, generator)
    return files


def _groups(recipe: Recipe) -> Iterator[dict[str, tuple[int, ...]]]:
    group: dict[str, tuple[int, ...]] = {}
    size = 0
    for name, shape in shapes(recipe).items():
        if size and size + 2 * math.prod(shape) > SHARD:
            yield group
            group, size = {}, 0
        group[name] = shape
        size += 2 * math.prod(shape)
    yield group


def _write(path: Path, group: dict[str, tuple[int, ...]], generator: np.random.Generator) -> None:
    with path.open("wb") as file:
        file.write(header_of({name: ("BF16", shape, 2 * math.prod(shape)) for name, shape in group.items()}, {}))
        for shape in group.values():
            for block in _numbers(shape, generator):
                file.write(block)


def _numbers(shape: tuple[int, ...], generator: np.random.Generator) -> Iterator[bytes]:
    """A tensor's bytes: the upper halves of float32 numbers are bfloat16."""
    left = math.prod(shape)
    while left:
        count = min(left, BLOCK)
        numbers = np.ones(count, np.float32) if len(shape) == 1 else generator.standard_normal(count, np.float32) * np.float32(SCALE)
        yield (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
        left -= count
