"""The ONNX files in onnxruntime, by each of its execution providers: text read whole, in pieces behind the cache, and token by token."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import InferenceSession, OrtValue
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

from agents.exporter.parity.backends.onnx_files import Files, pieces, pixel_values, positions
from agents.exporter.parity.measures import Floats
from agents.exporter.parity.prompts import Examples, Inputs, Tokens
from agents.exporter.parity.readings import Backend, DidNotRun, Reading, heldout_nats

ELSEWHERE = ("AzureExecutionProvider",)
"""Providers that are no device of this machine."""
PRECISE = {
    "CUDAExecutionProvider": {"use_tf32": "0"},
    "CoreMLExecutionProvider": {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"},
}
"""Options of providers that else compute float32 in fewer bits: in TF32, or on Apple's neural engine in float16
(https://onnxruntime.ai/docs/execution-providers)."""
QUIET = 3
"""onnxruntime's level for errors alone; what it warns of is that shapes are computed on the CPU."""

Cache = dict[str, OrtValue]


def backends(files: Files) -> list[Backend]:
    """One for each execution provider that this onnxruntime was built with."""
    return [_backend(files, provider) for provider in onnxruntime.get_available_providers() if provider not in ELSEWHERE]


def _backend(files: Files, provider: str) -> Backend:
    name = f"onnxruntime {provider.removesuffix('ExecutionProvider')}"
    return Backend(name=name, reads="onnx", version=onnxruntime.__version__, run=lambda inputs: _run(files, provider, inputs))


@dataclass(frozen=True, slots=True)
class Sessions:
    """The files, opened; `embedding` and `encoder` are null for a model that sees nothing."""

    files: Files
    decoder: InferenceSession
    embedding: InferenceSession | None
    encoder: InferenceSession | None

    def logits(self, examples: Examples) -> Floats:
        """Behind each token [rows, length, vocabulary], the text read whole."""
        (logits,) = self.decoder.run_with_ort_values(["logits"], self._feeds(examples, 0, self.empty_cache(len(examples.tokens))))
        return _behind_text(logits, examples)

    def step(self, examples: Examples, start: int, cache: Cache) -> tuple[Floats, Cache]:
        """Logits behind tokens that are the text from `start` on, and the cache for the one that comes next."""
        names = {present: past for past, present in self.files.caches}
        logits, *kept = self.decoder.run_with_ort_values(["logits", *names], self._feeds(examples, start, cache))
        return _behind_text(logits, examples), dict(zip(names.values(), kept, strict=True))

    def empty_cache(self, rows: int) -> Cache:
        empty = np.zeros(self.files.empty_cache(rows), np.float32)
        return {past: ort_value(empty, _kind(self.decoder, past)) for past, _ in self.files.caches}

    def _feeds(self, examples: Examples, start: int, cache: Cache) -> dict[str, OrtValue]:
        """What the decoder takes. A picture's patches stand before the first token."""
        tokens = OrtValue.ortvalue_from_numpy(examples.tokens.astype(np.int64))
        before, length = (self.files.patches + start if start else 0), examples.tokens.shape[1]
        if self.embedding is None:
            read = {"input_ids": tokens}
        else:
            seen = self._seen(examples, tokens, start)
            read, length = {"inputs_embeds": ort_value(seen, _kind(self.decoder, "inputs_embeds"))}, seen.shape[1]
        places = OrtValue.ortvalue_from_numpy(positions(len(examples.tokens), before, before + length))
        return {**read, "position_ids": places, **cache}

    def _seen(self, examples: Examples, tokens: OrtValue, start: int) -> Floats:
        """Embeddings [rows, length, width] of a text, behind the features of its picture where it begins."""
        if self.embedding is None or self.encoder is None:
            raise TypeError(f"recipe {self.files.recipe.name} sees no pictures")
        embedded = floats(self.embedding.run_with_ort_values(None, {"input_ids": tokens})[0])
        if start or examples.images is None:
            return embedded
        pixels = ort_value(pixel_values(examples.images), _kind(self.encoder, "pixel_values"))
        features = floats(self.encoder.run_with_ort_values(None, {"pixel_values": pixels})[0])
        return np.concatenate([features, embedded], axis=1)


def ort_value(numbers: Floats, kind: str) -> OrtValue:
    """Numbers as a tensor of `kind`: `tensor(float)`, `tensor(float16)`, or `tensor(bfloat16)`, for which numpy has no type."""
    dtype = {"tensor(float)": ir.DataType.FLOAT, "tensor(float16)": ir.DataType.FLOAT16, "tensor(bfloat16)": ir.DataType.BFLOAT16}[kind]
    return OrtValue.ortvalue_from_numpy_with_onnx_type(numbers.astype(dtype.numpy()), dtype.value)


def floats(value: OrtValue) -> Floats:
    """A tensor of one of these kinds as numbers. That of bfloat16 is read from its memory, which is the processor's."""
    if value.data_type() != "tensor(bfloat16)":
        return np.asarray(value.numpy(), np.float32)
    raw = (ctypes.c_uint16 * math.prod(value.shape())).from_address(value.data_ptr())
    halves: NDArray[np.uint16] = np.frombuffer(raw, np.uint16).reshape(value.shape())
    return (halves.astype(np.uint32) << 16).view(np.float32)  # bfloat16 is the upper half of a float32


def _kind(session: InferenceSession, name: str) -> str:
    """onnxruntime's name for the type of an input."""
    return next(str(each.type) for each in session.get_inputs() if each.name == name)


def _behind_text(logits: OrtValue, examples: Examples) -> Floats:
    return floats(logits)[:, -examples.tokens.shape[1] :]


def _open(files: Files, provider: str) -> Sessions:
    decoder = _session(files.decoder, provider)
    if files.recipe.vision is None:
        return Sessions(files, decoder, None, None)
    return Sessions(files, decoder, _session(files.embedding, provider), _session(files.encoder, provider))


def _session(file: Path, provider: str) -> InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    session = InferenceSession(str(file), options, providers=[(provider, PRECISE.get(provider, {}))])
    if provider not in session.get_providers():  # it goes on with another one, and warns
        raise DidNotRun(f"{provider} did not open {file.name}: onnxruntime goes on with {', '.join(session.get_providers())}")
    return session


def _run(files: Files, provider: str, inputs: Inputs) -> Reading:
    try:
        return _read(_open(files, provider), inputs)
    except NoKernel as error:
        raise DidNotRun(str(error)) from error


def _read(sessions: Sessions, inputs: Inputs) -> Reading:
    logits, continuations = _continued(sessions, inputs)
    return Reading(
        logits=logits,
        continuations=continuations,
        cached=True,
        heldout=heldout_nats(sessions.logits, inputs),
        behind_cache=_in_pieces(sessions, inputs.prompts),
    )


def _continued(sessions: Sessions, inputs: Inputs) -> tuple[Floats, Tokens]:
    """Logits of the prompts, and the likeliest tokens behind them, each from the one before and the cache."""
    prompts, size = inputs.prompts, inputs.size
    first, cache = sessions.step(prompts, 0, sessions.empty_cache(len(prompts.tokens)))
    found = [first[:, -1].argmax(-1)]
    for place in range(size.length, size.window - 1):
        logits, cache = sessions.step(Examples(tokens=found[-1][:, None].astype(np.int32), images=None), place, cache)
        found.append(logits[:, -1].argmax(-1))
    return first, np.stack(found, axis=1).astype(np.int32)


def _in_pieces(sessions: Sessions, prompts: Examples) -> Floats:
    """Logits of the prompts, which are read a piece at a time."""
    cache, read = sessions.empty_cache(len(prompts.tokens)), []
    for start, stop in pieces(prompts.tokens.shape[1]):
        logits, cache = sessions.step(prompts.columns(start, stop), start, cache)
        read.append(logits)
    return np.concatenate(read, axis=1)
