"""What a device computes with."""

from __future__ import annotations

from dataclasses import dataclass

from agents.parts.operations import Operations
from agents.trainer.optimizer import Update


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """The operations of the model, and the optimiser's step."""

    operations: Operations
    update: Update
