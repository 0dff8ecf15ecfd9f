"""Keeps the two processes of the swarm alive, the host and the chain, for as long as the same model and blocks are wanted."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from msgspec.structs import replace

from agents.petals.chain_client import ChainClient
from agents.petals.child import Child, Gone
from agents.petals.messages import ChainOrder, Hosting, HostOrder, Message, Ready, Seen, Trust
from bus.supervisor import LAST_DELAY, Backoff

START_SECONDS = 300.0
"""A host loads its blocks and times one: minutes for a large model on a busy machine."""
POLL = 0.2
SHARING = {} if sys.platform == "darwin" else {"HIVEMIND_MEMORY_SHARING_STRATEGY": "file_descriptor"}
"""How a host's processes share tensors. hivemind's default starts a daemon of PyTorch's, which outlives everybody who is killed."""
HOST, CHAIN = "agents.petals.swarm.host", "agents.petals.swarm.chain"

_log = structlog.get_logger()


class NotJoined(RuntimeError):
    """The swarm could not be joined, or was lost; the message says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the processes are to do. `host` None: host nothing; `chain`'s peers are the host's where it names none."""

    python: Path
    host: HostOrder | None
    chain: ChainOrder


@dataclass(frozen=True, slots=True)
class Calls:
    """What is called, from threads of this module, with what was wanted when it was begun. `left`: neither process is there any more, for
    the reason; None: something else is wanted.
    """

    hosting: Callable[[Wanted, Hosting], None]
    joined: Callable[[Wanted, ChainClient, str], None]
    left: Callable[[Wanted, str | None], None]
    seen: Callable[[Wanted, Seen], None]
    told: Callable[[Wanted, Message], None]


@dataclass(slots=True)
class Keeper:
    """Owns host and chain. `want` may be called from any thread; what was wanted before is ended first."""

    calls: Calls
    _wanted: Wanted | None = None
    _changed: threading.Event = field(default_factory=threading.Event)
    _closed: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _chain: Child | None = None

    def open(self) -> None:
        """Start the thread that keeps them."""
        self._thread = threading.Thread(target=self._keep, name="swarm", daemon=True)
        self._thread.start()

    def want(self, wanted: Wanted | None) -> None:
        """Be this from now on; None: nothing."""
        self._wanted = wanted
        self._changed.set()

    def trust(self, message: Trust) -> None:
        """Tell the chain, if there is one, whom it may use."""
        chain = self._chain
        if chain is not None:
            try:
                chain.say(message)
            except Gone:
                return

    def close(self) -> None:
        """End both, without waiting for it."""
        self._closed.set()
        self._changed.set()

    def join(self, patience: float) -> None:
        """Wait until both have ended."""
        if self._thread is not None:
            self._thread.join(patience)

    def _keep(self) -> None:
        backoff = Backoff()
        while True:
            self._changed.clear()
            wanted, began = self._wanted, time.monotonic()
            if self._closed.is_set():
                return
            if wanted is None:
                self._changed.wait()
                continue
            try:
                Life(wanted, self.calls, self._changed, self._started).live()
                backoff = Backoff()
            except (NotJoined, OSError) as error:
                delay = backoff.after(time.monotonic() - began) or LAST_DELAY  # peers may be away for long, and nobody else tries again
                self.calls.left(wanted, str(error))
                _log.warning("not in the swarm", reason=str(error), again_in=delay)
                self._changed.wait(delay)

    def _started(self, chain: Child | None) -> None:
        self._chain = chain


@dataclass(slots=True)
class Life:
    """Host and chain, from their start until something else is wanted or one of them ends."""

    wanted: Wanted
    calls: Calls
    changed: threading.Event
    started: Callable[[Child | None], None]
    _hosting: Hosting | None = None
    _ready: Ready | None = None
    _lost: str | None = None
    _client: ChainClient | None = None

    def live(self) -> None:
        """Return when something else is wanted. Raises NotJoined, OSError."""
        host = Child(HOST, self._hear_host, lambda reason: self._lose("the host", reason))
        chain = Child(CHAIN, self._hear_chain, lambda reason: self._lose("the chain", reason))
        self._client = ChainClient(chain)
        try:
            peers = self._begin_host(host)
            if peers:
                self._begin_chain(chain, peers)
            while not self.changed.wait(POLL):
                self._check()
        finally:
            self.started(None)
            self._client.end(self._lost or "it is to do something else")
            chain.leave()
            host.leave()
            chain.end()
            host.end()
            self.calls.left(self.wanted, None)

    def _begin_host(self, host: Child) -> list[str]:
        """Host what is wanted. Returns the addresses by which the chain joins; none where there is no swarm for it."""
        order = self.wanted.host
        if order is None:
            return self.wanted.chain.initial_peers
        host.start(self.wanted.python, order, environment())
        self._await(lambda: self._hosting is not None, "the host has not loaded its blocks")
        if self._hosting is None or self.changed.is_set():
            return []
        self.calls.hosting(self.wanted, self._hosting)
        return [*self._hosting.addresses, *self.wanted.chain.initial_peers]

    def _begin_chain(self, chain: Child, peers: list[str]) -> None:
        order = self.wanted.chain
        chain.start(self.wanted.python, replace(order, initial_peers=peers), environment())
        self.started(chain)
        self._await(lambda: self._ready is not None, "the chain has not joined")
        if self._ready is not None and self._client is not None and not self.changed.is_set():
            self.calls.joined(self.wanted, self._client, self._ready.peer)

    def _await(self, there: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.changed.wait(POLL / 4) and not there():
            self._check()
            if time.monotonic() > deadline:
                raise NotJoined(f"{what} in {START_SECONDS:g} s")

    def _check(self) -> None:
        if self._lost is not None:
            raise NotJoined(self._lost)

    def _lose(self, who: str, reason: str) -> None:
        self._lost = self._lost or f"{who} ended: {reason}"
        if self._client is not None and who == "the chain":
            self._client.end(reason)

    def _hear_host(self, message: Message) -> None:
        if isinstance(message, Hosting):
            self._hosting = message
        else:
            self.calls.told(self.wanted, message)

    def _hear_chain(self, message: Message) -> None:
        match message:
            case Ready():
                self._ready = message
            case Seen():
                self.calls.seen(self.wanted, message)
            case _ if self._client is not None:
                self._client.hear(message)


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the libraries of the swarm are told: to ask no site for anything, and to keep their caches with ours."""
    cache = Path(environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return {
        **environ,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PETALS_CACHE": str(cache / "petals"),
        "HIVEMIND_LOGLEVEL": "WARNING",
        "BITSANDBYTES_NOWELCOME": "1",
        "PYTHONWARNINGS": "ignore",
        **SHARING,
    }
