"""The model that the swarm hosts and texts are written with: a Hugging Face folder, by default the newest export."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from agents.parts.generation.decoder import Decoder
from agents.parts.generation.folder import read_config
from agents.parts.generation.tokenizer import Tokenizer
from agents.parts.weights import Weights
from agents.petals.folder import BadFolder, weight_files
from agents.petals.llama import Llama, read_llama
from bus.topic import RECIPE_PATTERN

ONNX = "model.onnx"
MARKED = 1 << 16
"""Bytes of each weight that mark a model."""
LONGEST_PREFIX = 50
"""Characters of a prefix in the name of kept layers."""
OPENED_AHEAD = 1 << 30
"""A model of so many bytes is opened before anybody asks: the swarm may fail in mid-text. A larger one when it is needed."""


@dataclass(slots=True)
class Model:
    """A model's folder, and its name in the swarm. `end` is the token behind a document, if there is one; `kept_as` names its layers in the
    cache: the prefix, and a hash of weights beside the layers, so that other weights under the same prefix are never taken for these.

    Threads may share it: its decoder is opened once, by who needs it first.
    """

    folder: Path
    prefix: str
    llama: Llama
    end: int | None
    tokenizer: Tokenizer
    kept_as: str
    created: int = field(default_factory=lambda: int(time.time()))
    _decoder: Decoder | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def layers(self) -> int:
        return self.llama.num_hidden_layers

    @property
    def context(self) -> int:
        """Tokens that it reads at most."""
        return self.llama.max_position_embeddings

    @property
    def is_whole(self) -> bool:
        """Whether onnxruntime can run it here: it has no kernels for bfloat16 on a processor."""
        return self.llama.torch_dtype != "bfloat16" and (self.folder / ONNX).is_file()

    def decoder(self) -> Decoder:
        """The whole model on this machine. Raises BadModel."""
        with self._lock:
            if self._decoder is None:
                self._decoder = Decoder.open(self.folder)
            return self._decoder

    def open_ahead(self) -> None:
        """Open a model that is small, so that nobody waits for it when peers fail. Raises BadModel."""
        if self.is_whole and sum(file.stat().st_size for file in self.folder.glob(f"{ONNX}*")) <= OPENED_AHEAD:
            self.decoder()


def open_model(folder: Path, prefix: str | None) -> Model:
    """Raises BadFolder, BadModel for a folder that Petals cannot host; and as mark does."""
    llama, marked = read_llama(folder), mark(folder)
    name = prefix or prefix_of(folder)
    if not re.match(RECIPE_PATTERN, name):
        raise BadFolder(f"{name!r} is no name for a model in a swarm: want letters, digits, - and _, by the setting `prefix`")
    return Model(folder, name, llama, read_config(folder).eos_token_id, Tokenizer.open(folder), f"{name[:LONGEST_PREFIX]}-{marked}")


def mark(folder: Path) -> str:
    """Twelve hexadecimal digits of a hash of the final norm and the beginning of the embeddings, which every folder of a model has.

    Raises BadFolder, BadSafetensors, BadWeights, OSError.
    """
    weights = Weights(weight_files(folder))
    digest = hashlib.sha256()
    for name in ("model.norm.weight", "model.embed_tokens.weight"):
        if name not in weights.names:
            raise BadFolder(f"{folder} has no {name}")
        digest.update(next(iter(weights.raw(name)))[:MARKED])
    return digest.hexdigest()[:12]


def prefix_of(folder: Path) -> str:
    """A model's name in the swarm: that of its folder, without the dot that separates names there. Who has the same export calls it so."""
    return folder.name.replace(".", "-")
