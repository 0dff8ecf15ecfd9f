"""A swarm on this machine for a benchmark: peers that host blocks of a model, and the chain through which ours reads by them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from agents.petals import keeper
from agents.petals.admission.policy import Policy, write_policy
from agents.petals.chain_client import ChainClient
from agents.petals.child import Child
from agents.petals.messages import ChainOrder, Hosting, HostOrder, Limits, Message, Seen
from agents.petals.settings import PetalsSettings
from benchmarks._processes import ChildFailed
from benchmarks.generators.job import SwarmJob

T = TypeVar("T")

LOOK_SECONDS = 2.0
"""Between two looks of the chain at the swarm, as the agent has it."""
START_TIMEOUT = 120.0
LISTEN = "/ip4/127.0.0.1/tcp/0"
UNBOUNDED = Limits(requests_per_second=1e6, tokens_per_second=1e9, bytes_per_second=1e12, at_once=64)
"""A contender is one peer, and asks for as much as it can."""


@dataclass(slots=True)
class Peer:
    """A process that hosts blocks. It can be struck, and started again as the same peer."""

    python: Path
    order: HostOrder
    home: Path
    hosting: Hosting = field(init=False)
    process: Child = field(init=False)

    def start(self) -> None:
        """Return when its blocks are online. Raises ChildFailed, OSError."""
        said: SimpleQueue[Hosting | str] = SimpleQueue()
        self.process = Child(keeper.HOST, lambda message: said.put(message) if isinstance(message, Hosting) else None, said.put)
        self.process.start(self.python, self.order, surroundings(self.home))
        self.hosting = awaited(said, f"the host of blocks {self.order.start} to {self.order.end}")

    @property
    def pid(self) -> int:
        """Also the number of the group of all its processes."""
        assert self.process.pid is not None
        return self.process.pid

    def strike(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        os.killpg(self.pid, number)


@contextmanager
def hosted(python: Path, folder: str, prefix: str, spans: Sequence[tuple[int, int]], home: Path) -> Iterator[list[Peer]]:
    """A swarm of its own, with a peer for each of the spans of blocks, who lets everybody ask. Raises ChildFailed, OSError."""
    home.mkdir()
    policy = home / "policy.json"
    write_policy(policy, Policy(open=True))
    peers: list[Peer] = []
    try:
        for start, end in spans:
            order = HostOrder(
                folder=folder,
                prefix=prefix,
                start=start,
                end=end,
                initial_peers=addresses(peers),
                listen=[LISTEN],
                identity=str(home / f"{start}.key"),
                policy=str(policy),
                limits=UNBOUNDED,
            )
            peer = Peer(python, order, home)
            peer.start()
            peers.append(peer)
        yield peers
    finally:
        for peer in reversed(peers):
            peer.process.end()


def addresses(peers: Sequence[Peer]) -> list[str]:
    """By which one joins their swarm."""
    return [address for peer in peers for address in peer.hosting.addresses]


@contextmanager
def joined(job: SwarmJob) -> Iterator[ChainClient]:
    """A chain that has seen all blocks online. Raises ChildFailed, OSError."""
    said: SimpleQueue[Seen | str] = SimpleQueue()

    def hear(message: Message) -> None:
        if isinstance(message, Seen):
            said.put(message)
        else:
            client.hear(message)

    def end(reason: str) -> None:
        client.end(reason)
        said.put(reason)

    process = Child(keeper.CHAIN, hear, end)
    client = ChainClient(process)
    try:
        process.start(Path(job.python), order_of(job), surroundings(Path(job.home)))
        while not is_complete(awaited(said, "the chain")):
            continue
        yield client
    finally:
        process.end()


def order_of(job: SwarmJob) -> ChainOrder:
    return ChainOrder(
        folder=job.folder,
        prefix=job.prefix,
        initial_peers=job.peers,
        identity=str(Path(job.home) / "chain.key"),
        cache=str(Path(job.home) / "layers"),
        kept_as=job.prefix,
        allowed=None,
        blocked=[],
        patience=PetalsSettings().patience,
        look_seconds=LOOK_SECONDS,
    )


def is_complete(seen: Seen) -> bool:
    """Whether each block is online at a peer that answers."""
    online = {layer for peer in seen.peers if peer.state == "online" and peer.rtt is not None for layer in range(peer.start, peer.end)}
    return len(online) == seen.layers


def surroundings(home: Path) -> dict[str, str]:
    """The environment of a process that has Petals, as the agent's, with caches of its own."""
    return keeper.environment({**os.environ, "XDG_CACHE_HOME": str(home / "cache")})


def awaited(said: SimpleQueue[T | str], who: str) -> T:
    """What a process says next. Raises ChildFailed where it ends or says nothing for too long."""
    try:
        answer = said.get(timeout=START_TIMEOUT)
    except Empty:
        raise ChildFailed(f"{who} said nothing for {START_TIMEOUT:g} s") from None
    if isinstance(answer, str):
        raise ChildFailed(f"{who} ended: {answer}")
    return answer
