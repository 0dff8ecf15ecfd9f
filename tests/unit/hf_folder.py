"""Folders of Hugging Face's with drawn weights, as the exporter writes them, and what transformers makes of one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.exporter.genai import genai_files
from agents.exporter.huggingface import config_files, put_weights
from agents.exporter.tokenizer import Tokens, tokenizer_files, tokens_of
from agents.parts import safetensors
from agents.parts.model import initial_weights
from agents.parts.recipes import Recipe
from bus.store import Store
from schemas.export import Precision
from schemas.train import Dataset

SCRIPT = Path(__file__).parents[1] / "judge" / "exported.py"
TIMEOUT = 100.0

Arrays = dict[str, NDArray[Any]]  # Any: tokens are integers


def drawn(recipe: Recipe) -> dict[str, NDArray[np.float32]]:
    """Weights that are not near zero, so that a difference shows."""
    generator = np.random.default_rng(5)
    weights = initial_weights(recipe, 5)
    return {name: (array + 0.1 * generator.standard_normal(array.shape)).astype(np.float32) for name, array in weights.items()}


def checkpoint(folder: Path, weights: dict[str, NDArray[np.float32]], files: int = 1) -> list[Path]:
    """The weights in so many files, as in the store: by names that say nothing."""
    names = sorted(weights)
    paths = []
    for number in range(files):
        part = {name: weights[name] for name in names[number::files]}
        paths.append(folder / f"{number}{number}")
        paths[-1].write_bytes(safetensors.encode(part, {"format": "pt"}))
    return paths


def dataset(tokenizer: str = "bytes", separator: int | None = 0, tokenizer_hash: str | None = None) -> Dataset:
    return Dataset(
        path="/texts",
        hash="0",
        tokenizer=tokenizer,
        vocabulary=256,
        files=1,
        training_tokens=1,
        heldout_tokens=1,
        split="",
        separator=separator,
        tokenizer_hash=tokenizer_hash,
    )


def written(
    tmp_path: Path, recipe: Recipe, precision: Precision = "float32", tokens: Tokens | None = None, files: int = 1, **limits: int
) -> Path:
    """A folder with all but the graphs."""
    tokens = tokens or tokens_of(dataset(), recipe, Store(tmp_path))
    folder = tmp_path / "exported"
    folder.mkdir()
    configured = config_files(recipe, tokens.end, precision) | tokenizer_files(tokens, recipe.context) | genai_files(recipe, tokens.end)
    for name, content in configured.items():
        (folder / name).write_bytes(content)
    put_weights(checkpoint(tmp_path, drawn(recipe), files), precision, folder, **limits)
    return folder


def judged(judge: Path, folder: Path, inputs: Arrays, texts: Sequence[str] = (), continued: int = 0) -> tuple[dict[str, Any], Arrays]:
    """What transformers says and computes of a folder; see tests/judge/exported.py."""
    given, found = folder.parent / "given", folder.parent / "found"
    given.write_bytes(safetensors.encode(inputs, {}))
    order = json.dumps({"texts": list(texts), "continued": continued})

    done = subprocess.run([judge, SCRIPT, folder, order, given, found], capture_output=True, text=True, timeout=TIMEOUT, check=False)

    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), safetensors.decode(found.read_bytes())[0]
