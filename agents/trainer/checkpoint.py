"""Checkpoints: weights and the optimiser's state as safetensors, and what is needed to use them as JSON, all in the artifact store."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec.structs import replace

from agents.parts import safetensors
from agents.parts.checkpoint import BadCheckpoint, Content, Meta, read_meta
from agents.parts.recipes import Recipe, shapes
from agents.trainer.state import State, Weights
from bus.store import Store, Stored

_MOMENTS = ("mean", "square")


@dataclass(frozen=True, slots=True)
class Saved:
    """The files of a checkpoint in the store, and what it is."""

    weights: Stored
    optimizer: Stored
    meta: Stored
    content: Content


def save(state: State, content: Content, store: Store) -> Saved:
    """Write a checkpoint; the hash of the optimiser's state is put into `content`. Equal weights make the same file. Raises OSError."""
    weights = store.put(safetensors.blocks(state.weights, {"format": "pt"}))  # the key that transformers asks for
    optimizer = store.put(safetensors.blocks(_flat(state), {}))
    content = replace(content, optimizer=optimizer.hash)
    meta = Meta(format="zeropoint-checkpoint-1", weights=weights.hash, content=content)
    return Saved(weights, optimizer, store.put(msgspec.json.format(msgspec.json.encode(meta), indent=2)), content)


def load(meta_hash: str, store: Store) -> tuple[Content, Weights]:
    """Read a checkpoint back and check it against its hashes and recipe. Raises NotInStore, BadSafetensors, BadCheckpoint."""
    meta = read_meta(meta_hash, store)
    weights, _ = safetensors.decode(store.read(meta.weights))
    _check(weights, shapes(meta.content.recipe), f"the weights {meta.weights[:12]}…", meta.content.recipe)
    return meta.content, weights


def load_state(meta_hash: str, store: Store) -> tuple[Content, State]:
    """Read back all that a run goes on with. Raises as `load` does, BadCheckpoint also where the optimiser's state is not kept."""
    content, weights = load(meta_hash, store)
    if content.optimizer is None:
        raise BadCheckpoint(f"the checkpoint {meta_hash[:12]}… has no optimiser's state: it can be started from, not gone on with")
    moments, _ = safetensors.decode(store.read(content.optimizer))
    expected = shapes(content.recipe)
    named = {f"{kind}.{name}": shape for kind in _MOMENTS for name, shape in expected.items()}
    _check(moments, named, f"the moments {content.optimizer[:12]}…", content.recipe)
    means, squares = ({name: moments[f"{kind}.{name}"] for name in expected} for kind in _MOMENTS)
    return content, State(weights=weights, means=means, squares=squares, steps=content.step)


def _flat(state: State) -> Weights:
    parts = zip(_MOMENTS, (state.means, state.squares), strict=True)
    return {f"{kind}.{name}": array for kind, part in parts for name, array in part.items()}


def _check(arrays: Weights, expected: dict[str, tuple[int, ...]], what: str, recipe: Recipe) -> None:
    found = {name: array.shape for name, array in arrays.items() if array.dtype == np.float32}
    if found != expected:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise BadCheckpoint(f"{what} are not float32 in the shapes of recipe {recipe.name}: see {wrong[0]}")
