"""A folder is refused before anything is loaded where the swarm's stack would run another model than its makers did, or load no tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from layers import TINY, write_model

from agents.parts.weights import Weights
from agents.petals.folder import BadFolder, weight_files
from agents.petals.llama import Scaling, layer_tensors, read_llama

REMOVED = object()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def change(folder: Path, **changes: Any) -> None:  # Any: what JSON holds, or REMOVED
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not REMOVED}))


def test_an_export_is_a_llama(folder: Path) -> None:
    llama = read_llama(folder)

    assert (llama.num_hidden_layers, llama.hidden_size, llama.vocab_size) == (TINY.layers, TINY.width, TINY.vocabulary)
    assert (llama.rope_theta, llama.rope_scaling, llama.torch_dtype) == (TINY.rope_base, None, "float32")


def test_what_a_file_of_2023_does_not_say_is_as_transformers_had_it_then(folder: Path) -> None:
    absent = ("rope_theta", "rope_parameters", "num_key_value_heads", "head_dim", "dtype", "torch_dtype", "rms_norm_eps", "mlp_bias")
    change(folder, **dict.fromkeys(absent, REMOVED))

    llama = read_llama(folder)

    assert (llama.rope_theta, llama.num_key_value_heads, llama.torch_dtype) == (10_000.0, TINY.heads, "float32")


def test_the_names_of_today_are_read_where_the_stack_of_2023_would_not(folder: Path) -> None:
    scaled = {"rope_type": "linear", "rope_theta": 5e5, "factor": 2}
    change(folder, rope_theta=REMOVED, rope_parameters=scaled, torch_dtype=REMOVED, dtype="bfloat16")

    llama = read_llama(folder)

    assert (llama.rope_theta, llama.rope_scaling, llama.torch_dtype) == (5e5, Scaling(type="linear", factor=2.0), "bfloat16")


REFUSED = {
    "another family": ({"architectures": ["MistralForCausalLM"]}, "only LlamaForCausalLM is run here, since the embeddings"),
    "no family": ({"architectures": REMOVED}, "model of None"),
    "no size": ({"hidden_size": REMOVED}, "hidden_size"),
    "a size that no machine has": ({"hidden_size": 1 << 40}, "hidden_size"),
    "too many layers": ({"num_hidden_layers": 100_000}, "num_hidden_layers"),
    "heads that do not divide": ({"num_attention_heads": 3}, "do not divide"),
    "heads of another width": ({"head_dim": 64}, "heads of 64 numbers"),
    "biases of the MLP": ({"mlp_bias": True}, "mlp_bias"),
    "quantized weights": ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
    "another dtype": ({"torch_dtype": "float64"}, "torch_dtype"),
    "positions of Llama 3.1": ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "'llama3': Petals' stack of 2023 knows"),
    "a factor of nothing": ({"rope_scaling": {"factor": 8.0}}, "in the way None"),
    "two rotary bases": ({"rope_theta": 1e6}, "contradicts itself"),
    "a factor that shrinks": ({"rope_scaling": {"type": "linear", "factor": 0.5}}, "factor|scaling"),
}


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_computed_otherwise_is_refused(changes: dict[str, Any], reason: str, folder: Path) -> None:
    change(folder, **changes)

    with pytest.raises(BadFolder, match=reason):
        read_llama(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b" " * (2 << 20)])
def test_a_configuration_that_is_none_is_refused(content: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(content)

    with pytest.raises(BadFolder, match=r"config\.json"):
        read_llama(folder)


def test_the_weights_of_a_layer_are_those_of_the_model(folder: Path) -> None:
    of_layer = [name for name in Weights(weight_files(folder)).names if name.startswith("model.layers.1.")]
    assert sorted(layer_tensors(read_llama(folder), 1)) == sorted(of_layer)

    change(folder, attention_bias=True)
    assert set(layer_tensors(read_llama(folder), 1)) - set(of_layer) == {f"model.layers.1.self_attn.{x}_proj.bias" for x in "qkvo"}


def test_a_part_of_a_model_has_the_files_of_its_index_that_are_there(tmp_path: Path) -> None:
    shards = [f"model-{number:05}-of-00003.safetensors" for number in (1, 2, 3)]
    write_index(tmp_path, dict(zip("abc", shards, strict=True)))
    for name in shards[::2]:
        (tmp_path / name).touch()

    assert [path.name for path in weight_files(tmp_path)] == shards[::2]


def write_index(folder: Path, files: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/model.safetensors", "sub/model.safetensors", "pytorch_model.bin", ".safetensors", ""]
)
def test_an_index_names_only_safetensors_files_beside_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    write_index(tmp_path, {"a": "model.safetensors", "b": name})

    with pytest.raises(BadFolder, match="want the name of a safetensors file in the same folder"):
        weight_files(tmp_path)


@pytest.mark.parametrize("files", [{}, [], {"a": 1}, {str(number): f"{number}.safetensors" for number in range(2000)}])
def test_an_index_that_is_none_or_too_large_is_refused(files: object, tmp_path: Path) -> None:
    write_index(tmp_path, files)

    with pytest.raises(BadFolder):
        weight_files(tmp_path)


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()

    with pytest.raises(BadFolder, match=r"none of the weights model\.safetensors: only safetensors files are read"):
        weight_files(tmp_path)
