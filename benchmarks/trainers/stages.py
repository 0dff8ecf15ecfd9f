"""The trainer's implementation for a CPU as it was built up: plain tinygrad, and one kernel in C after the other."""

from __future__ import annotations

from dataclasses import replace

from agents.parts.operations import Operations, plain
from agents.trainer.implementation import Implementation
from agents.trainer.kernels import implementation
from agents.trainer.optimizer import update

STAGES = (
    "plain tinygrad",
    "products in C",
    "RMSNorm",
    "SwiGLU",
    "attention",
    "embedding, cross-entropy",
    "clipping and AdamW",
    "what the JIT recorded, called from C",
)
_FIELDS = ((), ("product",), ("norm",), ("swiglu",), ("attention",), ("embedding", "cross_entropy"))


def implementation_at(stage: int) -> Implementation:
    """What was there at one of STAGES; the last one is the others' kernels, called otherwise."""
    whole = implementation()
    taken = [field for fields in _FIELDS[: stage + 1] for field in fields]
    operations: Operations = replace(plain(), **{field: getattr(whole.operations, field) for field in taken})
    return Implementation(operations=operations, update=whole.update if stage >= len(_FIELDS) else update)


def jit_at(stage: int | None) -> int:
    """tinygrad's JIT setting: 2 records what runs, but leaves each call to Python."""
    return 1 if stage is None or stage == len(STAGES) - 1 else 2
