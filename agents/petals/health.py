"""Who is in the swarm and how well they answer: each look becomes joins, leaves and scores. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from agents.petals.messages import Seen, SeenPeer
from schemas import petals

PROBES = 50
"""How many of a peer's last probes its score is made of."""
SLOW = 0.1
"""Seconds of a ping that halve a score."""
SMOOTHING = 0.3
"""The weight of a new ping in the smoothed one."""
NEWS = 0.2
"""A change of the score that is worth saying."""
SAID_SECONDS = 60.0
"""Between two reports of a swarm in which nothing changes."""


@dataclass(slots=True)
class Record:
    """A peer's probes, the newest last, and its smoothed ping."""

    probes: deque[bool] = field(default_factory=lambda: deque(maxlen=PROBES))
    rtt: float | None = None

    def add(self, peer: SeenPeer) -> None:
        self.probes.extend([True] * min(peer.answered, PROBES))
        self.probes.extend([False] * min(peer.failed, PROBES))
        if peer.rtt is None or self.rtt is None:
            self.rtt = peer.rtt
        else:
            self.rtt += SMOOTHING * (peer.rtt - self.rtt)

    @property
    def score(self) -> float:
        """See schemas.petals.PeerHealth."""
        if self.rtt is None or not self.probes:
            return 0.0
        return sum(self.probes) / len(self.probes) / (1 + self.rtt / SLOW)


@dataclass(slots=True)
class Roster:
    """The swarm of one model, from look to look. `own` are this agent's peers; `allowed` says of a peer whether it is used."""

    prefix: str
    own: frozenset[str]
    allowed: Callable[[str], bool]
    health: petals.Health | None = None
    _records: dict[str, Record] = field(default_factory=dict)
    _online: dict[str, tuple[int, int]] = field(default_factory=dict)
    _said: petals.Health | None = None
    _said_at: float = 0.0

    def take(self, seen: Seen) -> Iterator[petals.Joined | petals.Left]:
        """A look's news: who offers blocks that it did not offer before, and who does no more. `health` is of this look then."""
        self._records = {peer.peer: self._records.get(peer.peer, Record()) for peer in seen.peers}
        for peer in seen.peers:
            self._records[peer.peer].add(peer)
        self.health = self._assess(seen)
        online = {peer.peer: peer for peer in seen.peers if is_there(peer)}
        yield from self._left({peer: (each.start, each.end) for peer, each in online.items()})
        for name, each in online.items():
            if name not in self._online:
                yield self._joined(each)
        self._online = {peer: (each.start, each.end) for peer, each in online.items()}

    def close(self) -> Iterator[petals.Left]:
        """Nobody is looked at any more."""
        yield from self._left({})
        self._online, self.health = {}, None

    def news(self, now: float) -> petals.Health | None:
        """The health, where it is worth saying at this (monotonic) time; else None."""
        health = self.health
        if health is None or (self._said is not None and now - self._said_at < SAID_SECONDS and is_like(health, self._said)):
            return None
        self._said, self._said_at = health, now
        return health

    def _left(self, online: dict[str, tuple[int, int]]) -> Iterator[petals.Left]:
        """Those who offered blocks, and do not offer the same any more. A peer that changed its blocks joins anew."""
        for peer, blocks in list(self._online.items()):
            if online.get(peer) != blocks:
                del self._online[peer]
                yield petals.Left(peer=peer, start=blocks[0], end=blocks[1], own=peer in self.own)

    def _joined(self, peer: SeenPeer) -> petals.Joined:
        return petals.Joined(
            peer=peer.peer,
            start=peer.start,
            end=peer.end,
            own=peer.peer in self.own,
            throughput=peer.throughput,
            dtype=peer.dtype,
        )

    def _assess(self, seen: Seen) -> petals.Health:
        peers = [self._peer(peer) for peer in seen.peers]
        best = [max((peer.score for peer in peers if serves(peer, layer)), default=None) for layer in range(seen.layers)]
        missing = [layer for layer, score in enumerate(best) if score is None]
        weakest = min((score or 0.0 for score in best), default=0.0)
        return petals.Health(prefix=self.prefix, layers=seen.layers, complete=not missing, missing=missing, score=weakest, peers=peers)

    def _peer(self, peer: SeenPeer) -> petals.PeerHealth:
        record = self._records[peer.peer]
        return petals.PeerHealth(
            peer=peer.peer,
            start=peer.start,
            end=peer.end,
            own=peer.peer in self.own,
            allowed=self.allowed(peer.peer),
            state=peer.state,
            score=record.score,
            rtt=record.rtt,
            throughput=peer.throughput,
            dtype=peer.dtype,
            cache_tokens_left=peer.cache_tokens_left,
        )


def is_there(peer: SeenPeer) -> bool:
    """Whether it serves what it announces: what the DHT says of a peer that was killed is there for some seconds longer."""
    return peer.state == "online" and peer.rtt is not None


def serves(peer: petals.PeerHealth, layer: int) -> bool:
    return peer.allowed and peer.state == "online" and peer.rtt is not None and peer.start <= layer < peer.end


def is_like(health: petals.Health, said: petals.Health) -> bool:
    """Whether the same peers offer the same blocks about as well."""
    return (health.missing, offered(health.peers)) == (said.missing, offered(said.peers)) and abs(health.score - said.score) < NEWS


def offered(peers: Collection[petals.PeerHealth]) -> set[tuple[str, int, int, str, bool]]:
    return {(peer.peer, peer.start, peer.end, peer.state, peer.allowed) for peer in peers}
