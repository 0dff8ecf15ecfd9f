"""What a Petals client computes itself: the embeddings before the blocks, and the norm and head behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from petals.models.llama.config import DistributedLlamaConfig
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from agents.petals.folder import BadFolder, weight_files
from agents.petals.llama import FAMILY, read_llama
from agents.petals.swarm.tensors import Tensors, computed_in

EMBEDDINGS, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
TAIL = 16
"""Positions that the head computes at most. A matrix product may sum up one row, or few, in another order than many, and then differ in
the last bits from what transformers computes for a whole prompt: these are more than the few for which it did so."""


def read_config(folder: Path, prefix: str) -> DistributedLlamaConfig:
    """Petals' configuration of the model in `folder`, which is called `prefix` in the swarm; its swarm has no peers yet.

    Made of what was checked alone: config.json could also say which peers to ask. Raises BadFolder, also where Petals would read weights
    that are no safetensors files.
    """
    weight_files(folder)
    llama = read_llama(folder)
    scaling = llama.rope_scaling
    return DistributedLlamaConfig(
        **{name: getattr(llama, name) for name in llama.__struct_fields__ if name != "rope_scaling"},
        rope_scaling=None if scaling is None else {"type": scaling.type, "factor": scaling.factor},
        architectures=[FAMILY],
        dht_prefix=prefix,
        initial_peers=(),
        use_chunked_forward=False,  # else Petals asks which processor this is, by a package of its own
        show_route=False,
    )


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A Llama without its blocks. Threads may share it."""

    config: DistributedLlamaConfig
    embeddings: torch.Tensor
    norm: LlamaRMSNorm
    head: torch.Tensor

    @classmethod
    def open(cls, folder: Path, prefix: str) -> Skeleton:
        """That of a folder which may have no blocks at all. Raises BadFolder, OSError."""
        config = read_config(folder, prefix)
        tied = bool(config.tie_word_embeddings)
        shapes = {EMBEDDINGS: (config.vocab_size, config.hidden_size), NORM: (config.hidden_size,)}
        shapes |= {} if tied else {HEAD: shapes[EMBEDDINGS]}
        read = Tensors(folder).read(list(shapes), computed_in(config.torch_dtype))
        for name, shape in shapes.items():
            if read[name].shape != shape:
                raise BadFolder(f"{name} of {folder} has shape {tuple(read[name].shape)}: config.json says {shape}")
        return cls(config, read[EMBEDDINGS], _norm(read[NORM], config.rms_norm_eps), read[EMBEDDINGS if tied else HEAD])

    def embed(self, tokens: Sequence[int]) -> torch.Tensor:
        """What the blocks read of tokens [1, n, hidden]. Raises ValueError for what is no token of the model."""
        bad = [token for token in tokens if not 0 <= token < len(self.embeddings)]
        if bad or not tokens:
            raise ValueError(f"{len(tokens)} tokens with {bad[:3]} among them: want one or more from 0 to {len(self.embeddings) - 1}")
        with torch.inference_mode():
            return functional.embedding(torch.tensor([tokens]), self.embeddings)

    def logits(self, hidden: torch.Tensor) -> NDArray[np.float32]:
        """What follows the last of the positions [1, n, hidden] that the blocks computed: float32 [vocabulary]."""
        with torch.inference_mode():
            normed = self.norm(hidden[:, -TAIL:].to(self.head.dtype))
            logits: NDArray[np.float32] = functional.linear(normed, self.head)[0, -1].float().numpy()
        return logits


def _norm(weight: torch.Tensor, epsilon: float) -> LlamaRMSNorm:
    norm = LlamaRMSNorm(len(weight), eps=epsilon)
    norm.weight = torch.nn.Parameter(weight, requires_grad=False)
    return norm
