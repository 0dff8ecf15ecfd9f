"""A model as a folder of Hugging Face's: config.json and the weights, which transformers loads as LlamaForCausalLM.

https://huggingface.co/docs/transformers/model_doc/llama. What older transformers called otherwise (`rope_theta`, `torch_dtype`) is there
under both names.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import onnx_ir as ir

from agents.exporter.tensors import Streamed, plain
from agents.parts import safetensors
from agents.parts.recipes import Recipe, Vision
from agents.parts.weights import Weights
from schemas.export import Precision

VISION = "zeropoint_vision"
"""The key in config.json that describes the encoder of pictures, which transformers does not know."""
SHARD = 5_000_000_000
"""Bytes of weights in one file at most, as transformers has it; one tensor may have more."""
HALVES = {"float16": ir.DataType.FLOAT16, "bfloat16": ir.DataType.BFLOAT16}
"""Precisions in which the weights are written anew. With the others the folder has the checkpoint's own."""
_NAMES = {ir.DataType.FLOAT16: "F16", ir.DataType.BFLOAT16: "BF16"}


def config_files(recipe: Recipe, end: int, precision: Precision) -> dict[str, bytes]:
    """The content of each configuration file by its name. `end` is the token between documents: it begins, ends and fills up a text."""
    tokens = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    files = {"config.json": {**_config(recipe, precision), **tokens}, "generation_config.json": tokens}
    if recipe.vision:
        files["preprocessor_config.json"] = _preprocessor(recipe.vision)
    return {name: _json(content) for name, content in files.items()}


def put_weights(sources: Sequence[Path], precision: Precision, folder: Path, shard: int = SHARD) -> None:
    """Put the weights of a checkpoint's safetensors files into the folder, with an index where they are in several files.

    Raises BadWeights, BadSafetensors, OSError.
    """
    if precision in HALVES:
        _write(Weights(sources), HALVES[precision], folder, shard)
    else:
        _link(sources, folder)


def linked_names(sources: Sequence[Path], precision: Precision) -> list[str]:
    """Under which names the folder has the checkpoint's own files."""
    return [] if precision in HALVES else _file_names(len(sources))


def _config(recipe: Recipe, precision: Precision) -> dict[str, object]:
    dtype = precision if precision in HALVES else "float32"
    config: dict[str, object] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": recipe.vocabulary,
        "hidden_size": recipe.width,
        "intermediate_size": recipe.ffn,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "num_key_value_heads": recipe.kv_heads,
        "head_dim": recipe.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": recipe.positions,
        "rms_norm_eps": recipe.norm_epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": recipe.rope_base},
        "rope_theta": recipe.rope_base,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "dtype": dtype,
        "torch_dtype": dtype,
    }
    return config | ({VISION: _vision(recipe.vision)} if recipe.vision else {})


def _vision(vision: Vision) -> dict[str, object]:
    return {
        "image_size": vision.image,
        "patch_size": vision.patch,
        "num_channels": vision.channels,
        "hidden_size": vision.width,
        "intermediate_size": vision.ffn,
        "num_hidden_layers": vision.layers,
        "num_attention_heads": vision.heads,
        "image_tokens": vision.patches,
    }


def _preprocessor(vision: Vision) -> dict[str, object]:
    """Bytes from 0 to 255 become numbers from -1 to 1."""
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"height": vision.image, "width": vision.image},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5] * vision.channels,
        "image_std": [0.5] * vision.channels,
    }


def _link(sources: Sequence[Path], folder: Path) -> None:
    names = _file_names(len(sources))
    for source, name in zip(sources, names, strict=True):
        try:
            (folder / name).hardlink_to(source)
        except OSError:  # another file system, or one without hard links
            _copy(source, folder / name)
    if len(sources) > 1:
        parts = {name: Weights([source]) for name, source in zip(names, sources, strict=True)}
        size = sum(part.size for part in parts.values())
        _write_index({weight: name for name, part in parts.items() for weight in part.names}, size, folder)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("xb") as write:  # never over a file, which may be a checkpoint's by another name
        shutil.copyfileobj(read, write)


def _write(weights: Weights, dtype: ir.DataType, folder: Path, shard: int) -> None:
    """The weights in `dtype`, each read and written a few rows at a time."""
    shards = list(_shards({name: plain(weights, name, dtype) for name in weights.names}, shard))
    files = dict(zip(_file_names(len(shards)), shards, strict=True))
    for name, tensors in files.items():
        entries = {weight: (_NAMES[dtype], tensor.shape.numpy(), tensor.nbytes) for weight, tensor in tensors.items()}
        with (folder / name).open("xb") as file:
            file.write(safetensors.header_of(entries, {"format": "pt"}))  # the key that transformers asks for
            for tensor in tensors.values():
                tensor.tofile(file)
    if len(shards) > 1:
        size = sum(tensor.nbytes for tensors in shards for tensor in tensors.values())
        _write_index({weight: name for name, tensors in files.items() for weight in tensors}, size, folder)


def _shards(tensors: Mapping[str, Streamed], limit: int) -> Iterator[dict[str, Streamed]]:
    """The tensors in their order, as many together as `limit` allows, and at least one."""
    shard: dict[str, Streamed] = {}
    size = 0
    for name, tensor in tensors.items():
        if shard and size + tensor.nbytes > limit:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
    yield shard


def _file_names(count: int) -> list[str]:
    if count == 1:
        return ["model.safetensors"]
    return [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]


def _write_index(files: Mapping[str, str], size: int, folder: Path) -> None:
    """Which file each weight is in."""
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(files.items()))}
    (folder / "model.safetensors.index.json").write_bytes(_json(index))


def _json(content: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
