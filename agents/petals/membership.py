"""This machine's place in the swarm: which model and blocks, with whom, how it goes; and what of that is said on the bus."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.petals.chain_client import ChainClient
from agents.petals.health import Roster
from agents.petals.keeper import Calls, Keeper, Wanted
from agents.petals.messages import Asked, ChainOrder, Hosting, HostOrder, Message, Seen
from agents.petals.model import Model
from agents.petals.settings import PetalsSettings
from agents.petals.trust import Trusted
from bus.agent import Publish
from bus.lifecycle import AgentState
from schemas import petals

LOOK_SECONDS = 2.0
NO_MODEL = "the first export of a run is what it hosts: wait for an export.completed"


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is now: the model, the chain of that model if there is one, whether it is complete, and what there is to say of it."""

    model: Model | None = None
    chain: ChainClient | None = None
    complete: bool = False
    state: AgentState = "waiting"
    reason: str = "there is no environment with Petals yet"


@dataclass(slots=True)
class Membership:
    """Safe from any thread. `changed` is called with each change of the standing."""

    artifacts: Path
    settings: PetalsSettings
    publish: Publish
    count: Callable[[str, int, int, int], None]  # as Writer.count
    changed: Callable[[Standing], None]
    standing: Standing = field(default_factory=Standing)
    blocks: tuple[int, int | None] | None = field(init=False)
    trusted: Trusted = field(init=False)
    away: bool = False
    python: Path | None = None
    serving: petals.Serving = field(default_factory=petals.Serving)
    keeper: Keeper = field(init=False)
    api: str | None = None
    _now: Wanted | None = None
    _hosted: Hosting | None = None
    _client: str | None = None  # the chain's peer
    _roster: Roster | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.blocks = self.settings.hosted
        calls = Calls(hosting=self._hosting, joined=self._joined, left=self._left, seen=self._seen, told=self._told)
        self.keeper = Keeper(calls)
        self.trusted = Trusted(self.artifacts / "petals" / "policy.json", self.settings.open, self.publish, self.keeper.trust)

    @property
    def model(self) -> Model | None:
        return self.standing.model

    @property
    def health(self) -> petals.Health | None:
        """The last look at the swarm; None where it is not looked at."""
        return None if self._roster is None else self._roster.health

    def use(self, model: Model) -> None:
        """Host and use this model from now on."""
        with self._lock:
            self._want(model)

    def run_by(self, python: Path | None, state: AgentState, reason: str) -> None:
        """The interpreter that has Petals; None: there is none, for the reason."""
        with self._lock:
            was, self.python = self.python, python
            if python is None:
                self._stand(state=state, reason=reason)
            elif was is None:
                self._want(self.model)

    def host(self, blocks: tuple[int, int | None]) -> petals.Serving:
        """Host these blocks, in the swarm. Raises ValueError for those that the model does not have."""
        with self._lock:
            if self.model is not None:
                span(blocks, self.model.layers)
            self.blocks, self.away = blocks, False
            self._want(self.model)
            return self.serving

    def leave(self) -> petals.Serving:
        """Host nothing, and use nobody's blocks."""
        with self._lock:
            self.away = True
            self._want(self.model)
            return self.serving

    def miss(self, reason: str) -> None:
        """There is a model that cannot be hosted; one that is there stays."""
        with self._lock:
            if self.model is None:
                self._stand(state="degraded", reason=reason)

    def _want(self, model: Model | None) -> None:
        """Have the processes do what is wanted now; what they did before is forgotten at once."""
        self._forget()
        try:
            self._now, state, reason = self._wanted(model)
        except ValueError as error:  # blocks of a setting, or of an earlier model
            self._now, state, reason = None, "degraded", str(error)
        self._stand(model=model, chain=None, complete=False, state=state, reason=reason)
        self._serve()
        self.keeper.want(self._now)

    def _wanted(self, model: Model | None) -> tuple[Wanted | None, AgentState, str]:
        """None where there is nothing to do; and how it stands then. Raises ValueError."""
        if self.python is None:
            return None, self.standing.state, self.standing.reason
        if model is None:
            return None, "waiting", NO_MODEL
        if self.away or (self.blocks is None and not self.settings.peers):
            return None, "done", "it is in no swarm: bus call petals.host brings it back"
        return Wanted(self.python, self._host_order(model), self._chain_order(model)), "waiting", "the swarm is being joined"

    def _host_order(self, model: Model) -> HostOrder | None:
        if self.blocks is None:
            return None
        start, end = span(self.blocks, model.layers)
        return HostOrder(
            folder=str(model.folder),
            prefix=model.prefix,
            start=start,
            end=end,
            initial_peers=self.settings.peers,
            listen=self.settings.listen.split(),
            identity=str(self.identity("host")),
            policy=str(self.trusted.path),
            limits=self.settings.limits,
        )

    def _chain_order(self, model: Model) -> ChainOrder:
        trust = self.trusted.present()
        return ChainOrder(
            folder=str(model.folder),
            prefix=model.prefix,
            initial_peers=self.settings.peers,
            identity=str(self.identity("chain")),
            cache=str(self.artifacts / "petals" / "cache"),
            kept_as=model.kept_as,
            allowed=trust.allowed,
            blocked=trust.blocked,
            patience=self.settings.patience,
            look_seconds=LOOK_SECONDS,
        )

    def identity(self, name: str) -> Path:
        """The key of one of the two peers; hivemind makes it."""
        folder = self.artifacts / "petals" / "identity"
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        return folder / f"{name}.key"

    def _serve(self) -> None:
        """Say what is offered, where that changed."""
        model, hosting = self.model, self._hosted
        order = None if hosting is None or self._now is None else self._now.host
        told = petals.Serving(
            prefix=None if model is None else model.prefix,
            folder=None if model is None else self._relative(model.folder),
            layers=None if model is None else model.layers,
            peer=None if hosting is None else hosting.peer,
            client=self._client,
            start=None if order is None else order.start,
            end=None if order is None else order.end,
            addresses=[] if hosting is None else hosting.addresses,
            device=None if hosting is None else f"{hosting.device}, {hosting.dtype}",
            api=self.api,
        )
        if told != self.serving:
            self.serving = told
            self.publish(petals.SERVING, told)

    def _relative(self, folder: Path) -> str | None:
        artifacts = self.artifacts.resolve()
        return str(folder.relative_to(artifacts)) if folder.is_relative_to(artifacts) else None

    def offer(self, api: str) -> None:
        """The HTTP API is there."""
        with self._lock:
            self.api = api
            self._serve()

    def _hosting(self, wanted: Wanted, hosting: Hosting) -> None:
        with self._lock:
            self.trusted.know(hosting.peer)
            if wanted is self._now:
                self._hosted = hosting
                self._serve()

    def _joined(self, wanted: Wanted, chain: ChainClient, peer: str) -> None:
        with self._lock:
            self.trusted.know(peer)
            if wanted is self._now:
                self._client = peer
                self._serve()
                self._roster = Roster(wanted.chain.prefix, self.trusted.policy.own, self.trusted.uses)
                self._stand(chain=chain)

    def _left(self, wanted: Wanted, reason: str | None) -> None:
        with self._lock:
            if wanted is self._now:
                self._forget()
                state: AgentState = "stopping" if reason is None else "degraded"
                self._stand(chain=None, complete=False, state=state, reason=reason or "the swarm is being left")
                self._serve()

    def _forget(self) -> None:
        """Host and chain are there no more, or will not be in a moment."""
        for left in () if self._roster is None else self._roster.close():
            self.publish(petals.LEFT, left)
        self._hosted = self._roster = self._client = None

    def _stand(self, **changes: Any) -> None:  # Any: fields of a standing
        """Change the standing, and tell."""
        standing = dataclasses.replace(self.standing, **changes)
        if standing != self.standing:
            self.standing = standing
            self.changed(standing)

    def _seen(self, wanted: Wanted, seen: Seen) -> None:
        with self._lock:
            roster = self._roster
            if roster is None or wanted is not self._now:
                return
            for change in roster.take(seen):
                if isinstance(change, petals.Joined):
                    self.publish(petals.JOINED, change)
                else:
                    self.publish(petals.LEFT, change)
            if (news := roster.news(time.monotonic())) is not None:
                self.publish(petals.HEALTH, news)
            health = roster.health
            if health is not None and health.complete:
                self._stand(complete=True, state="running", reason=f"the swarm of {health.prefix} is complete")
            elif health is not None:
                missing = f"nobody who is allowed has the blocks {health.missing} online"
                self._stand(complete=False, state="degraded", reason=missing)

    def _told(self, wanted: Wanted, message: Message) -> None:
        if isinstance(message, Asked):
            request = message.request
            self.publish(petals.REQUEST, request)
            if request.start is None or request.end is None:
                return
            if request.peer not in self.trusted.policy.own:  # what our own texts use is counted when they end
                self.count(wanted.chain.kept_as, request.start, request.end, request.tokens)


def span(blocks: tuple[int, int | None], layers: int) -> tuple[int, int]:
    """Blocks `start` to `end` of a model. Raises ValueError."""
    start, end = blocks[0], layers if blocks[1] is None else blocks[1]
    if not 0 <= start < end <= layers:
        raise ValueError(f"blocks {start}:{end} of a model that has {layers}: want 0 <= start < end <= {layers}")
    return start, end
