"""Rendered pictures with captions, as a corpus: a training set, and a held-out set whose captions no training picture has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from agents.parts import heldout
from agents.parts.recipes import Recipe
from agents.parts.targets import IGNORED
from agents.parts.vision import vision_of
from agents.trainer.data.corpus import Batch, Shown
from agents.trainer.data.files import Report
from agents.trainer.data.renderings import Bytes, Order, Renderings, caption_of, rendered
from agents.trainer.data.scenes import CAPTIONS, FORMAT, WORDS
from agents.trainer.data.scenes import HELD_OUT as HELD_OUT_CAPTIONS
from agents.trainer.data.words import END, TOKENS, tokenizer_file
from bus.errors import CommandRefused
from schemas.train import Dataset

TRAINING, HELD_OUT = 8192, 512
"""Pictures of each set."""
TRAINING_SEED, HELD_OUT_SEED = 1, 2
"""Of the scenes: every run learns from the same ones, in the order of its own seed."""

Tokens = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Examples:
    """Pictures [n, size, size, 3], tokens [n, context] of their captions, and the one that follows each, IGNORED behind the end."""

    images: Bytes
    tokens: Tokens
    targets: Tokens

    def batch(self, numbers: NDArray[np.int64] | slice) -> Batch:
        return tuple(np.ascontiguousarray(part[numbers]) for part in (self.images, self.tokens, self.targets))


class Pictures:
    """A Corpus of pictures; its batches are images, tokens and targets."""

    skipped = 0
    chance: float | None = 1 / CAPTIONS
    prompt = ""
    end: int | None = END

    def __init__(
        self, training: Examples, held_out: Examples, captions: Sequence[str], dataset: Dataset, manifest: bytes, batch: int, seed: int
    ) -> None:
        self._training, self._held_out = training, held_out
        self._captions = captions
        self._manifest = manifest
        self._batch, self._seed = batch, seed
        self.bytes_per_token = sum(len(text) for text in captions) / _size(captions)
        self.heldout_sample = b"".join(heldout.write(self.held_out_batches()))
        self.dataset = replace(dataset, heldout_sample=hashlib.sha256(self.heldout_sample).hexdigest())

    def training_batch(self, index: int) -> Batch:
        """Every picture once in an epoch, each epoch in another order."""
        epoch, place = divmod(index, self._batches)
        order = np.random.default_rng((self._seed, 1, epoch)).permutation(len(self._training.images))
        return self._training.batch(order[place * self._batch : (place + 1) * self._batch])

    def held_out_batches(self) -> Iterable[Batch]:
        count = len(self._held_out.images) // self._batch
        return (self._held_out.batch(slice(start * self._batch, (start + 1) * self._batch)) for start in range(count))

    def encode(self, prompt: str) -> list[int]:
        """The beginning of a caption. Raises CommandRefused for a word that no caption has."""
        if strange := [word for word in prompt.split() if word not in TOKENS]:
            raise CommandRefused("bad_request", f"no caption has the word {strange[0]!r}: they are made of {', '.join(WORDS)}")
        return [END, *(TOKENS[word] for word in prompt.split())]

    def decode(self, tokens: Sequence[int]) -> str:
        words = {token: word for word, token in TOKENS.items()}
        return " ".join(words.get(token, "?") for token in tokens)

    def epoch(self, index: int) -> float:
        return index / self._batches

    def shown(self, number: int) -> Shown:
        """The held-out picture with this number; behind the last one they begin again."""
        number %= len(self._captions)
        return Shown(inputs=(self._held_out.images[number],), picture=number, caption=self._captions[number])

    def manifest(self) -> bytes:
        return self._manifest

    @property
    def tokenizer_file(self) -> bytes | None:
        return tokenizer_file()

    @property
    def _batches(self) -> int:
        return len(self._training.images) // self._batch


def open_pictures(recipe: Recipe, seed: int, cache: Path, report: Report) -> Pictures:
    """Render the pictures for `recipe`, or find them in the folder `cache`. `seed` decides the order.

    Raises RenderingFailed, OSError, and what `report` raises.
    """
    size = vision_of(recipe).image
    training = rendered(Order(seed=TRAINING_SEED, count=TRAINING, size=size, held_out=False), cache, report)
    held_out = rendered(Order(seed=HELD_OUT_SEED, count=HELD_OUT, size=size, held_out=True), cache, report)
    captions = [[caption_of(row) for row in each.labels] for each in (training, held_out)]
    manifest = _manifest(training, held_out)
    dataset = Dataset(
        path=str(cache),
        hash=hashlib.sha256(f"{training.hash} {held_out.hash}".encode()).hexdigest(),
        tokenizer="words",
        vocabulary=len(TOKENS) + 1,
        files=TRAINING + HELD_OUT,
        training_tokens=_size(captions[0]),
        heldout_tokens=_size(captions[1]),
        split=f"by scene: another seed, and one caption in {HELD_OUT_CAPTIONS} only there",
        renderer=training.renderer,
        bytes_per_token=sum(map(len, captions[1])) / _size(captions[1]),
        separator=END,
        tokenizer_hash=hashlib.sha256(tokenizer_file()).hexdigest(),
        manifest=hashlib.sha256(manifest).hexdigest(),
    )
    sets = [examples_of(each.images, texts, recipe.context) for each, texts in zip((training, held_out), captions, strict=True)]
    return Pictures(sets[0], sets[1], captions[1], dataset, manifest, recipe.batch, seed)


def _manifest(training: Renderings, held_out: Renderings) -> bytes:
    """What was rendered, as JSON: enough to render it again and compare."""
    sets = {"training": (training, TRAINING_SEED, TRAINING), "held out": (held_out, HELD_OUT_SEED, HELD_OUT)}
    listed = {name: {"seed": seed, "count": count, "sha256": made.hash} for name, (made, seed, count) in sets.items()}
    content = {"format": "zeropoint-pictures-1", "renderer": training.renderer, "scenes": FORMAT, "sets": listed}
    return msgspec.json.format(msgspec.json.encode(content), indent=2)


def _size(captions: Sequence[str]) -> int:
    """Tokens that are learnt or judged: every word, and the end."""
    return sum(len(each.split()) + 1 for each in captions)


def examples_of(images: Bytes, captions: Sequence[str], context: int) -> Examples:
    """Captions as tokens, each between two ENDs."""
    tokens = np.zeros((len(captions), context + 1), np.int32)
    targets = np.full((len(captions), context + 1), IGNORED, np.int32)
    for row, text in enumerate(captions):
        encoded = [END, *(TOKENS[word] for word in text.split()), END]
        tokens[row, : len(encoded)] = targets[row, : len(encoded)] = encoded
    return Examples(images, tokens[:, :-1], targets[:, 1:])
