"""A decoder that sees: a vision transformer's tokens stand before the text (as in LLaVA, Liu et al. 2023), all of it trained.

The encoder is built as the decoder is (RMSNorm, SwiGLU, no biases), but every patch sees every other, and its place is learnt.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from tinygrad.dtype import dtypes
from tinygrad.tensor import Tensor

from agents.parts.model import Llama, Stack, decoder, trainable
from agents.parts.operations import Operations, kept
from agents.parts.recipes import Recipe, Vision
from agents.parts.targets import IGNORED


class Vlm:
    """The model. `weights` maps names to tensors, the text's as in Llama, which an optimiser updates in place."""

    def __init__(self, recipe: Recipe, weights: Mapping[str, NDArray[np.float32]], operations: Operations) -> None:
        self.recipe = recipe
        self.vision = vision_of(recipe)
        self.weights = trainable(recipe, weights)
        self._operations = operations
        self._decoder = decoder(recipe, self.weights, operations)
        self._encoder = Stack(
            name="vision",
            layers=self.vision.layers,
            head_width=self.vision.head_width,
            epsilon=recipe.norm_epsilon,
            rotary=None,
            causal=False,
            weights=self.weights,
            operations=operations,
        )

    def __call__(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Logits [batch, length, vocabulary] for bytes of images [batch, image, image, channels] and tokens [batch, length]."""
        text = self._operations.embedding(tokens, self.weights["model.embed_tokens.weight"])
        read = self._decoder(kept(self.see(images).cat(text, dim=1)))
        return self._operations.product(kept(read[:, self.vision.patches :]), self.weights["lm_head.weight"])

    def see(self, images: Tensor) -> Tensor:
        """What the decoder gets of images [batch, image, image, channels]: a token for each patch [batch, patches, width]."""
        embedded = self._operations.product(patches(images, self.vision), self.weights["vision.patches.weight"])
        placed = kept(embedded + self.weights["vision.positions.weight"])
        return self._operations.product(self._encoder(placed), self.weights["vision.projector.weight"])

    def loss(self, images: Tensor, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token over those targets [batch, length] that are not IGNORED."""
        return self._operations.cross_entropy(self(images, tokens), targets)

    def right(self, images: Tensor, tokens: Tensor, targets: Tensor) -> Tensor:
        """Whether the likeliest token is the target at every place of an example [batch] that is not IGNORED.

        Given the text before each place: so exactly then greedy decoding writes the whole text.
        """
        likeliest = self(images, tokens).argmax(-1)
        return ((likeliest == targets) | (targets == IGNORED)).all(-1)


def vision_of(recipe: Recipe) -> Vision:
    """The encoder's shape. Raises ValueError where the recipe has none."""
    if recipe.vision is None:
        raise ValueError(f"recipe {recipe.name} sees no pictures: its model is a Llama")
    return recipe.vision


def patches(images: Tensor, vision: Vision) -> Tensor:
    """Images [batch, image, image, channels] of bytes as patches [batch, patches, values], row by row, each value from -1 to 1."""
    rows = vision.image // vision.patch
    cut = images.reshape(-1, rows, vision.patch, rows, vision.patch, vision.channels).transpose(2, 3)
    return kept(cut.reshape(-1, vision.patches, vision.patch_values).cast(dtypes.float32) / 127.5 - 1)


def model_for(recipe: Recipe, weights: Mapping[str, NDArray[np.float32]], operations: Operations) -> Llama | Vlm:
    """The model of a recipe."""
    return Vlm(recipe, weights, operations) if recipe.vision else Llama(recipe, weights, operations)
