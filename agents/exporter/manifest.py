"""The list of an export's files, export.json: what each is, its hash, and what it was made of."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

import msgspec
from msgspec import Struct

from agents.exporter.names import MANIFEST
from agents.exporter.writing import DATA_SUFFIX
from agents.parts.bounded import read_bounded
from bus.topic import Sha256
from schemas.system import Artifact

LIMIT = 1 << 20
"""Bytes of a manifest that are parsed at most."""
GRAPH, DATA, HUGGING_FACE = "onnx", "onnx-data", "huggingface"
"""Kinds of artifacts."""


class Entry(Struct, frozen=True, kw_only=True):
    """A file of the folder. `linked`: it is a file of the checkpoint by another name, and takes no room of its own."""

    name: str
    kind: str
    hash: Sha256
    size: int
    parents: list[Sha256]
    linked: bool = False


class Manifest(Struct, frozen=True, kw_only=True):
    """What an export is made of; `checkpoint` is the SHA-256 of the weights."""

    checkpoint: Sha256
    files: list[Entry]

    @property
    def size(self) -> int:
        """Bytes that the files take beside the checkpoint's own."""
        return sum(entry.size for entry in self.files if not entry.linked)

    def artifacts(self, folder: str) -> list[Artifact]:
        """The files as artifacts, once the folder has its name, relative to `artifacts/`."""
        return [
            Artifact(
                kind=entry.kind,
                hash=entry.hash,
                size=entry.size,
                path=f"{folder}/{entry.name}",
                parents=entry.parents,
                media_type="application/json" if entry.name.endswith(".json") else None,
            )
            for entry in self.files
        ]


def describe(made: Path, checkpoint: str, linked: Collection[str]) -> Manifest:
    """Hash the files of a complete folder, of which `linked` are the checkpoint's own, and write the list beside them. Raises OSError."""
    files = sorted(made.iterdir())
    data = {path.name: _entry(path, DATA, [checkpoint]) for path in files if path.suffix == DATA_SUFFIX}
    others = [_other(path, data, checkpoint, path.name in linked) for path in files if path.name not in data]
    manifest = Manifest(checkpoint=checkpoint, files=[*data.values(), *others])
    (made / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return manifest


def read(folder: Path) -> Manifest:
    """Raises ValueError for what is no manifest."""
    return msgspec.json.decode(read_bounded(folder / MANIFEST, LIMIT), type=Manifest)


def _other(path: Path, data: dict[str, Entry], checkpoint: str, linked: bool) -> Entry:
    """A file that holds no weights of an ONNX graph."""
    if path.suffix == ".onnx":
        return _entry(path, GRAPH, [data[path.name + DATA_SUFFIX].hash, checkpoint])
    return _entry(path, HUGGING_FACE, [checkpoint], linked)


def _entry(path: Path, kind: str, parents: list[str], linked: bool = False) -> Entry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Entry(name=path.name, kind=kind, hash=digest, size=path.stat().st_size, parents=parents, linked=linked)
