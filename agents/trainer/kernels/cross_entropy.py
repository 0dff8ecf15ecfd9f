"""The loss of a model of language."""

from __future__ import annotations

from math import prod

from tinygrad.tensor import Tensor

from agents.parts.targets import IGNORED
from agents.trainer.kernels.pool import Pool
from agents.trainer.kernels.program import Define, Program, as_integers, demand, empty, run, sizes

ROWS_PER_CHUNK = 32


def cross_entropy(pool: Pool, logits: Tensor, targets: Tensor) -> Tensor:
    """As in Operations."""
    rows, width = prod(sizes(logits)[:-1]), sizes(logits)[-1]
    demand("logits", logits, *sizes(targets), width)
    defines: dict[str, Define] = {"ROWS": rows, "N": width, "IGNORED": IGNORED, "ROWS_PER_CHUNK": ROWS_PER_CHUNK}

    def program(file: str) -> Program:
        files = ("kernel.h", f"{file}.c")
        return Program(name=f"{file}_{rows}_{width}", files=files, defines=defines, operations=20 * rows * width)

    def gradient(gradients: list[Tensor], outputs: list[Tensor], operands: list[Tensor]) -> list[Tensor | None]:
        (logits, targets), (_loss, count, logarithms, _room) = operands, outputs
        inputs = [*gradients, logits, targets, logarithms, count]
        return [run(program("cross_entropy_backward"), pool, [empty(logits.shape, logits)], inputs)[0], None]

    shapes = [(1,), (1,), (rows,), (-(-rows // ROWS_PER_CHUNK), 2)]
    outputs = [empty(shape, logits) for shape in shapes]
    return run(program("cross_entropy"), pool, outputs, [logits, as_integers(targets)], gradient)[0].reshape(())
