"""Every recipe, in small, becomes a graph that onnxruntime and tinygrad's OnnxRunner run as tinygrad runs the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from exported import in_small, lively_weights, source_of
from numpy.typing import NDArray
from tinygrad.tensor import Tensor

from agents.exporter.tensors import storage_for
from agents.exporter.writing import write_graphs
from agents.parts.compiler import open_device
from agents.parts.model import Llama
from agents.parts.operations import plain
from agents.parts.recipes import RECIPES, Recipe
from agents.parts.vision import Vlm

if TYPE_CHECKING:
    from tinygrad.nn.onnx import OnnxRunner

Array = NDArray[np.float32]
TEXT_RECIPES = sorted(name for name, recipe in RECIPES.items() if recipe.vision is None)


@pytest.fixture(scope="module", autouse=True)
def device() -> None:
    open_device()


def exported(recipe: Recipe, folder: Path, weights: dict[str, Array]) -> Path:
    write_graphs(source_of(recipe, folder, weights), storage_for("float32"), folder, lambda done, total, what: None)
    return folder / "model.onnx"


def runner_of(path: Path) -> OnnxRunner:
    from tinygrad.nn.onnx import OnnxRunner  # opens the device, which needs a compiler

    return OnnxRunner(path)


def empty_cache(recipe: Recipe, batch: int) -> dict[str, Array]:
    names = [f"past_key_values.{index}.{part}" for index in range(recipe.layers) for part in ("key", "value")]
    return {name: np.zeros((batch, recipe.kv_heads, 0, recipe.head_width), np.float32) for name in names}


def tokens_of(recipe: Recipe, batch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng(7).integers(0, recipe.vocabulary, (batch, length))


def positions(batch: int, start: int, stop: int) -> NDArray[np.int64]:
    return np.tile(np.arange(start, stop), (batch, 1))


@pytest.mark.parametrize("name", TEXT_RECIPES)
def test_onnxruntime_and_tinygrads_runner_say_what_the_model_says(name: str, tmp_path: Path) -> None:
    recipe = in_small(name)
    weights = lively_weights(recipe)
    path, tokens = exported(recipe, tmp_path, weights), tokens_of(recipe, 2, 20)

    logits = Llama(recipe, weights, plain())(Tensor(tokens.astype(np.int32))).numpy()
    inputs = {"input_ids": tokens, "position_ids": positions(2, 0, 20), **empty_cache(recipe, 2)}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    runner = runner_of(path)({key: Tensor(value) if value.size else Tensor.zeros(*value.shape) for key, value in inputs.items()})

    assert np.abs(logits).max() > 1
    np.testing.assert_allclose(session.run(["logits"], inputs)[0], logits, atol=1e-4)
    np.testing.assert_allclose(runner["logits"].numpy(), logits, atol=1e-4)


@pytest.mark.parametrize("name", ["micro", "llm_8B", "llm_13B"])
def test_a_text_in_pieces_behind_the_cache_is_the_whole_text(name: str, tmp_path: Path) -> None:
    recipe = in_small(name)
    session = onnxruntime.InferenceSession(exported(recipe, tmp_path, lively_weights(recipe)), providers=["CPUExecutionProvider"])
    tokens, cache, pieces = tokens_of(recipe, 3, 16), empty_cache(recipe, 3), []
    whole = session.run(["logits"], {"input_ids": tokens, "position_ids": positions(3, 0, 16), **cache})[0]

    for start, stop in ((0, 5), (5, 6), (6, 7), (7, 16)):
        logits, *present = session.run(None, {"input_ids": tokens[:, start:stop], "position_ids": positions(3, start, stop), **cache})
        cache = dict(zip(cache, present, strict=True))
        pieces.append(logits)

    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=2e-5)


def test_what_comes_later_does_not_act_on_what_was_before(tmp_path: Path) -> None:
    recipe = in_small("micro")
    session = onnxruntime.InferenceSession(exported(recipe, tmp_path, lively_weights(recipe)), providers=["CPUExecutionProvider"])
    tokens = tokens_of(recipe, 1, 16)
    changed = tokens.copy()
    changed[:, 9:] = (changed[:, 9:] + 1) % recipe.vocabulary

    before, after = (
        session.run(["logits"], {"input_ids": each, "position_ids": positions(1, 0, 16), **empty_cache(recipe, 1)})[0]
        for each in (tokens, changed)
    )

    np.testing.assert_array_equal(before[:, :9], after[:, :9])
    assert np.abs(before[:, 9:] - after[:, 9:]).max() > 0.1


def test_a_model_that_sees_is_three_graphs_that_say_what_it_says(tmp_path: Path) -> None:
    recipe = RECIPES["vlm"]
    assert recipe.vision is not None
    weights = lively_weights(recipe)
    exported(recipe, tmp_path, weights)
    images = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    tokens = tokens_of(recipe, 2, recipe.context)

    logits = Vlm(recipe, weights, plain())(Tensor(images), Tensor(tokens.astype(np.int32))).numpy()
    encoder, embed, decoder = (
        onnxruntime.InferenceSession(tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"])
        for name in ("vision_encoder", "embed_tokens", "model")
    )
    pixels = (images.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32)
    seen, text = encoder.run(None, {"pixel_values": pixels})[0], embed.run(None, {"input_ids": tokens})[0]
    inputs = {"inputs_embeds": np.concatenate([seen, text], axis=1), "position_ids": positions(2, 0, recipe.positions)}
    said = decoder.run(["logits"], {**inputs, **empty_cache(recipe, 2)})[0]

    np.testing.assert_allclose(said[:, recipe.vision.patches :], logits, atol=1e-4)


def test_a_graph_has_the_names_that_other_tools_ask_for_and_says_where_it_comes_from(tmp_path: Path) -> None:
    model = onnx.load(exported(RECIPES["micro"], tmp_path, lively_weights(RECIPES["micro"])), load_external_data=False)

    caches = [f"{index}.{part}" for index in range(2) for part in ("key", "value")]
    assert [each.name for each in model.graph.input] == ["input_ids", "position_ids", *(f"past_key_values.{name}" for name in caches)]
    assert [each.name for each in model.graph.output] == ["logits", *(f"present.{name}" for name in caches)]
    facts = {"checkpoint": "0" * 64, "recipe": "micro", "precision": "float32", "run": "test"}
    assert {each.key: each.value for each in model.metadata_props} == {f"zeropoint.{name}": fact for name, fact in facts.items()}
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 23)]
    assert {node.op_type for node in model.graph.node} >= {"Attention", "RotaryEmbedding", "RMSNormalization"}
