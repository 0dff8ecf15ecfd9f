"""What a run of training needs of its data, whatever it is made of: batches by number, held-out batches, and a tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from schemas.train import Dataset

EVAL_BATCHES = 16
"""Held-out batches that one evaluation averages over, at most."""

Batch = tuple[NDArray[Any], ...]  # Any: each array has the type that the model wants, int32 for tokens
"""What the model's loss takes, in its order, C-contiguous. Of text: tokens [batch, context] and the token that follows each, int32; before
them the bytes of pictures, where the model sees."""


class BadData(ValueError):
    """A file or folder that cannot be trained on; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What stands before a prompt: `inputs` for the model, and which held-out picture that is, with its true caption."""

    inputs: Batch = ()
    picture: int | None = None
    caption: str | None = None


class Corpus(Protocol):
    """Examples to learn from and examples to judge by. Nothing in it changes: a run that goes on at step k asks for batch k."""

    @property
    def dataset(self) -> Dataset:
        """What a run says about its data."""

    @property
    def skipped(self) -> int:
        """How many files were left out, since they are not what the corpus is made of."""

    @property
    def bytes_per_token(self) -> float:
        """Over the held-out text: bits per byte = nats per token / ln 2 / bytes per token."""

    @property
    def prompt(self) -> str:
        """What a sample begins with where nobody says it."""

    @property
    def end(self) -> int | None:
        """The token behind the last one of a text, None where samples go on behind it."""

    @property
    def chance(self) -> float | None:
        """The accuracy of guessing, None where there is none to measure."""

    @property
    def tokenizer_file(self) -> bytes | None:
        """The tokenizer as JSON, as the library `tokenizers` reads it; None for bytes."""

    def training_batch(self, index: int) -> Batch:
        """Batch number `index` of the run, from 0. It depends on nothing else but the seed that the corpus was opened with."""

    def held_out_batches(self) -> Iterable[Batch]:
        """The same each time and all of one shape, spread evenly over what is held out, at most EVAL_BATCHES."""

    def epoch(self, index: int) -> float:
        """How much of the training data was seen before batch `index`: 1.0 is all of it, once."""

    def encode(self, prompt: str) -> list[int]:
        """The tokens of a prompt."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, in which what is no text is replaced. Never raises."""

    def shown(self, number: int) -> Shown:
        """What stands before the prompt of a sample, by a number."""

    @property
    def heldout_sample(self) -> bytes:
        """The first of the held-out rows, as agents/parts/heldout.py writes them."""

    def manifest(self) -> bytes:
        """Every file that was read with its size and SHA-256, as JSON; the same bytes for the same files."""
