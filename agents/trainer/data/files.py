"""The files of a corpus: found, judged and hashed by their whole content, a block at a time."""

from __future__ import annotations

import codecs
import hashlib
import os
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.trainer.data.corpus import BadData

Kind = Literal["text", "jsonl", "parquet"]

KINDS: dict[str, Kind] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
"""By the end of a file's name; every other file is one text."""
BLOCK = 1 << 20
"""Bytes that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file that is learnt from. `name` is relative to the corpus's folder; `sha256` and `size` are of its bytes."""

    name: str
    path: Path
    kind: Kind
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files of a corpus, sorted by name, and why others were left out. `hash` covers their names and contents."""

    root: Path
    files: list[File]
    refusals: list[str]
    hash: str


Stage = Literal["hashing", "waiting", "training a tokenizer", "writing tokens", "checking tokens", "rendering"]
"""Of the making of a corpus; `waiting` is for another process that makes one."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the making of a corpus is: `done` of about `total` bytes went through `stage`."""

    stage: Stage
    done: int
    total: int


Report = Callable[[Progress], None]
"""Is told often how far it is. What it raises ends the work, and leaves nothing behind."""


@dataclass(slots=True)
class Meter:
    """Reports how many bytes have passed through a stage."""

    stage: Stage
    total: int
    report: Report
    done: int = 0

    def passed(self, data: bytes) -> bytes:
        """Count these, and give them back."""
        self.done += len(data)
        self.report(Progress(self.stage, self.done, max(self.done, self.total)))
        return data


def find_files(data: str | None, report: Report) -> Files:
    """Find and hash the file or folder `data`; None is Python's own standard library. Raises BadData, OSError.

    In a folder, hidden files, symbolic links and what is no UTF-8 text are left out; what cannot be read is an error.
    The hash is SHA-256 over each file's name, length and content, sorted by name: the same wherever the folder lies. Every byte is read
    each time: sizes and times of files can lie.
    """
    root = Path(data).expanduser() if data else Path(sysconfig.get_path("stdlib"))
    paths = {name: root / name if root.is_dir() else root for name in (_names(root) if data else standard_library(root))}
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    meter, expected = Meter("hashing", sum(sizes.values()), report), 0
    digest, files, refusals = hashlib.sha256(), list[File](), list[str]()
    for name, path in paths.items():
        found = _read(name, path, sizes[name], digest.copy(), meter)
        if isinstance(found, str):
            refusals.append(f"{name} {found}")
        else:
            file, digest = found
            files.append(file)
        meter.done = expected = expected + sizes[name]  # what is no text was not read to its end
    if not files:
        why = refusals[0] if refusals else "hidden files and symbolic links are left out" if any(root.iterdir()) else "it is empty"
        raise BadData(f"{root} has no text to train on: {why}")
    return Files(root=root, files=files, refusals=refusals, hash=digest.hexdigest())


def must_be_unchanged(file: File) -> None:
    """Raises BadData where a file no longer has the content that it had when it was found."""
    with file.path.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != file.sha256:
            raise _changed(file.path)


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
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in without]
        for path in (Path(parent, name) for name in files):
            if not path.name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def _refuse(error: OSError) -> None:
    """What cannot be listed would be missing from the corpus and its hash, and nobody would know."""
    raise error


def _read(name: str, path: Path, size: int, digest: hashlib._Hash, meter: Meter) -> tuple[File, hashlib._Hash] | str:
    """The file and the hash of the corpus up to its end; or why it is none, as a text that follows its name."""
    encoded = os.fsencode(name)
    digest.update(f"{len(encoded)} {size}\n".encode() + encoded)
    kind, own, read = KINDS.get(path.suffix.lower(), "text"), hashlib.sha256(), 0
    judge = _TextJudge() if kind == "text" else None
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            own.update(block)
            digest.update(block)
            read += len(block)
            meter.passed(block)
            if read > size:
                raise _changed(path)
            if judge and (reason := judge.refusal(block)):
                return reason
    if judge and (reason := judge.refusal(b"", final=True)):
        return reason
    if read != size:
        raise _changed(path)
    return File(name=name, path=path, kind=kind, size=size, sha256=own.hexdigest()), digest


class _TextJudge:
    """Says of bytes that come in blocks why they are no text, as soon as it can be known."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._seen = 0

    def refusal(self, block: bytes, final: bool = False) -> str | None:
        if b"\0" in block:
            return "is binary (it holds NUL bytes)"
        kept = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            return f"is no UTF-8 text ({error.reason} at byte {self._seen - kept + error.start})"
        self._seen += len(block)
        return None


def _changed(path: Path) -> BadData:
    return BadData(f"{path} was changed while it was read: start again when nothing writes to it")
