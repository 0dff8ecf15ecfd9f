"""The decoder computes what a Llama computes."""

import numpy as np
import pytest
from compiled import MICRO, batch
from numpy.typing import NDArray
from tinygrad.tensor import Tensor

from agents.parts.model import Llama, initial_weights
from agents.parts.operations import plain
from agents.parts.recipes import Recipe, shapes

Array = NDArray[np.float64]


def norm_reference(x: Array, gain: Array, epsilon: float) -> Array:
    scaled: Array = x / np.sqrt((x**2).mean(1, keepdims=True) + epsilon)
    return scaled * gain


def block_reference(x: Array, layer: dict[str, Array], heads: int, kv_heads: int, epsilon: float, turns: Array | None) -> Array:
    """A block over one sequence [length, width]: `turns` rotate positions as complex numbers, and mask what follows."""
    width = x.shape[1] // heads
    half = width // 2

    def head(x: Array, weight: Array, index: int) -> Array:
        return x @ weight[index * width : (index + 1) * width].T

    def rotated(head: Array) -> Array:
        if turns is None:
            return head
        turned = (head[:, :half] + 1j * head[:, half:]) * turns
        return np.concatenate([turned.real, turned.imag], 1)

    n = norm_reference(x, layer["input_layernorm.weight"], epsilon)
    outputs = []
    for query_head in range(heads):
        shared = query_head * kv_heads // heads
        query = rotated(head(n, layer["self_attn.q_proj.weight"], query_head))
        key = rotated(head(n, layer["self_attn.k_proj.weight"], shared))
        scores = query @ key.T / np.sqrt(width)
        if turns is not None:
            scores[np.triu_indices(len(x), 1)] = -np.inf
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        outputs.append(shares @ head(n, layer["self_attn.v_proj.weight"], shared))
    x = x + np.concatenate(outputs, 1) @ layer["self_attn.o_proj.weight"].T
    n = norm_reference(x, layer["post_attention_layernorm.weight"], epsilon)
    gate, up = n @ layer["mlp.gate_proj.weight"].T, n @ layer["mlp.up_proj.weight"].T
    return x + (gate / (1 + np.exp(-gate)) * up) @ layer["mlp.down_proj.weight"].T


def llama_reference(recipe: Recipe, weights: dict[str, Array], x: Array) -> Array:
    """Logits of one embedded sequence [length, width] through a Llama, head by head and in float64."""
    half = recipe.head_width // 2
    turns = np.exp(1j * np.outer(np.arange(len(x)), recipe.rope_base ** -(np.arange(half) / half)))
    for index in range(recipe.layers):
        prefix = f"model.layers.{index}."
        layer = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
        x = block_reference(x, layer, recipe.heads, recipe.kv_heads, recipe.norm_epsilon, turns)
    return norm_reference(x, weights["model.norm.weight"], recipe.norm_epsilon) @ weights["lm_head.weight"].T


@pytest.fixture(scope="module")
def weights() -> dict[str, NDArray[np.float32]]:
    """Weights large enough for every part to act: the initial ones nearly vanish behind the residual stream."""
    generator = np.random.default_rng(7)
    return {
        name: (array + 0.3 * generator.standard_normal(array.shape)).astype(np.float32) for name, array in initial_weights(MICRO, 0).items()
    }


def test_logits_are_those_of_an_independent_llama_in_float64(weights: dict[str, NDArray[np.float32]]) -> None:
    tokens, _ = batch()

    logits = Llama(MICRO, weights, plain())(Tensor(tokens)).numpy()

    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    embedding = exact["model.embed_tokens.weight"]
    expected = np.stack([llama_reference(MICRO, exact, embedding[row]) for row in tokens])
    assert np.abs(expected).max() > 3
    np.testing.assert_allclose(logits, expected, atol=2e-4)


def test_loss_is_the_mean_cross_entropy(weights: dict[str, NDArray[np.float32]]) -> None:
    tokens, targets = batch()
    model = Llama(MICRO, weights, plain())

    loss = model.loss(Tensor(tokens), Tensor(targets)).item()

    logits = model(Tensor(tokens)).numpy().astype(np.float64)
    chosen = np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    assert loss == pytest.approx(float((np.log(np.exp(logits).sum(-1)) - chosen).mean()), abs=1e-4)


def test_a_token_acts_on_no_position_before_it(weights: dict[str, NDArray[np.float32]]) -> None:
    tokens, _ = batch()
    changed = tokens.copy()
    changed[:, 20] = (changed[:, 20] + 1) % MICRO.vocabulary
    model = Llama(MICRO, weights, plain())

    before, after = model(Tensor(tokens)).numpy(), model(Tensor(changed)).numpy()

    np.testing.assert_array_equal(before[:, :20], after[:, :20])
    assert np.abs(before[:, 20:] - after[:, 20:]).min(axis=(0, 2)).max() > 0


def test_initial_weights_depend_on_the_seed_alone() -> None:
    first, again, other = (initial_weights(MICRO, seed)["lm_head.weight"] for seed in (3, 3, 4))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_initial_weights_have_the_shapes_of_their_recipe() -> None:
    assert {name: array.shape for name, array in initial_weights(MICRO, 0).items()} == shapes(MICRO)


def test_names_are_those_of_llama_for_causal_lm() -> None:
    names = shapes(MICRO)

    assert names["model.layers.1.self_attn.k_proj.weight"] == (16, 32)
    assert names["model.layers.1.mlp.down_proj.weight"] == (32, 64)
    assert {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"} <= names.keys()
