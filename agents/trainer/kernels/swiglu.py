"""The gated unit of a feed-forward layer."""

from __future__ import annotations

from math import prod

from tinygrad.tensor import Tensor

from agents.trainer.kernels.pool import Pool
from agents.trainer.kernels.program import Program, demand, empty, run, sizes

CHUNK = 1 << 14
"""Numbers: some ten microseconds' work."""


def swiglu(pool: Pool, gate: Tensor, up: Tensor) -> Tensor:
    """As in Operations."""
    count = prod(sizes(gate))
    demand("the gate", gate, *sizes(gate))
    demand("up", up, *sizes(gate))

    def program(file: str) -> Program:
        defines = {"N": count, "CHUNK": CHUNK}
        return Program(name=f"{file}_{count}", files=("kernel.h", f"{file}.c"), defines=defines, operations=20 * count)

    def gradient(gradients: list[Tensor], _: list[Tensor], operands: list[Tensor]) -> list[Tensor]:
        gate, up = operands
        return run(program("swiglu_backward"), pool, [empty(gate.shape, gate), empty(up.shape, gate)], [*gradients, gate, up])

    return run(program("swiglu"), pool, [empty(gate.shape, gate)], [gate, up], gradient)[0]
