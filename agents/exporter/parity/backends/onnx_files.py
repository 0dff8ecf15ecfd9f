"""What the ONNX files of an export are called, and what they take and give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from agents.exporter.names import EMBEDDING, ENCODER, MODEL
from agents.exporter.parity.measures import Floats
from agents.exporter.parity.prompts import Images
from agents.parts.recipes import Recipe


@dataclass(frozen=True, slots=True)
class Files:
    """Those in the folder of an export of `recipe`."""

    folder: Path
    recipe: Recipe

    @property
    def decoder(self) -> Path:
        return self.folder / MODEL

    @property
    def embedding(self) -> Path:
        """Of a model that sees; the decoder of another one reads tokens."""
        return self.folder / EMBEDDING

    @property
    def encoder(self) -> Path:
        """Of a model that sees."""
        return self.folder / ENCODER

    @property
    def patches(self) -> int:
        """Positions that a picture takes before its text."""
        return self.recipe.vision.patches if self.recipe.vision else 0

    @property
    def caches(self) -> list[tuple[str, str]]:
        """The inputs and outputs of each layer's keys and values."""
        parts = [(layer, part) for layer in range(self.recipe.layers) for part in ("key", "value")]
        return [(f"past_key_values.{layer}.{part}", f"present.{layer}.{part}") for layer, part in parts]

    def table(self, name: str) -> NDArray[Any]:  # Any: of the file's dtype
        """A constant of the decoder. Raises KeyError where it has none of this name."""
        value = ir.load(self.decoder).graph.initializers[name].const_value
        if value is None:
            raise KeyError(name)
        return value.numpy()

    def empty_cache(self, rows: int) -> tuple[int, int, int, int]:
        """The shape of keys, and of values, before the first token."""
        return rows, self.recipe.kv_heads, 0, self.recipe.head_width


def pixel_values(images: Images) -> Floats:
    """Bytes [n, image, image, channels] as what the encoder takes: [n, channels, image, image], from -1 to 1."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1)


def positions(rows: int, start: int, stop: int) -> NDArray[np.int64]:
    """Of a text's tokens [rows, stop - start]."""
    return np.tile(np.arange(start, stop, dtype=np.int64), (rows, 1))


def pieces(length: int) -> Sequence[tuple[int, int]]:
    """A text cut up: a beginning, a single token, and what is left."""
    middle = length // 2
    return [(start, stop) for start, stop in ((0, middle), (middle, middle + 1), (middle + 1, length)) if start < stop]
