"""Small models as an export has them: ONNX files and a folder of Hugging Face's, with what they are compared with."""

from pathlib import Path
from typing import Any

import numpy as np
from exported import source_of
from numpy.typing import NDArray

from agents.exporter.parity.compare import Exported
from agents.exporter.tensors import rounded, storage_for
from agents.exporter.tokenizer import Tokens, byte_tokenizer
from agents.exporter.writing import write_folder
from agents.parts.model import initial_weights
from agents.parts.recipes import Recipe
from schemas.export import Precision, Started

Arrays = dict[str, NDArray[np.float32]]

BYTES = Tokens(file=byte_tokenizer().to_str().encode(), end=0, end_name=None)


def lively_weights(recipe: Recipe, seed: int = 0) -> Arrays:
    """Initial weights so much larger that a model is as sure of its tokens as a trained one, and what every layer does can be seen."""
    start = initial_weights(recipe, seed)
    return {name: array * 6 if array.ndim > 1 and "embed" not in name else array for name, array in start.items()}


def export(recipe: Recipe, weights: Arrays, precision: Precision, folder: Path) -> Exported:
    """The model in `folder`, as the exporter writes it."""
    source, storage = source_of(recipe, folder, weights), storage_for(precision)
    write_folder(source, BYTES, storage, folder, lambda done, total, what: None)
    return Exported(
        started=Started(export="export-1", recipe=recipe.name, checkpoint="0" * 64, step=1, precision=precision, bytes=0),
        recipe=recipe,
        folder=folder,
        rounded={name: rounded(source.weights, name, storage) for name in weights},
        own=None if precision == "float32" else weights,
    )


def held_out(recipe: Recipe, rows: int = 40, seed: int = 1) -> tuple[NDArray[Any], ...]:
    """Random rows as the trainer has them."""
    generator = np.random.default_rng(seed)
    tokens, targets = generator.integers(0, recipe.vocabulary, (2, rows, recipe.context)).astype(np.int32)
    if recipe.vision is None:
        return tokens, targets
    targets[:, recipe.context // 2 :] = -100
    size = recipe.vision.image
    return generator.integers(0, 256, (rows, size, size, recipe.vision.channels)).astype(np.uint8), tokens, targets
