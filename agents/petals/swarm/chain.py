"""The process that uses the swarm: a Petals client that reads tokens through the peers' blocks, one session for each text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from agents.petals.messages import ChainOrder, Close, Message, Open, Read, Ready, Trust, Unread
from agents.petals.swarm.look import PING_SECONDS, Looker
from agents.petals.swarm.network import join
from agents.petals.swarm.pipe import Pipe, run
from agents.petals.swarm.routing import routing_of
from agents.petals.swarm.skeleton import Skeleton
from agents.petals.swarm.text import Source, Text, close_by_hand
from agents.petals.swarm.watch import Watcher

TEXTS = 32
"""Texts at once."""
WIDE_HEAD = 1 << 24
"""Numbers in a head from which on more than one thread is worth waking up."""
STEP_SECONDS = 10.0
"""After which a step through peers has failed in any case."""


def main() -> None:
    run(chain)


def chain(pipe: Pipe) -> None:
    """Do what the first message orders, and what the later ones ask, until the pipe ends."""
    order = pipe.hear()
    if not isinstance(order, ChainOrder):
        raise TypeError(f"the first message is {type(order).__name__}: want an order to use a swarm")
    close_by_hand()
    skeleton = Skeleton.open(Path(order.folder), order.prefix)
    if skeleton.head.numel() < WIDE_HEAD:
        torch.set_num_threads(1)
    skeleton.config.update(patient(order))
    dht = join(order.initial_peers, order.identity, listen=())
    routing = routing_of(skeleton.config, dht, order.allowed, order.blocked)
    looker = Looker(routing, pipe, order.look_seconds)
    texts = Texts(pipe, Source(Path(order.folder), Path(order.cache), order.kept_as, skeleton, routing), looker.now.set)
    pipe.say(Ready(peer=dht.peer_id.to_base58()))
    looker.start()
    Watcher(routing, texts.open).start()
    pipe.watch()
    while (message := pipe.hear()) is not None:
        texts.take(message)


def patient(order: ChainOrder) -> dict[str, object]:
    """Settings of Petals' client: it tries once more by another peer, and gives up. Who waits is answered by another route then."""
    return {
        "connect_timeout": order.patience,
        "request_timeout": STEP_SECONDS,
        "update_period": order.look_seconds,
        "ping_timeout": PING_SECONDS,
        "max_retries": 2,
        "min_backoff": 0.05,
        "ban_timeout": 2 * order.look_seconds,
        "show_route": False,
    }


class Texts:
    """The texts in progress, by number, each with a thread of its own. `look` is called when a peer may have gone."""

    def __init__(self, pipe: Pipe, source: Source, look: Callable[[], None]) -> None:
        self._pipe, self._source, self._look = pipe, source, look
        self.open: dict[int, Text] = {}

    def take(self, message: Message) -> None:
        """Do what the agent asks."""
        match message:
            case Open(session=session):
                self._open(session, message)
            case Read(session=session, tokens=tokens) if session in self.open:
                self.open[session].read(tokens)
            case Close(session=session) if session in self.open:
                self.open.pop(session).close()
            case Trust(allowed=allowed, blocked=blocked):
                self._source.routing.trust(allowed, blocked)
                self._look()

    def _open(self, session: int, message: Open) -> None:
        if len(self.open) >= TEXTS:
            self._pipe.say(Unread(session=session, error="Busy", message=f"{TEXTS} texts are being written already"))
            return
        self.open[session] = Text(self._pipe, self._source, message, self._look)


if __name__ == "__main__":
    main()
