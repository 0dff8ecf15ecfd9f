"""The tensors of a model's folder, in PyTorch: safetensors files alone, opened by their own library."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from agents.petals.folder import BadFolder, weight_files


class Tensors:
    """Those of the files that are there, which may be a part of the model's. Raises BadFolder, OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path] = {}
        for path in weight_files(folder):
            for name in _names(path):
                if self._files.setdefault(name, path) != path:
                    raise BadFolder(f"{name} is in {self._files[name]} and in {path}: a weight must be in one file only")

    def has(self, names: Sequence[str]) -> bool:
        """Whether all of these are there."""
        return self._files.keys() >= set(names)

    def read(self, names: Sequence[str], dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Copies in `dtype`: what happens to the files afterwards does not matter. Raises BadFolder, OSError."""
        if not self.has(names):
            raise BadFolder(f"{self._folder} has no {', '.join(name for name in names if name not in self._files)}")
        wanted = defaultdict(list)
        for name in names:
            wanted[self._files[name]].append(name)
        return {name: tensor for path, some in wanted.items() for name, tensor in _read(path, some, dtype).items()}


def computed_in(dtype: torch.dtype) -> torch.dtype:
    """What a processor computes in for weights of `dtype`: as Petals' server, float32 for float16, for which it has no kernels."""
    return torch.float32 if dtype == torch.float16 else dtype


def _names(path: Path) -> list[str]:
    try:
        with safe_open(path, "pt") as file:
            return list(file.keys())
    except SafetensorError as error:
        raise BadFolder(f"{path}: {error}") from error


def _read(path: Path, names: Sequence[str], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name).to(dtype, copy=True) for name in names}
    except SafetensorError as error:
        raise BadFolder(f"{path}: {error}") from error
