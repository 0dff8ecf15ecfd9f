"""The model that sees computes what a vision transformer in front of a Llama computes."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import MICRO, SEEING
from numpy.typing import NDArray
from test_model import Array, block_reference, llama_reference, norm_reference
from tinygrad.tensor import Tensor

from agents.parts.model import Llama, initial_weights
from agents.parts.operations import plain
from agents.parts.recipes import Recipe, Vision
from agents.parts.targets import IGNORED
from agents.parts.vision import Vlm, model_for, patches, vision_of

Weights = dict[str, NDArray[np.float32]]


def reference_tokens(recipe: Recipe, weights: dict[str, Array], image: NDArray[np.uint8]) -> Array:
    """One picture through a vision transformer, patch by patch, head by head and in float64."""
    vision = vision_of(recipe)
    size = vision.patch
    corners = [(row, column) for row in range(0, vision.image, size) for column in range(0, vision.image, size)]
    cut = np.stack([image[row : row + size, column : column + size].reshape(-1) for row, column in corners])
    x = (cut / 127.5 - 1) @ weights["vision.patches.weight"].T + weights["vision.positions.weight"]
    for index in range(vision.layers):
        prefix = f"vision.layers.{index}."
        layer = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
        x = block_reference(x, layer, vision.heads, vision.heads, recipe.norm_epsilon, None)
    return norm_reference(x, weights["vision.norm.weight"], recipe.norm_epsilon) @ weights["vision.projector.weight"].T


@pytest.fixture(scope="module")
def weights() -> Weights:
    """Weights large enough for every part to act."""
    generator = np.random.default_rng(7)
    return {
        name: (array + 0.2 * generator.standard_normal(array.shape)).astype(np.float32)
        for name, array in initial_weights(SEEING, 0).items()
    }


@pytest.fixture(scope="module")
def model(weights: Weights) -> Vlm:
    return Vlm(SEEING, weights, plain())


def examples(count: int = 2, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    generator = np.random.default_rng(seed)
    size = vision_of(SEEING).image
    images = generator.integers(0, 256, (count, size, size, 3)).astype(np.uint8)
    return images, generator.integers(0, SEEING.vocabulary, (count, SEEING.context)).astype(np.int32)


def test_the_decoder_reads_what_an_independent_vision_transformer_sees(model: Vlm, weights: Weights) -> None:
    images, _ = examples()

    seen = model.see(Tensor(images)).numpy()

    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    expected = np.stack([reference_tokens(SEEING, exact, image) for image in images])
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(seen, expected, atol=2e-4)


def test_logits_are_those_of_a_llama_that_read_the_picture_first(model: Vlm, weights: Weights) -> None:
    images, tokens = examples()

    logits = model(Tensor(images), Tensor(tokens)).numpy()

    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    for image, row, found in zip(images, tokens, logits, strict=True):
        before = reference_tokens(SEEING, exact, image)
        embedded = np.concatenate([before, exact["model.embed_tokens.weight"][row]])
        np.testing.assert_allclose(found, llama_reference(SEEING, exact, embedded)[len(before) :], atol=1e-3)


def test_every_patch_acts_on_every_other_and_on_all_text(model: Vlm) -> None:
    images, tokens = examples(1)
    changed = images.copy()
    changed[0, -1, -1] ^= 255

    seen, seen_changed = (model.see(Tensor(each)).numpy() for each in (images, changed))
    read, read_changed = (model(Tensor(each), Tensor(tokens)).numpy() for each in (images, changed))

    assert np.abs(seen - seen_changed).max(-1).min() > 0
    assert np.abs(read - read_changed).max(-1).min() > 0


def test_the_loss_counts_no_target_that_is_ignored(model: Vlm) -> None:
    images, tokens = examples()
    targets = np.where(np.arange(SEEING.context) < 5, tokens, IGNORED).astype(np.int32)

    loss = model.loss(Tensor(images), Tensor(tokens), Tensor(targets)).item()

    logits = model(Tensor(images), Tensor(tokens)).numpy().astype(np.float64)[:, :5]
    chosen = np.take_along_axis(logits, targets[:, :5, None], -1)[..., 0]
    assert loss == pytest.approx(float((np.log(np.exp(logits).sum(-1)) - chosen).mean()), abs=1e-4)


def test_an_example_is_right_where_no_target_that_counts_is_missed(model: Vlm) -> None:
    images, tokens = examples(3)
    targets = model(Tensor(images), Tensor(tokens)).numpy().argmax(-1).astype(np.int32)
    targets[1, 7] = (targets[1, 7] + 1) % SEEING.vocabulary
    targets[2, 7] = IGNORED

    right = model.right(Tensor(images), Tensor(tokens), Tensor(targets)).numpy()

    assert right.tolist() == [True, False, True]


def test_a_picture_is_cut_row_by_row() -> None:
    vision = Vision(image=8, patch=4, width=8, layers=1, heads=1, ffn=8)
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)

    cut = patches(Tensor(image), vision).numpy()

    assert cut.shape == (1, vision.patches, vision.patch_values)
    np.testing.assert_allclose(cut[0, 1], (image[0, :4, 4:] / 127.5 - 1).reshape(-1), atol=1e-6)


def test_a_recipe_chooses_its_model() -> None:
    assert isinstance(model_for(SEEING, initial_weights(SEEING, 0), plain()), Vlm)
    assert isinstance(model_for(MICRO, initial_weights(MICRO, 0), plain()), Llama)
    with pytest.raises(ValueError, match="sees no pictures"):
        vision_of(MICRO)
