"""Models that tests export: every recipe in small, with drawn weights in a file of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from agents.exporter.source import Source, open_weights
from agents.exporter.tensors import storage_for
from agents.exporter.tokenizer import byte_tokenizer
from agents.exporter.writing import write_graphs
from agents.parts import safetensors
from agents.parts.model import initial_weights
from agents.parts.recipes import RECIPES, Recipe

Weights = Mapping[str, NDArray[np.float32]]

SMALL = {"micro", "tiny", "vlm"}
"""Recipes that are small as they are."""


def in_small(name: str) -> Recipe:
    """A recipe's geometry with few layers and narrow heads: as many query heads to a key head, its own rotary base."""
    recipe = RECIPES[name]
    if name in SMALL:
        return recipe
    shared = recipe.heads // recipe.kv_heads
    heads, kv_heads = (2 * shared, 2) if shared > 1 else (4, 4)
    return replace(
        recipe,
        layers=2,
        width=16 * heads,
        heads=heads,
        kv_heads=kv_heads,
        ffn=recipe.ffn * 16 * heads // recipe.width,
        vocabulary=300,
        context=48,
    )


def lively_weights(recipe: Recipe, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Drawn weights, larger than those that training starts from: every part of the model counts in what it says."""
    generator = np.random.default_rng(seed)
    return {
        name: (array * 5 if array.ndim > 1 else array * generator.uniform(0.5, 1.5, array.shape)).astype(np.float32)
        for name, array in initial_weights(recipe, seed).items()
    }


def source_of(recipe: Recipe, folder: Path, weights: Weights | None = None) -> Source:
    """The recipe's model in a checkpoint's file, as the exporter opens it."""
    path = folder / "weights.safetensors"
    path.write_bytes(safetensors.encode(weights if weights is not None else lively_weights(recipe), {"format": "pt"}))
    return Source(recipe=recipe, files=(path,), weights=open_weights((path,), recipe), checkpoint="0" * 64, facts={"run": "test"})


def write_exported(
    folder: Path, recipe: Recipe, weights: Weights, end: int | None = None, numbers: ir.DataType = ir.DataType.FLOAT
) -> Path:
    """A folder as an export leaves it, of a model whose tokens are bytes; its config says no more than a reader of texts needs."""
    folder.mkdir(exist_ok=True)
    storage = replace(storage_for("float32"), numbers=numbers, table=numbers)
    write_graphs(source_of(recipe, folder, weights), storage, folder, lambda done, total, what: None)
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    write_config(folder, max_position_embeddings=recipe.context, eos_token_id=end)
    return folder


def write_config(folder: Path, **config: Any) -> None:  # Any: what JSON holds
    (folder / "config.json").write_text(json.dumps(config))
