"""What a decoder is computed with: a handful of operations, here as plain tinygrad, which every device runs.

A device for which something faster exists gets it from the trainer's table (agents/trainer/devices.py); a model calls
what it is given and knows of neither.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tinygrad.dtype import DType, dtypes
from tinygrad.tensor import Tensor
from tinygrad.uop.ops import sint

from agents.parts.targets import IGNORED

Rotary = tuple[Tensor, Tensor]
"""Cosines and sines [context, head width] of the rotary angles."""


class Product(Protocol):
    def __call__(self, x: Tensor, weight: Tensor, residual: Tensor | None = None) -> Tensor:
        """x [..., in] times the transpose of weight [out, in], plus residual [..., out]."""


class Attention(Protocol):
    def __call__(self, query: Tensor, key: Tensor, value: Tensor, rotary: Rotary | None, width: int, causal: bool) -> Tensor:
        """Mixed values [batch, length, heads * width] for query of that shape, key and value [batch, length, kv heads * width].

        Query and key turn by `rotary`, channel i with channel i + half as in Hugging Face's Llama; a key head serves as many
        query heads in a row as there are for each. Scores are scaled by width ** -0.5, the width of a head.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Each is differentiable in all its float arguments but the rotary tables.

    `embedding(tokens [...], table [vocabulary, width])` looks rows up; `norm(x [..., n], gain [n], epsilon)` is RMSNorm;
    `swiglu(gate, up)` is silu(gate) * up; `cross_entropy(logits [..., n], targets [...])` is the mean in nats over the targets
    that are not IGNORED.
    """

    embedding: Callable[[Tensor, Tensor], Tensor]
    product: Product
    norm: Callable[[Tensor, Tensor, float], Tensor]
    swiglu: Callable[[Tensor, Tensor], Tensor]
    attention: Attention
    cross_entropy: Callable[[Tensor, Tensor], Tensor]


def kept(x: Tensor) -> Tensor:
    """Compute `x` once, and its gradient once.

    Left to itself tinygrad fuses what stands between two products into each of them and computes it again for every element
    that they read: training ran at a tenth of the speed.
    """
    return x.contiguous().contiguous_backward()


def embedding(tokens: Tensor, table: Tensor) -> Tensor:
    # A product instead of a lookup: the gradient of a lookup compares every token with every row of the table, once per column.
    return kept(tokens.one_hot(len(table)).cast(dtypes.float32).contiguous() @ table)


def product(x: Tensor, weight: Tensor, residual: Tensor | None = None, dtype: DType = dtypes.float32) -> Tensor:
    """Operands rounded to `dtype`, sums in float32."""
    result = kept(x.cast(dtype).dot(weight.cast(dtype).T, dtype=dtypes.float32))
    return result if residual is None else kept(residual + result)


def norm(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    return kept(x * (x.square().mean(-1, keepdim=True) + epsilon).rsqrt() * gain)


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    return kept(gate.silu() * up)


def attention(
    query: Tensor, key: Tensor, value: Tensor, rotary: Rotary | None, width: int, causal: bool, dtype: DType = dtypes.float32
) -> Tensor:
    length = query.shape[1]
    query, key, value = (x.reshape(*x.shape[:2], -1, width).transpose(1, 2) for x in (query, key, value))
    if rotary is not None:
        query, key = (_rotated(x, rotary) for x in (query, key))
    key, value = (_for_each_query(x, query.shape[1] // x.shape[1]).cast(dtype) for x in (key, value))
    scores = kept(query.cast(dtype).dot(key.transpose(-1, -2), dtype=dtypes.float32) * width**-0.5)
    if causal:
        scores = scores.masked_fill(Tensor.ones(length, length, dtype=dtypes.bool).triu(1), -1e9)
    mixed = kept(kept(scores.softmax(-1)).cast(dtype).dot(value, dtype=dtypes.float32))
    return kept(mixed.transpose(1, 2).flatten(2))


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.sparse_categorical_crossentropy(targets, ignore_index=IGNORED)


def plain(dtype: DType = dtypes.float32) -> Operations:
    """The operations in tinygrad alone, their products with operands of `dtype`."""
    return Operations(
        embedding=embedding,
        product=functools.partial(product, dtype=dtype),
        norm=norm,
        swiglu=swiglu,
        attention=functools.partial(attention, dtype=dtype),
        cross_entropy=cross_entropy,
    )


def _rotated(x: Tensor, rotary: Rotary) -> Tensor:
    cosine, sine = (table[: x.shape[2]] for table in rotary)
    first, second = x.chunk(2, dim=-1)
    return kept(x * cosine + (-second).cat(first, dim=-1) * sine)


def _for_each_query(x: Tensor, shared: sint) -> Tensor:
    """Repeat each head of [batch, heads, length, head width] for the query heads that share it."""
    batch, heads, length, width = x.shape
    repeated = x.reshape(batch, heads, 1, length, width).expand(batch, heads, shared, length, width)
    return kept(repeated.reshape(batch, heads * shared, length, width))
