"""What a run learns from, whichever it is: text, or pictures with captions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from schemas import train

Batch = tuple[NDArray[Any], ...]  # Any: the bytes of pictures and the tokens of text
"""Examples for the model's loss: tokens [batch, context] and the token that follows each, behind their pictures where it sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What stands before a prompt: `inputs` for the model, and which held-out picture that is, with its true caption."""

    inputs: Batch = ()
    picture: int | None = None
    caption: str | None = None


class Corpus(Protocol):
    """Batches to learn from and to judge by, and the text that their tokens are.

    `skipped` counts files that were left out. `prompt` is what a sample begins with where nobody says it, `end` the token behind
    the last one of a text, null where texts have no end. `chance` is the accuracy of guessing, null where there is none to measure.
    """

    dataset: train.Dataset
    skipped: int
    bytes_per_token: float
    prompt: str
    end: int | None
    chance: float | None

    def training_batch(self, index: int) -> Batch:
        """A pure function of the seed that the corpus was opened with and of `index`."""

    def held_out_batches(self) -> Iterable[Batch]: ...
    def encode(self, prompt: str) -> list[int]: ...
    def decode(self, tokens: Sequence[int]) -> str: ...
    def epoch(self, index: int) -> float: ...
    def shown(self, number: int) -> Shown: ...
