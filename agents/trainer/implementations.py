"""Which device computes with what: one table. Plain tinygrad is the default of every operation, on every device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agents.parts.operations import Operations, plain
from agents.trainer.optimizer import Update, update


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """The operations of the model, and the optimiser's step."""

    operations: Operations
    update: Update


def _kernels() -> Implementation:
    from agents.trainer.kernels import implementation  # opens the CPU device, which a run on another one need not have

    return implementation()


TABLE: dict[str, Callable[[], Implementation]] = {"CPU": _kernels}
"""By tinygrad's name of the device; one that is not here computes in plain tinygrad."""


def implementation_for(device: str) -> Implementation:
    """What `device`, as tinygrad names it (`CPU`, `CUDA:0`), computes with."""
    kind = device.partition(":")[0]
    return TABLE[kind]() if kind in TABLE else Implementation(operations=plain(), update=update)
