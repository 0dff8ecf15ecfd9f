"""Corpora for tests: folders of small texts, opened without telling anybody how far it is."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agents.trainer.data.documents import documents
from agents.trainer.data.files import Files, Progress, find_files
from agents.trainer.data.text import TextCorpus, open_text
from agents.trainer.data.tokens import Choice

BYTES = Choice("bytes")
CONTEXT = 16


def quiet(progress: Progress) -> None:
    """A report that nobody reads."""


def found(path: Path | None) -> Files:
    return find_files(None if path is None else str(path), quiet)


def texts_of(path: Path) -> list[bytes]:
    """Every document of a file or folder, whole."""
    return [b"".join(document.parts) for file in found(path).files for document in documents(file)]


def opened(path: Path, cache: Path, choice: Choice = BYTES, batch: int = 2, context: int = CONTEXT, seed: int = 0) -> TextCorpus:
    return open_text(str(path), choice, cache, quiet, batch=batch, context=context, seed=seed)


def whole(corpus: TextCorpus) -> tuple[bytes, bytes]:
    """The training and the held-out tokens of a corpus of bytes."""
    training, held_out = (part.rows([0], len(part)).astype("u1").tobytes() for part in (corpus.training, corpus.held_out))
    return training, held_out


def write_texts(folder: Path, count: int = 60) -> Path:
    for index in range(count):
        (folder / f"part{index % 3}").mkdir(exist_ok=True, parents=True)
        (folder / f"part{index % 3}" / f"{index}.txt").write_text(f"{index} is a number. " * 5)
    return folder


def write_rows(file: Path, rows: Iterable[Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file
