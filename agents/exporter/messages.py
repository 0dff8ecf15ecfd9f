"""What the agent and the process that exports tell each other: an order as JSON on its command line, then messages, a line of JSON each."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from bus.topic import ArtifactPath, Name, Sha256
from schemas.export import Parity, Precision, Started

MESSAGE = 2000
"""Characters of an error's message that are passed on."""
LONGEST = 1 << 20
"""Bytes of one line; a parity of a hundred backends has 50 KB."""


class Order(Struct, frozen=True, kw_only=True):
    """Export the checkpoint whose JSON has the hash `meta`, from the store below the folder `artifacts`."""

    export: Name
    artifacts: str
    meta: Sha256
    precision: Precision
    block: Literal[32, 128]
    symmetric: bool


class Begun(Struct, frozen=True, kw_only=True, tag=True):
    """The checkpoint is whole, and there is room for its files."""

    started: Started


class Step(Struct, frozen=True, kw_only=True, tag=True):
    """How far it is, as schemas.export.Progress says it."""

    stage: Literal["writing", "comparing"]
    done: int
    total: int
    what: str


class File(Struct, frozen=True, kw_only=True):
    """A file of the finished folder, or the file of the store that it is a copy of. `path` is relative to `artifacts/`."""

    kind: str
    hash: Sha256
    size: int
    path: ArtifactPath
    parents: list[Sha256]
    media_type: str | None = None


class Leaving(Struct, frozen=True, kw_only=True):
    """An earlier export that newer ones replace: its folder, and the files of it that lie nowhere else."""

    folder: ArtifactPath
    files: list[File]


class Finished(Struct, frozen=True, kw_only=True, tag=True):
    """The export is in place, or lies aside since it did not pass. `parity` null: nothing could be compared, for the `reason`.

    `files` are its artifacts, `leaving` what may be removed now; both empty of one that lies aside.
    """

    folder: ArtifactPath
    files: list[File]
    leaving: list[Leaving]
    bytes: int
    peak_memory: int
    parity: Parity | None
    reason: str | None


class Broken(Struct, frozen=True, kw_only=True, tag=True):
    """The export failed, and left nothing."""

    error: str
    message: str


Message = Begun | Step | Finished | Broken

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """One line."""
    return msgspec.json.encode(message) + b"\n"


def decode(line: bytes) -> Message:
    """Raises ValueError for what is no message."""
    return _decoder.decode(line)
