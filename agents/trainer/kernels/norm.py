"""RMSNorm."""

from __future__ import annotations

from math import prod

from tinygrad.tensor import Tensor

from agents.trainer.kernels.pool import Pool
from agents.trainer.kernels.program import Define, Program, demand, empty, run, sizes

ROWS_PER_CHUNK = 64


def norm(pool: Pool, x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    """As in Operations."""
    rows, width = prod(sizes(x)[:-1]), sizes(x)[-1]
    demand("x", x, *sizes(x))
    demand("the gain", gain, width)
    defines: dict[str, Define] = {"ROWS": rows, "N": width, "EPSILON": epsilon, "ROWS_PER_CHUNK": ROWS_PER_CHUNK}

    def program(file: str, operations: int) -> Program:
        files = ("kernel.h", f"{file}.c")
        return Program(name=f"{file}_{rows}_{width}", files=files, defines=defines, operations=operations * rows * width)

    def gradient(gradients: list[Tensor], _: list[Tensor], operands: list[Tensor]) -> list[Tensor | None]:
        x, gain = operands
        room = empty((-(-rows // ROWS_PER_CHUNK), width), x)
        outputs = [empty(x.shape, x), empty(gain.shape, x), room]
        of_x, of_gain, _room = run(program("norm_backward", 14), pool, outputs, [*gradients, x, gain])
        return [of_x, of_gain]

    return run(program("norm", 4), pool, [empty(x.shape, x)], [x, gain], gradient)[0]
