"""Which device computes with what: one table. Plain tinygrad is the default of every operation, on every device."""

from __future__ import annotations

from collections.abc import Callable

from tinygrad.device import Device
from tinygrad.dtype import dtypes

from agents.parts.operations import plain
from agents.trainer.implementation import Implementation
from agents.trainer.optimizer import update

DTYPES = {"float32": dtypes.float32, "bfloat16": dtypes.bfloat16}
"""What the operands of products may be rounded to; weights, sums and the optimiser stay float32."""
BEST_AT_BFLOAT16 = ("AMD", "CUDA", "METAL", "NV")
"""Devices with units for products of bfloat16."""


def _kernels(threads: int | None) -> Implementation:
    from agents.trainer.kernels import implementation  # opens the CPU device, which a run on another one need not have

    return implementation(threads)


TABLE: dict[str, Callable[[int | None], Implementation]] = {"CPU": _kernels}
"""By tinygrad's name of the device, for a number of threads: what computes in float32. Other devices compute in plain tinygrad."""


def implementation_for(device: str, precision: str = "float32", threads: int | None = None) -> Implementation:
    """What `device`, as tinygrad names it (`CPU`, `CUDA:0`), computes with; `threads` null: as many as there are cores."""
    kind = _kind(device)
    if kind in TABLE and precision == "float32":
        return TABLE[kind](threads)
    return Implementation(operations=plain(DTYPES[precision]), update=update)


def precision_for(device: str, wanted: str) -> str:
    """The precision `wanted`, which `auto` leaves to the device."""
    if wanted != "auto":
        return wanted
    takes = dtypes.bfloat16 in Device[device].renderer.supported_dtypes()
    return "bfloat16" if takes and _kind(device) in BEST_AT_BFLOAT16 else "float32"


def _kind(device: str) -> str:
    return device.partition(":")[0]
