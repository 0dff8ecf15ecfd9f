"""Writes the files of an export into a folder, weights streamed from their files into the data beside each graph."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from agents.exporter.genai import genai_files
from agents.exporter.graph import decoder, embed_tokens, vision_encoder
from agents.exporter.huggingface import HALVES, config_files, put_weights
from agents.exporter.names import EMBEDDING, ENCODER, MODEL
from agents.exporter.source import Source
from agents.exporter.tensors import Storage
from agents.exporter.tokenizer import Tokens, tokenizer_files

DATA_SUFFIX = ".data"
SPARE = 64 << 20
"""Bytes that an export leaves free on the disk."""

Report = Callable[[int, int, str], None]
"""Takes how many bytes are written, of how many, and the name of the tensor that is next."""


class NoSpace(OSError):
    """The disk has no room for an export; the message gives what it needs and what there is."""


def write_folder(source: Source, tokens: Tokens, storage: Storage, folder: Path, report: Report) -> None:
    """Write every file of an export but the list of them. Raises BadWeights, OSError, onnx.checker.ValidationError."""
    put_weights(source.files, storage.precision, folder)  # first: the trainer may let the checkpoint's files go at any time
    write_graphs(source, storage, folder, report)
    small = {
        **config_files(source.recipe, tokens.end, storage.precision),
        **tokenizer_files(tokens, source.recipe.context),
        **genai_files(source.recipe, tokens.end),
    }
    for name, content in small.items():
        (folder / name).write_bytes(content)


def write_graphs(source: Source, storage: Storage, folder: Path, report: Report) -> None:
    """Write the ONNX files of a model, and check them. Raises as write_folder."""
    models = dict(_models(source, storage))
    total, done = sum(map(_size, models.values())), 0
    for name, model in models.items():
        _save(model, folder / name, _behind(done, total, report))
        onnx.checker.check_model(str(folder / name), full_check=True)
        done += _size(model)


def folder_size(source: Source, storage: Storage) -> int:
    """Bytes that the weights of an export take; those of the checkpoint itself, which it has links to, are there already."""
    anew = int(source.recipe.parameters * storage.numbers.itemsize) if storage.precision in HALVES else 0
    return anew + sum(_size(model) for _, model in _models(source, storage))


def check_space(folder: Path, needed: int) -> None:
    """Raises NoSpace where the disk of `folder` has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        mend = "remove old exports or runs, or export in a smaller precision"
        raise NoSpace(f"the export needs {needed / 1e9:.2f} GB in {folder}, and {free / 1e9:.2f} GB are free: {mend}")


def _models(source: Source, storage: Storage) -> Iterator[tuple[str, ir.Model]]:
    recipe, weights = source.recipe, source.weights
    facts = {"checkpoint": source.checkpoint, "recipe": recipe.name, "precision": storage.precision, **source.facts}
    metadata = {f"zeropoint.{name}": fact for name, fact in facts.items()}
    yield MODEL, decoder(recipe, weights, storage, metadata)
    if recipe.vision:
        yield EMBEDDING, embed_tokens(recipe, weights, storage, metadata)
        yield ENCODER, vision_encoder(recipe, recipe.vision, weights, storage, metadata)


def _size(model: ir.Model) -> int:
    tensors = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _behind(before: int, total: int, report: Report) -> Callable[[int, str], None]:
    """Reports of one file, behind others."""
    return lambda written, what: report(before + written, total, what)


def _save(model: ir.Model, path: Path, report: Callable[[int, str], None]) -> None:
    def say(tensor: ir.TensorProtocol, info: ir.external_data.CallbackInfo) -> None:
        report(info.offset, tensor.name or "")

    ir.save(model, path, external_data=path.name + DATA_SUFFIX, callback=say)
