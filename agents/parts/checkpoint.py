"""What a checkpoint is: the JSON that describes its weights, and how it is read back. The trainer writes them."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from agents.parts.recipes import Recipe
from bus.store import Store
from bus.topic import Name, Sha256
from schemas.train import Dataset, Hyperparameters

META_LIMIT = 1 << 20
"""Bytes of JSON that are parsed at most."""


class BadCheckpoint(ValueError):
    """A checkpoint whose parts do not fit together; the message says which."""


class Content(Struct, frozen=True, kw_only=True):
    """What a checkpoint is, besides its weights. Losses in nats per token, held-out loss null where it was not measured at this step.

    With the optimiser's state (`optimizer` is its file's SHA-256) a run goes on from here to the last bit: which data comes next, the
    learning rate and all that is random follow from `step` and the seed. `evaluated` are step and held-out loss of the last evaluation,
    `best_loss` is the lowest so far, `stale` counts the evaluations since.
    """

    run: Name
    step: int
    recipe: Recipe
    hyperparameters: Hyperparameters
    dataset: Dataset
    loss: float
    heldout_loss: float | None
    versions: dict[str, str]
    optimizer: Sha256 | None = None
    evaluated: tuple[int, float] | None = None
    best_loss: float | None = None
    stale: int = 0


class Meta(Struct, frozen=True, kw_only=True):
    """The JSON beside the weights. `weights` is the SHA-256 of their safetensors file."""

    format: Literal["zeropoint-checkpoint-1"]
    weights: Sha256
    content: Content


def read_meta(meta_hash: str, store: Store) -> Meta:
    """What a checkpoint says of itself. Raises NotInStore, BadCheckpoint."""
    if (size := store.path(meta_hash).stat().st_size) > META_LIMIT:
        raise BadCheckpoint(f"a checkpoint's JSON of {size} bytes: at most {META_LIMIT} are read")
    try:
        return msgspec.json.decode(store.read(meta_hash), type=Meta)
    except msgspec.DecodeError as error:
        raise BadCheckpoint(f"not a checkpoint's JSON: {error}") from error
