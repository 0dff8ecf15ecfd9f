"""What a run learns from, opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from agents.trainer import data
from agents.trainer.learner import Batch
from agents.trainer.plan import Plan
from schemas import train


@dataclass
class Corpus:
    plan: Plan
    read: data.Corpus
    bytes_per_token: float = 1.0

    @property
    def dataset(self) -> train.Dataset:
        return self.read.dataset

    @property
    def skipped(self) -> int:
        return self.read.skipped

    def training_batch(self, index: int) -> Batch:
        h = self.plan.hyper
        starts = np.random.default_rng((h.seed, 1, index)).integers(0, len(self.read.training) - h.context, h.batch)
        return data._windows(self.read.training, starts, h.context)

    def held_out_batches(self) -> Iterable[Batch]:
        return data.held_out_batches(self.read.held_out, self.plan.hyper.batch, self.plan.hyper.context, 16)

    def encode(self, prompt: str) -> bytes:
        return prompt.encode()

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode(errors="replace")


def open_corpus(plan: Plan) -> Corpus:
    return Corpus(plan, data.read_corpus(plan.data, plan.hyper.context))
