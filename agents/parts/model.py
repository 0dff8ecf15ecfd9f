"""A Llama-family decoder in tinygrad: RMSNorm, rotary positions, grouped-query attention, SwiGLU, untied head.

Names, shapes and the rotary convention are those of Hugging Face's LlamaForCausalLM, so its weights need no conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tinygrad.tensor import Tensor

from agents.parts.operations import Operations, Rotary
from agents.parts.recipes import Recipe, rotary_angles, shapes

INITIAL_SCALE = 0.02
"""Standard deviation of the initial weights, as GPT-2 and Llama start."""


def initial_weights(recipe: Recipe, seed: int) -> dict[str, NDArray[np.float32]]:
    """Seeded weights, the same on every device: gains are 1, projections normal, those into the residual stream smaller with depth."""
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes(recipe).items():
        into_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
        layers = recipe.vision.layers if recipe.vision and name.startswith("vision.") else recipe.layers
        scale = INITIAL_SCALE / np.sqrt(2 * layers) if into_residual else INITIAL_SCALE
        values = np.ones(shape) if len(shape) == 1 else generator.standard_normal(shape) * scale
        weights[name] = values.astype(np.float32)
    return weights


Weights = dict[str, Tensor]


def trainable(recipe: Recipe, weights: Mapping[str, NDArray[np.float32]]) -> Weights:
    """Tensors of their own, which an optimiser updates in place.

    They are in one order, wherever they come from: it is the order in which what concerns all of them is summed up.
    """
    return {name: Tensor(weights[name]).is_param_().realize() for name in shapes(recipe)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A transformer's blocks one after the other, and the norm behind them; the weights' names begin with `name`."""

    name: str
    layers: int
    head_width: int
    epsilon: float
    rotary: Rotary | None
    causal: bool
    weights: Weights
    operations: Operations

    def __call__(self, x: Tensor) -> Tensor:
        """The residual stream [batch, length, width] behind the last block, normalised."""
        for index in range(self.layers):
            layer = f"{self.name}.layers.{index}"
            x = self._attention(f"{layer}.self_attn", self._norm(f"{layer}.input_layernorm", x), x)
            x = self._feed_forward(f"{layer}.mlp", self._norm(f"{layer}.post_attention_layernorm", x), x)
        return self._norm(f"{self.name}.norm", x)

    def _attention(self, name: str, x: Tensor, residual: Tensor) -> Tensor:
        query, key, value = (self._linear(f"{name}.{part}_proj", x) for part in "qkv")
        mixed = self.operations.attention(query, key, value, self.rotary, self.head_width, self.causal)
        return self._linear(f"{name}.o_proj", mixed, residual)

    def _feed_forward(self, name: str, x: Tensor, residual: Tensor) -> Tensor:
        gated = self.operations.swiglu(self._linear(f"{name}.gate_proj", x), self._linear(f"{name}.up_proj", x))
        return self._linear(f"{name}.down_proj", gated, residual)

    def _linear(self, name: str, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return self.operations.product(x, self.weights[f"{name}.weight"], residual)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return self.operations.norm(x, self.weights[f"{name}.weight"], self.epsilon)


class Llama:
    """The decoder. `weights` maps Hugging Face's names to tensors, which an optimiser updates in place."""

    def __init__(self, recipe: Recipe, weights: Mapping[str, NDArray[np.float32]], operations: Operations) -> None:
        self.recipe = recipe
        self.weights = trainable(recipe, weights)
        self._operations = operations
        self._decoder = decoder(recipe, self.weights, operations)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Logits [batch, length, vocabulary] for tokens [batch, length], length at most the context."""
        x = self._operations.embedding(tokens, self.weights["model.embed_tokens.weight"])
        return self._operations.product(self._decoder(x), self.weights["lm_head.weight"])

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token of targets [batch, length]."""
        return self._operations.cross_entropy(self(tokens), targets)


def decoder(recipe: Recipe, weights: Weights, operations: Operations) -> Stack:
    """The blocks that read text."""
    cosine, sine = rotary_tables(recipe)
    return Stack(
        name="model",
        layers=recipe.layers,
        head_width=recipe.head_width,
        epsilon=recipe.norm_epsilon,
        rotary=(Tensor(cosine).realize(), Tensor(sine).realize()),
        causal=True,
        weights=weights,
        operations=operations,
    )


def rotary_tables(recipe: Recipe) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines [positions, head width] of the rotary angles (Su et al. 2021), both halves alike."""
    angles = np.tile(rotary_angles(recipe), 2)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
