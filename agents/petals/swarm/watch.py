"""Notices that a peer has gone while a text waits for it: hivemind's streams do not always say so, they only time out."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Mapping

from hivemind.p2p import PeerID

from agents.petals.swarm.look import silent
from agents.petals.swarm.routing import Routing
from agents.petals.swarm.text import Text

PERIOD = 0.05
SUSPICIOUS = 0.15
"""Seconds that a piece of text may take before its peers are asked whether they are there."""
ASKED, PING_SECONDS = 2, 0.3
"""How often in a row a peer must be silent, and for how long, to count as gone: on a busy machine one ping may come late."""


class Watcher(threading.Thread):
    """Fails the texts in progress whose peers do not answer, so that another route goes on with them."""

    def __init__(self, routing: Routing, texts: Mapping[int, Text]) -> None:
        super().__init__(name="watcher", daemon=True)
        self._routing, self._texts = routing, texts

    def run(self) -> None:
        while True:
            time.sleep(PERIOD)
            waiting = [text for text in list(self._texts.values()) if text.waited() > SUSPICIOUS]
            try:
                if waiting:
                    self._ask(waiting)
            except Exception:  # as the looker's: a text that is waited for too long ends by its deadline
                traceback.print_exc()

    def _ask(self, waiting: list[Text]) -> None:
        routes = {text: text.peers() for text in waiting}
        gone = set[PeerID]().union(*routes.values())
        for _ in range(ASKED):
            if gone:
                gone = silent(self._routing, gone, PING_SECONDS)
        for peer in gone:
            self._routing.on_request_failure(peer)
        for text, peers in routes.items():
            if lost := peers & gone:
                text.fail("PeerGone", f"{', '.join(sorted(peer.to_base58() for peer in lost))} does not answer")
