"""The optimiser's step: the norm of all gradients, and AdamW on weights and moments in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeVar

from tinygrad.tensor import Tensor

from agents.trainer.kernels.pool import Pool
from agents.trainer.kernels.program import Define, Program, demand, empty, run, sizes
from agents.trainer.optimizer import Moments
from schemas.train import Hyperparameters

PIECE = 1 << 14
GRADIENTS_PER_KERNEL = 56
WEIGHTS_PER_KERNEL = 15
"""tinygrad passes at most 63 arguments to a kernel; a weight takes four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    moments: Moments
    gradient: Tensor


def update(
    pool: Pool, moments: Sequence[Moments], gradients: Sequence[Tensor], now: Tensor, hyper: Hyperparameters
) -> tuple[Tensor, list[Tensor]]:
    """As in Update."""
    for each, gradient in zip(moments, gradients, strict=True):
        for tensor in (each.weight, each.mean, each.square, gradient):
            demand("a weight, moment or gradient", tensor, *sizes(each.weight))
    total, norm = Tensor.zeros(1, device=now.device).contiguous(), Tensor.zeros(1, device=now.device)
    for group in _groups(gradients, GRADIENTS_PER_KERNEL):
        total, norm = _norm(pool, group, total)
    pairs = [_Pair(moments=each, gradient=gradient) for each, gradient in zip(moments, gradients, strict=True)]
    changed = [tensor for group in _groups(pairs, WEIGHTS_PER_KERNEL) for tensor in _adamw(pool, group, norm, now, hyper)]
    return norm.reshape(()), changed


def _norm(pool: Pool, gradients: Sequence[Tensor], before: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of squares so far, and its root, both [1]."""
    names = [f"gradient{index}" for index in range(len(gradients))]
    defines = _pieces(gradients)
    defines["PARAMETERS"] = ", ".join(f"const float *{name}" for name in names)
    defines["ARGUMENTS"] = ", ".join(names)
    program = Program(
        name=f"norm_of_gradients_{len(gradients)}",
        files=("kernel.h", "pieces.h", "norm_of_gradients.c"),
        defines=defines,
        operations=2 * sum(prod(sizes(each)) for each in gradients),
    )
    outputs = [empty((1,), before), empty((1,), before), empty((_chunks(gradients),), before)]
    total, norm, _ = run(program, pool, outputs, [*gradients, before])
    return total, norm


def _adamw(pool: Pool, group: Sequence[_Pair], norm: Tensor, now: Tensor, hyper: Hyperparameters) -> list[Tensor]:
    weights = [each.moments.weight for each in group]
    defines = _pieces(weights)
    defines |= {"BETA1": hyper.beta1, "BETA2": hyper.beta2, "EPSILON": hyper.epsilon, "CLIP": hyper.clip_norm}
    defines["DECAYS"] = ", ".join(f"{hyper.weight_decay if each.moments.decays else 0.0}f" for each in group)
    kinds = ("weight", "mean", "square")
    defines["PARAMETERS"] = ", ".join(
        [f"float *{kind}{index}" for kind in kinds for index in range(len(group))]
        + [f"const float *gradient{index}" for index in range(len(group))]
    )
    defines["ARGUMENTS"] = ", ".join(f"{{{', '.join(f'{kind}{index}' for kind in (*kinds, 'gradient'))}}}" for index in range(len(group)))
    outputs = [getattr(each.moments, kind) for kind in kinds for each in group]
    program = Program(
        name=f"adamw_{len(group)}",
        files=("kernel.h", "pieces.h", "adamw.c"),
        defines=defines,
        operations=20 * sum(prod(sizes(each)) for each in weights),
        updated=len(outputs),
    )
    return run(program, pool, outputs, [*(each.gradient for each in group), norm, now])


def _pieces(tensors: Sequence[Tensor]) -> dict[str, Define]:
    """What pieces.h needs to know."""
    counts = ", ".join(str(prod(sizes(each))) for each in tensors)
    return {"COUNT": len(tensors), "SIZES": counts, "PIECE": PIECE, "CHUNKS": _chunks(tensors)}


def _chunks(tensors: Sequence[Tensor]) -> int:
    return sum(-(-prod(sizes(each)) // PIECE) for each in tensors)


T = TypeVar("T")


def _groups(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
