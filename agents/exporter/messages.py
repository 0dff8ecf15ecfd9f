"""What the agent and the process that exports tell each other: an order as JSON on its command line, then messages, a line of JSON each."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from bus.topic import ArtifactPath, Name, Sha256
from schemas.export import Parity, Precision, Started
from schemas.system import Artifact

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


class Leaving(Struct, frozen=True, kw_only=True):
    """An earlier export that newer ones replace: its folder, and its files."""

    folder: ArtifactPath
    files: list[Artifact]


class Finished(Struct, frozen=True, kw_only=True, tag=True):
    """The export is in place, or lies aside since it did not pass. `parity` null: nothing could be compared, for the `reason`.

    `files` are its artifacts, of one that lies aside its parity alone; `leaving` may be removed now.
    """

    folder: ArtifactPath
    files: list[Artifact]
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
