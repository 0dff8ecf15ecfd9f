"""Attention of several heads, with rotary positions, never holding a matrix of scores."""

from __future__ import annotations

from tinygrad.tensor import Tensor

from agents.parts.operations import Rotary
from agents.trainer.kernels.pool import Pool
from agents.trainer.kernels.program import Define, Program, demand, empty, run, sizes

WIDEST = 32
WIDEST_HEAD = 2048
"""The most columns of a block of sums (WIDE in block.h), on the processor with the longest vectors."""


def attention(pool: Pool, query: Tensor, key: Tensor, value: Tensor, rotary: Rotary | None, width: int, causal: bool) -> Tensor:
    """As in Operations."""
    (batch, length, heads), kv_heads = sizes(query), sizes(key)[-1] // width
    heads //= width
    _check(query, key, value, rotary, width)
    defines: dict[str, Define] = {
        **{"BATCH": batch, "LENGTH": length, "HEADS": heads, "KV": kv_heads, "WIDTH": width},
        **{"SCALE": width**-0.5, "CAUSAL": int(causal), "ROTARY": int(rotary is not None)},
    }
    copied = _copied(length, width)
    tables = list(rotary or ())

    def program(file: str, products: int) -> Program:
        name = f"{file}_{batch}_{length}_{heads}_{kv_heads}_{width}" + "_causal" * causal
        operations = 2 * products * batch * heads * length**2 * width
        return Program(name=name, files=("kernel.h", "block.h", "attention.h", f"{file}.c"), defines=defines, operations=operations)

    def gradient(gradients: list[Tensor], outputs: list[Tensor], operands: list[Tensor]) -> list[Tensor | None]:
        room = empty((batch * copied * (3 * kv_heads + 2 * heads),), query)
        found = [*(empty(each.shape, query) for each in operands[:3]), room]
        inputs = [*gradients, *outputs[:2], *operands]
        return [*run(program("attention_backward", 5), pool, found, inputs)[:3], *(None for _ in tables)]

    outputs = [empty(query.shape, query), empty((batch, heads, length, 2), query), empty((batch * kv_heads * copied * 2,), query)]
    return run(program("attention", 2), pool, outputs, [query, key, value, *tables], gradient)[0]


def _check(query: Tensor, key: Tensor, value: Tensor, rotary: Rotary | None, width: int) -> None:
    batch, length, whole = sizes(query)
    if width > WIDEST_HEAD:
        raise ValueError(f"heads of {width} channels: the kernel's tiles are for {WIDEST_HEAD} at most")
    demand("query", query, batch, length, max(whole // width, 1) * width)
    kv_heads = max(sizes(key)[-1] // width, 1)
    for name, x in (("key", key), ("value", value)):
        demand(name, x, batch, length, kv_heads * width)
    if whole // width % kv_heads:
        raise ValueError(f"{whole // width} heads cannot share {kv_heads} heads of keys evenly")
    for table in rotary or ():
        demand("a rotary table", table, max(sizes(table)[0], length), width)
    if rotary and width % 2:
        raise ValueError(f"heads of {width} channels have no halves to turn")


def _copied(length: int, width: int) -> int:
    """At most how many numbers the copy of a head's keys has; BLOCKS * BLOCK in attention.h."""
    keys = min(128, _up(length, WIDEST))
    return _up(length, keys) * _up(width, WIDEST)


def _up(count: int, unit: int) -> int:
    return -(-count // unit) * unit
