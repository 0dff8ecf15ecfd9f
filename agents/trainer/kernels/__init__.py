"""Kernels in C for tinygrad's CPU device: training and inference at the speed of the processor, on all its cores."""

from __future__ import annotations

from functools import partial

from agents.parts.operations import Operations
from agents.trainer.implementation import Implementation
from agents.trainer.kernels.adamw import update
from agents.trainer.kernels.attention import attention
from agents.trainer.kernels.cross_entropy import cross_entropy
from agents.trainer.kernels.embedding import embedding
from agents.trainer.kernels.norm import norm
from agents.trainer.kernels.pool import pool_of, usable_cores
from agents.trainer.kernels.product import product
from agents.trainer.kernels.replay import replay_on
from agents.trainer.kernels.swiglu import swiglu


def implementation(threads: int | None = None) -> Implementation:
    """The operations and the optimiser's step for the CPU device, on `threads` threads; None is one for each usable core."""
    shared = pool_of(threads or usable_cores())
    replay_on(shared)
    operations = Operations(
        embedding=partial(embedding, shared),
        product=partial(product, shared),
        norm=partial(norm, shared),
        swiglu=partial(swiglu, shared),
        attention=partial(attention, shared),
        cross_entropy=partial(cross_entropy, shared),
    )
    return Implementation(operations=operations, update=partial(update, shared))
