"""What every backend computes: seeded prompts, and held-out text, in batches of one shape. Bounded, whatever the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.parts.heldout import BadHeldout, check_tokens
from agents.parts.recipes import Recipe

LOGITS = 64 << 20
"""Bytes that the logits of one batch take at most, in float32."""
POSITIONS, PROMPTS = 1024, 64
"""Tokens of one batch, about, and its rows at most; a batch has as many as there are prompts."""
FEWEST, SHORTEST = 4, 32
"""Rows of a batch, and tokens of a row, that a large vocabulary leaves; where even these are too many, fewer rows."""
CONTINUED, BRIEFEST = 16, 4
"""Tokens behind each prompt, at most and at least."""
WORK = 10**12
"""Floating-point operations for held-out text at most, and as many for continuing the prompts without a cache."""

Tokens = NDArray[np.int32]
Images = NDArray[np.uint8]
Batch = tuple[NDArray[Any], ...]  # Any: bytes of pictures, or int32
"""Held-out examples as the trainer has them: tokens [n, context] and targets of that shape, int32; before them images, where it sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is computed: batches of `rows` times `window` tokens. Of a prompt's window the last `continued` tokens are to be found.

    `heldout` is how many rows of held-out text are read at most.
    """

    rows: int
    window: int
    continued: int
    heldout: int

    @property
    def length(self) -> int:
        """Tokens of a prompt."""
        return self.window - self.continued


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Tokens [n, length], behind images [n, image, image, channels] where the model sees."""

    tokens: Tokens
    images: Images | None

    def rows(self, start: int, stop: int) -> Examples:
        """Some of them; behind the last row there are none."""
        return Examples(tokens=self.tokens[start:stop], images=None if self.images is None else self.images[start:stop])

    def columns(self, start: int, stop: int) -> Examples:
        """Some of their tokens, behind the same images."""
        return Examples(tokens=self.tokens[:, start:stop], images=self.images)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """`prompts` [rows, length], and `heldout` [n, window] with `targets` of that shape; both null where there is no held-out text."""

    size: Size
    prompts: Examples
    heldout: Examples | None
    targets: Tokens | None


def size_for(recipe: Recipe) -> Size:
    """Of the whole context where its logits are small enough, else of half of it, or less."""
    window = recipe.context
    while window > SHORTEST and FEWEST * _bytes(recipe, window) > LOGITS:
        window //= 2
    rows = max(1, min(PROMPTS, max(FEWEST, POSITIONS // window), LOGITS // _bytes(recipe, window)))
    row = window * recipe.flops_per_token // 3  # a third: there is no way back
    return Size(
        rows=rows,
        window=window,
        continued=min(max(BRIEFEST, min(CONTINUED, WORK // (rows * row))), window // 2),
        heldout=max(rows, WORK // row),
    )


def draw(recipe: Recipe, heldout: Batch | None, seed: int) -> Inputs:
    """Prompts, chosen with `seed`: beginnings of held-out rows in turn with random tokens, which meet more of the vocabulary.

    All are random where there is no held-out text. Raises BadHeldout.
    """
    size, generator = size_for(recipe), np.random.default_rng(seed)
    if heldout is None:
        return Inputs(size=size, prompts=_random(recipe, size, generator), heldout=None, targets=None)
    examples, targets = _checked(recipe, heldout)
    begun = _picked(examples, np.resize(generator.permutation(len(targets)), size.rows)).columns(0, size.length)
    begun.tokens[1::2] = _random_tokens(recipe, len(begun.tokens[1::2]), size, generator)
    spread = np.linspace(0, len(targets) - 1, min(len(targets), size.heldout)).round().astype(np.int64)
    return Inputs(
        size=size,
        prompts=begun,
        heldout=_picked(examples, spread).columns(0, size.window),
        targets=targets[spread, : size.window],
    )


def _bytes(recipe: Recipe, window: int) -> int:
    """Of a row's logits."""
    return window * recipe.vocabulary * np.dtype(np.float32).itemsize


def _random(recipe: Recipe, size: Size, generator: np.random.Generator) -> Examples:
    tokens = _random_tokens(recipe, size.rows, size, generator)
    if recipe.vision is None:
        return Examples(tokens=tokens, images=None)
    shape = (size.rows, recipe.vision.image, recipe.vision.image, recipe.vision.channels)
    return Examples(tokens=tokens, images=generator.integers(0, 256, shape).astype(np.uint8))


def _random_tokens(recipe: Recipe, rows: int, size: Size, generator: np.random.Generator) -> Tokens:
    """None of them twice before each was there once: a token that none of them is would be met by nobody."""
    return np.resize(generator.permutation(recipe.vocabulary), (rows, size.length)).astype(np.int32)


def _picked(examples: Examples, numbers: NDArray[np.int64]) -> Examples:
    return Examples(tokens=examples.tokens[numbers], images=None if examples.images is None else examples.images[numbers])


def _checked(recipe: Recipe, heldout: Batch) -> tuple[Examples, Tokens]:
    """The arrays by name."""
    text: tuple[str, tuple[int, ...]] = ("int32", (recipe.context,))
    seen = recipe.vision and ("uint8", (recipe.vision.image, recipe.vision.image, recipe.vision.channels))
    wanted = [seen, text, text] if seen else [text, text]
    found, counts = [(array.dtype.name, array.shape[1:]) for array in heldout], {len(array) for array in heldout}
    if found != wanted or len(counts) != 1:
        raise BadHeldout(f"held-out rows of {found} in arrays of {sorted(counts)}: recipe {recipe.name} reads {wanted}, as many of each")
    *images, tokens, targets = heldout
    check_tokens(tokens, targets, recipe.vocabulary)
    return Examples(tokens=tokens, images=images[0] if images else None), targets
