"""The decoder's graph is valid ONNX that onnxruntime runs, with weights in every precision, and behind its cache as without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from numpy.typing import NDArray

from agents.exporter.graph import decoder
from agents.exporter.tensors import Storage, rounded, storage_for
from agents.parts import safetensors
from agents.parts.model import initial_weights
from agents.parts.recipes import RECIPES, Recipe
from agents.parts.weights import Weights

MICRO = RECIPES["micro"]
IN_BLOCKS = [("int8", 32, True), ("int8", 128, False), ("int4", 32, True), ("int4", 128, False)]

Arrays = list[NDArray[np.floating]]


def weights_of(recipe: Recipe, folder: Path) -> Weights:
    """Weights large enough for every part to act."""
    generator = np.random.default_rng(7)
    arrays = {
        name: (array + 0.2 * generator.standard_normal(array.shape)).astype(np.float32)
        for name, array in initial_weights(recipe, 0).items()
    }
    return stored(arrays, folder / "model.safetensors")


def stored(arrays: dict[str, NDArray[np.float32]], path: Path) -> Weights:
    path.write_bytes(safetensors.encode(arrays, {}))
    return Weights([path])


def saved(recipe: Recipe, weights: Weights, storage: Storage, folder: Path) -> Path:
    """The decoder's file, valid and with its shapes inferred."""
    folder.mkdir()
    ir.save(decoder(recipe, weights, storage, {"recipe": recipe.name}), folder / "model.onnx", external_data="model.onnx.data")
    onnx.checker.check_model(str(folder / "model.onnx"), full_check=True)
    return folder / "model.onnx"


class Model:
    """A decoder in onnxruntime."""

    def __init__(self, recipe: Recipe, path: Path, dtype: type = np.float32) -> None:
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [f"past_key_values.{index}.{part}" for index in range(recipe.layers) for part in ("key", "value")]
        self._empty = {name: np.zeros((2, recipe.kv_heads, 0, recipe.head_width), dtype) for name in names}

    def __call__(self, tokens: NDArray[np.int64], caches: Arrays | None = None) -> tuple[NDArray[np.floating], Arrays]:
        """Logits, and the caches that the next tokens come behind."""
        past = self._empty if caches is None else dict(zip(self._empty, caches, strict=True))
        before = next(iter(past.values())).shape[2]
        positions = np.tile(np.arange(before, before + tokens.shape[1]), (len(tokens), 1))
        logits, *present = self._session.run(None, {"input_ids": tokens, "position_ids": positions, **past})
        return logits, present


def with_whole_activations(path: Path) -> Path:
    """The same model, computed in float32 between its weights."""
    model = onnx.load(path, load_external_data=False)
    levels = [each for node in model.graph.node for each in node.attribute if each.name == "accuracy_level"]
    for each in levels:
        each.i = 0
    onnx.save(model, path.with_name("whole.onnx"))
    return path.with_name("whole.onnx")


def tokens_of(recipe: Recipe) -> NDArray[np.int64]:
    return np.random.default_rng(1).integers(0, recipe.vocabulary, (2, 12))


@pytest.mark.parametrize(("precision", "block", "symmetric"), IN_BLOCKS)
@pytest.mark.parametrize("recipe", [MICRO, RECIPES["tiny"]], ids=lambda recipe: recipe.name)
def test_logits_are_those_of_the_rounded_weights_but_for_int8_s_activations(
    tmp_path: Path, recipe: Recipe, precision: str, block: int, symmetric: bool
) -> None:
    weights, storage = weights_of(recipe, tmp_path), storage_for(precision, block, symmetric)
    known = stored({name: rounded(weights, name, storage) for name in weights.names}, tmp_path / "rounded")

    path = saved(recipe, weights, storage, tmp_path / "stored")
    logits, _ = Model(recipe, path)(tokens_of(recipe))
    unrounded, _ = Model(recipe, with_whole_activations(path))(tokens_of(recipe))

    expected, _ = Model(recipe, saved(recipe, known, storage_for("float32"), tmp_path / "known"))(tokens_of(recipe))
    np.testing.assert_allclose(unrounded, expected, atol=1e-4 * np.abs(expected).max())
    assert np.std(logits - expected) < 0.1 * np.std(expected)


def test_logits_in_float16_are_near_those_of_its_weights_in_float32(tmp_path: Path) -> None:
    weights, storage = weights_of(MICRO, tmp_path), storage_for("float16")
    known = stored({name: rounded(weights, name, storage) for name in weights.names}, tmp_path / "rounded")

    logits, _ = Model(MICRO, saved(MICRO, weights, storage, tmp_path / "half"), np.float16)(tokens_of(MICRO))

    expected, _ = Model(MICRO, saved(MICRO, known, storage_for("float32"), tmp_path / "known"))(tokens_of(MICRO))
    assert logits.dtype == np.float16
    np.testing.assert_allclose(logits, expected, atol=1e-2 * np.abs(expected).max())


def test_a_decoder_in_bfloat16_is_valid_though_onnxruntime_does_not_run_it_on_a_processor(tmp_path: Path) -> None:
    path = saved(MICRO, weights_of(MICRO, tmp_path), storage_for("bfloat16"), tmp_path / "bfloat16")

    loaded = ir.load(path)

    assert {loaded.graph.initializers[name].dtype for name in ("lm_head.weight", "model.norm.weight")} == {ir.DataType.BFLOAT16}


@pytest.mark.parametrize("precision", ["float32", "int4"])
def test_tokens_behind_a_cache_get_the_logits_of_the_whole_text(tmp_path: Path, precision: str) -> None:
    model = Model(MICRO, saved(MICRO, weights_of(MICRO, tmp_path), storage_for(precision), tmp_path / "model"))
    tokens = tokens_of(MICRO)
    whole, _ = model(tokens)

    parts, caches = [], None
    for start, stop in ((0, 5), (5, 6), (6, 12)):
        logits, caches = model(tokens[:, start:stop], caches)
        parts.append(logits)

    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-4 * np.abs(whole).max())
