"""Checkpoints: weights as safetensors and what is needed to use them as JSON, both in the artifact store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from agents.parts import safetensors
from agents.parts.recipes import Recipe, shapes
from bus.store import Store, Stored
from bus.topic import Name, Sha256
from schemas.train import Dataset, Hyperparameters

Weights = dict[str, NDArray[np.float32]]

META_LIMIT = 1 << 20
"""Bytes of JSON that are parsed at most."""


class BadCheckpoint(ValueError):
    """A checkpoint whose parts do not fit together; the message says which."""


class Content(Struct, frozen=True, kw_only=True):
    """What a checkpoint is, besides its weights. Losses in nats per token, held-out loss null where it was not measured at this step."""

    run: Name
    step: int
    recipe: Recipe
    hyperparameters: Hyperparameters
    dataset: Dataset
    loss: float
    heldout_loss: float | None
    versions: dict[str, str]


class Meta(Struct, frozen=True, kw_only=True):
    """The JSON beside the weights. `weights` is the SHA-256 of their safetensors file."""

    format: Literal["zeropoint-checkpoint-1"]
    weights: Sha256
    content: Content


@dataclass(frozen=True, slots=True)
class Saved:
    """Both files of a checkpoint in the store, and what it is."""

    weights: Stored
    meta: Stored
    content: Content


def save(weights: Weights, content: Content, store: Store) -> Saved:
    """Write a checkpoint. Equal weights make the same file, whichever run they are from. Raises OSError."""
    kept = store.put(safetensors.encode(weights, {"format": "pt"}))  # the key that transformers asks for
    meta = Meta(format="zeropoint-checkpoint-1", weights=kept.hash, content=content)
    return Saved(kept, store.put(msgspec.json.format(msgspec.json.encode(meta), indent=2)), content)


def load(meta_hash: str, store: Store) -> tuple[Content, Weights]:
    """Read a checkpoint back and check it against its hashes and recipe. Raises NotInStore, BadSafetensors, BadCheckpoint."""
    meta = _decode_meta(store.read(meta_hash))
    weights, _ = safetensors.decode(store.read(meta.weights))
    recipe = meta.content.recipe
    expected = shapes(recipe)
    found = {name: array.shape for name, array in weights.items()}
    if found != expected:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise BadCheckpoint(f"the weights {meta.weights[:12]}… are not those of recipe {recipe.name}: see {wrong[0]}")
    return meta.content, weights


def _decode_meta(data: bytes) -> Meta:
    if len(data) > META_LIMIT:
        raise BadCheckpoint(f"a checkpoint's JSON of {len(data)} bytes: at most {META_LIMIT} are read")
    try:
        return msgspec.json.decode(data, type=Meta)
    except msgspec.DecodeError as error:
        raise BadCheckpoint(f"not a checkpoint's JSON: {error}") from error
