"""A Llama-family decoder in tinygrad: RMSNorm, rotary positions, grouped-query attention, SwiGLU, untied head.

Names, shapes and the rotary convention are those of Hugging Face's LlamaForCausalLM, so its weights need no conversion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tinygrad.dtype import dtypes
from tinygrad.tensor import Tensor

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

    def __init__(self, recipe: Recipe, weights: dict[str, NDArray[np.float32]]) -> None:
        self.recipe = recipe
        self.weights = {name: Tensor(array).is_param_().realize() for name, array in weights.items()}
        self._cosine, self._sine = (Tensor(table).realize() for table in rotary_tables(recipe))
        self._mask = Tensor(np.triu(np.full((recipe.context, recipe.context), -1e9, np.float32), 1)).realize()

    def __call__(self, tokens: Tensor) -> Tensor:
        """Logits [batch, length, vocabulary] for tokens [batch, length], length at most the context."""
        one_hot = tokens.one_hot(self.recipe.vocabulary).cast(dtypes.float32).contiguous()
        # A product instead of a lookup: the gradient of a lookup compares every token with every row of the table, once per column.
        x = kept(one_hot @ self.weights["model.embed_tokens.weight"])
        for index in range(self.recipe.layers):
            layer = f"model.layers.{index}"
            x = kept(x + self._attention(f"{layer}.self_attn", self._norm(f"{layer}.input_layernorm", x)))
            x = kept(x + self._feed_forward(f"{layer}.mlp", self._norm(f"{layer}.post_attention_layernorm", x)))
        return self._linear("lm_head", self._norm("model.norm", x))

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token of targets [batch, length]."""
        return self(tokens).sparse_categorical_crossentropy(targets)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return kept(x @ self.weights[f"{name}.weight"].T)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        scale = (x.square().mean(-1, keepdim=True) + self.recipe.norm_epsilon).rsqrt()
        return kept(x * scale * self.weights[f"{name}.weight"])

    def _attention(self, name: str, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        recipe = self.recipe
        query = self._heads(f"{name}.q_proj", x, recipe.heads)
        key = self._heads(f"{name}.k_proj", x, recipe.kv_heads)
        value = self._heads(f"{name}.v_proj", x, recipe.kv_heads)
        key = self._for_each_query(self._rotated(key))
        scores = self._rotated(query) @ key.transpose(-1, -2) * recipe.head_width**-0.5
        shares = kept((kept(scores) + self._mask[:length, :length]).softmax(-1))
        mixed = kept(shares @ self._for_each_query(value))
        return self._linear(f"{name}.o_proj", kept(mixed.transpose(1, 2).reshape(batch, length, recipe.width)))

    def _feed_forward(self, name: str, x: Tensor) -> Tensor:
        gated = self._linear(f"{name}.gate_proj", x).silu() * self._linear(f"{name}.up_proj", x)
        return self._linear(f"{name}.down_proj", kept(gated))

    def _heads(self, name: str, x: Tensor, heads: int) -> Tensor:
        """Project to [batch, heads, length, head width]."""
        batch, length, _ = x.shape
        return self._linear(name, x).reshape(batch, length, heads, self.recipe.head_width).transpose(1, 2)

    def _rotated(self, x: Tensor) -> Tensor:
        """Rotary positions on [batch, heads, length, head width]; channel i turns with channel i + half, as in Hugging Face's Llama."""
        length = x.shape[2]
        first, second = x.chunk(2, dim=-1)
        return kept(x * self._cosine[:length] + (-second).cat(first, dim=-1) * self._sine[:length])

    def _for_each_query(self, x: Tensor) -> Tensor:
        """Repeat each key or value head for the query heads that share it."""
        batch, kv_heads, length, width = x.shape
        shared = self.recipe.heads // self.recipe.kv_heads
        grouped = x.reshape(batch, kv_heads, 1, length, width).expand(batch, kv_heads, shared, length, width)
        return kept(grouped.reshape(batch, self.recipe.heads, length, width))


def kept(x: Tensor) -> Tensor:
    """Compute `x` once, and its gradient once.

    Left to itself tinygrad fuses what stands between two products into each of them and computes it again for every element
    that they read: training ran at a tenth of the speed.
    """
    return x.contiguous().contiguous_backward()


def rotary_tables(recipe: Recipe) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cosines and sines [context, head width] of the rotary angles (Su et al. 2021), both halves alike."""
    frequencies = recipe.rope_base ** -(np.arange(0, recipe.head_width, 2) / recipe.head_width)
    angles = np.tile(np.outer(np.arange(recipe.context), frequencies), 2)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
