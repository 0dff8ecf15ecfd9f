"""Products of a matrix with the transpose of a weight, with what may be added to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from tinygrad.tensor import Tensor

from agents.trainer.kernels.pool import Pool
from agents.trainer.kernels.program import Define, Gradient, Program, demand, empty, run, sizes

DEPTH = 192
"""The most numbers of a column that a slice holds: with the columns of a block, three quarters of a first-level cache of 32 KiB."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A tensor seen as a matrix [rows, columns], whose transpose lies in memory where `transposed`."""

    tensor: Tensor
    rows: int
    columns: int
    transposed: bool = False

    @property
    def strides(self) -> tuple[int, int]:
        return (1, self.rows) if self.transposed else (self.columns, 1)


def product(pool: Pool, x: Tensor, weight: Tensor, residual: Tensor | None = None) -> Tensor:
    """As in Operations."""
    out, width = sizes(weight)
    rows = sizes(x)[:-1]
    tokens = prod(rows)
    demand("x", x, *rows, width)
    demand("weight", weight, out, width)
    if residual is not None:
        demand("the residual", residual, *rows, out)

    def gradient(gradients: list[Tensor], _: list[Tensor], operands: list[Tensor]) -> Sequence[Tensor | None]:
        of_result, x, weight = gradients[0], operands[0], operands[1]
        of_x = _multiply(pool, empty(x.shape, x), Matrix(of_result, tokens, out), Matrix(weight, out, width))
        of_weight = _multiply(pool, empty(weight.shape, x), Matrix(of_result, out, tokens, True), Matrix(x, tokens, width))
        return [of_x, of_weight, of_result][: len(operands)]

    into = empty((*rows, out), x)
    return _multiply(pool, into, Matrix(x, tokens, width), Matrix(weight, width, out, True), residual, gradient)


def _multiply(
    pool: Pool, into: Tensor, left: Matrix, right: Matrix, start: Tensor | None = None, gradient: Gradient | None = None
) -> Tensor:
    """start + left @ right, written to `into`."""
    operations = 2 * left.rows * right.columns * left.columns
    defines: dict[str, Define] = {
        **{"M": left.rows, "N": right.columns, "K": left.columns, "DEPTH": DEPTH, "START": int(start is not None)},
        **dict(zip(("A_ROW", "A_K", "B_ROW", "B_N"), (*left.strides, *right.strides), strict=True)),
    }
    kind = "nt"[left.transposed] + "nt"[right.transposed]
    name = f"product_{kind}_{left.rows}_{right.columns}_{left.columns}"
    program = Program(name=name, files=("kernel.h", "block.h", "product.c"), defines=defines, operations=operations)
    operands = [left.tensor, right.tensor] + ([] if start is None else [start])
    return run(program, pool, [into], operands, gradient)[0]
