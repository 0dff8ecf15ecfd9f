"""Has an export compared: finds what that takes, and gives the comparison the numbers that the export rounds to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.exporter.parity.compare import Exported, Report, compare
from agents.exporter.source import Source
from agents.exporter.tensors import Storage, rounded
from agents.parts import heldout
from agents.parts.memory import FLOAT, room
from agents.parts.recipes import Recipe
from schemas.export import Parity, Started

SEED = 0
"""Of the prompts."""
COPIES = 3
"""Of the weights in float32 that are in memory at once: the reference's, those being read, and those of the program that is compared."""
CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Rounded(Mapping[str, NDArray[np.float32]]):
    """Weights by name, each read when it is asked for: as the storage rounds them, or as they are."""

    source: Source
    storage: Storage | None

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return rounded(self.source.weights, name, self.storage) if self.storage else self.source.weights.whole(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.source.weights.names)

    def __len__(self) -> int:
        return len(self.source.weights.names)


def shortage(recipe: Recipe) -> str | None:
    """Why an export of this size cannot be compared here; None where it can."""
    needed, free = COPIES * FLOAT * recipe.parameters, room("CPU").free
    if free is None or needed <= free:
        return None
    return f"comparing {recipe.name} takes {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"


def compared(source: Source, storage: Storage, started: Started, folder: Path, sample: bytes | None, report: Report) -> Parity:
    """What every program here makes of the model in `folder`, and of the held-out `sample`. Raises what the reference does, BadHeldout."""
    exported = Exported(
        started=started,
        recipe=source.recipe,
        folder=folder,
        rounded=Rounded(source, storage),
        own=None if started.precision == "float32" else Rounded(source, None),
    )
    examples = heldout.read(sample, source.recipe.vocabulary) if sample is not None else None
    return compare(exported, examples, SEED, CHECKOUT, report)
