"""Which peers compute which blocks: Petals' own routing, told whom it may use, with a count of who answered."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Sequence

from hivemind import DHT
from hivemind.p2p import PeerID
from petals.client.routing import RemoteSequenceManager
from petals.client.routing.sequence_manager import SequenceManagerState
from petals.data_structures import UID_DELIMITER
from petals.models.llama.config import DistributedLlamaConfig


class Routing(RemoteSequenceManager):
    """The routes through consecutive blocks; a slice of it is one through a part of them. Threads may share it."""

    def __init__(
        self, config: DistributedLlamaConfig, block_uids: Sequence[str], *, dht: DHT, state: SequenceManagerState | None = None
    ) -> None:
        """As Petals constructs it, and slices of it."""
        self.answered: Counter[PeerID] = Counter()
        self.failed: Counter[PeerID] = Counter()
        self._counting = threading.Lock()
        super().__init__(config, block_uids, dht=dht, state=state)

    def trust(self, allowed: Collection[str] | None, blocked: Collection[str]) -> None:
        """Use these peers from now on, None: all; and never those that are blocked. Slices that are made later do so, too."""
        self.config.allowed_servers = None if allowed is None else list(allowed)
        self.config.blocked_servers = list(blocked)
        self.allowed_servers = self._peer_ids_to_set(self.config.allowed_servers)
        self.blocked_servers = self._peer_ids_to_set(self.config.blocked_servers)
        self.update(wait=False)

    def take_counts(self) -> tuple[Counter[PeerID], Counter[PeerID]]:
        """How often each peer answered a call, and how often it did not, since this was asked last."""
        with self._counting:
            counts = self.answered, self.failed
            self.answered, self.failed = Counter(), Counter()
        return counts

    def on_request_success(self, peer_id: PeerID) -> None:
        with self._counting:
            self.answered[peer_id] += 1
        super().on_request_success(peer_id)

    def on_request_failure(self, peer_id: PeerID | None) -> None:
        if peer_id is not None:
            with self._counting:
                self.failed[peer_id] += 1
        super().on_request_failure(peer_id)


def routing_of(config: DistributedLlamaConfig, dht: DHT, allowed: Collection[str] | None, blocked: Collection[str]) -> Routing:
    """Through all blocks of a model, by these peers."""
    uids = [f"{config.dht_prefix}{UID_DELIMITER}{layer}" for layer in range(config.num_hidden_layers)]
    routing = Routing(config, tuple(uids), dht=dht)
    routing.trust(allowed, blocked)
    return routing
