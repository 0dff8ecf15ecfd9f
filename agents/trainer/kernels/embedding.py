"""Rows of a table by their number."""

from __future__ import annotations

from math import prod

from tinygrad.tensor import Tensor

from agents.trainer.kernels.pool import Pool
from agents.trainer.kernels.program import Define, Program, as_integers, demand, empty, run, sizes

TOKENS_PER_CHUNK = 256
CHUNKS_OF_TABLE = 32
"""The gradient's. Each of them looks at all tokens, so more are not always better."""


def embedding(pool: Pool, tokens: Tensor, table: Tensor) -> Tensor:
    """As in Operations."""
    count, (vocabulary, width) = prod(sizes(tokens)), sizes(table)
    demand("the table", table, vocabulary, width)
    defines: dict[str, Define] = {
        **{"TOKENS": count, "VOCABULARY": vocabulary, "WIDTH": width},
        **{"TOKENS_PER_CHUNK": TOKENS_PER_CHUNK, "ROWS_PER_CHUNK": -(-vocabulary // CHUNKS_OF_TABLE)},
    }

    def program(file: str, operations: int) -> Program:
        name = f"{file}_{count}_{vocabulary}_{width}"
        return Program(name=name, files=("kernel.h", f"{file}.c"), defines=defines, operations=operations)

    def gradient(gradients: list[Tensor], _: list[Tensor], operands: list[Tensor]) -> list[Tensor | None]:
        tokens, table = operands
        kernel = program("embedding_backward", (count + vocabulary) * width)
        return [None, run(kernel, pool, [empty(table.shape, table)], [*gradients, tokens])[0]]

    into = empty((*tokens.shape, width), table)
    return run(program("embedding", count * width), pool, [into], [as_integers(tokens), table], gradient)[0]
