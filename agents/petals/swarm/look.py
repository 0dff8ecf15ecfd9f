"""Looks at the swarm: who announces which blocks of the model in the DHT, and who answers a ping."""

from __future__ import annotations

import math
import threading
import traceback
from collections.abc import Collection
from functools import partial

from hivemind.p2p import PeerID
from petals.data_structures import RemoteSpanInfo, ServerState
from petals.utils.dht import compute_spans, get_remote_module_infos
from petals.utils.ping import ping_parallel

from agents.petals.messages import Seen, SeenPeer
from agents.petals.swarm.pipe import Pipe
from agents.petals.swarm.routing import Routing

PING_SECONDS = 0.5
"""Seconds after which a peer counts as not answering. One that computes answers too: its node is a process of its own."""
ASK_SECONDS = 10.0
"""For an answer of this process's own node."""
PEERS = 256
"""Peers that one look says something of, at most: the DHT shows whatever anybody announces."""


def look(routing: Routing) -> Seen:
    """Everybody who announces blocks, as the DHT has it now, allowed or not. Takes as long as the slowest ping."""
    spans = list(announced(routing).values())[:PEERS]
    pings = pinged(routing, [span.peer_id for span in spans])
    answered, failed = routing.take_counts()
    peers = [seen(span, pings[span.peer_id], answered[span.peer_id], failed[span.peer_id]) for span in spans]
    return Seen(layers=len(routing), peers=peers)


def pinged(routing: Routing, peers: Collection[PeerID], patience: float = PING_SECONDS) -> dict[PeerID, float]:
    """Seconds until each answered, infinite for those that did not. Raises TimeoutError where our own node is silent."""
    asked = routing.dht.run_coroutine(partial(ping_parallel, list(peers), wait_timeout=patience), return_future=True)
    return asked.result(timeout=ASK_SECONDS)


def silent(routing: Routing, peers: Collection[PeerID], patience: float = PING_SECONDS) -> set[PeerID]:
    """Those of the peers that do not answer a ping in so many seconds."""
    return {peer for peer, seconds in pinged(routing, peers, patience).items() if not math.isfinite(seconds)}


def announced(routing: Routing) -> dict[PeerID, RemoteSpanInfo]:
    """Who says that it has which blocks. Raises TimeoutError as above."""
    asked = get_remote_module_infos(routing.dht, routing.block_uids, latest=True, return_future=True)
    infos = asked.result(timeout=ASK_SECONDS)
    return compute_spans(infos, min_state=ServerState.JOINING)


def seen(span: RemoteSpanInfo, ping: float, answered: int, failed: int) -> SeenPeer:
    """A peer, with its ping as one more probe."""
    info, came = span.server_info, math.isfinite(ping)
    return SeenPeer(
        peer=span.peer_id.to_base58(),
        start=span.start,
        end=span.end,
        state=span.state.name.lower(),
        rtt=ping if came else None,
        answered=answered + came,
        failed=failed + (not came),
        throughput=info.throughput,
        dtype=info.torch_dtype,
        cache_tokens_left=info.cache_tokens_left,
    )


class Looker(threading.Thread):
    """Looks every so many seconds, at once when `now` is set, and says what it saw: nobody, where the DHT cannot be asked."""

    def __init__(self, routing: Routing, pipe: Pipe, seconds: float) -> None:
        super().__init__(name="looker", daemon=True)
        self.now = threading.Event()
        self._routing, self._pipe, self._seconds = routing, pipe, seconds

    def run(self) -> None:
        while True:
            self.now.clear()
            try:
                self._pipe.say(self._look())
            except OSError:  # the agent has gone, and this process ends too
                return
            self.now.wait(self._seconds)

    def _look(self) -> Seen:
        try:
            return look(self._routing)
        except Exception:  # of whatever the DHT's process answers with
            traceback.print_exc()  # kept by the agent, for when this process dies
            return Seen(layers=len(self._routing), peers=[])
