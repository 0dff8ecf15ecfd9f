"""Petals: the swarm that hosts a model's blocks, who is in it, what it was asked, and which route served each token.

A block is one layer of a decoder; blocks `start` to `end` do not include `end`. A peer is known by its libp2p peer id.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bus.topic import ArtifactPath, Command, Name, Nothing, Topic

PeerId = Annotated[str, Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{40,64}$(?!\n)")]
"""The hash of a peer's public key, in base58."""

Route = Literal["swarm", "local", "mixed"]
"""Who computes a token: the peers of the swarm, the whole model on this machine, or peers with blocks of this machine between them."""

PeerState = Literal["joining", "online", "offline"]

Outcome = Literal["served", "refused", "failed"]


class Serving(Struct, frozen=True, kw_only=True):
    """What this agent offers. `peer`, `start`, `end` and `addresses` are null or empty where it hosts no blocks; `api` is its HTTP address.

    `client` is the peer that its texts go by, null where it is in no swarm: who hosts blocks for it allows both.
    `prefix` is the name of the model in the swarm, `folder` where it lies below `artifacts/`, null elsewhere.
    """

    prefix: str | None = None
    folder: ArtifactPath | None = None
    layers: int | None = None
    peer: PeerId | None = None
    client: PeerId | None = None
    start: int | None = None
    end: int | None = None
    addresses: list[str] = []
    device: str | None = None
    api: str | None = None


class Joined(Struct, frozen=True, kw_only=True):
    """A peer offers blocks of the model. `throughput` is what it says of itself, in requests a second."""

    peer: PeerId
    start: int
    end: int
    own: bool
    throughput: float | None = None
    dtype: str | None = None


class Left(Struct, frozen=True, kw_only=True):
    """A peer offers these blocks no more."""

    peer: PeerId
    start: int
    end: int
    own: bool


class Request(Struct, frozen=True, kw_only=True):
    """What a peer asked of the blocks hosted here, once it ended: `seconds` long, `tokens` through the blocks, bytes in and out.

    `rpc` is Petals' name of the call. Refusals of one peer for one `reason` within a second are one event, and `count` says how many; of
    peers that may not ask at all, a minute's may be one event, whose `peer` is the first of them.
    """

    peer: PeerId
    rpc: str
    outcome: Outcome
    start: int | None = None
    end: int | None = None
    seconds: float = 0.0
    tokens: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    reason: str | None = None
    count: int = 1


class Stretch(Struct, frozen=True, kw_only=True):
    """So many tokens, one after the other, that the same route computed."""

    route: Route
    tokens: int


class Generation(Struct, frozen=True, kw_only=True):
    """A text was written, or could not be: `finish` says how it ended, `served` which route computed each of its tokens, in order.

    `client` is where it was asked for. `first_token_seconds` is from the request to the first token.
    """

    generation: Name
    prefix: str
    client: Literal["bus", "http"]
    prompt_tokens: int
    tokens: int
    served: list[Stretch]
    finish: Literal["length", "stop", "end", "cancelled", "failed"]
    seconds: float
    first_token_seconds: float | None = None
    tokens_per_second: float | None = None
    reason: str | None = None


class Fallback(Struct, frozen=True, kw_only=True):
    """A text went on by another route, or by other peers of the swarm: token `at` (from 0) is the first one of `to`.

    `delay` is what the change cost, in seconds: from asking for that token by the route that failed until it was there.
    """

    generation: Name
    at: int
    route: Route
    to: Route
    reason: str
    delay: float


class PeerHealth(Struct, frozen=True, kw_only=True):
    """How well a peer answers. `rtt` is the smoothed time of a ping in seconds, null where it did not answer.

    `score` from 0 to 1: the share of its last probes (pings and requests) that succeeded, divided by one plus `rtt` in tenths of a second.
    `cache_tokens_left` is what it says of the room for further texts. A peer that is not `allowed` is not used.
    """

    peer: PeerId
    start: int
    end: int
    own: bool
    allowed: bool
    state: PeerState
    score: float
    rtt: float | None = None
    throughput: float | None = None
    dtype: str | None = None
    cache_tokens_left: int | None = None


class Health(Struct, frozen=True, kw_only=True):
    """The swarm of a model, looked at. `complete`: each of its blocks is online at an allowed peer; `missing` lists those that are not.

    `score` is that of the weakest block, whose best peer counts.
    """

    prefix: str
    layers: int
    complete: bool
    missing: list[int]
    score: float
    peers: list[PeerHealth]


class Policy(Struct, frozen=True, kw_only=True):
    """Who may use the blocks hosted here, and whose are used. `open`: anybody who is not blocked; else only who is allowed."""

    open: bool
    allowed: list[PeerId]
    blocked: list[PeerId]


class Status(Struct, frozen=True, kw_only=True):
    """What the agent does. `swarm`: `own` begins with this peer, `joined` with the peers of a setting; `none` says why in `reason`.

    `generations` and `tokens` (by route) count since the agent started.
    """

    serving: Serving
    swarm: Literal["own", "joined", "none"]
    reason: str | None = None
    complete: bool = False
    generations: int = 0
    writing: int = 0
    tokens: dict[str, int] = {}
    fallbacks: int = 0


class Peers(Struct, frozen=True, kw_only=True):
    """Who is there, and who may be."""

    peers: list[PeerHealth]
    policy: Policy


class Peer(Struct, frozen=True, kw_only=True):
    """The peer that a command is about."""

    peer: PeerId


class Host(Struct, frozen=True, kw_only=True):
    """Host blocks `start` to `end`; null: to the last."""

    start: int = 0
    end: int | None = None


class Generate(Struct, frozen=True, kw_only=True):
    """Continue `prompt` with the model of the swarm. Ends after `length` tokens, or before a `stop` text.

    Temperature 0 takes the likeliest token each time; `top_p` draws only among the likeliest that together have this probability.
    """

    prompt: str
    length: int = 200
    temperature: float = 0.8
    top_p: float = 1.0
    seed: int = 0
    stop: list[str] = []


class Generated(Struct, frozen=True, kw_only=True):
    """Text behind a prompt, and by which routes its tokens came; `note` says why another route than the swarm was taken.

    `finish` says why it ended: `length`, a `stop` text, or the `end` token of a document.
    """

    generation: Name
    text: str
    finish: Literal["length", "stop", "end"]
    prompt_tokens: int
    tokens: int
    served: list[Stretch]
    prefix: str
    first_token_seconds: float | None
    tokens_per_second: float | None
    note: str | None = None


SERVING = Topic("petals.serving", Serving)
JOINED = Topic("petals.peer.joined", Joined)
LEFT = Topic("petals.peer.left", Left)
REQUEST = Topic("petals.request", Request)
GENERATION = Topic("petals.generation", Generation)
FALLBACK = Topic("petals.fallback", Fallback)
HEALTH = Topic("petals.health", Health)
POLICY = Topic("petals.policy", Policy)

STATUS = Command("petals.status", Nothing, Status)
PEERS = Command("petals.peers", Nothing, Peers)
GENERATE = Command("petals.generate", Generate, Generated)
ALLOW = Command("petals.allow", Peer, Policy)
BLOCK = Command("petals.block", Peer, Policy)
HOST = Command("petals.host", Host, Serving)
LEAVE = Command("petals.leave", Nothing, Serving)
