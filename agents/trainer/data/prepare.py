"""A corpus as tokens, made once for each content and tokenizer, and kept in a cache folder: whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from agents.trainer.data.alone import alone
from agents.trainer.data.corpus import BadData
from agents.trainer.data.documents import PART, Document
from agents.trainer.data.files import BLOCK, File, Files, Meter, Report
from agents.trainer.data.shards import Part, Shard, Writer, must_have_room
from agents.trainer.data.split import HELD_OUT, Draws, Split
from agents.trainer.data.tokens import Bytes, Choice, Tokenizer, dtype_for, hash_of
from bus.log.disk import make_folder, sync, sync_folder

FORMAT: Literal["zeropoint-tokens-2"] = "zeropoint-tokens-2"
_INDEX, _TOKENIZER, _FILES = "index.json", "tokenizer.json", "files.json"
_UNFINISHED = ".unfinished"


class Index(Struct, frozen=True, kw_only=True):
    """What a prepared folder holds: tokens of type `dtype` (numpy's name) that a tokenizer made of the corpus `hash`.

    `manifest` is the SHA-256 of the list of its files.
    """

    format: Literal["zeropoint-tokens-2"]
    hash: str
    files: int
    manifest: str
    tokenizer: str
    tokenizer_hash: str | None
    vocabulary: int
    separator: int
    dtype: str
    split: str
    training: Part
    held_out: Part


class Listed(Struct, frozen=True, kw_only=True):
    """A file of a corpus: size in bytes, SHA-256 of its content."""

    name: str
    size: int
    sha256: str


class FileList(Struct, frozen=True, kw_only=True):
    """The files that a corpus is made of, sorted by name, and its hash."""

    format: Literal["zeropoint-files-1"]
    hash: str
    files: list[Listed]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared corpus, complete on disk."""

    folder: Path
    index: Index
    tokenizer: Tokenizer


def prepare(found: Files, choice: Choice, cache: Path, report: Report) -> Prepared:
    """The prepared corpus of these files: the one in `cache`, else made there. Raises BadData, OSError, and what `report` raises.

    One process at a time prepares in a cache, and another waits for it. What a killed one left is removed by the next.
    """
    folder = cache / _key(found, choice)
    if prepared := open_prepared(folder, report):
        return prepared
    make_folder(cache)
    with alone(cache, report):
        if prepared := open_prepared(folder, report):
            return prepared
        unfinished = cache / _UNFINISHED
        for remains in (unfinished, folder):
            if remains.exists():
                shutil.rmtree(remains)
        try:
            must_have_room(cache, _room_for(found.files, choice))
            unfinished.mkdir()
            _fill(unfinished, found, choice, report)
            sync_folder(unfinished)
            unfinished.rename(folder)
            sync_folder(cache)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    prepared = open_prepared(folder, report)
    if prepared is None:
        raise BadData(f"{folder} was changed by another program while it was made: start again")
    return prepared


def open_prepared(folder: Path, report: Report) -> Prepared | None:
    """What lies in a prepared folder; None where it is missing, or not as its index says, for which all of it is read."""
    try:
        index = msgspec.json.decode((folder / _INDEX).read_bytes(), type=Index)
        shards = index.training.shards | index.held_out.shards
        file = (folder / _TOKENIZER).read_bytes() if index.tokenizer_hash else None
        whole = _hash(read_manifest(folder)) == index.manifest and (file is None or _hash(file) == index.tokenizer_hash)
        whole = whole and _are_whole(folder, shards, report)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return Prepared(folder, index, _open_tokenizer(file)) if whole else None


def _are_whole(folder: Path, shards: dict[str, Shard], report: Report) -> bool:
    if any((folder / name).stat().st_size != shard.size for name, shard in shards.items()):
        return False
    meter = Meter("checking tokens", sum(shard.size for shard in shards.values()), report)
    return all(_hash_of_file(folder / name, meter) == shard.sha256 for name, shard in shards.items())


def _hash_of_file(path: Path, meter: Meter) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(meter.passed(block))
    return digest.hexdigest()


def read_manifest(folder: Path) -> bytes:
    """The list of a prepared corpus's files as JSON (FileList); the same bytes for the same files. Raises OSError."""
    return (folder / _FILES).read_bytes()


def _key(found: Files, choice: Choice) -> str:
    """The name of a prepared folder: a hash of all that decides what is in it."""
    decisive = [FORMAT, found.hash, choice.tokenizer, choice.vocabulary, HELD_OUT, PART]
    if choice.tokenizer == "bpe":
        from agents.trainer.data import bpe  # the library: only for who wants it

        decisive += [version("tokenizers"), bpe.SAMPLE]
    return _hash(msgspec.json.encode(decisive))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _room_for(files: list[File], choice: Choice) -> int:
    """Bytes that the tokens take, about: no token is of less than a byte of text."""
    return sum(map(_size_of_text, files)) * np.dtype(dtype_for(choice.vocabulary)).itemsize


def _size_of_text(file: File) -> int:
    if file.kind != "parquet":
        return file.size
    from agents.trainer.data.parquet import size_of_text  # a large library: only for who has such a file

    return size_of_text(file)


def _fill(folder: Path, found: Files, choice: Choice, report: Report) -> None:
    """Write all files of a prepared folder, the index last."""
    split = Split(found.files)
    training, held_out, tokenizer, draws = _write_tokens(folder, split, choice, report)
    if (moved := draws.to_move) is not None:
        for shard in folder.iterdir():
            shard.unlink()
        split = Split(found.files, moved)
        training, held_out, tokenizer, _ = _write_tokens(folder, split, choice, report)
    manifest = _manifest(found)
    index = Index(
        format=FORMAT,
        hash=found.hash,
        files=len(found.files),
        manifest=_hash(manifest),
        tokenizer=tokenizer.name,
        tokenizer_hash=hash_of(tokenizer),
        vocabulary=tokenizer.vocabulary,
        separator=tokenizer.separator,
        dtype=dtype_for(tokenizer.vocabulary),
        split=split.words,
        training=training,
        held_out=held_out,
    )
    if tokenizer.file is not None:
        _write(folder / _TOKENIZER, tokenizer.file)
    _write(folder / _FILES, manifest)
    _write(folder / _INDEX, msgspec.json.format(msgspec.json.encode(index), indent=2))


def _write_tokens(folder: Path, split: Split, choice: Choice, report: Report) -> tuple[Part, Part, Tokenizer, Draws]:
    tokenizer: Tokenizer = Bytes() if choice.tokenizer == "bytes" else _trained(split, choice.vocabulary, report)
    training, held_out = Writer(folder, "training", tokenizer), Writer(folder, "held-out", tokenizer)
    draws, meter = Draws(), Meter("writing tokens", sum(map(_size_of_text, split.files)), report)
    for number, (document, kept) in enumerate(split.documents()):
        if (held_out if kept else training).add(Document(document.draw, map(meter.passed, document.parts))):
            draws.count(number, document, kept)
    return training.close(), held_out.close(), tokenizer, draws


def _trained(split: Split, vocabulary: int, report: Report) -> Tokenizer:
    from agents.trainer.data import bpe  # the library: only for who wants it

    sample, meter = list[bytes](), Meter("training a tokenizer", min(bpe.SAMPLE, sum(map(_size_of_text, split.files))), report)
    parts = (part for document, kept in split.documents() if not kept for part in document.parts)
    while meter.done < bpe.SAMPLE and (part := next(parts, None)) is not None:
        sample.append(meter.passed(part))
    return bpe.train(sample, vocabulary)


def _open_tokenizer(file: bytes | None) -> Tokenizer:
    if file is None:
        return Bytes()
    from agents.trainer.data import bpe  # the library: only for who wants it

    return bpe.Bpe(file)


def _manifest(found: Files) -> bytes:
    # A name on a disk is bytes; what is no UTF-8 in it is shown as such.
    named = ((os.fsencode(file.name).decode(errors="backslashreplace"), file) for file in found.files)
    listed = [Listed(name=name, size=file.size, sha256=file.sha256) for name, file in named]
    return msgspec.json.format(msgspec.json.encode(FileList(format="zeropoint-files-1", hash=found.hash, files=listed)), indent=1)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        sync(file.fileno())
