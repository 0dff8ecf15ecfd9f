"""What a folder's config.json says of a Llama, and whether the stack of the swarm runs that model as its makers do.

Format: https://huggingface.co/docs/transformers/model_doc/llama#transformers.LlamaConfig. transformers 4.34.1 overlooks what it does not
know (a rotary base under its new name, heads of another width, biases of the MLP), and computes something else then: that is refused here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from agents.parts.bounded import Unreadable, read_bounded
from agents.petals.folder import BadFolder

CONFIG_LIMIT = 1 << 20
"""Bytes of config.json that are parsed at most."""
FAMILY = "LlamaForCausalLM"
LAYERS = 1024
"""Of a model, at most."""
THETA = 10_000.0
"""The rotary base of a model that does not say one."""

Count = Annotated[int, Meta(ge=1, le=1 << 20)]
"""Of numbers in a vector, or tokens."""
Dtype = Literal["float32", "float16", "bfloat16"]


class Scaling(Struct, frozen=True, kw_only=True):
    """How a model reads further than it was trained to, by rotary positions that lie closer."""

    type: Literal["linear", "dynamic"]
    factor: Annotated[float, Meta(gt=1)]


class Llama(Struct, frozen=True, kw_only=True):
    """A model's geometry, by the names of transformers' LlamaConfig; `torch_dtype` is that of its weights."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    rope_scaling: Scaling | None
    tie_word_embeddings: bool
    attention_bias: bool
    torch_dtype: Dtype


class _Family(Struct, frozen=True, kw_only=True):
    architectures: list[str] | None = None


class _Rope(Struct, frozen=True, kw_only=True):
    rope_theta: Annotated[float, Meta(gt=0)] | None = None
    rope_type: str | None = None
    type: str | None = None
    factor: float | None = None


class _Config(Struct, frozen=True, kw_only=True):
    vocab_size: Annotated[int, Meta(ge=1, le=1 << 22)]
    hidden_size: Count
    intermediate_size: Count
    num_hidden_layers: Annotated[int, Meta(ge=1, le=LAYERS)]
    num_attention_heads: Count
    num_key_value_heads: Count | None = None
    head_dim: Count | None = None
    hidden_act: Literal["silu"] = "silu"
    max_position_embeddings: Count = 2048
    rms_norm_eps: Annotated[float, Meta(ge=0)] = 1e-6
    rope_theta: Annotated[float, Meta(gt=0)] | None = None
    rope_scaling: _Rope | None = None
    rope_parameters: _Rope | None = None
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: Literal[False] = False
    quantization_config: None = None
    torch_dtype: Dtype | None = None
    dtype: Dtype | None = None


def read_llama(folder: Path) -> Llama:
    """The geometry of the model in `folder`. Raises BadFolder."""
    try:
        data = read_bounded(folder / "config.json", CONFIG_LIMIT)
        _check_family(msgspec.json.decode(data, type=_Family), folder)
        return _llama(msgspec.json.decode(data, type=_Config))
    except (Unreadable, msgspec.DecodeError, RecursionError) as error:
        raise BadFolder(f"config.json of {folder}: {error}") from error


def layer_tensors(llama: Llama, layer: int) -> list[str]:
    """The names of a layer's weights."""
    projections = [f"self_attn.{letter}_proj" for letter in "qkvo"]
    parts = [*projections, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "input_layernorm", "post_attention_layernorm"]
    weights = [f"{part}.weight" for part in parts]
    biases = [f"{part}.bias" for part in projections] if llama.attention_bias else []
    return [f"model.layers.{layer}.{name}" for name in weights + biases]


def _check_family(found: _Family, folder: Path) -> None:
    if found.architectures != [FAMILY]:
        why = "the embeddings, norm and head of other families have other names and are computed otherwise"
        raise BadFolder(f"{folder} is a model of {found.architectures}: only {FAMILY} is run here, since {why}")


def _llama(config: _Config) -> Llama:
    theta, scaling = _rope(config)
    heads = config.num_attention_heads
    shared = config.num_key_value_heads or heads
    if config.hidden_size % heads or heads % shared:
        raise BadFolder(f"{heads} heads of {config.hidden_size} numbers with {shared} of keys and values do not divide")
    if config.head_dim not in (None, config.hidden_size // heads):
        raise BadFolder(f"heads of {config.head_dim} numbers: Petals' stack computes with {config.hidden_size} / {heads} of them only")
    return Llama(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        max_position_embeddings=config.max_position_embeddings,
        rms_norm_eps=config.rms_norm_eps,
        rope_theta=theta,
        rope_scaling=scaling,
        tie_word_embeddings=config.tie_word_embeddings,
        attention_bias=config.attention_bias,
        torch_dtype=config.torch_dtype or config.dtype or "float32",
    )


def _rope(config: _Config) -> tuple[float, Scaling | None]:
    """The rotary base and how it is stretched. transformers 5 has both in `rope_parameters`."""
    given = [rope for rope in (config.rope_scaling, config.rope_parameters) if rope is not None]
    bases = {theta for theta in (config.rope_theta, *(rope.rope_theta for rope in given)) if theta is not None}
    scalings = [scaling for scaling in map(_scaling, given) if scaling is not None]
    if len(bases) > 1 or len(set(scalings)) > 1:
        raise BadFolder(f"config.json contradicts itself on rotary positions: bases {sorted(bases)}, scalings {scalings}")
    return next(iter(bases), THETA), next(iter(scalings), None)


def _scaling(rope: _Rope) -> Scaling | None:
    kind = rope.rope_type or rope.type
    if kind == "default" or (kind is None and rope.factor is None):
        return None
    if kind not in ("linear", "dynamic"):
        raise BadFolder(f"rotary positions are scaled in the way {kind!r}: Petals' stack of 2023 knows linear and dynamic")
    try:
        return msgspec.convert({"type": kind, "factor": rope.factor}, Scaling)
    except msgspec.ValidationError as error:
        raise BadFolder(f"the scaling of rotary positions: {error}") from error
