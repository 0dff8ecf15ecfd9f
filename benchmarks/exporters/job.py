"""One part of the benchmark, in a process of its own: `python -m benchmarks.exporters.job PART JSON` prints JSON."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from agents.exporter.source import Source, open_weights
from agents.exporter.tensors import storage_for
from agents.exporter.tokenizer import Tokens, byte_tokenizer
from agents.exporter.writing import check_space, folder_size, write_folder
from agents.parts.generation.decoder import Decoder
from agents.parts.recipes import RECIPES
from benchmarks.exporters.shards import write_shards
from benchmarks.trainers.turns import peak_rss
from schemas.export import Precision

SEED = 0
FACTS = {"weights": f"random, seed {SEED}"}
TOKENS = Tokens(file=byte_tokenizer().to_str().encode(), end=0, end_name=None)
"""Of bytes: whatever a tokenizer says, its file is small."""


class Job(Struct, frozen=True, kw_only=True):
    """`recipe` from the files in `source` into the folder `target`."""

    recipe: str
    source: str
    target: str
    precision: Precision = "bfloat16"


class Done(Struct, frozen=True, kw_only=True):
    """`bytes` that were written or loaded; `peak` is the largest resident size of the process in bytes."""

    seconds: float
    bytes: int
    peak: int
    more: dict[str, float] = {}


def draw(job: Job) -> tuple[int, dict[str, float]]:
    files = write_shards(RECIPES[job.recipe], Path(job.source), SEED)
    return sum(file.stat().st_size for file in files), {}


def copy(job: Job) -> tuple[int, dict[str, float]]:
    """What a plain copy of the weights takes: the disk's share of an export."""
    files = _files(job)
    for file in files:
        shutil.copyfile(file, Path(job.target) / file.name)
    _sync(Path(job.target))
    return sum(file.stat().st_size for file in files), {}


def export(job: Job) -> tuple[int, dict[str, float]]:
    """All that an export writes, on the disk."""
    recipe, files, folder = RECIPES[job.recipe], _files(job), Path(job.target)
    source = Source(recipe=recipe, files=tuple(files), weights=open_weights(files, recipe), checkpoint="0" * 64, facts=FACTS)
    storage = storage_for(job.precision)
    check_space(folder, folder_size(source, storage))
    write_folder(source, TOKENS, storage, folder, lambda done, total, what: None)
    _sync(folder)
    return sum(file.stat().st_size for file in folder.iterdir() if file.stat().st_nlink == 1), {}


def run(job: Job) -> tuple[int, dict[str, float]]:
    """Load the model, have it read eight tokens, then say one more."""
    began = time.perf_counter()
    decoder = Decoder.open(Path(job.target))
    loaded = time.perf_counter()
    tokens = np.random.default_rng(SEED).integers(0, RECIPES[job.recipe].vocabulary, (1, 8))
    logits, cache = decoder.read(tokens, decoder.empty())
    first = time.perf_counter()
    decoder.read(logits.argmax(-1)[:, None], cache)
    second = time.perf_counter()
    size = sum(file.stat().st_size for file in Path(job.target).glob("*.onnx*"))
    return size, {"loading": loaded - began, "first token": first - loaded, "second token": second - first}


PARTS: dict[str, Callable[[Job], tuple[int, dict[str, float]]]] = {"draw": draw, "copy": copy, "export": export, "run": run}


def main() -> None:
    part, job = PARTS[sys.argv[1]], msgspec.json.decode(sys.argv[2], type=Job)
    began = time.perf_counter()
    size, more = part(job)
    seconds = time.perf_counter() - began
    sys.stdout.write(msgspec.json.encode(Done(seconds=seconds, bytes=size, peak=peak_rss(), more=more)).decode() + "\n")


def _sync(folder: Path) -> None:
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _files(job: Job) -> list[Path]:
    return sorted(Path(job.source).glob("*.safetensors"))


if __name__ == "__main__":
    main()
