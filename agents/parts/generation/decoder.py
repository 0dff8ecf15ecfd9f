"""An exported decoder in onnxruntime: logits of tokens behind a cache.

onnxruntime hands arrays to numpy and takes them back without copying, so a cache is passed on as arrays: bound outputs, or values of
onnxruntime's own, were no quicker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from agents.parts.external_data import BadModel
from agents.parts.generation.errors import BadRequest
from agents.parts.generation.folder import read_config, read_graph
from agents.parts.generation.layout import Layout, layout_of

AT_ONCE = 512
"""Tokens of a prompt that are read in one run: a model says what follows each of them, so its logits take memory by their number."""

Tokens = NDArray[np.int64]
Numbers = NDArray[Any]  # Any: float32 or float16, as the model computes


@dataclass(frozen=True, slots=True)
class Cache:
    """Keys and values [batch, heads, length, head width] of the tokens read so far, layer by layer. Nothing changes one that is there."""

    past: tuple[Numbers, ...]

    @property
    def batch(self) -> int:
        return int(self.past[0].shape[0])

    @property
    def length(self) -> int:
        """Tokens that it holds of each text."""
        return int(self.past[0].shape[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """A model. `context` tokens are read at most, `end` stands behind a document; `metadata` is what the file says of its origin.

    Threads may share it.
    """

    context: int
    end: int | None
    metadata: Mapping[str, str]
    layout: Layout
    session: onnxruntime.InferenceSession

    @classmethod
    def open(cls, folder: Path, threads: int | None = None) -> Decoder:
        """The decoder of an exported folder, on the CPU, on as many `threads` (None: one for each core). Raises BadModel."""
        config, graph = read_config(folder), read_graph(folder)
        try:
            session = _session(graph, folder, threads)
            layout, metadata = layout_of(session), session.get_modelmeta().custom_metadata_map
        except BadModel:
            raise
        except Exception as error:  # onnxruntime's have no other base, and what it reads names from may be no text
            raise BadModel(f"onnxruntime does not open {folder / 'model.onnx'}: {error}") from error
        return cls(context=config.max_position_embeddings, end=config.eos_token_id, metadata=metadata, layout=layout, session=session)

    def empty(self, batch: int = 1) -> Cache:
        """The cache of texts of which nothing was read."""
        return Cache(tuple(np.zeros((batch, heads, 0, width), self.layout.numbers) for heads, width in self.layout.caches))

    def read(self, tokens: Tokens, cache: Cache) -> tuple[NDArray[np.float32], Cache]:
        """Logits [batch, vocabulary] of what follows tokens [batch, length] behind a cache, and the cache with them.

        Raises BadRequest for tokens that are none of the model's, or more than its context holds, BadModel where it fails.
        """
        self._check(tokens, cache)
        for start in range(0, tokens.shape[1], AT_ONCE):
            logits, cache = self.run(tokens[:, start : start + AT_ONCE], cache)
        return logits[:, -1].astype(np.float32, copy=False), cache

    def run(self, tokens: Tokens, cache: Cache) -> tuple[Numbers, Cache]:
        """Logits [batch, length, vocabulary] of what follows each of the tokens [batch, length]. Raises BadModel."""
        batch, length = tokens.shape
        positions = np.arange(cache.length, cache.length + length)[None]
        inputs = {
            "input_ids": tokens,
            "position_ids": positions.repeat(batch, 0),
            **dict(zip(self.layout.past, cache.past, strict=True)),
        }
        try:
            logits, *present = self.session.run(self.layout.outputs, inputs)
        except Exception as error:  # as in open
            raise BadModel(f"the model does not run over {length} tokens behind {cache.length}: {error}") from error
        return logits, Cache(tuple(present))

    def _check(self, tokens: Tokens, cache: Cache) -> None:
        if tokens.ndim != 2 or tokens.size == 0 or tokens.shape[0] != cache.batch:
            raise BadRequest(f"tokens of shape {tokens.shape}: want some for each of {cache.batch} texts")
        if cache.length + tokens.shape[1] > self.context:
            raise BadRequest(f"{tokens.shape[1]} tokens behind {cache.length}: the model's context holds {self.context}")
        if tokens.min() < 0 or tokens.max() >= self.layout.vocabulary:
            raise BadRequest(f"tokens from {tokens.min()} to {tokens.max()}: the model has 0 to {self.layout.vocabulary - 1}")


def _session(graph: bytes, folder: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """A session over the bytes that were checked, not over a path where others may lie by now; their weights are in `folder`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4  # what goes wrong is raised: it need not be on the terminal too
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"], enable_fallback=0)
