"""The text that a run learns from: read whole, hashed, split by file into training and held-out text, and cut into batches.

A token is a byte.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.trainer.data.corpus import BadData
from schemas.train import Dataset

FILE_LIMIT = 64 << 20
CORPUS_LIMIT = 1 << 30
"""Bytes of one file, and of all: a corpus is held in memory."""
HELD_OUT = 20
"""One file in so many is held out; of a single file, the last part in so many."""
VOCABULARY = 256

Tokens = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Tokens to learn from and tokens to judge by, and what to say about both. `skipped` counts files that are no text."""

    training: Tokens
    held_out: Tokens
    dataset: Dataset
    skipped: int


def read_corpus(data: str | None, context: int) -> Corpus:
    """Read the text file or folder `data`; None is Python's own standard library. Raises BadData.

    In a folder, hidden files, symbolic links and what is no UTF-8 text (or over FILE_LIMIT) are left out.
    """
    path = Path(data).expanduser() if data else Path(sysconfig.get_path("stdlib"))
    names = _names(path) if data else standard_library(path)
    texts, refusals = _read(path, names)
    if not texts:
        raise BadData(f"{path} has no text to train on: {refusals[0] if refusals else 'it is empty'}")
    training, held_out, split = _split(texts)
    for part, tokens in (("training", training), ("held-out", held_out)):
        if len(tokens) <= context + 1:
            raise BadData(f"{path} has {len(tokens)} bytes of {part} text: a context of {context} needs more than {context + 1}")
    dataset = Dataset(
        path=str(path),
        hash=corpus_hash(texts),
        tokenizer="bytes",
        vocabulary=VOCABULARY,
        files=len(texts),
        training_tokens=len(training),
        heldout_tokens=len(held_out),
        split=split,
    )
    return Corpus(training, held_out, dataset, len(refusals))


def corpus_hash(texts: dict[str, bytes]) -> str:
    """SHA-256 over each file's name, length and content, sorted by name: the same wherever the folder lies."""
    digest = hashlib.sha256()
    for name, text in sorted(texts.items()):
        encoded = os.fsencode(name)
        digest.update(f"{len(encoded)} {len(text)}\n".encode() + encoded + text)
    return digest.hexdigest()


def is_held_out(name: str) -> bool:
    """Whether a file of a corpus is kept from training: its name alone decides, so that other files never change it."""
    return _draw(name) % HELD_OUT == 0


def training_batches(tokens: Tokens, batch: int, context: int, seed: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Endless random windows: tokens [batch, context] and the ones that follow each."""
    generator = np.random.default_rng((seed, 1))  # not the stream that draws the weights
    while True:
        yield _windows(tokens, generator.integers(0, len(tokens) - context, batch), context)


def held_out_batches(tokens: Tokens, batch: int, context: int, count: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """The same `count` batches each time, their windows spread evenly over the held-out text."""
    starts = np.linspace(0, len(tokens) - context - 1, batch * count).astype(np.int64)
    for row in starts.reshape(count, batch):
        yield _windows(tokens, row, context)


def _windows(tokens: Tokens, starts: NDArray[np.int64], context: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    rows = tokens[starts[:, None] + np.arange(context + 1)].astype(np.int32)
    return np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:])


def standard_library(folder: Path) -> list[str]:
    """Python's own source files, without what was installed beside them."""
    return sorted(name for name in _walk(folder, without=("site-packages", "dist-packages")) if name.endswith(".py"))


def _names(path: Path) -> list[str]:
    """The files of a folder, relative to it and sorted; of a file, its own name."""
    if path.is_file():
        return [path.name]
    if not path.is_dir():
        raise BadData(f"no file or folder {path.absolute()}")
    return sorted(_walk(path))


def _walk(folder: Path, without: tuple[str, ...] = ()) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in without]
        for path in (Path(parent, name) for name in files):
            if not path.name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def _read(path: Path, names: Iterable[str]) -> tuple[dict[str, bytes], list[str]]:
    """Every text by its name, and why the others are none."""
    texts, refusals, total = {}, [], 0
    for name in names:
        file = path / name if path.is_dir() else path
        size = file.stat().st_size
        total += size
        if total > CORPUS_LIMIT:
            raise BadData(f"{path} is over {CORPUS_LIMIT >> 20} MiB, and a corpus is held in memory: choose a part of it")
        text = file.read_bytes() if size <= FILE_LIMIT else b""
        if reason := _refusal(text, size):
            refusals.append(f"{name} {reason}")
        else:
            texts[name] = text
    return texts, refusals


def _refusal(text: bytes, size: int) -> str | None:
    if size > FILE_LIMIT:
        return f"is over {FILE_LIMIT >> 20} MiB"
    if b"\0" in text:
        return "is binary (it holds NUL bytes)"
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return f"is no UTF-8 text ({error.reason} at byte {error.start})"
    return None


def _draw(name: str) -> int:
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")


def _split(texts: dict[str, bytes]) -> tuple[Tokens, Tokens, str]:
    """Training and held-out tokens, and in words how they were told apart."""
    if len(texts) == 1:
        (text,) = texts.values()
        cut = len(text) - len(text) // HELD_OUT
        return _tokens([text[:cut]]), _tokens([text[cut:]]), f"the last {HELD_OUT}th of the one file"
    names = sorted(texts)
    held_out = {name for name in names if is_held_out(name)} or {min(names, key=_draw)}
    held_out -= {max(held_out, key=_draw)} if len(held_out) == len(names) else set()
    parts = [texts[name] for name in names if name not in held_out], [texts[name] for name in names if name in held_out]
    return _tokens(parts[0]), _tokens(parts[1]), f"by file: SHA-256 of its name, one in {HELD_OUT} held out"


def _tokens(texts: list[bytes]) -> Tokens:
    return np.frombuffer(b"".join(texts), np.uint8)
