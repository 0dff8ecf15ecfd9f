"""Text to learn from: documents as one stream of tokens, cut into rows that a run sees in an order of its own each epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.parts import heldout
from agents.trainer.data.corpus import EVAL_BATCHES, BadData, Batch, Shown
from agents.trainer.data.files import Report, find_files
from agents.trainer.data.order import rows_at
from agents.trainer.data.prepare import Prepared, prepare, read_manifest
from agents.trainer.data.shards import Tokens
from agents.trainer.data.tokens import Choice
from schemas.train import Dataset


class TextCorpus:
    """A Corpus of text (see data/corpus.py): a row is `context` + 1 tokens, and the next begins with the last token of the one before.

    So each token is a target once an epoch; only the last tokens, too few for a row, are not.
    """

    def __init__(self, prepared: Prepared, path: Path, skipped: int, batch: int, context: int, seed: int) -> None:
        """Raises BadData where the text is too short for the context, OSError."""
        index = prepared.index
        self.skipped = skipped
        self.tokenizer = prepared.tokenizer
        self.training = Tokens(prepared.folder, index.training, index.dtype)
        self.held_out = Tokens(prepared.folder, index.held_out, index.dtype)
        self._batch, self._context, self._seed = batch, context, seed
        for part, tokens in (("training", self.training), ("held-out", self.held_out)):
            if len(tokens) <= context:
                raise BadData(f"{path} has {len(tokens)} tokens of {part} text: a context of {context} needs more than that")
        self._manifest = read_manifest(prepared.folder)
        self.bytes_per_token = index.held_out.bytes / index.held_out.tokens
        self.heldout_sample = b"".join(heldout.write(self.held_out_batches()))
        self.dataset = Dataset(
            path=str(path),
            hash=index.hash,
            tokenizer=index.tokenizer,
            vocabulary=index.vocabulary,
            files=index.files,
            training_tokens=index.training.tokens,
            heldout_tokens=index.held_out.tokens,
            split=index.split,
            documents=index.training.documents + index.held_out.documents,
            training_bytes=index.training.bytes,
            heldout_bytes=index.held_out.bytes,
            bytes_per_token=self.bytes_per_token,
            separator=index.separator,
            tokenizer_hash=index.tokenizer_hash,
            manifest=index.manifest,
            heldout_sample=hashlib.sha256(self.heldout_sample).hexdigest(),
        )

    @property
    def prompt(self) -> str:
        return "def "

    @property
    def end(self) -> int | None:
        return None

    @property
    def chance(self) -> float | None:
        return None

    def shown(self, number: int) -> Shown:
        """Nothing stands before a prompt of text."""
        return Shown()

    def training_batch(self, index: int) -> Batch:
        rows = rows_at(np.arange(index * self._batch, (index + 1) * self._batch), self._rows, self._seed)
        return self._windows(self.training, rows * self._context)

    def held_out_batches(self) -> Iterator[Batch]:
        rows = (len(self.held_out) - 1) // self._context
        count = min(EVAL_BATCHES, -(-rows // self._batch))
        starts = np.linspace(0, len(self.held_out) - self._context - 1, count * self._batch).astype(np.int64)
        for some in starts.reshape(count, self._batch):
            yield self._windows(self.held_out, some)

    def epoch(self, index: int) -> float:
        return index * self._batch / self._rows

    def encode(self, prompt: str) -> list[int]:
        """The tokens of a prompt; none at all is the end of a document, after which another begins."""
        (tokens,) = self.tokenizer.encode([prompt.encode(errors="replace")])
        return [int(token) for token in tokens] or [self.tokenizer.separator]

    def decode(self, tokens: Sequence[int]) -> str:
        return self.tokenizer.decode(tokens)

    def manifest(self) -> bytes:
        return self._manifest

    @property
    def tokenizer_file(self) -> bytes | None:
        return self.tokenizer.file

    @property
    def _rows(self) -> int:
        return (len(self.training) - 1) // self._context

    def _windows(self, tokens: Tokens, starts: NDArray[np.int64]) -> Batch:
        rows = tokens.rows(starts.tolist(), self._context + 1)
        return np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:])


def open_text(data: str | None, choice: Choice, cache: Path, report: Report, *, batch: int, context: int, seed: int) -> TextCorpus:
    """The corpus of a file or folder; None is Python's own standard library.

    Its tokens are kept in the folder `cache`; `report` is told how far it is, and what it raises ends the work. Raises BadData, OSError.
    """
    found = find_files(data, report)
    return TextCorpus(prepare(found, choice, cache, report), found.root, len(found.refusals), batch, context, seed)
