"""Small models as an export has them: ONNX files and a folder of Hugging Face's, with what they are compared with."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from agents.exporter import graph
from agents.exporter.huggingface import config_files, put_weights
from agents.exporter.parity.compare import Exported
from agents.exporter.tensors import rounded, storage_for
from agents.parts import safetensors
from agents.parts.model import initial_weights
from agents.parts.recipes import Recipe
from agents.parts.weights import Weights
from schemas.export import Precision, Started

Arrays = dict[str, NDArray[np.float32]]


def lively_weights(recipe: Recipe, seed: int = 0) -> Arrays:
    """Initial weights so much larger that a model is as sure of its tokens as a trained one, and what every layer does can be seen."""
    start = initial_weights(recipe, seed)
    return {name: array * 6 if array.ndim > 1 and "embed" not in name else array for name, array in start.items()}


def export(recipe: Recipe, weights: Arrays, precision: Precision, folder: Path) -> Exported:
    """The model in `folder`, in the layout of an export."""
    stored = folder / "checkpoint.safetensors"
    stored.write_bytes(safetensors.encode(weights, {"format": "pt"}))
    put_weights([stored], precision, folder)
    for name, content in config_files(recipe, 0, precision).items():
        (folder / name).write_bytes(content)
    source, storage = Weights([stored]), storage_for(precision)
    files = {"model": graph.decoder(recipe, source, storage, {})}
    if recipe.vision:
        files["embed_tokens"] = graph.embed_tokens(recipe, source, storage, {})
        files["vision_encoder"] = graph.vision_encoder(recipe, recipe.vision, source, storage, {})
    for name, file in files.items():
        ir.save(file, folder / f"{name}.onnx", external_data=f"{name}.onnx.data")
    return Exported(
        started=Started(export="export-1", recipe=recipe.name, checkpoint="0" * 64, step=1, precision=precision, bytes=0),
        recipe=recipe,
        folder=folder,
        rounded={name: rounded(source, name, storage) for name in weights},
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
