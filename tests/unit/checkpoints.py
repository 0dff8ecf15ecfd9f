"""Checkpoints of `micro` in a store, as a run leaves them, whole or spoilt."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from compiled import MICRO, hyperparameters
from exported import lively_weights
from numpy.typing import NDArray

from agents.parts import heldout
from agents.parts.checkpoint import Content
from agents.trainer.checkpoint import Saved, save
from agents.trainer.state import State
from bus.store import Store
from schemas import train

Arrays = Mapping[str, NDArray[np.float32]]


def checkpoint(store: Store, step: int = 7, weights: Arrays | None = None) -> Saved:
    """A checkpoint of a run on bytes, with a sample of held-out text."""
    rows = np.random.default_rng(3).integers(0, 256, (4, MICRO.context + 1)).astype(np.int32)
    sample = store.put(heldout.write([(rows[:, :-1], rows[:, 1:])]))
    dataset = train.Dataset(
        path="/text",
        hash="1" * 64,
        tokenizer="bytes",
        vocabulary=256,
        files=1,
        training_tokens=9,
        heldout_tokens=132,
        split="by file",
        separator=0,
        heldout_sample=sample.hash,
    )
    content = Content(
        run="run-1", step=step, recipe=MICRO, hyperparameters=hyperparameters(), dataset=dataset, loss=2.5, heldout_loss=None, versions={}
    )
    return save(State.begun(dict(weights if weights is not None else lively_weights(MICRO, step))), content, store)


def announced(saved: Saved, final: bool = True) -> train.Checkpoint:
    """What the trainer says of it."""
    return train.Checkpoint(
        step=saved.content.step,
        hash=saved.weights.hash,
        meta_hash=saved.meta.hash,
        path=saved.weights.path,
        meta_path=saved.meta.path,
        size=saved.weights.size,
        loss=saved.content.loss,
        final=final,
    )
