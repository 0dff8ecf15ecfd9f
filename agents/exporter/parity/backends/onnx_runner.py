"""The ONNX files in tinygrad's own OnnxRunner, an implementation of the operators that has nothing to do with onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tinygrad.dtype import DTYPES_DICT, DType
from tinygrad.engine.jit import TinyJit
from tinygrad.tensor import Tensor

from agents.exporter.parity.backends.onnx_files import Files, pixel_values, positions
from agents.exporter.parity.backends.tinygrad_model import REFERENCE, placed
from agents.exporter.parity.measures import Floats
from agents.exporter.parity.prompts import Examples, Inputs
from agents.exporter.parity.readings import Backend, DidNotRun, Reading, filled, heldout_nats, recomputed

Named = dict[str, Tensor]


def backend(files: Files) -> Backend:
    """The files on the device of the reference: other devices are compared without ONNX."""
    name = f"tinygrad OnnxRunner {REFERENCE}"
    return Backend(name=name, reads="onnx", version=version("tinygrad"), run=lambda inputs: _read(files, inputs))


def _read(files: Files, inputs: Inputs) -> Reading:
    with placed(REFERENCE):
        model = Model(files, inputs)
        read = recomputed(model.logits, inputs)
        heldout = heldout_nats(model.logits, inputs)
        return Reading(
            logits=read.logits,
            continuations=read.continuations,
            margins=read.margins,
            cached=False,
            heldout=heldout,
            behind_cache=model.behind_cache(),
            note=model.note(),
        )


class Graph:
    """One file, and what is known of it for each set of its inputs' shapes: tinygrad 0.14.0 remembers lengths and shapes by name alone."""

    def __init__(self, file: Path) -> None:
        from tinygrad.nn.onnx import OnnxRunner  # makes tensors when it is imported: not before there is a compiler for the device

        self._runner = OnnxRunner(file)
        if missing := sorted({node.op for node in self._runner.graph_nodes} - self._runner.onnx_ops.keys()):
            raise DidNotRun(f"tinygrad's OnnxRunner does not have {', '.join(missing)}, of which {file.name} is made")
        known = self._runner.graph_values  # an input that is left out is None there, under no name
        self._weights = {name: None if value is None else value.contiguous().realize() for name, value in known.items()}
        self._by_shapes: dict[tuple[object, ...], tuple[dict[str, int], dict[str, Any]]] = {}  # Any: a number, or a list of them

    def dtype(self, name: str) -> DType:
        """Of an input, as the file has it."""
        found: DType = self._runner.graph_inputs[name].dtype
        return found

    def __call__(self, inputs: Mapping[str, Tensor]) -> Named:
        """The outputs, by name. Numbers are turned into the type that the file wants."""
        runner, shapes = self._runner, tuple(value.shape for value in inputs.values())
        runner.variable_dims, runner._python_const_cache = self._by_shapes.setdefault(shapes, ({}, {}))
        runner.graph_values = dict(self._weights)
        outputs: Named = runner({name: value.cast(self.dtype(name)) for name, value in inputs.items()})
        runner.graph_values = {}  # it would keep all that is computed on the way
        return outputs


class Model:
    """The files of a model, compiled for batches of one shape."""

    def __init__(self, files: Files, inputs: Inputs) -> None:
        self._files, self._inputs = files, inputs
        self._decoder = Graph(files.decoder)
        self._embedding, self._encoder = (Graph(file) if files.recipe.vision else None for file in (files.embedding, files.encoder))
        self._compiled = TinyJit(self._whole)
        self._found: Named = {}  # by the last run
        rows = inputs.size.rows
        self._positions = Tensor(positions(rows, 0, files.patches + inputs.size.window)).realize()
        self._empty = {past: Tensor.zeros(*files.empty_cache(rows)) for past, _ in files.caches}

    def logits(self, examples: Examples) -> Floats:
        """Behind each token [n, length, vocabulary]."""
        count, length = examples.tokens.shape
        return np.array(self._run(examples)["logits"].numpy()[:count, self._files.patches :][:, :length], np.float32)

    def behind_cache(self) -> Floats:
        """Logits [n, 1, vocabulary] of the prompts' last tokens, which are read alone, behind the cache of all that is before them."""
        prompts = self._inputs.prompts
        count, length = prompts.tokens.shape
        found, before = self._run(prompts), self._files.patches + length - 1
        # Stored as a caller would: tinygrad drops a rounding to float16 that is undone at once.
        kept = {past: self._stored(found[present][:count, :, :before], past) for past, present in self._files.caches}
        last = Tensor(prompts.tokens[:, -1:])
        read = {"input_ids": last} if self._embedding is None else self._embedding({"input_ids": last})
        outputs = self._decoder({**read, "position_ids": Tensor(positions(count, before, before + 1)), **kept})
        return np.array(outputs["logits"].numpy(), np.float32)

    def _stored(self, value: Tensor, name: str) -> Tensor:
        return value.cast(self._decoder.dtype(name)).contiguous().realize()

    def note(self) -> str | None:
        """In which type it computed, where that is not the file's."""
        past, present = self._files.caches[0]
        wanted, found = self._decoder.dtype(past), self._found[present].dtype
        return None if wanted == found else f"computes in {_name(found)} what the file has in {_name(wanted)}: so do tinygrad's norms"

    def _run(self, examples: Examples) -> Named:
        whole = filled(examples, self._inputs)
        pictures = [] if whole.images is None else [Tensor(pixel_values(whole.images)).realize()]
        self._found = self._compiled(*pictures, Tensor(whole.tokens).realize())
        return self._found

    def _whole(self, *pictures_and_tokens: Tensor) -> Named:
        *pictures, tokens = pictures_and_tokens
        read = {"input_ids": tokens} if self._embedding is None else self._seen(pictures[0], tokens)
        outputs = self._decoder({**read, "position_ids": self._positions, **self._empty})
        kept = {name: value.contiguous() for name, value in outputs.items()}
        Tensor.realize(*kept.values())
        return kept

    def _seen(self, pixels: Tensor, tokens: Tensor) -> Named:
        """Embeddings of texts behind the features of their pictures."""
        if self._embedding is None or self._encoder is None:
            raise TypeError(f"recipe {self._files.recipe.name} sees no pictures")
        features = self._encoder({"pixel_values": pixels})["image_features"]
        return {"inputs_embeds": features.cat(self._embedding({"input_ids": tokens})["inputs_embeds"], dim=1)}


def _name(dtype: DType) -> str:
    """As numpy has it: tinygrad's own name is that of C."""
    return next(name for name, each in DTYPES_DICT.items() if each == dtype)
