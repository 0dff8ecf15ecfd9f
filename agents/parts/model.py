"""A Llama-family decoder in tinygrad: RMSNorm, rotary positions, grouped-query attention, SwiGLU, untied head.

Names, shapes and the rotary convention are those of Hugging Face's LlamaForCausalLM, so its weights need no conversion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tinygrad.tensor import Tensor

from agents.parts.operations import Operations
from agents.parts.recipes import Recipe, shapes

INITIAL_SCALE = 0.02
"""Standard deviation of the initial weights, as GPT-2 and Llama start."""


def initial_weights(recipe: Recipe, seed: int) -> dict[str, NDArray[np.float32]]:
    """Seeded weights, the same on every device: gains are 1, projections normal, those into the residual stream smaller with depth."""
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes(recipe).items():
        into_residual = name.endswith(("o_proj.weight", "down_proj.weight"))
        scale = INITIAL_SCALE / np.sqrt(2 * recipe.layers) if into_residual else INITIAL_SCALE
        values = np.ones(shape) if len(shape) == 1 else generator.standard_normal(shape) * scale
        weights[name] = values.astype(np.float32)
    return weights


class Llama:
    """The decoder. `weights` maps Hugging Face's names to tensors, which an optimiser updates in place."""

    def __init__(self, recipe: Recipe, weights: dict[str, NDArray[np.float32]], operations: Operations) -> None:
        self.recipe = recipe
        # In one order, wherever they come from: it is the order in which what concerns all of them is summed up.
        self.weights = {name: Tensor(weights[name]).is_param_().realize() for name in shapes(recipe)}
        self._operations = operations
        cosine, sine = rotary_tables(recipe)
        self._rotary = Tensor(cosine).realize(), Tensor(sine).realize()

    def __call__(self, tokens: Tensor) -> Tensor:
        """Logits [batch, length, vocabulary] for tokens [batch, length], length at most the context."""
        x = self._operations.embedding(tokens, self.weights["model.embed_tokens.weight"])
        for index in range(self.recipe.layers):
            layer = f"model.layers.{index}"
            x = self._attention(f"{layer}.self_attn", self._norm(f"{layer}.input_layernorm", x), x)
            x = self._feed_forward(f"{layer}.mlp", self._norm(f"{layer}.post_attention_layernorm", x), x)
        return self._linear("lm_head", self._norm("model.norm", x))

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token of targets [batch, length]."""
        return self._operations.cross_entropy(self(tokens), targets)

    def _attention(self, name: str, x: Tensor, residual: Tensor) -> Tensor:
        query, key, value = (self._linear(f"{name}.{part}_proj", x) for part in "qkv")
        mixed = self._operations.attention(query, key, value, self._rotary, self.recipe.head_width, True)
        return self._linear(f"{name}.o_proj", mixed, residual)

    def _feed_forward(self, name: str, x: Tensor, residual: Tensor) -> Tensor:
        gated = self._operations.swiglu(self._linear(f"{name}.gate_proj", x), self._linear(f"{name}.up_proj", x))
        return self._linear(f"{name}.down_proj", gated, residual)

    def _linear(self, name: str, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return self._operations.product(x, self.weights[f"{name}.weight"], residual)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return self._operations.norm(x, self.weights[f"{name}.weight"], self.recipe.norm_epsilon)


def rotary_tables(recipe: Recipe) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines [context, head width] of the rotary angles (Su et al. 2021), both halves alike."""
    frequencies = recipe.rope_base ** -(np.arange(0, recipe.head_width, 2) / recipe.head_width)
    angles = np.tile(np.outer(np.arange(recipe.context), frequencies), 2)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
