"""What a contender is told as it starts. `given` is a safetensors file: weights, tokens and targets [steps, batch, context], rates [steps].

PyTorch's Python reads the same as plain JSON.
"""

from __future__ import annotations

from msgspec import Struct

from schemas.train import Hyperparameters


class Shape(Struct, frozen=True, kw_only=True):
    """A recipe's sizes, as torch_llama.Shape has them."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    context: int
    rope_base: float
    norm_epsilon: float


class Job(Struct, frozen=True, kw_only=True):
    """`compiled`: by torch.compile. `stage`: ours as it was at one of stages.STAGES, null: as it is."""

    shape: Shape
    hyper: Hyperparameters
    given: str
    compiled: bool = False
    stage: int | None = None
