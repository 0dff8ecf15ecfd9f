"""What the agent and its two processes of the swarm say to each other: MessagePack frames over pipes, each behind its length."""

from __future__ import annotations

from typing import BinaryIO

import msgspec
from msgspec import Struct

from schemas.petals import PeerId, PeerState, Request, Route

LIMIT = 64 << 20
"""Bytes of a frame at most: the logits of a vocabulary of 262,144 take one of them."""
PREFIX = 4


class Limits(Struct, frozen=True, kw_only=True):
    """What one peer may ask of the blocks hosted here: calls, tokens and bytes a second, and calls at once."""

    requests_per_second: float
    tokens_per_second: float
    bytes_per_second: float
    at_once: int


class HostOrder(Struct, frozen=True, kw_only=True, tag=True):
    """Host blocks `start` to `end` of the model in `folder`, known in the swarm as `prefix`.

    `initial_peers` are multiaddresses of a swarm (none: a new one), `listen` those to listen at; `identity` is the file of the peer's key,
    `policy` the file that says who may ask (policy.py).
    """

    folder: str
    prefix: str
    start: int
    end: int
    initial_peers: list[str]
    listen: list[str]
    identity: str
    policy: str
    limits: Limits


class Hosting(Struct, frozen=True, kw_only=True, tag=True):
    """The blocks are online."""

    peer: PeerId
    addresses: list[str]
    device: str
    dtype: str


class Asked(Struct, frozen=True, kw_only=True, tag=True):
    """A peer's call of the blocks has ended, or was refused."""

    request: Request


class Broken(Struct, frozen=True, kw_only=True, tag=True):
    """The process ends: the class of what went wrong, and its message."""

    error: str
    message: str


class ChainOrder(Struct, frozen=True, kw_only=True, tag=True):
    """Use the model in `folder`, of which embeddings and head are needed, through the swarm of `initial_peers`.

    `cache` is the folder of layers that may stand in for blocks that nobody hosts, `kept_as` what this model's are called there. `allowed`
    null: every peer that is not blocked is used. A step that takes more than `patience` seconds has failed. `look_seconds` is the time
    between two looks at the swarm.
    """

    folder: str
    prefix: str
    initial_peers: list[str]
    identity: str
    cache: str
    kept_as: str
    allowed: list[PeerId] | None
    blocked: list[PeerId]
    patience: float
    look_seconds: float


class Ready(Struct, frozen=True, kw_only=True, tag=True):
    """The client is in the swarm, as `peer`."""

    peer: PeerId


class Trust(Struct, frozen=True, kw_only=True, tag=True):
    """Use these peers from now on, as in ChainOrder."""

    allowed: list[PeerId] | None
    blocked: list[PeerId]


class Open(Struct, frozen=True, kw_only=True, tag=True):
    """Begin a text of at most `length` tokens. `mixed`: blocks that nobody hosts may come from the cache of layers."""

    session: int
    length: int
    mixed: bool = False


class Read(Struct, frozen=True, kw_only=True, tag=True):
    """Put tokens behind those of the session."""

    session: int
    tokens: list[int]


class Close(Struct, frozen=True, kw_only=True, tag=True):
    """The text has ended."""

    session: int


class Logits(Struct, frozen=True, kw_only=True, tag=True):
    """What follows the tokens that were read: float32 in this machine's byte order, one for each token of the vocabulary."""

    session: int
    numbers: bytes
    route: Route


class Unread(Struct, frozen=True, kw_only=True, tag=True):
    """The tokens could not be read, and the session is closed."""

    session: int
    error: str
    message: str


class SeenPeer(Struct, frozen=True, kw_only=True):
    """A peer as the swarm shows it. `rtt` null: it did not answer a ping. `answered` and `failed` count its probes since the last look."""

    peer: PeerId
    start: int
    end: int
    state: PeerState
    rtt: float | None
    answered: int
    failed: int
    throughput: float | None
    dtype: str | None
    cache_tokens_left: int | None


class Seen(Struct, frozen=True, kw_only=True, tag=True):
    """A look at the swarm of a model with so many layers."""

    layers: int
    peers: list[SeenPeer]


Message = HostOrder | Hosting | Asked | Broken | ChainOrder | Ready | Trust | Open | Read | Close | Logits | Unread | Seen


class BadFrame(ValueError):
    """Bytes on a pipe that are no message."""


def encode(message: Message) -> bytes:
    """A frame."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(PREFIX, "little") + data


def read(pipe: BinaryIO) -> Message | None:
    """The next message; None where the pipe has ended. Raises BadFrame."""
    prefix = pipe.read(PREFIX)
    if len(prefix) < PREFIX:
        return None
    size = int.from_bytes(prefix, "little")
    if size > LIMIT:
        raise BadFrame(f"a message of {size} bytes: at most {LIMIT} are read")
    data = pipe.read(size)
    if len(data) < size:
        return None
    try:
        message: Message = msgspec.msgpack.decode(data, type=Message)
    except msgspec.DecodeError as error:
        raise BadFrame(f"no message of these processes: {error}") from error
    return message
