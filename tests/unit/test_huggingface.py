"""transformers loads an exported folder as LlamaForCausalLM and computes the same logits, from the checkpoint's own weights or rounded."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from compiled import MICRO, SEEING
from hf_folder import checkpoint, drawn, judged, written
from numpy.typing import NDArray
from tinygrad.tensor import Tensor

from agents.exporter.huggingface import VISION, config_files, put_weights
from agents.exporter.tensors import Numbers
from agents.parts import safetensors
from agents.parts.model import Llama
from agents.parts.operations import plain
from agents.parts.recipes import RECIPES, Recipe
from agents.parts.vision import Vlm
from agents.parts.weights import BadWeights, Weights
from schemas.export import Precision

MANY = replace(MICRO, name="many", rope_base=500000.0)
"""Another base than the one that transformers takes where none is said."""
TOKENS = np.random.default_rng(0).integers(0, 256, (2, MICRO.context)).astype(np.int32)

Weighed = dict[str, NDArray[np.float32]]


def logits(recipe: Recipe, weights: Weighed, tokens: NDArray[np.int32] = TOKENS) -> NDArray[np.float32]:
    return Llama(recipe, weights, plain())(Tensor(tokens)).numpy()


def assert_alike(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> None:
    assert np.abs(ours).max() > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize("recipe", [MANY, replace(MANY, heads=2, kv_heads=1)], ids=["shared heads", "one head for keys"])
def test_transformers_loads_the_checkpoint_s_own_weights(judge: Path, tmp_path: Path, recipe: Recipe) -> None:
    folder = written(tmp_path, recipe)

    said, found = judged(judge, folder, {"input_ids": TOKENS})

    assert_alike(logits(recipe, drawn(recipe)), found["logits"])
    assert said["class"] == "LlamaForCausalLM" and said["missing"] == said["unexpected"] == []
    assert (said["dtype"], said["context"], said["rope"], said["end"]) == ("torch.float32", 32, 500000.0, [0, 0, 0])


def test_transformers_writes_on_greedily(judge: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, MANY)

    said, _ = judged(judge, folder, {"input_ids": TOKENS[:1, :20]}, continued=MANY.context - 20)

    text = np.array([said["greedy"]], np.int32)
    assert text.shape == (1, MANY.context) and (text[:, :20] == TOKENS[:1, :20]).all()
    np.testing.assert_array_equal(logits(MANY, drawn(MANY), text)[0, 19:-1].argmax(-1), text[0, 20:])


def test_transformers_loads_a_checkpoint_of_several_files(judge: Path, tmp_path: Path) -> None:
    folder = written(tmp_path, MICRO, files=3)

    said, found = judged(judge, folder, {"input_ids": TOKENS})

    assert_alike(logits(MICRO, drawn(MICRO)), found["logits"])
    assert said["missing"] == said["unexpected"] == []


@pytest.mark.parametrize(("precision", "dtype"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_transformers_loads_rounded_weights_in_several_files(judge: Path, tmp_path: Path, precision: Precision, dtype: type) -> None:
    folder = written(tmp_path, MICRO, precision, shard=20_000)

    said, found = judged(judge, folder, {"input_ids": TOKENS})

    rounded = {name: array.astype(dtype).astype(np.float32) for name, array in drawn(MICRO).items()}
    assert_alike(logits(MICRO, rounded), found["logits"])
    assert said["dtype"] == f"torch.{precision}" and said["missing"] == said["unexpected"] == []
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.safetensors")}
    assert sorted(sizes) == [f"model-{number:05}-of-{len(sizes):05}.safetensors" for number in range(1, len(sizes) + 1)]
    assert len(sizes) > 3 and all(size < 20_000 + 4_000 for size in sizes.values()), "each with its header"


def test_transformers_takes_what_the_encoder_saw(judge: Path, tmp_path: Path) -> None:
    """The decoder's weights are in the same file as the encoder's, of which LlamaForCausalLM says that it does not know them."""
    folder = written(tmp_path, SEEING)
    model = Vlm(SEEING, drawn(SEEING), plain())
    pictures = Tensor(np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8))
    tokens = Tensor(TOKENS[:, : SEEING.context])
    embedded = model.see(pictures).cat(plain().embedding(tokens, model.weights["model.embed_tokens.weight"]), dim=1)

    said, found = judged(judge, folder, {"inputs_embeds": embedded.numpy()})

    assert_alike(model(pictures, tokens).numpy(), found["logits"][:, model.vision.patches :])
    assert said["class"] == "LlamaForCausalLM" and said["missing"] == []
    assert said["unexpected"] == sorted(name for name in drawn(SEEING) if name.startswith("vision."))
    assert said["context"] == SEEING.context + model.vision.patches


@pytest.mark.parametrize("precision", ["float32", "int8", "int4"])
def test_the_checkpoint_s_weights_are_not_copied(tmp_path: Path, precision: Precision) -> None:
    (source,) = checkpoint(tmp_path, drawn(MICRO))
    (tmp_path / "folder").mkdir()

    put_weights([source], precision, tmp_path / "folder")

    assert (tmp_path / "folder" / "model.safetensors").samefile(source)
    assert json.loads(config_files(MICRO, 0, precision)["config.json"])["torch_dtype"] == "float32"


def test_where_there_are_no_hard_links_they_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "this file system has no hard links")

    (source,) = checkpoint(tmp_path, drawn(MICRO))
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(os, "link", refuse)

    put_weights([source], "float32", tmp_path / "folder")

    copy = tmp_path / "folder" / "model.safetensors"
    assert copy.read_bytes() == source.read_bytes() and not copy.samefile(source)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_weights_that_are_there_are_not_written_over(tmp_path: Path, precision: Precision) -> None:
    source, other = checkpoint(tmp_path, drawn(MICRO), files=2)
    before = other.read_bytes()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.safetensors").hardlink_to(other)

    with pytest.raises(FileExistsError):
        put_weights([source], precision, tmp_path / "folder")
    assert other.read_bytes() == before


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_rounded_weights_are_the_nearest_in_one_file(tmp_path: Path, precision: Precision) -> None:
    folder = written(tmp_path, MICRO, precision)

    found = Weights([folder / "model.safetensors"])

    dtype = np.float16 if precision == "float16" else ml_dtypes.bfloat16
    weights = drawn(MICRO)
    assert set(found.names) == set(weights) and {found.dtype(name) for name in found.names} == {"F16" if dtype == np.float16 else "BF16"}
    for name, array in weights.items():
        np.testing.assert_array_equal(found.whole(name), Numbers(dtype).round(array).astype(np.float32))
    assert not (folder / "model.safetensors.index.json").exists()


def test_weights_too_large_for_the_precision_are_refused(tmp_path: Path) -> None:
    weights = drawn(MICRO)
    weights["model.norm.weight"][3] = 70000

    with pytest.raises(BadWeights, match=r"model\.norm\.weight"):
        put_weights(checkpoint(tmp_path, weights), "float16", tmp_path)


def test_an_index_names_the_file_of_each_weight_and_their_size(tmp_path: Path) -> None:
    sources = checkpoint(tmp_path, drawn(MICRO), files=2)
    (tmp_path / "folder").mkdir()

    put_weights(sources, "float32", tmp_path / "folder")

    index = json.loads((tmp_path / "folder" / "model.safetensors.index.json").read_bytes())
    assert index["metadata"]["total_size"] == 4 * MICRO.parameters
    for name, file in index["weight_map"].items():
        assert name in safetensors.decode((tmp_path / "folder" / file).read_bytes())[0]
    assert set(index["weight_map"]) == set(drawn(MICRO))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_the_configuration_says_the_shape_of_the_recipe(recipe: Recipe) -> None:
    config = json.loads(config_files(recipe, 7, "bfloat16")["config.json"])

    assert config["num_hidden_layers"] == recipe.layers and config["intermediate_size"] == recipe.ffn
    assert config["head_dim"] * config["num_attention_heads"] == config["hidden_size"] == recipe.width
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == recipe.rope_base, "older and newer transformers"
    assert config["dtype"] == config["torch_dtype"] == "bfloat16"
    assert config["eos_token_id"] == 7
    assert (VISION in config) == (recipe.vision is not None)


def test_the_preprocessor_turns_bytes_into_what_the_encoder_reads() -> None:
    described = json.loads(config_files(RECIPES["vlm"], 0, "float32")["preprocessor_config.json"])
    pixels = np.arange(256, dtype=np.float32)

    numbers = (pixels * described["rescale_factor"] - described["image_mean"][0]) / described["image_std"][0]

    np.testing.assert_allclose(numbers, pixels / 127.5 - 1, atol=1e-6)
    assert described["size"] == {"height": 32, "width": 32}
    assert "preprocessor_config.json" not in config_files(MICRO, 0, "float32")
