"""The layers of a model's folder as files of their own: the same names, dtypes and bytes, none of them converted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agents.parts import safetensors
from agents.parts.weights import Weights
from agents.petals.folder import weight_files
from agents.petals.llama import layer_tensors, read_llama


class Source:
    """A Llama's folder, or what there is of it. Its files stay open for as long as this lives, and may be removed meanwhile.

    Raises BadFolder, BadSafetensors, BadWeights, OSError.
    """

    def __init__(self, folder: Path) -> None:
        llama = read_llama(folder)
        self._weights = Weights(weight_files(folder))
        there = set(self._weights.names)
        named = {layer: layer_tensors(llama, layer) for layer in range(llama.num_hidden_layers)}
        self._layers = {layer: names for layer, names in named.items() if there.issuperset(names)}

    @property
    def layers(self) -> list[int]:
        """Those of which every tensor is there."""
        return list(self._layers)

    def size(self, layer: int) -> int:
        """Bytes of the layer's file."""
        return len(self._header(layer)) + sum(self._weights.bytes_of(name) for name in self._layers[layer])

    def blocks(self, layer: int) -> Iterator[bytes]:
        """The layer's file, piece by piece. Raises BadSafetensors for a file that became shorter, OSError."""
        yield self._header(layer)
        for name in self._layers[layer]:
            yield from self._weights.raw(name)

    def _header(self, layer: int) -> bytes:
        weights = self._weights
        entries = {name: (weights.dtype(name), weights.shape(name), weights.bytes_of(name)) for name in self._layers[layer]}
        return safetensors.header_of(entries, {"format": "pt"})
