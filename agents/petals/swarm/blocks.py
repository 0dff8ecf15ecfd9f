"""Blocks that run in this process: Petals' own, with the weights of the model's folder or of the cache of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import init_empty_weights
from petals.models.llama.block import WrappedLlamaBlock
from petals.models.llama.config import DistributedLlamaConfig
from safetensors import SafetensorError
from safetensors.torch import load

from agents.petals.layers.index import File, files, read_index
from agents.petals.layers.verified import BadLayer, MissingLayers, read_layer
from agents.petals.swarm.tensors import Tensors, computed_in

Cache = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of the positions before, as Petals' block takes and gives them."""


@dataclass(frozen=True, slots=True)
class LocalBlocks:
    """Blocks `start` to before `end` of a model, whose weights all texts share. Their memory goes with the last of both."""

    blocks: tuple[WrappedLlamaBlock, ...]
    dtype: torch.dtype
    positions: int

    @classmethod
    def open(cls, folder: Path, cache: Path, prefix: str, start: int, end: int, config: DistributedLlamaConfig) -> LocalBlocks:
        """A layer of which the folder has not every tensor comes from the cache, verified before anything is made of it.

        They are computed as Petals' server does on a processor: in the weights' dtype, and in float32 where that is float16.
        Raises MissingLayers, BadLayer, BadIndex, BadFolder, OSError.
        """
        if not 0 <= start < end <= config.num_hidden_layers:
            raise ValueError(f"blocks {start} to {end} of a model that has {config.num_hidden_layers}")
        source = _Source.open(folder, cache, prefix, config)
        if missing := [layer for layer in range(start, end) if not source.has(layer)]:
            raise MissingLayers(missing)
        blocks = tuple(source.block(layer) for layer in range(start, end))
        return cls(blocks, source.dtype, config.max_position_embeddings)

    def text(self) -> LocalText:
        """A text that begins."""
        return LocalText(self)


@dataclass(slots=True)
class LocalText:
    """One text on its way through the blocks, and what they remember of it. For one thread."""

    _of: LocalBlocks
    _past: list[Cache | None] = field(init=False)
    _read: int = 0

    def __post_init__(self) -> None:
        self._past = [None] * len(self._of.blocks)

    def step(self, hidden: torch.Tensor) -> torch.Tensor:
        """What the blocks make of the next positions [1, n, hidden], in the dtype that these have.

        Raises ValueError for another shape, and for more positions than the model was made for.
        """
        if hidden.ndim != 3 or hidden.shape[0] != 1 or not 1 <= hidden.shape[1] <= self._of.positions - self._read:
            raise ValueError(f"hidden states of shape {tuple(hidden.shape)} behind {self._read} of {self._of.positions} positions")
        with torch.inference_mode():
            states = hidden.to(self._of.dtype)
            for number, block in enumerate(self._of.blocks):
                states, self._past[number] = block(states, layer_past=self._past[number], use_cache=True)
            self._read += hidden.shape[1]
            return states.to(hidden.dtype)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the layers of a model are: in its folder, else in the cache, in which those of `kept` are."""

    tensors: Tensors
    cache: Path
    prefix: str
    kept: Mapping[int, File]
    config: DistributedLlamaConfig
    parameters: Sequence[str]

    @classmethod
    def open(cls, folder: Path, cache: Path, prefix: str, config: DistributedLlamaConfig) -> _Source:
        kept = {layer: file for (model, layer), file in files(read_index(cache)).items() if model == prefix}
        parameters = [name for name, _ in _empty(config).named_parameters()]
        return cls(Tensors(folder), cache, prefix, kept, config, parameters)

    @property
    def dtype(self) -> torch.dtype:
        return computed_in(self.config.torch_dtype)

    def has(self, layer: int) -> bool:
        return layer in self.kept or self.tensors.has(self._names(layer))

    def block(self, layer: int) -> WrappedLlamaBlock:
        names = self._names(layer)
        weights = self.tensors.read(names, self.dtype) if self.tensors.has(names) else self._cached(layer)
        block = _empty(self.config)
        try:
            block.load_state_dict({name: weights[full] for name, full in zip(self.parameters, names, strict=True)}, assign=True)
        except (KeyError, RuntimeError) as error:
            raise BadLayer(f"layer {layer} of {self.prefix} is not one of this config.json: {error}") from error
        return block.requires_grad_(False).eval()

    def _cached(self, layer: int) -> dict[str, torch.Tensor]:
        data = read_layer(self.cache, self.prefix, layer, self.kept[layer])
        try:
            return {name: tensor.to(self.dtype) for name, tensor in load(data).items()}
        except SafetensorError as error:
            raise BadLayer(f"layer {layer} of {self.prefix}: {error}") from error

    def _names(self, layer: int) -> list[str]:
        """In the model, of the block's parameters."""
        return [f"{self.config.block_prefix}.{layer}.{name}" for name in self.parameters]


def _empty(config: DistributedLlamaConfig) -> WrappedLlamaBlock:
    """A block without weights, but with its tables of rotary positions."""
    with init_empty_weights():
        return config.block_class(config)
