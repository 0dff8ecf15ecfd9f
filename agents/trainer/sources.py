"""Opens what a plan learns from: rendered pictures for a recipe that sees, else the text that it names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.trainer import data
from agents.trainer.corpus import Batch, Corpus, Shown
from agents.trainer.pictures import open_pictures
from agents.trainer.plan import Plan
from schemas.train import Hyperparameters

EVAL_BATCHES = 16
"""Held-out batches of text that one evaluation averages over."""


class Text:
    """A Corpus of bytes of text, cut at random places."""

    bytes_per_token = 1.0
    prompt = "def "
    end: int | None = None
    chance: float | None = None

    def __init__(self, text: data.Corpus, hyper: Hyperparameters) -> None:
        self.dataset = text.dataset
        self.skipped = text.skipped
        self._text, self._hyper = text, hyper
        self._batches = data.training_batches(text.training, hyper.batch, hyper.context, hyper.seed)

    def training_batch(self, index: int) -> Batch:
        """Random windows: tokens [batch, context] and the ones that follow each. A run asks for them in their order."""
        return next(self._batches)

    def held_out_batches(self) -> Iterable[Batch]:
        return data.held_out_batches(self._text.held_out, self._hyper.batch, self._hyper.context, EVAL_BATCHES)

    def encode(self, prompt: str) -> list[int]:
        return list(prompt.encode())

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode(errors="replace")

    def epoch(self, index: int) -> float:
        return index * self._hyper.batch * self._hyper.context / len(self._text.training)

    def shown(self, number: int) -> Shown:
        """Nothing stands before a prompt of text."""
        return Shown()


def open_corpus(plan: Plan) -> Corpus:
    """The corpus of a run. Raises BadData, RenderingFailed, OSError."""
    if plan.recipe.vision:
        return open_pictures(plan.recipe, plan.hyper.seed)
    return Text(data.read_corpus(plan.data, plan.hyper.context), plan.hyper)
